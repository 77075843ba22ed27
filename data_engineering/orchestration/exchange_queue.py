"""The queue folder that the platform shares with solvers that are not Python (docs/EXCHANGE.md).

Every step is one rename, so client and solver may die at any moment without half a request or half
a result. Entries are told from each other by their content's digest: the same request is one entry.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from data_engineering.model.errors import DiskFull
from data_engineering.orchestration.steps import Facts

log = logging.getLogger(__name__)

State = Literal["absent", "incoming", "working", "done", "failed"]

STATES = ("incoming", "working", "done", "failed")
FOLDERS = ("new", *STATES, "solvers")
ALIVE_SECONDS = 30.0
"""A heartbeat older than this is of a dead one."""
LOG_LINES = 5
"""Last lines of a failed solver's log that are told."""


@dataclass(frozen=True)
class Entry:
    """Where a request is.

    Attributes:
        folder: of the entry; None where it is absent.
        worker: who works on it; empty where nobody does.
    """

    state: State
    folder: Path | None = None
    worker: str = ""


@dataclass(frozen=True)
class Queue:
    """The folder; it is made at the first use."""

    root: Path

    def open(self) -> None:
        """Make the folders. Their permissions are the root's, so that a group may share it."""
        self.root.mkdir(parents=True, exist_ok=True)
        for name in FOLDERS:
            with suppress(FileExistsError):
                (self.root / name).mkdir()
                (self.root / name).chmod(self._mode())

    def find(self, request_id: str) -> Entry:
        """Where a request is now; a claim moves it while we look, so it is looked for twice."""
        for _ in range(2):
            for folder in sorted((self.root / "working").glob(f"{request_id}@*")):
                if not (self.root / "done" / request_id).is_dir():
                    return Entry("working", folder, folder.name.partition("@")[2])
            # What is done counts, even where the same request was put once more.
            for state in ("done", "incoming", "failed"):
                folder = self.root / state / request_id
                if folder.is_dir():
                    return Entry(state, folder)
        return Entry("absent")

    def put(self, request_id: str, files: Mapping[str, str]) -> None:
        """Add a request; where another client was faster its entry stays.

        Raises:
            DiskFull: it cannot be written.
        """
        partial = self.root / "new" / f"{request_id}.{uuid.uuid4().hex}"
        try:
            write_folder(partial, files, self._mode())
            partial.rename(self.root / "incoming" / request_id)
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            if (self.root / "incoming" / request_id).is_dir():
                return
            raise DiskFull(self.root, error.strerror or str(error)) from None

    def set_aside(self, request_id: str) -> None:
        """Take a failed entry out of the way, so that its request can be put again."""
        failed = self.root / "failed" / request_id
        with suppress(FileNotFoundError):
            failed.rename(failed.with_name(f"{request_id}.{uuid.uuid4().hex[:8]}"))

    def refuse(self, request_id: str, reason: str) -> None:
        """Turn a result that is not sound into a failed entry, so that nobody takes it up again."""
        done, failed = self.root / "done" / request_id, self.root / "failed" / request_id
        facts = {"reason": reason, "attempts": 1}
        with suppress(OSError):
            (done / "failure.json").write_text(json.dumps(facts) + "\n")
            self.set_aside(request_id)
            done.rename(failed)

    def ahead_of(self, folder: Path) -> int:
        """How many requests came before one that waits."""
        try:
            mine = folder.stat().st_mtime
            return sum(each.stat().st_mtime < mine for each in (self.root / "incoming").iterdir())
        except FileNotFoundError:
            return 0

    def solvers(self) -> list[Facts]:
        """Solvers that are alive, by their heartbeats."""
        found = []
        for file in sorted((self.root / "solvers").glob("[!.]*.json")):
            age = _age_seconds(file)
            if age is not None and age < ALIVE_SECONDS:
                # A heartbeat that is just being written tells nothing but that it is there.
                found.append({"worker": file.stem, **read_json(file), "age_seconds": age})
        return found

    def overview(self) -> Facts:
        """Solvers that are alive, and every request by state with its age and what it is."""
        requests = []
        for state in STATES:
            for folder in sorted((self.root / state).iterdir()):
                age, manifest = _age_seconds(folder), read_json(folder / "manifest.json")
                if age is None:
                    continue
                row = {"request": folder.name, "state": state, "age_seconds": round(age, 1)}
                row |= {name: manifest.get(name) for name in ("case_name", "kind")}
                requests.append(row)
        return {"solvers": self.solvers(), "requests": requests}

    def heard(self, entry: Entry) -> bool:
        """Whether the solver that works on an entry gave a sign of life lately."""
        age = None if entry.folder is None else _age_seconds(entry.folder / "heartbeat")
        return age is not None and age < ALIVE_SECONDS

    def failure(self, folder: Path) -> tuple[str, int, str]:
        """Reason, attempts and the last lines of the log of a failed entry."""
        facts = read_json(folder / "failure.json")
        attempts = facts.get("attempts", 0)
        count = len(attempts) if isinstance(attempts, list) else int(attempts)
        lines: list[str] = []
        with suppress(OSError):
            lines = (folder / "solver.log").read_text(errors="replace").split("\n")
        last = [line.strip() for line in lines if line.strip()][-LOG_LINES:]
        return str(facts.get("reason", "no reason is given")), count, " | ".join(last)

    def clean(self, days: float) -> int:
        """Remove entries and heartbeats that are older; how many. Claims are the solvers' own."""
        removed = 0
        for name in ("new", "incoming", "done", "failed", "solvers"):
            for path in (self.root / name).iterdir():
                age = _age_seconds(path)
                if age is None or age < days * 86_400.0:
                    continue
                removed += 1
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
        return removed

    def _mode(self) -> int:
        return self.root.stat().st_mode & 0o7777


def write_folder(folder: Path, files: Mapping[str, str | bytes], mode: int) -> None:
    """Write files below a new folder, with the permissions of a queue's root.

    Raises:
        OSError: the folder is there, or cannot be written.
    """
    folder.mkdir(parents=True)
    folder.chmod(mode)
    for name, content in files.items():
        path = folder / name
        if not path.parent.is_dir():
            path.parent.mkdir()
            path.parent.chmod(mode)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode & 0o666)


def read_folder(folder: Path, skip: tuple[str, ...] = ()) -> dict[str, bytes]:
    """All files below a folder by name.

    Args:
        folder: to read.
        skip: names of files and folders in it that are left out.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and name.parts[0] not in skip:
            found[name.as_posix()] = path.read_bytes()
    return found


def read_json(file: Path) -> Facts:
    """A JSON object; empty where there is none."""
    try:
        document: Any = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _age_seconds(path: Path) -> float | None:
    try:
        return max(time.time() - path.stat().st_mtime, 0.0)
    except FileNotFoundError:
        return None
