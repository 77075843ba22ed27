"""Forecasts of what wind, sun and water allow, issued at noon for the next two days.

The source is RTS-GMLC's day-ahead series. The solar tower's natural inflow (MW into its store, not
output) comes with them under its own `forecast_model`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from data_engineering.ingestion.day_ahead import PERIODS, SOURCE, deliveries, forecast_rows
from data_engineering.ingestion.rts_gmlc import unit_ids
from data_engineering.ingestion.series_cut import cut_all
from data_engineering.ingestion.series_files import SeriesFile
from data_engineering.ingestion.series_read import read_all, unpivot
from data_engineering.model.tables import NATURAL_INFLOW, RENEWABLE_FORECASTS
from data_engineering.model.time import Window

INFLOW = SeriesFile("CSP/DAY_AHEAD_Natural_Inflow.csv", PERIODS)

UNITS: Mapping[SeriesFile, Sequence[str]] = {
    SeriesFile("WIND/DAY_AHEAD_wind.csv", PERIODS): ("WIND",),
    SeriesFile("PV/DAY_AHEAD_pv.csv", PERIODS): ("PV",),
    SeriesFile("RTPV/DAY_AHEAD_rtpv.csv", PERIODS): ("RTPV",),
    SeriesFile("Hydro/DAY_AHEAD_hydro.csv", PERIODS): ("HYDRO", "ROR"),
    INFLOW: ("CSP",),
}
"""Files and the types of the units in them."""


def fetch_renewable(folder: Path, window: Window) -> bytes:
    """The raw rows of the forecasts for each day that begins in `window`, 48 hours each.

    Raises:
        BadInput: no day begins in `window`.
        SourceFileMissing, SourceFileBroken, DayOutsideData: the folder cannot give the hours.
    """
    files = {file: unit_ids(folder, kinds) for file, kinds in UNITS.items()}
    return cut_all(folder, files, deliveries(window))


def parse_renewable(raw: bytes, window: Window, case_name: str) -> pd.DataFrame:
    """Rows of `renewable_forecasts`: hourly MW of 80 units and the inflow of the solar tower.

    The source gives no band around its forecasts: the confidence columns stay null.

    Raises:
        SourceFileBroken: a row or field is not what it should be; says file, line and field.
    """
    windows = deliveries(window)
    rows = []
    for delivery, frames in zip(windows, read_all(raw, UNITS, windows), strict=True):
        for file, frame in frames.items():
            values = unpivot(frame, "generator_id", "forecasted_power_mw")
            values["forecast_model"] = NATURAL_INFLOW if file == INFLOW else SOURCE
            rows.append(forecast_rows(values, delivery))
    return RENEWABLE_FORECASTS.typed(pd.concat(rows).assign(case_name=case_name))
