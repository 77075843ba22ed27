"""The DC model of a network, factored once: angles, flows, transfer and outage factors.

A branch carries `slope (angle_from - angle_to) + shift_mw` with slope = base / (x tap): taps and
phase shifters kept, resistance and charging left out. Factors as in Wood and Wollenberg, Power
Generation, Operation and Control, chapter 11 and appendix 11A.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import splu

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import ISOLATED, REF, Floats, Grid, Ints
from data_engineering.model.islands import islands

ISLANDING = 1e-8
"""A branch whose loss leaves less than this share of its own transfer splits the network."""
COLUMNS = 8
"""Right-hand sides solved at a time: more would start threads whose waiting costs far more."""


@dataclass(frozen=True, eq=False)
class DcNetwork:
    """One state of a network.

    Attributes:
        from_bus, to_bus: shape (L,).
        slope: shape (L,), MW per radian; 0 out of service.
        shift_mw: flow that phase shifters alone would drive, shape (L,), MW.
        island: number of each bus's island, shape (n,).
        reference: of each island in turn the bus that balances it, shape (islands,).
    """

    from_bus: Ints
    to_bus: Ints
    slope: Floats
    shift_mw: Floats
    island: Ints
    reference: Ints

    def angles(self, injection_mw: Floats) -> Floats:
        """Bus angles for net injections, shape (..., n), radians; 0 at the references.

        What an island's injections lack of balance is taken up by its reference.
        """
        driven = injection_mw - self._sum_at_buses(self.shift_mw)
        theta = np.zeros_like(driven)
        theta[..., self._kept] = self._solve(driven[..., self._kept].T).T
        return theta

    def flows(self, theta: Floats) -> Floats:
        """Branch flows from their from to their to bus, shape (..., L), MW."""
        return self.slope * (theta[..., self.from_bus] - theta[..., self.to_bus]) + self.shift_mw

    def bus_transfers(self, branches: Ints) -> Floats:
        """MW on each branch per MW put in at a bus, shape (len(branches), n)."""
        return self._reach(branches).T * self.slope[branches, None]

    def branch_transfers(self, branches: Ints) -> Floats:
        """MW on every branch per MW sent from end to end of some, shape (L, len(branches))."""
        reach = self._reach(branches)
        moved: Floats = self.slope[:, None] * (reach[self.from_bus] - reach[self.to_bus])
        return moved

    def injection_transfers(self, buses: Ints) -> Floats:
        """MW on every branch per MW put in at some buses, shape (L, len(buses))."""
        unit = np.zeros((len(self.island), len(buses)))
        unit[buses, np.arange(len(buses))] = 1.0
        reach = self._reduced(unit)
        moved: Floats = self.slope[:, None] * (reach[self.from_bus] - reach[self.to_bus])
        return moved

    def _reach(self, branches: Ints) -> Floats:
        """Angles for 1 MW sent from end to end of each branch, shape (n, len(branches))."""
        unit = np.zeros((len(self.island), len(branches)))
        column = np.arange(len(branches))
        unit[self.from_bus[branches], column] += 1.0
        unit[self.to_bus[branches], column] -= 1.0
        return self._reduced(unit)

    def _reduced(self, injection: Floats) -> Floats:
        theta = np.zeros_like(injection)
        theta[self._kept] = self._solve(injection[self._kept])
        return theta

    def _sum_at_buses(self, branch_mw: Floats) -> Floats:
        at = np.zeros(len(self.island))
        np.add.at(at, self.from_bus, branch_mw)
        np.add.at(at, self.to_bus, -branch_mw)
        return at

    def _solve(self, right: Floats) -> Floats:
        if not len(self._kept):
            return np.zeros_like(right)
        wide = right.reshape(len(right), -1)
        solved = np.empty_like(wide)
        for first in range(0, wide.shape[1], COLUMNS):
            part = slice(first, first + COLUMNS)
            solved[:, part] = self._factor.solve(np.asfortranarray(wide[:, part]))
        return solved.reshape(right.shape)

    @cached_property
    def _kept(self) -> Ints:
        return np.setdiff1d(np.arange(len(self.island)), self.reference)

    @cached_property
    def _factor(self) -> Any:
        rows = np.concatenate([self.from_bus, self.to_bus, self.from_bus, self.to_bus])
        columns = np.concatenate([self.from_bus, self.to_bus, self.to_bus, self.from_bus])
        values = np.concatenate([self.slope, self.slope, -self.slope, -self.slope])
        size = (len(self.island), len(self.island))
        matrix = coo_matrix((values, (rows, columns)), size).tocsr()
        return splu(matrix[self._kept][:, self._kept].tocsc(), permc_spec="MMD_AT_PLUS_A")


def dc_network(grid: Grid) -> DcNetwork:
    """The DC model of a grid's branches in service.

    Raises:
        BadInput: a branch in service has no reactance, which the DC model divides by.
    """
    branches = grid.branches
    for row in np.flatnonzero(branches.in_service & (branches.x_pu == 0.0))[:1]:
        name, remedy = branches.id[row], "give a reactance, or solve the AC power flow or AC-OPF"
        raise BadInput(f"branches {name}.x_pu", 0.0, remedy)
    reactance = np.where(branches.in_service, branches.x_pu * branches.tap, 1.0)
    slope = branches.in_service * grid.base_mva / reactance
    island = islands(grid)
    return DcNetwork(
        from_bus=branches.from_bus,
        to_bus=branches.to_bus,
        slope=slope,
        shift_mw=-slope * np.deg2rad(branches.shift_deg),
        island=island,
        reference=_references(grid, island),
    )


def _references(grid: Grid, island: Ints) -> Ints:
    """Of every island its reference bus; its first bus where it has none."""
    rank = np.where(grid.buses.kind == REF, 0, np.where(grid.buses.kind == ISOLATED, 2, 1))
    order = np.lexsort((np.arange(len(island)), rank))
    _, first = np.unique(island[order], return_index=True)
    chosen: Ints = order[first]
    return chosen
