"""From a recorded stream to rows, decisions, dispatches and result messages, without servers."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jsonschema
import pytest
from realtime_day import CASE, START, planned, store_day
from rts_day import rts_grid
from stream_recordings import MINUTE, large_unit, record, scan, switched

from data_engineering.ingestion import stream_files
from data_engineering.ingestion.stream_files import FilePublisher, FileSource, read_messages
from data_engineering.model.stream import (
    REQUESTS_TOPIC,
    RESULTS_TOPIC,
    Committed,
    StatusChange,
)
from data_engineering.model.tables import POWER_MEASUREMENTS
from data_engineering.orchestration.realtime_inputs import Asked
from data_engineering.orchestration.steps import Facts
from data_engineering.orchestration.stream_memory import Memory
from data_engineering.orchestration.stream_reaction import StreamReaction
from data_engineering.orchestration.stream_setup import serve
from data_engineering.orchestration.stream_wiring import reacting
from data_engineering.runtime import open_runtime
from data_engineering.settings import ReoptimizationRules, Settings
from data_engineering.storage import timeseries
from data_engineering.storage.metadata import query
from data_engineering.storage.stream_reads import newest_streamed
from data_engineering.transformation import stream_state
from data_engineering.transformation.trigger_state import Flight

pytestmark = pytest.mark.integration


@pytest.fixture
def settings(store_settings: Settings) -> Settings:
    """As `lascopf stream` plays a recorded file."""
    rules = ReoptimizationRules(clock="recording")
    changed = store_settings.model_copy(update={"reoptimization": rules, "case_name": CASE})
    with open_runtime(changed) as runtime:
        store_day(runtime)
    return changed


def with_trip(name: str) -> Iterator[tuple[str, dict[str, object]]]:
    yield from scan(START)
    yield switched("generator", name, START + MINUTE)
    yield from scan(START + MINUTE)
    yield switched("generator", name, START + 2 * MINUTE)


def schema() -> dict[str, object]:
    folder = Path(stream_files.__file__).parent / "schemas"
    loaded: dict[str, object] = json.loads((folder / f"{RESULTS_TOPIC}.v1.json").read_text())
    return loaded


def play(settings: Settings, path: Path, results: Path) -> list[dict[str, object]]:
    """Serve a recorded stream to its end with its reaction; the result messages."""
    with (
        FilePublisher(results) as publisher,
        open_runtime(settings, role="ingest") as runtime,
        reacting(settings, publisher) as reaction,
    ):
        serve(settings, runtime.timeseries, FileSource(path), reaction.on_committed)
    told = [json.loads(each.value) for each in read_messages(results)]
    for each in told:
        jsonschema.validate(each, schema())
    return told


def fires(settings: Settings) -> list[tuple[str, str, str]]:
    """Reason, subject and outcome of the fires, in order."""
    with open_runtime(settings) as runtime:
        found = query(
            runtime.metadata,
            "SELECT reason, subject, outcome, started_at, execution_id FROM reoptimization_events "
            "WHERE action = 'fire' ORDER BY decided_at",
        )
    assert found["started_at"].notna().all()
    return list(found[["reason", "subject", "outcome"]].itertuples(index=False, name=None))


def test_a_trip_is_stored_decided_dispatched_and_told(settings, tmp_path):
    name = large_unit()
    path = record(tmp_path / "stream.jsonl", with_trip(name))
    told = play(settings, path, tmp_path / "results.jsonl")
    with open_runtime(settings) as runtime:
        rows = query(runtime.timeseries, "SELECT count(*) AS n FROM power_measurements")["n"][0]
        executions = query(
            runtime.metadata,
            "SELECT execution_id, triggered_by, convergence_status FROM lascopf_executions "
            "WHERE triggered_by = 'EVENT'",
        )
        letters = query(runtime.timeseries, "SELECT reason FROM stream_dead_letters")
    assert letters.empty, letters["reason"].tolist()
    assert rows == 2 * 158
    by_trip = [each for each in fires(settings) if each[0] == "topology"]
    assert by_trip == [("topology", name, "optimal")]
    (message,) = [each for each in told if each["reason"] == "topology"]
    assert message["open_generators"] == [name]
    assert set(message["dispatch_mw"][name]) == {0.0}
    assert message["execution_id"] in set(executions["execution_id"])
    assert (executions["convergence_status"] == "optimal").all()
    assert all(each.topic == RESULTS_TOPIC for each in read_messages(tmp_path / "results.jsonl"))


def test_the_same_recording_again_dispatches_nothing(settings, tmp_path):
    path = record(tmp_path / "stream.jsonl", with_trip(large_unit()))
    first = play(settings, path, tmp_path / "results.jsonl")
    once = fires(settings)
    again = play(settings, path, tmp_path / "again.jsonl")
    assert len(first) == len(once) >= 1
    assert again == []
    assert fires(settings) == once


def test_a_request_is_answered_by_what_would_be(settings, tmp_path):
    name = max(planned(14), key=planned(14).get)

    def messages():
        yield from scan(START)
        for request, config in (
            ("what-if", {"open_generators": [name]}),
            ("nonsense", {"wish": 1}),
            ("what-if", {"open_generators": [name]}),
        ):
            yield (
                REQUESTS_TOPIC,
                {
                    "request_id": request,
                    "case_name": CASE,
                    "config": config,
                    "time": START.isoformat(),
                },
            )

    def requests():
        for topic, document in messages():
            if topic == REQUESTS_TOPIC:
                document = {**document, "requested_at": document["time"]}
            yield topic, document

    path = tmp_path / "stream.jsonl"
    with FilePublisher(path) as publisher:
        for topic, document in requests():
            at = int(START.timestamp() * 1000)
            if topic == REQUESTS_TOPIC:
                document.pop("time")
            publisher.send(topic, None, json.dumps(document).encode(), at)
    told = play(settings, path, tmp_path / "results.jsonl")
    answers = [each for each in told if each["request_id"] is not None]
    assert [each["request_id"] for each in answers] == ["what-if"]
    assert set(answers[0]["dispatch_mw"][name]) == {0.0}
    with open_runtime(settings) as runtime:
        rows = query(
            runtime.timeseries,
            "SELECT request_id, status, answer FROM stream_requests ORDER BY request_id",
        )
    assert rows["status"].tolist() == ["refused", "done"]
    assert "wish" in rows["answer"][0]
    assert rows["answer"][1] == answers[0]["execution_id"]


def test_a_dispatch_under_way_when_the_process_ended_is_taken_up(settings, tmp_path):
    path = record(tmp_path / "stream.jsonl", with_trip(large_unit()))
    *_, first = play(settings, path, tmp_path / "results.jsonl")
    with open_runtime(settings) as runtime:
        query(
            runtime.metadata,
            "DELETE FROM lascopf_executions WHERE triggered_by = 'EVENT' RETURNING execution_id",
        )
        memory = Memory.take_over(runtime, "killed")
        trigger = memory.state.trigger
        flight = Flight(first["idempotency_key"], memory.state.newest_ns, trigger)
        memory.state = replace(memory.state, trigger=replace(trigger, flight=flight))
        memory.save([])
    (again,) = play(settings, path, tmp_path / "again.jsonl")
    for changing in ("solved_at", "solve_time_seconds"):
        first.pop(changing), again.pop(changing)
    assert again == first
    with open_runtime(settings) as runtime:
        state = Memory.take_over(runtime, "later").state
    assert state.trigger.flight is None


def test_a_day_that_is_stored_already_does_not_make_its_recording_late(settings, tmp_path):
    """The tables hold readings of hours later, as after an ingest of the whole day."""
    later = record(tmp_path / "later.jsonl", scan(START + timedelta(hours=6)))
    with open_runtime(settings, role="ingest") as runtime:
        serve(settings, runtime.timeseries, FileSource(later), lambda _: None)

    def messages():
        for number in range(4):
            yield from scan(START + 5 * number * MINUTE)

    play(settings, record(tmp_path / "stream.jsonl", messages()), tmp_path / "results.jsonl")
    with open_runtime(settings) as runtime:
        decided = query(runtime.metadata, "SELECT action, decided_at FROM reoptimization_events")
    assert (decided["action"] == "fire").any()
    assert not (decided["action"] == "suppress").any()
    assert (decided["decided_at"] < START + 16 * MINUTE).all()


def test_what_a_stream_brought_ends_where_its_rows_do(settings, tmp_path):
    """A feed of the past is sent today, and the day was ingested to its end."""
    path, sent = tmp_path / "stream.jsonl", datetime(2026, 7, 1, tzinfo=UTC)
    with FilePublisher(path) as publisher:
        for topic, document in scan(START):
            value = json.dumps({"schema_version": 1, **document}).encode()
            publisher.send(topic, b"k", value, int(sent.timestamp() * 1000))
    with open_runtime(settings, role="ingest") as runtime:
        store = runtime.timeseries
        assert newest_streamed(store, CASE) is None
        serve(settings, store, FileSource(path), lambda _: None)
        rows = query(store, "SELECT * FROM power_measurements")
        names = [column.name for column in POWER_MEASUREMENTS.written]
        timeseries.write(store, POWER_MEASUREMENTS, rows[names].assign(time=START + 360 * MINUTE))
        newest = query(store, "SELECT max(time) AS newest FROM power_measurements")["newest"][0]
        assert newest == START + 360 * MINUTE
        assert newest_streamed(store, CASE) == START


def test_a_case_without_a_grid_is_stored_all_the_same(store_settings, tmp_path):
    path = record(tmp_path / "stream.jsonl", scan(START))
    rules = ReoptimizationRules(clock="event")
    settings = store_settings.model_copy(update={"reoptimization": rules, "case_name": CASE})
    assert play(settings, path, tmp_path / "results.jsonl") == []
    with open_runtime(settings) as runtime:
        rows = query(runtime.timeseries, "SELECT count(*) AS n FROM power_measurements")["n"][0]
    assert rows == 158


def test_a_grid_that_came_meanwhile_is_found_with_the_next_message(store_settings, tmp_path):
    """A past that is read only once must not wait until the next look for a grid."""
    rules = ReoptimizationRules(clock="event")
    settings = store_settings.model_copy(update={"reoptimization": rules, "case_name": CASE})
    path, results = record(tmp_path / "stream.jsonl", scan(START)), tmp_path / "results.jsonl"
    with (
        FilePublisher(results) as publisher,
        open_runtime(settings, role="ingest") as runtime,
        reacting(settings, publisher) as reaction,
    ):
        with open_runtime(settings) as stores:
            store_day(stores)
        serve(settings, runtime.timeseries, FileSource(path), reaction.on_committed)
        end = time.monotonic() + 60.0
        while not results.stat().st_size and time.monotonic() < end:
            time.sleep(0.1)
    assert [reason for reason, *_ in fires(settings)] == ["timer"]


def test_a_storm_of_ten_thousand_events_is_two_dispatches_at_most(settings, tmp_path):
    """Lines open and close for 20 seconds of the stream; at the end one of them is open."""
    lines = rts_grid().branches.id[:100].tolist()

    def messages():
        yield from scan(START)
        for number in range(10_000):
            at = START + timedelta(seconds=10, milliseconds=2 * number)
            name, closed = lines[number % 100], (number // 200) % 2 == 1
            yield switched("branch", name, at, closed=closed or number >= 9_000)
        for seconds in (31, 32):
            yield switched("branch", lines[7], START + timedelta(seconds=seconds))
        yield from scan(START + 2 * MINUTE)

    stream = settings.stream.model_copy(update={"batch_messages": 250})
    settings = settings.model_copy(update={"stream": stream})
    path = record(tmp_path / "stream.jsonl", messages())
    told = play(settings, path, tmp_path / "results.jsonl")
    by_topology = [each for each in fires(settings) if each[0] == "topology"]
    assert 1 <= len(by_topology) <= 2
    assert told[-1]["open_branches"] == [lines[7]]
    with open_runtime(settings) as runtime:
        count = query(runtime.timeseries, "SELECT count(*) AS n FROM topology_changes")["n"][0]
    assert count == 10_002


def test_of_two_members_one_reacts_to_what_both_store_and_the_other_takes_over(settings, tmp_path):
    rules = ReoptimizationRules(clock="event")
    settings = settings.model_copy(update={"reoptimization": rules})
    first, second = rts_grid().branches.id[[3, 7]].tolist()

    def with_open(name: str, start: datetime) -> Iterator[tuple[str, dict[str, object]]]:
        yield from scan(start)
        yield switched("branch", name, start)
        yield switched("branch", name, start + timedelta(seconds=2))

    def fired(count: int) -> list[str]:
        patience = time.monotonic() + 30.0
        found: list[str] = []
        while len(found) < count and time.monotonic() < patience:
            time.sleep(0.1)
            with open_runtime(settings) as runtime:
                rows = query(
                    runtime.metadata,
                    "SELECT subject FROM reoptimization_events WHERE action = 'fire' "
                    "AND reason = 'topology' AND ended_at IS NOT NULL ORDER BY decided_at",
                )
            found = rows["subject"].tolist()
        return found

    def store(member: StreamReaction, number: int, name: str, start: datetime) -> None:
        path = record(tmp_path / f"{number}.jsonl", with_open(name, start))
        with open_runtime(settings, role="ingest") as runtime:
            serve(settings, runtime.timeseries, FileSource(path), member.on_committed)

    with FilePublisher(tmp_path / "told.jsonl") as told:
        with reacting(settings, told) as leader:
            leader.others = lambda: True
            store(leader, 1, first, START)
            assert fired(1) == [first]
            with reacting(settings, told) as follower:
                # The follower stores; the leader reads it from the tables.
                store(follower, 2, second, START + 2 * MINUTE)
                assert fired(2) == [first, second]
                assert follower._memory is None
        with reacting(settings, told) as heir:
            store(heir, 3, first, START + 4 * MINUTE)  # open already: nothing to do
            patience = time.monotonic() + 30.0
            while heir._memory is None and time.monotonic() < patience:
                time.sleep(0.1)
            topology = stream_state.topology(heir._known.state, heir._known.facts)
    assert topology.branches == {first, second}
    assert fired(2) == [first, second]


def test_trips_during_a_dispatch_make_exactly_one_more(settings, tmp_path):
    """By the machine's clock: no forecasts and no plan for today, so readings alone serve."""
    rules = settings.reoptimization.model_copy(update={"clock": "wall"})
    settings = settings.model_copy(update={"reoptimization": rules})
    one, two, three = rts_grid().branches.id[[3, 7, 20]].tolist()
    answered: list[frozenset[str]] = []
    under_way, go_on = threading.Event(), threading.Event()

    def opened(name: str, scans: int = 2) -> Committed:
        now = datetime.now(UTC)
        times = [now + timedelta(microseconds=k) for k in range(scans)]
        changes = tuple(StatusChange(t, CASE, "branch", name, False, 0, t) for t in times)
        return Committed({}, changes, (), now)

    with FilePublisher(tmp_path / "told.jsonl") as told, reacting(settings, told) as reaction:
        dispatch = reaction.answer_fire

        def slowly(asked: Asked) -> Facts:
            if asked.reason == "topology":
                under_way.set()
                go_on.wait(30.0)
                answered.append(asked.topology.branches)
            return dispatch(asked)

        reaction.answer_fire = slowly
        with open_runtime(settings, role="ingest") as runtime:
            path = record(tmp_path / "scan.jsonl", scan(datetime.now(UTC)))
            serve(settings, runtime.timeseries, FileSource(path), reaction.on_committed)
        reaction.on_committed(opened(one))
        assert under_way.wait(60.0)
        reaction.on_committed(opened(two))
        reaction.on_committed(opened(three))
        go_on.set()
        patience = time.monotonic() + 60.0
        while len(answered) < 2 and time.monotonic() < patience:
            time.sleep(0.1)
    assert answered == [{one}, {one, two, three}]
    outcomes = [each[2] for each in fires(settings) if each[0] == "topology"]
    assert outcomes == ["optimal", "optimal"]
