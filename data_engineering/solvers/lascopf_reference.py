"""LASCOPF in its extensive form, in Pyomo: the reference that every other method must equal.

Every balance and every limit of every interval and outage is written out, with bus angles of its
own for each. Written to be checked against docs/MODEL.md line by line, not to be fast; it shares
no code with the method for production: outputs instead of outputs above the minimum, cost curves
instead of pieces and tangents, angles instead of transfer and outage factors.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import REF, Grid
from data_engineering.model.problem import Commitment, Outage, SolveRequest, SolveResult
from data_engineering.solvers.dispatch_tables import tables_of
from data_engineering.solvers.lascopf_reference_values import demand_of, reference_arrays
from data_engineering.solvers.resources import given_commitment, least_energy_at_end
from data_engineering.solvers.result_rows import BASE as INTACT
from data_engineering.solvers.result_rows import notes_of
from data_engineering.solvers.units import RESERVE_MINUTES, thermal_rows, thermal_units


def solve_extensive(request: SolveRequest) -> SolveResult:
    """Least cost of all intervals, secure against the request's outages.

    Prices are the duals of the balances, summed over the intact network and all outages, since a
    demand is in each of them.

    Raises:
        BadInput: the states of the units are to be fractions.
    """
    import highspy
    import pyomo.environ as pyo

    started = time.perf_counter()
    commitment = _commitment(request)
    kept, left_out = _whole(request)
    model = pyo.ConcreteModel()
    model.dual = pyo.Suffix(direction=pyo.Suffix.IMPORT)
    model.t = pyo.RangeSet(0, request.periods.count - 1)
    model.cost = pyo.Expression(expr=float(commitment.start_cost_usd.sum()))
    model.cost.expr += float(commitment.store_start_cost_usd.sum())
    _thermal(pyo, model, request, commitment)
    _free(pyo, model, request)
    _stores(pyo, model, request)
    _reserves(pyo, model, request)
    _slacks(pyo, model, request)
    states = [
        _network(pyo, model, request, commitment, outage) for outage in (Outage(INTACT), *kept)
    ]
    model.least = pyo.Objective(expr=model.cost.expr)
    rounds = _solve(pyo, model, request, commitment)
    arrays = reference_arrays(pyo, model, states, request, commitment)
    result = tables_of(request, thermal_units(request.grid, request.periods.hours), arrays)
    history = pd.DataFrame(
        {
            "stage": ["dispatch"],
            "iteration": [rounds],
            "objective_value": [float(pyo.value(model.least))],
            "best_bound": [float(pyo.value(model.least))],
            "relative_gap": [0.0],
            "primal_residual": [np.nan],
            "dual_residual": [np.nan],
            "elapsed_seconds": [time.perf_counter() - started],
        }
    )
    return replace(
        result,
        tables={**result.tables, "convergence_history": history},
        solver="pyomo+highs",
        version=str(highspy.Highs().version()),
        seconds=time.perf_counter() - started,
        iterations=rounds,
        notes=notes_of(left_out),
    )


def _solve(pyo: Any, model: Any, request: SolveRequest, commitment: Commitment) -> int:
    """Solve; quadratic costs by tangents at the outputs found, until they are met to 1e-9.

    HiGHS's own method for quadratic programs does not finish on problems of this form.
    """
    units, hours = request.grid.generators, request.periods.hours
    curved = [g for g in model.g if np.isnan(units.cost_mw[g]).all()]
    model.tangents = pyo.ConstraintList()
    points = [(g, t, float(units.p_max_mw[g])) for g in curved for t in model.t]
    solver, rounds = pyo.SolverFactory("appsi_highs"), 0
    while points or not rounds:
        rounds += 1
        for g, t, at in points:
            if commitment.on[t, g]:
                slope = 2.0 * units.cost_c2[g] * at + units.cost_c1[g]
                height = (units.cost_c2[g] * at + units.cost_c1[g]) * at + units.cost_c0[g]
                line = float(height) + float(slope) * (model.p[g, t] - at)
                model.tangents.add(model.c[g, t] >= hours * line)
        solver.solve(model)
        allowed = 1e-9 * abs(pyo.value(model.least)) / max(len(curved) * len(model.t), 1)
        points = []
        for g in curved:
            for t in model.t:
                at = pyo.value(model.p[g, t])
                cost = (units.cost_c2[g] * at + units.cost_c1[g]) * at + units.cost_c0[g]
                if commitment.on[t, g] and hours * cost - pyo.value(model.c[g, t]) > allowed:
                    points.append((g, t, at))
    return rounds


def _commitment(request: SolveRequest) -> Commitment:
    found = given_commitment(request)
    if found is None:
        raise BadInput("options.commitment", "relaxed", "give a commitment, or `on`")
    return found


def _whole(request: SolveRequest) -> tuple[list[Outage], tuple[str, ...]]:
    """The outages that leave every island of the network whole, and the names of the others."""
    import networkx

    branches = request.grid.branches
    graph = networkx.MultiGraph()
    graph.add_nodes_from(range(len(request.grid.buses)))
    for k in np.flatnonzero(branches.in_service).tolist():
        graph.add_edge(int(branches.from_bus[k]), int(branches.to_bus[k]), str(branches.id[k]))
    parts = networkx.number_connected_components(graph)
    kept, left_out = [], []
    for outage in request.outages:
        lost = [edge for edge in graph.edges(keys=True) if edge[2] in outage.branches]
        graph.remove_edges_from(lost)
        if networkx.number_connected_components(graph) > parts:
            left_out.append(outage.id)
        else:
            kept.append(outage)
        graph.add_edges_from(lost)
    return kept, tuple(left_out)


def _thermal(pyo: Any, model: Any, request: SolveRequest, commitment: Commitment) -> None:
    """Output of committed units, cost, ramps, first and last intervals of runs."""
    units, rows = request.grid.generators, thermal_rows(request.grid).tolist()
    on, last = commitment.on, request.periods.count - 1
    before = request.periods.before_mw
    hours, minutes = request.periods.hours, request.periods.minutes
    model.g = pyo.Set(initialize=rows)
    model.p = pyo.Var(model.g, model.t)
    model.c = pyo.Var(model.g, model.t)
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
            if np.isfinite(reach):
                add(up <= reach)
                add(down <= reach)
            for k in np.flatnonzero(np.isfinite(x[1:])):
                slope = float((y[k + 1] - y[k]) / (x[k + 1] - x[k]))
                add(model.c[g, t] >= float(y[k]) + slope * (p - float(x[k])))
            if not np.isfinite(ramp):
                continue
            if t > 0 and on[t - 1, g]:
                add(p + up - model.p[g, t - 1] <= ramp)
                add(model.p[g, t - 1] - p <= ramp)
            elif t == 0 and before is not None and before[g] >= low:
                add(p - float(before[g]) <= ramp)
                add(float(before[g]) - p <= ramp)
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
    """Energy after each interval from that before it; at the end no less than is asked."""
    stores, periods, hours = request.grid.storages, request.periods, request.periods.hours
    kept = least_energy_at_end(request.grid, periods)
    giving = None if request.commitment is None else request.commitment.discharging
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
            gives = giving is None or bool(giving[t, s])
            takes = giving is None or not gives
            least = float(stores.discharge_min_mw[s]) if giving is not None and gives else 0.0
            inflow = float(periods.inflow_mw[t, s])
            add(model.charge[s, t] <= (float(stores.charge_max_mw[s]) if takes else 0.0))
            add(model.discharge[s, t] <= (float(stores.discharge_max_mw[s]) if gives else 0.0))
            add(model.discharge[s, t] >= least)
            add(model.spill[s, t] <= inflow)
            add(model.energy[s, t] <= float(stores.energy_max_mwh[s]))
            before = model.energy[s, t - 1] if t > 0 else first
            gained = model.charge[s, t] * float(stores.charge_efficiency[s]) + inflow
            given = model.discharge[s, t] / float(stores.discharge_efficiency[s])
            change = hours * (gained - model.spill[s, t] - given)
            add(model.energy[s, t] == before + change)
        add(model.energy[s, periods.count - 1] >= float(kept[s]))


def _reserves(pyo: Any, model: Any, request: SolveRequest) -> None:
    periods, penalties = request.periods, request.options.penalties
    model.short = pyo.Var(model.t, ["up", "down"], bounds=(0, None))
    model.reserve = pyo.Constraint(model.t, ["up", "down"])
    for t in model.t:
        for name, held, asked in (
            ("up", model.up, periods.reserve_up_mw[t]),
            ("down", model.down, periods.reserve_down_mw[t]),
        ):
            supplied = sum(held[g, t] for g in model.g)
            model.reserve[t, name] = supplied + model.short[t, name] >= float(asked)
    missing = sum(model.short[t, name] for t in model.t for name in ("up", "down"))
    model.cost.expr += penalties.reserve_shortfall * periods.hours * missing


def _slacks(pyo: Any, model: Any, request: SolveRequest) -> None:
    """Load shed and power spilled at every bus, and the DC lines' flows."""
    grid, periods, penalties = request.grid, request.periods, request.options.penalties
    lines, demand = grid.dc_lines, demand_of(request)
    model.d = pyo.RangeSet(0, len(lines) - 1)
    model.dc = pyo.Var(
        model.d, model.t, bounds=lambda _, d, t: (lines.p_min_mw[d], lines.p_max_mw[d])
    )
    model.b = pyo.RangeSet(0, len(grid.buses) - 1)
    model.shed = pyo.Var(model.b, model.t, bounds=lambda _, b, t: (0, max(demand[t, b], 0.0)))
    model.over = pyo.Var(model.b, model.t, bounds=(0, None))
    for t in model.t:
        for b in model.b:
            model.cost.expr += periods.hours * penalties.load_shed * model.shed[b, t]
            model.cost.expr += periods.hours * penalties.over_generation * model.over[b, t]


