"""The supervisor of the local stack: starts Airflow's components, watches them, ends them together.

Run as `python -m data_engineering.orchestration.stack_supervisor [--attached]`, as the leader of
its own session. Attached, its standard input is a pipe held by the command that started it, and
the stack ends with that command, however that ends.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from data_engineering.model.errors import LascopfError, ProcessFailed
from data_engineering.orchestration import airflow_config, trigger
from data_engineering.orchestration.stack_processes import (
    Session,
    adopt_orphans,
    check_ports,
    reap_orphans,
)
from data_engineering.orchestration.stack_state import (
    StackState,
    log_file,
    read_state,
    supervising,
)
from data_engineering.settings import Settings, get_settings
from data_engineering.storage import embedded
from data_engineering.storage.database import open_engine

log = logging.getLogger(__name__)

# The scheduler and the triggerer would serve logs to the whole network; here the api-server reads
# the files themselves.
COMPONENTS = {
    "api-server": ["api-server"],
    "scheduler": ["scheduler", "--skip-serve-logs"],
    "dag-processor": ["dag-processor"],
    "triggerer": ["triggerer", "--skip-serve-logs"],
}
_PROGRAMS = {"scheduler": "data_engineering.orchestration.stack_scheduler"}
_START_SECONDS = 180.0
_STOP_SECONDS = 5.0  # then a scheduler that waits for its tasks is killed; they are queued again


class _Asked(Exception):
    """Somebody wants the stack to end."""


class _Supervisor:
    """The processes of one stack; used as a context that ends them all."""

    def __init__(self, settings: Settings, attached: bool) -> None:
        self.settings, self.home = settings, settings.home
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self.state = StackState(Session.current(), settings.airflow_port)
        self._asked = False
        self._lifeline = selectors.DefaultSelector()
        if attached:
            self._lifeline.register(sys.stdin.fileno(), selectors.EVENT_READ)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: object) -> None:
        self._asked = True

    def tell(self, **changes: object) -> None:
        """Change the state and write it down."""
        self.state = replace(self.state, **changes)  # type: ignore[arg-type]
        self.state.write(self.home)
        log.info("%s: %s", self.state.phase, self.state.doing)

    def pause(self, seconds: float) -> None:
        """Sleep, unless somebody wants the stack to end.

        Raises:
            _Asked: by a signal, or the end of the command that we are attached to.
            ProcessFailed: a component has ended.
        """
        if self._lifeline.get_map():
            hung_up = any(not os.read(key.fd, 64) for key, _ in self._lifeline.select(seconds))
        else:
            time.sleep(seconds)
            hung_up = False
        if self._asked or hung_up:
            raise _Asked
        for name, child in self.children.items():
            if child.poll() is not None:
                raise ProcessFailed(f"Airflow's {name}", _ended(child), log_file(self.home, name))

    def spawn(self, name: str, command: list[str], env: Mapping[str, str]) -> None:
        """Start one of Airflow's programs; its output goes to its log."""
        log_path = log_file(self.home, name)
        if log_path.exists():
            log_path.replace(log_path.with_suffix(".old.log"))
        with log_path.open("wb") as output:
            self.children[name] = subprocess.Popen(  # noqa: S603 - our own interpreter
                [sys.executable, "-m", _PROGRAMS.get(name, "airflow"), *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env),
                cwd=self.home,
            )

    def end(self) -> None:
        """End every process of the session; components are asked first."""
        for child in self.children.values():
            with contextlib.suppress(ProcessLookupError):
                child.terminate()
        deadline = time.monotonic() + _STOP_SECONDS
        while any(c.poll() is None for c in self.children.values()) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.state.session.end()
        for child in self.children.values():
            child.wait()
        if self.state.owns_database:
            embedded.stop(self.home)
        reap_orphans()


def _ended(child: subprocess.Popen[bytes]) -> str:
    code = child.returncode
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"


def run(settings: Settings, *, attached: bool) -> int:
    """Keep the stack up until it is asked to end or a part of it fails; the exit code."""
    home = settings.home
    with supervising(home) as free:
        if not free:
            return 0  # the command that started us waits for the other one
        adopt_orphans()
        last = read_state(home)
        if last is not None:
            last.session.end()
        supervisor = _Supervisor(settings, attached)
        guard = _start_guard(supervisor.state.session, settings)
        outcome: dict[str, object] = {"phase": "stopped", "doing": "ended as asked"}
        try:
            _start(supervisor)
            _watch(supervisor)
        except _Asked:
            pass
        except LascopfError as error:
            outcome = {"phase": "failed", "error": str(error), "exit_code": error.exit_code}
            if supervisor.state.phase == "starting":
                _marker(home).unlink(missing_ok=True)
        supervisor.tell(phase="stopping", doing="stopping")
        supervisor.end()
        supervisor.tell(**outcome, components={})
        guard.communicate()  # closes its input, which ends it
    return supervisor.state.exit_code


