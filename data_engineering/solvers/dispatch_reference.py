"""The dispatch once more, in Pyomo and in another form: the reference that production must equal.

Written to be checked against docs/MODEL.md line by line, not to be fast. It shares no code with
`dispatch`: outputs instead of outputs above the minimum, tangents instead of cost segments, power
transfer factors instead of bus angles.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import REF, Floats, Grid
from data_engineering.model.problem import SolveRequest
from data_engineering.solvers.units import RESERVE_MINUTES, thermal_rows


def transfer_factors(grid: Grid) -> Floats:
    """MW on each branch (from to to) per MW put in at a bus and out at the reference.

    Shape (branches, buses): B_f B^-1 with the reference's row and column left out (Wood and
    Wollenberg, Power Generation, Operation and Control, section 11.3).

    Raises:
        BadInput: the grid has phase shifters, which this form leaves out.
    """
    branches, count = grid.branches, len(grid.buses)
    if branches.shift_deg.any():
        raise BadInput("branches.shift_deg", "phase shifters", "use a grid without them")
    slope = branches.in_service / (branches.x_pu * branches.tap)
    flow = np.zeros((len(branches), count))
    rows = np.arange(len(branches))
    flow[rows, branches.from_bus] += slope
    flow[rows, branches.to_bus] -= slope
    signs = np.zeros((len(branches), count))
    signs[rows, branches.from_bus] += 1.0
    signs[rows, branches.to_bus] -= 1.0
    kept = np.flatnonzero(grid.buses.kind != REF)
    factors = np.zeros((len(branches), count))
    factors[:, kept] = np.linalg.solve((signs.T @ flow)[np.ix_(kept, kept)].T, flow[:, kept].T).T
    return factors


def reference_objective(request: SolveRequest) -> float:
    """Least cost of all intervals of a dispatch with a given commitment, USD.

    Raises:
        BadInput: the request has no commitment, or the grid has phase shifters.
    """
    import pyomo.environ as pyo

    if request.commitment is None:
        raise BadInput("commitment", None, "give the request a commitment")
    model = pyo.ConcreteModel()
    model.t = pyo.RangeSet(0, request.periods.count - 1)
    model.cost = pyo.Expression(expr=float(request.commitment.start_cost_usd.sum()))
    model.cost.expr += float(request.commitment.store_start_cost_usd.sum())
    _thermal(pyo, model, request)
    _free(pyo, model, request)
    _stores(pyo, model, request)
    _reserves(pyo, model, request)
    _network(pyo, model, request)
    model.least = pyo.Objective(expr=model.cost.expr)
    pyo.SolverFactory("appsi_highs").solve(model)
    return float(pyo.value(model.least))


def _thermal(pyo: Any, model: Any, request: SolveRequest) -> None:
    """Output of committed units, cost above every tangent, ramps, first and last intervals."""
    assert request.commitment is not None
    units, rows = request.grid.generators, thermal_rows(request.grid).tolist()
    on, last = request.commitment.on, request.periods.count - 1
    hours, minutes = request.periods.hours, request.periods.minutes
    model.g = pyo.Set(initialize=rows)
    model.p = pyo.Var(model.g, model.t)
    model.c = pyo.Var(model.g, model.t, bounds=(0, None))
    model.up = pyo.Var(model.g, model.t, bounds=(0, None))
    model.down = pyo.Var(model.g, model.t, bounds=(0, None))
    model.thermal = pyo.ConstraintList()
    add = model.thermal.add
    for g in rows:
        low, high = float(units.p_min_mw[g]), float(units.p_max_mw[g])
        ramp = float(units.ramp_mw_per_min[g]) * minutes
        reach = float(units.ramp_mw_per_min[g]) * RESERVE_MINUTES
        x, y = units.cost_mw[g], units.cost_usd_per_h[g] * hours
        for t in model.t:
            p, up, down = model.p[g, t], model.up[g, t], model.down[g, t]
            if not on[t, g]:
                for variable in (p, up, down, model.c[g, t]):
                    variable.fix(0.0)
                continue
            begins = t > 0 and not on[t - 1, g]
            ends = t < last and not on[t + 1, g]
            add(p - down >= low)
            add(p + up <= (low if begins or ends else high))
            add(up <= reach)
            add(down <= reach)
            for k in range(len(x) - 1):
                slope = float((y[k + 1] - y[k]) / (x[k + 1] - x[k]))
                add(model.c[g, t] >= float(y[k]) + slope * (p - float(x[k])))
            if t > 0 and on[t - 1, g]:
                add(p + up - model.p[g, t - 1] <= ramp)
                add(model.p[g, t - 1] - p <= ramp)
    model.cost.expr += sum(model.c[g, t] for g in rows for t in model.t)


def _free(pyo: Any, model: Any, request: SolveRequest) -> None:
    grid, periods = request.grid, request.periods
    rows = np.flatnonzero(grid.generators.in_service)
    free = sorted(set(rows.tolist()) - set(thermal_rows(grid).tolist()))

    def limits(_: Any, g: int, t: int) -> tuple[float, float]:
        most = float(periods.available_mw[t, g])
        return (most if periods.must_take[g] else 0.0, most)

    model.f = pyo.Set(initialize=free)
    model.free = pyo.Var(model.f, model.t, bounds=limits)


def _stores(pyo: Any, model: Any, request: SolveRequest) -> None:
    """Energy after each interval from that before it; at the end no less than at the start."""
    assert request.commitment is not None
    stores, periods = request.grid.storages, request.periods
    giving, hours = request.commitment.discharging, periods.hours
    model.s = pyo.RangeSet(0, len(stores) - 1)
    model.charge = pyo.Var(model.s, model.t, bounds=(0, None))
    model.discharge = pyo.Var(model.s, model.t, bounds=(0, None))
    model.spill = pyo.Var(model.s, model.t, bounds=(0, None))
    model.energy = pyo.Var(model.s, model.t, bounds=(0, None))
    model.store_rows = pyo.ConstraintList()
    add = model.store_rows.add
    for s in model.s:
        first = float(stores.energy_initial_mwh[s])
        for t in model.t:
            gives = bool(giving[t, s])
            inflow = float(periods.inflow_mw[t, s])
            add(model.charge[s, t] <= (0.0 if gives else float(stores.charge_max_mw[s])))
            add(model.discharge[s, t] <= (float(stores.discharge_max_mw[s]) if gives else 0.0))
            add(model.discharge[s, t] >= (float(stores.discharge_min_mw[s]) if gives else 0.0))
            add(model.spill[s, t] <= inflow)
            add(model.energy[s, t] <= float(stores.energy_max_mwh[s]))
            before = model.energy[s, t - 1] if t > 0 else first
            gained = model.charge[s, t] * float(stores.charge_efficiency[s]) + inflow
            given = model.discharge[s, t] / float(stores.discharge_efficiency[s])
            change = hours * (gained - model.spill[s, t] - given)
            add(model.energy[s, t] == before + change)
        add(model.energy[s, periods.count - 1] >= first)


def _reserves(pyo: Any, model: Any, request: SolveRequest) -> None:
    periods, penalties = request.periods, request.options.penalties
    model.short = pyo.Var(model.t, ["up", "down"], bounds=(0, None))
    model.reserve = pyo.ConstraintList()
    for t in model.t:
        for name, held, asked in (
            ("up", model.up, periods.reserve_up_mw[t]),
            ("down", model.down, periods.reserve_down_mw[t]),
        ):
            supplied = sum(held[g, t] for g in model.g)
            model.reserve.add(supplied + model.short[t, name] >= float(asked))
    missing = sum(model.short[t, name] for t in model.t for name in ("up", "down"))
    model.cost.expr += penalties.reserve_shortfall * periods.hours * missing


def _network(pyo: Any, model: Any, request: SolveRequest) -> None:
    """One balance of the system; flows from net injections by transfer factors."""
    grid, periods, penalties = request.grid, request.periods, request.options.penalties
    factors, buses = transfer_factors(grid), range(len(grid.buses))
    demand = np.zeros((periods.count, len(grid.buses)))
    for column, bus in enumerate(grid.loads.bus):
        demand[:, bus] += periods.load_mw[:, column]
    demand += grid.buses.gs_mw
    lines = grid.dc_lines
    model.d = pyo.RangeSet(0, len(lines) - 1)
    model.dc = pyo.Var(
        model.d, model.t, bounds=lambda _, d, t: (lines.p_min_mw[d], lines.p_max_mw[d])
    )
    model.b = pyo.Set(initialize=list(buses))
    model.shed = pyo.Var(model.b, model.t, bounds=lambda _, b, t: (0, max(demand[t, b], 0.0)))
    model.over = pyo.Var(model.b, model.t, bounds=(0, None))
    model.net = pyo.Var(model.b, model.t)
    rated = np.flatnonzero(np.isfinite(grid.branches.rate_a_mva)).tolist()
    model.l = pyo.Set(initialize=rated)
    model.excess = pyo.Var(model.l, model.t, bounds=(0, None))
    model.network = pyo.ConstraintList()
    add = model.network.add
    for t in model.t:
        for b in buses:
            injected = model.shed[b, t] - model.over[b, t] - float(demand[t, b])
            injected += sum(model.p[g, t] for g in model.g if grid.generators.bus[g] == b)
            injected += sum(model.free[g, t] for g in model.f if grid.generators.bus[g] == b)
            injected += sum(
                model.discharge[s, t] - model.charge[s, t]
                for s in model.s
                if grid.storages.bus[s] == b
            )
            injected -= sum(model.dc[d, t] for d in model.d if lines.from_bus[d] == b)
            injected += sum(model.dc[d, t] for d in model.d if lines.to_bus[d] == b)
            add(model.net[b, t] == injected)
        add(sum(model.net[b, t] for b in buses) == 0.0)
        for branch in rated:
            used = [b for b in buses if abs(factors[branch, b]) > 1e-12]
            flow = sum(float(factors[branch, b]) * model.net[b, t] for b in used)
            limit = float(grid.branches.rate_a_mva[branch])
            add(flow - model.excess[branch, t] <= limit)
            add(flow + model.excess[branch, t] >= -limit)
    model.cost.expr += periods.hours * sum(
        penalties.load_shed * model.shed[b, t] + penalties.over_generation * model.over[b, t]
        for b in buses
        for t in model.t
    )
    model.cost.expr += (
        periods.hours
        * penalties.branch_overload
        * sum(model.excess[branch, t] for branch in rated for t in model.t)
    )
