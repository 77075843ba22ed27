"""DC optimal power flow over a horizon, as a linear program solved by HiGHS.

Bus angles and branch flows are variables; a flow is (angle difference - shift) / (x tap). Limits
that cannot be kept have slacks with a penalty, so a run always ends with an answer, and the answer
says what was violated. The page docs/MODEL.md has the equations; `dispatch_reference` states the
same problem in another form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import REF, Flags, Floats, Grid, Ints
from data_engineering.model.problem import Commitment, Options, Periods, SolveRequest, SolveResult
from data_engineering.solvers.dispatch_tables import DispatchArrays, tables_of
from data_engineering.solvers.linear import LinearProgram, Solution
from data_engineering.solvers.result_rows import AT_LIMIT_MW
from data_engineering.solvers.units import ThermalUnits, thermal_rows, thermal_units


@dataclass(frozen=True, eq=False)
class Blocks:
    """Column and row numbers of the program, first axis the interval."""

    on: Ints | None
    segments: Ints
    above: Ints
    up: Ints
    down: Ints
    free: Ints
    charge: Ints
    discharge: Ints
    energy: Ints
    theta: Ints
    flow: Ints
    dc_flow: Ints
    shed: Ints
    over: Ints
    overload: Ints
    up_short: Ints
    down_short: Ints
    balance: Ints
    flow_upper: Ints
    flow_lower: Ints
    up_rows: Ints
    down_rows: Ints


def solve_dispatch(request: SolveRequest) -> SolveResult:
    """Dispatch all intervals at least cost; the tables hold the reported ones.

    Raises:
        BadInput: the request has no commitment and its options ask for one.
    """
    commitment = _commitment(request)
    units = thermal_units(request.grid, request.periods.hours)
    directions = None if request.commitment is None else request.commitment.discharging
    arrays, solution = _solve(request, units, commitment, directions)
    # With spilled energy in the system a store without a direction gains by charging and giving
    # at once, which no store can. It then keeps the direction of its net power.
    if directions is None and (np.minimum(arrays.charge, arrays.discharge) > AT_LIMIT_MW).any():
        directions = arrays.discharge > arrays.charge
        arrays, solution = _solve(request, units, commitment, directions)
    return tables_of(request, units, arrays, solution)


def _solve(
    request: SolveRequest,
    units: ThermalUnits,
    commitment: Commitment | None,
    directions: Flags | None,
) -> tuple[DispatchArrays, Solution]:
    program = LinearProgram()
    blocks = build(program, request, units, commitment, directions)
    solution = program.solve(time_limit_seconds=request.options.time_limit_seconds)
    return _read(request, units, commitment, blocks, solution), solution


def _commitment(request: SolveRequest) -> Commitment | None:
    """The fixed commitment; None where the states are relaxed to fractions."""
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


def build(
    program: LinearProgram,
    request: SolveRequest,
    units: ThermalUnits,
    commitment: Commitment | None,
    directions: Flags | None,
) -> Blocks:
    """Add the whole dispatch to `program`.

    No `commitment` relaxes the states of the units to fractions. `directions` says whether each
    store discharges, shape (T, storages); None leaves it open.
    """
    grid, periods, options = request.grid, request.periods, request.options
    thermal = _thermal(program, request, units, commitment)
    free = _free_units(program, grid, periods)
    stores = _stores(program, grid, periods, directions)
    network = _network(program, grid, periods, options)
    reserves = _reserves(program, periods, options, thermal["up"], thermal["down"])
    balance = _balance(program, request, units, commitment, {**thermal, **stores, **network}, free)
    return Blocks(free=free, balance=balance, **thermal, **stores, **network, **reserves)


def _thermal(
    program: LinearProgram,
    request: SolveRequest,
    units: ThermalUnits,
    commitment: Commitment | None,
) -> dict[str, Ints]:
    """Committed units: cost segments above the minimum, reserves, limits of runs, ramps."""
    shape = (request.periods.count, len(units))
    width = np.diff(units.cost_mw, axis=1)
    slope = np.diff(units.cost_usd, axis=1) / width
    span = units.p_max_mw - units.p_min_mw
    state = _state(request.grid, commitment)
    on = None if state is not None else program.variables(shape, 0.0, 1.0, units.cost_usd[:, 0])
    running = np.ones(shape) if state is None else state.astype(np.float64)
    segments = program.variables((*shape, width.shape[1]), 0.0, width * running[..., None], slope)
    above = program.variables(shape, 0.0, span)
    up = program.variables(shape, 0.0, units.reserve_max_mw * running)
    down = program.variables(shape, 0.0, units.reserve_max_mw * running)
    program.rows(shape, [(above, 1.0), (segments, -1.0)], 0.0, 0.0)
    program.rows(shape, [(down, 1.0), (above, -1.0)], -np.inf, 0.0)
    if on is None and state is not None:
        program.rows(shape, [(above, 1.0), (up, 1.0)], -np.inf, _room(units, state))
    elif on is not None:
        program.rows(shape, [(above, 1.0), (up, 1.0), (on, -span)], -np.inf, 0.0)
        limit = [(segments, 1.0), (on[..., None], -width)]
        program.rows(segments.shape, limit, -np.inf, 0.0)
        program.rows(shape, [(down, 1.0), (on, -units.reserve_max_mw)], -np.inf, 0.0)
    later = above[1:].shape
    rise = [(above[1:], 1.0), (up[1:], 1.0), (above[:-1], -1.0)]
    program.rows(later, rise, -np.inf, units.ramp_up_mw)
    program.rows(later, [(above[:-1], 1.0), (above[1:], -1.0)], -np.inf, units.ramp_down_mw)
    return {"on": on, "segments": segments, "above": above, "up": up, "down": down}  # type: ignore[dict-item]


def _state(grid: Grid, commitment: Commitment | None) -> Flags | None:
    return None if commitment is None else commitment.on[:, thermal_rows(grid)]


def _room(units: ThermalUnits, on: Flags) -> Floats:
    """Greatest output above the minimum, shape (T, n): less where a run begins or ends."""
    span = units.p_max_mw - units.p_min_mw
    begins = np.vstack([np.zeros((1, len(units)), dtype=np.bool_), on[1:] & ~on[:-1]])
    ends = np.vstack([on[:-1] & ~on[1:], np.zeros((1, len(units)), dtype=np.bool_)])
    room = np.where(begins, units.start_ramp_mw - units.p_min_mw, span)
    room = np.where(ends, np.minimum(room, units.stop_ramp_mw - units.p_min_mw), room)
    kept: Floats = np.where(on, room, 0.0)
    return kept


def _free_units(program: LinearProgram, grid: Grid, periods: Periods) -> Ints:
    """Wind, sun and water within their forecasts, free of cost."""
    rows = free_rows(grid)
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


def _network(
    program: LinearProgram, grid: Grid, periods: Periods, options: Options
) -> dict[str, Ints]:
    """Angles, flows and their limits, DC lines, and the slacks of limits and balances."""
    branches, lines, hours = grid.branches, grid.dc_lines, periods.hours
    count, penalties = periods.count, options.penalties
    anchored = np.where(grid.buses.kind == REF, 0.0, np.inf)
    theta = program.variables((count, len(grid.buses)), -anchored, anchored)
    flow = program.variables((count, len(branches)), -np.inf, np.inf)
    slope = grid.base_mva / (branches.x_pu * branches.tap) * branches.in_service
    fixed = -slope * np.deg2rad(branches.shift_deg)
    program.rows(
        flow.shape,
        [(flow, 1.0), (theta[:, branches.from_bus], -slope), (theta[:, branches.to_bus], slope)],
        fixed,
        fixed,
    )
    limited = np.flatnonzero(np.isfinite(branches.rate_a_mva) & branches.in_service)
    rate = branches.rate_a_mva[limited]
    overload = program.variables(
        (count, len(limited)), 0.0, np.inf, penalties.branch_overload * hours
    )
    upper = [(flow[:, limited], 1.0), (overload, -1.0)]
    lower = [(flow[:, limited], 1.0), (overload, 1.0)]
    demand = bus_demand(grid, periods)
    loaded = np.maximum(demand, 0.0)
    return {
        "theta": theta,
        "flow": flow,
        "overload": overload,
        "flow_upper": program.rows(overload.shape, upper, -np.inf, rate),
        "flow_lower": program.rows(overload.shape, lower, -rate, np.inf),
        "dc_flow": program.variables(
            (count, len(lines)),
            lines.p_min_mw * lines.in_service,
            lines.p_max_mw * lines.in_service,
        ),
        "shed": program.variables(demand.shape, 0.0, loaded, penalties.load_shed * hours),
        "over": program.variables(demand.shape, 0.0, np.inf, penalties.over_generation * hours),
    }


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


def _balance(
    program: LinearProgram,
    request: SolveRequest,
    units: ThermalUnits,
    commitment: Commitment | None,
    blocks: dict[str, Ints],
    free: Ints,
) -> Ints:
    """Power balance of every bus: what is injected equals demand and what leaves by lines.

    Buses have different numbers of units and branches, so the entries are given one by one and
    collected to rows by bus.
    """
    grid, periods = request.grid, request.periods
    thermal = thermal_rows(grid)
    bus_of = grid.generators.bus
    demand = bus_demand(grid, periods)
    state = _state(grid, commitment)
    if state is not None:
        base = state * units.p_min_mw
        demand = demand - base @ _incidence(bus_of[thermal], len(grid.buses))
    rows = program.rows(
        demand.shape, [(blocks["shed"], 1.0), (blocks["over"], -1.0)], demand, demand
    )
    lines, branches = grid.dc_lines, grid.branches
    entries: list[tuple[Ints, Ints, Floats | float]] = [
        (blocks["above"], bus_of[thermal], 1.0),
        (free, bus_of[free_rows(grid)], 1.0),
        (blocks["discharge"], grid.storages.bus, 1.0),
        (blocks["charge"], grid.storages.bus, -1.0),
        (blocks["flow"], branches.from_bus, -1.0),
        (blocks["flow"], branches.to_bus, 1.0),
        (blocks["dc_flow"], lines.from_bus, -1.0),
        (blocks["dc_flow"], lines.to_bus, 1.0 - lines.loss_share),
    ]
    if blocks["on"] is not None:
        entries.append((blocks["on"], bus_of[thermal], units.p_min_mw))
    for columns, bus, coefficient in entries:
        program.add_entries(rows[:, bus], columns, coefficient)
    return rows


def _read(
    request: SolveRequest,
    units: ThermalUnits,
    commitment: Commitment | None,
    blocks: Blocks,
    solution: Solution,
) -> DispatchArrays:
    """The solution as arrays with the interval as first axis, prices per MWh."""
    grid, periods = request.grid, request.periods
    value, hours = solution.values, periods.hours
    rows = thermal_rows(grid)
    shape = (periods.count, len(grid.generators))
    state = _state(grid, commitment)
    share = value[blocks.on] if blocks.on is not None else np.asarray(state, dtype=np.float64)
    power, on = np.zeros(shape), np.tile(grid.generators.in_service, (periods.count, 1))
    power[:, rows] = units.p_min_mw * share + value[blocks.above]
    power[:, free_rows(grid)] = value[blocks.free]
    on[:, rows] = share > 1e-6
    cost, start_cost = np.zeros(shape), np.zeros(shape)
    slope = np.diff(units.cost_usd, axis=1) / np.diff(units.cost_mw, axis=1)
    cost[:, rows] = units.cost_usd[:, 0] * share + (value[blocks.segments] * slope).sum(axis=2)
    if commitment is not None:
        start_cost = commitment.start_cost_usd
    up, down = np.zeros(shape), np.zeros(shape)
    up[:, rows], down[:, rows] = value[blocks.up], value[blocks.down]
    stores = (periods.count, len(grid.storages))
    store_start = np.zeros(stores) if commitment is None else commitment.store_start_cost_usd
    limited = np.flatnonzero(np.isfinite(grid.branches.rate_a_mva) & grid.branches.in_service)
    overload, shadow = np.zeros(blocks.flow.shape), np.zeros(blocks.flow.shape)
    overload[:, limited] = value[blocks.overload]
    dual = solution.duals
    shadow[:, limited] = (dual[blocks.flow_lower] - dual[blocks.flow_upper]) / hours
    return DispatchArrays(
        power=power,
        on=on,
        above=value[blocks.above],
        cost=cost,
        start_cost=start_cost,
        reserve_up=up,
        reserve_down=down,
        charge=value[blocks.charge],
        discharge=value[blocks.discharge],
        energy=value[blocks.energy],
        store_start_cost=store_start,
        angle=value[blocks.theta],
        flow=value[blocks.flow],
        dc_flow=value[blocks.dc_flow],
        demand=bus_demand(grid, periods),
        shed=value[blocks.shed],
        over=value[blocks.over],
        overload=overload,
        up_short=value[blocks.up_short],
        down_short=value[blocks.down_short],
        price=dual[blocks.balance] / hours,
        shadow=np.maximum(shadow, 0.0),
        reserve_price=np.maximum(dual[blocks.up_rows] / hours, 0.0),
    )
