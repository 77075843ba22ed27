"""Forecasts of hours brought to the minutes after a reading, against numbers by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from small_grids import three_buses

from data_engineering.model.errors import NoRows
from data_engineering.transformation.realtime_periods import (
    Horizon,
    Measured,
    realtime_periods,
)

START = datetime(2020, 7, 6, 14, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)
FIRST = datetime(2020, 7, 6, 13, tzinfo=UTC)


def frames(load=(80.0, 100.0, 120.0), wind=(30.0, 30.0, 30.0), reserve=10.0):
    hours = [FIRST + k * HOUR for k in range(3)]
    issued = FIRST - 25 * HOUR
    loads = pd.DataFrame(
        {
            "forecast_time": issued,
            "target_time": hours,
            "load_id": "x",
            "forecasted_load_mw": load,
        }
    )
    units = pd.DataFrame(
        {
            "forecast_time": issued,
            "target_time": hours,
            "generator_id": "30_WIND_1",
            "forecasted_power_mw": wind,
        }
    )
    reserves = pd.DataFrame(
        {
            "time": hours,
            "market": "DAY_AHEAD",
            "product": "SPIN_UP",
            "area_id": "system",
            "requirement_mw": reserve,
        }
    )
    return {"load_forecasts": loads, "renewable_forecasts": units, "reserve_requirements": reserves}


def measured(grid, load=math.nan, wind=math.nan, held_back=False):
    kind = grid.generators.kind == "WIND"
    return Measured(
        load_mw={} if math.isnan(load) else {"x": load},
        unit_mw=np.where(kind, wind, np.nan),
        held_back=kind & held_back,
        served=np.ones(len(grid.loads), dtype=bool),
    )


def horizon(count=3, fade=60.0):
    return Horizon(START, START, 5, count, fade)


@pytest.fixture
def grid():
    """One area and one load of 60 MW."""
    grid = three_buses()
    one = replace(
        grid.loads,
        id=np.array(["d"]),
        bus=np.array([1]),
        p_mw=np.array([60.0]),
        q_mvar=np.zeros(1),
        in_service=np.array([True]),
    )
    return replace(grid, buses=replace(grid.buses, area=np.array(["x", "x", "x"])), loads=one)


def test_between_the_middles_of_hours_a_forecast_goes_straight(grid):
    periods, notes = realtime_periods(grid, frames(), measured(grid), horizon())
    # 14:07:30 is 37.5 minutes after 13:30, where 80 MW are due; 100 MW are at 14:30.
    expected = [80.0 + 20.0 * (37.5 + 5.0 * k) / 60.0 for k in range(3)]
    assert periods.load_mw.sum(axis=1) == pytest.approx(expected, abs=1e-9)
    assert (periods.minutes, periods.count, notes) == (5, 3, ())
    assert periods.reserve_up_mw.tolist() == [10.0, 10.0, 10.0]


def test_an_error_of_the_present_fades(grid):
    now = 80.0 + 20.0 * 35.0 / 60.0
    periods, _ = realtime_periods(grid, frames(), measured(grid, load=now + 9.0), horizon())
    for k, total in enumerate(periods.load_mw.sum(axis=1)):
        minutes = 2.5 + 5.0 * k
        forecast = 80.0 + 20.0 * (35.0 + minutes) / 60.0
        assert total == pytest.approx(forecast + 9.0 * math.exp(-minutes / 60.0), abs=1e-9)


def test_a_unit_that_was_held_back_could_have_given_more(grid):
    wind = grid.generators.kind == "WIND"
    for held_back, reading, first in ((False, 20.0, 20.0), (True, 20.0, 30.0), (True, 40.0, 40.0)):
        given = measured(grid, wind=reading, held_back=held_back)
        periods, _ = realtime_periods(grid, frames(), given, horizon(fade=1e9))
        assert periods.available_mw[0, wind] == pytest.approx([first], abs=1e-6)


def test_what_is_not_forecast_stays_as_it_is_and_a_note_says_so(grid):
    nothing = {name: frame[:0] for name, frame in frames().items()}
    given = measured(grid, load=77.0, wind=12.0)
    periods, notes = realtime_periods(grid, nothing, given, horizon())
    assert periods.load_mw.sum(axis=1) == pytest.approx([77.0] * 3)
    wind = grid.generators.kind == "WIND"
    assert periods.available_mw[:, wind].ravel() == pytest.approx([12.0] * 3)
    assert any("load x" in note for note in notes)
    assert any("30_WIND_1" in note for note in notes)
    assert periods.reserve_up_mw.tolist() == [0.0, 0.0, 0.0]


def test_a_load_of_which_nothing_is_known_is_an_error(grid):
    nothing = {name: frame[:0] for name, frame in frames().items()}
    with pytest.raises(NoRows, match="load x at 2020-07-06T14:05"):
        realtime_periods(grid, nothing, measured(grid), horizon())


def test_the_newest_issue_counts(grid):
    old = frames()
    newer = old["load_forecasts"].assign(
        forecast_time=FIRST - HOUR, forecasted_load_mw=[50.0, 50.0, 50.0]
    )
    both = {**old, "load_forecasts": pd.concat([newer, old["load_forecasts"]])}
    periods, _ = realtime_periods(grid, both, measured(grid), horizon())
    assert periods.load_mw.sum(axis=1) == pytest.approx([50.0] * 3)


def test_what_is_missed_goes_to_the_loads_with_a_supply(grid):
    """A reading of an area knows nothing of a load that is cut off."""
    two = replace(
        grid.loads,
        id=np.array(["a", "b"]),
        bus=np.array([1, 2]),
        p_mw=np.array([30.0, 70.0]),
        q_mvar=np.zeros(2),
        in_service=np.array([True, True]),
    )
    grid = replace(grid, loads=two)
    given = replace(measured(grid, load=80.0), served=np.array([False, True]))
    flat = frames(load=(100.0, 100.0, 100.0))
    periods, _ = realtime_periods(grid, flat, given, horizon(fade=1e9))
    # 70 of 100 MW have a supply; 80 are measured, so that load takes 10 more than forecast.
    assert periods.load_mw[0] == pytest.approx([30.0, 80.0], abs=1e-6)
