"""The replayed feed against its source, and against what the stream's parser makes of it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data_engineering.ingestion.replay_faults import (
    FAULTS,
    fault_names,
    trip_messages,
    tripped,
    trips_of,
)
from data_engineering.ingestion.replay_feed import readings, send
from data_engineering.ingestion.rts_gmlc import source_folder
from data_engineering.ingestion.sources import SOURCES
from data_engineering.ingestion.stream_files import read_messages
from data_engineering.ingestion.stream_messages import parse, status_changes
from data_engineering.model.errors import BadInput
from data_engineering.model.time import Window
from data_engineering.orchestration.cases import load_case
from data_engineering.orchestration.replay_flows import flows_of, injections
from data_engineering.orchestration.stream_replay import Replay, messages, parse_time, replay
from data_engineering.orchestration.stream_setup import stream_rules
from data_engineering.settings import Settings

START = datetime(2020, 7, 6, 13, 0, tzinfo=UTC)
HOURS = timedelta(hours=3)
ASKED = Replay(START, START + HOURS, seed=3)
TABLES = ("power_measurements", "load_measurements")
POINT = {
    "power_measurements": "generator_id",
    "load_measurements": "load_id",
    "branch_measurements": "branch_id",
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def of_source(table: str) -> pd.DataFrame:
    """What the batch reader says of the same window."""
    name = "scada_generation" if table == "power_measurements" else "scada_load"
    window = Window(START - timedelta(minutes=5), START + HOURS - timedelta(minutes=5))
    return SOURCES[name].read(source_folder(None), window, "rts_gmlc")


def told(asked: Replay, settings: Settings, tmp_path: Path) -> tuple[Any, list[dict[str, Any]]]:
    """What the parser makes of a recorded replay, and the truth of it."""
    file, truth = tmp_path / "feed.jsonl", tmp_path / "truth.jsonl"
    replay(asked, settings, f"file:{file}", truth)
    lines = [json.loads(line) for line in truth.read_text().splitlines()]
    return parse(list(read_messages(file)), stream_rules(settings)), lines


@pytest.mark.parametrize("form", ["scan", "single"])
def test_every_reading_is_told_once_as_the_source_has_it(
    form: Any, settings: Settings, tmp_path: Path
) -> None:
    parsed, _ = told(replace(ASKED, form=form), settings, tmp_path)
    assert parsed.letters == ()
    for table in TABLES:
        rows = parsed.rows[table].to_pandas().drop(columns=["stream_partition", "stream_offset"])
        keys = ["time", POINT[table]]
        found = rows.sort_values(keys, ignore_index=True)
        source = of_source(table).sort_values(keys, ignore_index=True)
        pd.testing.assert_frame_equal(found, source, check_dtype=False)


def test_readings_leave_when_they_are_known(settings: Settings) -> None:
    times = [each.at for each in messages(ASKED, settings)]
    assert times == sorted(times)
    assert sorted(set(times)) == [START + k * timedelta(minutes=5) for k in range(36)]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_truth_tells_rows_and_letters(seed: int, settings: Settings, tmp_path: Path) -> None:
    asked = replace(ASKED, faults=frozenset(FAULTS), seed=seed)
    parsed, truth = told(asked, settings, tmp_path)
    verdicts = Counter(line["verdict"] for line in truth if line["kind"] == "letter")
    assert Counter(letter.verdict for letter in parsed.letters) == verdicts
    assert verdicts
    repeated = 0
    for table in TABLES:
        rows = parsed.rows[table].to_pandas()
        value = "active_power" if table == "power_measurements" else "active_power_mw"
        columns = ["time", POINT[table], value, "measurement_quality", "available_at"]
        found = rows[columns].drop_duplicates()
        repeated += len(rows) - len(found)
        wanted = pd.DataFrame([line for line in truth if line.get("table") == table])
        for name in ("time", "available_at"):
            wanted[name] = pd.to_datetime(wanted[name], utc=True, format="ISO8601")
        assert not wanted.duplicated(["time", POINT[table]]).any()
        pd.testing.assert_frame_equal(
            found.sort_values(columns[:2], ignore_index=True),
            wanted[columns].sort_values(columns[:2], ignore_index=True),
            check_dtype=False,
        )
    assert repeated > 0
    changes = [line for line in truth if line.get("table") == "topology_changes"]
    assert len(status_changes(parsed.rows["topology_changes"])) == len(changes) > 0


def test_the_same_seed_gives_the_same_messages(settings: Settings) -> None:
    asked = replace(ASKED, faults=frozenset(FAULTS))
    one, same = (list(messages(asked, settings)) for _ in range(2))
    assert [each.value for each in one] == [each.value for each in same]
    other = list(messages(replace(asked, seed=4), settings))
    assert [each.value for each in one] != [each.value for each in other]
    assert [each.at for each in one] == sorted(each.at for each in one)


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_alone_does_what_it_says(fault: str, settings: Settings, tmp_path: Path) -> None:
    long = replace(ASKED, faults=frozenset({fault}), end=START + timedelta(hours=12))
    parsed, _ = told(long, settings, tmp_path)
    rows = parsed.rows["power_measurements"].to_pandas()
    known_after = rows["available_at"] - rows["time"]
    order = rows["available_at"].is_monotonic_increasing
    facts = {
        "trips": "topology_changes" in parsed.rows,
        "bad-quality": bool((rows["measurement_quality"] == 2).any()),
        "late": bool((known_after > timedelta(minutes=5)).any()),
        "duplicate": bool(rows.duplicated(["time", "generator_id"]).any()),
        "out-of-order": not order,
        "garbage": bool(parsed.letters),
    }
    # A duplicate arrives after its time, so it is out of order too.
    also = {"out-of-order"} if fault == "duplicate" else set()
    assert {name for name, so in facts.items() if so} - also == {fault}


def test_what_tripped_carries_nothing_until_it_closes(settings: Settings, tmp_path: Path) -> None:
    midnight = datetime(2020, 7, 6, tzinfo=UTC)
    trips = trips_of(["A1", "B2"], ["122_WIND_1"], midnight, midnight + timedelta(days=1), 1)
    assert [trip.element for trip in trips].count("branch") == 3
    trip = next(each for each in trips if each.element == "branch")
    assert timedelta(minutes=10) <= trip.closes - trip.opens <= timedelta(hours=1)
    scans = readings(
        source_folder(None),
        "rts_gmlc",
        trip.opens - timedelta(minutes=10),
        trip.closes + timedelta(minutes=10),
        flows_of(load_case("rts_gmlc", settings).grid),
    )
    seen = set()
    for at, tables in tripped(scans, [trip]):
        rows = {row["branch_id"]: row for row in tables["branch_measurements"]}
        row, is_open = rows[trip.element_id], trip.opens <= at < trip.closes
        assert row["in_service"] is not is_open
        assert (row["active_power_from_mw"] == 0.0) is is_open
        assert (row["loading_percent"] == 0.0) is is_open
        assert sum(not each["in_service"] for each in rows.values()) == is_open
        seen.add(is_open)
    assert seen == {True, False}
    told = list(trip_messages([trip], "rts_gmlc", trip.closes))
    assert [json.loads(each.value)["closed"] for each in told] == [False, False]
    assert [each.at - trip.opens for each in told] == [timedelta(0), timedelta(seconds=1)]


def test_flows_balance_at_every_bus(settings: Settings) -> None:
    grid = load_case("rts_gmlc", settings).grid
    output = of_source("power_measurements").pivot(
        index="time", columns="generator_id", values="active_power"
    )
    taken = of_source("load_measurements").pivot(
        index="time", columns="load_id", values="active_power_mw"
    )
    net = injections(grid, output, taken)
    np.testing.assert_allclose(net.sum(axis=1), 0.0, atol=1e-8)
    rows = list(messages(replace(ASKED, end=START + timedelta(minutes=5), flows=True), settings))
    scan = json.loads(next(each.value for each in rows if each.topic == "branch_measurements"))
    into = np.zeros(len(grid.buses))
    place = {name: row for row, name in enumerate(grid.buses.id.tolist())}
    for ends, sign in ((scan["from_bus_id"], 1.0), (scan["to_bus_id"], -1.0)):
        for bus, flow in zip(ends, scan["active_power_from_mw"], strict=True):
            into[place[bus]] += sign * flow
    # Flows are told to the nearest kW, and a bus has at most 10 branches.
    reference = grid.buses.kind == 3
    np.testing.assert_allclose(into[~reference], net[0][~reference], atol=0.005)


class Recorder:
    """A publisher and a clock."""

    def __init__(self) -> None:
        self.time, self.sent, self.slept = 100.0, [], []

    def send(self, topic: str, key: Any, value: bytes, timestamp_ms: int | None = None) -> None:
        self.sent.append((self.time, timestamp_ms))

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


@pytest.mark.parametrize(("speed", "seconds"), [(1.0, 300.0), (60.0, 5.0), (None, 0.0)])
def test_speed_is_seconds_of_the_feed_a_second(
    speed: float | None, seconds: float, settings: Settings
) -> None:
    recorder = Recorder()
    *_, sent = send(
        messages(ASKED, settings),
        recorder,
        speed,
        stamp=speed is None,
        sleep=recorder.sleep,
        now=lambda: recorder.time,
    )
    times = [time for time, _ in recorder.sent]
    assert times == pytest.approx([100.0 + k // 2 * seconds for k in range(72)])
    assert (sent.messages, sent.rows) == (72, 36 * 83)
    stamps = [None if speed else int((START + k // 2 * FIVE).timestamp() * 1000) for k in range(72)]
    assert [stamp for _, stamp in recorder.sent] == stamps


FIVE = timedelta(minutes=5)


def test_the_year_ends_where_it_begins(settings: Settings) -> None:
    turn = datetime(2020, 1, 1, tzinfo=UTC)
    around = Replay(turn - timedelta(minutes=10), turn + timedelta(minutes=15))
    assert len({each.at for each in messages(around, settings)}) == 5


def test_what_is_asked_wrongly_is_named(settings: Settings) -> None:
    with pytest.raises(BadInput, match="--until"):
        Replay(START, START)
    with pytest.raises(BadInput, match="--speed"):
        Replay(START, START + HOURS, speed=0.0)
    with pytest.raises(BadInput, match=r"--faults: 'fire'.*garbage"):
        fault_names("late,fire")
    with pytest.raises(BadInput, match="--from"):
        parse_time("yesterday", "--from")
    with pytest.raises(BadInput, match="--to"):
        replay(ASKED, settings, "nowhere")
    assert fault_names(" late , garbage,") == {"late", "garbage"}
    assert fault_names("all") == set(FAULTS)
    assert parse_time("2020-07-06T15:00+02:00", "--from") == START
