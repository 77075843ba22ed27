"""`lascopf scenarios` as a process: killed, interrupted, short of disk, beside another one."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from scenario_folders import contents, small_config

from data_engineering.scenarios.config import Config

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.timeout(900),  # a dozen starts of the command in one test
]

WORKER = "data_engineering.orchestration.scenario_worker"


STARTED: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("LASCOPF_HOME", str(tmp_path / "home"))
    yield
    for process in STARTED:
        process.kill()
        process.communicate()
    STARTED.clear()


def config_of(folder: Path, **settings: object) -> Config:
    """60 parts of 20 samples."""
    values = {"large_chunk_size": 1, **settings}
    return small_config(folder, load={"scenarios": 60}, settings=values)


def start(config: Config, *options: str, limit: int | None = None) -> subprocess.Popen[str]:
    """A run in a process group of its own; `limit` bounds the size of its files, in bytes."""
    file = Path(config.settings.data_dir) / "config.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(config.as_yaml())

    def bound() -> None:
        if limit is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "data_engineering.cli",
            "scenarios",
            "generate",
            str(file),
            *options,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=bound,
    )
    STARTED.append(process)
    return process


def said(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=600)
    STARTED.remove(process)
    assert "Traceback" not in err
    return process.returncode, out, err


def made(config: Config, *options: str) -> dict[str, object]:
    code, out, err = said(start(config, "--json", *options))
    assert code == 0, err
    facts: dict[str, object] = json.loads(out)
    return facts


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait until it holds or the process has ended."""
    while process.poll() is None and not condition():
        time.sleep(0.01)


def notes(config: Config) -> int:
    """Parts and partitions that are done."""
    return len(list((config.folder / ".work").glob("part*/*.json")))


def workers(config: Config) -> list[psutil.Process]:
    """Worker processes of anybody's that are at work in a folder of this test."""
    found = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        home = (process.info["environ"] or {}).get("LASCOPF_HOME")
        if WORKER in (process.info["cmdline"] or []) and home == os.environ["LASCOPF_HOME"]:
            found.append(process)
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    config = config_of(tmp_path_factory.mktemp("whole"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LASCOPF_HOME", config.settings.data_dir)
        facts = made(config, "--processes", "1")
    assert facts["done"] == "made"
    return contents(config.folder)


def test_processes_and_chunks_do_not_change_a_byte(
    tmp_path: Path, whole: dict[str, object]
) -> None:
    for processes, size in ((2, 1), (3, 1000)):
        config = config_of(tmp_path / str(processes), large_chunk_size=size)
        made(config, "--processes", str(processes))
        assert contents(config.folder) == whole


def test_killed_ten_times_and_more_it_ends_as_if_never_killed(
    tmp_path: Path, whole: dict[str, object]
) -> None:
    config, chance = config_of(tmp_path), random.Random(5)
    kills = 0
    while True:
        process = start(config, "--processes", "2")
        if kills < 10:
            goal = notes(config) + chance.randint(1, 3)
            wait_for(lambda goal=goal: notes(config) >= goal, process)  # type: ignore[misc]
            time.sleep(chance.random() * 0.02)
            process.kill()
        code, _, err = said(process)
        if code == 0:
            break
        assert code == -signal.SIGKILL, err
        kills += 1
    assert kills == 10
    assert contents(config.folder) == whole
    assert not workers(config)
    assert not list(config.folder.rglob(".*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_everything_with_one_line_and_the_run_goes_on_later(
    tmp_path: Path, whole: dict[str, object], number: int
) -> None:
    config = config_of(tmp_path)
    process = start(config, "--processes", "2")
    wait_for(lambda: notes(config) >= 3, process)
    os.killpg(process.pid, number)  # as a terminal does
    code, out, err = said(process)
    assert code == 128 + number
    assert out == ""
    assert err.splitlines()[-1] in ("interrupted", "ended by SIGTERM")
    assert not workers(config)
    assert not list(config.folder.rglob(".partial*"))
    assert not (config.folder / ".lock").exists()
    assert made(config)["done"] == "continued"
    assert contents(config.folder) == whole


def test_an_interrupt_while_the_greatest_demand_is_searched_leaves_nothing(tmp_path: Path) -> None:
    """Ipopt takes signals for itself, so this must not happen in the process that gets them."""
    config = config_of(tmp_path / "out")
    process = start(config)
    assert process.stderr is not None
    while "searching" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    code, _, err = said(process)
    assert code == 130
    assert err.splitlines()[-1] == "interrupted"
    assert not workers(config)
    assert not config.folder.parent.exists()


def test_a_killed_worker_is_told_and_nothing_hangs(
    tmp_path: Path, whole: dict[str, object]
) -> None:
    config = config_of(tmp_path)
    process = start(config, "--processes", "2")
    wait_for(lambda: notes(config) >= 3, process)
    workers(config)[0].kill()
    code, _, err = said(process)
    assert code == 6
    assert "was killed" in err.splitlines()[-1]
    assert "use fewer processes" in err.splitlines()[-1]
    assert not workers(config)
    assert made(config)["done"] == "continued"
    assert contents(config.folder) == whole


def test_two_runs_at_once_are_not_made(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    first = start(config, "--processes", "1")
    wait_for(lambda: (config.folder / ".work/plan.json").exists(), first)
    code, _, err = said(start(config, "--processes", "1"))
    assert code == 2
    assert f"in use by process {first.pid}" in err.splitlines()[-1]
    first.kill()
    said(first)
    assert (config.folder / ".lock").exists()  # of a process that is gone
    assert made(config)["done"] == "continued"


def test_without_room_it_says_so_and_goes_on_later(
    tmp_path: Path, whole: dict[str, object]
) -> None:
    """No file may grow beyond 60 kB: parts fit, partitions do not."""
    config = config_of(tmp_path)
    code, _, err = said(start(config, "--processes", "2", limit=60_000))
    assert code == 6
    last = err.splitlines()[-1]
    assert last.startswith("error: cannot write ")
    assert "free some space" in last
    assert not list(config.folder.rglob("*.parquet/*/*"))
    assert made(config)["done"] == "continued"
    assert contents(config.folder) == whole


def test_a_dry_run_writes_nothing_and_its_samples_are_those_that_come(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    facts = made(config, "--dry-run")
    assert not config.folder.parent.exists()
    assert facts["samples"] == 1200
    assert facts["samples_are"] == "at most"
    assert made(config)["scenarios"] == 1200
    size = sum(p.stat().st_size for p in config.folder.rglob("*.parquet/*/*"))
    # Partitions repeat what is the same in all their samples: a probe of one tells it well.
    assert facts["bytes"] == pytest.approx(size, rel=0.2)
