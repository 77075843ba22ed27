"""The registry of sources: what the daily ingest extracts, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from data_engineering.ingestion import market_data, scada_client, weather_api
from data_engineering.model.columns import Table
from data_engineering.model.tables import (
    LOAD_FORECASTS,
    LOAD_MEASUREMENTS,
    POWER_MEASUREMENTS,
    RENEWABLE_FORECASTS,
    RESERVE_REQUIREMENTS,
)
from data_engineering.model.time import Window


@dataclass(frozen=True)
class Source:
    """One source.

    Attributes:
        table: the declared table of its rows.
        fetch: `(folder, window) -> bytes`, what the source holds for the window, unchanged; the
            same window gives the same bytes.
        parse: `(bytes, window, case_name) -> frame` with every column of `table`, times in UTC.
    """

    name: str
    table: Table
    fetch: Callable[[Path, Window], bytes]
    parse: Callable[[bytes, Window, str], pd.DataFrame]

    def read(self, folder: Path, window: Window, case_name: str) -> pd.DataFrame:
        """Fetch and parse at once."""
        return self.parse(self.fetch(folder, window), window, case_name)


SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        Source(
            "scada_generation",
            POWER_MEASUREMENTS,
            scada_client.fetch_generation,
            scada_client.parse_generation,
        ),
        Source("scada_load", LOAD_MEASUREMENTS, scada_client.fetch_load, scada_client.parse_load),
        Source(
            "forecast_renewable",
            RENEWABLE_FORECASTS,
            weather_api.fetch_renewable,
            weather_api.parse_renewable,
        ),
        Source(
            "forecast_load",
            LOAD_FORECASTS,
            market_data.fetch_load_forecast,
            market_data.parse_load_forecast,
        ),
        Source(
            "market_reserves",
            RESERVE_REQUIREMENTS,
            market_data.fetch_reserves,
            market_data.parse_reserves,
        ),
    )
}
