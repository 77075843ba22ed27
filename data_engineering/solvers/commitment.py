"""Unit commitment: which thermal units run, as a mixed-integer program solved by HiGHS.

On, start and stop of each unit and interval in the tight form of Morales-Espana, Latorre and Ramos
(2013), with the start categories and ramps of Knueven, Ostrowski and Watson (2020), as PGLib-UC's
model has them. Starts and stops are whole wherever the states are, so only those are declared
binary. The page docs/MODEL.md has the equations.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from data_engineering.model.grid import Flags, Floats, Ints
from data_engineering.model.problem import Commitment, Penalties, SolveRequest, Status
from data_engineering.solvers import commitment_rows as rows
from data_engineering.solvers.linear import LinearProgram, Solution
from data_engineering.solvers.units import System, ThermalUnits, thermal_rows, thermal_units

SETTLED = 1e-6
"""Distance from a whole number within which a state of the relaxation is taken as whole."""


@dataclass(frozen=True, eq=False)
class CommitmentResult:
    """Which units run.

    Attributes:
        on, start, stop: shape (T, thermal units).
        start_cost_usd: cost of the starts, shape (T, thermal units).
        discharging: direction of each store, shape (T, stores).
        store_start_cost_usd: shape (T, stores).
        objective, bound: USD over all intervals; relative_gap between them.
        history: rows of convergence_history.
    """

    status: Status
    on: Flags
    start: Flags
    stop: Flags
    start_cost_usd: Floats
    discharging: Flags
    store_start_cost_usd: Floats
    objective: float
    bound: float
    relative_gap: float
    history: pd.DataFrame
    seconds: float


def commit(
    request: SolveRequest, progress: Callable[[str], None] | None = None
) -> CommitmentResult:
    """Commit the units of a request over all its intervals, look-ahead included.

    The network is not part of it; the dispatch that follows reports what that costs.

    Args:
        request: options.relative_gap and options.time_limit_seconds bound the search.
        progress: called with a line of text as the incumbent improves.
    """
    units = thermal_units(request.grid, request.periods.hours)
    return commit_units(
        units,
        system_of(request),
        penalties=request.options.penalties,
        relative_gap=request.options.relative_gap,
        time_limit_seconds=request.options.time_limit_seconds,
        progress=progress,
    )


def fixed(request: SolveRequest, result: CommitmentResult) -> Commitment:
    """A commitment of the thermal units as one of all the grid's units."""
    units, thermal = request.grid.generators, thermal_rows(request.grid)
    on = np.tile(units.in_service, (request.periods.count, 1))
    start_cost = np.zeros(on.shape)
    on[:, thermal] = result.on
    start_cost[:, thermal] = result.start_cost_usd
    return Commitment(on, result.discharging, start_cost, result.store_start_cost_usd)


def system_of(request: SolveRequest) -> System:
    """The uncommitted part of a request: demand, reserves, renewables, stores."""
    grid, periods = request.grid, request.periods
    units, stores = grid.generators, grid.storages
    free = np.setdiff1d(np.flatnonzero(units.in_service), thermal_rows(grid))
    ceiling = periods.available_mw[:, free]
    return System(
        demand_mw=periods.load_mw[:, grid.loads.in_service].sum(axis=1),
        reserve_up_mw=periods.reserve_up_mw,
        reserve_down_mw=periods.reserve_down_mw,
        free_min_mw=np.where(periods.must_take[free], ceiling, 0.0),
        free_max_mw=ceiling,
        charge_max_mw=np.where(stores.in_service, stores.charge_max_mw, 0.0),
        discharge_max_mw=np.where(stores.in_service, stores.discharge_max_mw, 0.0),
        discharge_min_mw=stores.discharge_min_mw,
        energy_max_mwh=stores.energy_max_mwh,
        energy_first_mwh=stores.energy_initial_mwh,
        charge_efficiency=stores.charge_efficiency,
        discharge_efficiency=stores.discharge_efficiency,
        store_start_usd=stores.start_cost_usd,
        inflow_mw=periods.inflow_mw,
        hours=periods.hours,
    )