def _network(
    pyo: Any, model: Any, request: SolveRequest, commitment: Commitment, outage: Outage
) -> Any:
    """Angles, balances and limits of the network in one state, in a block of its own."""
    grid, periods = request.grid, request.periods
    base = outage.id == INTACT
    intact = [
        k
        for k in np.flatnonzero(grid.branches.in_service).tolist()
        if str(grid.branches.id[k]) not in outage.branches
    ]
    rating = grid.branches.rate_a_mva if base else grid.branches.rate_b_mva
    penalties = request.options.penalties
    price = penalties.branch_overload if base else penalties.outage_overload
    block = pyo.Block()
    model.add_component(f"after {outage.id}", block)
    block.l = pyo.Set(initialize=intact)
    block.theta = pyo.Var(model.b, model.t)
    block.excess = pyo.Var(block.l, model.t, bounds=(0, None))
    block.upper = pyo.Constraint(block.l, model.t)
    block.lower = pyo.Constraint(block.l, model.t)
    block.balance = pyo.Constraint(model.b, model.t)
    for b in _references(grid):
        for t in model.t:
            block.theta[b, t].fix(0.0)
    for t in model.t:
        injected = _injections(model, request, commitment, outage, t)
        for k in intact:
            i, j = int(grid.branches.from_bus[k]), int(grid.branches.to_bus[k])
            slope = grid.base_mva / float(grid.branches.x_pu[k] * grid.branches.tap[k])
            shift = float(np.deg2rad(grid.branches.shift_deg[k]))
            flow = slope * (block.theta[i, t] - block.theta[j, t] - shift)
            injected[i] -= flow
            injected[j] += flow
            if np.isfinite(rating[k]):
                block.upper[k, t] = flow - block.excess[k, t] <= float(rating[k])
                block.lower[k, t] = flow + block.excess[k, t] >= -float(rating[k])
                model.cost.expr += periods.hours * price * block.excess[k, t]
        for b in model.b:
            block.balance[b, t] = injected[b] == 0.0
    return block


