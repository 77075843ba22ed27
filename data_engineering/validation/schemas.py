"""What a table's declaration asks of a frame, before any value is looked at."""

from __future__ import annotations

import pandas as pd
from pandas.api.types import infer_dtype

from data_engineering.model.columns import Column, Dtype, Table

_KINDS: dict[Dtype, str] = {
    "text": "O",
    "uuid": "O",
    "json": "O",
    "texts": "O",
    "date": "O",
    "float": "fiu",
    "integer": "iu",
    "bigint": "iu",
    "boolean": "b",
    "timestamp": "M",
}
"""NumPy kinds that a column of a declared type may have."""
_VALUES = {"text": "string", "date": "date"}
"""What pandas infers the values of an object column of a declared type to be."""


def column_faults(table: Table, frame: pd.DataFrame) -> list[str]:
    """Columns that are missing or not declared."""
    declared = [column.name for column in table.written]
    faults = [f"column {name} is missing" for name in declared if name not in frame]
    return faults + [f"column {name} is not declared" for name in frame if name not in declared]


def type_faults(table: Table, frame: pd.DataFrame) -> list[str]:
    """Declared columns whose values are of another type, and columns that are there twice.

    A column without any value may have any type where null is allowed. Whole numbers that pandas
    holds as floats, as it does beside nulls, are integers.
    """
    twice = frame.columns[frame.columns.duplicated()].unique()
    unique = frame.loc[:, ~frame.columns.duplicated(keep=False)]
    found = [
        (column, _found_type(column, unique[column.name]))
        for column in table.written
        if column.name in unique
    ]
    return [
        *(f"column {name} is there more than once" for name in twice),
        *(f"column {c.name} is {kind}, declared {c.dtype}" for c, kind in found if kind),
    ]


def _found_type(column: Column, values: pd.Series) -> str | None:
    """The type of the values where it is not the declared one, else None."""
    present = values.dropna()
    if present.empty:
        return None if column.nullable or values.empty else "without any value"
    kind = getattr(values.dtype, "kind", "O")
    if column.dtype == "integer" and kind == "f":
        return None if (present % 1 == 0).all() else "fractional"
    if kind not in _KINDS[column.dtype]:
        return str(values.dtype)
    if column.dtype == "timestamp" and getattr(values.dt, "tz", None) is None:
        return "without time zone"
    inferred = infer_dtype(present)
    return inferred if inferred != _VALUES.get(column.dtype, inferred) else None
