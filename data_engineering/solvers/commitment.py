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
from data_engineering.solvers.linear import LinearProgram, Solution, Term
from data_engineering.solvers.units import ThermalUnits, thermal_rows, thermal_units

SETTLED = 1e-6
"""Distance from a whole number within which a state of the relaxation is taken as whole."""


@dataclass(frozen=True, eq=False)
class System:
    """What the committed units serve, T intervals.

    Attributes:
        demand_mw, reserve_up_mw, reserve_down_mw: shape (T,).
        free_min_mw, free_max_mw: units that need no commitment, shape (T, m).
        charge_max_mw, discharge_max_mw, discharge_min_mw, energy_max_mwh, energy_first_mwh,
        charge_efficiency, discharge_efficiency, store_start_usd: stores, shape (s,).
        inflow_mw: shape (T, s).
        hours: length of an interval.
    """

    demand_mw: Floats
    reserve_up_mw: Floats
    reserve_down_mw: Floats
    free_min_mw: Floats
    free_max_mw: Floats
    charge_max_mw: Floats
    discharge_max_mw: Floats
    discharge_min_mw: Floats
    energy_max_mwh: Floats
    energy_first_mwh: Floats
    charge_efficiency: Floats
    discharge_efficiency: Floats
    store_start_usd: Floats
    inflow_mw: Floats
    hours: float


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
    units, rows = request.grid.generators, thermal_rows(request.grid)
    on = np.tile(units.in_service, (request.periods.count, 1))
    start_cost = np.zeros(on.shape)
    on[:, rows] = result.on
    start_cost[:, rows] = result.start_cost_usd
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
    on = program.variables(shape, np.where(units.must_run, 1.0, 0.0), 1.0, _idle_cost(units), True)
    start = program.variables(shape, 0.0, 1.0, 0.0, True)
    stop = program.variables(shape, 0.0, 1.0, 0.0, True)
    above, up, down = _outputs(program, units, on, start, stop)
    category = _starts(program, units, start, stop)
    _logic(program, units, on, start, stop)
    _ramps(program, units, above, up)
    charge, discharge, direction = _stores(program, system)
    _balance(program, units, system, penalties, (on, above, charge, discharge))
    _reserve(program, up, system.reserve_up_mw, penalties, system.hours)
    _reserve(program, down, system.reserve_down_mw, penalties, system.hours)
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
    near = replace(near, bound=bound.objective)
    spent = time.perf_counter() - started
    if near.objective - near.bound <= relative_gap * abs(near.objective):
        return replace(near, status="optimal", seconds=spent)
    found = program.solve(
        relative_gap=relative_gap,
        time_limit_seconds=max(time_limit_seconds - spent, 1.0),
        progress=progress,
        first=near.values,
    )
    later = tuple((seconds + spent, *rest) for seconds, *rest in found.history)
    return replace(found, seconds=found.seconds + spent, history=later)  # type: ignore[arg-type]


def _idle_cost(units: ThermalUnits) -> Floats:
    return units.cost_usd[:, 0]


def _outputs(
    program: LinearProgram, units: ThermalUnits, on: Ints, start: Ints, stop: Ints
) -> tuple[Ints, Ints, Ints]:
    """Output above the minimum by cost segments, and reserves within the limits.

    Segments and reserves are limited by the state itself, not only by the sum over them: the
    relaxation is then as tight as the convex hull of the cost curve.
    """
    shape = on.shape
    width = np.diff(units.cost_mw, axis=1)
    slope = np.diff(units.cost_usd, axis=1) / width
    segments = program.variables((*shape, width.shape[1]), 0.0, width, slope)
    limit = [(segments, 1.0), (on[..., None], -width)]
    program.rows(segments.shape, limit, -np.inf, 0.0)
    above = program.variables(shape, 0.0, units.p_max_mw - units.p_min_mw)
    program.rows(shape, [(above, 1.0), (segments, -1.0)], 0.0, 0.0)
    up = program.variables(shape, 0.0, units.reserve_max_mw)
    down = program.variables(shape, 0.0, units.reserve_max_mw)
    for held in (up, down):
        program.rows(shape, [(held, 1.0), (on, -units.reserve_max_mw)], -np.inf, 0.0)
    program.rows(shape, [(down, 1.0), (above, -1.0)], -np.inf, 0.0)
    _capability(program, units, (on, start, stop), above, up)
    return above, up, down


