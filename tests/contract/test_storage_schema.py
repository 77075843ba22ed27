"""sql/ agrees with the declarations, and each role can do what it should and no more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pandas as pd
import pytest
from declared_rows import rows_of
from sqlalchemy.engine import Engine

from data_engineering.model.columns import SQL, Store, Table
from data_engineering.model.errors import DatabaseRefused
from data_engineering.model.tables import POWER_MEASUREMENTS, TABLES
from data_engineering.storage import metadata, timeseries
from data_engineering.storage.database import open_engine
from data_engineering.storage.metadata import query
from data_engineering.storage.migrations import migrate, migrations, pending

START = datetime(2020, 7, 6, tzinfo=UTC)
SERIES = sorted(
    name for name, table in TABLES.items() if table.store == "timeseries" and table.time
)
RESULTS = {
    "generator_dispatch",
    "bus_results",
    "branch_flow_results",
    "interval_results",
    "price_causes",
    "convergence_history",
}
QUALITY = {"data_quality_metrics", "rejected_rows"}
SHARED = {
    "network_topology",
    "artifacts",
    "pipeline_execution_logs",
    "reoptimization_events",
    "reoptimization_state",
}


def engine_of(table: Table, timeseries_engine: Engine, metadata_engine: Engine) -> Engine:
    return timeseries_engine if table.store == "timeseries" else metadata_engine


@pytest.mark.parametrize("name", sorted(TABLES))
def test_columns_are_as_declared(
    name: str, timeseries_engine: Engine, metadata_engine: Engine
) -> None:
    table = TABLES[name]
    found = query(
        engine_of(table, timeseries_engine, metadata_engine),
        "SELECT column_name, data_type, is_nullable FROM information_schema.columns "
        "WHERE table_schema = 'public' AND table_name = :name ORDER BY ordinal_position",
        {"name": name},
    )
    expected = [
        (c.name, SQL[c.dtype], "YES" if c.nullable and c.name not in table.generated else "NO")
        for c in table.columns
    ]
    assert list(found.itertuples(index=False, name=None)) == expected


@pytest.mark.parametrize("name", sorted(TABLES))
def test_keys_are_as_declared(
    name: str, timeseries_engine: Engine, metadata_engine: Engine
) -> None:
    table = TABLES[name]
    found = query(
        engine_of(table, timeseries_engine, metadata_engine),
        "SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid "
        "AND a.attnum = ANY (i.indkey) WHERE i.indrelid = to_regclass(:name) AND i.indisprimary "
        "ORDER BY array_position(i.indkey, a.attnum)",
        {"name": name},
    )
    assert tuple(found["attname"]) == table.key


def test_there_are_no_tables_but_the_declared_and_the_book_keeping(
    timeseries_engine: Engine, metadata_engine: Engine
) -> None:
    books: dict[Store, set[str]] = {
        "timeseries": {"schema_migrations", "timeseries_tables", "timeseries_partitions"},
        "metadata": {"schema_migrations"},
    }
    for store, engine in (("timeseries", timeseries_engine), ("metadata", metadata_engine)):
        found = query(
            engine,
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace "
            "AND relkind IN ('r', 'p') AND NOT relispartition",
        )
        declared = {table.name for table in TABLES.values() if table.store == store}
        assert set(found["relname"]) == declared | books[store]


@pytest.mark.parametrize("name", SERIES)
def test_series_are_indexed_by_element_and_newest_time(
    name: str, timeseries_engine: Engine
) -> None:
    found = query(
        timeseries_engine, "SELECT indexdef FROM pg_indexes WHERE tablename = :name", {"name": name}
    )
    table = TABLES[name]
    elements = [column for column in table.key if column.endswith("_id")]
    assert any(
        f"({elements[-1]}, {table.time} DESC)" in text.replace('"', "")
        for text in found["indexdef"]
    )


def test_applied_migrations_are_recorded_and_applied_once(
    timeseries_engine: Engine, metadata_engine: Engine
) -> None:
    for store, engine in (("timeseries", timeseries_engine), ("metadata", metadata_engine)):
        recorded = query(engine, "SELECT name, digest, applied_at FROM schema_migrations")
        files = {migration.name: migration.digest for migration in migrations(store)}
        assert dict(zip(recorded["name"], recorded["digest"], strict=True)) == files
        assert pending(engine, store) == migrate(engine, store) == []
        again = query(engine, "SELECT name, digest, applied_at FROM schema_migrations")
        pd.testing.assert_frame_equal(recorded, again)


def test_migrations_can_run_on_what_they_made(
    timeseries_engine: Engine, metadata_engine: Engine
) -> None:
    for store, engine in (("timeseries", timeseries_engine), ("metadata", metadata_engine)):
        connection = engine.raw_connection()
        try:
            with connection.cursor() as cursor:
                for migration in migrations(store):
                    if migration.as_migrator:
                        cursor.execute("SET ROLE migrator")
                    cursor.execute(migration.text)
                    cursor.execute("RESET ROLE")
        finally:
            connection.rollback()
            connection.close()


@contextmanager
def refused() -> Iterator[None]:
    with pytest.raises(DatabaseRefused, match="permission denied"):
        yield


def may(engine: Engine, role: str, table: str) -> set[str]:
    """What a role may do to a table, as the server sees it."""
    rights = ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"]
    found = query(
        engine,
        "SELECT r FROM unnest(CAST(:rights AS text[])) AS r "
        "WHERE has_table_privilege(:role, to_regclass(:table), r)",
        {"rights": rights, "role": role, "table": table},
    )
    return set(found["r"])


READ, WRITE, REWRITE = (
    {"SELECT"},
    {"SELECT", "INSERT", "UPDATE"},
    {"SELECT", "INSERT", "UPDATE", "DELETE"},
)


@pytest.mark.parametrize("name", sorted(TABLES))
def test_least_privilege(name: str, timeseries_engine: Engine, metadata_engine: Engine) -> None:
    table = TABLES[name]
    engine = engine_of(table, timeseries_engine, metadata_engine)
    ingest = optimizer = READ
    if table.store == "timeseries":
        ingest = WRITE
    elif name in QUALITY:
        ingest = REWRITE
    elif name in SHARED:
        ingest = optimizer = WRITE
    elif name == "contingencies":
        ingest = optimizer = REWRITE
    elif name == "lascopf_executions":
        optimizer = WRITE
    elif name in RESULTS:
        optimizer = REWRITE
    assert may(engine, "ingest", name) == ingest
    assert may(engine, "optimizer", name) == optimizer
    assert may(engine, "api_ro", name) == may(engine, "grafana_ro", name) == READ


@pytest.mark.parametrize(
    ("store", "views"),
    [
        ("timeseries", ["power_measurements_hourly", "generator_daily_stats"]),
        (
            "metadata",
            [
                "lascopf_results",
                "v_latest_executions",
                "v_generator_dispatch_summary",
                "v_lmp_statistics",
            ],
        ),
    ],
)
def test_readers_read_the_views_and_write_nothing(
    store: Store, views: list[str], timeseries_url: str, metadata_url: str
) -> None:
    url = timeseries_url if store == "timeseries" else metadata_url
    for role in ("api_ro", "grafana_ro"):
        engine = open_engine(url, role)
        for view in views:
            assert list(query(engine, f"SELECT * FROM {view} LIMIT 0").columns)
        with refused():
            query(engine, "CREATE TABLE mine (x int)")
        with refused():
            query(engine, "CREATE TEMPORARY TABLE mine AS SELECT 1")
        engine.dispose()


def test_roles_write_what_is_theirs_and_are_refused_the_rest(
    timeseries_url: str, metadata_url: str
) -> None:
    rows = rows_of(POWER_MEASUREMENTS, 5, START, case_name="roles")
    engines = {
        (role, url): open_engine(url, role)
        for role in ("ingest", "optimizer", "api_ro")
        for url in (timeseries_url, metadata_url)
    }
    assert timeseries.write(engines["ingest", timeseries_url], POWER_MEASUREMENTS, rows) == 5
    for role in ("optimizer", "api_ro"):
        with refused():
            timeseries.write(engines[role, timeseries_url], POWER_MEASUREMENTS, rows)
    with refused():
        timeseries.drop_expired(engines["ingest", timeseries_url])
    checks = rows_of(TABLES["data_quality_metrics"], 3, START, case_name="roles")
    case = {"case_name": "roles"}
    table = TABLES["data_quality_metrics"]
    assert metadata.replace_batch(engines["ingest", metadata_url], table, checks, case) == 3
    for role in ("optimizer", "api_ro"):
        with refused():
            metadata.replace_batch(engines[role, metadata_url], table, checks, case)
    for engine in engines.values():
        engine.dispose()


def test_roles_cannot_log_in(timeseries_engine: Engine) -> None:
    found = query(
        timeseries_engine,
        "SELECT rolname, rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls AS mighty, "
        "rolcanlogin FROM pg_roles "
        "WHERE rolname IN ('migrator', 'ingest', 'optimizer', 'api_ro', 'grafana_ro')",
    )
    assert len(found) == 5
    assert not found["mighty"].any()
    community = query(timeseries_engine, "SELECT has_timescaledb_community() AS it")["it"][0]
    # TimescaleDB's jobs run as the owner of a hypertable, which must then be able to log in.
    assert set(found.loc[found["rolcanlogin"], "rolname"]) == ({"migrator"} if community else set())
