"""Ports, sizes and Docker's own state, before the compose stack starts."""

import json
import os
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from data_engineering.model.errors import BadInput, SourceFileMissing, StackRefused
from data_engineering.orchestration import compose_check
from data_engineering.orchestration.compose import Compose
from data_engineering.orchestration.compose_check import (
    check_ports,
    check_size,
    listeners,
    published,
)
from data_engineering.orchestration.compose_env import secret_names

CHECKOUT = Path(__file__).resolve().parents[3]


@pytest.fixture
def taken():
    """A port on which this process listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def a_free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def test_a_taken_port_is_told_with_its_holder(taken: int) -> None:
    wanted = [("postgres", "127.0.0.1", taken)]
    (finding, seen) = check_ports(wanted, {taken: "container other"})
    assert (finding.verdict, finding.subject) == ("error", f"port {taken}")
    assert finding.text.startswith("container other listens there, and postgres needs it")
    assert seen.verdict == "ok"


def test_a_port_of_two_services(taken: int) -> None:
    port = a_free_port()
    (finding, _) = check_ports([("a", "127.0.0.1", port), ("b", "127.0.0.1", port)], {})
    assert finding.text.startswith("b and a both want it")


def test_free_ports_are_fine() -> None:
    assert [f.verdict for f in check_ports([("a", "127.0.0.1", a_free_port())], {})] == ["ok"]


def test_listeners_name_this_process(taken: int, docker) -> None:
    docker({"ps": "other 127.0.0.1:15432->5432/tcp, :::80->80/tcp"})
    found = listeners()
    assert str(os.getpid()) in found[taken]
    assert found[15432] == found[80] == "container other"


def test_what_runs_already_is_not_in_its_own_way() -> None:
    config = {
        "services": {
            "a": {"ports": [{"host_ip": "127.0.0.1", "published": "81", "target": 1}]},
            "b": {"ports": [{"published": "82", "target": 1}, {"target": 3}]},
            "c": {},
        }
    }
    assert published(config, []) == [("a", "127.0.0.1", 81), ("b", "0.0.0.0", 82)]
    assert published(config, ["a"]) == [("b", "0.0.0.0", 82)]


def limited(memory: int, cpus: float) -> dict:
    limits = {"memory": str(memory), "cpus": cpus}
    return {"services": {"worker": {"deploy": {"resources": {"limits": limits}}}}}


@pytest.mark.parametrize(
    ("memory_gb", "cpus", "engine_gb", "free_gb", "expected"),
    [
        (6, 2, 32, 100, {"memory": "ok", "disk": "ok"}),
        (6, 2, 4, 100, {"memory": "error", "disk": "ok"}),
        (40, 2, 32, 100, {"memory": "warning", "disk": "ok"}),
        (6, 5, 32, 100, {"memory": "ok", "disk": "ok", "worker": "error"}),
        (6, 2, 32, 3, {"memory": "ok", "disk": "error"}),
        (6, 2, 32, None, {"memory": "ok"}),
    ],
)
def test_sizes(memory_gb, cpus, engine_gb, free_gb, expected) -> None:
    engine = {"MemTotal": int(engine_gb * 1e9), "NCPU": 4}
    found = check_size(limited(int(memory_gb * 1e9), cpus), engine, free_gb)
    assert {finding.subject: finding.verdict for finding in found} == expected


CONFIG = {
    "services": {"redis": {"image": "redis:7", "ports": []}},
    "volumes": {},
}
ENGINE = {
    "version": "28.1.0",
    "compose version": "v2.35.0",
    "compose config": json.dumps(CONFIG),
    "compose ps": "",
    "ps": "",
    "info": json.dumps({"MemTotal": 32_000_000_000, "NCPU": 4, "DockerRootDir": "/nowhere"}),
    "image inspect": "here",
}


def errors_of(stack: Compose) -> dict[str, str]:
    return {f.subject: f.text for f in compose_check.check(stack) if f.verdict == "error"}


def test_all_that_is_wrong_is_told_at_once(stack: Compose, docker) -> None:
    docker({name: text for name, text in ENGINE.items() if name != "image inspect"})
    found = errors_of(stack)
    assert set(found) == {".env", "image redis:7"}
    assert "cannot be pulled (no such thing: manifest)" in found["image redis:7"]


def test_an_old_engine_is_refused(stack: Compose, docker) -> None:
    docker(ENGINE | {"version": "19.03.8", "compose version": "v1.29.2"})
    found = errors_of(stack)
    assert found["Docker Engine"] == "19.03.8 is too old; 20.10 is the oldest that works"
    assert found["docker compose"] == "1.29.2 is too old; 2.26 is the oldest that works"


def test_an_engine_that_does_not_answer(stack: Compose, docker) -> None:
    docker({})
    assert errors_of(stack)["docker"].startswith("no such thing: version; start it")


def test_no_secret_is_given_to_compose(stack: Compose, docker, tmp_path, monkeypatch) -> None:
    docker(ENGINE)
    program = tmp_path / "bin" / "docker"
    seen = tmp_path / "seen"
    program.write_text(program.read_text().replace("#!/bin/sh", f"#!/bin/sh\nenv >> {seen}", 1))
    monkeypatch.setenv("DB_PASSWORD", "q7Zr_4tW-x0BnM2cKd8v")
    stack.ask("ps")
    assert "q7Zr_4tW" in seen.read_text()  # an ordinary command has it
    seen.unlink()
    compose_check.check(stack)
    names = secret_names((CHECKOUT / ".env.example").read_text())
    compose = [line for line in seen.read_text().splitlines() if line.startswith("DB_PASSWORD=")]
    assert "DB_PASSWORD=x" in compose
    assert "DB_PASSWORD" in names


def test_commands_of_a_stack_say_why_they_failed(stack: Compose, docker, tmp_path) -> None:
    docker({})
    with pytest.raises(StackRefused, match=r"docker compose exec -T postgres sh .*no such thing"):
        stack.shell("postgres", "pg_dump airflow")
    target = tmp_path / "dump"
    with pytest.raises(StackRefused, match="no such thing"):
        stack.save(["exec"], target)


def test_saved_output_is_digested_and_private(stack: Compose, docker, tmp_path) -> None:
    docker({"compose exec": "a dump"})
    target = tmp_path / "dump"
    digest = stack.save(["exec"], target)
    known = subprocess.run(["sha256sum", target], capture_output=True, text=True, check=True)
    assert digest == known.stdout.split()[0]
    assert target.read_text() == "a dump\n"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_folder_without_the_example(stack: Compose, docker) -> None:
    (stack.folder / ".env.example").unlink()
    with pytest.raises(SourceFileMissing, match="whole checkout"):
        compose_check.check(stack)


def test_a_folder_without_a_compose_file(tmp_path) -> None:
    with pytest.raises(BadInput, match=r"docker-compose\.yml"):
        Compose.of(tmp_path / "none")
