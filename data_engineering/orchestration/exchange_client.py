"""A request to the Julia solver and back: bundle, queue, waiting, answer."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from data_engineering.model.errors import (
    AnswerRefused,
    SolverAbsent,
    SolverCrashed,
    SolverLate,
)
from data_engineering.model.problem import SolveRequest, SolveResult
from data_engineering.orchestration.exchange_queue import (
    ALIVE_SECONDS,
    Entry,
    Queue,
    read_folder,
)
from data_engineering.orchestration.steps import Progress
from data_engineering.settings import Settings
from data_engineering.solvers.julia import has_states, julia_method, result_of_answer
from data_engineering.solvers.units import RESERVE_MINUTES
from data_engineering.transformation.exchange_answer import answer_from_files, facts_from_files
from data_engineering.transformation.exchange_bundle import bundle_files

FIRST_LOOK_SECONDS, LONGEST_LOOK_SECONDS = 0.05, 1.0
SAID_SECONDS = 5.0
"""Between two lines of progress."""


@dataclass(frozen=True)
class Patience:
    """How long a client waits.

    Attributes:
        answer_seconds: for an answer.
        absence_seconds: while no solver gives a sign of life.
    """

    answer_seconds: float
    absence_seconds: float = ALIVE_SECONDS


def queue_of(settings: Settings) -> Queue:
    """The queue that the settings choose."""
    return Queue((settings.exchange_folder or settings.home / "exchange").expanduser().absolute())


def solve_by_julia(
    request: SolveRequest,
    settings: Settings,
    progress: Progress | None = None,
    patience: Patience | None = None,
) -> SolveResult:
    """Answer a dispatch by the Julia solver. The same request twice is solved once.

    Args:
        request: lascopf, scopf or dcopf with states given or all on.
        settings: the queue's folder and how long to wait.
        progress: called with a line of text as the work goes on.
        patience: None for that of the settings.

    Raises:
        BadInput: the request has no place in the format.
        SolverAbsent, SolverLate: no solver is alive, or none answered in time; try again.
        SolverCrashed: the solver gave up, or died of the request as often as it may.
        AnswerRefused: the answer is not sound.
    """
    files = request_files(request)
    request_id = json.loads(files["manifest.json"])["request_id"]
    queue = queue_of(settings)
    queue.open()
    queue.clean(settings.exchange_keep_days)
    if queue.find(request_id).state == "failed":
        queue.set_aside(request_id)
    if queue.find(request_id).state == "absent":
        queue.put(request_id, files)
    waited = patience or Patience(settings.exchange_wait_seconds)
    folder = wait_for(queue, request_id, waited, progress or _silent)
    try:
        return read_result(folder, request, files["manifest.json"].encode())
    except AnswerRefused as error:
        queue.refuse(request_id, error.fact)
        raise


def request_files(request: SolveRequest) -> dict[str, str]:
    """The bundle of a request, by the names of its files.

    Raises:
        BadInput: the request has no place in the format.
    """
    options = replace(request.options, method=julia_method(request.options.method))
    asked = replace(request, options=options)
    return bundle_files(asked, has_states(request.grid), RESERVE_MINUTES)


def read_result(folder: Path, request: SolveRequest, manifest: bytes) -> SolveResult:
    """The result of a request from its entry in the queue.

    Args:
        folder: with `results` in it.
        request: what was asked.
        manifest: the bytes of the request's manifest.json.

    Raises:
        AnswerRefused: the answer is not sound.
    """
    request_id = json.loads(manifest)["request_id"]
    if not (folder / "results").is_dir():
        raise AnswerRefused(request_id, f"{folder} has no results")
    files: Mapping[str, bytes] = read_folder(folder / "results")
    facts = facts_from_files(files, request_id, hashlib.sha256(manifest).hexdigest())
    return result_of_answer(request, facts, answer_from_files(files, request, request_id))


def wait_for(queue: Queue, request_id: str, patience: Patience, progress: Progress) -> Path:
    """Wait until a request is done; its folder.

    Raises:
        SolverAbsent, SolverLate, SolverCrashed: as `solve_by_julia`.
    """
    started = heard = said = time.monotonic()
    said -= SAID_SECONDS
    pause = FIRST_LOOK_SECONDS
    while True:
        entry, now = queue.find(request_id), time.monotonic()
        if entry.state == "done" and entry.folder is not None:
            return entry.folder
        if entry.state == "failed" and entry.folder is not None:
            raise SolverCrashed(request_id, *queue.failure(entry.folder))
        if queue.heard(entry) or queue.solvers():
            heard = now
        where = _where(queue, entry)
        if now - started > patience.answer_seconds:
            raise SolverLate(request_id, patience.answer_seconds, where)
        if now - heard > patience.absence_seconds:
            raise SolverAbsent(queue.root, f"no sign of life for {now - heard:.0f} s; {where}")
        if now - said >= SAID_SECONDS:
            progress(f"julia: {where}, {now - started:.0f} s")
            said = now
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST_LOOK_SECONDS)


def _where(queue: Queue, entry: Entry) -> str:
    """Where a request is, for people."""
    if entry.state == "working":
        return f"solver {entry.worker} works on it"
    if entry.state == "incoming" and entry.folder is not None:
        return f"it waits behind {queue.ahead_of(entry.folder)} other(s)"
    return "it is being claimed" if entry.state == "absent" else f"it is {entry.state}"


def _silent(text: str) -> None:
    """Say nothing."""
