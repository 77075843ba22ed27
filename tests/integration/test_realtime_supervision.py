"""The functions of the realtime DAG: a dispatch by its key, and what supervision finds and does."""

from __future__ import annotations

import os
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from realtime_day import CASE, START, store_day

from data_engineering.ingestion.stream_files import read_messages
from data_engineering.model.decisions import Cause, Decision, fire_key
from data_engineering.model.errors import BadInput, ChecksFailed, NoRows
from data_engineering.model.snapshot import Snapshot, Topology
from data_engineering.model.stream import Member
from data_engineering.orchestration import realtime_stream
from data_engineering.orchestration.reoptimise import known_document
from data_engineering.orchestration.steps import asked_key
from data_engineering.runtime import open_runtime
from data_engineering.storage import reoptimization, stream_status
from data_engineering.storage.metadata import query
from data_engineering.storage.stream_reads import Leadership

pytestmark = pytest.mark.integration

GONE = 4_000_000
"""A process id above the kernel's greatest."""


@pytest.fixture
def runtime(store_settings):
    with open_runtime(store_settings) as opened:
        yield opened


def fire(runtime, topology: Topology) -> Decision:
    """A fire with its row, as the stream's service leaves it."""
    snapshot = Snapshot(CASE)
    key = fire_key(CASE, START, topology, snapshot.digest)
    decision = Decision(
        case_name=CASE,
        action="fire",
        decided_at=START + timedelta(seconds=7),
        interval_start=START,
        causes=(Cause("topology", "A27", None, None, START),),
        hindrance=None,
        idempotency_key=key,
        topology=topology,
        snapshot_digest=snapshot.digest,
        ready_at=START,
        snapshot=snapshot,
    )
    claim = reoptimization.claim_state(runtime.metadata, CASE, "test")
    reoptimization.save(runtime.metadata, claim, [decision], {}, known_document(decision))
    return decision


def test_a_run_dispatches_the_fire_of_its_key(runtime):
    store_day(runtime)
    decision = fire(runtime, Topology(branches=frozenset({"A27"})))
    facts = realtime_stream.dispatch(runtime, decision.idempotency_key, "run-1")
    again = realtime_stream.react(runtime, decision.idempotency_key, "run-2")
    assert (facts["convergence_status"], facts["open_branches"]) == ("optimal", ["A27"])
    assert facts["rows"] == 158 * 12
    assert again["execution_id"] == facts["execution_id"] == decision.execution_id
    row = query(
        runtime.metadata,
        "SELECT airflow_run_id, triggered_by FROM lascopf_executions WHERE execution_id = :id",
        {"id": decision.execution_id},
    ).iloc[0]
    assert (row["airflow_run_id"], row["triggered_by"]) == ("run-1", "EVENT")
    told = list(read_messages(runtime.settings.home / "stream" / realtime_stream.RESULTS_FILE))
    assert [each.key.decode() for each in told] == [decision.idempotency_key] * 2
    assert told[0].value == told[1].value


def test_of_two_runs_one_dispatches_at_a_time(runtime):
    store_day(runtime)
    decision = fire(runtime, Topology())
    with open_runtime(runtime.settings) as other, ThreadPoolExecutor(1) as thread:
        busy = Leadership(other.metadata, f"dispatch/{CASE}")
        assert busy.held()
        waiting = thread.submit(realtime_stream.dispatch, runtime, decision.idempotency_key)
        with pytest.raises(TimeoutError):
            waiting.result(timeout=3 * realtime_stream.TURN_SECONDS)
        busy.release()
        assert waiting.result(timeout=60)["convergence_status"] == "optimal"
        assert busy.held()  # it gave its turn back
        busy.release()


def test_a_key_that_nobody_fired_is_refused(runtime):
    with pytest.raises(NoRows, match="reoptimization_events"):
        realtime_stream.dispatch(runtime, "0" * 64)


@pytest.mark.parametrize("key", ["x" * 64, "0f", 7])
def test_what_is_no_key_is_refused(key):
    with pytest.raises(BadInput, match="64 hexadecimal digits"):
        asked_key({"params": {"key": key}})


def test_a_failed_dispatch_fails_the_run_and_says_why(runtime):
    decision = fire(runtime, Topology())
    with pytest.raises(ChecksFailed, match="network_topology has no rows"):
        realtime_stream.dispatch(runtime, decision.idempotency_key)


def member(process: int, seconds: float, **changes) -> Member:
    now = datetime.now(UTC)
    name = f"{socket.gethostname()}/{process}/20200706T140500"
    fresh = Member(
        "kafka:lascopf", name, now - timedelta(hours=1), now - timedelta(seconds=seconds)
    )
    return replace(fresh, state="running", lag=10, **changes)


def supervised(runtime, *members: Member):
    for each in members:
        stream_status.tell_member(runtime.timeseries, each)
    return realtime_stream.supervise(runtime)


def test_a_service_that_is_well_is_left_alone(runtime):
    facts = supervised(runtime, member(os.getpid(), 1.0))
    assert (len(facts["alive"]), facts["dead"], facts["lag"]) == (1, [], 10)
    assert realtime_stream.react(runtime, None)["alive"] == facts["alive"]
    done = realtime_stream.restart(runtime, facts)
    assert done["restarted"] == []
    assert realtime_stream.judge(runtime, done) == done


def test_nothing_ever_read_is_no_alarm(runtime):
    facts = realtime_stream.restart(runtime, realtime_stream.supervise(runtime))
    assert (facts["alive"], facts["dead"], facts["restarted"]) == ([], [], [])
    assert realtime_stream.judge(runtime, facts) == facts


def test_a_service_that_died_here_is_started_again(runtime, monkeypatch):
    settings = runtime.settings.model_copy(update={"kafka_bootstrap": "localhost:9092"})
    runtime = replace(runtime, settings=settings)
    monkeypatch.setattr(realtime_stream, "_start", lambda log_file: 4711)
    facts = supervised(runtime, member(GONE, 600.0))
    done = realtime_stream.restart(runtime, facts)
    assert done["restarted"] == [4711]
    assert realtime_stream.judge(runtime, done) == done


@pytest.mark.parametrize(
    "died",
    [
        member(os.getpid(), 600.0),  # its process lives: it hangs, and is not ours to end
        replace(member(GONE, 600.0), member=f"elsewhere/{GONE}/20200706T140500"),
    ],
)
def test_a_silent_service_that_is_not_ours_to_start_is_an_alarm(runtime, died):
    facts = realtime_stream.restart(runtime, supervised(runtime, died))
    assert facts["restarted"] == []
    with pytest.raises(ChecksFailed, match="nobody reads the stream"):
        realtime_stream.judge(runtime, facts)


def test_one_that_was_stopped_is_no_alarm(runtime):
    facts = supervised(runtime, replace(member(GONE, 600.0), state="stopped"))
    assert realtime_stream.judge(runtime, realtime_stream.restart(runtime, facts))["dead"] == []


def test_lag_and_the_dead_man_limit_are_alarms(runtime):
    facts = realtime_stream.restart(runtime, supervised(runtime, member(os.getpid(), 1.0)))
    with pytest.raises(ChecksFailed, match="20001 messages wait"):
        realtime_stream.judge(runtime, {**facts, "lag": 20_001})
    with pytest.raises(ChecksFailed, match="no dispatch for 16 min, the dead-man limit is 15"):
        realtime_stream.judge(runtime, {**facts, "since_dispatch_seconds": 16 * 60.0})
