"""Passwords of the first start, and settings that come from files of secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_engineering import settings as settings_module
from data_engineering.model.errors import BadInput
from data_engineering.orchestration import deploy
from data_engineering.settings import Settings, get_settings

GOOD = "a-password_of-20-let"
NAMES = ("airflow_db", "worker_db", "stream_db", "reader_db", "minio")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of secrets in the place of /run/secrets, with good ones."""
    for name in NAMES:
        (tmp_path / f"lascopf_deploy_{name}_password").write_text(f"{GOOD}{name}")
    monkeypatch.setattr(deploy, "SECRETS_FOLDER", tmp_path)
    monkeypatch.setattr(settings_module, "SECRETS_FOLDER", tmp_path)
    return tmp_path


def test_secrets_are_read_from_files(folder: Path) -> None:
    found = deploy.DeploySecrets.read()
    assert found.worker_db_password.get_secret_value() == f"{GOOD}worker_db"
    assert GOOD not in repr(found)


@pytest.mark.parametrize("bad", ["short", "with a blank in it!", "slash/and@more-of-it", "x" * 129])
def test_a_password_that_cannot_stand_in_a_url_is_refused_unshown(folder: Path, bad: str) -> None:
    (folder / "lascopf_deploy_stream_db_password").write_text(bad)
    with pytest.raises(BadInput, match=r"STREAM_DB_PASSWORD.*16 to 128 letters") as told:
        deploy.DeploySecrets.read()
    assert bad not in str(told.value)


def test_another_store_than_minio_needs_no_administrator(folder: Path) -> None:
    (folder / "lascopf_deploy_minio_password").unlink()
    assert deploy.DeploySecrets.read().minio_password is None


def test_settings_take_secrets_from_files_and_variables_first(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "lascopf_database_password").write_text("of-the-file\n")
    (folder / "lascopf_s3_secret_key").write_text("of-the-file")
    monkeypatch.setenv("LASCOPF_S3_SECRET_KEY", "of-the-variable")
    monkeypatch.delenv("LASCOPF_DATABASE_PASSWORD", raising=False)
    get_settings.cache_clear()
    try:
        found = get_settings()
    finally:
        get_settings.cache_clear()
    assert found.database_password is not None
    assert found.database_password.get_secret_value() == "of-the-file"
    assert found.s3_secret_key is not None
    assert found.s3_secret_key.get_secret_value() == "of-the-variable"
    assert Settings().database_password is None  # only `get_settings` looks there
