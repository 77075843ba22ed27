"""What every outage does to every flow, and which flows it takes beyond their limits.

After an outage the flow on l is f_l + sum over lost branches k of L_lk f_k + sum over lost units g
of D_lg P_g, all of the intact network. L are line outage distribution factors; D moves the lost
output to the units that run on in the same island, in proportion to their capability. Sources as
in `dc_network`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import Flags, Floats, Grid, Ints, Texts
from data_engineering.model.islands import islands
from data_engineering.model.problem import Outage
from data_engineering.solvers.dc_network import ISLANDING, DcNetwork

BATCH = 2_000
"""Outages whose factors are found together, which bounds the memory."""
PAIRS = 4_000_000
"""Flows after outages that are looked at together, which bounds the memory."""


class Pairs(NamedTuple):
    """Flows after outages: intervals, rows of `monitored`, outages, flows, all shape (count,)."""

    interval: Ints
    row: Ints
    outage: Ints
    flow_mw: Floats


@dataclass(frozen=True, eq=False)
class Combined:
    """An outage of several elements, in the terms of the module's equation."""

    outage: int
    branches: Ints
    units: Ints
    by_branch: Floats


@dataclass(frozen=True, eq=False)
class OutageFactors:
    """All outages of a request.

    Attributes:
        monitored: branches with a rating after outages, shape (M,); limit_mw their ratings.
        branch_outages, lost: outages of one branch each, and which, shape (K,).
        by_branch: L of those, shape (M, K).
        unit_outages, lost_units: outages of one unit each, and which, shape (U,).
        unit_transfer: MW on every branch per MW of every unit, shape (L, units).
        combined: the others.
        left_out: names of outages that split the network.
    """

    monitored: Ints
    limit_mw: Floats
    branch_outages: Ints
    lost: Ints
    by_branch: Floats
    unit_outages: Ints
    lost_units: Ints
    unit_transfer: Floats
    unit_island: Ints
    capability_mw: Floats
    combined: tuple[Combined, ...]
    left_out: tuple[str, ...]

    def by_unit(self, on: Flags, units: Ints) -> Floats:
        """D of units for one commitment, shape (L, len(units)); NaN where no unit is left."""
        weight = np.where(on, self.capability_mw, 0.0)
        found = np.empty((len(self.unit_transfer), len(units)))
        for column, unit in enumerate(units):
            others = weight * (self.unit_island == self.unit_island[unit])
            others[unit] = 0.0
            total = others.sum()
            taken = self.unit_transfer @ others / total if total > 0.0 else np.nan
            found[:, column] = taken - self.unit_transfer[:, unit]
        return found

    def branch_sources(self, outage: Ints, row: Ints) -> tuple[Flags, Ints, Floats]:
        """For flows after outages: whether one branch is lost, which, and its factor.

        Args:
            outage: numbers of outages, shape (count,).
            row: rows of `monitored`, shape (count,).
        """
        if not len(self.lost):
            none = np.zeros(len(outage), dtype=np.int64)
            return np.zeros(len(outage), dtype=np.bool_), none, none.astype(np.float64)
        order = np.argsort(self.branch_outages)
        place = np.searchsorted(self.branch_outages, outage, sorter=order)
        column = order[np.minimum(place, len(order) - 1)]
        single: Flags = np.asarray(self.branch_outages[column] == outage, dtype=np.bool_)
        return single, self.lost[column], np.where(single, self.by_branch[row, column], 0.0)

    def sources(self, outage: int, row: int, on: Flags) -> tuple[Ints, Floats, Ints, Floats]:
        """Branches and units, with their factors, that one flow after one outage depends on."""
        none, nothing = np.zeros(0, dtype=np.int64), np.zeros(0)
        single, lost, factor = self.branch_sources(np.array([outage]), np.array([row]))
        if single[0]:
            return lost, factor, none, nothing
        if (alone := np.flatnonzero(self.unit_outages == outage)).size:
            unit = self.lost_units[alone]
            return none, nothing, unit, self.by_unit(on, unit)[self.monitored[row]]
        each = next(part for part in self.combined if part.outage == outage)
        by_unit = self._combined_units(each, on)[row]
        return each.branches, each.by_branch[row], each.units, by_unit

    def beyond(
        self, flow_mw: Floats, power_mw: Floats, on: Flags, tolerance_mw: float
    ) -> Iterator[Pairs]:
        """Flows that outages take beyond their limits.

        Args:
            flow_mw: of the intact network, shape (T, L).
            power_mw: of all units, shape (T, units).
            on: units that run, shape (T, units).
            tolerance_mw: excess that does not count.
        """
        base = flow_mw[:, self.monitored]
        limit = self.limit_mw + tolerance_mw
        if len(self.lost):
            yield self._after_branches(base, flow_mw[:, self.lost], limit)
        if not len(self.lost_units) and not self.combined:
            return
        for t in range(len(flow_mw)):
            if len(self.lost_units):
                change = self.by_unit(on[t], self.lost_units)[self.monitored]
                after = base[t, :, None] + np.nan_to_num(change * power_mw[t, self.lost_units])
                yield _over(t, after, limit, self.unit_outages)
            for each in self.combined:
                change = each.by_branch @ flow_mw[t, each.branches]
                change += self._combined_units(each, on[t]) @ power_mw[t, each.units]
                after = (base[t] + np.nan_to_num(change))[:, None]
                yield _over(t, after, limit, np.array([each.outage]))

    def _after_branches(self, base: Floats, carried: Floats, limit: Floats) -> Pairs:
        """Flows beyond their limits after the loss of single branches.

        |f_l| + |L f_k| bounds the flow after the outage. With the least room of l and the largest
        f_k of all intervals one product in single precision rules most pairs out.
        """
        # Single precision has 7 digits; a margin that is smaller by so much keeps all true pairs.
        room = (limit - np.abs(base)).min(axis=0) - 1e-5 * limit - 1e-3
        largest = np.abs(carried).max(axis=0)
        near = self._sizes * largest.astype(np.float32) > room.astype(np.float32)[:, None]
        row, column = np.nonzero(near)
        factor, step = self.by_branch[row, column], max(PAIRS // max(len(row), 1), 1)
        found = []
        for first in range(0, len(base), step):
            part = slice(first, first + step)
            after = base[part, row] + factor * carried[part, column]
            t, pair = np.nonzero(np.abs(after) > limit[row])
            found.append((t + first, pair, after[t, pair]))
        interval, pair, flow = (np.concatenate([each[k] for each in found]) for k in range(3))
        return Pairs(interval, row[pair], self.branch_outages[column[pair]], flow)

    def _combined_units(self, each: Combined, on: Flags) -> Floats:
        left = on.copy()
        left[each.units] = False  # units that are lost together take over nothing
        intact = self.by_unit(left, each.units)
        found: Floats = intact[self.monitored] + each.by_branch @ intact[each.branches]
        return found

    @cached_property
    def _sizes(self) -> NDArray[np.float32]:
        """Sizes of `by_branch`."""
        return np.abs(self.by_branch).astype(np.float32)


def _over(interval: int, after: Floats, limit: Floats, outages: Ints) -> Pairs:
    row, column = np.nonzero(np.abs(after) > limit[:, None])
    return Pairs(np.full(len(row), interval), row, outages[column], after[row, column])


def outage_factors(grid: Grid, network: DcNetwork, outages: Sequence[Outage]) -> OutageFactors:
    """Factors of all outages of a grid.

    Raises:
        BadInput: an outage names an element that the grid has not.
    """
    branches, units = grid.branches, grid.generators
    lost_branches = _rows(outages, "branches", branches.id)
    lost_units = _rows(outages, "generators", units.id)
    monitored = np.flatnonzero(branches.in_service & np.isfinite(branches.rate_b_mva))
    one_branch = [k for k, b in enumerate(lost_branches) if len(b) == 1 and not len(lost_units[k])]
    one_unit = [k for k, b in enumerate(lost_branches) if not len(b) and len(lost_units[k]) == 1]
    lost = np.array([lost_branches[k][0] for k in one_branch], dtype=np.int64)
    by_branch, whole = _single(network, monitored, lost)
    kept = np.array(one_branch, dtype=np.int64)
    left_out = [outages[k].id for k in kept[~whole]]
    combined = []
    for k in sorted(set(range(len(outages))) - set(one_branch) - set(one_unit)):
        part = _combine(grid, network, monitored, k, lost_branches[k], lost_units[k])
        if part is None:
            left_out.append(outages[k].id)
        else:
            combined.append(part)
    any_unit = any(len(rows) for rows in lost_units)
    transfer = network.injection_transfers(units.bus) if any_unit else np.zeros((0, len(units)))
    return OutageFactors(
        monitored=monitored,
        limit_mw=branches.rate_b_mva[monitored],
        branch_outages=kept[whole],
        lost=lost[whole],
        by_branch=by_branch[:, whole],
        unit_outages=np.array(one_unit, dtype=np.int64),
        lost_units=np.array([lost_units[k][0] for k in one_unit], dtype=np.int64),
        unit_transfer=transfer,
        unit_island=network.island[units.bus],
        capability_mw=np.where(units.in_service, np.maximum(units.p_max_mw, 0.0), 0.0),
        combined=tuple(combined),
        left_out=tuple(left_out),
    )


def _rows(outages: Sequence[Outage], part: str, ids: Texts) -> list[Ints]:
    index = {name: row for row, name in enumerate(ids.tolist())}
    found = []
    for outage in outages:
        names = getattr(outage, part)
        unknown = [name for name in names if name not in index]
        if unknown:
            raise BadInput(f"outage {outage.id}.{part}", unknown[0], "name elements of the grid")
        found.append(np.array([index[name] for name in names], dtype=np.int64))
    return found


def _single(network: DcNetwork, monitored: Ints, lost: Ints) -> tuple[Floats, Flags]:
    """L of single branches, shape (M, K), and whether the network stays whole without each."""
    factors, whole = np.zeros((len(monitored), len(lost))), np.zeros(len(lost), dtype=np.bool_)
    for first in range(0, len(lost), BATCH):
        part = slice(first, first + BATCH)
        transfer = network.branch_transfers(lost[part])
        stays = 1.0 - transfer[lost[part], np.arange(transfer.shape[1])]
        # A branch that is out of service already carries nothing: its loss changes nothing.
        whole[part] = np.abs(stays) > ISLANDING
        moved = transfer[monitored] / np.where(whole[part], stays, 1.0)
        moved[monitored[:, None] == lost[part]] = -1.0
        factors[:, part] = moved
    return factors, whole


def _combine(
    grid: Grid, network: DcNetwork, monitored: Ints, outage: int, branches: Ints, units: Ints
) -> Combined | None:
    """L of branches lost together; None where they split the network."""
    if islands(grid, branches).max(initial=0) > network.island.max(initial=0):
        return None
    transfer = network.branch_transfers(branches)
    stays = np.eye(len(branches)) - transfer[branches]
    by_branch: Floats = np.zeros((len(monitored), len(branches)))
    if len(branches):
        by_branch[:] = np.linalg.solve(stays.T, transfer[monitored].T).T
    for column, branch in enumerate(branches):
        by_branch[monitored == branch] = 0.0
        by_branch[monitored == branch, column] = -1.0
    return Combined(outage, branches, units, by_branch)


def outages_of(grid: Grid, *, units: bool = False) -> tuple[Outage, ...]:
    """N-1: one outage for each branch in service, or for each unit, named by the element."""
    if units:
        running = grid.generators.id[grid.generators.in_service].tolist()
        return tuple(Outage(name, generators=(name,)) for name in running)
    branches = grid.branches
    return tuple(Outage(name, (name,)) for name in branches.id[branches.in_service].tolist())
