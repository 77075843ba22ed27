"""The AC-OPF in rectangular voltage coordinates, V = e + j f.

The same problem as that of `ac_opf_model`, so the same optimum: flows are quadratic in e and f,
magnitudes are rows, and a difference of angles within (-90, 90) degrees is a bound on its tangent.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from data_engineering.model.grid import REF, Flags, Floats, Grid
from data_engineering.solvers.ac_opf_bounds import Numbers, UnitState, numbers
from data_engineering.solvers.ac_opf_ipopt import COMMON, VARIANTS, Point, run
from data_engineering.solvers.ac_opf_layout import (
    END_NUMBERS,
    Layout,
    Side,
    end_map,
    layout_of,
    linear_map,
    shunt_map,
)


class RectangularModel:
    """The AC-OPF of a grid without isolated buses whose angle limits are below 90 degrees.

    Columns are those of the layout with f in the place of angles and e in that of magnitudes.
    Rows: balances, squared flows over squared ratings, squared magnitudes, both sides of the
    tangents of angle differences, segments of piecewise costs.
    """

    def __init__(self, grid: Grid, max_iterations: int, layout: Layout | None = None) -> None:
        """Build the equations; derivatives are CasADi's.

        Args:
            grid: the case.
            max_iterations: of a solve.
            layout: with some limits left out (see `reduced`); None: with all of them.
        """
        import casadi

        self.layout = layout_of(grid) if layout is None else layout
        self._reference = np.flatnonzero(grid.buses.kind == REF)
        settings = COMMON | VARIANTS["cold"] | {"max_iter": max_iterations}
        self._solver = casadi.nlpsol(
            "rectangular",
            "ipopt",
            _problem(self.layout),
            {"ipopt": settings, "print_time": False, "show_eval_warnings": False},
        )

    def solve(
        self,
        load_p_mw: Floats,
        load_q_mvar: Floats,
        status: Flags,
        units: UnitState,
        sides: tuple[Side, Side],
        near: Floats | None = None,
    ) -> tuple[Point, float]:
        """Solve from the middle, or from voltages and outputs that are near.

        Args:
            load_p_mw: active demand at every bus, shape (buses,).
            load_q_mvar: reactive demand at every bus, shape (buses,).
            status: branches in service, shape (branches,).
            units: state of the units.
            sides: admittances of the branches.
            near: columns of the polar problem to start from; None: the middle.

        Returns:
            The point, its columns as those of the polar problem, and the seconds it took.
        """
        began = time.perf_counter()
        given = numbers(self.layout, load_p_mw, load_q_mvar, status, units, sides)
        if near is not None:
            given = given._replace(x0=near)
        found = run(self._solver, self._turned(given))
        return found._replace(x=self._polar(found.x)), time.perf_counter() - began

    def _turned(self, given: Numbers) -> Numbers:
        """The numbers of the polar problem as those of this one."""
        layout, count = self.layout, self.layout.buses
        x0, lower, upper = given.x0.copy(), given.lbx.copy(), given.ubx.copy()
        x0[:count] = given.x0[count : 2 * count] * np.sin(given.x0[:count])
        x0[count : 2 * count] = given.x0[count : 2 * count] * np.cos(given.x0[:count])
        lower[: 2 * count], upper[: 2 * count] = -np.inf, np.inf
        lower[self._reference] = upper[self._reference] = 0.0
        lower[count + self._reference] = given.lbx[count + self._reference]
        upper[count + self._reference] = given.ubx[count + self._reference]
        before, pairs = slice(0, layout.first_pair), slice(layout.first_pair, layout.first_segment)
        rest = slice(layout.first_segment, None)
        magnitude = slice(count, 2 * count)
        low, high = given.lbg[pairs], given.ubg[pairs]
        low_bound, high_bound = (np.where(np.isfinite(a), 0.0, np.inf) for a in (low, high))
        tangents = (np.tan(np.where(np.isfinite(a), a, 0.0)) for a in (low, high))
        free = np.full(len(layout.pairs), np.inf)
        lbg = (given.lbg[before], given.lbx[magnitude] ** 2, -low_bound, -free, given.lbg[rest])
        ubg = (given.ubg[before], given.ubx[magnitude] ** 2, free, high_bound, given.ubg[rest])
        return Numbers(
            np.concatenate([given.p, *tangents]),
            x0,
            lower,
            upper,
            np.concatenate(lbg),
            np.concatenate(ubg),
        )

    def _polar(self, x: Floats) -> Floats:
        count = self.layout.buses
        turned = x.copy()
        turned[:count] = np.arctan2(x[:count], x[count : 2 * count])
        turned[count : 2 * count] = np.hypot(x[:count], x[count : 2 * count])
        return turned


def _problem(layout: Layout) -> dict[str, Any]:
    import casadi

    count, units = layout.buses, layout.units
    branches, pairs = layout.grid.branches, layout.pairs
    x = casadi.SX.sym("x", layout.width)
    first = 2 * units + 1
    ends = 2 * END_NUMBERS * len(branches)
    p = casadi.SX.sym("p", first + ends + 2 * len(pairs))
    f, e = x[:count], x[count : 2 * count]
    square = e**2 + f**2
    flows = _flows(layout, e, f, casadi.vertsplit(p[first : first + ends], len(branches)))
    taken = casadi.DM(end_map(layout)) @ casadi.vertcat(*flows)
    taken += casadi.DM(shunt_map(layout)) @ square
    linear = casadi.DM(linear_map(layout)) @ x
    chosen = layout.limited.tolist()
    rate = (branches.rate_a_mva[layout.limited] / layout.grid.base_mva) ** -2.0
    limits = [(flows[k][chosen] ** 2 + flows[k + 1][chosen] ** 2) * rate for k in (0, 2)]
    one, other = pairs[:, 0].tolist(), pairs[:, 1].tolist()
    along = e[one] * e[other] + f[one] * f[other]
    across = f[one] * e[other] - e[one] * f[other]
    low, high = casadi.vertsplit(p[first + ends :], len(pairs)) if len(pairs) else (0.0, 0.0)
    rows = [linear[: layout.balances] - taken, *limits, square]
    rows += [across - low * along, across - high * along, linear[layout.first_segment :]]
    power, curves = x[layout.p_columns.tolist()], x[layout.curve_columns.tolist()]
    cost = casadi.dot(p[:units] * power + p[units : 2 * units], power) + p[2 * units]
    cost += layout.grid.base_mva * casadi.sum1(curves)
    return {"x": x, "p": p, "f": cost, "g": casadi.vertcat(*rows)}


def _flows(layout: Layout, e: Any, f: Any, given: list[Any]) -> list[Any]:
    """Active and reactive power into the from and the to ends of the branches."""
    branches = layout.grid.branches
    start, end = branches.from_bus.tolist(), branches.to_bus.tolist()
    along = e[start] * e[end] + f[start] * f[end]
    across = f[start] * e[end] - e[start] * f[end]
    flows = []
    for own, turn, first in ((start, 1.0, 0), (end, -1.0, END_NUMBERS)):
        square = e[own] ** 2 + f[own] ** 2
        g, b, go, bo = given[first : first + 4]
        flows.append(g * square + go * along + turn * bo * across)
        flows.append(turn * go * across - b * square - bo * along)
    return flows
