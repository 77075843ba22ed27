from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from small_grids import three_buses

from data_engineering.ingestion.rts_gmlc import read_source_tables, source_folder
from data_engineering.ingestion.sources import SOURCES
from data_engineering.model.errors import BadInput
from data_engineering.model.tables import (
    GENERATOR_MEASUREMENTS,
    LOAD_MEASUREMENTS,
    NATURAL_INFLOW,
    POWER_MEASUREMENTS,
    RENEWABLE_FORECASTS,
)
from data_engineering.model.time import Window, parse_day
from data_engineering.transformation.converters import grid_from_rts_gmlc
from data_engineering.transformation.measurements import (
    generator_measurements,
    load_measurements,
    marginal_cost,
)

START = pd.Timestamp("2020-07-06", tz="UTC")


def readings(**power: float) -> pd.DataFrame:
    """A reading of each named unit at 00:10 (ids with an underscore in front)."""
    time = START + pd.Timedelta(minutes=10)
    rows = pd.DataFrame(
        {"generator_id": [name[1:] for name in power], "active_power": list(power.values())}
    ).assign(
        time=time,
        case_name="three_buses",
        bus_id="1",
        measurement_quality=0,
        source="scada",
        available_at=time + pd.Timedelta(minutes=5),
    )
    return POWER_MEASUREMENTS.typed(rows)


def forecasts(unit: str, power: float, model: str = "m") -> pd.DataFrame:
    noon = START - pd.Timedelta(hours=12)
    row = {
        "forecast_time": noon,
        "target_time": START,
        "case_name": "three_buses",
        "generator_id": unit,
        "forecasted_power_mw": power,
        "forecast_model": model,
        "source": "s",
        "available_at": noon,
    }
    return RENEWABLE_FORECASTS.typed(pd.DataFrame([row]))


def test_readings_meet_capability_cost_and_forecast() -> None:
    given = readings(_30_WIND_1=30.0, _1_STEAM_1=60.0, _30_STORAGE_1=-5.0)
    got = generator_measurements(given, forecasts("30_WIND_1", 32.5), three_buses())
    got = got.set_index("generator_id")
    assert got["generator_type"].to_dict() == {
        "30_WIND_1": "WIND",
        "1_STEAM_1": "STEAM",
        "30_STORAGE_1": "STORAGE",
    }
    assert list(got["capacity_mw"]) == [80.0, 100.0, 25.0]
    assert got.loc["30_WIND_1", "forecast_mw"] == 32.5
    assert got.loc["30_WIND_1", "forecast_error_mw"] == -2.5
    assert np.isnan(got.loc["1_STEAM_1", "forecast_mw"])
    assert got.loc["1_STEAM_1", "marginal_cost_usd_per_mwh"] == 20.0  # 600 USD over 30 MW
    assert np.isnan(got.loc["30_STORAGE_1", "marginal_cost_usd_per_mwh"])
    assert got["in_service"].all()


def test_natural_inflow_is_no_forecast_of_output() -> None:
    given = readings(_30_STORAGE_1=5.0)
    inflow = forecasts("30_STORAGE_1", 90.0, NATURAL_INFLOW)
    got = generator_measurements(given, inflow, three_buses())
    assert got["forecast_mw"].isna().all()


def test_a_unit_that_the_grid_does_not_have_is_refused() -> None:
    with pytest.raises(BadInput, match="generator_id: '9_WIND_9'"):
        generator_measurements(readings(_9_WIND_9=1.0), forecasts("x", 1.0), three_buses())


@pytest.mark.parametrize(
    ("unit", "power", "cost"),
    [
        (0, 40.0, 20.0),  # first piece: 900 to 1500 USD/h from 40 to 70 MW
        (0, 69.9, 20.0),
        (0, 70.0, 25.0),  # at a corner one more MWh is on the piece above
        (0, 100.0, 25.0),  # 1500 to 2250 USD/h
        (0, 0.0, 20.0),
        (1, 20.0, 2 * 0.05 * 20.0 + 30.0),
        (2, 10.0, 0.0),
        (3, 0.0, 0.0),
    ],
)
def test_marginal_cost_is_the_slope_of_the_cost(unit: int, power: float, cost: float) -> None:
    got = marginal_cost(three_buses().generators, np.array([unit]), np.array([power]))
    assert got[0] == pytest.approx(cost, rel=1e-12)


def test_a_day_of_rts_gmlc_is_joined_whole() -> None:
    folder = source_folder(None)
    window = Window.of_day(parse_day("2020-07-06"))
    day = {name: SOURCES[name].read(folder, window, "rts_gmlc") for name in SOURCES}
    grid = grid_from_rts_gmlc(read_source_tables(folder))

    units = generator_measurements(day["scada_generation"], day["forecast_renewable"], grid)
    assert len(units) == 80 * 288
    assert list(units.columns) == list(GENERATOR_MEASUREMENTS.names)
    assert units["forecast_mw"].notna().all()
    np.testing.assert_allclose(
        units["forecast_error_mw"], units["active_power_mw"] - units["forecast_mw"], rtol=0, atol=0
    )
    # The source draws real-time hydro as lines between the day-ahead values, which it reaches in
    # the last five minutes of each hour.
    hydro = units[(units["generator_type"] == "HYDRO") & (units["time"].dt.minute == 55)]
    assert len(hydro) == 20 * 24
    assert (hydro["forecast_error_mw"] == 0).all()

    loads = load_measurements(day["scada_load"], day["forecast_load"])
    assert list(loads.columns) == list(LOAD_MEASUREMENTS.names)
    noon = loads[(loads["time"] == START + pd.Timedelta(hours=12, minutes=35))]
    hour = day["forecast_load"][
        day["forecast_load"]["target_time"] == START + pd.Timedelta(hours=12)
    ]
    np.testing.assert_array_equal(noon["forecast_mw"], hour["forecasted_load_mw"])
