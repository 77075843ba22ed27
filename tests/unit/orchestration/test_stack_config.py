"""Airflow's environment: loopback only, private secrets that stay the same."""

import base64
import json
import stat
from pathlib import Path

import pytest

from data_engineering.orchestration.airflow_config import credentials, environment
from data_engineering.settings import Settings


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path / "state", airflow_port=18999, parallelism=3)


def made(settings):
    return environment(settings, "postgresql://u:p@/airflow")


def test_everything_listens_on_loopback_and_agrees_on_the_port(settings):
    env = made(settings)
    assert env["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert env["AIRFLOW__API__PORT"] == "18999"
    assert env["AIRFLOW__API__BASE_URL"] == "http://127.0.0.1:18999"
    url = env["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"]
    assert url == "http://127.0.0.1:18999/execution/"


def test_secrets_are_long_private_and_kept(settings):
    env = made(settings)
    assert len(env["AIRFLOW__API_AUTH__JWT_SECRET"]) >= 64
    assert len(base64.urlsafe_b64decode(env["AIRFLOW__CORE__FERNET_KEY"])) == 32
    files = [path for path in (settings.home / "airflow").iterdir() if path.is_file()]
    assert len(files) == 4
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE((settings.home / "airflow").stat().st_mode) == 0o700
    assert made(settings) == env


def test_two_homes_have_different_secrets(settings, tmp_path):
    other = made(Settings(home=tmp_path / "other"))
    for name in ("API_AUTH__JWT_SECRET", "CORE__FERNET_KEY", "API__SECRET_KEY"):
        assert other[f"AIRFLOW__{name}"] != made(settings)[f"AIRFLOW__{name}"]


def test_the_password_is_what_airflow_reads(settings):
    login = credentials(settings)
    file = made(settings)["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"]
    assert json.loads(Path(file).read_text()) == {login.user: login.password}
    assert made(settings)["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"] == f"{login.user}:admin"


def test_a_foreign_airflow_in_the_environment_has_no_say(settings, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", "somewhere")
    env = made(settings)
    assert env["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert "AIRFLOW__SECRETS__BACKEND" not in env
    assert env["AIRFLOW__CORE__PARALLELISM"] == "3"
