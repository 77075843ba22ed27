"""The day-ahead rhythm: at 12:00 UTC, the 48 hours that begin with the next midnight."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd

from data_engineering.ingestion.rts_gmlc import data_day
from data_engineering.model.errors import BadInput
from data_engineering.model.time import Window

SOURCE = "rts_gmlc_day_ahead"
PERIODS = 24
ISSUED_BEFORE = pd.Timedelta(hours=12)


def deliveries(window: Window) -> list[Window]:
    """The 48 hours, a day and its look-ahead, of each day that begins in `window`.

    Raises:
        BadInput: no day begins in `window`, or one is too far away.
    """
    midnight = window.start.replace(hour=0, minute=0, second=0, microsecond=0)
    days = []
    while midnight < window.end:
        if midnight >= window.start:
            data_day(midnight.date())
            days.append(midnight.date())
        midnight += timedelta(days=1)
    if not days:
        raise BadInput("window", f"{window.start} to {window.end}", "include a 00:00 UTC")
    return [Window.of_day(day, days=2) for day in days]


def issue_time(delivery: Window) -> pd.Timestamp:
    """When the forecast of a delivery is issued: 12:00 UTC of the day before."""
    return pd.Timestamp(delivery.start) - ISSUED_BEFORE


def span(window: Window) -> Window:
    """From the first delivery's start to the last one's end."""
    windows = deliveries(window)
    return Window(windows[0].start, windows[-1].end)


def forecast_rows(rows: pd.DataFrame, delivery: Window) -> pd.DataFrame:
    """Rows with `time`, stamped as a forecast of `delivery`: target, issue time and horizon."""
    issued = issue_time(delivery)
    return rows.rename(columns={"time": "target_time"}).assign(
        forecast_time=issued,
        available_at=issued,
        forecast_horizon_hours=(rows["time"] - issued) / timedelta(hours=1),
        source=SOURCE,
    )
