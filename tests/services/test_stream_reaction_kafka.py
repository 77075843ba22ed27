"""Decisions and dispatches from Kafka and TimescaleDB: as many as there should be, none lost."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from databases import create_database, drop_database, migrate_url
from kafka_topics import empty_topics
from realtime_day import CASE, START, planned, store_day
from rts_day import rts_grid
from stream_reactor import Gate, Stage, start_reactor
from stream_recordings import scan, switched
from stream_world import ON_SERVERS

from data_engineering.ingestion.stream_publish import KafkaPublisher
from data_engineering.model.stream import BRANCH_TOPIC, REQUESTS_TOPIC, RESULTS_TOPIC
from data_engineering.runtime import Runtime, open_runtime
from data_engineering.settings import Settings
from data_engineering.storage import stream_status
from data_engineering.storage.metadata import query

pytestmark = ON_SERVERS

Messages = Iterable[tuple[str, dict[str, Any]]]
SECOND = timedelta(seconds=1)
STAGES: tuple[Stage, ...] = ("decided", "solving", "stored")
FIRES = """
    SELECT execution_id::text AS id, reason, ended_at IS NOT NULL AS over
    FROM reoptimization_events WHERE action = 'fire' ORDER BY decided_at
"""
MADE = "SELECT execution_id::text AS id FROM lascopf_executions WHERE triggered_by <> 'SCHEDULED'"


@dataclass
class Control:
    """A service that reads the past from Kafka, and what it decides."""

    options: dict[str, Any]
    runtime: Runtime
    folder: Path
    processes: list[ForkServerProcess] = field(default_factory=list)
    sent: int = 0

    def start(self, gate: Gate | None = None) -> ForkServerProcess:
        process = start_reactor(self.options, "kafka", self.folder / "service.log", gate)
        self.processes.append(process)
        return process

    def send(self, messages: Messages) -> None:
        """Send messages in their order, each topic in one partition."""
        with KafkaPublisher(self.runtime.settings) as publisher:
            for topic, document in messages:
                value = json.dumps({"schema_version": 1, **document}).encode()
                at = int(pd.Timestamp(document.get("time", START)).timestamp() * 1000)
                publisher.send(topic, b"one", value, at)
                self.sent += 1

    def until(self, true: Callable[[], bool], seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while not true():
            log = self.folder / "service.log"
            assert time.monotonic() < end, log.read_text()[-8000:] if log.exists() else "no log"
            time.sleep(0.1)

    def until_stored(self) -> None:
        offsets = stream_status.offsets
        self.until(lambda: offsets(self.runtime.timeseries)["next_offset"].sum() == self.sent, 90.0)

    def fires(self, reason: str) -> pd.DataFrame:
        found = query(self.runtime.metadata, FIRES)
        return found[found["reason"] == reason]

    def until_dispatched(self, reason: str, count: int) -> None:
        self.until(lambda: int(self.fires(reason)["over"].sum()) >= count)

    def told(self) -> list[dict[str, Any]]:
        """All results that are on the broker, in the order in which they were found."""
        from kafka import KafkaConsumer, TopicPartition

        where = self.options["kafka_bootstrap"]
        consumer = KafkaConsumer(
            bootstrap_servers=where, auto_offset_reset="earliest", consumer_timeout_ms=2_000
        )
        parts = consumer.partitions_for_topic(RESULTS_TOPIC)
        consumer.assign([TopicPartition(RESULTS_TOPIC, number) for number in sorted(parts)])
        found = [json.loads(record.value) for record in consumer]
        consumer.close()
        return sorted(found, key=lambda each: str(each["solved_at"]))

    def check_all_told(self) -> list[dict[str, Any]]:
        """What was fired was made once and told, and nothing else was; the results."""
        told = self.told()
        fires, made = query(self.runtime.metadata, FIRES), query(self.runtime.metadata, MADE)
        assert fires["over"].all()
        assert not made["id"].duplicated().any()
        assert {each["execution_id"] for each in told} == set(made["id"])
        assert set(fires["id"]) <= set(made["id"])
        return told


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    server = os.environ["LASCOPF_TEST_TIMESCALEDB_URL"]
    urls = {"timeseries": create_database(server), "metadata": create_database(server)}
    for store, url in urls.items():
        migrate_url(url, store)
    options = {
        **{f"{store}_url": url for store, url in urls.items()},
        "home": str(tmp_path),
        "case_name": CASE,
        "kafka_bootstrap": os.environ["LASCOPF_TEST_KAFKA"],
        "stream": {"group": f"test-{time.time_ns()}", "instance": "one", "session_seconds": 6.0},
        "reoptimization": {"clock": "event"},
    }
    settings = Settings(**options)
    empty_topics(settings)
    with open_runtime(settings) as runtime:
        store_day(runtime)
        made = Control(options, runtime, tmp_path)
        try:
            yield made
        finally:
            for process in made.processes:
                process.kill()
                process.join()
    for url in urls.values():
        drop_database(url)


def lines(*places: int) -> list[str]:
    found: list[str] = rts_grid().branches.id[list(places)].tolist()
    return found


def opened(name: str, seconds: float) -> Messages:
    """Two scans of a line that is open."""
    for later in (0, 1):
        yield switched("branch", name, START + (seconds + later) * SECOND)


def test_trips_during_a_dispatch_make_one_more_and_a_request_is_answered(control: Control) -> None:
    first, second, third = lines(3, 7, 20)
    gate = Gate("decided", control.folder)
    control.start(gate)
    control.send(scan(START))
    control.until_dispatched("timer", 1)
    control.send(opened(first, 20))
    control.until(gate.here.exists)
    control.send(opened(second, 22))
    control.send(opened(third, 24))
    control.until_stored()
    gate.go.touch()
    control.until_dispatched("topology", 2)
    unit = max(planned(14), key=planned(14).__getitem__)
    config = {"open_generators": [unit]}
    request = {"request_id": "if", "case_name": CASE, "config": config}
    control.send([(REQUESTS_TOPIC, {**request, "requested_at": (START + 30 * SECOND).isoformat()})])
    control.until(lambda: any(each["request_id"] == "if" for each in control.told()))
    assert len(control.fires("topology")) == 2
    told = control.check_all_told()
    by_trip = [each["open_branches"] for each in told if each["reason"] == "topology"]
    assert by_trip == [[first], sorted([first, second, third])]
    (answer,) = [each for each in told if each["request_id"] == "if"]
    assert set(answer["dispatch_mw"][unit]) == {0.0}


def test_a_storm_of_ten_thousand_switchings_is_two_dispatches_at_most(control: Control) -> None:
    names = lines(*range(100))
    control.start()
    control.send(scan(START))
    control.until_dispatched("timer", 1)

    def storm() -> Messages:
        for number in range(10_000):
            at = START + 10 * SECOND + timedelta(milliseconds=2 * number)
            closed = (number // 200) % 2 == 1 or number >= 9_000
            yield switched("branch", names[number % 100], at, closed=closed)
        yield from opened(names[7], 31)

    control.send(storm())
    control.until_stored()
    control.until(lambda: any(each["open_branches"] == [names[7]] for each in control.told()))
    assert 1 <= len(control.fires("topology")) <= 2
    assert control.check_all_told()[-1]["open_branches"] == [names[7]]


def test_a_loading_around_its_limit_asks_once_and_a_replay_asks_nothing(control: Control) -> None:
    process = control.start()
    control.send(scan(START))
    control.until_dispatched("timer", 1)
    grid = rts_grid()
    ends = {"from_bus_id": grid.buses.id[0], "to_bus_id": grid.buses.id[1], "in_service": True}
    (name,) = lines(5)

    def around() -> Messages:
        for number in range(40):
            at = (START + (10 + 2 * number) * SECOND).isoformat()
            reading = {"branch_id": name, "loading_percent": 94.0 + 2.0 * (number % 2)}
            known = {"case_name": CASE, "time": at, "available_at": at}
            yield BRANCH_TOPIC, {**known, **ends, **reading}

    control.send(around())
    control.until_stored()
    control.until_dispatched("branch_loading", 1)
    time.sleep(2.0)
    before = query(control.runtime.metadata, FIRES)
    assert (before["reason"] == "branch_loading").sum() == 1
    process.terminate()
    process.join(timeout=60)
    assert process.exitcode == 0
    for topic in stream_status.offsets(control.runtime.timeseries)["topic"].unique():
        stream_status.forget(control.runtime.timeseries, topic)
    control.start()
    control.until_stored()
    time.sleep(3.0)
    after = query(control.runtime.metadata, FIRES)
    assert after["id"].tolist() == before["id"].tolist()
    control.check_all_told()


def test_a_dispatch_that_dies_at_every_stage_is_made_once_and_told(control: Control) -> None:
    (name,) = lines(3)
    control.send(scan(START))
    control.send(opened(name, 1))
    for stage in STAGES:
        gate = Gate(stage, control.folder)
        process = control.start(gate)
        control.until(gate.here.exists)
        process.kill()
        process.join()
    control.start()
    control.until_dispatched("topology", 1)
    assert len(control.fires("topology")) == 1
    assert control.check_all_told()[-1]["open_branches"] == [name]


@contextmanager
def silent(container: str) -> Iterator[None]:
    """As long as the context a container does not answer."""
    subprocess.run(["docker", "pause", container], check=True, capture_output=True)
    yield
    subprocess.run(["docker", "unpause", container], check=True, capture_output=True)


@pytest.mark.skipif(
    "LASCOPF_TEST_KAFKA_CONTAINER" not in os.environ, reason="no container may be stopped"
)
def test_a_result_is_told_when_its_broker_is_back(control: Control) -> None:
    (name,) = lines(3)
    gate = Gate("stored", control.folder)
    control.start(gate)
    control.send(scan(START))
    control.send(opened(name, 1))
    control.until(gate.here.exists)
    log = control.folder / "service.log"
    with silent(os.environ["LASCOPF_TEST_KAFKA_CONTAINER"]):
        gate.go.touch()
        control.until(lambda: "the result of" in log.read_text())  # ... waits: it was not taken
        assert not control.fires("topology")["over"].any()
    control.until_dispatched("topology", 1)
    assert control.check_all_told()[-1]["open_branches"] == [name]
