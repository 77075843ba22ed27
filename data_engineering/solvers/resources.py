"""The blocks of a dispatch that are not the network: units, stores, DC lines, reserves.

Every block has the interval as its first axis. What a block gives to a bus is an `Injection`; the
network's rows are made from these alone. The page docs/MODEL.md has the equations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import Flags, Floats, Grid, Ints
from data_engineering.model.problem import Commitment, Options, Periods, SolveRequest
from data_engineering.solvers.linear import LinearProgram, Term
from data_engineering.solvers.units import (
    QuadraticCosts,
    ThermalUnits,
    quadratic_costs,
    thermal_rows,
    thermal_units,
)

FIRST_TANGENTS = 5
"""Points of a quadratic cost at which it is touched before the first solve."""


@dataclass(frozen=True, eq=False)
class Injection:
    """Columns that inject power: shapes (T, k), (k,) and (k,), MW at the bus per unit."""

    columns: Ints
    bus: Ints
    factor: Floats


@dataclass(frozen=True, eq=False)
class Resources:
    """Column and row numbers of the blocks, and what the injections need besides.

    Attributes:
        state: which committed units run, shape (T, n); None where `on` is a fraction to be found.
        above: output above the minimum, shape (T, n).
        curved: cost of the units with quadratic costs, shape (T, q).
        fixed_mw: injection that no column moves, shape (T, buses): minima less demand.
        demand_mw: shape (T, buses).
    """

    units: ThermalUnits
    quadratic: QuadraticCosts
    thermal: Ints
    free_units: Ints
    state: Flags | None
    on: Ints | None
    above: Ints
    segments: Ints
    curved: Ints
    up: Ints
    down: Ints
    free: Ints
    charge: Ints
    discharge: Ints
    energy: Ints
    dc_flow: Ints
    up_short: Ints
    down_short: Ints
    up_rows: Ints
    down_rows: Ints
    injections: tuple[Injection, ...]
    fixed_mw: Floats
    demand_mw: Floats

    def power(self, values: Floats) -> Floats:
        """Output of the committed units, shape (T, n), MW."""
        power: Floats = self.units.p_min_mw * self.share(values) + values[self.above]
        return power

    def share(self, values: Floats) -> Floats:
        """State of the committed units, 1 on and 0 off, shape (T, n)."""
        if self.on is not None:
            return np.asarray(values[self.on])
        return np.asarray(self.state, dtype=np.float64)


def given_commitment(request: SolveRequest) -> Commitment | None:
    """The fixed commitment of a request; None where the states are relaxed to fractions.

    Raises:
        BadInput: the request has no commitment and its options ask for one.
    """
    choice, grid, periods = request.options.commitment, request.grid, request.periods
    if request.commitment is not None:
        return request.commitment
    if choice == "relaxed":
        return None
    if choice != "on":
        raise BadInput("options.commitment", choice, "give the request a commitment")
    shape = (periods.count, len(grid.generators))
    stores = (periods.count, len(grid.storages))
    return Commitment(
        np.tile(grid.generators.in_service, (periods.count, 1)),
        np.zeros(stores, dtype=np.bool_),
        np.zeros(shape),
        np.zeros(stores),
    )


def add_resources(
    program: LinearProgram, request: SolveRequest, directions: Flags | None
) -> Resources:
    """Add all blocks to `program`.

    `directions` says whether each store discharges, shape (T, storages); None leaves it open.
    """
    grid, periods, options = request.grid, request.periods, request.options
    units = thermal_units(grid, periods.hours)
    quadratic = quadratic_costs(grid, periods.hours)
    commitment, rows = given_commitment(request), thermal_rows(grid)
    state = None if commitment is None else commitment.on[:, rows]
    thermal = _thermal(program, periods, units, quadratic, state)
    if periods.before_mw is not None:
        _after(program, thermal["above"], periods.before_mw[rows], units, state)
    free = free_rows(grid)
    stores = _stores(program, grid, periods, directions)
    lines = grid.dc_lines
    blocks: dict[str, Ints] = {
        **thermal,
        **stores,
        "free": _free_units(program, free, periods),
        "dc_flow": program.variables(
            (periods.count, len(lines)),
            lines.p_min_mw * lines.in_service,
            lines.p_max_mw * lines.in_service,
        ),
        **_reserves(program, periods, options, thermal["up"], thermal["down"]),
    }
    on = blocks.pop("on") if state is None else None
    demand = bus_demand(grid, periods)
    minima = np.zeros_like(demand)
    if state is not None:
        np.add.at(minima.T, grid.generators.bus[rows], (state * units.p_min_mw).T)
    return Resources(
        units=units,
        quadratic=quadratic,
        thermal=rows,
        free_units=free,
        state=state,
        on=on,
        **blocks,
        injections=_injections(grid, units, rows, free, blocks, on),
        fixed_mw=minima - demand,
        demand_mw=demand,
    )


def _injections(
    grid: Grid,
    units: ThermalUnits,
    thermal: Ints,
    free: Ints,
    blocks: dict[str, Ints],
    on: Ints | None,
) -> tuple[Injection, ...]:
    bus, stores, lines = grid.generators.bus, grid.storages.bus, grid.dc_lines
    found = [
        Injection(blocks["above"], bus[thermal], np.ones(len(thermal))),
        Injection(blocks["free"], bus[free], np.ones(len(free))),
        Injection(blocks["discharge"], stores, np.ones(len(stores))),
        Injection(blocks["charge"], stores, -np.ones(len(stores))),
        Injection(blocks["dc_flow"], lines.from_bus, -np.ones(len(lines))),
        Injection(blocks["dc_flow"], lines.to_bus, 1.0 - lines.loss_share),
    ]
    if on is not None:
        found.append(Injection(on, bus[thermal], units.p_min_mw))
    return tuple(part for part in found if part.columns.size)


def _thermal(
    program: LinearProgram,
    periods: Periods,
    units: ThermalUnits,
    quadratic: QuadraticCosts,
    state: Flags | None,
) -> dict[str, Ints]:
    """Committed units: cost above the minimum, reserves, limits of runs, ramps."""
    shape = (periods.count, len(units))
    (width, slope), span = units.pieces(), units.p_max_mw - units.p_min_mw
    straight = (np.delete(width, 0, axis=1) == 0.0).all(axis=1)
    straight[quadratic.units] = False
    pieces = np.setdiff1d(np.flatnonzero(~straight), quadratic.units)
    base = units.cost_usd[:, 0].copy()
    base[quadratic.units] = 0.0
    blocks: dict[str, Ints] = {}
    if state is None:
        blocks["on"] = program.variables(shape, 0.0, 1.0, base)
    running = np.ones(shape) if state is None else state.astype(np.float64)
    room = span * running if state is None else _room(units, state)
    above = program.variables(shape, 0.0, room, np.where(straight, slope[:, 0], 0.0))
    size = width[pieces] * running[:, pieces, None]
    segments = program.variables(size.shape, 0.0, size, slope[pieces])
    if segments.size:
        whole = [(above[:, pieces], 1.0), (segments, -1.0)]
        program.rows(above[:, pieces].shape, whole, 0.0, 0.0)
    blocks |= {"above": above, "segments": segments}
    blocks["curved"] = _curved(program, periods, units, quadratic, blocks, running)
    blocks |= _held(program, periods, units, above, running, room)
    if state is None:
        _fractions(program, units, blocks, pieces, width, span)
    _ramps(program, units, span, above, blocks["up"])
    return blocks


def _curved(
    program: LinearProgram,
    periods: Periods,
    units: ThermalUnits,
    quadratic: QuadraticCosts,
    blocks: dict[str, Ints],
    running: Floats,
) -> Ints:
    """Costs of quadratic units, above the tangents at a few outputs."""
    which = quadratic.units
    cost = program.variables((periods.count, len(which)), -np.inf, np.inf, 1.0)
    for share in np.linspace(0.0, 1.0, FIRST_TANGENTS):
        at = units.p_min_mw[which] + share * (units.p_max_mw - units.p_min_mw)[which]
        slope, base = tangent(quadratic, units, at)
        terms: list[Term] = [(cost, 1.0), (blocks["above"][:, which], -slope)]
        lower = base * running[:, which]
        if "on" in blocks:
            terms.append((blocks["on"][:, which], -base))
            lower = np.zeros_like(lower)
        program.rows(cost.shape, terms, lower, np.inf)
    return cost


def tangent(
    quadratic: QuadraticCosts, units: ThermalUnits, power_mw: Floats
) -> tuple[Floats, Floats]:
    """Slope of the tangents at some outputs, and their height at the units' minima."""
    slope: Floats = 2.0 * quadratic.c2 * power_mw + quadratic.c1
    base: Floats = quadratic.at(power_mw) - slope * (power_mw - units.p_min_mw[quadratic.units])
    return slope, base


