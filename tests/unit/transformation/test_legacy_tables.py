"""The published PowerLASCOPF tables, where they are at hand, and small ones of the same form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_engineering.ingestion.case_files import read_case
from data_engineering.model.errors import BadInput
from data_engineering.transformation.grid_checks import check_grid, check_periods
from data_engineering.transformation.legacy_tables import (
    grid_from_legacy,
    legacy_outages,
    legacy_periods,
)

PUBLISHED = Path(__file__).resolve().parents[4] / "shared" / "data" / "powerlascopf-legacy"
needs_published = pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the tables are not here")

TABLES = {
    "gen": pd.DataFrame(
        [["2", 0.1, 20.0, 3.0, 140.0, 10.0, 15.0, -12.0, 24.0]],
        columns=["connNode", "c2", "c1", "c0", "PgMax", "PgMin", "RgMax", "RgMin", "PgPrev"],
    ),
    "tran": pd.DataFrame(
        [["1", "2", 0.02, 0.06, 1.0, 100.0], ["2", "10", 0.0, 0.2, 0.0, 50.0]],
        columns=[
            *("fromNode", "toNode", "Resistance", "Reactance", "ContingencyMarked", "Capacity")
        ],
    ),
    "load": pd.DataFrame(
        [["10", -20.0, -30.0], ["1", -5.0, -4.0]],
        columns=["ConnNode", "Interval-1_Load", "Interval-2_Load"],
    ),
}


def test_small_tables():
    grid = grid_from_legacy(TABLES, "x")
    check_grid(grid)
    assert grid.case_name == "legacy-x"
    assert grid.buses.id.tolist() == ["1", "2", "10"]
    assert grid.buses.kind.tolist() == [1, 3, 1]
    assert grid.branches.to_bus.tolist() == [1, 2]
    assert grid.branches.rate_b_mva.tolist() == [100.0, 50.0]
    units = grid.generators
    assert (units.cost_c2[0], units.cost_c1[0], units.cost_c0[0]) == (0.1, 20.0, 3.0)
    assert units.ramp_mw_per_min[0] * 60 == pytest.approx(12.0)  # the smaller of both directions
    assert grid.loads.id.tolist() == ["load-10", "load-1"]
    assert grid.loads.p_mw.tolist() == [20.0, 5.0]
    periods = legacy_periods(TABLES, grid)
    check_periods(grid, periods)
    assert periods.load_mw.tolist() == [[20.0, 5.0], [30.0, 4.0]]
    assert periods.before_mw.tolist() == [24.0]
    assert periods.minutes == 60
    assert [outage.branches for outage in legacy_outages(TABLES, grid)] == [("branch-1",)]


def test_loads_without_intervals():
    with pytest.raises(BadInput, match="Interval-1_Load"):
        grid_from_legacy({**TABLES, "load": TABLES["load"][["ConnNode"]]}, "x")


@needs_published
@pytest.mark.parametrize(
    ("size", "buses", "branches", "units", "demand"),
    [
        ("2", 2, 3, 2, (590, 600)),
        ("3", 3, 2, 3, (400, 397)),
        ("3A", 3, 3, 3, (15, 14)),
        ("5", 5, 7, 2, (165, 175)),
        ("14", 14, 20, 2, (259, 207)),
        ("30", 30, 41, 6, (189.2, 194.2)),
        ("48", 48, 71, 20, (3819, 3879)),
        ("57", 57, 80, 7, (1250.8, 1256.2)),  # the sums are those of the table's last rows
        ("118", 118, 186, 54, (3668, 3688)),
        ("300", 300, 411, 69, (23890.46, 23893.46)),
    ],
)
def test_every_published_size(size, buses, branches, units, demand):
    tables = read_case(str(PUBLISHED / size)).content
    grid = grid_from_legacy(tables, size)
    check_grid(grid)
    assert (len(grid.buses), len(grid.branches), len(grid.generators)) == (buses, branches, units)
    periods = legacy_periods(tables, grid)
    assert np.allclose(periods.load_mw.sum(axis=1), demand, rtol=1e-12)


@needs_published
def test_the_five_bus_anchor():
    """Loads at buses 2 to 5 in the two intervals of the file, as the anchor has them."""
    tables = read_case(str(PUBLISHED / "5")).content
    grid = grid_from_legacy(tables, "5")
    assert legacy_periods(tables, grid).load_mw.tolist() == [[20, 45, 40, 60], [30, 40, 40, 65]]
    assert grid.generators.ramp_mw_per_min * 60 == pytest.approx([20.0, 15.0], rel=1e-15)
    assert len(legacy_outages(tables, grid)) == 7
