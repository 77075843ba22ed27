"""What messages give: rows in the declared types, or a letter that names field and value."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from stream_feed import CASE, POINTS, RULES, UNITS, reading, scan

from data_engineering.ingestion.stream_messages import parse, status_changes
from data_engineering.ingestion.stream_rules import Rules
from data_engineering.model.stream import (
    LOAD_TOPIC,
    POWER_TOPIC,
    REQUESTS_TOPIC,
    TOPOLOGY_TOPIC,
    RawMessage,
    StatusChange,
)
from data_engineering.model.tables import LOAD_MEASUREMENTS, POWER_MEASUREMENTS

SENT = 1_594_033_600_000  # 2020-07-06T11:06:40Z


def messages(*values: Any, topic: str = POWER_TOPIC, sent: int = SENT) -> list[RawMessage]:
    texts = [value if isinstance(value, bytes) else json.dumps(value).encode() for value in values]
    return [RawMessage(topic, 3, 100 + n, sent, None, text) for n, text in enumerate(texts)]


def one(value: Any, topic: str = POWER_TOPIC) -> Any:
    parsed = parse(messages(value, topic=topic), RULES)
    assert sum(table.num_rows for table in parsed.rows.values()) == 0
    (letter,) = parsed.letters
    assert letter.payload == (value if isinstance(value, bytes) else json.dumps(value).encode())
    assert (letter.topic, letter.partition, letter.offset, letter.attempt) == (topic, 3, 100, 1)
    return letter


def at(**changes: Any) -> dict[str, Any]:
    """A reading shortly before its message."""
    return reading(0, time="2020-07-06T11:00:00Z", available_at="2020-07-06T11:00:01Z") | changes


def test_a_single_reading_becomes_a_row_in_the_declared_types() -> None:
    parsed = parse(messages(at(active_power=7, time="2020-07-06T12:00:00.123456789+01:00")), RULES)
    table = parsed.rows[POWER_TOPIC]
    declared = POWER_MEASUREMENTS.arrow_schema()
    assert [table.schema.field(name).type for name in declared.names] == declared.types
    (row,) = table.to_pylist()
    assert row["time"] == datetime(2020, 7, 6, 11, 0, 0, 123456, tzinfo=UTC)
    assert (row["case_name"], row["active_power"], row["power_factor"]) == (CASE, 7.0, None)
    assert (row["stream_partition"], row["stream_offset"]) == (3, 100)
    assert parsed.letters == ()


def test_what_a_gateway_leaves_out_is_filled_in() -> None:
    short = {"time": "2020-07-06T11:00:00Z", "generator_id": "unit_1", "bus_id": "bus_1"}
    (row,) = parse(messages(short | {"active_power": 1.5}), RULES).rows[POWER_TOPIC].to_pylist()
    assert row["available_at"] == datetime.fromtimestamp(SENT / 1000, UTC)
    assert (row["case_name"], row["source"], row["measurement_quality"]) == (CASE, "stream", 0)


def test_a_scan_gives_the_rows_that_single_readings_give() -> None:
    whole = parse(messages(scan(2)), RULES).rows[POWER_TOPIC]
    singles = parse(messages(*(reading(400 + n) for n in range(200))), RULES).rows[POWER_TOPIC]
    assert whole.num_rows == 200
    names = list(POWER_MEASUREMENTS.names)
    assert whole.select(names).to_pylist() == singles.select(names).to_pylist()
    assert set(whole["stream_offset"].to_pylist()) == {100}


def test_scans_and_readings_keep_the_order_of_the_messages() -> None:
    mixed = [reading(0), scan(1), b"x", reading(900), scan(2), reading(901)]
    parsed = parse(messages(*mixed), RULES)
    table = parsed.rows[POWER_TOPIC]
    assert table["stream_offset"].to_pylist() == sorted(table["stream_offset"].to_pylist())
    assert table.num_rows == 403
    assert [letter.offset for letter in parsed.letters] == [102]


@pytest.mark.parametrize(
    ("value", "verdict", "field", "words"),
    [
        (b"", "garbage", "", "send JSON"),
        (b"\xff\xfe\x00", "garbage", "", "send JSON"),
        (b"[1]", "garbage", "", "send a JSON object"),
        (b'{"a": 1} {"b": 2}', "garbage", "", "send JSON"),
        (b"[" * 5000, "garbage", "", "send JSON"),
        (at(schema_version=2), "version", "schema_version", "2 is not usable"),
        (at(schema_version="1"), "version", "schema_version", "'1' is not usable"),
        (at(schema_version=True), "version", "schema_version", "True is not usable"),
        (at(active_power=float("nan")), "schema", "active_power", "nan"),
        (at(active_power=None), "schema", "active_power", "null is not usable; give a value"),
        (at(active_power="12"), "schema", "active_power", "'12' is not usable; give a number"),
        (at(active_power=True), "schema", "active_power", "True"),
        (at(active_power=10**400), "schema", "active_power", "give a number"),
        (at(active_power=[1.0]), "schema", "active_power", "give a number"),
        (at(voltage_magnitude=2.5), "schema", "voltage_magnitude", "2.5"),
        (at(frequency_hz=44.0), "schema", "frequency_hz", "44.0"),
        (at(measurement_quality=4), "schema", "measurement_quality", "give 3 or less"),
        (at(measurement_quality=0.5), "schema", "measurement_quality", "0.5"),
        (at(measurement_quality=2**40), "schema", "measurement_quality", "give 3 or less"),
        (at(power_factor=-1.5), "schema", "power_factor", "-1.5"),
        (at(volts=1), "schema", "volts", "there is no such field"),
        (at(generator_id=""), "schema", "generator_id", "printable"),
        (at(source="a\x00b"), "schema", "source", "printable"),
        (at(source="x" * 201), "schema", "source", "printable"),
        (at(generator_id="unit_x"), "unknown_point", "generator_id", "'unit_x'"),
        (at(bus_id="bus_9"), "unknown_point", "bus_id", "'bus_9'"),
        (at(case_name="else"), "unknown_point", "case_name", "use one of: feed"),
        (at(time="2020-07-06T11:00:00"), "schema", "time", "with a zone"),
        (at(time="yesterday"), "schema", "time", "'yesterday'"),
        (at(time=1795000000), "schema", "time", "1795000000"),
        (at(time="9999-01-01T00:00:00Z"), "schema", "time", "9999"),
        (at(time="1815-12-10T00:00:00Z"), "time", "time", "1815-12-10"),
        (at(time="2031-01-01T00:00:00Z"), "time", "time", "after its message"),
        (at(available_at="2031-01-01T00:00:00Z"), "time", "available_at", "after its message"),
        (at(generator_id=["unit_1", "unit_2"], active_power=[1.0]), "schema", "active_power", "2"),
    ],
)
def test_a_wrong_message_names_field_and_value(
    value: Any, verdict: str, field: str, words: str
) -> None:
    letter = one(value)
    assert (letter.verdict, letter.field) == (verdict, field)
    assert words in letter.reason
    assert "\n" not in letter.reason
    assert len(letter.reason) < 250


def test_an_oversized_message_is_kept_whole_and_not_read() -> None:
    rules = Rules(CASE, {CASE: POINTS}, max_bytes=1000)
    (letter,) = parse(messages(scan(0)), rules).letters
    assert letter.verdict == "oversized"
    assert len(letter.payload) > 1000


def test_wrong_points_of_a_scan_leave_the_others() -> None:
    broken = scan(0)
    broken["active_power"][7] = None
    broken["generator_id"][9] = "unit_x"
    parsed = parse(messages(broken), RULES)
    units = parsed.rows[POWER_TOPIC]["generator_id"].to_pylist()
    assert units == [UNITS[n] for n in range(200) if n not in (7, 9)]
    (letter,) = parsed.letters
    assert letter.field == "active_power"
    assert "2 of 200 points are wrong" in letter.reason


def test_many_wrong_messages_among_good_ones_are_each_told() -> None:
    values = [at(active_power="x") if n % 7 == 0 else reading(n) for n in range(1000)]
    parsed = parse(messages(*values), RULES)
    assert [letter.offset - 100 for letter in parsed.letters] == list(range(0, 1000, 7))
    kept = [offset - 100 for offset in parsed.rows[POWER_TOPIC]["stream_offset"].to_pylist()]
    assert kept == [n for n in range(1000) if n % 7]


def test_a_clock_that_is_not_set_does_not_make_readings_absurd() -> None:
    now = datetime.now(UTC).isoformat()
    for sent in (-1, 0, 10**15):
        parsed = parse(messages(at(time=now, available_at=now), sent=sent), RULES)
        assert parsed.letters == ()


def test_loads_and_changes_are_read_by_their_topics() -> None:
    load = {"time": "2020-07-06T11:00:00Z", "load_id": "area_1", "active_power_mw": 900.0}
    parsed = parse(messages(load, topic=LOAD_TOPIC), RULES)
    (row,) = parsed.rows[LOAD_TOPIC].select(list(LOAD_MEASUREMENTS.names)).to_pylist()
    assert (row["load_id"], row["active_power_mw"], row["bus_id"]) == ("area_1", 900.0, None)
    change = {"time": "2020-07-06T11:00:00Z", "element": "branch", "element_id": "line_1"}
    parsed = parse(messages(change | {"closed": False}, topic=TOPOLOGY_TOPIC), RULES)
    assert status_changes(parsed.rows[TOPOLOGY_TOPIC]) == (
        StatusChange(
            datetime(2020, 7, 6, 11, tzinfo=UTC),
            CASE,
            "branch",
            "line_1",
            False,
            0,
            datetime.fromtimestamp(SENT / 1000, UTC),
            "stream",
        ),
    )
    assert one(change | {"closed": 0}, TOPOLOGY_TOPIC).field == "closed"
    assert one(change | {"closed": True, "element": "cow"}, TOPOLOGY_TOPIC).field == "element"
    strange = one(change | {"closed": True, "element_id": "line_2"}, TOPOLOGY_TOPIC)
    assert (strange.verdict, strange.field) == ("unknown_point", "element_id")


def test_requests_are_read_with_their_options() -> None:
    ask = {"request_id": "r-1", "config": {"intervals": 6}, "requested_at": "2020-07-06T11:00:00Z"}
    (request,) = parse(messages(ask, topic=REQUESTS_TOPIC), RULES).requests
    assert (request.request_id, request.case_name, request.config) == (
        "r-1",
        CASE,
        {"intervals": 6},
    )
    for changes, field in (
        ({"request_id": 5}, "request_id"),
        ({"config": []}, "config"),
        ({"config": {"a": "\x00"}}, "config"),
        ({"case_name": "else"}, "case_name"),
        ({"requested_at": "noon"}, "requested_at"),
        ({"more": 1}, "more"),
    ):
        assert one(ask | changes, REQUESTS_TOPIC).field == field


def test_a_topic_that_nobody_reads_gives_letters() -> None:
    assert one({"a": 1}, "gossip").field == "topic"
