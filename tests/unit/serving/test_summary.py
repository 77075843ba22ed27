"""Summaries against values worked out by hand: two intervals of half an hour, two buses."""

from __future__ import annotations

import pandas as pd
import pytest

from data_engineering.model.tables import (
    BRANCH_FLOW_RESULTS,
    BUS_RESULTS,
    DATA_QUALITY_METRICS,
    GENERATOR_DISPATCH,
    INTERVAL_RESULTS,
    REJECTED_ROWS,
)
from data_engineering.serving import summary

STARTS = [pd.Timestamp("2020-07-06T00:00Z"), pd.Timestamp("2020-07-06T00:30Z")]
SHOWN = ["2020-07-06 00:00", "2020-07-06 00:30"]


def _dispatch() -> pd.DataFrame:
    """Coal 60 and 80 MW, wind 40 and 20 MW of 50 and 20, a battery that charges 10, gives 8."""
    rows = [
        (1, "coal_1", "STEAM", "Coal", 60.0, 0.0, 900.0, 100.0),
        (2, "coal_1", "STEAM", "Coal", 80.0, 0.0, 1_200.0, 0.0),
        (1, "wind_1", "WIND", "Wind", 40.0, 10.0, 0.0, 0.0),
        (2, "wind_1", "WIND", "Wind", 20.0, 0.0, 0.0, 0.0),
        (1, "store_1", "STORAGE", "Storage", -10.0, 0.0, 0.0, 0.0),
        (2, "store_1", "STORAGE", "Storage", 8.0, 0.0, 0.0, 0.0),
    ]
    names = ["time_interval", "generator_id", "generator_type", "fuel", "active_power"]
    frame = pd.DataFrame(rows, columns=[*names, "curtailed_mw", "cost_usd", "start_cost_usd"])
    return frame.assign(interval_start=[STARTS[number - 1] for number in frame["time_interval"]])


def _intervals() -> pd.DataFrame:
    """Generation 90 and 108 MW; load 91 and 106, of which 2 and 0 are not served; DC losses 1, 2.

    90 + 2 = 91 + 0 + 1 and 108 + 0 = 106 + 0 + 2.
    """
    return pd.DataFrame(
        {
            "time_interval": [1, 2],
            "interval_start": STARTS,
            "load_mw": [91.0, 106.0],
            "generation_mw": [90.0, 108.0],
            "load_shed_mw": [2.0, 0.0],
            "over_generation_mw": [0.0, 0.0],
            "production_cost_usd": [900.0, 1_200.0],
            "start_cost_usd": [100.0, 0.0],
            "penalty_usd": [10_000.0, 0.0],
            "ac_converged": [True, True],
            "ac_losses_mw": [1.82, 2.12],
            "ac_max_loading_percent": [97.0, 103.0],
            "ac_min_voltage_pu": [0.96, 0.97],
            "ac_max_voltage_pu": [1.04, 1.03],
            "ac_max_flow_difference_mw": [3.0, 2.0],
        }
    )


def _buses() -> pd.DataFrame:
    """Bus b is dearer in interval 1; in interval 2 both are equal but for rounding."""
    return pd.DataFrame(
        {
            "time_interval": [1, 1, 2, 2],
            "interval_start": [STARTS[0], STARTS[0], STARTS[1], STARTS[1]],
            "bus_id": ["a", "b", "a", "b"],
            "load_mw": [21.0, 70.0, 26.0, 80.0],
            "lmp_total": [10.0, 23.0, 15.0, 15.0 - 1e-9],
        }
    )


def _flows() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "time_interval": [1, 2, 1, 2, 1],
            "contingency_id": ["base", "base", "base", "base", "out_L2"],
            "branch_id": ["L1", "L1", "L2", "L2", "L1"],
            "from_bus_id": ["a", "a", "b", "b", "a"],
            "to_bus_id": ["b", "b", "a", "a", "b"],
            "flow_mw": [-50.0, 50.0, 12.0, 30.0, 60.0],
            "rating_mw": [50.0, 50.0, 30.0, 30.0, 60.0],
            "shadow_price": [13.0, 4.0, 0.0, 0.0, float("nan")],
            "binding": [True, True, False, True, True],
        }
    )


TABLES = {
    "generator_dispatch": _dispatch(),
    "interval_results": _intervals(),
    "bus_results": _buses(),
    "branch_flow_results": _flows(),
}


def test_length_of_an_interval_follows_from_the_starts() -> None:
    assert summary.interval_hours(TABLES) == 0.5
    assert summary.interval_hours({"interval_results": _intervals().head(1)}) == 1.0


def test_hourly_cost_adds_the_parts_and_divides_by_what_was_served() -> None:
    rows = summary.hourly_cost(TABLES)
    assert rows["start UTC"].tolist() == SHOWN
    assert rows["total USD"].tolist() == [11_000.0, 1_200.0]
    # Served: (91 - 2) MW and 106 MW for half an hour.
    assert rows["USD per MWh served"].tolist() == pytest.approx([11_000 / 44.5, 1_200 / 53.0])


def test_dispatch_by_fuel_gives_energy_share_and_cost() -> None:
    rows = summary.dispatch_by_fuel(TABLES).set_index("fuel")
    assert rows.index.tolist() == ["Coal", "Wind", "Storage"]
    assert rows["energy MWh"].tolist() == [70.0, 30.0, -1.0]
    assert rows["share %"].tolist() == pytest.approx([70 / 0.99, 30 / 0.99, -1 / 0.99])
    assert rows.loc["Coal", ["production USD", "starts USD"]].tolist() == [2_100.0, 100.0]
    assert rows["curtailed MWh"].tolist() == [0.0, 5.0, 0.0]


