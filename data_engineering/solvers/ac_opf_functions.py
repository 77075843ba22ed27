"""The AC-OPF's equations with first and second derivatives written by hand, as CasADi functions.

With d the angle across a branch and f, t its ends, all four flows of a branch are linear in
`a = Vf^2, b = Vt^2, u = Vf Vt cos d, w = Vf Vt sin d`, and so is the squared current at an end; the
squared apparent power there is that times the squared voltage. The derivatives are those of these
few terms. Constant maps put them into the sparse Jacobian and Hessian, so that an evaluation is a
few dozen vector operations whatever the size of the grid.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.sparse import coo_matrix, csc_matrix

from data_engineering.model.grid import Floats, Ints
from data_engineering.solvers.ac_opf_layout import (
    Layout,
    Side,
    flow_map,
    linear_map,
    shunt_map,
)


@dataclass(frozen=True)
class Functions:
    """What CasADi's Ipopt interface asks for; p: c2, c1 of units, c0 of all, branch status."""

    problem: dict[str, Any]
    grad_f: Any
    jac_g: Any
    hess_lag: Any


def functions(layout: Layout) -> Functions:
    """The problem `min f(x, p)` with rows `g(x, p)`, all in per unit and USD/h."""
    import casadi

    x = casadi.MX.sym("x", layout.width)
    units, branches = layout.units, len(layout.grid.branches)
    p = casadi.MX.sym("p", 2 * units + 1 + branches)
    c2, c1, c0 = p[:units], p[units : 2 * units], p[2 * units]
    power = x[_list(layout.p_columns)]
    curves = _list(layout.curve_columns)
    f = casadi.dot(c2 * power + c1, power) + c0 + layout.grid.base_mva * casadi.sum1(x[curves])
    gradient = casadi.MX.zeros(layout.width)  # dense, as the interface reads it
    gradient[_list(layout.p_columns)] = 2 * c2 * power + c1
    gradient[curves] = layout.grid.base_mva
    local = Local(layout, x, p[2 * units + 1 :])
    g, jacobian = _rows(layout, x, local), _jacobian(layout, x, local)
    lam_f, lam_g = casadi.MX.sym("lam_f"), casadi.MX.sym("lam_g", layout.height)
    hessian = _hessian(layout, local, 2 * lam_f * c2, lam_g)
    return Functions(
        {"x": x, "p": p, "f": f, "g": g},
        casadi.Function("grad_f", [x, p], [f, gradient]),
        casadi.Function("jac_g", [x, p], [g, jacobian]),
        casadi.Function("hess_lag", [x, p, lam_f, lam_g], [hessian]),
    )


class Local:
    """Symbolic vectors over the branches at a point."""

    def __init__(self, layout: Layout, x: Any, status: Any) -> None:
        import casadi

        va, vm = x[: layout.buses], x[layout.buses : 2 * layout.buses]
        branches = layout.grid.branches
        start, end = _list(branches.from_bus), _list(branches.to_bus)
        difference = va[start] - va[end]
        self.status = status
        self.vm = vm
        self.cos, self.sin = casadi.cos(difference), casadi.sin(difference)
        self.voltage = (vm[start], vm[end])
        self.sides = [
            Limit(side, branches.rate_a_mva / layout.grid.base_mva, self, *voltages)
            for side, voltages in zip(layout.sides, (self.voltage, self.voltage[::-1]), strict=True)
        ]


