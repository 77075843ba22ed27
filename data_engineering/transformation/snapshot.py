"""The newest reading of every point, kept from batches in any order.

Of two readings of a point the later one stands; of the same time, the one known later; then the
better quality, then the greater value. So the same readings give the same snapshot in whatever
order and however often they come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_engineering.model.grid import Flags, Floats, Ints, Texts
from data_engineering.model.snapshot import BAD, NEVER_NS, Points, Quantity, Snapshot
from data_engineering.model.stream import BRANCH_TOPIC, LOAD_TOPIC, POWER_TOPIC

MEASURED: tuple[tuple[str, str, str, Quantity], ...] = (
    (POWER_TOPIC, "generator_id", "active_power", "generator_mw"),
    (LOAD_TOPIC, "load_id", "active_power_mw", "load_mw"),
    (BRANCH_TOPIC, "branch_id", "active_power_from_mw", "branch_mw"),
    (BRANCH_TOPIC, "branch_id", "loading_percent", "branch_percent"),
)
"""Table, column of the point, column of the value, quantity."""


@dataclass(frozen=True, eq=False)
class Merged:
    """What a batch made of a snapshot.

    Attributes:
        taken: readings that changed it.
        late: readings that are older than what was known of their point.
        same: readings that were known already, or gave way to another of the same time.
        bad: readings of bad quality.
    """

    snapshot: Snapshot
    taken: int = 0
    late: int = 0
    same: int = 0
    bad: int = 0


def merge(snapshot: Snapshot, readings: Mapping[str, pa.Table]) -> Merged:
    """A snapshot with the readings of its case in a batch, and what became of them.

    Args:
        snapshot: what was known.
        readings: by table name, as `Committed.readings`; other tables and cases are left out.
    """
    points, at_ns = dict(snapshot.points), snapshot.at_ns
    counts = np.zeros(4, dtype=np.int64)
    for table, element, value, quantity in MEASURED:
        rows = _rows_of(readings.get(table), snapshot.case_name, value)
        if rows is None:
            continue
        columns = _readings(rows, element, value)
        before = points.get(quantity)
        points[quantity], found = _merge_points(before, columns)
        at_ns = max(at_ns, int(columns.available_ns.max()))
        counts += found
    taken, late, same, bad = counts.tolist()
    if not taken and not bad and at_ns == snapshot.at_ns:
        return Merged(snapshot, taken, late, same, bad)
    return Merged(replace(snapshot, points=points, at_ns=at_ns), taken, late, same, bad)


def fresh_share(snapshot: Snapshot, oldest_ns: int) -> float:
    """The share of a snapshot's units and loads with a usable reading not before `oldest_ns`.

    0 without any.
    """
    count = fresh = 0
    for quantity in ("generator_mw", "load_mw"):
        points = snapshot.points.get(quantity)
        if points is not None:
            usable = (points.time_ns >= oldest_ns) & (points.bad_ns <= points.time_ns)
            count, fresh = count + len(points), fresh + int(usable.sum())
    return fresh / count if count else 0.0


def snapshot_to_document(snapshot: Snapshot) -> dict[str, Any]:
    """The snapshot as JSON values; `snapshot_from_document` gives back an equal one."""
    return {
        "case_name": snapshot.case_name,
        "at_ns": snapshot.at_ns,
        "points": {
            quantity: {
                "id": points.id.tolist(),
                "value": [None if np.isnan(value) else value for value in points.value.tolist()],
                "time_ns": points.time_ns.tolist(),
                "available_ns": points.available_ns.tolist(),
                "quality": points.quality.tolist(),
                "bad_ns": points.bad_ns.tolist(),
            }
            for quantity, points in snapshot.points.items()
        },
    }


def snapshot_from_document(document: Mapping[str, Any]) -> Snapshot:
    """The snapshot that `snapshot_to_document` wrote."""
    points: dict[Quantity, Points] = {}
    for quantity, columns in document["points"].items():
        values = [np.nan if value is None else value for value in columns["value"]]
        points[quantity] = Points(
            id=np.array(columns["id"], dtype=np.str_),
            value=np.array(values, dtype=np.float64),
            **{
                name: np.array(columns[name], dtype=np.int64)
                for name in ("time_ns", "available_ns", "quality", "bad_ns")
            },
        )
    return Snapshot(document["case_name"], points, document["at_ns"])


def _rows_of(table: pa.Table | None, case_name: str, value: str) -> pa.Table | None:
    if table is None or table.num_rows == 0:
        return None
    mine = pc.equal(table["case_name"], case_name)
    given = pc.and_(mine, pc.fill_null(pc.is_finite(table[value]), False))
    rows = table if pc.all(given).as_py() else table.filter(given)
    return rows if rows.num_rows else None


@dataclass(frozen=True, eq=False)
class _Readings:
    """Readings of one quantity; `name` is the place of each one's point in `names`."""

    names: Texts
    name: Ints
    value: Floats
    time_ns: Ints
    available_ns: Ints
    quality: Ints