def _held(
    program: LinearProgram,
    periods: Periods,
    units: ThermalUnits,
    above: Ints,
    running: Floats,
    room: Floats,
) -> dict[str, Ints]:
    """Reserve of running units, where any is asked for."""
    blocks: dict[str, Ints] = {}
    for name, asked in (("up", periods.reserve_up_mw), ("down", periods.reserve_down_mw)):
        wanted = bool(asked.any())
        shape = (periods.count, len(units) if wanted else 0)
        most = units.reserve_max_mw * running if wanted else 0.0
        held = program.variables(shape, 0.0, most)
        if wanted and name == "up":
            program.rows(shape, [(above, 1.0), (held, 1.0)], -np.inf, room)
        elif wanted:
            program.rows(shape, [(held, 1.0), (above, -1.0)], -np.inf, 0.0)
        blocks[name] = held
    return blocks


def _fractions(
    program: LinearProgram,
    units: ThermalUnits,
    blocks: dict[str, Ints],
    pieces: Ints,
    width: Floats,
    span: Floats,
) -> None:
    """Limits of units whose state is a fraction."""
    on, above, segments = blocks["on"], blocks["above"], blocks["segments"]
    up = [(blocks["up"], 1.0)] if blocks["up"].size else []
    program.rows(above.shape, [(above, 1.0), (on, -span), *up], -np.inf, 0.0)
    if segments.size:
        limit = [(segments, 1.0), (on[:, pieces, None], -width[pieces])]
        program.rows(segments.shape, limit, -np.inf, 0.0)
    for held in (blocks["up"], blocks["down"]):
        if held.size:
            reach = [(held, 1.0), (on, -units.reserve_max_mw)]
            program.rows(held.shape, reach, -np.inf, 0.0)


