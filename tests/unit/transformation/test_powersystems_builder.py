from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from small_grids import three_buses

from data_engineering.ingestion.rts_gmlc import read_source_tables, source_folder
from data_engineering.ingestion.sources import SOURCES
from data_engineering.model.errors import BadInput
from data_engineering.model.grid import Grid
from data_engineering.model.time import Window, parse_day
from data_engineering.transformation.converters import grid_from_rts_gmlc
from data_engineering.transformation.horizon import periods_from_frames
from data_engineering.transformation.powersystems_builder import powersystems_tables

CATEGORIES = {
    "bus": "bus.csv",
    "branch": "branch.csv",
    "dc_branch": "dc_branch.csv",
    "generator": "gen.csv",
    "storage": "storage.csv",
}

# Fields without a default in src/descriptors/power_system_inputs.json of PowerSystems.jl 4.
REQUIRED = {
    "bus": {"name"},
    "branch": {
        "name",
        "connection_points_from",
        "connection_points_to",
        "r",
        "x",
        "primary_shunt",
        "rate",
    },
    "dc_branch": {"name", "connection_points_from", "connection_points_to"},
    "generator": {
        "name",
        "bus_id",
        "fuel",
        "fuel_price",
        "active_power",
        "active_power_limits_max",
        "active_power_limits_min",
        "min_down_time",
        "min_up_time",
        "base_mva",
        "unit_type",
    },
    "storage": {
        "name",
        "input_active_power_limit_max",
        "rating",
        "base_power",
        "storage_capacity",
    },
}


def csv_of(tables: dict[str, Any], name: str) -> pd.DataFrame:
    """The file as a reader finds it."""
    return pd.read_csv(io.StringIO(tables[name].to_csv(index=False)), keep_default_na=False)


@pytest.fixture(scope="module")
def source() -> dict[str, pd.DataFrame]:
    return read_source_tables(source_folder(None))


@pytest.fixture(scope="module")
def rts(source: dict[str, pd.DataFrame]) -> Grid:
    return grid_from_rts_gmlc(source)


@pytest.fixture(scope="module")
def written(rts: Grid) -> dict[str, Any]:
    return powersystems_tables(rts)


@pytest.mark.parametrize("grid_name", ["rts", "small"])
def test_every_file_is_whole_and_described(grid_name: str, rts: Grid) -> None:
    tables = powersystems_tables(rts if grid_name == "rts" else three_buses())
    descriptors = yaml.safe_load(str(tables["user_descriptors.yaml"]))
    for category, name in CATEGORIES.items():
        frame = csv_of(tables, name)
        described = [item["custom_name"] for item in descriptors[category]]
        assert all(item["name"] == item["custom_name"] for item in descriptors[category])
        assert len(set(described)) == len(described)
        unread = {"rate_b", "rate_c"} if category == "branch" else set()
        assert set(described) | unread == set(frame.columns)
        assert REQUIRED[category] <= set(described)
        assert (frame != "").all(axis=None)  # the parser stops at an empty field


def test_buses_of_rts_gmlc_are_the_source_s(
    source: dict[str, pd.DataFrame], written: dict[str, Any]
) -> None:
    theirs, ours = source["bus"], csv_of(written, "bus.csv")
    for our, their in (
        ("bus_id", "Bus ID"),
        ("name", "Bus Name"),
        ("base_voltage", "BaseKV"),
        ("voltage", "V Mag"),
        ("angle", "V Angle"),
        ("max_active_power", "MW Load"),
        ("max_reactive_power", "MVAR Load"),
        ("shunt_g", "MW Shunt G"),
        ("shunt_b", "MVAR Shunt B"),
    ):
        np.testing.assert_array_equal(ours[our], theirs[their], err_msg=our)
    assert list(ours["bus_type"]) == list(theirs["Bus Type"].str.upper())


def test_branches_of_rts_gmlc_are_the_source_s(
    source: dict[str, pd.DataFrame], written: dict[str, Any]
) -> None:
    theirs, ours = source["branch"], csv_of(written, "branch.csv")
    for our, their in (
        ("name", "UID"),
        ("connection_points_from", "From Bus"),
        ("connection_points_to", "To Bus"),
        ("r", "R"),
        ("x", "X"),
        ("primary_shunt", "B"),
        ("rate", "Cont Rating"),
        ("rate_b", "LTE Rating"),
        ("rate_c", "STE Rating"),
    ):
        np.testing.assert_array_equal(ours[our], theirs[their], err_msg=our)
    ratio = theirs["Tr Ratio"]
    np.testing.assert_array_equal(ours["tap"], ratio.where(ratio != 0, 1.0))
    # The source marks transformers by a ratio. One, 323 to 325 at 230 kV, has ratio 1 between equal
    # voltages: electrically a line, and written as one.
    marked = theirs.loc[ratio != 0, "UID"]
    assert sorted(set(marked) - set(ours.loc[ours["is_transformer"], "name"])) == ["C35"]
    assert set(ours.loc[ours["is_transformer"], "name"]) < set(marked)
    dc = csv_of(written, "dc_branch.csv")
    assert list(dc["name"]) == list(source["dc_branch"]["UID"])
    np.testing.assert_array_equal(dc["rate"], source["dc_branch"]["MW Load"])


