"""Grids in pieces: what is dead, and who is the reference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from small_grids import three_buses

from data_engineering.model.grid import ISOLATED, REF
from data_engineering.transformation.energised import live_buses, with_references


def without(grid, **parts):
    """The grid with some elements out of service."""
    changes = {}
    for name, ids in parts.items():
        part = getattr(grid, name)
        changes[name] = replace(part, in_service=part.in_service & ~np.isin(part.id, ids))
    return replace(grid, **changes)


def test_a_whole_grid_is_left_as_it_is():
    grid = three_buses()
    assert live_buses(grid).all()
    assert with_references(grid) is grid


def test_an_island_with_a_unit_gets_a_reference_of_its_own():
    grid = without(three_buses(), branches=["T1"], dc_lines=["DC1"])
    assert live_buses(grid).all()
    assert with_references(grid).buses.kind.tolist() == [REF, 2, REF]


def test_an_island_without_a_supply_is_isolated():
    grid = three_buses()
    grid = without(
        grid, branches=["T1"], dc_lines=["DC1"], generators=["30_WIND_1"], storages=["30_STORAGE_1"]
    )
    assert live_buses(grid).tolist() == [True, True, False]
    assert with_references(grid).buses.kind.tolist() == [REF, 2, ISOLATED]


def test_the_bus_with_the_greatest_capability_becomes_the_reference():
    grid = without(three_buses(), branches=["L1", "L2"])
    kinds = grid.buses.kind.copy()
    kinds[0] = ISOLATED
    grid = replace(grid, buses=replace(grid.buses, kind=kinds))
    # The gas unit is out of service: wind at bus 30 has 80 MW, bus 2 nothing.
    assert with_references(grid).buses.kind.tolist() == [ISOLATED, 2, REF]