class Limit:
    """Squared apparent power over the squared rating at one end of every branch.

    It is `own^2 l`, where `l = A own^2 + B other^2 + 2 own other e` is the squared current and
    `e = Re(k exp(j d))`, `k` the one admittance times the conjugate of the other.
    """

    def __init__(self, side: Side, rate: Floats, at: Local, own: Any, other: Any) -> None:
        self.own, self.other = own, other
        # An unlimited branch has no row; its weight only has to be a number.
        self.weight = at.status * np.where(np.isfinite(rate), rate, 1.0) ** -2.0
        self.own_square = np.abs(side.own) ** 2
        self.other_square = np.abs(side.other) ** 2
        first, second = (side.own, side.other) if at.voltage[0] is own else (side.other, side.own)
        k = first * second.conj()
        self.along = k.real * at.cos - k.imag * at.sin
        self.across = -(k.real * at.sin + k.imag * at.cos)
        self.current = (
            self.own_square * own**2 + self.other_square * other**2 + 2 * own * other * self.along
        )
        self.by_angle = 2 * own * other * self.across
        self.by_own = 2 * (self.own_square * own + other * self.along)
        self.by_other = 2 * (self.other_square * other + own * self.along)

    def value(self) -> Any:
        """The ratio, 1 at the limit."""
        return self.weight * self.own**2 * self.current

    def gradient(self) -> tuple[Any, Any, Any]:
        """By the angle, the own and the other voltage."""
        square = self.weight * self.own**2
        return (
            square * self.by_angle,
            square * self.by_own + 2 * self.weight * self.own * self.current,
            square * self.by_other,
        )

    def hessian(self, multiplier: Any) -> dict[str, Any]:
        """Second derivatives times a multiplier; d angle, m own, o other voltage."""
        weight = multiplier * self.weight
        square, twice = weight * self.own**2, 2 * weight * self.own
        return {
            "dd": -2 * square * self.own * self.other * self.along,
            "dm": 2 * square * self.other * self.across + twice * self.by_angle,
            "do": 2 * square * self.own * self.across,
            "mm": 2 * (square * self.own_square + weight * self.current + twice * self.by_own),
            "mo": 2 * square * self.along + twice * self.by_other,
            "oo": 2 * square * self.other_square,
        }


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

    start, end = at.voltage
    product = at.status * start * end
    z = casadi.vertcat(at.status * start**2, at.status * end**2, product * at.cos, product * at.sin)
    taken = casadi.DM(flow_map(layout)) @ z + casadi.DM(shunt_map(layout)) @ at.vm**2
    linear = casadi.DM(linear_map(layout)) @ x
    limited = _list(layout.limited)
    return casadi.vertcat(
        linear[: layout.balances] - taken,
        *[side.value()[limited] for side in at.sides],
        linear[layout.first_pair :],
    )


def _jacobian(layout: Layout, x: Any, at: Local) -> Any:
    """Derivatives of all rows.

    Sources: u, w, Vf, Vt, u/Vf, w/Vf, u/Vt, w/Vt of every branch, the gradients of both limits by
    (d, own, other), the magnitudes, and the number 1.
    """
    import casadi

    (start, end), s = at.voltage, at.status
    u, w = s * start * end * at.cos, s * start * end * at.sin
    by_start, by_end = (
        (s * end * at.cos, s * end * at.sin),
        (s * start * at.cos, s * start * at.sin),
    )
    gradients = [part for side in at.sides for part in side.gradient()]
    values = casadi.vertcat(
        u, w, s * start, s * end, *by_start, *by_end, *gradients, at.vm, casadi.MX(1.0)
    )
    count = len(layout.grid.branches)
    entries = SparseMap((layout.height, layout.width))
    flows = flow_map(layout).tocoo()
    branch, term = flows.col % count, flows.col // count
    from_bus, to_bus = layout.grid.branches.from_bus[branch], layout.grid.branches.to_bus[branch]
    # Of every term a, b, u, w: the source and factor of its derivative by d, Vf and Vt.
    derivative = np.array(
        [
            [[0, 0], [2, 2], [0, 0]],
            [[0, 0], [0, 0], [3, 2]],
            [[1, -1], [4, 1], [6, 1]],
            [[0, 1], [5, 1], [7, 1]],
        ]
    )[term]
    for k, sign, columns in (
        (0, 1.0, from_bus),
        (0, -1.0, to_bus),
        (1, 1.0, from_bus + layout.buses),
        (2, 1.0, to_bus + layout.buses),
    ):
        source, factor = derivative[:, k, 0], derivative[:, k, 1]
        entries.add(flows.row, columns, source * count + branch, -sign * factor * flows.data)
    _limit_entries(layout, entries, 8 * count)
    shunts = shunt_map(layout).tocoo()
    first = 14 * count
    entries.add(shunts.row, shunts.col + layout.buses, first + shunts.col, -2.0 * shunts.data)
    linear = linear_map(layout).tocoo()
    entries.add(linear.row, linear.col, first + layout.buses, linear.data)
    return entries.matrix(values)


