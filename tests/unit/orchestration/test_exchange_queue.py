"""The queue between platform and solver: every end of a request, told apart."""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from exchange_results import changed, put_done, result_files, solved
from solve_cases import pglib, request

from data_engineering.model.errors import (
    AnswerRefused,
    BadInput,
    Permanent,
    Retryable,
    SolverAbsent,
    SolverCrashed,
    SolverLate,
)
from data_engineering.model.problem import Options, SolveRequest
from data_engineering.orchestration.exchange_client import (
    Patience,
    queue_of,
    request_files,
    solve_by_julia,
)
from data_engineering.orchestration.exchange_queue import ALIVE_SECONDS, Queue
from data_engineering.settings import Settings

SOON = Patience(answer_seconds=30.0, absence_seconds=0.3)
LONG_AGO = time.time() - 10 * 86_400.0


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def queue(settings) -> Queue:
    queue = queue_of(settings)
    queue.open()
    return queue


@pytest.fixture(scope="module")
def asked() -> SolveRequest:
    return request(pglib("case14_ieee"), "lascopf", (0.9, 1.0))


@pytest.fixture(scope="module")
def answer(asked) -> dict[str, bytes]:
    return result_files(asked, solved(asked))


def id_of(asked: SolveRequest) -> str:
    return json.loads(request_files(asked)["manifest.json"])["request_id"]


def beat(queue: Queue, worker: str = "w1", age: float = 0.0) -> Path:
    file = queue.root / "solvers" / f"{worker}.json"
    file.write_text(json.dumps({"worker": worker, "state": "idle", "version": "1"}))
    os.utime(file, (time.time() - age, time.time() - age))
    return file


def test_the_folder_is_that_of_the_settings(tmp_path):
    assert queue_of(Settings(home=tmp_path)).root == tmp_path / "exchange"
    given = Settings(home=tmp_path, exchange_folder=tmp_path / "shared")
    assert queue_of(given).root == tmp_path / "shared"


def test_a_finished_result_is_taken_up_without_a_solver(settings, queue, asked, answer):
    put_done(queue.root, asked, answer)
    result = solve_by_julia(asked, settings, patience=SOON)
    assert result.status == "optimal"
    assert result.objective == pytest.approx(solved(asked).objective, rel=1e-9)
    assert list((queue.root / "incoming").iterdir()) == []


def test_a_request_is_put_whole_waited_for_and_answered(settings, queue, asked, answer):
    said: list[str] = []

    def solver() -> None:
        """Only moves folders: the numbers are those of the embedded solve."""
        folder = queue.root / "incoming" / id_of(asked)
        while not folder.is_dir():
            time.sleep(0.01)
        assert {p.name for p in folder.iterdir()} >= {"manifest.json", "gen.csv", "series"}
        claimed = queue.root / "working" / f"{folder.name}@w1"
        folder.rename(claimed)
        (claimed / "heartbeat").touch()
        (claimed / "results").mkdir()
        for name, content in answer.items():
            (claimed / "results" / name).write_bytes(content)
        claimed.rename(queue.root / "done" / folder.name)

    beat(queue)
    thread = threading.Thread(target=solver)
    thread.start()
    result = solve_by_julia(asked, settings, said.append, SOON)
    thread.join()
    assert result.status == "optimal"
    assert said
    assert said[0].startswith("julia: ")
    assert list((queue.root / "new").iterdir()) == []


def test_no_solver_alive(settings, queue, asked):
    beat(queue, age=ALIVE_SECONDS + 60.0)
    with pytest.raises(SolverAbsent, match="no sign of life") as error:
        solve_by_julia(asked, settings, patience=SOON)
    assert isinstance(error.value, Retryable)
    # The request waits for a solver, and the next call finds it there.
    assert [p.name for p in (queue.root / "incoming").iterdir()] == [id_of(asked)]
    with pytest.raises(SolverAbsent):
        solve_by_julia(asked, settings, patience=SOON)
    assert len(list((queue.root / "incoming").iterdir())) == 1


def test_a_claim_whose_solver_died_is_no_sign_of_life(settings, queue, asked):
    folder = queue.root / "working" / f"{id_of(asked)}@w9"
    folder.mkdir()
    (folder / "heartbeat").touch()
    old = time.time() - ALIVE_SECONDS - 5.0
    os.utime(folder / "heartbeat", (old, old))
    with pytest.raises(SolverAbsent, match="solver w9 works on it"):
        solve_by_julia(asked, settings, patience=SOON)
    assert list((queue.root / "incoming").iterdir()) == []


def test_too_late(settings, queue, asked):
    beat(queue)
    with pytest.raises(SolverLate, match=r"within 0\.2 s: it waits behind 0 other") as error:
        solve_by_julia(asked, settings, patience=Patience(0.2))
    assert isinstance(error.value, Retryable)


