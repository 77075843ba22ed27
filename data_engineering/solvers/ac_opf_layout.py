"""Where the variables and rows of an AC-OPF stand, with its constant matrices, in per unit.

Columns: angles, magnitudes, active and reactive power of units, flows of DC lines, and the cost of
each unit with a piecewise cost. Rows: active and reactive balance of every bus that is not
isolated, squared apparent power into both ends of every branch with a rating (1 is the limit),
angle differences by pair of buses, and the segments of piecewise costs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import coo_matrix, csc_matrix

from data_engineering.model.grid import ISOLATED, Flags, Floats, Grid, Ints
from data_engineering.solvers.matrices import Complexes, branch_admittances

END_NUMBERS = 8
"""Parameters of each end of a branch, see `end_numbers`."""
Block = tuple[Ints, Ints, Floats]
"""Rows, columns and values of some entries of a matrix."""


@dataclass(frozen=True, eq=False)
class Side:
    """One end of every branch.

    Attributes:
        own_bus: the bus at this end.
        other_bus: the bus at the other end.
        own: admittance to the voltage of this end, shape (branches,), p.u.
        other: admittance to the voltage of the other end, p.u.
    """

    own_bus: Ints
    other_bus: Ints
    own: Complexes
    other: Complexes


@dataclass(frozen=True, eq=False)
class Layout:
    """Positions and constants of one grid; see the module."""

    grid: Grid
    live: Flags
    usable: Flags
    limited: Ints
    pairs: Ints
    pair_of: Ints
    pair_sign: Floats
    curves: Ints
    segment_unit: Ints
    segment_slope: Floats
    segment_level: Floats
    sides: tuple[Side, Side]

    @property
    def buses(self) -> int:
        """Buses, isolated ones included."""
        return len(self.grid.buses)

    @property
    def units(self) -> int:
        """Generators, those out of service included."""
        return len(self.grid.generators)

    @property
    def p_columns(self) -> Ints:
        """Columns of the units' active power."""
        return np.arange(2 * self.buses, 2 * self.buses + self.units)

    @property
    def q_columns(self) -> Ints:
        """Columns of the units' reactive power."""
        return self.p_columns + self.units

    @property
    def dc_columns(self) -> Ints:
        """Columns of the DC lines' flows."""
        first = 2 * (self.buses + self.units)
        return np.arange(first, first + len(self.grid.dc_lines))

    @property
    def curve_columns(self) -> Ints:
        """Columns of the costs of units with a piecewise cost."""
        first = 2 * (self.buses + self.units) + len(self.grid.dc_lines)
        return np.arange(first, first + len(self.curves))

    @property
    def width(self) -> int:
        """Number of columns."""
        return 2 * (self.buses + self.units) + len(self.grid.dc_lines) + len(self.curves)

    @property
    def row_of(self) -> Ints:
        """Row of the active balance of every bus, -1 where there is none."""
        return np.where(self.live, np.cumsum(self.live) - 1, -1)

    @property
    def balances(self) -> int:
        """Balance rows: half of them active, half reactive."""
        return 2 * int(self.live.sum())

    @property
    def first_pair(self) -> int:
        """Row of the first angle difference; before it stand the flow limits."""
        return self.balances + 2 * len(self.limited)

    @property
    def first_segment(self) -> int:
        """Row of the first segment of a piecewise cost."""
        return self.first_pair + len(self.pairs)

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.first_segment + len(self.segment_unit)


def layout_of(grid: Grid) -> Layout:
    """The layout of a grid. A branch with an end at an isolated bus is never in service."""
    live = grid.buses.kind != ISOLATED
    branches = grid.branches
    usable = live[branches.from_bus] & live[branches.to_bus]
    limited = np.flatnonzero(np.isfinite(branches.rate_a_mva) & usable)
    angle = np.isfinite(branches.angle_min_deg) | np.isfinite(branches.angle_max_deg)
    pairs, pair_of, sign = _pairs(branches.from_bus, branches.to_bus, angle & usable)
    curves, unit, slope, level = _segments(grid)
    return Layout(
        grid,
        live,
        usable,
        limited,
        pairs,
        pair_of,
        sign,
        curves,
        unit,
        slope,
        level,
        sides_of(grid),
    )


def _pairs(start: Ints, end: Ints, chosen: Flags) -> tuple[Ints, Ints, Floats]:
    """Pairs of buses, shape (pairs, 2), and the pair (-1: none) and direction of every branch."""
    ends = np.stack([np.minimum(start, end), np.maximum(start, end)], axis=1)
    pairs, inverse = np.unique(ends[chosen], axis=0, return_inverse=True)
    pair_of = np.full(len(start), -1)
    pair_of[chosen] = inverse.ravel()
    return pairs, pair_of, np.where(start < end, 1.0, -1.0)


