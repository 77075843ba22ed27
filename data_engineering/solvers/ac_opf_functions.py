"""The AC-OPF's equations with first and second derivatives written by hand, as CasADi functions.

With d the angle across a branch and f, t its ends, all four flows of a branch are linear in
`a = Vf^2, b = Vt^2, u = Vf Vt cos d, w = Vf Vt sin d`, and so is the squared current at an end; the
squared apparent power there is that times the squared voltage. The derivatives are those of these
few terms. Constant maps put them into the sparse Jacobian and Hessian, so that an evaluation is a
few dozen vector operations whatever the size of the grid. Admittances are parameters: impedances
and outages may change from solve to solve.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.sparse import coo_matrix, csc_matrix

from data_engineering.model.grid import Ints
from data_engineering.solvers.ac_opf_layout import (
    END_NUMBERS,
    Layout,
    Side,
    end_map,
    linear_map,
    shunt_map,
)


@dataclass(frozen=True)
class Functions:
    """What CasADi's Ipopt interface asks for.

    p: c2, c1 of units, c0 of all, then the `END_NUMBERS` of either end of the branches.
    """

    problem: dict[str, Any]
    grad_f: Any
    jac_g: Any
    hess_lag: Any


def functions(layout: Layout) -> Functions:
    """The problem `min f(x, p)` with rows `g(x, p)`, all in per unit and USD/h."""
    import casadi

    x = casadi.MX.sym("x", layout.width)
    units, branches = layout.units, len(layout.grid.branches)
    p = casadi.MX.sym("p", 2 * units + 1 + 2 * END_NUMBERS * branches)
    c2, c1, c0 = p[:units], p[units : 2 * units], p[2 * units]
    power = x[_list(layout.p_columns)]
    curves = _list(layout.curve_columns)
    f = casadi.dot(c2 * power + c1, power) + c0 + layout.grid.base_mva * casadi.sum1(x[curves])
    gradient = casadi.MX.zeros(layout.width)  # dense, as the interface reads it
    gradient[_list(layout.p_columns)] = 2 * c2 * power + c1
    gradient[curves] = layout.grid.base_mva
    local = Local(layout, x, p[2 * units + 1 :])
    g, jacobian = _rows(layout, x, local), _jacobian(layout, local)
    lam_f, lam_g = casadi.MX.sym("lam_f"), casadi.MX.sym("lam_g", layout.height)
    hessian = _hessian(layout, local, 2 * lam_f * c2, lam_g)
    return Functions(
        {"x": x, "p": p, "f": f, "g": g},
        casadi.Function("grad_f", [x, p], [f, gradient]),
        casadi.Function("jac_g", [x, p], [g, jacobian]),
        casadi.Function("hess_lag", [x, p, lam_f, lam_g], [hessian]),
    )


class Local:
    """Symbolic vectors at a point: over all branches, and in `limits` over those with a row."""

    def __init__(self, layout: Layout, x: Any, numbers: Any) -> None:
        import casadi

        va, vm = x[: layout.buses], x[layout.buses : 2 * layout.buses]
        branches = layout.grid.branches
        start, end = _list(branches.from_bus), _list(branches.to_bus)
        difference = va[start] - va[end]
        self.vm = vm
        self.cos, self.sin = casadi.cos(difference), casadi.sin(difference)
        self.voltage = (vm[start], vm[end])
        self.product = self.voltage[0] * self.voltage[1]
        given = casadi.vertsplit(numbers, len(branches))
        halves = given[:END_NUMBERS], given[END_NUMBERS:]
        self.ends = [End(number, half, self) for number, half in enumerate(halves)]
        self.limits = [Limit(layout, number, half, self) for number, half in enumerate(halves)]


class End:
    """Power into the branches at one end: `g own^2 + own other k`, `-b own^2 + own other l`."""

    def __init__(self, number: int, given: list[Any], at: Local) -> None:
        self.g, self.b, self.go, self.bo = given[:4]
        self.turn = (1.0, -1.0)[number]
        self.own, self.other = at.voltage[number], at.voltage[1 - number]
        sin = self.turn * at.sin
        self.k = self.go * at.cos + self.bo * sin
        self.l = self.go * sin - self.bo * at.cos
        self.product = at.product

    def flows(self) -> list[Any]:
        """Active and reactive power."""
        square = self.own**2
        return [self.g * square + self.product * self.k, self.product * self.l - self.b * square]

    def gradients(self) -> list[Any]:
        """Of both flows, by the angle, the own and the other voltage."""
        along, across = self.product * self.k, self.product * self.l
        return [
            -self.turn * across,
            2 * self.g * self.own + self.other * self.k,
            self.own * self.k,
            self.turn * along,
            self.other * self.l - 2 * self.b * self.own,
            self.own * self.l,
        ]


class Limit:
    """Squared apparent power over the squared rating, at one end of the branches with a row.

    It is `own^2 l`, where `l = A own^2 + B other^2 + 2 own other e` is the squared current over the
    squared rating and `e = Re(k exp(j d))`; A, B and k are given.
    """

    def __init__(self, layout: Layout, number: int, given: list[Any], at: Local) -> None:
        chosen = _list(layout.limited)
        own, other = at.voltage[number][chosen], at.voltage[1 - number][chosen]
        cos, sin = at.cos[chosen], at.sin[chosen]
        self.own, self.other = own, other
        self.own_square, self.other_square, real, imag = (part[chosen] for part in given[4:])
        self.along = real * cos - imag * sin
        self.across = -(real * sin + imag * cos)
        self.current = (
            self.own_square * own**2 + self.other_square * other**2 + 2 * own * other * self.along
        )
        self.by_angle = 2 * own * other * self.across
        self.by_own = 2 * (self.own_square * own + other * self.along)
        self.by_other = 2 * (self.other_square * other + own * self.along)

    def value(self) -> Any:
        """The ratio, 1 at the limit."""
        return self.own**2 * self.current

    def gradient(self) -> tuple[Any, Any, Any]:
        """By the angle, the own and the other voltage."""
        square = self.own**2
        return (
            square * self.by_angle,
            square * self.by_own + 2 * self.own * self.current,
            square * self.by_other,
        )

    def curvature(self, multiplier: Any) -> list[Any]:
        """Second derivatives times a multiplier, in the order of `_add_curvature`."""
        square, twice = multiplier * self.own**2, 2 * multiplier * self.own
        return [
            -2 * square * self.own * self.other * self.along,
            2 * square * self.other * self.across + twice * self.by_angle,
            2 * square * self.own * self.across,
            2 * (square * self.own_square + multiplier * self.current + twice * self.by_own),
            2 * square * self.along + twice * self.by_other,
            2 * square * self.other_square,
        ]


@dataclass
class SparseMap:
    """Entries of a sparse matrix as a constant map of one vector of values.

    `add` says that entry (row, column) grows by coefficient times value[source].
    """

    shape: tuple[int, int]
    parts: list[tuple[Any, ...]] = field(default_factory=list)

    def add(self, rows: Any, columns: Any, sources: Any, coefficients: Any) -> None:
        """Add entries; the four broadcast to one shape."""
        wide = [part.ravel() for part in np.broadcast_arrays(rows, columns, sources, coefficients)]
        kept = wide[3] != 0.0
        self.parts.append(tuple(part[kept] for part in wide))

    def matrix(self, values: Any) -> Any:
        """The sparse CasADi matrix of a symbolic vector of values."""
        import casadi

        rows, columns, sources, coefficients = (
            np.concatenate([part[k] for part in self.parts]) for k in range(4)
        )
        place, entry = np.unique(columns * self.shape[0] + rows, return_inverse=True)
        constant = coo_matrix((coefficients, (entry, sources)), (len(place), values.numel()))
        row, column = place % self.shape[0], place // self.shape[0]
        pattern = csc_matrix((np.ones(len(place)), (row, column)), self.shape)
        sparsity = casadi.Sparsity(*self.shape, _list(pattern.indptr), _list(pattern.indices))
        return casadi.MX(sparsity, casadi.DM(constant.tocsc()) @ values)


def _list(positions: Ints) -> list[int]:
    """CasADi takes positions as lists."""
    return positions.tolist()  # type: ignore[no-any-return]


def _rows(layout: Layout, x: Any, at: Local) -> Any:
    import casadi

    flows = casadi.vertcat(*[flow for end in at.ends for flow in end.flows()])
    taken = casadi.DM(end_map(layout)) @ flows + casadi.DM(shunt_map(layout)) @ at.vm**2
    linear = casadi.DM(linear_map(layout)) @ x
    return casadi.vertcat(
        linear[: layout.balances] - taken,
        *[limit.value() for limit in at.limits],
        linear[layout.first_pair :],
    )


def _jacobian(layout: Layout, at: Local) -> Any:
    """Derivatives of all rows.

    Sources: the gradients of the flows, the magnitudes, the number 1, and the gradients of both
    limits by (d, own, other).
    """
    import casadi

    values = casadi.vertcat(
        *[part for end in at.ends for part in end.gradients()],
        *(at.vm, casadi.MX(1.0)),
        *[part for limit in at.limits for part in limit.gradient()],
    )
    entries = SparseMap((layout.height, layout.width))
    _add_flows(layout, entries)
    first = 12 * len(layout.grid.branches)
    shunts, linear = shunt_map(layout).tocoo(), linear_map(layout).tocoo()
    entries.add(shunts.row, shunts.col + layout.buses, first + shunts.col, -2.0 * shunts.data)
    entries.add(linear.row, linear.col, first + layout.buses, linear.data)
    _add_limits(layout, entries, first + layout.buses + 1)
    return entries.matrix(values)


def _add_flows(layout: Layout, entries: SparseMap) -> None:
    branches, count = layout.grid.branches, len(layout.grid.branches)
    flows = end_map(layout).tocoo()
    branch, flow = flows.col % count, flows.col // count
    sides = layout.sides
    own = np.stack([side.own_bus for side in sides])[flow // 2, branch]
    other = np.stack([side.other_bus for side in sides])[flow // 2, branch]
    for k, sign, columns in (
        (0, 1.0, branches.from_bus[branch]),
        (0, -1.0, branches.to_bus[branch]),
        (1, 1.0, own + layout.buses),
        (2, 1.0, other + layout.buses),
    ):
        entries.add(flows.row, columns, (3 * flow + k) * count + branch, -sign * flows.data)


def _add_limits(layout: Layout, entries: SparseMap, first: int) -> None:
    branches, limited = layout.grid.branches, layout.limited
    number = np.arange(len(limited))
    start, end = branches.from_bus[limited], branches.to_bus[limited]
    for which, side in enumerate(layout.sides):
        rows = layout.balances + which * len(limited) + number
        source = first + 3 * which * len(limited) + number
        entries.add(rows, start, source, 1.0)
        entries.add(rows, end, source, -1.0)
        for k, bus in enumerate((side.own_bus, side.other_bus), start=1):
            entries.add(rows, bus[limited] + layout.buses, source + k * len(limited), 1.0)


def _hessian(layout: Layout, at: Local, unit: Any, lam_g: Any) -> Any:
    """Upper triangle of the Lagrangian's second derivatives; `unit` those of the units' cost."""
    import casadi

    count, limited = len(layout.grid.branches), len(layout.limited)
    balance = -lam_g[: layout.balances]
    lam = casadi.vertsplit(casadi.DM(end_map(layout).T.tocsc()) @ balance, count)
    ka, kb, ku, kw = _branch_multipliers(at, lam)
    along, across = ku * at.cos + kw * at.sin, kw * at.cos - ku * at.sin
    start, end = at.voltage
    flows = [-at.product * along, end * across, start * across, 2 * ka, along, 2 * kb]
    limits = []
    for which, limit in enumerate(at.limits):
        first = layout.balances + which * limited
        limits += limit.curvature(lam_g[first : first + limited])
    shunt = 2 * (casadi.DM(shunt_map(layout).T.tocsc()) @ balance)
    return _hessian_map(layout).matrix(casadi.vertcat(*flows, shunt, unit, *limits))


def _branch_multipliers(at: Local, lam: list[Any]) -> tuple[Any, Any, Any, Any]:
    """Multipliers of a, b, u and w of every branch, from those of its four flows."""
    start, end = at.ends
    return (
        lam[0] * start.g - lam[1] * start.b,
        lam[2] * end.g - lam[3] * end.b,
        lam[0] * start.go - lam[1] * start.bo + lam[2] * end.go - lam[3] * end.bo,
        lam[0] * start.bo + lam[1] * start.go - lam[2] * end.bo - lam[3] * end.go,
    )


def _hessian_map(layout: Layout) -> SparseMap:
    count, buses, limited = len(layout.grid.branches), layout.buses, layout.limited
    entries = SparseMap((layout.width, layout.width))
    kept = np.flatnonzero(layout.usable)
    _add_curvature(layout, entries, layout.sides[0], kept, kept + count * np.arange(6)[:, None])
    first = 6 * count
    bus, columns = np.arange(buses), layout.p_columns
    entries.add(bus + buses, bus + buses, first + bus, 1.0)
    first += buses
    entries.add(columns, columns, first + np.arange(len(columns)), 1.0)
    first += len(columns)
    for side in layout.sides:
        sources = first + np.arange(6 * len(limited)).reshape(6, -1)
        _add_curvature(layout, entries, side, limited, sources)
        first += 6 * len(limited)
    return entries


def _add_curvature(
    layout: Layout, entries: SparseMap, side: Side, branches: Ints, sources: Ints
) -> None:
    """Second derivatives of branches by (d, d), (d, own), (d, other), (own, own), ..., in rows."""
    start = layout.grid.branches.from_bus[branches]
    end = layout.grid.branches.to_bus[branches]
    own, other = side.own_bus[branches] + layout.buses, side.other_bus[branches] + layout.buses
    for source, first, second, factor in (
        (0, start, start, 1.0),
        (0, end, end, 1.0),
        (0, start, end, -1.0),
        (1, start, own, 1.0),
        (1, end, own, -1.0),
        (2, start, other, 1.0),
        (2, end, other, -1.0),
        (3, own, own, 1.0),
        (4, own, other, 1.0),
        (5, other, other, 1.0),
    ):
        low, high = np.minimum(first, second), np.maximum(first, second)
        entries.add(low, high, sources[source], factor)
