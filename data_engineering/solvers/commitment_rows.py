"""The constraint families of the unit commitment, one function each.

Blocks of columns have the shape (T, units) or (T, stores); docs/MODEL.md has the same rows in
symbols.
"""

from __future__ import annotations

import numpy as np

from data_engineering.model.grid import Floats, Ints
from data_engineering.model.problem import Penalties
from data_engineering.solvers.linear import LinearProgram, Term
from data_engineering.solvers.units import System, ThermalUnits


def outputs(
    program: LinearProgram, units: ThermalUnits, on: Ints, start: Ints, stop: Ints
) -> tuple[Ints, Ints, Ints]:
    """Output above the minimum by cost segments, and reserves within the limits.

    Segments and reserves are limited by the state itself, not only by the sum over them: the
    relaxation is then as tight as the convex hull of the cost curve.
    """
    shape = on.shape
    width, slope = units.pieces()
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


def starts(program: LinearProgram, units: ThermalUnits, start: Ints, stop: Ints) -> Ints:
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


def logic(program: LinearProgram, units: ThermalUnits, on: Ints, start: Ints, stop: Ints) -> None:
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


def ramps(program: LinearProgram, units: ThermalUnits, above: Ints, up: Ints) -> None:
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


def stores(program: LinearProgram, system: System) -> tuple[Ints, Ints, Ints]:
    """Charging, giving and stored energy; a store gives or charges, and a start costs."""
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


def balance(
    program: LinearProgram,
    units: ThermalUnits,
    system: System,
    penalties: Penalties,
    blocks: tuple[Ints, Ints, Ints, Ints],
) -> None:
    """What is produced and drawn from stores equals demand, but for the slacks."""
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


def reserve(
    program: LinearProgram, held: Ints, asked: Floats, penalties: Penalties, hours: float
) -> None:
    """Reserve held by the units covers what is asked, but for what is missing."""
    short = program.variables(asked.shape, 0.0, asked, penalties.reserve_shortfall * hours)
    program.rows(asked.shape, [(held, 1.0), (short, 1.0)], asked, np.inf)
