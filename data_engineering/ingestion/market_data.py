"""What the market operator publishes at noon: the load it expects and the reserve it asks for.

The source is RTS-GMLC's day-ahead series, hourly.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from data_engineering.ingestion.day_ahead import (
    ISSUED_BEFORE,
    PERIODS,
    SOURCE,
    deliveries,
    forecast_rows,
    span,
)
from data_engineering.ingestion.series_cut import cut_all
from data_engineering.ingestion.series_files import SeriesFile
from data_engineering.ingestion.series_read import read_all, unpivot
from data_engineering.model.tables import LOAD_FORECASTS, RESERVE_REQUIREMENTS
from data_engineering.model.time import Window

LOAD = SeriesFile("Load/DAY_AHEAD_regional_Load.csv", PERIODS)
AREAS = ("1", "2", "3")
HOURS = tuple(str(hour) for hour in range(1, PERIODS + 1))

AREA_RESERVES: Mapping[SeriesFile, tuple[str, str]] = {
    SeriesFile(f"Reserves/DAY_AHEAD_regional_Spin_Up_R{area}.csv", PERIODS): (
        f"Spin_Up_R{area}",
        f"area_{area}",
    )
    for area in AREAS
}
"""Files with the column and the area that each is about."""

SYSTEM_RESERVES: Mapping[SeriesFile, str] = {
    SeriesFile(f"Reserves/DAY_AHEAD_regional_{name}.csv", PERIODS, a_row_is_a_day=True): (
        name.upper()
    )
    for name in ("Reg_Up", "Reg_Down", "Flex_Up", "Flex_Down")
}
"""Files with the product that each is about; it is asked of the whole system."""


def fetch_load_forecast(folder: Path, window: Window) -> bytes:
    """The raw rows of the load forecasts for each day that begins in `window`, 48 hours each.

    Raises:
        BadInput: no day begins in `window`.
        SourceFileMissing, SourceFileBroken, DayOutsideData: the folder cannot give the hours.
    """
    return cut_all(folder, {LOAD: AREAS}, deliveries(window))


def parse_load_forecast(raw: bytes, window: Window, case_name: str) -> pd.DataFrame:
    """Rows of `load_forecasts`: hourly MW of area_1 to area_3.

    Raises:
        SourceFileBroken: a row or field is not what it should be; says file, line and field.
    """
    windows = deliveries(window)
    rows = [
        forecast_rows(
            unpivot(frames[LOAD].add_prefix("area_"), "load_id", "forecasted_load_mw"), delivery
        )
        for delivery, frames in zip(windows, read_all(raw, [LOAD], windows), strict=True)
    ]
    stamped = pd.concat(rows).assign(case_name=case_name, forecast_model=SOURCE)
    return LOAD_FORECASTS.typed(stamped)


def fetch_reserves(folder: Path, window: Window) -> bytes:
    """The raw rows of the reserve requirements of each day that begins in `window`, and one more.

    Raises:
        BadInput: no day begins in `window`.
        SourceFileMissing, SourceFileBroken, DayOutsideData: the folder cannot give the hours.
    """
    files = {file: (column,) for file, (column, _) in AREA_RESERVES.items()}
    return cut_all(folder, files | dict.fromkeys(SYSTEM_RESERVES, HOURS), [span(window)])


def parse_reserves(raw: bytes, window: Window, case_name: str) -> pd.DataFrame:
    """Rows of `reserve_requirements`: hourly MW of each product, to the end of the look-ahead.

    The requirement of a day is first published as look-ahead, at 12:00 UTC two days before; that
    is its `available_at`, whichever run brings the row, so runs in any order leave the same rows.

    Raises:
        SourceFileBroken: a row or field is not what it should be; says file, line and field.
    """
    (frames,) = read_all(raw, [*AREA_RESERVES, *SYSTEM_RESERVES], [span(window)])
    spinning = [
        _product(frames[file], "SPIN_UP", area) for file, (_, area) in AREA_RESERVES.items()
    ]
    others = [_product(frames[file], name, "system") for file, name in SYSTEM_RESERVES.items()]
    rows = pd.concat([*spinning, *others])
    first_published = rows["time"].dt.normalize() - pd.Timedelta(days=1) - ISSUED_BEFORE
    return RESERVE_REQUIREMENTS.typed(
        rows.assign(
            case_name=case_name,
            market="DAY_AHEAD",
            source=SOURCE,
            available_at=first_published,
        )
    )


def _product(wide: pd.DataFrame, product: str, area: str) -> pd.DataFrame:
    (values,) = (wide[column] for column in wide)
    rows = pd.DataFrame({"time": wide.index, "requirement_mw": values.to_numpy()})
    return rows.assign(product=product, area_id=area)
