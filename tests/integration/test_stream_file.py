"""The stream from a recorded file into the embedded PostgreSQL: nothing lost, nothing twice."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from databases import StoreDatabases
from sqlalchemy.engine import Engine
from stream_feed import CASE, POINTS, RULES, encoded, expected, reading, scan, stored
from stream_member import start_member

from data_engineering.ingestion.stream_files import FilePublisher, FileSource
from data_engineering.ingestion.stream_rules import Rules
from data_engineering.model.errors import DatabaseRefused, Fenced, SourceFileBroken
from data_engineering.model.stream import (
    POWER_TOPIC,
    REQUESTS_TOPIC,
    TOPOLOGY_TOPIC,
    Committed,
    DeadLetter,
    Place,
)
from data_engineering.orchestration import stream_letters
from data_engineering.orchestration.stream_setup import serve
from data_engineering.settings import Settings
from data_engineering.storage import stream_status
from data_engineering.storage.database import open_engine
from data_engineering.storage.stream_sink import Sink

pytestmark = pytest.mark.integration


@pytest.fixture
def engine(store_databases: StoreDatabases) -> Iterator[Engine]:
    engine = open_engine(store_databases.timeseries_url, "ingest")
    yield engine
    engine.dispose()


@pytest.fixture
def admin(store_databases: StoreDatabases) -> Iterator[Engine]:
    """The login that may change the schema, to make the server refuse what it is given."""
    engine = open_engine(store_databases.timeseries_url)
    yield engine
    engine.dispose()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, case_name=CASE, stream={"batch_messages": 300})


def record(path: Path, values: list[bytes], topic: str = POWER_TOPIC, partitions: int = 3) -> None:
    with FilePublisher(path, partitions) as publisher:
        for number, value in enumerate(values):
            publisher.send(topic, str(number % 200).encode(), value)


def run(settings: Settings, engine: Engine, path: Path, rules: Rules = RULES) -> list[Committed]:
    seen: list[Committed] = []
    serve(settings, engine, FileSource(path), seen.append, rules=rules)
    return seen


def letters(engine: Engine) -> list[DeadLetter]:
    return [one for _, one in stream_status.letters(engine)]


def test_a_file_is_stored_once_however_often_it_is_read(
    settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    path = tmp_path / "feed.jsonl"
    record(path, encoded(reading(number) for number in range(2000)))
    seen = run(settings, engine, path)
    assert stored(engine) == expected(2000)
    assert sum(one.readings[POWER_TOPIC].num_rows for one in seen) == 2000
    assert run(settings, engine, path) == []
    record(path, encoded(reading(number) for number in range(2000, 2100)))
    assert sum(one.readings[POWER_TOPIC].num_rows for one in run(settings, engine, path)) == 100
    assert stored(engine) == expected(2100)


def test_kills_lose_nothing_and_double_nothing(
    settings: Settings, engine: Engine, store_databases: StoreDatabases, tmp_path: Path
) -> None:
    path, count, kills = tmp_path / "feed.jsonl", 40_000, 8
    values = encoded(reading(number) for number in range(count))
    values[1000::5000] = [b"garbage"] * len(values[1000::5000])
    record(path, values)
    options = {
        "home": str(tmp_path),
        "timeseries_url": store_databases.timeseries_url,
        "case_name": CASE,
        "stream": {"batch_messages": 400},
    }
    chance = random.Random(7)
    for _ in range(kills):
        before = next_offsets(engine)
        process = start_member(options, f"file:{path}", tmp_path / "member.log")
        try:
            wait_until(lambda before=before: next_offsets(engine) > before, 60.0)
            time.sleep(chance.uniform(0.0, 0.08))
        finally:
            process.kill()
            process.join()
    assert next_offsets(engine) < count, "the kills came too late to prove anything"
    run(settings, engine, path)
    want = expected(count)
    for number in range(1000, count, 5000):
        row = reading(number)
        del want[row["time"], row["generator_id"]]
    assert stored(engine) == want
    assert len(letters(engine)) == len(range(1000, count, 5000))


def next_offsets(engine: Engine) -> int:
    return int(stream_status.offsets(engine)["next_offset"].sum())


def wait_until(true: Any, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.01)


def test_order_duplicates_and_corrections_do_not_matter(
    settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    first = [reading(number) for number in range(400)]
    newer = [
        reading(number, active_power=-1.0, available_at="2020-07-06T01:00:00Z")
        for number in range(0, 400, 10)
    ]
    doubtful = [
        reading(number, active_power=-2.0, measurement_quality=2) for number in range(1, 400, 10)
    ]
    documents = [*first, *newer, *doubtful, *first[:100]]
    want = expected(400)
    for row in newer:
        want[row["time"].replace("Z", "+00:00"), row["generator_id"]] = -1.0
    found = []
    for seed in range(3):
        random.Random(seed).shuffle(documents)
        path = tmp_path / f"feed{seed}.jsonl"
        record(path, encoded(documents))
        run(settings, engine, path)
        found.append(stored(engine))
        with open_engine(engine.url.render_as_string(hide_password=False)).begin() as connection:
            connection.execute(sa.text("DELETE FROM power_measurements"))
    assert found == [want, want, want]


def test_late_and_garbled_messages_are_told_apart(
    settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    path = tmp_path / "feed.jsonl"
    late = reading(0, time="2019-01-01T00:00:00+00:00")
    bad = [
        b"\xff\xfe",
        json.dumps(reading(1, active_power=float("nan"))).encode(),
        json.dumps(reading(1, time="1815-01-01T00:00:00Z")).encode(),
        json.dumps(reading(1, schema_version=9)).encode(),
        json.dumps(reading(1, generator_id="nobody")).encode(),
        b" " * 5_000_000,
    ]
    record(path, [*encoded([late, reading(2)]), *bad, *encoded([scan(3)])], partitions=1)
    run(settings, engine, path)
    assert len(stored(engine)) == 202
    assert [one.verdict for one in letters(engine)] == [
        "garbage",
        "schema",
        "time",
        "version",
        "unknown_point",
        "oversized",
    ]
    assert [one.payload for one in letters(engine)] == bad


def test_a_row_that_the_database_refuses_is_found_among_the_others(
    settings: Settings, engine: Engine, admin: Engine, tmp_path: Path
) -> None:
    with admin.begin() as connection:
        connection.execute(
            sa.text("ALTER TABLE power_measurements ADD CHECK (active_power <> 33.25)")
        )
    path = tmp_path / "feed.jsonl"
    record(path, encoded(reading(number) for number in range(1000)))
    seen = run(settings, engine, path)
    want = {key: power for key, power in expected(1000).items() if power != 33.25}
    assert stored(engine) == want
    (letter,) = letters(engine)
    assert letter.verdict == "refused"
    assert json.loads(letter.payload)["active_power"] == 33.25
    assert "active_power" in letter.reason or "active_power" in letter.field
    assert sum(one.readings[POWER_TOPIC].num_rows for one in seen) == 999


def test_dead_letters_are_cured_by_a_replay_when_the_rules_have_changed(
    settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    path = tmp_path / "feed.jsonl"
    new = reading(5, generator_id="new_unit")
    record(path, [*encoded([reading(1), new]), b"garbage"], partitions=1)
    run(settings, engine, path)
    assert stream_letters.replay(engine, RULES) == stream_letters.Replayed(0, 2, 0)
    assert [one.attempt for one in letters(engine)] == [2, 2]
    grown = Rules(
        CASE,
        {
            CASE: type(POINTS)(
                POINTS.units | {"new_unit"}, POINTS.loads, POINTS.branches, POINTS.buses
            )
        },
        max_age_days=36_500.0,
    )
    assert stream_letters.replay(engine, grown) == stream_letters.Replayed(1, 1, 1)
    (left,) = letters(engine)
    assert (left.verdict, left.attempt, left.payload) == ("garbage", 3, b"garbage")
    assert (new["time"], "new_unit") in stored(engine)


def test_changes_and_requests_are_handed_on_and_kept(
    settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    path = tmp_path / "feed.jsonl"
    change = {"time": "2020-07-06T00:00:00Z", "element": "branch", "element_id": "line_1"}
    record(path, encoded([change | {"closed": False}]), TOPOLOGY_TOPIC)
    record(path, encoded([{"request_id": "r", "config": {"intervals": 2}}] * 2), REQUESTS_TOPIC)
    seen = run(settings, engine, path)
    assert [one.element_id for committed in seen for one in committed.changes] == ["line_1"]
    (request,) = stream_status.open_requests(engine, CASE)
    assert (request.request_id, request.config) == ("r", {"intervals": 2})
    assert stream_status.answer_request(engine, "r", "execution")
    assert not stream_status.answer_request(engine, "r", "again")
    assert stream_status.open_requests(engine, CASE) == []


def test_the_newest_claim_writes_and_no_other(
    settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    path = tmp_path / "feed.jsonl"
    record(path, encoded(reading(number) for number in range(500)), partitions=1)
    source = FileSource(path)

    def usurp(committed: Committed) -> None:
        Sink(engine, source.name, "usurper").claim([Place(POWER_TOPIC, 0)])

    with pytest.raises(Fenced, match="power_measurements/0 were claimed by another"):
        serve(settings, engine, source, usurp, rules=RULES)
    assert stored(engine) == expected(300)
    run(settings, engine, path)
    assert stored(engine) == expected(500)


def test_an_outage_of_the_database_is_waited_for(
    settings: Settings, engine: Engine, admin: Engine, tmp_path: Path
) -> None:
    path = tmp_path / "feed.jsonl"
    record(path, encoded(reading(number) for number in range(3000)))
    cut = threading.Event()

    def end_sessions(committed: Committed) -> None:
        if not cut.is_set():
            cut.set()
            with admin.begin() as connection:
                connection.execute(
                    sa.text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
                )

    serve(settings, engine, FileSource(path), end_sessions, rules=RULES)
    assert stored(engine) == expected(3000)


def test_a_refusal_of_the_whole_work_ends_the_service_with_one_line(
    settings: Settings, engine: Engine, admin: Engine, tmp_path: Path
) -> None:
    path = tmp_path / "feed.jsonl"
    record(path, encoded(reading(number) for number in range(10)))
    with admin.begin() as connection:
        connection.execute(sa.text("REVOKE INSERT ON power_measurements FROM ingest"))
    with pytest.raises(DatabaseRefused, match="permission denied for table power_measurements"):
        run(settings, engine, path)
    assert next_offsets(engine) == 0
    (member,) = stream_status.members(engine).to_dict("records")
    assert member["state"] == "failed"
    assert "permission denied" in member["detail"]


def test_a_broken_line_of_a_recorded_file_is_named(
    settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    path = tmp_path / "feed.jsonl"
    record(path, encoded([reading(0)]))
    with path.open("a") as file:
        file.write('{"topic": "power_measurements", "partition": 0}\n')
    with pytest.raises(SourceFileBroken, match="line 2 is not a recorded message"):
        run(settings, engine, path)


def test_a_line_is_read_when_its_end_is_written(
    settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    path = tmp_path / "feed.jsonl"
    record(path, encoded([reading(0), reading(1)]), partitions=1)
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    stop = threading.Event()
    thread = threading.Thread(
        target=serve,
        args=(settings, engine, FileSource(path, follow=True)),
        kwargs={"rules": RULES, "stop": stop},
    )
    thread.start()
    try:
        wait_until(lambda: len(stored(engine)) == 1, 20.0)
        with path.open("ab") as file:
            file.write(whole[-10:])
        wait_until(lambda: len(stored(engine)) == 2, 20.0)
    finally:
        stop.set()
        thread.join()
    assert letters(engine) == []


def test_expired_days_are_made_again_for_late_rows(
    settings: Settings, engine: Engine, admin: Engine, tmp_path: Path
) -> None:
    path = tmp_path / "feed.jsonl"
    record(path, encoded(reading(number) for number in range(600)), partitions=1)

    def drop(committed: Committed) -> None:
        with admin.begin() as connection:
            connection.execute(sa.text("SET ROLE migrator"))
            connection.execute(sa.text("SELECT drop_expired(now() + interval '1 year')"))

    serve(settings, engine, FileSource(path), drop, rules=RULES)
    assert letters(engine) == []
    assert next_offsets(engine) == 600
