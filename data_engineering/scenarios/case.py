"""The grid of a dataset: one grid in the order and with the conventions of the contract."""

from __future__ import annotations

from dataclasses import dataclass

from data_engineering.model.grid import Grid, Texts


@dataclass(frozen=True, eq=False)
class ScenarioCase:
    """A grid that datasets are made of.

    Attributes:
        grid: buses by the dense rank of their original ids, exactly one load at each bus in bus
            order, one reference that has a running generator, angle limits below 90 degrees,
            finite ratings, polynomial costs.
        bus_ids: original ids in the order of the grid's buses, shape (buses,).
        digest: SHA-256 of everything in the grid that a dataset depends on.
    """

    grid: Grid
    bus_ids: Texts
    digest: str


def prepare(grid: Grid) -> ScenarioCase:
    """A grid as datasets need it.

    Raises:
        BadInput: the grid has what a dataset cannot hold (islands, two references, piecewise
            costs, DC lines or stores in service); the element is named.
    """
    raise NotImplementedError
