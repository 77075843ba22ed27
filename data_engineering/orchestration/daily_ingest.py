"""The daily ingest: raw bytes, checked rows, core tables, one day at a time.

Every function takes the day and rewrites the same objects and rows when it runs again.
"""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime, timedelta

import pandas as pd

from data_engineering.ingestion import rts_gmlc
from data_engineering.ingestion.sources import SOURCES, Source
from data_engineering.model.columns import Table
from data_engineering.model.errors import BadInput, ChecksFailed, ObjectStoreFailed
from data_engineering.model.tables import (
    CONTINGENCIES,
    DATA_QUALITY_METRICS,
    GENERATOR_MEASUREMENTS,
    LOAD_FORECASTS,
    LOAD_MEASUREMENTS,
    POWER_MEASUREMENTS,
    REJECTED_ROWS,
    RENEWABLE_FORECASTS,
    TABLES,
)
from data_engineering.model.time import Window
from data_engineering.orchestration.steps import Facts, Progress
from data_engineering.runtime import Runtime
from data_engineering.storage import metadata, timeseries

log = logging.getLogger(__name__)

ROLE = "ingest"