def commit_units(
    units: ThermalUnits,
    system: System,
    *,
    penalties: Penalties,
    relative_gap: float,
    time_limit_seconds: float,
    progress: Callable[[str], None] | None = None,
) -> CommitmentResult:
    """Solve the commitment of `units` for `system`."""
    program = LinearProgram()
    shape = (len(system.demand_mw), len(units))
    on = program.variables(
        shape, np.where(units.must_run, 1.0, 0.0), 1.0, units.cost_usd[:, 0], True
    )
    start = program.variables(shape, 0.0, 1.0, 0.0, True)
    stop = program.variables(shape, 0.0, 1.0, 0.0, True)
    above, up, down = rows.outputs(program, units, on, start, stop)
    category = rows.starts(program, units, start, stop)
    rows.logic(program, units, on, start, stop)
    rows.ramps(program, units, above, up)
    charge, discharge, direction = rows.stores(program, system)
    rows.balance(program, units, system, penalties, (on, above, charge, discharge))
    rows.reserve(program, up, system.reserve_up_mw, penalties, system.hours)
    rows.reserve(program, down, system.reserve_down_mw, penalties, system.hours)
    solution = _search(program, on, relative_gap, time_limit_seconds, progress)
    return _result(solution, units, on, start, stop, category, direction, system.store_start_usd)


def _search(
    program: LinearProgram,
    on: Ints,
    relative_gap: float,
    time_limit_seconds: float,
    progress: Callable[[str], None] | None,
) -> Solution:
    """Search near the relaxation first, then everywhere from what was found.

    Most units are wholly on or wholly off in every interval of the relaxation, and so in good
    commitments. With those kept the rest is small; its best answer is within a percent of the
    bound, where the whole program alone spends most of its time before its first good answer.
    """
    started = time.perf_counter()
    bound = program.solve(relaxed=True, time_limit_seconds=time_limit_seconds)
    if bound.status != "optimal":
        return bound
    state = bound.values[on]
    settled = (np.abs(state - np.round(state)) < SETTLED).all(axis=0)
    near = program.solve(
        relative_gap=relative_gap / 2,
        time_limit_seconds=time_limit_seconds / 4,
        progress=progress,
        fixed=(on[:, settled], np.round(state[:, settled])),
    )
    if near.status not in ("optimal", "feasible"):
        return program.solve(
            relative_gap=relative_gap, time_limit_seconds=time_limit_seconds, progress=progress
        )
    spent = time.perf_counter() - started
    # The bound of the small program says nothing of the whole one; that of the relaxation does.
    steps = tuple(
        (spent - near.seconds + at, cost, bound.objective, (cost - bound.objective) / abs(cost))
        for at, cost, *_ in near.history
    )
    near = replace(near, bound=bound.objective, history=steps)
    if near.objective - near.bound <= relative_gap * abs(near.objective):
        return replace(near, status="optimal", seconds=spent)
    found = program.solve(
        relative_gap=relative_gap,
        time_limit_seconds=max(time_limit_seconds - spent, 1.0),
        progress=progress,
        first=near.values,
    )
    later = tuple((at + spent, cost, low, gap) for at, cost, low, gap in found.history)
    return replace(found, seconds=found.seconds + spent, history=steps + later)


def _result(
    solution: Solution,
    units: ThermalUnits,
    on: Ints,
    start: Ints,
    stop: Ints,
    category: Ints,
    direction: Ints,
    store_start_usd: Floats,
) -> CommitmentResult:
    values = np.nan_to_num(solution.values)

    def flags(block: Ints) -> Flags:
        return values[block] > 0.5

    gap = abs(solution.objective - solution.bound) / max(abs(solution.objective), 1e-9)
    return CommitmentResult(
        status=solution.status,
        on=flags(on),
        start=flags(start),
        stop=flags(stop),
        start_cost_usd=(values[category] * units.start_cost_usd).sum(axis=2),
        discharging=flags(direction),
        store_start_cost_usd=_store_starts(flags(direction), store_start_usd),
        objective=solution.objective,
        bound=solution.bound,
        relative_gap=gap,
        history=_history(solution, gap),
        seconds=solution.seconds,
    )


def _store_starts(discharging: Flags, cost_usd: Floats) -> Floats:
    before = np.vstack([discharging[:1], discharging[:-1]])
    started: Floats = (discharging & ~before) * cost_usd
    return started


def _history(solution: Solution, gap: float) -> pd.DataFrame:
    """Each better solution of the search, and its end."""
    end = (solution.seconds, solution.objective, solution.bound, gap)
    found = np.isfinite(solution.objective)
    seen = pd.DataFrame(
        [*solution.history, *([end] if found else [])],
        columns=["elapsed_seconds", "objective_value", "best_bound", "relative_gap"],
        dtype=np.float64,
    ).drop_duplicates(["objective_value", "best_bound"], ignore_index=True)
    return seen.assign(stage="commitment", iteration=np.arange(len(seen)))
