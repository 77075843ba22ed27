"""A day of RTS-GMLC in the stores as the stream meets it: grid, forecasts, a plan of hours."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cache

import numpy as np
import pandas as pd
from rts_day import rts_grid, rts_periods

from data_engineering.ingestion import rts_gmlc
from data_engineering.ingestion.sources import SOURCES
from data_engineering.model.problem import Options, SolveRequest, SolveResult
from data_engineering.model.snapshot import Points, Snapshot, nanoseconds
from data_engineering.model.tables import (
    LOAD_FORECASTS,
    RENEWABLE_FORECASTS,
    RESERVE_REQUIREMENTS,
)
from data_engineering.model.time import Window
from data_engineering.runtime import Runtime
from data_engineering.solvers.commitment import commit, fixed
from data_engineering.solvers.lascopf import solve_lascopf
from data_engineering.storage import metadata, timeseries
from data_engineering.storage.topology import register_topology
from data_engineering.transformation.grid_document import grid_to_document

DAY = date(2020, 7, 6)
CASE = "rts_gmlc"
START = datetime(2020, 7, 6, 14, 5, tzinfo=UTC)
PLAN_ID = "00000000-0000-0000-0000-000000000001"
GAP = 0.03
"""Of the plan: coarse, for a plan of any quality serves here."""


@cache
def planned_day() -> SolveResult:
    """The day's dispatch with the units that a commitment chose, without outages."""
    request = SolveRequest(
        "lascopf", rts_grid(), rts_periods(DAY, 24), (), Options(relative_gap=GAP)
    )
    return solve_lascopf(replace(request, commitment=fixed(request, commit(request))))


def store_day(runtime: Runtime, plan: bool = True) -> None:
    """Put grid, forecasts and, where asked, the plan into the stores."""
    document, since = grid_to_document(rts_grid()), datetime(2020, 1, 1, tzinfo=UTC)
    register_topology(runtime.metadata, CASE, document, since)
    folder, window = rts_gmlc.source_folder(None), Window.of_day(DAY)
    for name, table in (
        ("forecast_load", LOAD_FORECASTS),
        ("forecast_renewable", RENEWABLE_FORECASTS),
        ("market_reserves", RESERVE_REQUIREMENTS),
    ):
        timeseries.write(runtime.timeseries, table, SOURCES[name].read(folder, window, CASE))
    if plan:
        store_plan(runtime)


def store_plan(runtime: Runtime, execution_id: str = PLAN_ID, commitment: str = "uc") -> None:
    """The day's dispatch as an execution with its rows."""
    result = planned_day()
    row = {
        "execution_id": execution_id,
        "execution_time": pd.Timestamp("2020-07-05T18:00Z"),
        "case_name": CASE,
        "topology_id": None,
        "kind": "lascopf",
        "method": "constraint_generation",
        "commitment": commitment,
        "horizon_start": pd.Timestamp(DAY, tz="UTC"),
        "interval_minutes": 60,
        "interval_count": 24,
        "outage_count": 0,
        "penalties": "{}",
        "tolerances": "{}",
        "solver": result.solver,
        "solver_version": result.version,
        "triggered_by": "SCHEDULED",
        "airflow_run_id": None,
        "convergence_status": result.status,
        "objective_value": result.objective,
        "solve_time_seconds": result.seconds,
        "iteration_count": result.iterations,
        "results_path": None,
        "metadata": "{}",
    }
    tables = {
        name: frame.assign(execution_id=execution_id)
        if name == "convergence_history"
        else frame.assign(execution_id=execution_id, case_name=CASE)
        for name, frame in result.tables.items()
    }
    metadata.replace_results(runtime.metadata, row, tables)


def planned(hour: int, column: str = "active_power") -> dict[str, float]:
    """The plan of an hour (0 the first), by unit and store."""
    rows = planned_day().tables["generator_dispatch"]
    rows = rows[rows["time_interval"] == hour + 1]
    return dict(zip(rows["generator_id"], rows[column].astype(float), strict=True))


def points(values: dict[str, float], time: datetime, quality: int = 0) -> Points:
    """Readings of one time, known 5 minutes later."""
    names = sorted(values)
    count, at = len(names), nanoseconds(time)
    return Points(
        id=np.array(names, dtype=np.str_),
        value=np.array([values[name] for name in names]),
        time_ns=np.full(count, at),
        available_ns=np.full(count, at + nanoseconds(START) - nanoseconds(START - FIVE)),
        quality=np.full(count, quality),
        bad_ns=np.full(count, np.iinfo(np.int64).min),
    )


FIVE = timedelta(minutes=5)


def snapshot(
    time: datetime, units: dict[str, float] | None = None, loads: dict[str, float] | None = None
) -> Snapshot:
    """A snapshot whose readings are all of one time."""
    return Snapshot(
        CASE,
        {
            "generator_mw": points(units or {}, time),
            "load_mw": points(loads or {}, time),
        },
        nanoseconds(time + FIVE),
    )
