"""Faults that a live feed has, put into a recorded one: chosen by a seed, told by the truth."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from data_engineering.ingestion.replay_feed import (
    INTERVAL,
    POINTS,
    Form,
    Outgoing,
    Row,
    change_message,
    encode,
    messages_of,
)
from data_engineering.model.errors import BadInput
from data_engineering.model.stream import POWER_TOPIC, Verdict
from data_engineering.model.tables import BRANCH_MEASUREMENTS

FAULTS = ("trips", "bad-quality", "late", "duplicate", "out-of-order", "garbage")
SHARE = 0.01
"""Of the readings that have each of the faults."""
GARBAGE_EACH = 0.2
"""Messages of garbage a scan."""
TRIPS_A_DAY = 6
SCAN = timedelta(seconds=1)
"""Between the two scans that tell a trip."""
VALUES = ("active_power", "active_power_mw", "active_power_from_mw", "loading_percent")
_SOURCE = "replay"


@dataclass(frozen=True)
class Trip:
    """An element that opens and closes again."""

    element: str
    element_id: str
    opens: datetime
    closes: datetime


def fault_names(text: str) -> frozenset[str]:
    """The faults of a list such as `trips,late`; `all` is all of them.

    Raises:
        BadInput: there is no such fault.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if names == ["all"]:
        return frozenset(FAULTS)
    for name in names:
        if name not in FAULTS:
            raise BadInput("--faults", name, f"use some of {', '.join(FAULTS)}, or all")
    return frozenset(names)


def trips_of(
    branches: Sequence[str], units: Sequence[str], start: datetime, end: datetime, seed: int
) -> list[Trip]:
    """The trips that begin in `[start, end)`: some a day, half of them of branches."""
    found = []
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    while midnight < end:
        rng = np.random.default_rng([seed, midnight.toordinal()])
        for number in range(TRIPS_A_DAY):
            names = branches if number % 2 == 0 else units
            name = str(names[int(rng.integers(len(names)))])
            opens = midnight + timedelta(seconds=int(rng.integers(86_400)))
            lasts = timedelta(seconds=int(rng.integers(600, 3_600)))
            kind = "branch" if number % 2 == 0 else "generator"
            if start <= opens < end:
                found.append(Trip(kind, name, opens, opens + lasts))
        midnight += timedelta(days=1)
    return sorted(found, key=lambda trip: (trip.opens, trip.element_id))


def trip_messages(trips: Sequence[Trip], case_name: str, end: datetime) -> Iterator[Outgoing]:
    """The scans of trips before `end`: two of each change, in the order of time."""
    scans = [
        (time + count * SCAN, trip, closed)
        for trip in trips
        for time, closed in ((trip.opens, False), (trip.closes, True))
        for count in range(2)
    ]
    for number, (at, trip, closed) in enumerate(sorted(scans, key=lambda each: each[0])):
        if at < end:
            told = change_message(case_name, trip.element, trip.element_id, closed, at, _SOURCE)
            yield Outgoing(at, number, "topology_changes", *told)


def tripped(
    scans: Iterable[tuple[datetime, dict[str, list[Row]]]], trips: Sequence[Trip]
) -> Iterator[tuple[datetime, dict[str, list[Row]]]]:
    """Scans in which what is open at the end of an interval carries nothing."""
    for at, tables in scans:
        out = {trip.element_id for trip in trips if trip.opens <= at < trip.closes}
        for table, rows in tables.items():
            for row in rows if out else ():
                if row[POINTS[table]] in out:
                    row.update({name: 0.0 for name in VALUES if name in row})
                    if table == BRANCH_MEASUREMENTS.name:
                        row["in_service"] = False
        yield at, tables


def faulty(
    scans: Iterable[tuple[datetime, dict[str, list[Row]]]],
    form: Form,
    faults: frozenset[str],
    seed: int,
) -> Iterator[Outgoing]:
    """The messages of scans with faults, in the order in which they leave.

    A reading with a fault is a message of its own. Bad ones have another value and say so; late
    ones are known 1 to 30 minutes after they should be; those out of order are known in time and
    arrive up to two intervals later; duplicates leave again up to two intervals later.
    """
    waiting: list[Outgoing] = []
    number = 0

    def add(at: datetime, table: str, told: Iterable[tuple[str, bytes, tuple[Row, ...]]]) -> None:
        nonlocal number
        for key, value, truth in told:
            heapq.heappush(waiting, Outgoing(at, number, table, key, value, truth))
            number += 1

    for at, tables in scans:
        rng = np.random.default_rng([seed, int(at.timestamp())])
        for table, rows in tables.items():
            kept = []
            for row, draws in zip(rows, rng.random((len(rows), 4)), strict=True):
                bad, late, swapped, twice = draws < SHARE
                wait = timedelta(seconds=int(60 + 1740 * rng.random())) if late else None
                if bad and "bad-quality" in faults:
                    _spoil(row)
                if late and "late" in faults and wait is not None:
                    add(at + wait, table, messages_of(table, [row], at + wait, "single"))
                    continue
                told = messages_of(table, [row], at, "single")
                if swapped and "out-of-order" in faults:
                    add(at + 2 * INTERVAL * rng.random(), table, told)
                    continue
                kept.append(row)
                if twice and "duplicate" in faults:
                    again = [(key, value, ()) for key, value, _ in told]
                    add(at + 2 * INTERVAL * rng.random(), table, again)
            add(at, table, messages_of(table, kept, at, form))
        if "garbage" in faults and rng.random() < GARBAGE_EACH:
            add(at, POWER_TOPIC, [_garbage(rng, at)])
        while waiting and waiting[0].at <= at:
            yield heapq.heappop(waiting)
    while waiting:
        yield heapq.heappop(waiting)


def _spoil(row: Row) -> None:
    row["measurement_quality"] = 2
    for name in VALUES:
        if name in row:
            row[name] = round(2.0 * row[name] + 50.0, 3)


def _garbage(rng: np.random.Generator, at: datetime) -> tuple[str, bytes, tuple[Row, ...]]:
    """A message that is none, with the verdict that it must get."""
    good: dict[str, Any] = {
        "schema_version": 1,
        "time": at - INTERVAL,
        "generator_id": "122_WIND_1",
        "bus_id": "122",
        "active_power": 1.0,
        "measurement_quality": 0,
        "available_at": at,
        "source": _SOURCE,
    }
    unnamed = {name: value for name, value in good.items() if name != "generator_id"}
    kinds: list[tuple[bytes, Verdict]] = [
        (b"\xff\xfe\x00 not JSON", "garbage"),
        (encode(good)[:-7], "garbage"),
        (b"[1, 2, 3]", "garbage"),
        (encode(good | {"schema_version": 99}), "version"),
        (encode(good | {"generator_id": "999_NOBODY_1"}), "unknown_point"),
        (encode(good | {"active_power": float("nan")}), "schema"),
        (encode(good | {"active_power": "much"}), "schema"),
        (encode(good | {"active_power": None}), "schema"),
        (encode(unnamed), "schema"),
        (encode(good | {"time": at.replace(year=1900)}), "time"),
        (encode(good | {"time": at + timedelta(days=40_000)}), "time"),
    ]
    value, verdict = kinds[int(rng.integers(len(kinds)))]
    return "garbage", value, ({"kind": "letter", "topic": POWER_TOPIC, "verdict": verdict},)
