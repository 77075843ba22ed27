"""Row by row: nulls, bounds, times, points. What is wrong with a row is told by its message."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from data_engineering.ingestion.stream_columns import MESSAGE
from data_engineering.ingestion.stream_rules import (
    ELEMENTS,
    LONGEST_TEXT,
    Rules,
    Shape,
)
from data_engineering.model.columns import Column
from data_engineering.model.stream import TOPOLOGY_TOPIC, Verdict

Flags = npt.NDArray[np.bool_]
_INT32 = 2**31 - 1


@dataclass(frozen=True)
class Fault:
    """Rows of one message that are not taken: the first of them, and how many of how many."""

    message: int
    verdict: Verdict
    field: str
    value: object
    remedy: str
    rows: int
    of: int


def check(
    shape: Shape, rows: pa.Table, sent: Sequence[int], rules: Rules
) -> tuple[pa.Table, list[Fault]]:
    """The rows that are right, and the faults of the messages that have others.

    Args:
        shape: of their topic.
        rows: as `stream_columns.build` gives them.
        sent: when each message was sent (ms since 1970).
        rules: limits and known points.
    """
    bad = np.zeros(rows.num_rows, dtype=bool)
    first: dict[int, Fault] = {}
    messages = rows.column(MESSAGE).to_numpy()
    for verdict, field, wrong, remedy in _findings(shape, rows, sent, rules):
        if not wrong.any():
            continue
        fresh = np.flatnonzero(wrong & ~bad)
        bad |= wrong
        for row in fresh[np.unique(messages[fresh], return_index=True)[1]]:
            message, value = int(messages[row]), rows.column(field)[int(row)].as_py()
            first.setdefault(message, Fault(message, verdict, field, value, remedy, 1, 1))
    if not first:
        return rows, []
    of, wrong_of = np.bincount(messages), np.bincount(messages[bad])
    faults = [
        Fault(m, f.verdict, f.field, f.value, f.remedy, int(wrong_of[m]), int(of[m]))
        for m, f in sorted(first.items())
    ]
    return rows.filter(pa.array(~bad)), faults


_Finding = tuple[Verdict, str, Flags, str]


def _findings(
    shape: Shape, rows: pa.Table, sent: Sequence[int], rules: Rules
) -> Iterator[_Finding]:
    for column in shape.columns:
        values = rows.column(column.name)
        if values.null_count and not column.nullable:
            yield "schema", column.name, _flags(pc.is_null(values)), "give a value"
        if column.dtype in ("float", "integer"):
            yield from _numbers(column, values)
        elif column.dtype == "text":
            yield from _texts(column, values)
        elif column.dtype == "timestamp":
            yield from _times(column, values, rows, sent, rules)
    if shape.table.name == TOPOLOGY_TOPIC:
        outside = ~_flags(pc.is_in(rows.column("element"), pa.array(ELEMENTS)))
        yield "schema", "element", outside, f"use one of: {', '.join(ELEMENTS)}"
    if rules.points:
        yield from _points(shape, rows, rules)


def _numbers(column: Column, values: pa.ChunkedArray) -> Iterator[_Finding]:
    if column.dtype == "float":
        outside = ~_flags(pc.is_finite(values), null=True)
        yield "schema", column.name, outside, "give a finite number"
    limits = [column.minimum, column.maximum]
    if column.dtype == "integer":
        limits = [-_INT32 if limits[0] is None else limits[0], limits[1] or _INT32]
    low, high = limits
    if low is not None:
        yield "schema", column.name, _flags(pc.less(values, low)), f"give {low:g} or more"
    if high is not None:
        yield "schema", column.name, _flags(pc.greater(values, high)), f"give {high:g} or less"


def _texts(column: Column, values: pa.ChunkedArray) -> Iterator[_Finding]:
    wrong = [
        text
        for text in pc.unique(values).to_pylist()
        if text is not None and not (0 < len(text) <= LONGEST_TEXT and text.isprintable())
    ]
    if wrong:
        flags = _flags(pc.is_in(values, pa.array(wrong, pa.string())))
        yield "schema", column.name, flags, f"give 1 to {LONGEST_TEXT} printable characters"


def _times(
    column: Column, values: pa.ChunkedArray, rows: pa.Table, sent: Sequence[int], rules: Rules
) -> Iterator[_Finding]:
    sent_us = np.array(sent, dtype=np.int64) * 1000
    ahead, behind = rules.max_ahead_minutes * 60e6, rules.max_age_days * 86_400e6
    limits = pc.min_max(values.cast(pa.int64())).as_py()
    if limits["max"] is None or (
        limits["max"] - sent_us.min() <= ahead and sent_us.max() - limits["min"] <= behind
    ):
        return  # every pair of a time and a message is near enough
    given = values.cast(pa.int64()).fill_null(0).to_numpy()
    distance = given - sent_us[rows.column(MESSAGE).to_numpy()]
    there = ~_flags(pc.is_null(values))
    after = f"it is more than {rules.max_ahead_minutes:g} min after its message"
    before = f"it is more than {rules.max_age_days:g} days before its message"
    yield "time", column.name, there & (distance > ahead), after
    yield "time", column.name, there & (distance < -behind), before


def _points(shape: Shape, rows: pa.Table, rules: Rules) -> Iterator[_Finding]:
    cases = rows.column("case_name")
    unknown = ~_flags(pc.is_in(cases, pa.array(sorted(rules.points))))
    yield "unknown_point", "case_name", unknown, f"use one of: {', '.join(sorted(rules.points))}"
    topic = shape.table.name
    for case, points in rules.points.items():
        here = _flags(pc.equal(cases, case))
        if not here.any():
            continue
        for element in ELEMENTS if topic == TOPOLOGY_TOPIC else (None,):
            known = points.of(topic, element)
            if known is None:
                continue
            asked = here if element is None else here & _flags(pc.equal(rows["element"], element))
            missing = asked & ~_among(rows.column(shape.point), known)
            yield "unknown_point", shape.point, missing, f"case {case} has no such point"
        for name in ("bus_id", "from_bus_id", "to_bus_id"):
            if name in shape.table.names:
                values = rows.column(name)
                missing = here & ~_among(values, points.buses) & ~_flags(pc.is_null(values))
                yield "unknown_point", name, missing, f"case {case} has no such bus"


def _among(values: pa.ChunkedArray, known: frozenset[str]) -> Flags:
    """Looks every distinct value up once."""
    strange = [text for text in pc.unique(values).to_pylist() if text not in known]
    if not strange:
        return np.ones(len(values), dtype=bool)
    return ~_flags(pc.is_in(values, pa.array(strange, pa.string())))


def _flags(values: pa.ChunkedArray, *, null: bool = False) -> Flags:
    return np.asarray(values.fill_null(null).to_numpy(), dtype=bool)
