"""What the stack says about itself: one small file, and a lock that its supervisor holds."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from data_engineering.orchestration.airflow_config import airflow_home, private_folder
from data_engineering.orchestration.stack_processes import Session

_NAME = "stack.json"

Phase = Literal["starting", "healthy", "stopping", "stopped", "failed"]


@dataclass(frozen=True)
class StackState:
    """The stack at one moment, as its supervisor wrote it."""

    session: Session
    port: int
    phase: Phase = "starting"
    doing: str = ""
    components: dict[str, int] = field(default_factory=dict)
    error: str | None = None
    exit_code: int = 0
    owns_database: bool = False

    def write(self, home: Path) -> None:
        """Replace the file in one step."""
        path = private_folder(home) / _NAME
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        fresh.write_text(json.dumps(asdict(self)))
        fresh.replace(path)


def read_state(home: Path) -> StackState | None:
    """What the last supervisor wrote; None where there was none."""
    try:
        document = json.loads((airflow_home(home) / _NAME).read_text())
        return StackState(**document | {"session": Session(**document["session"])})
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError, KeyError):
        return None  # none yet, or of another version: nothing of it runs under this one


def log_file(home: Path, name: str) -> Path:
    """Where the output of one of the stack's processes goes."""
    folder = private_folder(home) / "logs"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / f"{name}.log"


@contextmanager
def supervising(home: Path) -> Iterator[bool]:
    """Hold the supervisor's lock; False where another supervisor holds it.

    The kernel frees the lock with the process, however that ends.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / "stack.lock").open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def supervised(home: Path) -> bool:
    """Whether a supervisor lives."""
    state = read_state(home)
    return state is not None and state.session.leader() is not None
