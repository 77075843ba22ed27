"""SCADA readings: what units give and what areas take, every five minutes.

The source is RTS-GMLC's real-time series. A reading covers `[time, time + 5 min)` and is known at
its end. The series of wind, sun and water are read as the units' output; the other units have no
series, and voltage, frequency and reactive power are not measured: they stay null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from data_engineering.ingestion.rts_gmlc import bus_of, unit_ids
from data_engineering.ingestion.series_cut import cut, cut_all
from data_engineering.ingestion.series_files import SeriesFile
from data_engineering.ingestion.series_read import read_all, unpivot
from data_engineering.model.tables import LOAD_MEASUREMENTS, POWER_MEASUREMENTS
from data_engineering.model.time import Window

SOURCE = "rts_gmlc_real_time"
INTERVAL = pd.Timedelta(minutes=5)
PERIODS = 288
GOOD = 0

UNITS: Mapping[SeriesFile, Sequence[str]] = {
    SeriesFile("WIND/REAL_TIME_wind.csv", PERIODS): ("WIND",),
    SeriesFile("PV/REAL_TIME_pv.csv", PERIODS): ("PV",),
    SeriesFile("RTPV/REAL_TIME_rtpv.csv", PERIODS): ("RTPV",),
    SeriesFile("Hydro/REAL_TIME_hydro.csv", PERIODS): ("HYDRO", "ROR"),
}
"""Files and the types of the units in them."""

LOAD = SeriesFile("Load/REAL_TIME_regional_Load.csv", PERIODS)
AREAS = ("1", "2", "3")


def fetch_generation(folder: Path, window: Window) -> bytes:
    """The raw rows of unit output in `window`.

    Raises:
        SourceFileMissing, SourceFileBroken, DayOutsideData: the folder cannot give the window.
    """
    files = {file: unit_ids(folder, kinds) for file, kinds in UNITS.items()}
    return cut_all(folder, files, [window])


def parse_generation(raw: bytes, window: Window, case_name: str) -> pd.DataFrame:
    """Rows of `power_measurements`: a reading (MW) of every unit with a series, every 5 minutes.

    Raises:
        SourceFileBroken: a row or field is not what it should be; says file, line and field.
    """
    (frames,) = read_all(raw, UNITS, [window])
    rows = unpivot(pd.concat(frames.values(), axis=1), "generator_id", "active_power")
    rows["bus_id"] = rows["generator_id"].map(bus_of)
    return POWER_MEASUREMENTS.typed(_stamped(rows, case_name))


def fetch_load(folder: Path, window: Window) -> bytes:
    """The raw rows of area load in `window`.

    Raises:
        SourceFileMissing, SourceFileBroken, DayOutsideData: the folder cannot give the window.
    """
    return cut(folder, LOAD, window, AREAS)


def parse_load(raw: bytes, window: Window, case_name: str) -> pd.DataFrame:
    """Rows of `load_measurements`: the demand (MW) of area_1 to area_3 every 5 minutes.

    The forecast columns stay null; the transformation room fills them.

    Raises:
        SourceFileBroken: a row or field is not what it should be; says file, line and field.
    """
    (frames,) = read_all(raw, [LOAD], [window])
    rows = unpivot(frames[LOAD].add_prefix("area_"), "load_id", "active_power_mw")
    rows["area_id"] = rows["load_id"]
    return LOAD_MEASUREMENTS.typed(_stamped(rows, case_name))


def _stamped(rows: pd.DataFrame, case_name: str) -> pd.DataFrame:
    return rows.assign(
        case_name=case_name,
        measurement_quality=GOOD,
        source=SOURCE,
        available_at=rows["time"] + INTERVAL,
    )
