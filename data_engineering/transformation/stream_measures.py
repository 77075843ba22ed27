"""What the trigger watches: how far the readings are from what was expected, and loadings.

A forecast of an hour is its mean, so it is taken as the value in the middle of the hour and between
the middles the line that joins them; steps from hour to hour would look like deviations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from data_engineering.model.decisions import Reason
from data_engineering.model.grid import Elements, Floats, Ints, Texts
from data_engineering.model.snapshot import GOOD, Points, Quantity, Snapshot
from data_engineering.model.tables import NATURAL_INFLOW
from data_engineering.settings import ReoptimizationRules
from data_engineering.transformation.features import known

BAND_SIGMAS = 3.2897
"""Width of a 90 % band of a normal distribution in standard deviations."""
NET_LOAD = "net_load"


@dataclass(frozen=True, eq=False)
class Curves:
    """Forecasts of some points, each at the same instants.

    Attributes:
        at_ns: the middles of the intervals, ascending, shape (T,).
        mw: NaN where there is none, shape (T, points).
        sigma_mw: standard deviation of the error, 0 where the source says nothing.
        half_ns: half an interval.
    """

    id: Texts
    at_ns: Ints
    mw: Floats
    sigma_mw: Floats
    half_ns: int

    def value(self, times_ns: Ints) -> tuple[Floats, Floats]:
        """Forecast and standard deviation of each point at a time of its own, NaN outside."""
        if len(self.at_ns) == 0:
            nothing = np.full(len(self.id), np.nan)
            return nothing, nothing
        columns = np.arange(len(self.id))
        after = np.clip(np.searchsorted(self.at_ns, times_ns), 1, max(1, len(self.at_ns) - 1))
        before, after = after - 1, np.minimum(after, len(self.at_ns) - 1)
        length = np.maximum(self.at_ns[after] - self.at_ns[before], 1)
        weight = np.clip((times_ns - self.at_ns[before]) / length, 0.0, 1.0)
        inside = (times_ns >= self.at_ns[0] - self.half_ns) & (
            times_ns < self.at_ns[-1] + self.half_ns
        )

        def between(table: Floats) -> Floats:
            low, high = table[before, columns], table[after, columns]
            mixed: Floats = np.where(weight > 0, low + weight * (high - low), low)
            return np.where(inside, mixed, np.nan)

        return between(self.mw), between(self.sigma_mw)


@dataclass(frozen=True, eq=False)
class Expected:
    """What was forecast of loads and of units that wind, sun and water drive."""

    load: Curves
    units: Curves
    issued_ns: int


def expected(
    load_forecasts: pd.DataFrame,
    renewable_forecasts: pd.DataFrame,
    as_of: datetime,
    step: timedelta = timedelta(hours=1),
) -> Expected:
    """The newest forecasts that were known at a time.

    Args:
        load_forecasts: rows of that table for one case.
        renewable_forecasts: rows of that table for it; natural inflow is no output.
        as_of: rows known later are left out.
        step: the interval of the forecasts.
    """
    output = renewable_forecasts[renewable_forecasts["forecast_model"] != NATURAL_INFLOW]
    loads, units = known(load_forecasts, as_of), known(output, as_of)
    issued = pd.concat([loads["forecast_time"], units["forecast_time"]])
    return Expected(
        _curves(loads, "load_id", "forecasted_load_mw", step),
        _curves(units, "generator_id", "forecasted_power_mw", step),
        0 if issued.empty else int(issued.max().value),
    )


def _curves(rows: pd.DataFrame, element: str, value: str, step: timedelta) -> Curves:
    newest = rows.sort_values("forecast_time", kind="stable").drop_duplicates(
        ["target_time", element], keep="last"
    )
    table = newest.pivot(index="target_time", columns=element, values=value)
    sigma = np.zeros(table.shape)
    if "confidence_upper_mw" in newest:
        band = newest.assign(width=newest["confidence_upper_mw"] - newest["confidence_lower_mw"])
        widths = band.pivot(index="target_time", columns=element, values="width")
        sigma = widths.fillna(0.0).to_numpy(dtype=np.float64) / BAND_SIGMAS
    half = int(pd.Timedelta(step).value) // 2
    starts = pd.DatetimeIndex(table.index).as_unit("ns").asi8
    return Curves(
        table.columns.to_numpy(dtype=np.str_),
        starts + half,
        table.to_numpy(dtype=np.float64),
        sigma,
        half,
    )


@dataclass(frozen=True, eq=False)
class Measures(Elements):
    """What is compared with limits, by subject.

    Attributes:
        observed: in the unit of the reason.
        fire: limit at which it counts.
        clear: limit below which it is over.
        scan_ns: time of the scan that it is from.
        state: good, bad or stale.
    """

    subject: Texts
    observed: Floats
    fire: Floats
    clear: Floats
    scan_ns: Ints
    state: Texts


@dataclass(frozen=True, eq=False)
class Watched:
    """Measures of one reason, of which `scans` among the newest `window` must be above a limit."""

    reason: Reason
    measures: Measures
    scans: int
    window: int


@dataclass(frozen=True, eq=False)
class Errors:
    """Reading minus forecast (MW) of each subject, and the forecast load of the system."""

    subject: Texts
    error_mw: Floats
    sigma_mw: Floats
    scan_ns: Ints
    state: Texts
    base_mw: float

    def named(self) -> dict[str, float]:
        """The errors that are known, by subject."""
        pairs = zip(self.subject.tolist(), self.error_mw.tolist(), strict=True)
        return {name: error for name, error in pairs if error == error}


def errors(snapshot: Snapshot, forecast: Expected, oldest_ns: int, needed_share: float) -> Errors:
    """How far every load and unit, and the net load of the system, is from its forecast.

    The net load is known while `needed_share` of its points are; the others count as forecast.

    Args:
        snapshot: the newest readings.
        forecast: what was expected.
        oldest_ns: readings of an earlier time are stale.
        needed_share: of the points of the net load.
    """
    parts = (
        _point_errors(snapshot, "load_mw", forecast.load, oldest_ns),
        _point_errors(snapshot, "generator_mw", forecast.units, oldest_ns),
    )
    error, sigma, scan_ns, state, base = (
        np.concatenate([part[column] for part in parts]) for column in range(5)
    )
    loads = len(forecast.load.id)
    base_mw = float(base[:loads].sum()) if loads else np.nan
    usable = state == "good"
    sign = np.where(np.arange(len(error)) < loads, 1.0, -1.0)
    enough = usable.any() and usable.mean() >= needed_share
    worst = "good" if enough else ("bad" if (state == "bad").any() else "stale")
    return Errors(
        subject=np.concatenate([[NET_LOAD], forecast.load.id, forecast.units.id]),
        error_mw=np.append([float((sign * error)[usable].sum()) if enough else np.nan], error),
        sigma_mw=np.append([float(np.sqrt(np.square(sigma[usable]).sum()))], sigma),
        scan_ns=np.append([scan_ns[usable].min() if usable.any() else 0], scan_ns),
        state=np.append([worst], state),
        base_mw=base_mw,
    )


def _point_errors(
    snapshot: Snapshot, quantity: Quantity, curves: Curves, oldest_ns: int
) -> tuple[Floats, Floats, Ints, Texts, Floats]:
    """Error, sigma, time and state of each point, and its forecast at the newest time of any."""
    count = len(curves.id)
    points = snapshot.points.get(quantity)
    if points is None or not count:
        nothing = np.full(count, np.nan)
        return nothing, nothing, np.zeros(count, np.int64), np.full(count, "stale"), nothing
    place, there = _places(points, curves.id)
    time_ns = np.where(there, points.time_ns[place], 0)
    forecast, sigma = curves.value(time_ns)
    state = np.where(there, _states(points, oldest_ns)[place], "stale")
    state = np.where((state == "good") & np.isnan(forecast), "stale", state)
    error = np.where(state == "good", points.value[place] - forecast, np.nan)
    newest = np.full(count, time_ns.max())
    return error, np.nan_to_num(sigma), time_ns, state, curves.value(newest)[0]


def _places(points: Points, ids: Texts) -> tuple[Ints, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    place = np.minimum(np.searchsorted(points.id, ids), len(points) - 1)
    return place, points.id[place] == ids


def _states(points: Points, oldest_ns: int) -> Texts:
    """Whether a trigger may act on each reading: suspect and estimated ones are bad here."""
    bad = (points.bad_ns > points.time_ns) | (points.quality != GOOD)
    return np.select([bad, points.time_ns < oldest_ns], ["bad", "stale"], "good")


def deviations(found: Errors, anchors: Mapping[str, float], rules: ReoptimizationRules) -> Watched:
    """Errors beyond those that the newest dispatch took into account, with their limits.

    Args:
        found: errors now.
        anchors: errors then, by subject; 0 where there is none.
        rules: thresholds.
    """
    then = np.array([anchors.get(name, 0.0) for name in found.subject.tolist()])
    fire = np.maximum(
        rules.deviation_sigmas * found.sigma_mw, rules.deviation_fire_share * found.base_mw
    )
    fire = np.where(np.isnan(fire), np.inf, fire)  # without a load forecast nothing is large
    measures = Measures(
        subject=found.subject,
        observed=np.abs(found.error_mw - then),
        fire=fire,
        clear=fire * (rules.deviation_clear_share / rules.deviation_fire_share),
        scan_ns=found.scan_ns,
        state=found.state,
    )
    return Watched("deviation", measures, rules.deviation_scans, rules.deviation_window)


def loadings(
    snapshot: Snapshot, ratings_mw: Mapping[str, float], oldest_ns: int, rules: ReoptimizationRules
) -> Watched:
    """Loadings (percent of the continuous rating) of the branches that are measured.

    Args:
        snapshot: the newest readings; a flow stands in where no loading is measured.
        ratings_mw: continuous ratings by branch.
        oldest_ns: readings of an earlier time are stale.
        rules: thresholds.
    """
    percent, flow = snapshot.points.get("branch_percent"), snapshot.points.get("branch_mw")
    parts: list[tuple[Points, Floats]] = []
    if percent is not None:
        parts.append((percent, percent.value))
    if flow is not None:
        rating = np.array([ratings_mw.get(name, np.inf) for name in flow.id.tolist()])
        only = np.ones(len(flow), np.bool_) if percent is None else ~np.isin(flow.id, percent.id)
        only &= np.isfinite(rating) & (rating > 0)
        kept = Points(**{name: column[only] for name, column in vars(flow).items()})
        parts.append((kept, 100.0 * np.abs(kept.value) / rating[only]))
    subject = np.concatenate([np.zeros(0, np.str_), *(points.id for points, _ in parts)])
    measures = Measures(
        subject=subject,
        observed=np.concatenate([np.zeros(0), *(value for _, value in parts)]),
        fire=np.full(len(subject), rules.loading_fire_percent),
        clear=np.full(len(subject), rules.loading_clear_percent),
        scan_ns=np.concatenate([np.zeros(0, np.int64), *(points.time_ns for points, _ in parts)]),
        state=np.concatenate(
            [np.zeros(0, np.str_), *(_states(points, oldest_ns) for points, _ in parts)]
        ),
    )
    return Watched("branch_loading", measures, 1, 1)
