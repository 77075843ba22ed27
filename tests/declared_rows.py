"""Rows for any declared table, drawn within its declared bounds."""

from __future__ import annotations

import uuid
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from data_engineering.model.columns import Column, Table

CHOICES = {
    "element": ["branch", "generator", "bus", "breaker"],
    "market": ["DAY_AHEAD", "REAL_TIME"],
    "contingency_type": ["N-1", "N-1-1", "N-2"],
    "triggered_by": ["SCHEDULED", "MANUAL", "EVENT", "API"],
    "convergence_status": ["optimal", "feasible", "infeasible", "not_converged", "failed"],
}
TEXTS = ["bus 1", "ünit", "quote \"' comma, tab\t", "line\nbreak", "back\\slash \\N", ""]


def rows_of(
    table: Table, count: int, start: datetime, *, seed: int = 0, **fixed: Any
) -> pd.DataFrame:
    """`count` rows with distinct keys; nullable columns have nulls here and there.

    Times go up by seven minutes from `start`, so that a day has some 200 of them.
    """
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({column.name: _values(column, count, rng) for column in table.written})
    for column in table.written:
        if column.dtype == "timestamp":
            frame[column.name] = [start + timedelta(minutes=7 * row) for row in range(count)]
    for name, value in fixed.items():
        frame[name] = [value] * count
    if "confidence_lower_mw" in frame:  # the lower end is not above the upper one
        frame["confidence_upper_mw"] = frame["confidence_lower_mw"] + 1.0
    free = [name for name in table.key if name not in fixed and table.column(name).dtype == "text"]
    for name in free:
        if name not in CHOICES:
            frame[name] = [f"{TEXTS[row % len(TEXTS)]}{row}" for row in range(count)]
    return frame


def _values(column: Column, count: int, rng: np.random.Generator) -> list[Any]:
    low = column.minimum if column.minimum is not None else -1e6
    high = column.maximum if column.maximum is not None else 1e6
    values: list[Any]
    if column.dtype == "float":
        values = [float(value) for value in rng.uniform(low, high, count)]
    elif column.dtype in ("integer", "bigint"):
        values = [int(value) for value in rng.integers(low, high + 1, count)]
        if column.name in ("time_interval", "iteration", "map_index"):
            values = list(range(1, count + 1))
    elif column.dtype == "boolean":
        values = [bool(value) for value in rng.integers(0, 2, count)]
    elif column.dtype == "date":
        values = [date(2020, 7, 6) + timedelta(days=int(day)) for day in rng.integers(0, 9, count)]
    elif column.dtype == "uuid":
        values = [str(uuid.UUID(bytes=rng.bytes(16))) for _ in range(count)]
    elif column.dtype == "json":
        values = [{"row": row, "text": TEXTS[row % len(TEXTS)]} for row in range(count)]
    elif column.dtype == "texts":
        values = [TEXTS[: row % len(TEXTS)] for row in range(count)]
    else:
        choices = CHOICES.get(column.name, TEXTS)
        values = [choices[row % len(choices)] for row in range(count)]
    if column.nullable:
        values = [None if row % 3 == 1 else value for row, value in enumerate(values)]
    return values