def _ramps(
    program: LinearProgram, units: ThermalUnits, span: Floats, above: Ints, up: Ints
) -> None:
    """Changes from one interval to the next; a ramp as wide as the unit's range never binds."""
    slow = np.flatnonzero(units.ramp_up_mw < span)
    rise: list[Term] = [(above[1:, slow], 1.0), (above[:-1, slow], -1.0)]
    if up.size:
        rise.append((up[1:, slow], 1.0))
    program.rows(above[1:, slow].shape, rise, -np.inf, units.ramp_up_mw[slow])
    slow = np.flatnonzero(units.ramp_down_mw < span)
    fall: list[Term] = [(above[:-1, slow], 1.0), (above[1:, slow], -1.0)]
    program.rows(above[1:, slow].shape, fall, -np.inf, units.ramp_down_mw[slow])


def _after(
    program: LinearProgram,
    above: Ints,
    before_mw: Floats,
    units: ThermalUnits,
    state: Flags | None,
) -> None:
    """The first interval within the ramps from the realised dispatch.

    A unit that was below its minimum was off: it starts, or is stopped, freely.
    """
    bound = np.isfinite(before_mw) & (before_mw >= units.p_min_mw - 1e-6)
    if state is not None:
        bound &= state[0]
    level = np.where(bound, before_mw - units.p_min_mw, 0.0)
    rows = np.flatnonzero(bound)
    low, high = (level - units.ramp_down_mw)[rows], (level + units.ramp_up_mw)[rows]
    program.rows(rows.shape, [(above[0, rows], 1.0)], low, high)


