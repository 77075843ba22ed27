"""A grid in pieces: which parts have a supply, and a reference for each that has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from data_engineering.model.grid import ISOLATED, REF, Flags, Grid
from data_engineering.model.islands import islands


def live_buses(grid: Grid) -> Flags:
    """Buses of the islands in which a unit, a store or a DC line is in service, shape (buses,)."""
    units, stores, lines = grid.generators, grid.storages, grid.dc_lines
    sources = np.concatenate(
        [
            units.bus[units.in_service & (units.p_max_mw > 0.0)],
            stores.bus[stores.in_service & (stores.discharge_max_mw > 0.0)],
            lines.from_bus[lines.in_service],
            lines.to_bus[lines.in_service],
        ]
    )
    island = islands(grid)
    found: Flags = np.isin(island, island[sources]) & (grid.buses.kind != ISOLATED)
    return found


def with_references(grid: Grid) -> Grid:
    """The grid with one reference at least in every live island, and its dead buses isolated.

    A new reference is the bus with the greatest capability in service. The same grid where nothing
    is to be done.
    """
    live, island, kind = live_buses(grid), islands(grid), grid.buses.kind.copy()
    units = grid.generators
    capability = np.zeros(len(kind))
    np.add.at(capability, units.bus, np.where(units.in_service, units.p_max_mw, 0.0))
    kind[~live] = ISOLATED
    for number in np.unique(island[live]):
        member = live & (island == number)
        if not (kind[member] == REF).any():
            kind[np.argmax(np.where(member, capability, -1.0))] = REF
    if (kind == grid.buses.kind).all():
        return grid
    return replace(grid, buses=replace(grid.buses, kind=kind))
