"""What the check before the start says about `.env`."""

import base64
import subprocess
from pathlib import Path

import pytest

from data_engineering.orchestration.compose_env import (
    check_env,
    check_secret,
    known_names,
    read_env,
    secret_names,
)

CHECKOUT = Path(__file__).resolve().parents[3]
GOOD = "q7Zr_4tW-x0BnM2cKd8v"
KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder as `make env` leaves it."""
    (tmp_path / "deploy").mkdir()
    for name in ("docker-compose.yml", ".env.example", "deploy/make-env"):
        (tmp_path / name).write_bytes((CHECKOUT / name).read_bytes())
    (tmp_path / "deploy" / "make-env").chmod(0o755)
    subprocess.run([tmp_path / "deploy" / "make-env"], check=True, capture_output=True)
    return tmp_path


def verdicts(folder: Path, **environment: str) -> dict[str, tuple[str, str]]:
    return {f.subject: (f.verdict, f.text) for f in check_env(folder, environment)}


def change(folder: Path, name: str, value: str) -> None:
    path = folder / ".env"
    lines = [
        f"{name}={value}" if line.startswith(f"{name}=") else line
        for line in path.read_text().splitlines()
    ]
    path.write_text("\n".join(lines) + "\n")


def test_what_make_env_writes_is_good(folder: Path) -> None:
    assert verdicts(folder) == {".env": ("ok", "12 secrets are set")}


def test_the_example_alone_is_not(folder: Path) -> None:
    example = (folder / ".env.example").read_text()
    (folder / ".env").write_text(example)
    found = verdicts(folder)
    assert {name for name, (verdict, _) in found.items() if verdict == "error"} == set(
        secret_names(example)
    )
    assert all("missing or empty" in found[name][1] for name in secret_names(example))


def test_a_file_that_others_may_read(folder: Path) -> None:
    (folder / ".env").chmod(0o640)
    assert verdicts(folder)[".env"][0] == "warning"
    assert "mode 640" in verdicts(folder)[".env"][1]


def test_a_missing_file_is_one_error(folder: Path) -> None:
    (folder / ".env").unlink()
    assert verdicts(folder)[".env"][0] == "error"
    assert "make env" in verdicts(folder)[".env"][1]


def test_every_secret_of_the_compose_file_is_looked_at() -> None:
    required = set()
    for line in (CHECKOUT / "docker-compose.yml").read_text().splitlines():
        if ":?" in line:
            required.add(line.split("${")[1].split(":?")[0])
    assert required == set(secret_names((CHECKOUT / ".env.example").read_text()))


def test_the_environment_goes_before_the_file(folder: Path) -> None:
    assert "DB_PASSWORD" not in verdicts(folder)
    assert verdicts(folder, DB_PASSWORD="short")["DB_PASSWORD"][0] == "error"
    change(folder, "DB_PASSWORD", "")
    assert "DB_PASSWORD" not in verdicts(folder, DB_PASSWORD=GOOD)


def test_one_secret_twice(folder: Path) -> None:
    change(folder, "REDIS_PASSWORD", read_env((folder / ".env").read_text())["DB_PASSWORD"])
    assert verdicts(folder) == {
        "REDIS_PASSWORD": ("error", "is the same as DB_PASSWORD; give it one of its own")
    }


def test_a_name_that_nothing_reads(folder: Path) -> None:
    with (folder / ".env").open("a") as file:
        file.write("AIRFLOW_PROT=8081\nAIRFLOW_PORT=8081\nCOMPOSE_PROJECT_NAME=mine\n")
    assert list(verdicts(folder)) == ["AIRFLOW_PROT"]
    assert verdicts(folder)["AIRFLOW_PROT"][0] == "warning"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("DB_PASSWORD", "", "missing or empty"),
        ("DB_PASSWORD", "postgres", "8 letters"),
        ("DB_PASSWORD", "changeme-changeme", "guessed"),
        ("MINIO_PASSWORD", "minioadmin123456", "guessed"),
        ("DB_PASSWORD", "aaaaaaaaaaaaaaaaaaaaaaaa", "guessed"),
        ("DB_PASSWORD", "q7Zr_4tW x0BnM2cKd8v", "URLs"),
        ("DB_PASSWORD", "q7Zr/4tW@x0BnM2cKd8v", "URLs"),
        ("AIRFLOW_FERNET_KEY", GOOD, "32 bytes"),
        ("AIRFLOW_FERNET_KEY", KEY[:-1], "32 bytes"),
        ("AIRFLOW_JWT_SECRET", GOOD * 3, "60 letters"),
    ],
)
def test_bad_secrets_are_told_without_their_value(name: str, value: str, words: str) -> None:
    (finding,) = check_secret(name, value)
    assert finding.verdict == "error"
    assert words in finding.text
    assert not value or value not in finding.text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DB_PASSWORD", GOOD),
        ("AIRFLOW_FERNET_KEY", KEY),
        ("AIRFLOW_FERNET_KEY", f"{KEY},{KEY}"),
        ("AIRFLOW_JWT_SECRET", GOOD * 4),
    ],
)
def test_good_secrets(name: str, value: str) -> None:
    assert list(check_secret(name, value)) == []


def test_env_files_are_read_as_compose_reads_them() -> None:
    text = "# A=1\nB=2 # two\nexport C='3'\n D = 4\nE=\"5\"\nF=a#b\n"
    assert read_env(text) == {"B": "2", "C": "3", "E": "5", "F": "a#b"}


def test_names_of_comments_and_of_the_compose_file_are_known() -> None:
    assert known_names("#A_PORT=1\nB=\n# no C=1\n", "x: ${D_IMAGE:-y}") == {
        "A_PORT",
        "B",
        "D_IMAGE",
    }
