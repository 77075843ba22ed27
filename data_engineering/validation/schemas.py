"""What a table's declaration asks of a frame, before any value is looked at."""

from __future__ import annotations

import pandas as pd

from data_engineering.model.columns import Table

_KINDS = {
    "text": "O",
    "uuid": "O",
    "json": "O",
    "texts": "O",
    "date": "O",
    "float": "fiu",
    "integer": "iu",
    "boolean": "b",
    "timestamp": "M",
}
"""NumPy kinds that a column of a declared type may have."""


def schema_faults(table: Table, frame: pd.DataFrame) -> list[str]:
    """How a frame differs from its table: columns missing, not declared, or of another type.

    A column without any value may have any type where null is allowed.
    """
    declared = {column.name: column for column in table.written}
    faults = [f"column {name} is missing" for name in declared if name not in frame]
    faults += [f"column {name} is not declared" for name in frame if name not in declared]
    for name in frame.columns.intersection(list(declared)):
        column = declared[name]
        if column.nullable and frame[name].isna().all():
            continue
        kind = getattr(frame[name].dtype, "kind", "O")
        if kind not in _KINDS[column.dtype]:
            faults.append(f"column {name} is {frame[name].dtype}, declared {column.dtype}")
        elif column.dtype == "timestamp" and getattr(frame[name].dt, "tz", None) is None:
            faults.append(f"column {name} has no time zone, declared {column.dtype}")
    return faults
