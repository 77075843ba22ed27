"""The blocks of a dispatch that are not the network: units, stores, DC lines, reserves.

Every block has the interval as its first axis. What a block gives to a bus is an `Injection`; the
network's rows are made from these alone. The page docs/MODEL.md has the equations.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import Flags, Floats, Grid, Ints
from data_engineering.model.problem import Commitment, Options, Periods, SolveRequest
from data_engineering.solvers.interval_links import Links
from data_engineering.solvers.linear import LinearProgram
from data_engineering.solvers.thermal_blocks import (
    FIRST_TANGENTS,
    Pieces,
    add_thermal,
    cost_pieces,
    tangent,
)
from data_engineering.solvers.units import (
    QuadraticCosts,
    ThermalUnits,
    quadratic_costs,
    thermal_rows,
    thermal_units,
)

__all__ = [
    "FIRST_TANGENTS",
    "Injection",
    "Resources",
    "add_resources",
    "bus_demand",
    "free_rows",
    "given_commitment",
    "least_energy_at_end",
    "tangent",
]


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
        segments: parts of `above` on the pieces of the costs that have width, shape (T, pieces).
        curved: cost of the units with quadratic costs, shape (T, q).
        fixed_mw: injection that no column moves, shape (T, buses): minima less demand.
        demand_mw: shape (T, buses).
    """

    units: ThermalUnits
    quadratic: QuadraticCosts
    pieces: Pieces
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

    def taken(self, order: Ints) -> Resources:
        """The same with its intervals in another order."""
        names = (
            *("state", "on", "above", "segments", "curved", "up", "down", "free", "charge"),
            *("discharge", "energy", "dc_flow", "up_short", "down_short", "up_rows", "down_rows"),
            *("fixed_mw", "demand_mw"),
        )
        blocks = {name: getattr(self, name) for name in names}
        return replace(
            self,
            injections=tuple(
                replace(part, columns=part.columns[order]) for part in self.injections
            ),
            **{name: block[order] for name, block in blocks.items() if block is not None},
        )

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
    program: LinearProgram,
    request: SolveRequest,
    directions: Flags | None,
    links: Links | None = None,
    known: Resources | None = None,
) -> Resources:
    """Add all blocks to `program`.

    Args:
        program: gets the blocks.
        request: its intervals in the order of the slots.
        directions: whether each store discharges, shape (T, storages); None leaves it open.
        links: of the slots; None for a row.
        known: of an earlier program of the same grid, whose units are taken over.
    """
    grid, periods, options = request.grid, request.periods, request.options
    links = links or Links(periods.count)
    units = known.units if known else thermal_units(grid, periods.hours)
    quadratic = known.quadratic if known else quadratic_costs(grid, periods.hours)
    pieces = known.pieces if known else cost_pieces(units, quadratic)
    commitment = given_commitment(request)
    rows = known.thermal if known else thermal_rows(grid)
    state = None if commitment is None else commitment.on[:, rows]
    thermal = add_thermal(program, periods, units, quadratic, pieces, state, links, rows)
    free = known.free_units if known else free_rows(grid)
    stores = _stores(program, grid, periods, directions, links)
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
        minima = _at_buses(state * units.p_min_mw, grid.generators.bus[rows], demand.shape[1])
    return Resources(
        units=units,
        quadratic=quadratic,
        pieces=pieces,
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
    program: LinearProgram, grid: Grid, periods: Periods, directions: Flags | None, links: Links
) -> dict[str, Ints]:
    """Stores: energy from one interval to the next, at the end no less than is asked."""
    stores, hours = grid.storages, periods.hours
    shape = (periods.count, len(stores))
    giving = stores.in_service & np.ones(shape, dtype=np.bool_)
    taking, least = giving, np.zeros(shape)
    if directions is not None:
        giving, taking = giving & directions, giving & ~directions
        least = stores.discharge_min_mw * giving
    charge = program.variables(shape, 0.0, stores.charge_max_mw * taking)
    discharge = program.variables(shape, least, stores.discharge_max_mw * giving)
    kept = np.zeros(shape)
    kept[links.last] = least_energy_at_end(grid, periods)
    energy = program.variables(shape, kept, stores.energy_max_mwh)
    spill = program.variables(shape, 0.0, periods.inflow_mw)
    low, high = np.zeros(shape), np.zeros(shape) + stores.energy_max_mwh
    low[links.first] = high[links.first] = stores.energy_initial_mwh
    before = program.variables(shape, low, high)
    off = links.where_on(0.0, stores.energy_max_mwh)
    held = [(before[links.later], 1.0), (energy[links.earlier], -1.0)]
    program.rows(before[links.later].shape, held, -off, off)
    change = [
        (energy, 1.0),
        (before, -1.0),
        (charge, -stores.charge_efficiency * hours),
        (discharge, hours / stores.discharge_efficiency),
        (spill, hours),
    ]
    program.rows(shape, change, periods.inflow_mw * hours, periods.inflow_mw * hours)
    return {"charge": charge, "discharge": discharge, "energy": energy}


def bus_demand(grid: Grid, periods: Periods) -> Floats:
    """Demand at each bus, shape (T, buses), MW.

    Shunt conductance at nominal voltage and the fixed losses of DC lines, where they arrive, count.
    """
    given, lines = periods.load_mw * grid.loads.in_service, grid.dc_lines
    lost = np.bincount(lines.to_bus, lines.loss_fixed_mw * lines.in_service, len(grid.buses))
    demand: Floats = _at_buses(given, grid.loads.bus, len(grid.buses)) + grid.buses.gs_mw + lost
    return demand


def _at_buses(values: Floats, bus: Ints, buses: int) -> Floats:
    """Sums at the buses of elements' values, shape (T, elements) to (T, buses)."""
    found = np.empty((len(values), buses))
    for row, each in zip(found, values, strict=True):
        row[:] = np.bincount(bus, each, buses)
    return found


def least_energy_at_end(grid: Grid, periods: Periods) -> Floats:
    """What the stores must hold at the end, shape (storages,), MWh."""
    asked = periods.energy_end_mwh
    return grid.storages.energy_initial_mwh if asked is None else asked


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
