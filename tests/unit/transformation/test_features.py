from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from data_engineering.transformation.features import (
    calendar,
    forecast_at,
    forecast_error,
    known,
    lags,
    net_load,
    newest_forecast,
    ramps,
    rolling_statistics,
)

START = datetime(2020, 7, 6, tzinfo=UTC)
AS_OF = START + timedelta(hours=3)
FIVE = timedelta(minutes=5)
TIMES = pd.date_range(START, periods=72, freq="5min")
TARGETS = pd.date_range(AS_OF, periods=6, freq="1h")


def load_readings() -> pd.DataFrame:
    """Two loads over six hours, half of it after `AS_OF`; values are 100 k + interval."""
    frames = [
        pd.DataFrame(
            {
                "time": TIMES,
                "load_id": f"area_{k}",
                "active_power_mw": 100.0 * k + np.arange(72),
                "available_at": TIMES + FIVE,
            }
        )
        for k in (1, 2)
    ]
    return pd.concat(frames, ignore_index=True)


def unit_readings() -> pd.DataFrame:
    frames = [
        pd.DataFrame(
            {
                "time": TIMES,
                "generator_id": name,
                "generator_type": kind,
                "active_power_mw": base + 2.0 * np.arange(72),
                "available_at": TIMES + FIVE,
            }
        )
        for name, kind, base in (("1_WIND_1", "WIND", 10.0), ("1_STEAM_1", "STEAM", 50.0))
    ]
    return pd.concat(frames, ignore_index=True)


def load_forecasts() -> pd.DataFrame:
    """Hourly forecasts issued at three times; the last becomes known after `AS_OF`."""
    hours = pd.date_range(START, periods=10, freq="1h")
    frames = [
        pd.DataFrame(
            {
                "forecast_time": issued,
                "available_at": issued,
                "target_time": hours,
                "load_id": name,
                "forecasted_load_mw": 1000.0 * number + 100.0 * (name == "area_2"),
            }
        )
        for number, issued in enumerate(
            [
                START - timedelta(hours=12),
                START + timedelta(hours=2),
                START + timedelta(hours=3, minutes=30),
            ]
        )
        for name in ("area_1", "area_2")
    ]
    return pd.concat(frames, ignore_index=True)


FEATURES: dict[str, Callable[[pd.DataFrame, pd.DataFrame, pd.DataFrame], object]] = {
    "lags": lambda loads, units, forecasts: lags(
        loads, "load_id", "active_power_mw", TARGETS, [FIVE, timedelta(hours=1)], AS_OF
    ),
    "rolling_statistics": lambda loads, units, forecasts: rolling_statistics(
        loads, "load_id", "active_power_mw", TARGETS, timedelta(hours=2), AS_OF
    ),
    "net_load": lambda loads, units, forecasts: net_load(loads, units, AS_OF),
    "ramps": lambda loads, units, forecasts: ramps(
        units, "generator_id", "active_power_mw", FIVE, AS_OF
    ),
    "newest_forecast": lambda loads, units, forecasts: newest_forecast(
        forecasts, "load_id", "forecasted_load_mw", AS_OF
    ),
    "forecast_error": lambda loads, units, forecasts: forecast_error(
        loads, forecasts, "load_id", "active_power_mw", "forecasted_load_mw", AS_OF
    ),
}


def poisoned(rows: pd.DataFrame) -> pd.DataFrame:
    """The same rows, with nonsense in everything that became known after `AS_OF`."""
    later = rows["available_at"] > AS_OF
    assert later.any()
    assert not later.all()
    values = [c for c in rows if c.endswith("_mw")]
    return rows.assign(**{name: rows[name].mask(later, -1e9) for name in values})


@pytest.mark.parametrize("name", FEATURES)
def test_features_do_not_change_when_the_future_is_poisoned(name: str) -> None:
    clean = (load_readings(), unit_readings(), load_forecasts())
    today = FEATURES[name](*clean)
    for frames in (
        tuple(poisoned(frame) for frame in clean),
        tuple(known(frame, AS_OF) for frame in clean),
    ):
        other = FEATURES[name](*frames)
        if isinstance(today, pd.Series):
            pd.testing.assert_series_equal(today, other)
        else:
            pd.testing.assert_frame_equal(today, other)
    assert len(today) > 0  # type: ignore[arg-type]


def test_the_poison_would_be_seen_without_as_of() -> None:
    """The test above can fail: at a later moment the same poison does change the features."""
    later = START + timedelta(hours=6)
    for rows in (load_readings(), poisoned(load_readings())):
        got = lags(rows, "load_id", "active_power_mw", TARGETS, [FIVE], later)
        if rows["active_power_mw"].min() < 0:
            assert got["lag_5min"].min() == -1e9
        else:
            assert got["lag_5min"].min() > 0


def test_the_calendar_of_a_moment() -> None:
    row = calendar(pd.DatetimeIndex(["2020-07-06 18:30"], tz="UTC")).iloc[0]
    assert row["hour"] == 18.5
    assert row["day_of_week"] == 0  # a Monday
    assert not row["weekend"]
    assert row["day_of_year"] == pytest.approx(187 + 18.5 / 24, rel=1e-15)  # 187 days before it
    angle = 2 * np.pi * 18.5 / 24
    assert (row["hour_sin"], row["hour_cos"]) == pytest.approx((np.sin(angle), np.cos(angle)))