def _start_guard(session: Session, settings: Settings) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - our own interpreter
        [
            *(sys.executable, "-m", "data_engineering.orchestration.stack_guard"),
            *(str(session.id), repr(session.started)),
        ],
        stdin=subprocess.PIPE,
        env=os.environ | {"LASCOPF_HOME": str(settings.home)},
    )


def _start(supervisor: _Supervisor) -> None:
    settings = supervisor.settings
    check_ports([(settings.airflow_port, "LASCOPF_AIRFLOW_PORT")], airflow_config.HOST)
    supervisor.tell(doing="starting PostgreSQL")
    if settings.airflow_url is None:
        supervisor.tell(owns_database=True)
        url = embedded.start(settings.home).airflow_url
    else:
        url = settings.airflow_url.get_secret_value()
        _check_database(url)
    env = airflow_config.environment(settings, url)
    _migrate(supervisor, env, url)
    supervisor.tell(doing="starting Airflow")
    for name, command in COMPONENTS.items():
        supervisor.spawn(name, command, env)
    supervisor.tell(components={name: child.pid for name, child in supervisor.children.items()})
    _await_health(supervisor)


def _check_database(url: str) -> None:
    """Ask the database of the settings for an answer, before Airflow fails on it at length."""
    engine = open_engine(url)
    try:
        engine.connect().close()
    finally:
        engine.dispose()


def _migrate(supervisor: _Supervisor, env: Mapping[str, str], url: str) -> None:
    """Bring Airflow's database to the installed version; skipped where that was done."""
    marker = _marker(supervisor.home)
    wanted = json.dumps(
        {
            "airflow": version("apache-airflow-core"),
            "database": hashlib.sha256(url.encode()).hexdigest(),
            "cluster": _made_at(supervisor.home) if supervisor.state.owns_database else None,
        }
    )
    if marker.exists() and marker.read_text() == wanted:
        return
    supervisor.tell(doing="preparing Airflow's database")
    supervisor.spawn("db-migrate", ["db", "migrate"], env)
    child = supervisor.children.pop("db-migrate")
    try:
        while child.poll() is None:
            supervisor.pause(0.1)
    finally:
        child.kill()
        child.wait()
    if child.returncode != 0:
        raise ProcessFailed(
            "`airflow db migrate`", _ended(child), log_file(supervisor.home, "db-migrate")
        )
    marker.write_text(wanted)


def _marker(home: Path) -> Path:
    """Says which database was prepared for which Airflow; a failed start removes it."""
    return airflow_config.airflow_home(home) / "migrated.json"


def _made_at(home: Path) -> float:
    """When the embedded cluster was made: a new one in its place needs its schema again."""
    return (home / "postgres" / "data" / "PG_VERSION").stat().st_mtime


def _await_health(supervisor: _Supervisor) -> None:
    since = datetime.now(UTC)  # heartbeats of an earlier stack may look fresh for a while
    deadline = time.monotonic() + _START_SECONDS
    while True:
        beats = trigger.health(airflow_config.address(supervisor.settings))
        waiting = sorted(name for name, beat in beats.items() if beat is None or beat < since)
        if not beats:
            waiting = ["api_server"]
        if not waiting:
            supervisor.tell(phase="healthy", doing="healthy")
            return
        doing = f"waiting for Airflow's {', '.join(waiting)}"
        if doing != supervisor.state.doing:
            supervisor.tell(doing=doing)
        if time.monotonic() > deadline:
            name = waiting[0].replace("_", "-")
            fact = f"was not healthy after {_START_SECONDS:.0f} s"
            raise ProcessFailed(f"Airflow's {name}", fact, log_file(supervisor.home, name))
        supervisor.pause(0.3)


def _watch(supervisor: _Supervisor) -> None:
    while True:
        supervisor.pause(0.3)
        if supervisor.state.owns_database and not embedded.running(supervisor.home):
            where = supervisor.home / "postgres" / "server.log"
            raise ProcessFailed("embedded PostgreSQL", "has ended", where)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    sys.exit(run(get_settings(), attached="--attached" in sys.argv[1:]))
