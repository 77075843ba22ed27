"""The numbers of one AC-OPF: parameters, bounds of columns and rows, and a first point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import REF, Flags, Floats, Grid
from data_engineering.solvers.ac_opf_layout import Layout, Side, end_numbers


@dataclass(frozen=True, eq=False)
class UnitState:
    """What may change of the units from solve to solve; `of` gives the grid's own.

    Attributes:
        on: which units run, shape (units,); one that does not gives nothing and costs nothing.
        p_min_mw, p_max_mw: limits while on, shape (units,).
        cost: c2, c1, c0 of units with a polynomial cost, shape (units, 3), USD/h of MW.
    """

    on: Flags
    p_min_mw: Floats
    p_max_mw: Floats
    cost: Floats

    @classmethod
    def of(cls, grid: Grid) -> UnitState:
        """Every unit in service, with the limits and costs of the grid."""
        units = grid.generators
        cost = np.stack([units.cost_c2, units.cost_c1, units.cost_c0], axis=1)
        return cls(units.in_service, units.p_min_mw, units.p_max_mw, cost)


def unit_costs(layout: Layout, units: UnitState, p_mw: Floats) -> Floats:
    """Cost of outputs of the units, shape (units,), USD/h; 0 for those that are off."""
    on = units.on & layout.live[layout.grid.generators.bus]
    c2, c1, c0 = units.cost.T
    cost = (c2 * p_mw + c1) * p_mw + c0
    piece = layout.segment_level + layout.segment_slope * p_mw[layout.curves][layout.segment_unit]
    greatest = np.full(len(layout.curves), -np.inf)
    np.maximum.at(greatest, layout.segment_unit, piece)
    cost[layout.curves] = greatest
    return np.where(on, cost, 0.0)


class Numbers(NamedTuple):
    """Parameters, first point, bounds of columns and rows, all in per unit."""

    p: Floats
    x0: Floats
    lbx: Floats
    ubx: Floats
    lbg: Floats
    ubg: Floats


def numbers(
    layout: Layout,
    load_p_mw: Floats,
    load_q_mvar: Floats,
    status: Flags,
    units: UnitState,
    sides: tuple[Side, Side] | None = None,
) -> Numbers:
    """The numbers of one problem.

    Args:
        layout: of the grid.
        load_p_mw: active demand at every bus, shape (buses,); that of isolated buses is not
            served.
        load_q_mvar: reactive demand at every bus, shape (buses,).
        status: branches in service, shape (branches,).
        units: state of the units.
        sides: admittances of the branches; None: as in the grid.

    Raises:
        BadInput: limits of a voltage, a unit or a DC line cross.
    """
    grid, base = layout.grid, layout.grid.base_mva
    on = units.on & layout.live[grid.generators.bus]
    lower, upper = _columns(layout, units, on, _held(layout, status))
    row_lower, row_upper = _rows(layout, load_p_mw / base, load_q_mvar / base, status, on)
    linear = units.cost * on[:, None]
    linear[layout.curves] = 0.0
    ends = end_numbers(layout, layout.sides if sides is None else sides, status)
    p = np.concatenate([linear[:, 0] * base**2, linear[:, 1] * base, [linear[:, 2].sum()], ends])
    return Numbers(p, _first(layout, lower, upper), lower, upper, row_lower, row_upper)


def _held(layout: Layout, status: Flags) -> Flags:
    """Buses whose angle is 0: references, isolated ones, and one of every island without any.

    Where an outage leaves an island without a reference, nothing but this would hold its angles.
    """
    grid = layout.grid
    branches, count = grid.branches, layout.buses
    used = status & layout.usable
    joined = coo_matrix(
        (np.ones(used.sum()), (branches.from_bus[used], branches.to_bus[used])), (count, count)
    )
    islands, island = connected_components(joined, directed=False)
    held: Flags = (grid.buses.kind == REF) | ~layout.live
    if islands > 1:
        loose = np.ones(islands, dtype=np.bool_)
        loose[island[held]] = False
        _, first = np.unique(island, return_index=True)
        held[first[loose]] = True
    return held


def _columns(layout: Layout, units: UnitState, on: Flags, held: Flags) -> tuple[Floats, Floats]:
    grid, base = layout.grid, layout.grid.base_mva
    buses, gens, lines = grid.buses, grid.generators, grid.dc_lines
    _refuse_crossed("buses", "vm_min_pu", buses.id, buses.vm_min_pu, buses.vm_max_pu, layout.live)
    _refuse_crossed("generators", "p_min_mw", gens.id, units.p_min_mw, units.p_max_mw, on)
    _refuse_crossed("generators", "q_min_mvar", gens.id, gens.q_min_mvar, gens.q_max_mvar, on)
    joined = lines.in_service & layout.live[lines.from_bus] & layout.live[lines.to_bus]
    _refuse_crossed("dc_lines", "p_min_mw", lines.id, lines.p_min_mw, lines.p_max_mw, joined)
    angle = np.where(held, 0.0, np.inf)
    curve = np.where(on[layout.curves], np.inf, 0.0)
    lower = (
        -angle,
        np.where(layout.live, buses.vm_min_pu, 1.0),
        np.where(on, units.p_min_mw, 0.0) / base,
        np.where(on, gens.q_min_mvar, 0.0) / base,
        np.where(joined, lines.p_min_mw, 0.0) / base,
        -curve,
    )
    upper = (
        angle,
        np.where(layout.live, buses.vm_max_pu, 1.0),
        np.where(on, units.p_max_mw, 0.0) / base,
        np.where(on, gens.q_max_mvar, 0.0) / base,
        np.where(joined, lines.p_max_mw, 0.0) / base,
        curve,
    )
    return np.concatenate(lower), np.concatenate(upper)


def _refuse_crossed(
    part: str, field: str, ids: np.ndarray, low: Floats, high: Floats, used: Flags
) -> None:
    for row in np.flatnonzero(used & (low > high))[:1]:
        raise BadInput(
            f"{part} {ids[row]}.{field}", float(low[row]), f"give at most {float(high[row]):g}"
        )


def _rows(
    layout: Layout, load_p: Floats, load_q: Floats, status: Flags, on: Flags
) -> tuple[Floats, Floats]:
    grid = layout.grid
    lines, branches = grid.dc_lines, grid.branches
    demand = load_p.copy()
    np.add.at(demand, lines.to_bus, lines.in_service * lines.loss_fixed_mw / grid.base_mva)
    balance = np.concatenate([demand[layout.live], load_q[layout.live]])
    limits = np.ones(2 * len(layout.limited))
    low, high = np.full(len(layout.pairs), -np.inf), np.full(len(layout.pairs), np.inf)
    used = np.flatnonzero((layout.pair_of >= 0) & status)
    ahead = layout.pair_sign[used] > 0.0
    least, most = branches.angle_min_deg[used], branches.angle_max_deg[used]
    pair = layout.pair_of[used]
    np.maximum.at(low, pair, np.deg2rad(np.where(ahead, least, -most)))
    np.minimum.at(high, pair, np.deg2rad(np.where(ahead, most, -least)))
    crossed = np.flatnonzero(low > high)
    for row in crossed[:1]:
        one, other = grid.buses.id[layout.pairs[row]]
        raise BadInput(
            f"angle limits of the branches between buses {one} and {other}",
            f"{np.rad2deg(low[row]):g} to {np.rad2deg(high[row]):g} degrees",
            "give ranges that overlap",
        )
    level = layout.segment_level / grid.base_mva
    level = np.where(on[layout.curves][layout.segment_unit], level, -np.inf)
    return (
        np.concatenate([balance, np.full(len(limits), -np.inf), low, level]),
        np.concatenate([balance, limits, high, np.full(len(level), np.inf)]),
    )


def _first(layout: Layout, lower: Floats, upper: Floats) -> Floats:
    """Angles 0, magnitudes 1 p.u. where allowed, the rest in the middle of its range."""
    bounded = np.isfinite(lower) & np.isfinite(upper)
    middle = 0.5 * (np.where(bounded, lower, 0.0) + np.where(bounded, upper, 0.0))
    first = np.where(bounded, middle, np.clip(0.0, lower, upper))
    first[layout.buses : 2 * layout.buses] = 1.0
    clipped: Floats = np.clip(first, lower, upper)
    return clipped