def _limit_entries(layout: Layout, entries: SparseMap, first: int) -> None:
    count, branches = len(layout.grid.branches), layout.grid.branches
    limited = layout.limited
    start, end = branches.from_bus[limited], branches.to_bus[limited]
    for number, side in enumerate(layout.sides):
        rows = layout.balances + number * len(limited) + np.arange(len(limited))
        source = first + 3 * number * count + limited
        entries.add(rows, start, source, 1.0)
        entries.add(rows, end, source, -1.0)
        entries.add(rows, side.own_bus[limited] + layout.buses, source + count, 1.0)
        entries.add(rows, side.other_bus[limited] + layout.buses, source + 2 * count, 1.0)


def _hessian(layout: Layout, at: Local, unit: Any, lam_g: Any) -> Any:
    """Upper triangle of the Lagrangian's second derivatives; `unit` those of the units' cost."""
    import casadi

    count = len(layout.grid.branches)
    balance = -lam_g[: layout.balances]
    kappa = casadi.DM(flow_map(layout).T.tocsc()) @ balance
    ka, kb, ku, kw = (kappa[k * count : (k + 1) * count] for k in range(4))
    along, across = ku * at.cos + kw * at.sin, kw * at.cos - ku * at.sin
    (start, end), s = at.voltage, at.status
    total = {
        "dd": -s * start * end * along,
        "df": s * end * across,
        "dt": s * start * across,
        "ff": 2 * s * ka,
        "ft": s * along,
        "tt": 2 * s * kb,
    }
    names = (("d", "f", "t"), ("d", "t", "f"))
    for number, side in enumerate(at.sides):
        multiplier = casadi.MX(count, 1)
        first = layout.balances + number * len(layout.limited)
        multiplier[_list(layout.limited)] = lam_g[first : first + len(layout.limited)]
        rename = dict(zip("dmo", names[number], strict=True))
        for pair, part in side.hessian(casadi.densify(multiplier)).items():
            key = "".join(sorted(rename[letter] for letter in pair))
            total[key] = total[key] + part
    shunt = 2 * (casadi.DM(shunt_map(layout).T.tocsc()) @ balance)
    order = ("dd", "df", "dt", "ff", "ft", "tt")
    values = casadi.vertcat(*[total[key] for key in order], shunt, unit)
    return _hessian_map(layout).matrix(values)


def _hessian_map(layout: Layout) -> SparseMap:
    count, buses = len(layout.grid.branches), layout.buses
    start, end = layout.grid.branches.from_bus, layout.grid.branches.to_bus
    kept = np.flatnonzero(layout.usable)
    start, end = start[kept], end[kept]
    f, t = start + buses, end + buses
    entries = SparseMap((layout.width, layout.width))
    for source, first, second, factor in (
        (0, start, start, 1.0),
        (0, end, end, 1.0),
        (0, start, end, -1.0),
        (1, start, f, 1.0),
        (1, end, f, -1.0),
        (2, start, t, 1.0),
        (2, end, t, -1.0),
        (3, f, f, 1.0),
        (4, f, t, 1.0),
        (5, t, t, 1.0),
    ):
        low, high = np.minimum(first, second), np.maximum(first, second)
        entries.add(low, high, source * count + kept, factor)
    bus = np.arange(buses)
    entries.add(bus + buses, bus + buses, 6 * count + bus, 1.0)
    columns = layout.p_columns
    entries.add(columns, columns, 6 * count + buses + np.arange(len(columns)), 1.0)
    return entries
