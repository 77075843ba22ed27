"""What one transaction stored, parted by scans."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa

from data_engineering.model.stream import Committed, StatusChange

START = datetime(2020, 7, 6, 14, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def change(at: datetime) -> StatusChange:
    return StatusChange(at, "rts_gmlc", "branch", "A1", False, 0, at, "test")


def rows(*minutes: int) -> pa.Table:
    kind = pa.timestamp("us", "UTC")
    known = [START + minute * MINUTE for minute in minutes]
    return pa.table({"available_at": pa.array(known, kind), "id": list(minutes)})


def test_each_scan_is_a_part_with_the_changes_before_it() -> None:
    changes = tuple(change(START + minute * MINUTE) for minute in (0, 3, 5, 9))
    readings = {"power_measurements": rows(5, 0, 5), "load_measurements": rows(0)}
    parts = Committed(readings, changes, (), START).by_scan()
    found = [{name: part["id"].to_pylist() for name, part in p.readings.items()} for p in parts]
    assert found == [
        {"power_measurements": [0], "load_measurements": [0]},
        {"power_measurements": [5, 5]},
        {},
    ]
    assert [len(part.changes) for part in parts] == [1, 2, 1]
    assert sum((part.changes for part in parts), ()) == changes


def test_changes_alone_are_one_part() -> None:
    (part,) = Committed({}, (change(START), change(START + MINUTE)), (), START).by_scan()
    assert len(part.changes) == 2
