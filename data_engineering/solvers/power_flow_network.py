"""The network of a batch: who is islanded, and how far voltages are from solving each scenario."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import breadth_first_order

from data_engineering.model.grid import Flags, Floats, Grid, Ints
from data_engineering.model.islands import islands
from data_engineering.solvers.matrices import (
    BranchAdmittances,
    Complexes,
    branch_admittances,
    bus_admittance,
)
from data_engineering.solvers.power_flow_scenarios import Scenarios

BLOCK = 256
"""Rows that are looked at at once, so that they stay in the cache."""


@dataclass(frozen=True, eq=False)
class Network:
    """The grid with every branch that is in service in some scenario, p.u."""

    grid: Grid
    admittance: csr_matrix
    branches: BranchAdmittances

    @classmethod
    def of(cls, scenarios: Scenarios) -> Network:
        """The network of some scenarios."""
        grid = with_branches(scenarios.grid, scenarios.ever_on)
        return cls(grid, bus_admittance(grid), branch_admittances(grid))

    def islanded(self, scenarios: Scenarios) -> Flags:
        """Scenarios in which a bus that is not isolated has no path to the reference, shape (S,).

        Branches that split the network on their own are found at once; only scenarios that lose
        several others are looked at one by one.
        """
        lost = self.grid.branches.in_service & ~scenarios.branch_on
        alone = splitting_branches(self.grid, scenarios.reference)
        split: Flags = np.any(lost & alone, axis=1) | self._apart(scenarios, [])
        for row in np.flatnonzero(~split & (lost.sum(axis=1) > 1)):
            split[row] = self._apart(scenarios, np.flatnonzero(lost[row]))
        return np.broadcast_to(split, (len(scenarios),)).copy()

    def _apart(self, scenarios: Scenarios, lost: Ints | list[int]) -> bool:
        island = islands(self.grid, np.asarray(lost, dtype=np.int64))
        return bool((island != island[scenarios.reference])[scenarios.live].any())

    def taken(self, scenarios: Scenarios, voltage: Complexes) -> Complexes:
        """Power that the network takes from each bus, shape (S, buses), p.u."""
        taken = np.empty_like(voltage)
        for begin in range(0, len(voltage), BLOCK):
            rows = slice(begin, begin + BLOCK)
            some = voltage[rows]
            taken[rows] = some * np.conj((self.admittance @ some.T).T)
        if len(scenarios.branch_on) > 1:
            self._give_back(taken, voltage, scenarios.branch_on)
        return taken

    def _give_back(self, taken: Complexes, voltage: Complexes, branch_on: Flags) -> None:
        """Take out what the branches that are lost in a scenario would carry."""
        row, branch = np.nonzero(self.grid.branches.in_service & ~branch_on)
        start, end = self.grid.branches.from_bus[branch], self.grid.branches.to_bus[branch]
        y, at_start, at_end = self.branches, voltage[row, start], voltage[row, end]
        into_start = at_start * np.conj(y.ff[branch] * at_start + y.ft[branch] * at_end)
        into_end = at_end * np.conj(y.tf[branch] * at_start + y.tt[branch] * at_end)
        np.subtract.at(taken, (row, start), into_start)
        np.subtract.at(taken, (row, end), into_end)

    def mismatch(self, scenarios: Scenarios, voltage: Complexes) -> tuple[Floats, Floats]:
        """The largest mismatch of any bus and what the slack gives, shape (S,) each, p.u."""
        given = scenarios.power
        if scenarios.limit_mvar is not None:
            given = given + 1j * np.nan_to_num(scenarios.limit_mvar)
        lacking = self.taken(scenarios, voltage) - given / self.grid.base_mva
        slack = lacking.real.sum(axis=1)
        active = np.abs(lacking.real - slack[:, None] * scenarios.slack_share())
        reactive = np.where(scenarios.held, 0.0, np.abs(lacking.imag))
        return np.maximum(active, reactive).max(axis=1), slack


def splitting_branches(grid: Grid, root: int) -> Flags:
    """Branches in service whose loss alone parts a bus from bus `root`, shape (branches,).

    Every branch off a spanning tree gets a random label; a branch of the tree has the exclusive or
    of the labels that reach over it, which is 0 only (but for a chance of 2^-63) where none does.
    """
    count, rows = len(grid.buses), np.flatnonzero(grid.branches.in_service)
    start, end = grid.branches.from_bus[rows], grid.branches.to_bus[rows]
    pair = np.minimum(start, end) * count + np.maximum(start, end)
    pairs, first = np.unique(pair, return_index=True)
    graph = coo_matrix((np.ones(len(first)), (start[first], end[first])), (count, count))
    order, parent = breadth_first_order(graph.tocsr(), root, directed=False)
    child, above = order[1:], parent[order[1:]]
    tree_pair = np.minimum(child, above).astype(np.int64) * count + np.maximum(child, above)
    tree = first[np.searchsorted(pairs, tree_pair)]
    label = np.random.default_rng(0).integers(1, 2**63 - 1, len(rows))
    label[tree] = 0
    over = np.zeros(count, dtype=np.int64)
    np.bitwise_xor.at(over, start, label)
    np.bitwise_xor.at(over, end, label)
    reach = over.tolist()
    for bus, up in zip(child[::-1].tolist(), above[::-1].tolist(), strict=True):
        reach[up] ^= reach[bus]
    split = np.zeros(len(grid.branches), dtype=np.bool_)
    split[rows[tree]] = np.array(reach, dtype=np.int64)[child] == 0
    return split


def with_branches(grid: Grid, in_service: Flags) -> Grid:
    """The grid with other branches in service."""
    return replace(grid, branches=replace(grid.branches, in_service=in_service))
