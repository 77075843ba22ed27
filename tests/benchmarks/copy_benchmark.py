"""Rows per second of our bulk write against psycopg2's `execute_values`, in one run.

    python tests/benchmarks/copy_benchmark.py [ROWS]

Both upsert the same readings into `power_measurements` of an embedded PostgreSQL, from the same
frame, into days that are empty; the median of five rounds by turns is told, and the ratio.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from psycopg2.extras import execute_values
from sqlalchemy.engine import Engine

from data_engineering.model.tables import POWER_MEASUREMENTS
from data_engineering.storage import embedded, timeseries
from data_engineering.storage.database import driver_cursor, open_engine
from data_engineering.storage.migrations import migrate

UNITS, ROUNDS = 158, 5


def readings(count: int) -> pd.DataFrame:
    """Five-minute readings of 158 units, as SCADA gives them."""
    steps = -(-count // UNITS)
    times = pd.date_range("2020-07-06", periods=steps, freq="5min", tz="UTC").repeat(UNITS)[:count]
    units = np.resize([f"{100 + unit}_STEAM_{unit % 4}" for unit in range(UNITS)], count)
    rng = np.random.default_rng(0)
    columns = {
        "time": times,
        "case_name": "rts_gmlc",
        "generator_id": units,
        "bus_id": pd.Series(units).str[:3],
        "active_power": rng.uniform(0.0, 400.0, count),
        "reactive_power": rng.normal(0.0, 50.0, count),
        "voltage_magnitude": rng.normal(1.0, 0.02, count),
        "voltage_angle": rng.normal(0.0, 10.0, count),
        "power_factor": rng.uniform(-1.0, 1.0, count),
        "frequency_hz": rng.normal(60.0, 0.02, count),
        "measurement_quality": 0,
        "source": "scada_generation",
        "available_at": times + pd.Timedelta(minutes=5),
    }
    return pd.DataFrame(columns)


def by_copy(engine: Engine, frame: pd.DataFrame) -> None:
    timeseries.write(engine, POWER_MEASUREMENTS, frame)


def by_execute_values(engine: Engine, frame: pd.DataFrame) -> None:
    names = [column.name for column in POWER_MEASUREMENTS.written]
    key = POWER_MEASUREMENTS.key
    changes = ", ".join(f"{name} = EXCLUDED.{name}" for name in names if name not in key)
    statement = (
        f"INSERT INTO power_measurements ({', '.join(names)}) VALUES %s "
        f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes}"
    )
    with driver_cursor(engine) as cursor:
        rows = list(frame[names].itertuples(index=False, name=None))
        execute_values(cursor, statement, rows, page_size=1000)


def seconds(
    write: Callable[[Engine, pd.DataFrame], None], engine: Engine, frame: pd.DataFrame
) -> float:
    with driver_cursor(engine) as cursor:
        cursor.execute("TRUNCATE power_measurements")
    begin = time.perf_counter()
    write(engine, frame)
    return time.perf_counter() - begin


def main(count: int) -> None:
    frame = readings(count)
    with tempfile.TemporaryDirectory(prefix="lascopf-benchmark-") as folder:
        engine = open_engine(embedded.start(Path(folder)).timeseries_url)
        try:
            migrate(engine, "timeseries")
            by_copy(engine, frame)  # makes the days, for both
            rounds = [
                (seconds(by_copy, engine, frame), seconds(by_execute_values, engine, frame))
                for _ in range(ROUNDS)
            ]
        finally:
            engine.dispose()
            embedded.stop(Path(folder))
    copy, values = (statistics.median(times) for times in zip(*rounds, strict=True))
    print(f"{count} rows, median of {ROUNDS} rounds")
    print(f"binary COPY and upsert  {count / copy:10,.0f} rows/s  {copy:7.2f} s")
    print(f"execute_values          {count / values:10,.0f} rows/s  {values:7.2f} s")
    print(f"ratio                   {values / copy:10.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)