def test_midnight_and_new_year_are_no_jumps() -> None:
    days = calendar(pd.date_range("2020-12-31", periods=49, freq="1h", tz="UTC"))
    step = days[["hour_sin", "hour_cos", "day_sin", "day_cos"]].diff().abs().max()
    # One hour turns the day by 15 degrees: the chord is 2 sin(7.5 deg) at most.
    assert step[["hour_sin", "hour_cos"]].max() <= 2 * np.sin(np.radians(7.5)) + 1e-12
    assert step[["day_sin", "day_cos"]].max() <= 2 * np.pi / 366 / 24 + 1e-12


def test_lags_are_the_readings_that_long_before() -> None:
    back = [FIVE, timedelta(hours=1), timedelta(hours=6)]
    got = lags(load_readings(), "load_id", "active_power_mw", TARGETS, back, AS_OF)
    at = got.xs("area_2", level="load_id")
    # At 03:00 the reading of 02:55 (interval 35) is just known; 02:00 is interval 24.
    assert at["lag_5min"].iloc[0] == 235.0
    assert at["lag_60min"].iloc[0] == 224.0
    # At 04:00 what 03:55 and 03:00 bring is not known yet.
    assert at["lag_5min"].iloc[1:].isna().all()
    assert at["lag_60min"].iloc[1:].isna().all()
    # Six hours before 05:00 there was nothing; before 06:00 it was midnight, interval 0.
    assert at["lag_360min"].iloc[:3].isna().all()
    assert at["lag_360min"].iloc[3:].tolist() == [200.0, 212.0, 224.0]
    earlier = lags(load_readings(), "load_id", "active_power_mw", TIMES[24:25], back[:1], AS_OF)
    assert earlier["lag_5min"].tolist() == [123.0, 223.0]


def test_rolling_statistics_are_of_the_window_before() -> None:
    got = rolling_statistics(
        load_readings(), "load_id", "active_power_mw", TARGETS, timedelta(minutes=30), AS_OF
    )
    window = 100.0 + np.arange(30, 36)  # the readings of 02:30 to 02:55
    at = got.loc[(TARGETS[0], "area_1")]
    assert at["mean"] == pytest.approx(window.mean(), rel=1e-15)
    assert at["std"] == pytest.approx(window.std(), rel=1e-12)
    assert (at["min"], at["max"]) == (130.0, 135.0)
    assert got.loc[TARGETS[1]].isna().all(axis=None)  # 03:30 to 03:55 is not known


def test_net_load_is_load_less_wind_and_sun() -> None:
    got = net_load(load_readings(), unit_readings(), AS_OF)
    interval = np.arange(36)
    np.testing.assert_allclose(got, (300.0 + 2 * interval) - (10.0 + 2 * interval), rtol=1e-15)
    assert got.index.max() == AS_OF - FIVE


def test_net_load_is_not_made_of_parts() -> None:
    loads = load_readings().drop(index=10)
    got = net_load(loads, unit_readings(), AS_OF)
    assert TIMES[10] not in got.index
    assert len(got) == 35


def test_ramps_are_differences_over_time() -> None:
    got = ramps(unit_readings(), "generator_id", "active_power_mw", 2 * FIVE, AS_OF)
    wind = got[got["generator_id"] == "1_WIND_1"]
    assert wind["ramp_mw"].isna().sum() == 2
    assert (wind["ramp_mw"].iloc[2:] == 4.0).all()
    assert (wind["ramp_mw_per_min"].iloc[2:] == 0.4).all()


def test_the_newest_known_forecast_counts() -> None:
    got = newest_forecast(load_forecasts(), "load_id", "forecasted_load_mw", AS_OF)
    assert len(got) == 20
    assert set(got["forecasted_load_mw"]) == {1000.0, 1100.0}


def test_a_reading_meets_the_forecast_made_before_it() -> None:
    readings = pd.DataFrame(
        {
            "time": pd.DatetimeIndex(
                ["2020-07-06 01:55", "2020-07-06 02:00", "2020-07-06 03:25", "2020-07-06 03:35"],
                tz="UTC",
            ),
            "load_id": "area_1",
        },
        index=[4, 3, 2, 1],
    )
    got = forecast_at(readings, load_forecasts(), "load_id", "forecasted_load_mw")
    assert got.to_dict() == {4: 0.0, 3: 1000.0, 2: 1000.0, 1: 2000.0}
    nowhere = forecast_at(
        readings.assign(load_id="area_9"), load_forecasts(), "load_id", "forecasted_load_mw"
    )
    assert nowhere.isna().all()


def test_forecast_error_is_reading_less_forecast() -> None:
    got = forecast_error(
        load_readings(),
        load_forecasts(),
        "load_id",
        "active_power_mw",
        "forecasted_load_mw",
        AS_OF,
    )
    # area_1, 00:00: forecast 0; 02:00 (interval 24): forecast 1000.
    assert got.iloc[0] == 100.0
    assert got.loc[24] == 124.0 - 1000.0