def _references(grid: Grid) -> list[int]:
    found: list[int] = np.flatnonzero(grid.buses.kind == REF).tolist()
    return found


def _injections(
    model: Any, request: SolveRequest, commitment: Commitment, outage: Outage, t: int
) -> dict[int, Any]:
    """What is put in at every bus; the others of a lost unit's island take over its output."""
    grid, demand = request.grid, demand_of(request)
    units, lines, stores = grid.generators, grid.dc_lines, grid.storages
    injected: dict[int, Any] = {
        b: model.shed[b, t] - model.over[b, t] - float(demand[t, b]) for b in model.b
    }
    output = {g: model.p[g, t] for g in model.g} | {g: model.free[g, t] for g in model.f}
    lost = [g for g in output if str(units.id[g]) in outage.generators]
    running = commitment.on[t] & units.in_service
    for g, power in output.items():
        if g not in lost:
            injected[int(units.bus[g])] += power
    for g in lost:
        # The grids of the tests have one island, so every other running unit takes part.
        others = [k for k in output if k not in lost and running[k]]
        total = sum(float(units.p_max_mw[k]) for k in others)
        for k in others:
            share = float(units.p_max_mw[k]) / total
            injected[int(units.bus[k])] += share * output[g]
    for s in model.s:
        injected[int(stores.bus[s])] += model.discharge[s, t] - model.charge[s, t]
    for d in model.d:
        injected[int(lines.from_bus[d])] -= model.dc[d, t]
        injected[int(lines.to_bus[d])] += (1.0 - float(lines.loss_share[d])) * model.dc[d, t]
    return injected