def _capability(
    program: LinearProgram,
    units: ThermalUnits,
    state: tuple[Ints, Ints, Ints],
    above: Ints,
    up: Ints,
) -> None:
    """Output and upward reserve within the span, less in the first and the last interval on.

    One row holds both ends of a run where a run lasts two intervals or more; else each end has
    its own.
    """
    on, start, stop = state
    span = units.p_max_mw - units.p_min_mw
    starting = units.p_max_mw - units.start_ramp_mw
    stopping = units.p_max_mw - units.stop_ramp_mw
    long = units.min_up >= 2
    limit: list[Term] = [(above, 1.0), (up, 1.0), (on, -span)]
    before_last = [(columns[:-1], coefficient) for columns, coefficient in limit]
    both = [(start[:-1], starting), (stop[1:], np.where(long, stopping, 0.0))]
    program.rows(on[:-1].shape, [*before_last, *both], -np.inf, 0.0)
    at_last = [(columns[-1:], coefficient) for columns, coefficient in limit]
    program.rows(on[-1:].shape, [*at_last, (start[-1:], starting)], -np.inf, 0.0)
    alone = np.where(long, 0.0, stopping)
    program.rows(on[:-1].shape, [*before_last, (stop[1:], alone)], -np.inf, 0.0)


def _starts(program: LinearProgram, units: ThermalUnits, start: Ints, stop: Ints) -> Ints:
    """Split each start into categories; all but the coldest need a stop that recent."""
    periods, count = start.shape
    kinds = units.start_after.shape[1]
    category = program.variables((periods, count, kinds), 0.0, 1.0, units.start_cost_usd)
    program.rows(start.shape, [(start, 1.0), (category, -1.0)], 0.0, 0.0)
    for unit in range(count):
        for kind in range(kinds - 1):
            first, last = units.start_after[unit, kind], units.start_after[unit, kind + 1] - 1
            for t in range(periods):
                stops = stop[max(t - last, 0) : max(t - first + 1, 0), unit]
                before = _off_for(units, unit, t)
                recent = before is not None and first <= before <= last
                terms: list[Term] = [(category[t, unit, kind][None], 1.0)]
                if len(stops):
                    terms.append((stops[None, :], -1.0))
                program.rows((1,), terms, -np.inf, float(recent))
    return category


def _off_for(units: ThermalUnits, unit: int, t: int) -> int | None:
    """Intervals off at the start of interval `t` of a unit that was off before the first."""
    if units.on is None or units.since is None or units.on[unit]:
        return None
    return int(units.since[unit]) + t


def _logic(program: LinearProgram, units: ThermalUnits, on: Ints, start: Ints, stop: Ints) -> None:
    """Starts and stops join the states; minimum times hold, those begun before included."""
    periods, count = on.shape
    program.rows(
        (periods - 1, count),
        [(on[1:], 1.0), (on[:-1], -1.0), (start[1:], -1.0), (stop[1:], 1.0)],
        0.0,
        0.0,
    )
    if units.on is None or units.since is None:
        program.rows(on[:1].shape, [(start[:1], 1.0), (stop[:1], 1.0)], 0.0, 0.0)
    else:
        first = units.on.astype(np.float64)[None]
        program.rows(first.shape, [(on[:1], 1.0), (start[:1], -1.0), (stop[:1], 1.0)], first, first)
    for unit in range(count):
        _minimum_time(program, on[:, unit], start[:, unit], int(units.min_up[unit]), up=True)
        _minimum_time(program, on[:, unit], stop[:, unit], int(units.min_down[unit]), up=False)
        if units.on is not None and units.since is not None:
            least = units.min_up if units.on[unit] else units.min_down
            held = max(int(least[unit] - units.since[unit]), 0)
            state = float(units.on[unit])
            program.rows((min(held, periods),), [(on[:held, unit], 1.0)], state, state)


def _minimum_time(program: LinearProgram, on: Ints, change: Ints, least: int, *, up: bool) -> None:
    """Changes within the last `least` intervals hold the state (turn-on/off inequalities)."""
    for t in range(len(on)):
        recent = change[max(t - least + 1, 0) : t + 1]
        sign, bound = (-1.0, 0.0) if up else (1.0, 1.0)
        program.rows((1,), [(recent[None, :], 1.0), (on[t][None], sign)], -np.inf, bound)


