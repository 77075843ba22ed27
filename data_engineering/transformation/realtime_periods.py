"""The next few minutes: forecasts of hours, brought to what was just measured.

An hour's forecast is the mean of that hour. Between the middles of hours it goes straight; what it
misses of the present reading is added and fades, for an error now says much of the next minutes
and little of the next hours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from data_engineering.model.errors import NoRows
from data_engineering.model.grid import Flags, Floats, Grid, Texts
from data_engineering.model.problem import Periods
from data_engineering.transformation.horizon import MUST_TAKE, RESERVES_DOWN, RESERVES_UP

VARIABLE = ("WIND", "PV", "RTPV", "HYDRO", "CSP")
"""Kinds that give what the weather or the water allows."""
MARKETS = ("REAL_TIME", "DAY_AHEAD")
"""Whose reserve requirement counts: that of the first which has any."""


@dataclass(frozen=True, eq=False)
class Horizon:
    """Which intervals are asked for.

    Attributes:
        start: start of the first, UTC.
        now: time of the readings, UTC.
        fade_minutes: after which an error of a forecast has faded to 1/e.
    """

    start: datetime
    now: datetime
    minutes: int
    count: int
    fade_minutes: float

    @property
    def middles(self) -> Floats:
        """Middle of each interval, seconds since 1970, shape (T,)."""
        middle = self.start.timestamp() + 30.0 * self.minutes
        found: Floats = middle + 60.0 * self.minutes * np.arange(self.count, dtype=np.float64)
        return found

    @property
    def fade(self) -> Floats:
        """What is left of an error of the present, shape (T,)."""
        age = np.maximum(self.middles - self.now.timestamp(), 0.0)
        left: Floats = np.exp(-age / (60.0 * self.fade_minutes))
        return left

    @property
    def hours(self) -> pd.DatetimeIndex:
        """The hour that each interval begins in, shape (T,)."""
        step = timedelta(minutes=self.minutes)
        starts = [self.start + k * step for k in range(self.count)]
        return pd.DatetimeIndex(starts).floor("h")


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured at the present, NaN where nothing usable was.

    Attributes:
        load_mw: by load or area, as the forecasts name them.
        unit_mw: shape (generators,).
        held_back: units that gave less than they could, so that a reading says little of what is
            available, shape (generators,).
        served: loads that have a supply, shape (loads,).
    """

    load_mw: Mapping[str, float]
    unit_mw: Floats
    held_back: Flags
    served: Flags


def realtime_periods(
    grid: Grid, frames: Mapping[str, pd.DataFrame], measured: Measured, horizon: Horizon
) -> tuple[Periods, tuple[str, ...]]:
    """The intervals of a look-ahead dispatch, and what had to be done without.

    Args:
        grid: with what is open out of service.
        frames: rows of load_forecasts, renewable_forecasts and reserve_requirements that were known
            at the present; of several forecasts of an hour the one issued last counts.
        measured: the present.
        horizon: the intervals.

    Raises:
        NoRows: a load has neither a forecast nor a reading.
    """
    loads = _hourly(frames["load_forecasts"], "load_id", "forecasted_load_mw")
    units = _hourly(frames["renewable_forecasts"], "generator_id", "forecasted_power_mw")
    available, without = _available(grid, units, measured, horizon)
    load, unknown = _loads(grid, loads, measured, horizon)
    up, down = _reserves(frames["reserve_requirements"], horizon)
    taken = np.isin(grid.generators.kind, MUST_TAKE) & np.isin(grid.generators.id, list(units))
    notes = [f"no forecast of load {name}: it stays as measured" for name in unknown]
    notes += [f"no forecast of {name}: it stays as measured" for name in without]
    periods = Periods(
        start=horizon.start,
        minutes=horizon.minutes,
        load_mw=load,
        available_mw=available,
        must_take=taken,
        inflow_mw=_inflow(grid.storages.id, units, horizon),
        reserve_up_mw=up,
        reserve_down_mw=down,
        reported=horizon.count,
    )
    return periods, tuple(notes)


@dataclass(frozen=True, eq=False)
class Hourly:
    """A forecast: start of each hour, seconds since 1970 and rising, and its value."""

    start: Floats
    value: Floats

    def at(self, seconds: Floats) -> Floats:
        """Values between the middles of the hours."""
        found: Floats = np.interp(seconds, self.start + 1800.0, self.value)
        return found

    def covers(self, hours: Floats) -> bool:
        """Whether all of the given hours are there."""
        return bool(np.isin(hours, self.start).all())