def test_the_place_in_the_queue_is_said(settings, queue, asked):
    beat(queue)
    (queue.root / "incoming" / "earlier").mkdir()
    os.utime(queue.root / "incoming" / "earlier", (LONG_AGO + 5 * 86_400, LONG_AGO + 5 * 86_400))
    with pytest.raises(SolverLate, match="behind 1 other"):
        solve_by_julia(asked, settings, patience=Patience(0.2))


def test_a_crash_is_told_with_the_last_lines_of_the_log(settings, queue, asked):
    def give_up() -> None:
        folder = queue.root / "incoming" / id_of(asked)
        while not folder.is_dir():
            time.sleep(0.01)
        (folder / "failure.json").write_text('{"reason": "out of memory", "attempts": 3}')
        (folder / "solver.log").write_text("one\ntwo\nthree\nfour\nfive\nlast line\n")
        folder.rename(queue.root / "failed" / folder.name)

    beat(queue)
    thread = threading.Thread(target=give_up)
    thread.start()
    with pytest.raises(
        SolverCrashed, match=r"\(3 attempt\(s\)\): out of memory.*last line"
    ) as error:
        solve_by_julia(asked, settings, patience=SOON)
    thread.join()
    assert isinstance(error.value, Permanent)
    assert "one |" not in str(error.value)


def test_an_earlier_failure_does_not_bar_a_new_try(settings, queue, asked):
    failed = queue.root / "failed" / id_of(asked)
    failed.mkdir()
    (failed / "failure.json").write_text('{"reason": "old", "attempts": 3}')
    beat(queue)
    with pytest.raises(SolverLate):
        solve_by_julia(asked, settings, patience=Patience(0.2))
    assert not failed.exists()
    assert (queue.root / "incoming" / id_of(asked)).is_dir()
    (kept,) = (queue.root / "failed").iterdir()
    assert kept.name.startswith(f"{id_of(asked)}.")


def test_a_wrong_answer_is_refused_and_not_taken_up_again(settings, queue, asked, answer):
    put_done(queue.root, asked, changed(answer, "generators.csv", "MW", 0, 1.0))
    with pytest.raises(AnswerRefused, match="balance of a bus"):
        solve_by_julia(asked, settings, patience=SOON)
    reason = json.loads((queue.root / "failed" / id_of(asked) / "failure.json").read_text())
    assert "balance of a bus" in reason["reason"]
    beat(queue)
    with pytest.raises(SolverLate):
        solve_by_julia(asked, settings, patience=Patience(0.2))


def test_results_of_another_request_are_refused(settings, queue, asked):
    other = replace(asked, kind="scopf")
    put_done(queue.root, asked, result_files(other, solved(other)))
    with pytest.raises(AnswerRefused, match="answers another request"):
        solve_by_julia(asked, settings, patience=SOON)


def test_done_without_results_is_refused(settings, queue, asked):
    (queue.root / "done" / id_of(asked)).mkdir()
    with pytest.raises(AnswerRefused, match="has no results"):
        solve_by_julia(asked, settings, patience=SOON)


def test_two_clients_put_one_request(queue, asked):
    files = request_files(asked)
    queue.put(id_of(asked), files)
    before = (queue.root / "incoming" / id_of(asked)).stat().st_ino
    queue.put(id_of(asked), files)
    assert (queue.root / "incoming" / id_of(asked)).stat().st_ino == before
    assert list((queue.root / "new").iterdir()) == []


def test_old_entries_are_removed_and_claims_stay(queue):
    for state in ("incoming", "done", "failed", "working", "new"):
        for name, moment in (("old", LONG_AGO), ("young", time.time())):
            folder = queue.root / state / name
            (folder / "results").mkdir(parents=True)
            os.utime(folder, (moment, moment))
    beat(queue, "dead", age=10 * 86_400.0)
    beat(queue, "alive")
    assert queue.clean(7.0) == 5
    left = {p.parent.name: p.name for p in queue.root.glob("*/*") if p.stem in ("old", "dead")}
    assert left == {"working": "old"}
    assert [each["worker"] for each in queue.solvers()] == ["alive"]


def test_entries_are_as_open_as_the_folder(tmp_path, asked):
    """A group that client and solver share may then move what the other wrote."""
    root = tmp_path / "shared"
    root.mkdir()
    root.chmod(0o2770)
    queue = Queue(root)
    queue.open()
    queue.put("x", request_files(asked))
    modes = {p.relative_to(root).as_posix(): p.stat().st_mode & 0o777 for p in root.rglob("*")}
    assert modes["incoming"] == modes["incoming/x"] == modes["incoming/x/series"] == 0o770
    assert modes["incoming/x/manifest.json"] == 0o660


def test_states_that_are_to_be_found_are_refused(settings, asked):
    with pytest.raises(BadInput, match="give the request a commitment"):
        solve_by_julia(replace(asked, options=Options("default", "uc")), settings)


def test_infeasible_is_an_answer(settings, queue, asked):
    nothing = replace(solved(asked), status="infeasible", objective=np.nan, tables={}, notes=())
    put_done(queue.root, asked, result_files(asked, nothing))
    assert solve_by_julia(asked, settings, patience=SOON).status == "infeasible"
