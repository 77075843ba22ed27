"""A day of RTS-GMLC as the solvers get it, straight from the source files."""

from __future__ import annotations

from datetime import date
from functools import cache

from data_engineering.ingestion import rts_gmlc
from data_engineering.ingestion.sources import SOURCES
from data_engineering.model.grid import Grid
from data_engineering.model.problem import Periods
from data_engineering.model.time import Window
from data_engineering.transformation.converters import grid_from_rts_gmlc
from data_engineering.transformation.horizon import periods_from_frames


@cache
def rts_grid() -> Grid:
    return grid_from_rts_gmlc(rts_gmlc.read_source_tables(rts_gmlc.source_folder(None)))


def rts_periods(day: date, hours: int, lookahead: int = 0) -> Periods:
    folder, window = rts_gmlc.source_folder(None), Window.of_day(day)
    frames = {
        name: SOURCES[name].read(folder, window, "rts_gmlc")
        for name in ("forecast_load", "forecast_renewable", "market_reserves")
    }
    return periods_from_frames(
        rts_grid(),
        frames["forecast_load"],
        frames["forecast_renewable"],
        frames["market_reserves"],
        start=window.start,
        reported=hours,
        count=hours + lookahead,
    )
