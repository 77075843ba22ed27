"""What earlier solves have for the next minutes: the dispatch now, and which units shall run.

The newest dispatch of minutes goes before the newest one of hours. A relaxed solve says what
units give but not which of them run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from data_engineering.model.grid import Flags, Floats, Grid, Texts
from data_engineering.runtime import Runtime
from data_engineering.solvers.realtime_commitment import Plan
from data_engineering.storage import metadata
from data_engineering.transformation.realtime_periods import Horizon

NEWEST = 8
"""Solves that are looked at, newest first."""
FOUND = """
    SELECT execution_id, horizon_start, interval_minutes, commitment
    FROM lascopf_executions
    WHERE case_name = :case AND convergence_status IN ('optimal', 'feasible')
      AND kind IN ('lascopf', 'dcopf') AND execution_id <> :own
      AND horizon_start < :until
      AND horizon_start + interval_count * interval_minutes * INTERVAL '1 minute' > :since
    ORDER BY (interval_minutes < 60) DESC, execution_time DESC
"""
ROWS = """
    SELECT interval_start, generator_id, active_power, commitment_status, curtailed_mw,
        stored_energy_mwh, start_cost_usd
    FROM generator_dispatch
    WHERE execution_id = :execution AND interval_start >= :since AND interval_start < :until
"""


@dataclass(frozen=True, eq=False)
class Present:
    """What earlier solves have for the present; NaN where they say nothing.

    Attributes:
        unit_mw: shape (generators,).
        curtailed_mw: 0 where nothing is known, shape (generators,).
        energy_mwh: of the stores, those of the grid where nothing is known.
    """

    unit_mw: Floats
    curtailed_mw: Floats
    energy_mwh: Floats


@dataclass(frozen=True, eq=False)
class Solved:
    """The intervals of one solve by their starts."""

    starts: pd.DatetimeIndex
    minutes: int
    relaxed: bool
    tables: dict[str, pd.DataFrame]

    def row(self, time: datetime) -> pd.Timestamp | None:
        """The start of the interval that holds a time."""
        place = int(self.starts.searchsorted(pd.Timestamp(time), side="right")) - 1
        if place < 0 or time >= self.starts[place] + timedelta(minutes=self.minutes):
            return None
        return self.starts[place]

    def at(self, column: str, start: pd.Timestamp, ids: Texts) -> Floats:
        """A column of an interval, by element."""
        found: Floats = self.tables[column].loc[start].reindex(ids).to_numpy(dtype=np.float64)
        return found


def read_plans(
    runtime: Runtime, grid: Grid, case_name: str, horizon: Horizon, own: str
) -> tuple[Present, Plan]:
    """The present and the plan of the horizon, from the newest solves of a case.

    Args:
        runtime: open stores.
        grid: whose elements are looked for.
        case_name: grid case.
        horizon: the intervals.
        own: execution that is not looked at: the one to be made.
    """
    since = horizon.start - timedelta(hours=2)
    until = horizon.start + timedelta(minutes=horizon.minutes * horizon.count)
    window = {"since": since, "until": until}
    found = metadata.query(runtime.metadata, FOUND, {"case": case_name, "own": own, **window})
    near = found[found["interval_minutes"] < 60].head(NEWEST)
    far = found[found["interval_minutes"] >= 60].head(1)
    solves = [_read(runtime, each, window) for each in pd.concat([near, far]).itertuples()]
    solves = [each for each in solves if len(each.starts)]
    return _present(grid, solves, horizon), _plan(grid, solves, horizon)


def _read(runtime: Runtime, execution: Any, window: dict[str, datetime]) -> Solved:
    rows = metadata.query(runtime.metadata, ROWS, {"execution": execution.execution_id, **window})
    rows["interval_start"] = pd.to_datetime(rows["interval_start"], utc=True)
    wide = {
        name: rows.pivot(index="interval_start", columns="generator_id", values=name)
        for name in rows.columns[2:]
    }
    starts = pd.DatetimeIndex(sorted(rows["interval_start"].unique()))
    relaxed = execution.commitment == "relaxed"
    return Solved(starts, int(execution.interval_minutes), relaxed, wide)


def _present(grid: Grid, solves: Sequence[Solved], horizon: Horizon) -> Present:
    """The interval before the first one; of a solve that begins later the present one."""
    units, stores = grid.generators.id, grid.storages
    before = horizon.start - timedelta(seconds=1)
    for time in (before, max(horizon.now, horizon.start)):
        for solve in solves:
            start = solve.row(time)
            if start is not None:
                power = solve.at("active_power", start, units)
                curtailed = np.nan_to_num(solve.at("curtailed_mw", start, units))
                return Present(power, curtailed, _energy(grid, solve, start, horizon))
    unknown = np.full(len(units), np.nan)
    return Present(unknown, np.zeros(len(units)), stores.energy_initial_mwh)


def _energy(grid: Grid, solve: Solved, start: pd.Timestamp, horizon: Horizon) -> Floats:
    """Energy of the stores when the horizon begins, straight between the ends of intervals."""
    stores, length = grid.storages, timedelta(minutes=solve.minutes)
    after = solve.at("stored_energy_mwh", start, stores.id)
    begun = start - length
    before = stores.energy_initial_mwh
    if begun in solve.starts:
        before = solve.at("stored_energy_mwh", begun, stores.id)
    passed = (horizon.start - start.to_pydatetime()) / length
    share = min(max(passed, 0.0), 1.0)
    held = before + share * (after - before)
    held = np.where(np.isfinite(held), held, stores.energy_initial_mwh)
    found: Floats = np.clip(held, 0.0, stores.energy_max_mwh)
    return found


def _plan(grid: Grid, solves: Sequence[Solved], horizon: Horizon) -> Plan:
    units, stores, count = grid.generators.id, grid.storages.id, horizon.count
    on: Flags = np.zeros((count, len(units)), dtype=np.bool_)
    known: Flags = np.zeros(count, dtype=np.bool_)
    cost, net = np.zeros(on.shape), np.full((count, len(stores)), np.nan)
    for t in range(count):
        time = horizon.start + timedelta(minutes=horizon.minutes * t)
        states = (each for each in solves if not each.relaxed)
        for solve, start in ((each, each.row(time)) for each in states):
            if start is None:
                continue
            on[t] = np.nan_to_num(solve.at("commitment_status", start, units)) > 0.5
            cost[t] = np.nan_to_num(solve.at("start_cost_usd", start, units))
            known[t] = True
            break
        for solve, start in ((each, each.row(time)) for each in solves):
            if start is not None:
                net[t] = solve.at("active_power", start, stores)
                break
    return Plan(on, known, cost, net, _energy_end(grid, solves, horizon))


def _energy_end(grid: Grid, solves: Sequence[Solved], horizon: Horizon) -> Floats:
    """What the plan of hours has in the stores when the horizon ends, shape (storages,), MWh."""
    end = horizon.start + timedelta(minutes=horizon.minutes * horizon.count)
    ending = Horizon(end, horizon.now, horizon.minutes, 1, horizon.fade_minutes)
    for solve in solves:
        start = solve.row(end - timedelta(seconds=1))
        if solve.minutes >= 60 and start is not None:
            return _energy(grid, solve, start, ending)
    return np.full(len(grid.storages), np.nan)