def test_units_of_rts_gmlc_are_the_source_s(
    source: dict[str, pd.DataFrame], written: dict[str, Any]
) -> None:
    ours = csv_of(written, "gen.csv").set_index("name")
    theirs = source["gen"].set_index("GEN UID").loc[ours.index]
    assert len(ours) == len(source["gen"]) == 158
    stores = ours.index.isin(source["storage"].loc[source["storage"]["Rating MVA"] > 0, "GEN UID"])
    stores &= ours["unit_type"].isin(["CSP", "STORAGE"])
    np.testing.assert_array_equal(ours["bus_id"], theirs["Bus ID"])
    np.testing.assert_array_equal(ours["active_power_limits_max"], theirs["PMax MW"])
    burning = ~stores & ~theirs["Unit Type"].isin(["WIND", "PV", "RTPV", "HYDRO", "ROR"])
    for our, their in (
        ("active_power_limits_min", "PMin MW"),
        ("reactive_power_limits_max", "QMax MVAR"),
        ("reactive_power_limits_min", "QMin MVAR"),
        ("ramp_limits", "Ramp Rate MW/Min"),
        ("min_up_time", "Min Up Time Hr"),
        ("min_down_time", "Min Down Time Hr"),
    ):
        np.testing.assert_array_equal(ours.loc[burning, our], theirs.loc[burning, their], our)
    capacity = csv_of(written, "storage.csv").set_index("generator_name")["storage_capacity"]
    volume = source["storage"].drop_duplicates("GEN UID").set_index("GEN UID")["Max Volume GWh"]
    np.testing.assert_allclose(capacity, 1000.0 * volume.loc[capacity.index], rtol=1e-15)


