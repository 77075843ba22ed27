"""Prices and forecasts that a site puts into the tables ask for a dispatch when they change."""

from __future__ import annotations

import time
from datetime import timedelta

import pandas as pd
import pytest
from realtime_day import CASE, DAY, START, store_day
from stream_recordings import record, scan

from data_engineering.ingestion import rts_gmlc
from data_engineering.ingestion.sources import SOURCES
from data_engineering.ingestion.stream_files import FilePublisher, FileSource
from data_engineering.model.tables import LOAD_FORECASTS
from data_engineering.model.time import Window
from data_engineering.orchestration import stream_memory
from data_engineering.orchestration.stream_setup import serve
from data_engineering.orchestration.stream_wiring import reacting
from data_engineering.runtime import open_runtime
from data_engineering.settings import ReoptimizationRules
from data_engineering.storage import timeseries
from data_engineering.storage.database import driver_cursor
from data_engineering.storage.metadata import query

pytestmark = pytest.mark.integration

PRICE = """
    INSERT INTO market_prices (time, case_name, market, node_id, price_usd_per_mwh, source,
        available_at)
    VALUES (%s, %s, 'DAY_AHEAD', %s, %s, 'test', %s)
    ON CONFLICT (time, case_name, market, node_id)
    DO UPDATE SET price_usd_per_mwh = EXCLUDED.price_usd_per_mwh,
        available_at = EXCLUDED.available_at
"""
DECIDED = """
    SELECT hindrance, subject, observed_value AS observed, limit_value FROM reoptimization_events
    WHERE reason = :reason AND action = :action ORDER BY decided_at
"""


def test_changed_prices_and_forecasts_fire(store_settings, tmp_path, monkeypatch):
    monkeypatch.setattr(stream_memory, "REFRESH_SECONDS", 0.2)
    monkeypatch.setattr(stream_memory, "WALL_SECONDS", 0.2)
    rules = ReoptimizationRules(clock="event", debounce_seconds=0.2, cooldown_seconds=0.2)
    settings = store_settings.model_copy(update={"reoptimization": rules, "case_name": CASE})
    with open_runtime(settings) as owner:
        store_day(owner)

        def price(usd: float, known: int) -> None:
            """The price of two nodes for the next hours, as it is known some seconds later."""
            known_at = START + timedelta(milliseconds=known)
            with driver_cursor(owner.timeseries) as cursor:
                for hour, node in ((1, "101"), (2, "101"), (1, "202")):
                    far = usd + (1.0 if hour == 2 else 0.0) * known / 100.0
                    at = START.replace(minute=0) + timedelta(hours=hour)
                    cursor.execute(PRICE, (at, CASE, node, far if node == "101" else 7.0, known_at))

        def decided(reason: str, action: str, count: int = 1) -> pd.DataFrame:
            patience = time.monotonic() + 60.0
            found = pd.DataFrame()
            while len(found) < count and time.monotonic() < patience:
                time.sleep(0.1)
                found = query(owner.metadata, DECIDED, {"reason": reason, "action": action})
            return found

        with driver_cursor(owner.timeseries) as cursor:
            cursor.execute("SELECT ensure_partitions('market_prices', ARRAY[%s::date])", (DAY,))
        price(20.0, 0)
        with (
            FilePublisher(tmp_path / "told.jsonl") as told,
            open_runtime(settings, role="ingest") as ingest,
            reacting(settings, told) as reaction,
        ):
            path = record(tmp_path / "scan.jsonl", scan(START))
            serve(settings, ingest.timeseries, FileSource(path), reaction.on_committed)
            assert len(decided("timer", "fire")) == 1
            price(22.0, 100)  # by 2, and by 3 two hours ahead
            small = decided("price_revision", "suppress")
            price(28.0, 300)  # by 6, and by 8
            fired = decided("price_revision", "fire")
            folder, window = rts_gmlc.source_folder(None), Window.of_day(DAY)
            newer = SOURCES["forecast_load"].read(folder, window, CASE)
            newer["forecasted_load_mw"] *= 1.1
            newer["forecast_time"] = newer["available_at"] = START
            timeseries.write(owner.timeseries, LOAD_FORECASTS, newer)
            forecast = decided("forecast_revision", "fire")
    assert small[["hindrance", "subject", "observed"]].to_numpy().tolist()[0] == [
        "below_threshold",
        "DAY_AHEAD 101",
        3.0,
    ]
    assert fired[["subject", "observed", "limit_value"]].to_numpy().tolist() == [
        ["DAY_AHEAD 101", 8.0, 5.0]
    ]
    hours = newer.groupby("target_time")["forecasted_load_mw"].sum()
    # A tenth of what was forecast before, at the largest within the hour ahead.
    near = hours[START.replace(minute=0) - timedelta(hours=1) :].iloc[:4] / 11.0
    assert near.min() < forecast["observed"].iloc[0] < near.max()
    assert near.min() > forecast["limit_value"].iloc[0]
