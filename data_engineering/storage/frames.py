"""From a pandas frame to the arrow table that its declaration asks for, or an error."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from data_engineering.model.columns import ARROW, Column, Table
from data_engineering.model.errors import BadInput

_INT32 = 2**31 - 1


def to_arrow(table: Table, frame: pd.DataFrame) -> pa.Table:
    """The written columns of `table` in their order, checked and with their declared types.

    NaN is null. Where rows share a key the last one stands, as if they were written one by one.

    Args:
        table: what the frame must be.
        frame: exactly the written columns, in any order; timestamps have a time zone.

    Raises:
        BadInput: a column is missing, unknown, of another type, out of range, or null where it
            must not be.
    """
    names = [column.name for column in table.written]
    missing = sorted(set(names) - set(frame.columns))
    extra = sorted({str(name) for name in frame.columns} - set(names))
    if missing:
        raise BadInput(f"{table.name} columns", missing, "they are missing: give them")
    if extra or len(frame.columns) != len(names):
        raise BadInput(f"{table.name} columns", extra, "the table has no such columns: leave out")
    rows = frame.loc[:, names]
    if set(table.key) <= set(names):
        rows = rows[~rows.duplicated(list(table.key), keep="last")]
    arrays = [_convert(table, column, rows[column.name]) for column in table.written]
    return pa.Table.from_arrays(arrays, schema=table.arrow_schema())


def _convert(table: Table, column: Column, values: pd.Series[Any]) -> pa.Array:
    field = f"{table.name}.{column.name}"
    kind = ARROW[column.dtype]
    if len(values) == 0 or (
        pd.api.types.is_object_dtype(values.dtype) and bool(values.isna().all())
    ):
        array = pa.nulls(len(values), kind)
    else:
        _refuse_look_alikes(field, column, values)
        if column.dtype in _TO_TEXT:
            values = values.astype(object).map(_TO_TEXT[column.dtype], na_action="ignore")
        try:
            array = pa.Array.from_pandas(values, type=kind)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
            raise BadInput(field, str(values.dtype), f"give {column.dtype}: {error}") from None
        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks()
    if array.null_count and not column.nullable:
        row = int(np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False))[0])
        raise BadInput(field, None, f"row {row} (of {array.null_count}) is null: give a value")
    _refuse_out_of_range(field, column, array)
    return array


def _refuse_look_alikes(field: str, column: Column, values: pd.Series[Any]) -> None:
    """Types that arrow would take in silence though they mean something else."""
    dtype = values.dtype
    if column.dtype == "timestamp":
        if pd.api.types.is_object_dtype(dtype):
            zones = values.dropna().map(lambda value: getattr(value, "tzinfo", None) is not None)
            aware = bool(zones.all())
        else:
            aware = isinstance(dtype, pd.DatetimeTZDtype)
        if not aware:
            raise BadInput(field, str(dtype), "give timestamps with a time zone")
    if column.dtype in ("float", "integer", "bigint") and pd.api.types.is_bool_dtype(dtype):
        raise BadInput(field, str(dtype), f"give {column.dtype}")


def _refuse_out_of_range(field: str, column: Column, array: pa.Array) -> None:
    if column.dtype == "integer" and len(array) > array.null_count:
        limits = pc.min_max(array).as_py()
        for value in limits.values():
            if abs(value) > _INT32:
                raise BadInput(field, value, "give a 32-bit integer")
    if column.dtype == "float" and pc.any(pc.is_inf(array)).as_py():
        raise BadInput(field, "infinity", "give finite numbers")


def _json_text(value: Any) -> str:
    """A JSON document as text; text is taken for a document that is already written."""
    if isinstance(value, str):
        return value
    options: dict[str, Any] = {"ensure_ascii": False, "allow_nan": False, "sort_keys": True}
    try:
        return json.dumps(value, separators=(",", ":"), **options)
    except (TypeError, ValueError) as error:
        raise BadInput("document", str(error), "give JSON values") from None


def _uuid_text(value: Any) -> str:
    try:
        return str(value if isinstance(value, uuid.UUID) else uuid.UUID(value))
    except (ValueError, AttributeError, TypeError):
        raise BadInput("uuid", value, "give a UUID") from None


_TO_TEXT: dict[str, Callable[[Any], str]] = {"json": _json_text, "uuid": _uuid_text}
