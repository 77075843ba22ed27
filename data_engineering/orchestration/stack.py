"""The local stack from outside: start it, end it, ask how it is.

Airflow's four components and the embedded PostgreSQL run below a supervisor process
(`stack_supervisor`). A command either stays attached to it, and takes it along however the command
ends, or leaves it running.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from data_engineering.model.errors import LascopfError, ProcessFailed
from data_engineering.orchestration import airflow_config, trigger
from data_engineering.orchestration.stack_state import (
    StackState,
    log_file,
    read_state,
    supervised,
)
from data_engineering.settings import Settings
from data_engineering.storage import embedded

Progress = Callable[[str], None]
_STOP_SECONDS = 60.0


@dataclass(frozen=True)
class StackStatus:
    """How the stack is."""

    up: bool
    phase: str
    airflow_url: str
    supervisor: int | None
    components: dict[str, dict[str, object]]
    database_running: bool
    error: str | None


@dataclass
class Attached:
    """A running stack, and our hold on its supervisor where we started it."""

    settings: Settings
    process: subprocess.Popen[bytes] | None

    def __enter__(self) -> Attached:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def check(self) -> None:
        """Raise the error that ended the stack, if it has ended.

        Raises:
            LascopfError: what the supervisor gave as the reason.
        """
        if not supervised(self.settings.home):
            raise _ending(self.settings, read_state(self.settings.home))

    def release(self) -> None:
        """End the stack that we started and wait for it; a stack of others is left alone."""
        if self.process is None:
            return
        if self.process.stdin is not None:
            self.process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_STOP_SECONDS)
            return
        down(self.settings)


def attach(settings: Settings, progress: Progress) -> Attached:
    """A healthy stack for as long as the returned context lasts; one that runs already is left.

    Raises:
        PortInUse, ProcessFailed, DatabaseUnavailable, ...: it could not be started.
    """
    hold = Attached(settings, _launch(settings, attach=True))
    try:
        _await_healthy(hold, progress)
    except BaseException:
        hold.release()
        raise
    return hold


def up(settings: Settings, progress: Progress) -> None:
    """Start the stack and leave it running; nothing happens where it runs already.

    Raises:
        PortInUse, ProcessFailed, DatabaseUnavailable, ...: it could not be started.
    """
    _await_healthy(Attached(settings, _launch(settings, attach=False)), progress)


def down(settings: Settings) -> bool:
    """End the stack, its leftovers and the embedded PostgreSQL; False where nothing ran.

    Raises:
        ProcessFailed: something does not end.
    """
    home = settings.home
    state = read_state(home)
    ended = False
    if supervised(home) and state is not None:
        ended = True
        _end_supervisor(settings, state)
    if state is not None and state.session.members():
        ended = True
        left = state.session.end()
        if left:
            raise ProcessFailed("the stack", f"left processes {left}", log_file(home, "supervisor"))
    return embedded.stop(home) or ended


def status(settings: Settings) -> StackStatus:
    """How the stack is now."""
    home = settings.home
    state, alive = read_state(home), supervised(home)
    phase = state.phase if state is not None else "stopped"
    if not alive and phase not in ("stopped", "failed"):
        phase = "failed"
    components = _components(settings, state) if alive and state is not None else {}
    well = bool(components) and all(part["healthy"] for part in components.values())
    return StackStatus(
        up=alive and phase == "healthy" and well,
        phase=phase,
        airflow_url=airflow_config.address(settings),
        supervisor=state.session.id if alive and state is not None else None,
        components=components,
        database_running=embedded.running(home),
        error=state.error if state is not None and phase == "failed" else None,
    )


def _components(settings: Settings, state: StackState) -> dict[str, dict[str, object]]:
    beats = trigger.health(airflow_config.address(settings))
    found: dict[str, dict[str, object]] = {}
    for name, pid in state.components.items():
        beat = beats.get(name.replace("-", "_"))
        healthy = bool(beats) if name == "api-server" else beat is not None
        found[name] = {
            "pid": pid,
            "alive": psutil.pid_exists(pid),
            "healthy": healthy,
            "heartbeat": beat.isoformat() if beat else None,
            "log": str(log_file(settings.home, name)),
        }
    return found


def _launch(settings: Settings, *, attach: bool) -> subprocess.Popen[bytes] | None:
    """Start a supervisor; None where one lives."""
    if supervised(settings.home):
        return None
    command = [sys.executable, "-m", "data_engineering.orchestration.stack_supervisor"]
    with log_file(settings.home, "supervisor").open("wb") as output:
        return subprocess.Popen(  # noqa: S603 - our own interpreter
            command + (["--attached"] if attach else []),
            stdin=subprocess.PIPE if attach else subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ | {"LASCOPF_HOME": str(settings.home)},
        )


def _await_healthy(hold: Attached, progress: Progress) -> None:
    """Follow the supervisor's words until the stack is healthy; it bounds the time itself."""
    home, said = hold.settings.home, ""
    while True:
        process, state = hold.process, read_state(home)
        if process is not None and process.poll() == 0 and supervised(home):
            hold.process = process = None  # another command was faster with its supervisor
        own = state is not None and (process is None or state.session.id == process.pid)
        if state is not None and own:
            if state.doing != said:
                said = state.doing
                progress(said)
            if state.phase == "healthy" and supervised(home):
                return
        ended = process.poll() is not None if process is not None else not supervised(home)
        if ended:
            raise _ending(hold.settings, read_state(home) if own else None)
        time.sleep(0.1)


def _ending(settings: Settings, state: StackState | None) -> LascopfError:
    """Why the supervisor is gone."""
    if state is not None and state.error is not None:
        error = LascopfError(state.error)
        error.exit_code = state.exit_code
        return error
    fact = "was ended" if state is not None and state.phase == "stopped" else "died"
    return ProcessFailed("the stack", fact, log_file(settings.home, "supervisor"))


def _end_supervisor(settings: Settings, state: StackState) -> None:
    leader = state.session.leader()
    if leader is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            leader.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while supervised(settings.home):
        if time.monotonic() > deadline:
            if leader is not None:
                leader.kill()
            raise ProcessFailed(
                "the stack's supervisor", "did not end", log_file(settings.home, "supervisor")
            )
        time.sleep(0.1)
