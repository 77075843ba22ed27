"""A `docker` that says what a test wants, and the folder of a compose stack."""

import os
import shlex
from pathlib import Path

import pytest

from data_engineering.orchestration.compose import Compose

CHECKOUT = Path(__file__).resolve().parents[3]


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """A `docker` that answers by its first word or words; another command fails."""

    def make(answers: dict[str, str]) -> None:
        cases = "\n".join(
            f"  {shlex.quote(words)}*) cat <<'END'\n{text}\nEND\n  exit 0;;"
            for words, text in answers.items()
        )
        script = f'#!/bin/sh\ncase "$*" in\n{cases}\nesac\necho "no such thing: $1" >&2\nexit 1\n'
        program = tmp_path / "bin" / "docker"
        program.parent.mkdir(exist_ok=True)
        program.write_text(script)
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")

    return make


@pytest.fixture
def stack(tmp_path) -> Compose:
    for name in ("docker-compose.yml", ".env.example"):
        (tmp_path / name).write_bytes((CHECKOUT / name).read_bytes())
    return Compose.of(tmp_path)