def _hourly(frame: pd.DataFrame, element: str, value: str) -> dict[str, Hourly]:
    """Of each element its forecasts by hour, each from the newest issue."""
    newest = frame.sort_values(["forecast_time", "target_time"]).drop_duplicates(
        ["target_time", element], keep="last"
    )
    found = {}
    for name, rows in newest.sort_values("target_time").groupby(element):
        start = pd.DatetimeIndex(rows["target_time"]).as_unit("s").asi8.astype(np.float64)
        found[str(name)] = Hourly(start, rows[value].to_numpy(dtype=np.float64))
    return found


def _followed(
    forecast: Hourly | None, reading: float, share: float, horizon: Horizon
) -> tuple[Floats | None, Floats]:
    """A forecast, and what it misses now as it fades, both of shape (T,), MW.

    Without a forecast of the whole horizon the reading stays for ever. `share` is the part of what
    is forecast that the reading is about.
    """
    hours = horizon.hours.as_unit("s").asi8.astype(np.float64)
    if forecast is None or not forecast.covers(hours):
        return None, np.full(horizon.count, reading)
    missed = reading - share * forecast.at(np.array([horizon.now.timestamp()]))[0]
    fading = horizon.fade * (missed if np.isfinite(missed) else 0.0)
    return forecast.at(horizon.middles), fading


def _loads(
    grid: Grid, forecasts: Mapping[str, Hourly], measured: Measured, horizon: Horizon
) -> tuple[Floats, list[str]]:
    """Demand of each load, shape (T, loads), and what is not forecast.

    What an area's forecast misses goes to the loads that have a supply: the reading knows no
    others.
    """
    loads, found, unknown = grid.loads, np.zeros((horizon.count, len(grid.loads))), []
    metered = np.isin(loads.id, [*forecasts, *measured.load_mw])
    group = np.where(metered, loads.id, grid.buses.area[loads.bus])
    for name in np.unique(group):
        member = np.flatnonzero(group == name)
        nominal = loads.p_mw[member]
        live = nominal * measured.served[member]
        whole = nominal.sum()
        share = live.sum() / whole if whole else 0.0
        reading = measured.load_mw.get(str(name), np.nan)
        forecast, missed = _followed(forecasts.get(str(name)), reading, share, horizon)
        if forecast is None:
            unknown.append(str(name))
            if not np.isfinite(reading):
                where = f"load {name} at {horizon.start.isoformat()}"
                raise NoRows("load_forecasts", where, "ingest that day, or send its readings")
            forecast = np.zeros(horizon.count)
        if whole:
            found[:, member] = np.outer(forecast, nominal / whole)
        if live.sum():
            found[:, member] += np.outer(missed, live / live.sum())
        rising = np.maximum(found[:, member], 0.0)
        found[:, member] = np.where(nominal >= 0.0, rising, found[:, member])
    return found, unknown


def _available(
    grid: Grid, forecasts: Mapping[str, Hourly], measured: Measured, horizon: Horizon
) -> tuple[Floats, list[str]]:
    """Greatest output of each unit, shape (T, generators), and units without a forecast.

    A unit of the weather of which neither a forecast nor a reading tells gives nothing.
    """
    units, without = grid.generators, []
    found = np.tile(units.p_max_mw, (horizon.count, 1))
    for column in np.flatnonzero(
        np.isin(units.kind, VARIABLE) | np.isin(units.id, list(forecasts))
    ):
        name, reading = str(units.id[column]), measured.unit_mw[column]
        forecast, missed = _followed(forecasts.get(name), reading, 1.0, horizon)
        if forecast is None:
            without.append(name)
            forecast, missed = np.zeros(horizon.count), np.nan_to_num(missed)
        elif measured.held_back[column]:
            missed = np.maximum(missed, 0.0)
        found[:, column] = np.clip(forecast + missed, 0.0, units.p_max_mw[column])
    return found, without


def _inflow(stores: Texts, forecasts: Mapping[str, Hourly], horizon: Horizon) -> Floats:
    """Natural inflow of stores, shape (T, storages), MW."""
    found = np.zeros((horizon.count, len(stores)))
    for column, name in enumerate(stores):
        series = forecasts.get(str(name))
        if series is not None:
            found[:, column] = np.maximum(series.at(horizon.middles), 0.0)
    return found


def _reserves(frame: pd.DataFrame, horizon: Horizon) -> tuple[Floats, Floats]:
    """Reserve in both directions, shape (T,) each; hours without a requirement ask for none."""
    named = [market for market in MARKETS if (frame["market"] == market).any()]
    rows = frame[frame["market"] == named[0]] if named else frame
    totals = []
    for products in (RESERVES_UP, RESERVES_DOWN):
        asked = rows[rows["product"].isin(products)].groupby("time")["requirement_mw"].sum()
        totals.append(asked.reindex(horizon.hours, fill_value=0.0).to_numpy(dtype=np.float64))
    return totals[0], totals[1]