def _ramps(program: LinearProgram, units: ThermalUnits, above: Ints, up: Ints) -> None:
    """Changes of the output above the minimum, reserve included, between intervals."""
    shape = above[1:].shape
    rising: list[Term] = [(above[1:], 1.0), (up[1:], 1.0), (above[:-1], -1.0)]
    program.rows(shape, rising, -np.inf, units.ramp_up_mw)
    program.rows(shape, [(above[:-1], 1.0), (above[1:], -1.0)], -np.inf, units.ramp_down_mw)
    if units.p_mw is not None and units.on is not None:
        first = np.where(units.on, units.p_mw - units.p_min_mw, 0.0)[None]
        shape = first.shape
        limit = first + units.ramp_up_mw
        program.rows(shape, [(above[:1], 1.0), (up[:1], 1.0)], -np.inf, limit)
        program.rows(shape, [(above[:1], -1.0)], -np.inf, units.ramp_down_mw - first)


def _stores(program: LinearProgram, system: System) -> tuple[Ints, Ints, Ints]:
    shape = system.inflow_mw.shape
    hours, first = system.hours, system.energy_first_mwh
    charge = program.variables(shape, 0.0, system.charge_max_mw)
    discharge = program.variables(shape, 0.0, system.discharge_max_mw)
    direction = program.variables(shape, 0.0, 1.0, 0.0, True)
    start = program.variables(shape, 0.0, 1.0, system.store_start_usd)
    energy = program.variables(shape, 0.0, system.energy_max_mwh)
    spill = program.variables(shape, 0.0, system.inflow_mw)
    program.rows(
        shape,
        [(discharge, 1.0), (direction, -system.discharge_max_mw)],
        -np.inf,
        0.0,
    )
    program.rows(shape, [(discharge, 1.0), (direction, -system.discharge_min_mw)], 0.0, np.inf)
    program.rows(
        shape,
        [(charge, 1.0), (direction, system.charge_max_mw)],
        -np.inf,
        np.broadcast_to(system.charge_max_mw, shape),
    )
    program.rows(
        (shape[0] - 1, shape[1]),
        [(start[1:], 1.0), (direction[1:], -1.0), (direction[:-1], 1.0)],
        0.0,
        np.inf,
    )
    flow: list[Term] = [
        (charge, -system.charge_efficiency * hours),
        (discharge, hours / system.discharge_efficiency),
        (spill, hours),
    ]
    gain = system.inflow_mw * hours
    later = [(columns[1:], coefficient) for columns, coefficient in flow]
    program.rows(
        (shape[0] - 1, shape[1]),
        [(energy[1:], 1.0), (energy[:-1], -1.0), *later],
        gain[1:],
        gain[1:],
    )
    begin = [(columns[:1], coefficient) for columns, coefficient in flow]
    program.rows((1, shape[1]), [(energy[:1], 1.0), *begin], gain[:1] + first, gain[:1] + first)
    program.rows((1, shape[1]), [(energy[-1:], 1.0)], first[None], np.inf)
    return charge, discharge, direction


def _balance(
    program: LinearProgram,
    units: ThermalUnits,
    system: System,
    penalties: Penalties,
    blocks: tuple[Ints, Ints, Ints, Ints],
) -> None:
    on, above, charge, discharge = blocks
    periods = (len(system.demand_mw),)
    free = program.variables(system.free_max_mw.shape, system.free_min_mw, system.free_max_mw)
    shed = program.variables(periods, 0.0, np.inf, penalties.load_shed * system.hours)
    over = program.variables(periods, 0.0, np.inf, penalties.over_generation * system.hours)
    program.rows(
        periods,
        [
            (on, units.p_min_mw),
            (above, 1.0),
            (free, 1.0),
            (discharge, 1.0),
            (charge, -1.0),
            (shed, 1.0),
            (over, -1.0),
        ],
        system.demand_mw,
        system.demand_mw,
    )


def _reserve(
    program: LinearProgram, held: Ints, asked: Floats, penalties: Penalties, hours: float
) -> None:
    short = program.variables(asked.shape, 0.0, asked, penalties.reserve_shortfall * hours)
    program.rows(asked.shape, [(held, 1.0), (short, 1.0)], asked, np.inf)


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
        history=_history(solution),
        seconds=solution.seconds,
    )


def _store_starts(discharging: Flags, cost_usd: Floats) -> Floats:
    before = np.vstack([discharging[:1], discharging[:-1]])
    started: Floats = (discharging & ~before) * cost_usd
    return started


def _history(solution: Solution) -> pd.DataFrame:
    seen = pd.DataFrame(
        solution.history,
        columns=["elapsed_seconds", "objective_value", "best_bound", "relative_gap"],
        dtype=np.float64,
    ).drop_duplicates(["objective_value", "best_bound"], ignore_index=True)
    return seen.assign(stage="commitment", iteration=np.arange(len(seen)))
