"""What a person can give wrong ends in a clear line, and starts nothing."""

from __future__ import annotations

import re
import secrets
import socket
import stat
import subprocess
from pathlib import Path

import pytest
from running_stack import CHECKOUT, Stack, docker, lay_out

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("engine")]

NEEDED = [
    line.rstrip("=")
    for line in (CHECKOUT / ".env.example").read_text().splitlines()
    if re.fullmatch(r"[A-Z0-9_]+=", line)
]


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    """Files of a stack; nothing runs."""
    return Stack(lay_out(tmp_path / "checkout", f"lascopf-test-{secrets.token_hex(4)}"))


def refused(stack: Stack) -> str:
    """What `up` says when it must not start; nothing of the project is there afterwards."""
    done = stack.compose("up", "--detach", "--no-build", "timescaledb", "redis", check=False)
    assert done.returncode != 0
    label = f"label=com.docker.compose.project={stack.project}"
    for kind in (("ps", "--all"), ("volume", "ls"), ("network", "ls")):
        assert docker(*kind, "--quiet", "--filter", label).stdout == "", kind
    return done.stderr


def test_each_secret_that_is_empty_is_named(stack: Stack) -> None:
    assert len(NEEDED) == 12
    whole = (stack.folder / ".env").read_text()
    for name in NEEDED:
        (stack.folder / ".env").write_text(re.sub(rf"(?m)^{name}=.*$", f"{name}=", whole))
        assert f"set {name} in .env" in refused(stack)


def test_the_example_copied_and_not_filled_is_refused(stack: Stack) -> None:
    (stack.folder / ".env").write_text((CHECKOUT / ".env.example").read_text())
    done = stack.compose("up", "--detach", check=False)
    assert done.returncode != 0
    assert "set DB_PASSWORD in .env; `make env` makes all secrets" in done.stderr


def test_without_env_nothing_starts(stack: Stack) -> None:
    (stack.folder / ".env").unlink()
    done = stack.compose("--project-name", "lascopf-test-none", "up", "--detach", check=False)
    assert done.returncode != 0
    assert "set DB_PASSWORD in .env" in done.stderr


def test_an_image_that_cannot_be_had_starts_nothing(stack: Stack) -> None:
    with (stack.folder / ".env").open("a") as file:
        file.write("REDIS_IMAGE=localhost:1/none:0\n")
    assert re.search("localhost:1|none:0", refused(stack))


def test_make_env_keeps_what_is_there_and_is_private(stack: Stack) -> None:
    file = stack.folder / ".env"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = file.read_text()
    emptied = re.sub("(?m)^REDIS_PASSWORD=.*$", "REDIS_PASSWORD=", before)
    file.write_text(emptied)
    told = subprocess.run(
        [stack.folder / "deploy/make-env"], check=True, capture_output=True, text=True
    ).stdout
    assert "1 secrets made" in told
    after = file.read_text()
    made = re.search("(?m)^REDIS_PASSWORD=([A-Za-z0-9_-]{32})$", after)
    assert made is not None
    assert after.replace(made.group(), "REDIS_PASSWORD=") == emptied


def test_a_port_that_is_taken_is_told_before_anything_starts(stack: Stack) -> None:
    from data_engineering.orchestration import compose_check
    from data_engineering.orchestration.compose import Compose

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", stack.port("REDIS")))
        taken.listen()
        found = compose_check.check(Compose.of(stack.folder))
    errors = [finding for finding in found if finding.verdict == "error"]
    assert any(str(stack.port("REDIS")) in f"{one.subject} {one.text}" for one in errors)