def _readings(rows: pa.Table, element: str, value: str) -> _Readings:
    names = pc.dictionary_encode(rows[element].combine_chunks())
    return _Readings(
        names=names.dictionary.to_numpy(zero_copy_only=False).astype(np.str_),
        name=names.indices.to_numpy(zero_copy_only=False).astype(np.int64),
        value=rows[value].to_numpy() + 0.0,  # there is one zero, so that digests agree
        time_ns=_times(rows["time"]),
        available_ns=_times(rows["available_at"]),
        quality=rows["measurement_quality"].to_numpy(),
    )


def _times(column: pa.ChunkedArray) -> Ints:
    micros: Ints = column.cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy()
    return micros * 1000


def _grown(points: Points | None, names: Texts) -> Points:
    """The points with new ones, which have no reading yet, for the names that they lack."""
    known = np.zeros(0, dtype=np.str_) if points is None else points.id
    new = np.setdiff1d(names, known)
    if points is not None and not len(new):
        return points
    count = len(new)
    order = np.argsort(np.concatenate([known, new]), kind="stable")
    fill = {"value": np.nan, "time_ns": NEVER_NS, "available_ns": NEVER_NS, "bad_ns": NEVER_NS}

    def column(name: str, kind: type[np.float64] | type[np.int64]) -> Any:
        old = np.zeros(0, dtype=kind) if points is None else getattr(points, name)
        return np.concatenate([old, np.full(count, fill.get(name, 0), dtype=kind)])[order]

    return Points(
        id=np.concatenate([known, new])[order],
        value=column("value", np.float64),
        time_ns=column("time_ns", np.int64),
        available_ns=column("available_ns", np.int64),
        quality=column("quality", np.int64),
        bad_ns=column("bad_ns", np.int64),
    )


def _merge_points(before: Points | None, readings: _Readings) -> tuple[Points, Ints]:
    """The points with the readings; how many were taken, late, the same and bad."""
    points = _grown(before, readings.names)
    place = np.searchsorted(points.id, readings.names)[readings.name]
    bad = readings.quality == BAD
    bad_ns = points.bad_ns.copy()
    np.maximum.at(bad_ns, place[bad], readings.time_ns[bad])
    newest = points.time_ns.copy()
    np.maximum.at(newest, place[~bad], readings.time_ns[~bad])
    late = ~bad & (readings.time_ns < points.time_ns[place])
    asks = np.flatnonzero(~bad & (readings.time_ns == newest[place]))
    best, chosen = _best(points, readings, place[asks], asks)
    columns = {
        name: getattr(points, name).copy() for name in ("value", "time_ns", "available_ns")
    } | {"quality": points.quality.copy()}
    for name, column in columns.items():
        column[best] = getattr(readings, name)[chosen]
    taken = len(best)
    counts = (taken, int(late.sum()), int((~bad & ~late).sum()) - taken, int(bad.sum()))
    return Points(id=points.id, bad_ns=bad_ns, **columns), np.array(counts, dtype=np.int64)


def _best(points: Points, readings: _Readings, place: Ints, asks: Ints) -> tuple[Ints, Ints]:
    """The points that change, and the reading that each takes.

    Args:
        points: what stands.
        readings: what comes.
        place: the point of each reading in `asks`.
        asks: readings of their point's newest time.
    """
    order = np.lexsort(
        (
            readings.value[asks],
            -readings.quality[asks],
            readings.available_ns[asks],
            place,
        )
    )
    last: Flags = np.append(place[order][1:] != place[order][:-1], True)[: len(order)]
    where, chosen = place[order][last], asks[order][last]
    new = [readings.time_ns, readings.available_ns, -readings.quality, readings.value]
    old = [points.time_ns, points.available_ns, -points.quality, points.value]
    wins, equal = np.zeros(len(where), dtype=np.bool_), np.ones(len(where), dtype=np.bool_)
    for mine, theirs in zip(new, old, strict=True):
        wins |= equal & (mine[chosen] > theirs[where])
        equal &= mine[chosen] == theirs[where]
    return where[wins], chosen[wins]
