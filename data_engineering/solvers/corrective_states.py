"""The network after an outage, and after a second one: flows from those of the intact network.

With branches B out, f' = f + L f[B], L = T[:, B] (I - T[B, B])^-1, T the flow on every branch per
MW sent from end to end of each (Wood and Wollenberg, appendix 11A). A second outage d has the same
form in the network without B, with T' = T + L T[B].
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from data_engineering.model.grid import Flags, Floats, Grid, Ints
from data_engineering.model.islands import islands
from data_engineering.model.problem import Outage
from data_engineering.solvers.dc_network import ISLANDING, DcNetwork


@dataclass(frozen=True, eq=False)
class AfterOutage:
    """One outage: branches and units lost, and L, shape (L, len(branches))."""

    outage: int
    branches: Ints
    units: Ints
    factors: Floats

    def flows(self, intact: Floats) -> Floats:
        """Flows after the outage, shape (..., L), from the intact network's, MW."""
        moved: Floats = intact + intact[..., self.branches] @ self.factors.T
        return moved


@dataclass(eq=False)
class States:
    """All outages that leave the network whole, and the second outages after each.

    Attributes:
        seconds: branches that are lost singly as second outages, shape (D,), with the numbers of
            their outages in the request.
        transfer: T of the branches of `ends`, shape (L, len(ends)).
    """

    outages: tuple[AfterOutage, ...]
    seconds: Ints
    second_outages: Ints
    ends: Ints
    transfer: Floats
    _second: dict[int, tuple[Floats, Flags]] = field(default_factory=dict)

    def second(self, number: int) -> tuple[Floats, Flags]:
        """Of outage `number` here: L of every second outage, shape (L, D), and which count.

        A second outage that would split what is left, or is part of the first, does not count.
        """
        known = self._second.get(number)
        if known is None:
            first = self.outages[number]
            transfer = self.transfer + first.factors @ self.transfer[first.branches]
            columns = transfer[:, np.searchsorted(self.ends, self.seconds)]
            stays = 1.0 - columns[self.seconds, np.arange(len(self.seconds))]
            counts = (np.abs(stays) > ISLANDING) & ~np.isin(self.seconds, first.branches)
            factors = np.where(counts, columns / np.where(counts, stays, 1.0), 0.0)
            which = np.flatnonzero(counts)
            factors[self.seconds[which], which] = -1.0
            known = self._second[number] = (factors, counts)
        return known

    def both(self, number: int, second: int) -> tuple[Ints, Floats]:
        """Branches out after outage `number` and second outage `second`, and their L."""
        first = self.outages[number]
        factors, _ = self.second(number)
        later = factors[:, second]
        # f'' = f' + l f'[d] with f' = f + L f[B].
        by_first = first.factors + np.outer(later, first.factors[self.seconds[second]])
        branches = np.append(first.branches, self.seconds[second])
        return branches, np.column_stack([by_first, later])


def states_after(grid: Grid, network: DcNetwork, outages: tuple[Outage, ...]) -> States:
    """The states after the outages of a request whose names are known to be right."""
    branch_row = {name: row for row, name in enumerate(grid.branches.id.tolist())}
    unit_row = {name: row for row, name in enumerate(grid.generators.id.tolist())}
    lost = [
        np.array([branch_row[name] for name in outage.branches], dtype=np.int64)
        for outage in outages
    ]
    ends = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *lost]))
    transfer = network.branch_transfers(ends)
    whole = islands(grid).max(initial=0)
    found = []
    for number, (outage, branches) in enumerate(zip(outages, lost, strict=True)):
        moved = transfer[:, np.searchsorted(ends, branches)]
        stays = np.eye(len(branches)) - moved[branches]
        if len(branches) == 1 and abs(stays[0, 0]) <= ISLANDING:
            continue
        if len(branches) > 1 and islands(grid, branches).max(initial=0) > whole:
            continue
        factors: Floats = np.linalg.solve(stays.T, moved.T).T.astype(np.float64)
        factors[branches] = -np.eye(len(branches))
        units = np.array([unit_row[name] for name in outage.generators], dtype=np.int64)
        found.append(AfterOutage(number, branches, units, factors))
    single = [k for k, outage in enumerate(outages) if len(lost[k]) == 1 and not outage.generators]
    seconds = np.array([lost[k][0] for k in single], dtype=np.int64)
    in_service = grid.branches.in_service[seconds]
    numbers = np.array(single, dtype=np.int64)
    return States(tuple(found), seconds[in_service], numbers[in_service], ends, transfer)
