"""The folder of a dataset: one run at a time, nothing taken that is not ours, nothing left over."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from data_engineering.model.errors import BadInput
from data_engineering.orchestration.scenario_plan import PLAN, WORK
from data_engineering.storage.objects import PARTIAL

LOCK, CLEARING = ".lock", f"{WORK}/clearing"
_OURS = re.compile(
    r"(bus_data|gen_data|branch_data|y_bus_data|runtime_data|stats|coverage|failures|bus_mapping)\.parquet"
    r"|scenarios_\w+\.(parquet|html|log)|(tqdm|error|args)\.log|n_scenarios\.txt|solver_log"
    r"|stats_plot\.(png|html)|coverage\.json|feature_plots|manifest\.json|tail\.arrow"
    rf"|{re.escape(WORK)}|{re.escape(LOCK)}|{re.escape(PARTIAL)}.*"
)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder; it is made where it is missing, and not left empty.

    The lock goes with the process that has it, however that ends; its file says who it is.

    Raises:
        BadInput: another run is at work in the folder.
    """
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    path = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = _acquired(path, folder)
    except (NotADirectoryError, FileExistsError, PermissionError) as error:
        remedy = f"{error.filename} cannot be written to ({error.strerror}); give another folder"
        raise BadInput("settings.data_dir", str(folder.parent.parent), remedy) from None
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        _sweep(folder)
        yield
    finally:
        _sweep(folder)
        path.unlink(missing_ok=True)
        os.close(descriptor)
        with suppress(OSError):  # not empty
            for each in missing:
                each.rmdir()


def _acquired(path: Path, folder: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            remedy = "wait for it or end it"
            raise BadInput(str(folder), f"in use by process {holder}", remedy) from None
        with suppress(FileNotFoundError):
            if os.fstat(descriptor).st_ino == path.stat().st_ino:
                return descriptor
        os.close(descriptor)  # it was the file of a run that has just ended


def _sweep(folder: Path) -> None:
    """Take away what a killed process was writing."""
    for path in folder.rglob(f"{PARTIAL}*"):
        path.unlink(missing_ok=True)


def strangers(folder: Path) -> list[str]:
    """Names in a folder that are not those of a dataset."""
    return sorted(path.name for path in folder.iterdir() if not _OURS.fullmatch(path.name))


def clear(folder: Path) -> None:
    """Take a dataset away; if this is interrupted, `finish_clearing` goes on."""
    marker = folder / CLEARING
    marker.parent.mkdir(exist_ok=True)
    marker.touch()
    finish_clearing(folder)


def finish_clearing(folder: Path) -> None:
    """Go on with a clearing that was begun, if there is one."""
    marker = folder / CLEARING
    if not marker.exists():
        return
    kept = (folder / LOCK, marker.parent, marker)
    for path in [*folder.iterdir(), *marker.parent.iterdir()]:
        if path not in kept:
            _remove(path)
    end_work(folder)


def end_work(folder: Path) -> None:
    """Take away what only a run needs.

    Its plan goes after the rest: while it is there, the run has not ended. The marker of a
    clearing goes last.
    """
    work = folder / WORK
    last = (folder / PLAN, folder / CLEARING)
    if work.exists():
        for path in work.iterdir():
            if path not in last:
                _remove(path)
        for path in last:
            _remove(path)
        work.rmdir()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
