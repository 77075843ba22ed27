"""From decoded messages to columns: single readings and scans, all of them at once.

A scan is a message whose point is a list; each other field of it is a list of that length or one
value for all points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_engineering.ingestion.stream_rules import Rules, Shape
from data_engineering.model.columns import ARROW, Column

MESSAGE = "message"
"""Column of the built table: which of the messages a row is from."""

Document = Mapping[str, Any]
_TYPES: Mapping[str, frozenset[type]] = {
    "text": frozenset({str, type(None)}),
    "timestamp": frozenset({str, type(None)}),
    "float": frozenset({float, int, type(None)}),
    "integer": frozenset({int, type(None)}),
    "boolean": frozenset({bool, type(None)}),
}
_WANTED = {
    "text": "give a text",
    "timestamp": "give an ISO 8601 time with a zone, such as 2020-07-06T12:00:00Z",
    "float": "give a number",
    "integer": "give a whole number",
    "boolean": "give true or false",
}
_MICROSECOND = "us"


class Misfit(Exception):
    """A value does not fit its column; of a batch, that of one message among them."""

    def __init__(self, field: str, value: object, remedy: str) -> None:
        super().__init__(field)
        self.field, self.value, self.remedy = field, value, remedy


def build(
    shape: Shape, documents: Sequence[Document], sent: Sequence[int], rules: Rules
) -> pa.Table:
    """The rows of messages: the declared columns and `message`, the place in `documents`.

    Args:
        shape: of their topic.
        documents: decoded objects.
        sent: when each was sent (ms since 1970), for those that tell no `available_at`.
        rules: for the case of those that name none.

    Raises:
        Misfit: a value is of another type, or the lists of a scan differ in length.
    """
    is_scan = [type(document.get(shape.point)) is list for document in documents]
    tables = []
    for wanted in (False, True):
        chosen = [place for place, scan in enumerate(is_scan) if scan is wanted]
        if chosen:
            some = [documents[place] for place in chosen]
            counts = [len(one[shape.point]) for one in some] if wanted else None
            places = np.array(chosen, dtype=np.int64)
            own = pa.array(np.array(sent, dtype=np.int64)[places])
            tables.append(_rows(shape, some, counts, places, own, rules))
    return pa.concat_tables(tables) if len(tables) > 1 else tables[0]


def _rows(
    shape: Shape,
    documents: Sequence[Document],
    counts: Sequence[int] | None,
    places: np.ndarray[Any, np.dtype[np.int64]],
    sent: pa.Array,
    rules: Rules,
) -> pa.Table:
    which = None if counts is None else np.repeat(np.arange(len(counts)), counts)
    arrays = []
    for column in shape.columns:
        array = _column(column, documents, counts, which)
        if array.null_count:
            array = _with_default(column, array, sent if which is None else sent.take(which), rules)
        arrays.append(array)
    names = [column.name for column in shape.columns]
    arrays.append(pa.array(places if which is None else places[which]))
    return pa.Table.from_arrays(arrays, names=[*names, MESSAGE])


def _column(
    column: Column,
    documents: Sequence[Document],
    counts: Sequence[int] | None,
    which: np.ndarray[Any, np.dtype[np.int64]] | None,
) -> pa.Array:
    values: list[Any] = [document.get(column.name) for document in documents]
    if counts is None:
        return _typed(column, values)
    listed = [type(value) is list for value in values]
    if not any(listed):
        return _typed(column, values).take(pa.array(which))
    for value, count, is_list in zip(values, counts, listed, strict=True):
        if is_list and len(value) != count:
            raise Misfit(column.name, f"{len(value)} values", f"give {count}, one for each point")
    if not all(listed):
        values = [
            value if is_list else [value] * count
            for value, count, is_list in zip(values, counts, listed, strict=True)
        ]
    return _typed(column, list(chain.from_iterable(values)))


def _typed(column: Column, values: list[Any]) -> pa.Array:
    kinds, known = set(map(type, values)), _TYPES[column.dtype]
    if not kinds <= known:
        if column.dtype == "integer" and kinds <= known | {float}:
            values = [int(v) if type(v) is float and v.is_integer() else v for v in values]
            kinds = set(map(type, values))
        for value in values if not kinds <= known else ():
            if type(value) not in known:
                raise Misfit(column.name, value, _WANTED[column.dtype])
    kind = pa.string() if column.dtype == "timestamp" else ARROW[column.dtype]
    try:
        try:
            array = pa.array(values, kind)
        except pa.ArrowInvalid:
            # A whole number that no double holds exactly is a number all the same.
            if kind != pa.float64():
                raise
            array = pa.array([None if value is None else float(value) for value in values], kind)
        return _times(array) if column.dtype == "timestamp" else array
    except (pa.ArrowInvalid, OverflowError, UnicodeError, ValueError):
        value = values[0] if len(set(map(repr, values))) == 1 else "a value among many"
        raise Misfit(column.name, value, _WANTED[column.dtype]) from None


def _times(texts: pa.Array) -> pa.Array:
    """Microseconds UTC; finer digits are cut off."""
    distinct = texts.dictionary_encode()
    instants = distinct.dictionary.cast(pa.timestamp("ns", tz="UTC"))
    whole = pc.floor_temporal(instants, unit="microsecond").cast(ARROW["timestamp"], safe=False)
    return whole.take(distinct.indices)


def _with_default(column: Column, array: pa.Array, sent: pa.Array, rules: Rules) -> pa.Array:
    if column.name == "available_at":
        return array.fill_null(0) if len(sent) == 0 else pc.coalesce(array, _instants(sent))
    defaults = {"case_name": rules.case_name, "source": "stream", "measurement_quality": 0}
    return array.fill_null(defaults[column.name]) if column.name in defaults else array


def _instants(sent_ms: pa.Array) -> pa.Array:
    return sent_ms.cast(pa.timestamp("ms", tz="UTC")).cast(ARROW["timestamp"])
