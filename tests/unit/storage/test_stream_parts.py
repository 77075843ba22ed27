"""Which rows are thought new: later than all of their series before, and there once."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
from stream_feed import RULES, reading

from data_engineering.ingestion.stream_messages import parse
from data_engineering.model.stream import OFFSET, PARTITION, POWER_TOPIC, RawMessage
from data_engineering.model.tables import POWER_MEASUREMENTS
from data_engineering.storage.pgcopy import encode
from data_engineering.storage.stream_parts import Newest, by_series


def rows_of(*documents: dict[str, Any]) -> pa.Table:
    values = [json.dumps(document).encode() for document in documents]
    messages = [RawMessage(POWER_TOPIC, 0, n, 0, None, value) for n, value in enumerate(values)]
    parsed = parse(messages, RULES)
    assert parsed.letters == ()
    return parsed.rows[POWER_TOPIC]


def at(unit: int, second: int, power: float = 0.0) -> dict[str, Any]:
    return reading(0, generator_id=f"unit_{unit}", time=f"2020-07-06T00:00:{second:02d}Z") | {
        "active_power": power
    }


def bytes_of(rows: pa.Table) -> bytes:
    return b"".join(map(bytes, encode(POWER_MEASUREMENTS, rows)))


def plain(*documents: dict[str, Any]) -> pa.Table:
    return rows_of(*documents).drop_columns([PARTITION, OFFSET])


def test_a_first_scan_is_new_and_laid_out_by_series() -> None:
    parts = Newest().parts(POWER_MEASUREMENTS, rows_of(at(2, 1), at(1, 1), at(2, 0), at(1, 2)))
    assert parts.others.num_rows == 0
    expected = plain(at(1, 1), at(1, 2), at(2, 0), at(2, 1))
    assert b"".join(map(bytes, parts.new)) == bytes_of(expected)


def test_a_row_that_is_not_later_than_its_series_may_be_known() -> None:
    newest = Newest()
    newest.parts(POWER_MEASUREMENTS, rows_of(at(1, 5), at(2, 9)))
    # Unit 1 has been seen to second 5, unit 2 to second 9; unit 3 never.
    found = newest.parts(
        POWER_MEASUREMENTS, rows_of(at(1, 5), at(1, 6), at(2, 8), at(2, 10), at(3, 0))
    )
    assert found.others.equals(by_series(POWER_MEASUREMENTS, plain(at(1, 5), at(2, 8))))
    expected = plain(at(1, 6), at(2, 10), at(3, 0))
    assert b"".join(map(bytes, found.new)) == bytes_of(expected)


def test_a_late_row_does_not_make_later_ones_new_again() -> None:
    newest = Newest()
    for second in (9, 3):
        newest.parts(POWER_MEASUREMENTS, rows_of(at(1, second)))
    assert newest.parts(POWER_MEASUREMENTS, rows_of(at(1, 8))).new == ()


def test_of_a_key_that_comes_twice_one_row_is_new() -> None:
    found = Newest().parts(POWER_MEASUREMENTS, rows_of(at(1, 1, 1.0), at(2, 1), at(1, 1, 2.0)))
    assert found.others.num_rows == 1
    assert b"".join(map(bytes, found.new)) in (
        bytes_of(plain(at(1, 1, 1.0), at(2, 1))),
        bytes_of(plain(at(1, 1, 2.0), at(2, 1))),
    )


def test_nothing_gives_nothing() -> None:
    empty = rows_of(at(1, 1)).slice(0, 0)
    parts = Newest().parts(POWER_MEASUREMENTS, empty)
    assert parts.new == ()
    assert parts.others.num_rows == 0
