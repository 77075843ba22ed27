"""Features: what a model may know of load, generation and the calendar at a moment.

Every function that reads rows takes `as_of` and uses rows with `available_at <= as_of` only; what
was not known then is null. Elements are the ids of a table (`load_id`, `generator_id`); frames hold
one case.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

VARIABLE_TYPES = ("WIND", "PV", "RTPV")


def known(rows: pd.DataFrame, as_of: datetime) -> pd.DataFrame:
    """The rows that were known at `as_of`."""
    return rows[rows["available_at"] <= as_of]


def calendar(times: pd.DatetimeIndex) -> pd.DataFrame:
    """What the calendar says of each UTC time, index `times`.

    Columns: hour and day_of_year (with fractions), day_of_week (Monday 0), weekend, and sine and
    cosine of the hour over 24 and of the day over 366, in which midnight and New Year are no jumps.
    """
    hour = times.hour + times.minute / 60.0 + times.second / 3600.0
    day = (times.dayofyear - 1) + hour / 24.0
    return pd.DataFrame(
        {
            "hour": hour,
            "day_of_year": day,
            "day_of_week": times.dayofweek,
            "weekend": times.dayofweek >= 5,
            "hour_sin": np.sin(2 * np.pi * hour / 24.0),
            "hour_cos": np.cos(2 * np.pi * hour / 24.0),
            "day_sin": np.sin(2 * np.pi * day / 366.0),
            "day_cos": np.cos(2 * np.pi * day / 366.0),
        },
        index=times,
    )


def lags(
    rows: pd.DataFrame,
    element: str,
    value: str,
    times: pd.DatetimeIndex,
    back: Sequence[timedelta],
    as_of: datetime,
) -> pd.DataFrame:
    """The reading that each element had `back` before each time.

    Args:
        rows: readings with `time`, `element`, `value` and `available_at`.
        element: column that names the element.
        value: column that is read.
        times: the times the features are for.
        back: how far to look back, for each feature.
        as_of: what was known.

    Returns:
        Index (time, element); a column `lag_<minutes>min` for each of `back`, null where there is
        no reading or it was not known yet.
    """
    wide = _wide(known(rows, as_of), element, value)
    columns = {
        f"lag_{_minutes(lag)}min": wide.reindex(times - lag)
        .set_axis(times)
        .stack(future_stack=True)
        for lag in back
    }
    return pd.DataFrame(columns).rename_axis(["time", element])


def rolling_statistics(
    rows: pd.DataFrame,
    element: str,
    value: str,
    times: pd.DatetimeIndex,
    span: timedelta,
    as_of: datetime,
) -> pd.DataFrame:
    """Mean, standard deviation, least and greatest known reading in `[time - span, time)`.

    Args:
        rows: readings with `time`, `element`, `value` and `available_at`.
        element: column that names the element.
        value: column that is read.
        times: the times the features are for.
        span: how long the window is.
        as_of: what was known.

    Returns:
        Index (time, element); columns mean, std (of the population), min and max, null where the
        window holds no known reading.
    """
    wide = _wide(known(rows, as_of), element, value)
    frames = []
    for time in times:
        window = wide[(wide.index >= time - span) & (wide.index < time)]
        frames.append(
            pd.DataFrame(
                {
                    "mean": window.mean(),
                    "std": window.std(ddof=0),
                    "min": window.min(),
                    "max": window.max(),
                }
            )
        )
    return pd.concat(dict(zip(times, frames, strict=True)), names=["time", element])


def net_load(
    loads: pd.DataFrame,
    units: pd.DataFrame,
    as_of: datetime,
    types: Sequence[str] = VARIABLE_TYPES,
) -> pd.Series[Any]:
    """Load less wind and sun (MW), by time: what the other units must give.

    Args:
        loads: rows of `load_measurements`.
        units: rows of `generator_measurements`.
        as_of: what was known.
        types: the generator types that are taken off.

    Returns:
        Index time; only times at which every load and every such unit has a known reading.
    """
    taken = units[units["generator_type"].isin(types)]
    demand = _complete_sum(loads, "load_id", as_of)
    supply = _complete_sum(taken, "generator_id", as_of)
    return (demand - supply).dropna().rename("net_load_mw")


def ramps(
    rows: pd.DataFrame, element: str, value: str, step: timedelta, as_of: datetime
) -> pd.DataFrame:
    """How much each reading is above the one `step` before, in MW and in MW per minute.

    Args:
        rows: readings with `time`, `element`, `value` and `available_at`.
        element: column that names the element.
        value: column that is read.
        step: how far back to compare.
        as_of: what was known.

    Returns:
        Columns time, element, ramp_mw and ramp_mw_per_min, for known readings; null where the
        earlier reading is missing.
    """
    now = known(rows, as_of)[["time", element, value]]
    before = now.assign(time=now["time"] + step).rename(columns={value: "before"})
    ramp = now.merge(before, on=["time", element], how="left", validate="one_to_one")
    ramp["ramp_mw"] = ramp[value] - ramp["before"]
    ramp["ramp_mw_per_min"] = ramp["ramp_mw"] / (step / timedelta(minutes=1))
    return ramp[["time", element, "ramp_mw", "ramp_mw_per_min"]]


def newest_forecast(
    forecasts: pd.DataFrame, element: str, value: str, as_of: datetime
) -> pd.DataFrame:
    """The newest forecast known at `as_of` of each element and target time.

    Returns:
        Columns target_time, element and value, sorted.
    """
    rows = known(forecasts, as_of).sort_values("forecast_time", kind="stable")
    newest = rows.drop_duplicates(["target_time", element], keep="last")
    return newest.sort_values(["target_time", element])[["target_time", element, value]]


def forecast_at(
    readings: pd.DataFrame,
    forecasts: pd.DataFrame,
    element: str,
    value: str,
    step: timedelta = timedelta(hours=1),
) -> pd.Series[Any]:
    """For each reading, the newest forecast that was known before its interval began.

    Args:
        readings: rows with `time` and `element`.
        forecasts: rows with forecast_time, target_time, available_at, `element` and `value`; each
            is for `[target_time, target_time + step)`.
        element: column that names the element.
        value: column of the forecast.
        step: the interval of the forecasts.

    Returns:
        The forecasts, on the index of `readings`; null where none was known.
    """
    asked = readings[["time", element]].reset_index(drop=True).rename_axis("row").reset_index()
    asked["target_time"] = asked["time"].dt.floor(pd.Timedelta(step))
    offered = forecasts[["target_time", element, "forecast_time", "available_at", value]]
    pairs = asked.merge(offered, on=["target_time", element])
    in_time = pairs[pairs["available_at"] <= pairs["time"]]
    newest = in_time.sort_values("forecast_time", kind="stable").drop_duplicates("row", keep="last")
    found = newest.set_index("row")[value].reindex(asked["row"])
    return found.astype(float).set_axis(readings.index)


def forecast_error(
    readings: pd.DataFrame,
    forecasts: pd.DataFrame,
    element: str,
    reading: str,
    forecast: str,
    as_of: datetime,
) -> pd.Series[Any]:
    """Reading minus the newest forecast known before its interval (MW), of known readings.

    Returns:
        Index of the readings known at `as_of`; null where no forecast was known in time.
    """
    seen = known(readings, as_of)
    return seen[reading] - forecast_at(seen, known(forecasts, as_of), element, forecast)


def _wide(rows: pd.DataFrame, element: str, value: str) -> pd.DataFrame:
    return rows.pivot(index="time", columns=element, values=value).sort_index()


def _complete_sum(rows: pd.DataFrame, element: str, as_of: datetime) -> pd.Series[Any]:
    wide = _wide(known(rows, as_of), element, "active_power_mw")
    return wide.sum(axis=1, skipna=False).dropna()


def _minutes(span: timedelta) -> int:
    return int(span / timedelta(minutes=1))
