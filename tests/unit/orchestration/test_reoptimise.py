"""Who dispatches: a run of Airflow's, or this process where that does not come to an end."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from data_engineering.model.errors import (
    AirflowUnavailable,
    BadInput,
    DatabaseUnavailable,
    StreamRefused,
    StreamUnavailable,
)
from data_engineering.model.snapshot import Snapshot, Topology
from data_engineering.model.stream import StreamRequest
from data_engineering.orchestration import reoptimise
from data_engineering.orchestration.realtime_inputs import Asked
from data_engineering.orchestration.trigger import Run

NOW = datetime(2020, 7, 6, 14, 7, 31, tzinfo=UTC)
KEY = "0f" * 32


def asked() -> Asked:
    return Asked(
        "00000000-0000-0000-0000-00000000000f",
        "c",
        NOW,
        NOW,
        Topology(),
        Snapshot("c"),
        "topology",
        KEY,
    )


class Airflow:
    """Runs that take the given states, one a look; None is silence."""

    def __init__(self, *states: str | None) -> None:
        self.states, self.triggered = list(states), []

    def trigger(self, dag_id, conf):
        self.triggered.append((dag_id, conf))
        return Run(dag_id, "r", "queued", conf, None)

    def run(self, dag_id, run_id):
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if state is None:
            raise AirflowUnavailable("here", "timed out")
        return Run(dag_id, run_id, state, {}, None)


DONE = {"convergence_status": "optimal"}
FAILED = {"convergence_status": "failed"}
HERE = {"by": "this process"}


def answered(monkeypatch, airflow, *stored, seconds=5.0):
    """What is answered, and how often it was waited.

    Args:
        stored: what is in the tables at each look, the last one for ever; an error is raised.
    """
    pauses, found = [], list(stored)

    def look(runtime, asked):
        message = found.pop(0) if len(found) > 1 else found[0]
        if isinstance(message, Exception):
            raise message
        return message

    monkeypatch.setattr(reoptimise, "stored_message", look)

    def log_in():
        if airflow is None:
            raise AirflowUnavailable("here", "refused")
        return airflow

    answer = reoptimise.through_airflow(None, log_in, lambda asked: HERE, pauses.append, seconds)
    return answer(asked()), len(pauses)


def test_a_run_is_triggered_by_the_key_and_its_result_taken_before_it_ends(monkeypatch):
    airflow = Airflow("queued", "running")
    assert answered(monkeypatch, airflow, None, None, None, DONE) == (DONE, 3)
    assert airflow.triggered == [("realtime_stream", {"key": KEY})]


def test_silence_of_airflow_and_of_the_database_is_waited_out(monkeypatch):
    silent = DatabaseUnavailable("here", "gone")
    assert answered(monkeypatch, Airflow(None), None, silent, DONE) == (DONE, 2)


def test_a_failure_of_an_earlier_try_is_taken_when_the_run_has_ended(monkeypatch):
    again = Airflow("running", "running", "failed")
    assert answered(monkeypatch, again, FAILED) == (FAILED, 10)
    better = Airflow("running")
    assert answered(monkeypatch, better, FAILED, FAILED, DONE) == (DONE, 2)


def test_this_process_dispatches_where_airflow_does_not_answer(monkeypatch):
    assert answered(monkeypatch, None, None) == (HERE, 0)


def test_this_process_dispatches_where_a_run_stores_nothing(monkeypatch):
    assert answered(monkeypatch, Airflow("failed"), None) == (HERE, 0)


def test_a_run_that_does_not_end_is_given_up(monkeypatch):
    assert answered(monkeypatch, Airflow("queued"), None, seconds=3.0) == (HERE, 15)


class Broker:
    """Takes a message after so many failures."""

    def __init__(self, *failures):
        self.failures, self.taken = list(failures), []

    def send(self, topic, key, value):
        if self.failures:
            raise self.failures.pop(0)
        self.taken.append((topic, key, value))

    def flush(self):
        pass


def test_a_result_waits_for_its_broker(monkeypatch):
    monkeypatch.setattr(reoptimise, "RESEND_SECONDS", 0.0)
    broker = Broker(*(StreamUnavailable("here", "down") for _ in range(3)))
    reoptimise.publish_results(broker, threading.Event())("k", {"execution_id": "e"})
    assert broker.taken == [("lascopf_results", b"k", b'{"execution_id": "e"}')]


def test_a_result_waits_no_more_when_the_service_ends_nor_where_a_run_tells_it():
    ending = threading.Event()
    ending.set()
    for end in (ending, None):
        with pytest.raises(StreamUnavailable):
            reoptimise.publish_results(Broker(StreamUnavailable("here", "down")), end)(
                "k", {"execution_id": "e"}
            )


def test_a_result_that_is_refused_is_no_failure_of_the_dispatch():
    broker = Broker(StreamRefused("here", "too large", "send less"))
    reoptimise.publish_results(broker)("k", {"execution_id": "e"})
    assert broker.taken == []


def wanted(**config):
    request = StreamRequest("what-if", "c", NOW, config)
    open_now = Topology(branches=frozenset({"A1"}))
    return reoptimise.asked_by_request(request, NOW, open_now, Snapshot("c"), 5)


def test_a_request_asks_for_the_present_interval_and_takes_elements_out_besides():
    found = wanted(open_branches=["A2"], open_generators=["g"])
    assert found.start == NOW.replace(minute=5, second=0)
    assert found.topology.branches == {"A1", "A2"}
    assert found.topology.generators == {"g"}
    assert (found.origin, found.request_id, found.key) == ("API", "what-if", "request/what-if")
    assert found.execution_id == wanted().execution_id


def test_a_request_may_name_its_start():
    start = NOW + timedelta(hours=2)
    assert wanted(horizon_start=start.isoformat()).start == start


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"wish": 1}, "config: 'wish'"),
        ({"horizon_start": "soon"}, "config.horizon_start: 'soon'"),
        ({"horizon_start": "2020-07-06T14:00:00"}, "give an ISO 8601 time with a zone"),
        ({"open_branches": "A2"}, "config.open_branches: 'A2'"),
        ({"open_generators": [1]}, r"config.open_generators: \[1\]"),
    ],
)
def test_a_request_that_says_something_else_is_refused(config, named):
    with pytest.raises(BadInput, match=named):
        wanted(**config)
