"""What only TimescaleDB has, on databases made on the server LASCOPF_TEST_TIMESCALEDB_URL."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import psycopg2
import pyarrow as pa
import pytest
import sqlalchemy as sa
from databases import create_database, drop_database, migrate_url
from declared_rows import rows_of
from sqlalchemy.engine import Engine
from stream_feed import AT_ONCE, CASE, RULES, encoded, reading

from data_engineering.ingestion.stream_messages import parse
from data_engineering.model.stream import POWER_TOPIC, RawMessage
from data_engineering.model.tables import POWER_MEASUREMENTS, TABLES
from data_engineering.model.time import Window
from data_engineering.storage import timeseries
from data_engineering.storage.database import open_engine
from data_engineering.storage.metadata import query
from data_engineering.storage.migrations import SQL_FOLDER
from data_engineering.storage.stream_sink import Sink

pytestmark = pytest.mark.services

SERIES = {table.name for table in TABLES.values() if table.store == "timeseries" and table.time}
START = datetime(2020, 7, 6, tzinfo=UTC)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    name = "LASCOPF_TEST_TIMESCALEDB_URL"
    if name not in os.environ:
        pytest.skip(f"{name} is not set")
    url = create_database(os.environ[name])
    migrate_url(url, "timeseries")
    engine = open_engine(url)
    yield engine
    engine.dispose()
    drop_database(url)


@pytest.fixture(scope="module")
def community(engine: Engine) -> bool:
    return bool(query(engine, "SELECT has_timescaledb_community() AS it")["it"][0])


def test_every_series_is_a_hypertable_of_days(engine: Engine) -> None:
    found = query(
        engine,
        "SELECT hypertable_name, column_name, time_interval "
        "FROM timescaledb_information.dimensions",
    )
    assert set(found["hypertable_name"]) == SERIES
    assert set(found["time_interval"]) == {timedelta(days=1)}
    columns = dict(zip(found["hypertable_name"], found["column_name"], strict=True))
    assert columns == {name: TABLES[name].time for name in SERIES}


def test_a_window_reads_its_own_chunks_only(engine: Engine) -> None:
    timeseries.write(engine, POWER_MEASUREMENTS, rows_of(POWER_MEASUREMENTS, 1000, START))
    day = Window.of_day(START.date())
    plan = query(
        engine,
        "EXPLAIN SELECT * FROM power_measurements WHERE time >= :start AND time < :end",
        {"start": day.start, "end": day.end},
    )
    text = "\n".join(plan.iloc[:, 0])
    assert text.count("_chunk") > 0
    assert len({word for word in text.split() if word.endswith("_chunk")}) == 1


def test_policies_are_there_where_the_edition_has_them(engine: Engine, community: bool) -> None:
    jobs = query(
        engine,
        "SELECT proc_name, hypertable_name, config FROM timescaledb_information.jobs "
        "WHERE proc_name IN ('policy_compression', 'policy_retention', "
        "'policy_refresh_continuous_aggregate')",
    )
    if not community:
        assert len(jobs) == 0
        return
    kinds = jobs.groupby("proc_name")["hypertable_name"].agg(set)
    assert kinds["policy_compression"] == kinds["policy_retention"] == SERIES
    assert len(kinds["policy_refresh_continuous_aggregate"]) == 2
    for job in jobs.itertuples():
        forecast = "forecast" in job.hypertable_name
        if job.proc_name == "policy_retention":
            assert job.config["drop_created_before"] == ("30 days" if forecast else "90 days")
        if job.proc_name == "policy_compression":
            assert job.config["compress_created_before"] == ("3 days" if forecast else "7 days")


def test_summaries_are_continuous_aggregates_where_the_edition_has_them(
    engine: Engine, community: bool
) -> None:
    found = query(engine, "SELECT view_name FROM timescaledb_information.continuous_aggregates")
    both = {"power_measurements_hourly", "generator_daily_stats"}
    assert set(found["view_name"]) == (both if community else set())


GUARDED = {
    "columnstore": "ALTER TABLE load_forecasts SET (timescaledb.compress, "
    "timescaledb.compress_segmentby = 'case_name, load_id', "
    "timescaledb.compress_orderby = 'target_time, forecast_time')",
    "compression": "SELECT add_compression_policy('load_forecasts'::regclass, "
    "compress_created_before => INTERVAL '3 days', if_not_exists => true)",
    "retention": "SELECT add_retention_policy('load_forecasts'::regclass, "
    "drop_created_before => INTERVAL '30 days', if_not_exists => true)",
    "aggregate": (SQL_FOLDER / "timeseries" / "0003_aggregates.sql")
    .read_text()
    .replace("IF has_timescaledb_community() THEN", "IF true THEN"),
    "refresh": "SELECT add_continuous_aggregate_policy('load_forecasts', start_offset => NULL, "
    "end_offset => INTERVAL '1 hour', schedule_interval => INTERVAL '10 minutes', "
    "if_not_exists => true)",
}


@pytest.mark.parametrize("name", GUARDED)
def test_the_apache_edition_knows_what_it_may_not_do(
    name: str, engine: Engine, community: bool
) -> None:
    """Statements and argument names are right as far as this edition tells: its licence refuses.

    A function or an argument that there is not would be code 42883 or 42601.
    """
    if community:
        pytest.skip("on this edition the migrations themselves run them")
    connection = engine.raw_connection()
    try:
        with connection.cursor() as cursor:
            cursor.execute("DROP VIEW power_measurements_hourly, generator_daily_stats")
            with pytest.raises(
                psycopg2.Error, match='under the current "apache" license'
            ) as caught:
                cursor.execute(GUARDED[name])
        assert caught.value.pgcode == "0A000"
    finally:
        connection.rollback()
        connection.close()


def test_late_rows_go_into_compressed_days(engine: Engine, community: bool) -> None:
    """A late scan may touch more compressed rows than one transaction of theirs usually may."""
    if not community:
        pytest.skip("the Apache edition has no columnstore")
    name = query(engine, "SELECT quote_ident(current_database()) AS it")["it"][0]
    limit = f"ALTER DATABASE {name} SET timescaledb.max_tuples_decompressed_per_dml_transaction"
    count = 3 * AT_ONCE
    sink = Sink(engine, "late", "tester")
    sink.add(_rows(count), (), (), {})
    with engine.begin() as connection:
        connection.execute(
            sa.text("SELECT compress_chunk(c) FROM show_chunks(:name) AS c"),
            {"name": "power_measurements"},
        )
        connection.execute(sa.text(f"{limit} = 10"))
    engine.dispose()  # new sessions have the limit
    sink.add(_rows(count, active_power=-1.0, available_at="2020-07-07T00:00:00+00:00"), (), (), {})
    found = query(
        engine,
        "SELECT active_power FROM power_measurements WHERE case_name = :case",
        {"case": CASE},
    )
    assert found["active_power"].tolist() == [-1.0] * count


def _rows(count: int, **changes: object) -> Mapping[str, pa.Table]:
    """The rows of the first readings of a feed."""
    texts = encoded([reading(number, **changes) for number in range(count)])
    messages = [
        RawMessage(POWER_TOPIC, 0, number, 1_600_000_000_000, None, text)
        for number, text in enumerate(texts)
    ]
    return parse(messages, RULES).rows
