"""Batches as the sink hands them on, for the tests of what follows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pyarrow as pa
from small_grids import three_buses

from data_engineering.model.columns import Table
from data_engineering.model.stream import Committed, StatusChange
from data_engineering.model.tables import (
    BRANCH_MEASUREMENTS,
    LOAD_FORECASTS,
    LOAD_MEASUREMENTS,
    POWER_MEASUREMENTS,
    RENEWABLE_FORECASTS,
)
from data_engineering.transformation.stream_measures import Expected, expected

CASE = "three_buses"
START = datetime(2020, 7, 6, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
LOADS = {"a": 600.0, "b": 400.0}
UNITS = {"30_WIND_1": 50.0}
GRID = three_buses()


def rows(table: Table, element: str, value: str, values: Sequence[tuple[Any, ...]]) -> pa.Table:
    """Rows from tuples (point, value, time[, quality[, known at]])."""
    filled = [(*row, *(0, row[2])[len(row) - 3 :]) for row in values]
    points, numbers, times, qualities, known = zip(*filled, strict=True) if filled else [()] * 5
    count = len(filled)
    given: dict[str, Any] = {
        element: points,
        value: numbers,
        "time": times,
        "measurement_quality": qualities,
        "available_at": known,
        "case_name": [CASE] * count,
        "source": ["test"] * count,
        "in_service": [True] * count,
    }
    given |= {name: ["1"] * count for name in ("bus_id", "from_bus_id", "to_bus_id")}
    schema = table.arrow_schema()
    columns = [
        pa.array(given.get(name, [None] * count), schema.field(name).type) for name in schema.names
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def batch(
    loads: Sequence[tuple[Any, ...]] = (),
    units: Sequence[tuple[Any, ...]] = (),
    branches: Sequence[tuple[Any, ...]] = (),
    changes: Sequence[StatusChange] = (),
    at: datetime = START,
) -> Committed:
    readings = {
        table.name: rows(table, element, value, values)
        for table, element, value, values in (
            (LOAD_MEASUREMENTS, "load_id", "active_power_mw", loads),
            (POWER_MEASUREMENTS, "generator_id", "active_power", units),
            (BRANCH_MEASUREMENTS, "branch_id", "loading_percent", branches),
        )
        if values
    }
    return Committed(readings, tuple(changes), (), at)


def scan_of(
    time: datetime,
    factor: float = 1.0,
    *,
    loads: Mapping[str, float] = LOADS,
    units: Mapping[str, float] = UNITS,
    quality: int = 0,
    known: datetime | None = None,
) -> Committed:
    """A reading of every load, as many times its forecast as said, and of every unit."""
    return batch(
        [(name, factor * mw, time, quality, known or time) for name, mw in loads.items()],
        [(name, mw, time, quality, known or time) for name, mw in units.items()],
        at=time,
    )


def change(
    time: datetime,
    element: str,
    closed: bool,
    kind: Any = "branch",
    *,
    quality: int = 0,
    known: datetime | None = None,
) -> StatusChange:
    return StatusChange(time, CASE, kind, element, closed, quality, known or time)


def forecasts(
    loads: Mapping[str, float] = LOADS,
    units: Mapping[str, float] = UNITS,
    *,
    issued: datetime = START - timedelta(hours=6),
    band_mw: float | None = None,
) -> Expected:
    """Flat forecasts from two hours before the start to six hours after."""
    hours = [START + timedelta(hours=hour) for hour in range(-2, 7)]
    common = {"forecast_time": issued, "case_name": CASE, "available_at": issued, "source": "t"}
    load = pd.DataFrame(
        [
            {**common, "target_time": hour, "load_id": name, "forecasted_load_mw": mw}
            for hour in hours
            for name, mw in loads.items()
        ]
    ).assign(forecast_model="test", forecast_horizon_hours=1.0)
    unit = pd.DataFrame(
        [
            {
                **common,
                "target_time": hour,
                "generator_id": name,
                "forecasted_power_mw": mw,
                "confidence_lower_mw": None if band_mw is None else mw - band_mw / 2,
                "confidence_upper_mw": None if band_mw is None else mw + band_mw / 2,
            }
            for hour in hours
            for name, mw in units.items()
        ]
    ).assign(forecast_model="test", forecast_horizon_hours=1.0)
    return expected(LOAD_FORECASTS.typed(load), RENEWABLE_FORECASTS.typed(unit), issued)