def _room(units: ThermalUnits, on: Flags) -> Floats:
    """Greatest output above the minimum, shape (T, n): less where a run begins or ends."""
    span = units.p_max_mw - units.p_min_mw
    begins = np.vstack([np.zeros((1, len(units)), dtype=np.bool_), on[1:] & ~on[:-1]])
    ends = np.vstack([on[:-1] & ~on[1:], np.zeros((1, len(units)), dtype=np.bool_)])
    room = np.where(begins, units.start_ramp_mw - units.p_min_mw, span)
    room = np.where(ends, np.minimum(room, units.stop_ramp_mw - units.p_min_mw), room)
    kept: Floats = np.where(on, room, 0.0)
    return kept


def _free_units(program: LinearProgram, rows: Ints, periods: Periods) -> Ints:
    """Wind, sun and water within their forecasts, free of cost."""
    ceiling = periods.available_mw[:, rows]
    return program.variables(
        ceiling.shape, np.where(periods.must_take[rows], ceiling, 0.0), ceiling
    )


def free_rows(grid: Grid) -> Ints:
    """Rows of the generators in service that need no commitment."""
    return np.setdiff1d(np.flatnonzero(grid.generators.in_service), thermal_rows(grid))


def _stores(
    program: LinearProgram, grid: Grid, periods: Periods, directions: Flags | None
) -> dict[str, Ints]:
    """Stores: energy from one interval to the next, at the end no less than at the start."""
    stores, hours = grid.storages, periods.hours
    shape = (periods.count, len(stores))
    giving = stores.in_service & np.ones(shape, dtype=np.bool_)
    taking, least = giving, np.zeros(shape)
    if directions is not None:
        giving, taking = giving & directions, giving & ~directions
        least = stores.discharge_min_mw * giving
    charge = program.variables(shape, 0.0, stores.charge_max_mw * taking)
    discharge = program.variables(shape, least, stores.discharge_max_mw * giving)
    energy = program.variables(shape, 0.0, stores.energy_max_mwh)
    spill = program.variables(shape, 0.0, periods.inflow_mw)
    flow = [
        (charge, -stores.charge_efficiency * hours),
        (discharge, hours / stores.discharge_efficiency),
        (spill, hours),
    ]
    gain = periods.inflow_mw * hours
    later = [(columns[1:], coefficient) for columns, coefficient in flow]
    program.rows(
        energy[1:].shape, [(energy[1:], 1.0), (energy[:-1], -1.0), *later], gain[1:], gain[1:]
    )
    first = gain[:1] + stores.energy_initial_mwh
    begin = [(columns[:1], coefficient) for columns, coefficient in flow]
    program.rows(first.shape, [(energy[:1], 1.0), *begin], first, first)
    program.rows(first.shape, [(energy[-1:], 1.0)], stores.energy_initial_mwh[None], np.inf)
    return {"charge": charge, "discharge": discharge, "energy": energy}


def bus_demand(grid: Grid, periods: Periods) -> Floats:
    """Demand at each bus, shunt conductance at nominal voltage included, shape (T, buses), MW."""
    at_bus = periods.load_mw * grid.loads.in_service @ _incidence(grid.loads.bus, len(grid.buses))
    demand: Floats = at_bus + grid.buses.gs_mw
    return demand


def _incidence(bus: Ints, buses: int) -> csr_matrix:
    """1 where an element (row) stands at a bus (column)."""
    return coo_matrix((np.ones(len(bus)), (np.arange(len(bus)), bus)), (len(bus), buses)).tocsr()


def _reserves(
    program: LinearProgram, periods: Periods, options: Options, up: Ints, down: Ints
) -> dict[str, Ints]:
    cost = options.penalties.reserve_shortfall * periods.hours
    found: dict[str, Ints] = {}
    for name, held, asked in (
        ("up", up, periods.reserve_up_mw),
        ("down", down, periods.reserve_down_mw),
    ):
        short = program.variables(asked.shape, 0.0, asked, cost)
        found[f"{name}_short"] = short
        found[f"{name}_rows"] = program.rows(
            asked.shape, [(held, 1.0), (short, 1.0)], asked, np.inf
        )
    return found
