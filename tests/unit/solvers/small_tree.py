"""The scenario tree written out: every chain, every state of the network with angles of its own.

For small grids with one straight cost per unit, all units on and no stores; by SciPy.
"""

from __future__ import annotations

import itertools

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_matrix

from data_engineering.model.grid import Grid
from data_engineering.model.problem import SolveRequest


class Rows:
    """A linear program, row by row."""

    def __init__(self):
        self.cost, self.bounds, self.upper, self.equal = [], [], [], []

    def column(self, low=0.0, high=np.inf, cost=0.0) -> int:
        self.cost.append(cost)
        self.bounds.append((low, high))
        return len(self.cost) - 1

    def solve(self) -> float:
        found = {}
        for name, rows in (("ub", self.upper), ("eq", self.equal)):
            place = [(r, c, v) for r, (terms, _) in enumerate(rows) for c, v in terms]
            r, c, v = zip(*place, strict=True) if place else ((), (), ())
            found[f"A_{name}"] = coo_matrix((v, (r, c)), (len(rows), len(self.cost)))
            found[f"b_{name}"] = np.array([right for _, right in rows])
        answer = linprog(self.cost, bounds=self.bounds, method="highs", **found)
        assert answer.status == 0, answer.message
        return float(answer.fun)


def slopes(grid: Grid) -> np.ndarray:
    """USD/MWh of units with one straight cost through the origin."""
    units = grid.generators
    if np.isfinite(units.cost_c1).all() and np.isnan(units.cost_mw[:, 0]).all():
        return units.cost_c1
    return np.nan_to_num(units.cost_usd_per_h[:, 1] / units.cost_mw[:, 1])


def tree_optimum(request: SolveRequest) -> float:
    """Least cost of the whole tree of `options.restoration`, with `line_limit` short_term."""
    grid, periods, how = request.grid, request.periods, request.options.restoration
    units, price, hours = grid.generators, request.options.penalties, periods.hours
    steps = how.redispatch_intervals + how.secure_intervals
    program = Rows()
    on = range(len(units))
    high = np.minimum(units.p_max_mw, periods.available_mw)
    run = slopes(grid)

    def outputs(t, weight):
        return [program.column(units.p_min_mw[g], high[t, g], weight * run[g]) for g in on]

    def ramps(now, before, minutes):
        for g, (a, b) in enumerate(zip(now, before, strict=True)):
            if np.isfinite(reach := units.ramp_mw_per_min[g] * minutes):
                program.upper.append(([(a, 1.0), (b, -1.0)], reach))
                program.upper.append(([(b, 1.0), (a, -1.0)], reach))

    def state(t, power, lost, rating, cost):
        """Balance and limits with branches lost."""
        theta = [program.column(-np.inf) for _ in grid.buses.id]
        program.equal.append(([(theta[0], 1.0)], 0.0))
        net = [[] for _ in theta]
        load = np.bincount(grid.loads.bus, periods.load_mw[t], len(theta)) + grid.buses.gs_mw
        fixed = -load
        for g in on:
            net[units.bus[g]].append((power[g], 1.0))
        for k in np.flatnonzero(grid.branches.in_service):
            if k in lost:
                continue
            i, j = grid.branches.from_bus[k], grid.branches.to_bus[k]
            slope = grid.base_mva / (grid.branches.x_pu[k] * grid.branches.tap[k])
            shift = -slope * np.deg2rad(grid.branches.shift_deg[k])
            flow = [(theta[i], slope), (theta[j], -slope)]
            net[i] += [(c, -v) for c, v in flow]
            net[j] += flow
            fixed[i] -= shift
            fixed[j] += shift
            if np.isfinite(rating[k]):
                slack = program.column(cost=cost * hours)
                program.upper.append(([*flow, (slack, -1.0)], rating[k] - shift))
                back = [(c, -v) for c, v in flow]
                program.upper.append(([*back, (slack, -1.0)], rating[k] + shift))
        for terms, given in zip(net, fixed, strict=True):
            program.equal.append((terms, -given))

    rate = grid.branches
    index = {name: k for k, name in enumerate(rate.id.tolist())}
    lost = [index[outage.branches[0]] for outage in request.outages]
    before = None
    for t in range(periods.count):
        root = outputs(t, hours)
        if before is not None:
            ramps(root, before, periods.minutes)
        before = root
        state(t, root, (), rate.rate_a_mva, price.branch_overload)
        for c in lost:
            at_once = rate.rate_c_mva if how.redispatch_intervals else rate.rate_a_mva
            state(t, root, (c,), at_once, price.outage_overload)
            last = root
            for k in range(1, steps + 1):
                now = outputs(t, how.weight * how.minutes / 60.0)
                ramps(now, last, how.minutes)
                normal = k >= how.redispatch_intervals
                limit = rate.rate_a_mva if normal else rate.rate_c_mva
                state(t, now, (c,), limit, price.outage_overload)
                last = now
            if how.secure_intervals:
                for d in lost:
                    if d != c and whole(grid, (c, d)):
                        state(t, last, (c, d), rate.rate_b_mva, price.outage_overload)
    return program.solve()


def whole(grid: Grid, lost: tuple[int, ...]) -> bool:
    """Whether the network holds together without some branches."""
    reached, pending = {0}, [0]
    ends = [
        (i, j)
        for k, (i, j) in enumerate(zip(grid.branches.from_bus, grid.branches.to_bus, strict=True))
        if k not in lost and grid.branches.in_service[k]
    ]
    while pending:
        here = pending.pop()
        for i, j in itertools.chain(ends, ((j, i) for i, j in ends)):
            if i == here and j not in reached:
                reached.add(int(j))
                pending.append(int(j))
    return len(reached) == len(grid.buses)
