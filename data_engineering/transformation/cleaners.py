"""Cleaning: rows of a declared table in UTC and its units, each key once, flagged where doubtful.

`clean` never loses a row: what it does not keep comes back with a reason. It looks at a whole
window after the fact: a flag may rest on later readings, and a filled row carries the
`available_at` of the reading that closed its gap, so nobody reads it earlier than it could be made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas import Timedelta

from data_engineering.model.columns import Column, Table
from data_engineering.model.errors import BadInput
from data_engineering.model.time import Window

GOOD, SUSPECT, BAD, ESTIMATED = 0, 1, 2, 3
QUALITY = "measurement_quality"

_FACTORS: Mapping[tuple[str, str], float] = {
    ("W", "MW"): 1e-6,
    ("kW", "MW"): 1e-3,
    ("GW", "MW"): 1e3,
    ("var", "Mvar"): 1e-6,
    ("kvar", "Mvar"): 1e-3,
    ("Gvar", "Mvar"): 1e3,
    ("mHz", "Hz"): 1e-3,
    ("rad", "deg"): 180.0 / np.pi,
    ("%", "p.u."): 1e-2,
    ("USD/kWh", "USD/MWh"): 1e3,
    ("km/h", "m/s"): 1 / 3.6,
}


@dataclass(frozen=True, eq=False)
class CleanResult:
    """What cleaning leaves: as many rows, but for those filled in, as came.

    Attributes:
        frame: rows of the table, one for each key, sorted by time and key.
        rejected: the rows not kept, as they came and with their index, and a column `reason`.
        counts: how many rows were `late`, `stuck`, `filled` and `out_of_order`.
    """

    frame: pd.DataFrame
    rejected: pd.DataFrame
    counts: dict[str, int]


def clean(
    table: Table,
    frame: pd.DataFrame,
    window: Window,
    interval_minutes: float,
    *,
    zone: str = "UTC",
    units: Mapping[str, str] | None = None,
    stuck_hours: float = 6.0,
    late_hours: float = 24.0,
    gap_minutes: float = 15.0,
) -> CleanResult:
    """Clean the rows of one window.

    Args:
        table: what the rows are to be; it has a time column.
        frame: rows as they came, with any index and in any order.
        window: half-open window that the rows must be in.
        interval_minutes: the interval of the series; rows off its beat are rejected.
        zone: time zone of times that come without one.
        units: unit of each column that does not come in the declared unit.
        stuck_hours: readings equal and not zero for this long become suspect.
        late_hours: a reading known later than this after its interval began becomes suspect.
        gap_minutes: gaps of at most this length are filled linearly and flagged estimated.

    Raises:
        BadInput: a unit has no known factor, or the zone is unknown.
    """
    if table.time is None:
        raise BadInput("table", table.name, "clean tables whose rows are in time")
    interval = Timedelta(minutes=interval_minutes)
    rows = _numbers(table, in_declared_units(table, in_utc(table, frame, zone), units or {}))
    reasons = _first_reasons(table, rows, frame, window, interval)
    reasons = reasons.fillna(_duplicates(table, rows[reasons.isna()]))
    spans = (
        Timedelta(minutes=gap_minutes),
        Timedelta(hours=stuck_hours),
        Timedelta(hours=late_hours),
    )
    kept, counts = _mended(table, rows[reasons.isna()], interval, *spans)
    bad = reasons.notna().to_numpy()
    rejected = frame[bad].assign(reason=reasons[bad].to_numpy())
    return CleanResult(table.typed(with_power_factor(kept)), rejected, counts)


def value_column(table: Table) -> str:
    """The column that a row is about: the first number that may not be null."""
    return next(c.name for c in table.columns if c.dtype == "float" and not c.nullable)


def element_columns(table: Table) -> list[str]:
    """The key without the time: what a series is of."""
    return [name for name in table.key if name != table.time]


def in_utc(table: Table, frame: pd.DataFrame, zone: str) -> pd.DataFrame:
    """The rows, numbered from 0, with every timestamp column in UTC.

    Times without a zone are read in `zone`; what is no time there (unreadable, or skipped or
    repeated when clocks change) becomes null.

    Raises:
        BadInput: there is no such zone.
    """
    rows = frame.reset_index(drop=True)
    for column in table.columns:
        if column.dtype == "timestamp" and column.name in rows:
            rows[column.name] = _to_utc(rows[column.name], zone)
    return rows


def _to_utc(values: pd.Series[Any], zone: str) -> pd.Series[Any]:
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return pd.Series(values.dt.tz_convert("UTC"))
    if pd.api.types.is_datetime64_dtype(values.dtype):
        return _localized(values, zone)
    # Of mixed texts, those with an offset say their zone themselves.
    moments = pd.Series([_moment(value, zone) for value in values], values.index, dtype=object)
    return pd.to_datetime(moments, utc=True)


def _moment(value: Any, zone: str) -> object:
    time = pd.DatetimeIndex(pd.to_datetime([value], errors="coerce"))
    if time.isna().all():
        return None
    return time[0] if time.tz is not None else _localized(pd.Series(time), zone).iloc[0]


def _localized(values: pd.Series[Any], zone: str) -> pd.Series[Any]:
    try:
        local = values.dt.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
    except KeyError:  # ZoneInfoNotFoundError is one
        raise BadInput("zone", zone, "give a name such as UTC or Europe/Berlin") from None
    return pd.Series(local.dt.tz_convert("UTC"))


def in_declared_units(table: Table, frame: pd.DataFrame, units: Mapping[str, str]) -> pd.DataFrame:
    """The rows with the named columns converted to the units that `table` declares.

    Raises:
        BadInput: there is no factor between the two units.
    """
    factors = {}
    for name, unit in units.items():
        declared = table.column(name).unit
        if unit != declared and (unit, declared) not in _FACTORS:
            known = ", ".join(sorted(a for a, b in _FACTORS if b == declared)) or "none"
            raise BadInput(f"unit of {name}", unit, f"give {declared} or one of: {known}")
        factors[name] = 1.0 if unit == declared else _FACTORS[unit, declared]
    return frame.assign(
        **{
            name: pd.to_numeric(frame[name], errors="coerce") * factor
            for name, factor in factors.items()
        }
    )


def with_power_factor(frame: pd.DataFrame) -> pd.DataFrame:
    """`power_factor` = P / sqrt(P^2 + Q^2), signed as P; null where Q is unknown or both are 0."""
    if "power_factor" not in frame:
        return frame
    active = frame["active_power"].astype(float)
    reactive = frame["reactive_power"].astype(float)
    apparent = pd.Series(np.hypot(active, reactive), frame.index)
    return frame.assign(power_factor=(active / apparent.where(apparent > 0)).clip(-1.0, 1.0))


def _numbers(table: Table, rows: pd.DataFrame) -> pd.DataFrame:
    """Every declared column, numbers as floats (null where not a number), the rest as given."""
    rows = rows.reindex(columns=list(table.names))
    numeric = [c.name for c in table.columns if c.dtype in ("float", "integer")]
    numbers = {name: pd.to_numeric(rows[name], errors="coerce").astype(float) for name in numeric}
    rows = rows.assign(**numbers)
    return rows.assign(**{name: rows[name].where(np.isfinite(rows[name])) for name in numeric})


def _first_reasons(
    table: Table,
    rows: pd.DataFrame,
    frame: pd.DataFrame,
    window: Window,
    interval: Timedelta,
) -> pd.Series[Any]:
    """Why each row cannot be kept; null where it can. The first reason found stands."""
    given = frame.reset_index(drop=True).reindex(columns=list(table.names))
    reasons = pd.Series(None, index=rows.index, dtype=object)
    for column in table.columns:
        wrong = rows[column.name].isna() & given[column.name].notna()
        reasons = _because(reasons, wrong, given, column, "cannot be read")
        if not column.nullable:
            reasons = _because(reasons, rows[column.name].isna(), given, column, "is missing")
        if column.dtype == "integer":
            broken = rows[column.name] % 1 > 0
            reasons = _because(reasons, broken, given, column, "is not a whole number")
        if column.minimum is not None:
            low = rows[column.name] < column.minimum
            reasons = _because(reasons, low, given, column, f"is below {column.minimum}")
        if column.maximum is not None:
            high = rows[column.name] > column.maximum
            reasons = _because(reasons, high, given, column, f"is above {column.maximum}")
    time = rows[str(table.time)]
    outside = (time < window.start) | (time >= window.end)
    reasons = reasons.mask(reasons.isna() & outside, "time is outside the window")
    off = (time - pd.Timestamp(window.start).normalize()) / interval % 1 != 0
    reasons = reasons.mask(
        reasons.isna() & off & time.notna(), f"time is off the beat of {interval}"
    )
    if QUALITY in table.names:
        early = rows["available_at"] < time
        reasons = reasons.mask(reasons.isna() & early, "known before it happened")
    return reasons


def _because(
    reasons: pd.Series[Any], where: pd.Series[Any], given: pd.DataFrame, column: Column, fact: str
) -> pd.Series[Any]:
    new = where & reasons.isna()
    if not new.any():
        return reasons
    texts = column.name + " " + given.loc[new, column.name].map(_shown) + fact
    return reasons.where(~new, texts.reindex(reasons.index))


def _shown(value: object) -> str:
    return "" if pd.isna(value) else f"{value} "  # type: ignore[call-overload]


def _duplicates(table: Table, rows: pd.DataFrame) -> pd.Series[Any]:
    """A reason for each row whose key a better row has: best quality, then the newest, stands."""
    order = [QUALITY] if QUALITY in table.names else []
    ranked = rows.sort_values(
        [*order, "available_at"], ascending=[*(True for _ in order), False], kind="stable"
    )
    again = ranked.duplicated(list(table.key))
    key = ", ".join(table.key)
    return pd.Series(f"duplicate of a better or newer row with the same {key}", ranked.index[again])


def _sorted(table: Table, rows: pd.DataFrame) -> pd.DataFrame:
    return rows.sort_values([str(table.time), *element_columns(table)], ignore_index=True)


def _out_of_order(table: Table, rows: pd.DataFrame) -> int:
    """How many rows came after a later row of the same series."""
    time = rows[str(table.time)]
    latest = time.groupby([rows[name] for name in element_columns(table)]).cummax()
    return int((time < latest).sum())


def _mended(
    table: Table,
    rows: pd.DataFrame,
    interval: Timedelta,
    gap_span: Timedelta,
    stuck_span: Timedelta,
    late_span: Timedelta,
) -> tuple[pd.DataFrame, dict[str, int]]:
    """The rows in order, short gaps filled, late and stuck readings suspect; and how many."""
    counts = {"out_of_order": _out_of_order(table, rows)}
    rows = _sorted(table, rows)
    if QUALITY not in table.names:
        return rows, counts
    fillings = _fillings(table, rows, interval, gap_span)
    if len(fillings):
        rows = _sorted(table, pd.concat([rows, fillings]))
    late = rows["available_at"] - rows[str(table.time)] > late_span
    stuck = _stuck(table, rows, interval, stuck_span)
    doubtful = (late | stuck) & (rows[QUALITY] == GOOD)
    rows = rows.assign(**{QUALITY: rows[QUALITY].mask(doubtful, SUSPECT)})
    found = {"late": int(late.sum()), "stuck": int(stuck.sum()), "filled": len(fillings)}
    return rows, counts | found


def _series_order(table: Table, rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series[Any]]:
    """Rows by series and time, and whether each continues the series of the row above."""
    names = element_columns(table)
    ordered = rows.sort_values([*names, str(table.time)], kind="stable")
    return ordered, (ordered[names] == ordered[names].shift()).all(axis=1)


def _stuck(
    table: Table, rows: pd.DataFrame, interval: Timedelta, longest: Timedelta
) -> pd.Series[Any]:
    ordered, continues = _series_order(table, rows)
    value, time = ordered[value_column(table)], ordered[str(table.time)]
    same = continues & (value == value.shift()) & (time - time.shift() == interval)
    run = (~same).cumsum()
    length = run.map(run.value_counts()) * interval
    return ((length >= longest) & (value != 0)).reindex(rows.index)


def _fillings(
    table: Table, rows: pd.DataFrame, interval: Timedelta, longest: Timedelta
) -> pd.DataFrame:
    """Rows for short gaps between readings that are not bad, on the line between them."""
    ordered, continues = _series_order(table, rows)
    value, time = value_column(table), str(table.time)
    before = ordered.shift()
    apart = ordered[time].diff().dt.total_seconds() / interval.total_seconds()
    missing = apart.where(continues, 1.0) - 1
    usable = (ordered[QUALITY] != BAD) & (before[QUALITY] != BAD)
    gaps = np.flatnonzero((missing > 0) & (missing * interval <= longest) & usable)
    counts = missing.to_numpy()[gaps].astype(int)
    left = ordered.iloc[np.repeat(gaps - 1, counts)].reset_index(drop=True)
    right = ordered.iloc[np.repeat(gaps, counts)].reset_index(drop=True)
    step = pd.Series(np.concatenate([np.zeros(0), *(np.arange(1.0, n + 1) for n in counts)]))
    share = step / (np.repeat(counts, counts) + 1)
    others = [c.name for c in table.columns if c.dtype == "float" and c.name != value]
    return left.assign(
        **dict.fromkeys(others, np.nan),
        **{
            time: left[time] + step * interval,
            value: left[value] + share * (right[value] - left[value]),
            QUALITY: float(ESTIMATED),
            "available_at": right["available_at"].where(
                right["available_at"] > left["available_at"], left["available_at"]
            ),
        },
    )