def as_the_parser_reads(row: pd.Series[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Points (MW, USD/h) that `make_cost` and `create_pwinc_cost` make of a row's heat rates."""
    pairs = []
    count = sum(str(name).startswith("output_point_") for name in row.index)
    rates = ["heat_rate_avg_0", *(f"heat_rate_incr_{i}" for i in range(1, count))]
    per_unit_max = row["active_power_limits_max"] / row["base_mva"]
    for i, rate in enumerate(rates):
        if "NA" not in (row[f"output_point_{i}"], row[rate]):
            share = float(row[f"output_point_{i}"])
            pairs.append((share * row["base_mva"] * per_unit_max, float(row[rate])))
    power = np.array([x for x, _ in pairs])
    slopes = np.array([y for _, y in pairs[1:]])
    initial = pairs[0][0] * pairs[0][1]
    price = row["fuel_price"] / 1000.0
    return power, price * np.concatenate([[initial], initial + np.cumsum(slopes * np.diff(power))])


@pytest.mark.parametrize("grid_name", ["rts", "small"])
def test_costs_survive_the_parser_s_arithmetic(grid_name: str, rts: Grid) -> None:
    grid = rts if grid_name == "rts" else three_buses()
    rows = csv_of(powersystems_tables(grid), "gen.csv")
    units = grid.generators
    compared = 0
    for unit in range(len(units)):
        power, cost = as_the_parser_reads(rows.iloc[unit])
        given = np.isfinite(units.cost_mw[unit])
        if given.any() and units.p_max_mw[unit] > 0:
            # Shares of the capacity and slopes are quotients: a few roundings of 1e-16 each.
            np.testing.assert_allclose(power, units.cost_mw[unit][given], rtol=1e-12, atol=1e-9)
            np.testing.assert_allclose(
                cost, units.cost_usd_per_h[unit][given], rtol=1e-12, atol=1e-9
            )
            compared += 1
        elif units.p_max_mw[unit] > 0:
            exact = (
                units.cost_c2[unit] * power**2 + units.cost_c1[unit] * power + units.cost_c0[unit]
            )
            np.testing.assert_allclose(cost, exact, rtol=1e-12, atol=1e-9)
            assert power[0] == pytest.approx(units.p_min_mw[unit], abs=1e-6 * units.p_max_mw[unit])
            assert power[-1] == pytest.approx(units.p_max_mw[unit], rel=1e-12)
            compared += 1
    assert compared >= 3


def test_a_no_load_cost_survives_a_least_output_of_zero() -> None:
    grid = three_buses()
    low = np.array([40.0, 0.0, 0.0, 0.0])
    grid = replace(grid, generators=replace(grid.generators, p_min_mw=low))
    power, cost = as_the_parser_reads(csv_of(powersystems_tables(grid), "gen.csv").iloc[1])
    assert cost[0] == pytest.approx(120.0, rel=1e-12)
    assert power[0] == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize("grid_name", ["rts", "small"])
def test_every_unit_has_one_julia_type(grid_name: str, rts: Grid) -> None:
    tables = powersystems_tables(rts if grid_name == "rts" else three_buses())
    mapping = yaml.safe_load(str(tables["generator_mapping.yaml"]))
    pairs = [(item["fuel"], item["type"]) for items in mapping.values() for item in items]
    assert len(set(pairs)) == len(pairs)
    units = csv_of(tables, "gen.csv")
    asked = set(zip(units["fuel"].str.upper(), units["unit_type"].str.upper(), strict=True))
    assert asked == set(pairs)
    types = {(i["fuel"], i["type"]): t for t, items in mapping.items() for i in items}
    assert types["WIND", "WIND"] == "RenewableDispatch"
    assert types["COAL", "STEAM"] == "ThermalStandard"
    assert types["STORAGE", "STORAGE"] == "EnergyReservoirStorage"


def test_the_series_of_a_day_sum_to_its_forecasts(rts: Grid) -> None:
    folder = source_folder(None)
    window = Window.of_day(parse_day("2020-07-06"))
    loads, units, reserves = (
        SOURCES[name].read(folder, window, "rts_gmlc")
        for name in ("forecast_load", "forecast_renewable", "market_reserves")
    )
    periods = periods_from_frames(
        rts, loads, units, reserves, start=window.start, reported=24, count=48
    )
    tables = powersystems_tables(rts, periods)
    pointers = json.loads(str(tables["timeseries_pointers.json"]))
    assert len({(p["category"], p["component_name"]) for p in pointers}) == len(pointers)

    demand = csv_of(tables, "max_active_power_loads.csv")
    names = [p["component_name"] for p in pointers if p["category"] == "ElectricLoad"]
    expected = loads.groupby("target_time")["forecasted_load_mw"].sum()
    # Shares of three areas sum to 1 up to rounding of sums of 50 numbers.
    np.testing.assert_allclose(demand[names].sum(axis=1), expected, rtol=1e-12)
    assert list(demand.loc[[0, 47], ["Year", "Month", "Day", "Period"]].to_numpy().ravel()) == [
        *(2020, 7, 6, 1),
        *(2020, 7, 7, 24),
    ]

    power = csv_of(tables, "max_active_power_units.csv")
    wide = units.pivot(index="target_time", columns="generator_id", values="forecasted_power_mw")
    buses = csv_of(tables, "bus.csv").set_index("name")["max_active_power"]
    capacity = csv_of(tables, "gen.csv").set_index("name")["active_power_limits_max"]
    for pointer in pointers:
        name, scale = pointer["component_name"], pointer["normalization_factor"]
        assert pointer["resolution"] == 3600
        if pointer["category"] == "ElectricLoad":
            assert scale == buses[name]
        else:
            assert scale == capacity[name]
            np.testing.assert_allclose(power[name], np.minimum(wide[name], capacity[name]))
    limited = {p["component_name"] for p in pointers if p["category"] == "Generator"}
    assert set(wide.columns) - limited == {"212_CSP_1"}


def test_what_is_out_of_service_is_left_out_or_marked() -> None:
    tables = powersystems_tables(three_buses())
    assert list(csv_of(tables, "branch.csv")["name"]) == ["L1", "T1"]
    units = csv_of(tables, "gen.csv").set_index("name")["available"]
    assert not units["2_CT_1"]
    assert units["1_STEAM_1"]
    buses = csv_of(tables, "bus.csv").set_index("name")
    assert buses["max_active_power"].to_dict() == {"North": 0.0, "South": 50.0, "Coast": 30.0}


def test_limits_that_do_not_bind_are_half_a_turn() -> None:
    branches = csv_of(powersystems_tables(three_buses()), "branch.csv").set_index("name")
    assert branches.loc["T1", "max_angle_limits"] == np.pi
    assert branches.loc["L1", "min_angle_limits"] == pytest.approx(-np.pi / 6, rel=1e-15)


def test_buses_without_whole_numbers_get_some() -> None:
    grid = three_buses()
    buses = replace(
        grid.buses, id=np.array(["n", "s", "c"]), name=np.array(["Same", "Same", "Coast"])
    )
    tables = powersystems_tables(replace(grid, buses=buses))
    named = csv_of(tables, "bus.csv")
    assert list(named["bus_id"]) == [1, 2, 3]
    assert list(named["name"]) == ["n", "s", "c"]
    assert list(csv_of(tables, "branch.csv")["connection_points_to"]) == [2, 3]


def test_a_phase_shifter_is_refused() -> None:
    grid = three_buses()
    shifted = replace(grid.branches, shift_deg=np.array([0.0, 5.0, 0.0]))
    with pytest.raises(BadInput, match=r"branch: 'T1'.*phase shifters"):
        powersystems_tables(replace(grid, branches=shifted))


def test_a_grid_without_series_points_to_none() -> None:
    tables = powersystems_tables(three_buses())
    assert json.loads(str(tables["timeseries_pointers.json"])) == []
    assert not [name for name in tables if name.startswith("max_active_power")]
