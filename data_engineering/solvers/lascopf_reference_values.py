"""The values of the reference's Pyomo model as the arrays of a dispatch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from data_engineering.model.grid import Floats
from data_engineering.model.problem import Commitment, SolveRequest
from data_engineering.solvers.dispatch_tables import DispatchArrays


def demand_of(request: SolveRequest) -> Floats:
    """Demand at every bus, shunts and fixed losses of DC lines included, shape (T, buses), MW."""
    demand = np.tile(request.grid.buses.gs_mw, (request.periods.count, 1))
    for column, bus in enumerate(request.grid.loads.bus):
        if request.grid.loads.in_service[column]:
            demand[:, bus] += request.periods.load_mw[:, column]
    lines = request.grid.dc_lines
    for line in range(len(lines)):
        if lines.in_service[line]:
            demand[:, lines.to_bus[line]] += lines.loss_fixed_mw[line]
    return demand


def reference_arrays(
    pyo: Any,
    model: Any,
    states: Sequence[Any],
    request: SolveRequest,
    commitment: Commitment,
) -> DispatchArrays:
    """The arrays of a solved model; `states` are its network blocks, the intact one first."""
    grid, periods, hours = request.grid, request.periods, request.periods.hours
    units, stores, branches = len(grid.generators), len(grid.storages), len(grid.branches)
    base, demand = states[0], demand_of(request)

    def read(block: Any, width: int) -> Floats:
        values = np.zeros((periods.count, width))
        for (k, t), variable in block.items():
            values[t, k] = pyo.value(variable, exception=False) or 0.0
        return values

    power = read(model.p, units) + read(model.free, units)
    theta = read(base.theta, len(grid.buses))
    slope = grid.branches.in_service * grid.base_mva / (grid.branches.x_pu * grid.branches.tap)
    shift = np.deg2rad(grid.branches.shift_deg)
    turned = theta[:, grid.branches.from_bus] - theta[:, grid.branches.to_bus] - shift
    price, shadow = np.zeros(demand.shape), np.zeros((periods.count, branches))
    for state in states:
        for (b, t), row in state.balance.items():
            price[t, b] += model.dual[row] / hours
    for rows in (base.upper, base.lower):
        for (k, t), row in rows.items():
            shadow[t, k] += abs(model.dual[row]) / hours
    excess = np.zeros(periods.count)
    for state in states[1:]:
        excess += read(state.excess, branches).sum(axis=1)
    short = {name: np.zeros(periods.count) for name in ("up", "down")}
    for (t, name), variable in model.short.items():
        short[name][t] = pyo.value(variable)
    reserve = [abs(model.dual[model.reserve[t, "up"]]) / hours for t in model.t]
    rows = sorted(model.g)
    minima = grid.generators.p_min_mw * commitment.on
    return DispatchArrays(
        power=power,
        on=commitment.on & grid.generators.in_service,
        above=(power - minima)[:, rows],
        cost=_costs(request, commitment, power, rows),
        start_cost=commitment.start_cost_usd,
        reserve_up=read(model.up, units),
        reserve_down=read(model.down, units),
        charge=read(model.charge, stores),
        discharge=read(model.discharge, stores),
        energy=read(model.energy, stores),
        store_start_cost=commitment.store_start_cost_usd,
        angle=theta,
        flow=slope * turned,
        dc_flow=read(model.dc, len(grid.dc_lines)),
        demand=demand,
        shed=read(model.shed, len(grid.buses)),
        over=read(model.over, len(grid.buses)),
        overload=read(base.excess, branches),
        up_short=short["up"],
        down_short=short["down"],
        price=price,
        shadow=shadow,
        reserve_price=np.array(reserve),
        outage_penalty=excess * request.options.penalties.outage_overload * hours,
    )


def _costs(request: SolveRequest, commitment: Commitment, power: Floats, rows: list[int]) -> Floats:
    """Cost of every unit's output from its own curve, shape (T, units), USD."""
    units, hours = request.grid.generators, request.periods.hours
    cost = np.zeros(power.shape)
    for g in rows:
        known = np.isfinite(units.cost_mw[g])
        if known.any():
            x, y = units.cost_mw[g, known], units.cost_usd_per_h[g, known]
            slope = np.diff(y) / np.diff(x)
            # A convex curve is the greatest of its pieces' lines, beyond its ends too.
            lines = y[:-1] + slope * (power[:, g, None] - x[:-1])
            each = lines.max(axis=1)
        else:
            each = np.polyval([units.cost_c2[g], units.cost_c1[g], units.cost_c0[g]], power[:, g])
        cost[:, g] = hours * each * commitment.on[:, g]
    return cost