def _segments(grid: Grid) -> tuple[Ints, Ints, Floats, Floats]:
    """Units with a piecewise cost, and of every segment its curve, USD/MWh, USD/h at 0 MW."""
    power, cost = grid.generators.cost_mw, grid.generators.cost_usd_per_h
    curves = np.flatnonzero(~np.isnan(power[:, 0])) if power.shape[1] else np.zeros(0, np.int64)
    power, cost = power[curves], cost[curves]
    width, rise = np.diff(power, axis=1), np.diff(cost, axis=1)
    unit, segment = np.nonzero(width > 0.0)
    slope = rise[unit, segment] / width[unit, segment]
    return curves, unit, slope, cost[unit, segment] - slope * power[unit, segment]


def sides_of(grid: Grid) -> tuple[Side, Side]:
    """Both ends of all branches as if they were in service."""
    branches = grid.branches
    every = replace(branches, in_service=np.ones(len(branches), dtype=np.bool_))
    y = branch_admittances(replace(grid, branches=every))
    return (
        Side(branches.from_bus, branches.to_bus, y.ff, y.ft),
        Side(branches.to_bus, branches.from_bus, y.tt, y.tf),
    )


def end_map(layout: Layout) -> csc_matrix:
    """Balances, in rows, of active and reactive power into the from and the to ends."""
    count, half = len(layout.grid.branches), layout.balances // 2
    branch = np.flatnonzero(layout.usable)
    blocks: list[Block] = []
    for number, side in enumerate(layout.sides):
        row = layout.row_of[side.own_bus[branch]]
        for k in range(2):
            blocks.append((row + k * half, branch + (2 * number + k) * count, np.ones(len(branch))))
    return _matrix(blocks, (layout.balances, 4 * count))


def end_numbers(layout: Layout, sides: tuple[Side, Side], status: Flags) -> Floats:
    """Parameters of both ends of all branches, shape (2 `END_NUMBERS` branches,), p.u.

    Of each end in turn: real and imaginary part of both admittances; squared magnitudes of both
    and real and imaginary part of `k`, over the squared rating, where `k` is the admittance to the
    from end's voltage times the conjugate of the other.
    """
    used = status & layout.usable
    rate = (layout.grid.branches.rate_a_mva / layout.grid.base_mva) ** -2.0
    blocks = []
    for number, side in enumerate(sides):
        own, other = np.where(used, side.own, 0.0), np.where(used, side.other, 0.0)
        k = own * other.conj() if number == 0 else other * own.conj()
        blocks += [own.real, own.imag, other.real, other.imag]
        blocks += [rate * np.abs(own) ** 2, rate * np.abs(other) ** 2, rate * k.real, rate * k.imag]
    return np.concatenate(blocks)


def shunt_map(layout: Layout) -> csc_matrix:
    """Power that shunts take from the buses, rows the balances, of squared magnitudes."""
    bus, buses = np.flatnonzero(layout.live), layout.grid.buses
    row, base = layout.row_of[bus], layout.grid.base_mva
    active = (row, bus, buses.gs_mw[bus] / base)
    reactive = (row + layout.balances // 2, bus, -buses.bs_mvar[bus] / base)
    return _matrix([active, reactive], (layout.balances, layout.buses))


def linear_map(layout: Layout) -> csc_matrix:
    """The linear part of every row, of the columns."""
    units, lines = layout.grid.generators, layout.grid.dc_lines
    row, half = layout.row_of, layout.balances // 2
    pair = layout.first_pair + np.arange(len(layout.pairs))
    segment = layout.first_segment + np.arange(len(layout.segment_unit))
    made = np.flatnonzero(layout.live[units.bus])
    leaves = np.flatnonzero(layout.live[lines.from_bus])
    arrives = np.flatnonzero(layout.live[lines.to_bus])
    curved = layout.curves[layout.segment_unit]
    blocks: list[Block] = [
        (row[units.bus[made]], layout.p_columns[made], np.ones(len(made))),
        (row[units.bus[made]] + half, layout.q_columns[made], np.ones(len(made))),
        (row[lines.from_bus[leaves]], layout.dc_columns[leaves], -np.ones(len(leaves))),
        (row[lines.to_bus[arrives]], layout.dc_columns[arrives], 1.0 - lines.loss_share[arrives]),
        (pair, layout.pairs[:, 0], np.ones(len(pair))),
        (pair, layout.pairs[:, 1], -np.ones(len(pair))),
        (segment, layout.curve_columns[layout.segment_unit], np.ones(len(segment))),
        (segment, layout.p_columns[curved], -layout.segment_slope),
    ]
    return _matrix(blocks, (layout.height, layout.width))


def _matrix(blocks: list[Block], shape: tuple[int, int]) -> csc_matrix:
    rows, columns, values = (np.concatenate([block[k] for block in blocks]) for k in range(3))
    return coo_matrix((values, (rows, columns)), shape).tocsc()
