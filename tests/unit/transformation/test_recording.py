"""A recording by seconds: the same ones in whatever pieces it was read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from data_engineering.model.stream import Committed, StatusChange, StreamRequest
from data_engineering.transformation.recording import Seconds, known_after

START = datetime(2020, 7, 6, 14, tzinfo=UTC)
FIRST = int(START.timestamp())


def rows(*seconds: float) -> pa.Table:
    kind = pa.timestamp("us", "UTC")
    known = [START + timedelta(seconds=each) for each in seconds]
    return pa.table({"available_at": pa.array(known, kind), "id": list(seconds)})


def change(seconds: float) -> StatusChange:
    at = START + timedelta(seconds=seconds)
    return StatusChange(at, "c", "branch", "A1", False, 0, at)


def batch(changes: tuple[float, ...] = (), **readings: pa.Table) -> Committed:
    return Committed(readings, tuple(change(each) for each in changes), (), START)


def words(parts: list[tuple[int, Committed]]) -> list[tuple[int, dict[str, list[float]], int]]:
    return [
        (
            second - FIRST,
            {name: table["id"].to_pylist() for name, table in part.readings.items()},
            len(part.changes),
        )
        for second, part in parts
    ]


def test_a_second_is_whole_when_a_later_one_has_come():
    seconds = Seconds()
    first = seconds.add(batch((0.2, 0.9), power=rows(0.0, 0.0, 5.0), load=rows(0.0)))
    assert words(first) == [(0, {"power": [0.0, 0.0], "load": [0.0]}, 2)]
    assert seconds.add(batch(load=rows(5.0))) == []
    assert words(seconds.add(batch((7.0,)))) == [(5, {"power": [5.0], "load": [5.0]}, 0)]
    assert words(seconds.rest()) == [(7, {}, 1)]
    assert seconds.rest() == []


def test_what_comes_late_belongs_to_the_newest_second_of_its_topic():
    seconds = Seconds()
    given = seconds.add(batch(power=rows(0.0, 9.0, 4.0, 12.0)))
    assert words(given) == [(0, {"power": [0.0]}, 0), (9, {"power": [9.0, 4.0]}, 0)]
    # Of another topic: its second was given out, so it goes before the next one.
    assert words(seconds.add(batch(load=rows(3.0, 20.0)))) == [
        (10, {"load": [3.0]}, 0),
        (12, {"power": [12.0]}, 0),
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_pieces_of_any_size_give_the_same_seconds(size):
    times = [0.0, 0.5, 0.5, 3.0, 1.0, 3.2, 7.0, 6.9, 7.0, 30.0]
    whole = Seconds()
    expected = words(whole.add(batch(power=rows(*times))) + whole.rest())
    pieces, found = Seconds(), []
    for start in range(0, len(times), size):
        found += pieces.add(batch(power=rows(*times[start : start + size])))
    assert words(found + pieces.rest()) == expected
    assert [second for second, _, _ in expected] == [0, 3, 7, 30]


def test_requests_go_with_their_second():
    seconds = Seconds()
    asked = StreamRequest("r", "c", START + timedelta(seconds=2))
    parts = seconds.add(Committed({"power": rows(1.0, 9.0)}, (), (asked,), START))
    assert [(second - FIRST, len(part.requests)) for second, part in parts] == [(1, 0), (2, 1)]


def test_what_was_known_at_a_time_is_left_out():
    found = known_after(batch((1.0, 2.0), power=rows(1.0, 2.0, 3.0)), START + timedelta(seconds=2))
    assert (found.readings["power"]["id"].to_pylist(), found.changes) == ([3.0], ())
