"""The contract of the time-series store, on every server."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from declared_rows import rows_of
from sqlalchemy.engine import Engine

from data_engineering.model.columns import Table
from data_engineering.model.errors import BadInput
from data_engineering.model.tables import (
    CONTINGENCIES,
    GENERATOR_MEASUREMENTS,
    LOAD_MEASUREMENTS,
    POWER_MEASUREMENTS,
    RENEWABLE_FORECASTS,
    TABLES,
    WEATHER_OBSERVATIONS,
)
from data_engineering.model.time import Window
from data_engineering.storage import timeseries
from data_engineering.storage.database import open_engine
from data_engineering.storage.metadata import query

DAY = date(2020, 7, 6)
START = datetime(2020, 7, 6, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SERIES = [table for table in TABLES.values() if table.store == "timeseries" and table.time]


@pytest.fixture(scope="module")
def engine(timeseries_url: str) -> Iterator[Engine]:
    """As the ingesting tasks are: with the privileges of that role only."""
    engine = open_engine(timeseries_url, "ingest")
    yield engine
    engine.dispose()


def sorted_as_read(table: Table, frame: pd.DataFrame) -> pd.DataFrame:
    """The frame as `read` must give it: declared order and types, sorted by key by code point."""
    frame = frame.loc[:, list(table.names)].sort_values(list(table.key), ignore_index=True)
    for column in table.columns:
        if column.dtype == "timestamp":
            frame[column.name] = frame[column.name].astype("datetime64[ns, UTC]")
        if column.dtype == "float":
            frame[column.name] = frame[column.name].astype("float64")
    return frame


def count(engine: Engine, statement: str, **parameters: Any) -> int:
    return int(query(engine, statement, parameters).iloc[0, 0])


@pytest.mark.parametrize("table", SERIES, ids=lambda table: table.name)
def test_what_is_written_is_read(table: Table, engine: Engine) -> None:
    rows = rows_of(table, 500, START, case_name="round trip")  # 500 times 7 minutes are 3 days
    assert timeseries.write(engine, table, rows) == 500
    read = timeseries.read(engine, table, Window.of_day(DAY, 3), case_name="round trip")
    pd.testing.assert_frame_equal(read, sorted_as_read(table, rows), check_exact=True)


def test_writing_again_changes_nothing(engine: Engine) -> None:
    rows = rows_of(POWER_MEASUREMENTS, 100, START, case_name="again")
    timeseries.write(engine, POWER_MEASUREMENTS, rows)
    # xmin tells which transaction wrote a row version: it must not move.
    versions = "SELECT generator_id, xmin::text FROM power_measurements WHERE case_name = 'again'"
    before = query(engine, versions + " ORDER BY 1")
    assert timeseries.write(engine, POWER_MEASUREMENTS, rows.sample(frac=1, random_state=1)) == 100
    pd.testing.assert_frame_equal(query(engine, versions + " ORDER BY 1"), before)


def test_a_known_key_is_replaced_and_others_stay(engine: Engine) -> None:
    rows = rows_of(LOAD_MEASUREMENTS, 10, START, case_name="replace")
    timeseries.write(engine, LOAD_MEASUREMENTS, rows)
    changed = rows.iloc[[3]].assign(active_power_mw=42.0, forecast_mw=None)
    timeseries.write(engine, LOAD_MEASUREMENTS, changed)
    read = timeseries.read(engine, LOAD_MEASUREMENTS, Window.of_day(DAY), case_name="replace")
    expected = rows.copy()
    expected.loc[3, ["active_power_mw", "forecast_mw"]] = [42.0, None]
    pd.testing.assert_frame_equal(read, sorted_as_read(LOAD_MEASUREMENTS, expected))


def test_the_last_of_equal_keys_in_a_frame_stands(engine: Engine) -> None:
    row = rows_of(LOAD_MEASUREMENTS, 1, START, case_name="twice")
    both = pd.concat([row.assign(active_power_mw=1.0), row.assign(active_power_mw=2.0)])
    assert timeseries.write(engine, LOAD_MEASUREMENTS, both) == 1
    read = timeseries.read(engine, LOAD_MEASUREMENTS, Window.of_day(DAY), case_name="twice")
    assert read["active_power_mw"].tolist() == [2.0]


def test_windows_are_half_open(engine: Engine) -> None:
    rows = rows_of(LOAD_MEASUREMENTS, 10, START, case_name="window")
    timeseries.write(engine, LOAD_MEASUREMENTS, rows)
    window = Window(START + 7 * MINUTE, START + 21 * MINUTE)
    read = timeseries.read(engine, LOAD_MEASUREMENTS, window, case_name="window")
    assert read["time"].tolist() == [START + 7 * MINUTE, START + 14 * MINUTE]


def test_forecasts_are_read_by_their_target(engine: Engine) -> None:
    rows = rows_of(RENEWABLE_FORECASTS, 4, START, case_name="target")
    rows["forecast_time"] = [START - timedelta(hours=12)] * 4
    timeseries.write(engine, RENEWABLE_FORECASTS, rows)
    read = timeseries.read(engine, RENEWABLE_FORECASTS, Window.of_day(DAY), case_name="target")
    assert len(read) == 4


def test_what_was_not_known_yet_is_not_read(engine: Engine) -> None:
    rows = rows_of(LOAD_MEASUREMENTS, 10, START, case_name="known")
    rows["available_at"] = rows["time"] + 5 * MINUTE
    timeseries.write(engine, LOAD_MEASUREMENTS, rows)
    known = {
        minutes: len(
            timeseries.read(
                engine,
                LOAD_MEASUREMENTS,
                Window.of_day(DAY),
                case_name="known",
                as_of=START + minutes * MINUTE,
            )
        )
        for minutes in (4, 5, 11, 12, 1000)
    }
    assert known == {4: 0, 5: 1, 11: 1, 12: 2, 1000: 10}


def test_cases_do_not_meet(engine: Engine) -> None:
    rows = rows_of(LOAD_MEASUREMENTS, 10, START, case_name="one")
    timeseries.write(engine, LOAD_MEASUREMENTS, rows)
    timeseries.write(engine, LOAD_MEASUREMENTS, rows.assign(case_name="two", active_power_mw=7.0))
    one = timeseries.read(engine, LOAD_MEASUREMENTS, Window.of_day(DAY), case_name="one")
    pd.testing.assert_frame_equal(one, sorted_as_read(LOAD_MEASUREMENTS, rows))


def test_nothing_to_read_has_the_columns(engine: Engine) -> None:
    read = timeseries.read(engine, LOAD_MEASUREMENTS, Window.of_day(DAY), case_name="nobody")
    assert list(read.columns) == list(LOAD_MEASUREMENTS.names)
    assert len(read) == 0
    assert str(read["time"].dtype) == "datetime64[ns, UTC]"
    assert read["active_power_mw"].dtype == "float64"


def test_no_rows_are_written_as_none(engine: Engine) -> None:
    nothing = rows_of(LOAD_MEASUREMENTS, 1, START).iloc[:0]
    assert timeseries.write(engine, LOAD_MEASUREMENTS, nothing) == 0


def test_a_row_that_breaks_a_constraint_lets_none_in(engine: Engine) -> None:
    rows = rows_of(POWER_MEASUREMENTS, 10, START, case_name="constraint")
    rows.loc[7, "measurement_quality"] = 9
    with pytest.raises(BadInput, match="measurement_quality"):
        timeseries.write(engine, POWER_MEASUREMENTS, rows)
    read = timeseries.read(engine, POWER_MEASUREMENTS, Window.of_day(DAY), case_name="constraint")
    assert len(read) == 0


def test_other_stores_tables_are_refused(engine: Engine) -> None:
    with pytest.raises(BadInput, match="contingencies"):
        timeseries.write(engine, CONTINGENCIES, rows_of(CONTINGENCIES, 1, START))


def partitions(engine: Engine, name: str) -> list[tuple[str, int]]:
    """Children of a series table, chunks or partitions, with their row counts."""
    found = query(
        engine,
        "SELECT inhrelid::regclass::text AS child FROM pg_inherits "
        "WHERE inhparent = to_regclass(:name) ORDER BY inhrelid",
        {"name": name},
    )
    return [(child, count(engine, f"SELECT count(*) FROM {child}")) for child in found["child"]]


def test_each_day_is_a_part_of_its_own(timeseries_engine: Engine, engine: Engine) -> None:
    # Far from the other tests' days; the days between the two are not made.
    rows = rows_of(GENERATOR_MEASUREMENTS, 2, datetime(2031, 1, 1, 23, 55, tzinfo=UTC))
    late = rows_of(GENERATOR_MEASUREMENTS, 1, datetime(2031, 3, 1, tzinfo=UTC))
    before = {child for child, _ in partitions(timeseries_engine, "generator_measurements")}
    timeseries.write(engine, GENERATOR_MEASUREMENTS, pd.concat([rows, late]))
    parts = partitions(timeseries_engine, "generator_measurements")
    assert [rows for child, rows in parts if child not in before] == [1, 1, 1]


def test_writers_at_once_make_their_days_together(engine: Engine) -> None:
    start = datetime(2032, 1, 1, tzinfo=UTC)
    frames = [rows_of(LOAD_MEASUREMENTS, 1000, start, case_name=f"at once {n}") for n in range(4)]
    with ThreadPoolExecutor(4) as pool:
        written = list(
            pool.map(lambda rows: timeseries.write(engine, LOAD_MEASUREMENTS, rows), frames)
        )
    assert written == [1000] * 4
    for number in range(4):
        read = timeseries.read(
            engine, LOAD_MEASUREMENTS, Window.of_day(start.date(), 9), case_name=f"at once {number}"
        )
        assert len(read) == 1000


def test_a_reader_does_not_keep_a_new_day_waiting(
    engine: Engine, timeseries_engine: Engine
) -> None:
    with timeseries_engine.connect() as reader, timeseries_engine.begin() as settings:
        reader.exec_driver_sql("SELECT count(*) FROM weather_observations")  # and stays open
        name = timeseries_engine.url.database
        settings.exec_driver_sql(f"ALTER DATABASE \"{name}\" SET lock_timeout = '5s'")
        settings.commit()
        impatient = open_engine(engine.url.render_as_string(hide_password=False), "ingest")
        try:
            rows = rows_of(WEATHER_OBSERVATIONS, 1, datetime(2033, 1, 1, tzinfo=UTC))
            assert timeseries.write(impatient, WEATHER_OBSERVATIONS, rows) == 1
        finally:
            impatient.dispose()


def test_hourly_summary_is_what_pandas_says(engine: Engine) -> None:
    rows = rows_of(POWER_MEASUREMENTS, 60, START, case_name="hourly", bus_id="b1")
    timeseries.write(engine, POWER_MEASUREMENTS, rows)
    found = query(
        engine,
        "SELECT bucket, avg_active_power, min_active_power, max_active_power, "
        "avg_voltage_magnitude, measurement_count FROM power_measurements_hourly "
        "WHERE case_name = 'hourly' AND bus_id = 'b1' ORDER BY bucket",
    )
    hours = rows.groupby(rows["time"].dt.floor("h"))
    expected = pd.DataFrame(
        {
            "avg_active_power": hours["active_power"].mean(),
            "min_active_power": hours["active_power"].min(),
            "max_active_power": hours["active_power"].max(),
            "avg_voltage_magnitude": hours["voltage_magnitude"].mean(),
            "measurement_count": hours.size(),
        }
    ).reset_index(names="bucket")
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-12)


def test_daily_summary_has_the_energy(engine: Engine) -> None:
    rows = rows_of(GENERATOR_MEASUREMENTS, 2, START, case_name="daily")
    rows["time"] = [START, START + 5 * MINUTE]
    for name, value in (("generator_id", "g"), ("generator_type", "CT")):
        rows[name] = value
    rows["active_power_mw"] = [60.0, 120.0]
    timeseries.write(engine, GENERATOR_MEASUREMENTS, rows)
    found = query(engine, "SELECT * FROM generator_daily_stats WHERE case_name = 'daily'")
    assert len(found) == 1
    day = found.iloc[0]
    assert (day["day"], day["generator_id"], day["measurement_count"]) == (START, "g", 2)
    assert (day["avg_active_power_mw"], day["peak_active_power_mw"]) == (90.0, 120.0)
    assert day["energy_mwh"] == pytest.approx(60 / 12 + 120 / 12, rel=1e-12)


def test_expired_days_go_and_others_stay(timeseries_url: str) -> None:
    """Ages count from a day's end or its writing, whichever is later; 90 days, forecasts 30."""
    migrator = open_engine(timeseries_url, "migrator")
    ingest = open_engine(timeseries_url, "ingest")
    now = datetime.now(UTC)
    old, new = now - timedelta(days=4000), now + timedelta(days=3)
    for table in (POWER_MEASUREMENTS, RENEWABLE_FORECASTS):
        for start in (old, new):
            timeseries.write(ingest, table, rows_of(table, 1, start, case_name="expiry"))

    def left() -> list[int]:
        return [
            count(ingest, f"SELECT count(*) FROM {table.name} WHERE case_name = 'expiry'")
            for table in (POWER_MEASUREMENTS, RENEWABLE_FORECASTS)
        ]

    assert timeseries.drop_expired(migrator) == []  # the old day was written just now
    assert left() == [2, 2]
    dropped = timeseries.drop_expired(migrator, now + timedelta(days=31))
    assert any("renewable" in name or "chunk" in name for name in dropped)
    plain = not query(ingest, "SELECT has_timescaledb() AS it")["it"][0]
    # TimescaleDB counts a chunk's age from its writing only, so the day to come goes as well.
    assert left() == ([2, 1] if plain else [2, 0])
    timeseries.drop_expired(migrator, now + timedelta(days=91))
    assert left() == ([1, 0] if plain else [0, 0])
    migrator.dispose()
    ingest.dispose()