def test_dispatch_by_fuel_adds_up_to_load_less_shed_plus_losses() -> None:
    """The energy of all fuels is what the load takes and the DC lines lose, to rounding."""
    energy = summary.dispatch_by_fuel(TABLES)["energy MWh"].sum()
    served, lost = (91.0 - 2.0 + 106.0) * 0.5, (1.0 + 2.0) * 0.5
    assert energy == pytest.approx(served + lost, rel=1e-12)
    balance = summary.energy_balance(TABLES).set_index("item")["energy MWh"]
    assert balance["Losses of DC lines"] == pytest.approx(-lost, rel=1e-12)
    assert balance["Generation, net of charging"] == pytest.approx(energy, rel=1e-12)
    assert balance.sum() == pytest.approx(0.0, abs=1e-9)


def test_shares_and_costs_of_fuels_add_up_to_the_whole() -> None:
    rows, hourly = summary.dispatch_by_fuel(TABLES), summary.hourly_cost(TABLES)
    assert rows["share %"].sum() == pytest.approx(100.0, rel=1e-12)
    for name in ("production USD", "starts USD"):
        assert rows[name].sum() == hourly[name].sum()


def test_given_length_of_an_interval_overrides_the_starts() -> None:
    half, whole = summary.dispatch_by_fuel(TABLES), summary.dispatch_by_fuel(TABLES, 1.0)
    assert whole["energy MWh"].tolist() == [2.0 * value for value in half["energy MWh"]]


def test_price_range_names_buses_and_weights_by_load() -> None:
    rows = summary.price_range(TABLES)
    assert rows["start UTC"].tolist() == SHOWN
    assert rows["min USD/MWh"].tolist() == [10.0, 15.0]
    assert rows["max at bus"].tolist() == ["b", "a"]
    assert rows["min at bus"].tolist() == ["a", "a"], "rounding must not choose the bus"
    assert rows["mean USD/MWh"].tolist() == pytest.approx([(210.0 + 1_610.0) / 91.0, 15.0])


def test_price_range_without_load_is_the_plain_mean_and_skips_missing_prices() -> None:
    buses = _buses().assign(load_mw=0.0)
    buses.loc[buses["time_interval"] == 2, "lmp_total"] = float("nan")
    rows = summary.price_range({"bus_results": buses})
    assert rows["mean USD/MWh"].tolist() == [16.5]


def test_binding_branches_count_hours_and_congestion() -> None:
    rows = summary.binding_branches(TABLES)
    assert list(zip(rows["branch"], rows["outage"], strict=True)) == [
        ("L1", "base"),
        ("L1", "out_L2"),
        ("L2", "base"),
    ]
    assert rows["hours at limit"].tolist() == [1.0, 0.5, 0.5]
    # 13 and 4 USD/MWh on 50 MW for half an hour each, whichever way the flow goes.
    assert rows["congestion USD"].tolist() == [425.0, 0.0, 0.0]
    assert rows["max shadow price USD/MWh"].iloc[0] == 13.0


def test_data_quality_counts_verdicts_and_each_rejected_row_once() -> None:
    quality = pd.DataFrame(
        {"table_name": ["t", "t", "t", "u"], "success": [True, False, None, True]}
    )
    rejected = pd.DataFrame({"table_name": ["t", "t", "v"], "row_digest": ["x", "x", "y"]})
    rows = summary.data_quality(quality, rejected).set_index("table")
    assert rows.loc["t"].tolist() == [3, 1, 1, 1, 1]
    assert rows.loc["u"].tolist() == [1, 1, 0, 0, 0]
    assert rows.loc["v"].tolist() == [0, 0, 0, 0, 1]


def test_ac_check_finds_the_extremes_and_when() -> None:
    rows = summary.ac_check(TABLES).set_index("check")
    assert rows.loc["intervals without AC solution", "value"] == 0.0
    assert rows.loc["greatest branch loading", ["value", "start UTC"]].tolist() == [103.0, SHOWN[1]]
    assert rows.loc["lowest voltage", ["value", "start UTC"]].tolist() == [0.96, SHOWN[0]]
    assert rows.loc["highest voltage", ["value", "start UTC"]].tolist() == [1.04, SHOWN[0]]
    assert rows.loc["losses, share of load", "value"] == pytest.approx(100 * 3.94 / 197.0)


def test_ac_check_leaves_out_what_did_not_converge() -> None:
    intervals = _intervals().assign(ac_converged=[True, False])
    rows = summary.ac_check({"interval_results": intervals}).set_index("check")
    assert rows.loc["intervals without AC solution", "value"] == 1.0
    assert rows.loc["greatest branch loading", "value"] == 97.0
    assert rows.loc["losses, share of load", "value"] == pytest.approx(2.0)


def test_empty_frames_give_empty_summaries() -> None:
    tables = {
        table.name: table.arrow_schema().empty_table().to_pandas()
        for table in (GENERATOR_DISPATCH, INTERVAL_RESULTS, BUS_RESULTS, BRANCH_FLOW_RESULTS)
    }
    for make in (
        summary.hourly_cost,
        summary.dispatch_by_fuel,
        summary.price_range,
        summary.binding_branches,
        summary.ac_check,
    ):
        assert make(tables).empty
    quality, rejected = (
        table.arrow_schema().empty_table().to_pandas()
        for table in (DATA_QUALITY_METRICS, REJECTED_ROWS)
    )
    assert summary.data_quality(quality, rejected).empty
