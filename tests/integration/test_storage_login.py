"""A login that is no superuser: it owns two databases and may make roles, as on a rented server."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg2
import pytest
from databases import on_database
from declared_rows import rows_of
from sqlalchemy.engine import make_url

from data_engineering.model.errors import DatabaseRefused
from data_engineering.model.tables import LOAD_MEASUREMENTS
from data_engineering.storage import embedded, timeseries
from data_engineering.storage.database import open_engine
from data_engineering.storage.metadata import query
from data_engineering.storage.migrations import migrate

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("major", [16, 18])
def test_an_owner_of_databases_can_migrate_and_lend_its_roles(major: int) -> None:
    with tempfile.TemporaryDirectory(prefix="lascopf-test-") as folder:
        server = embedded.start(Path(folder), major=major).timeseries_url
        try:
            connection = psycopg2.connect(server)
            connection.autocommit = True
            cursor = connection.cursor()
            cursor.execute("CREATE ROLE owner LOGIN CREATEROLE")
            cursor.execute("CREATE ROLE worker LOGIN")
            for name in ("series", "facts"):
                cursor.execute(f"CREATE DATABASE {name} OWNER owner")
            check(server, cursor)
            connection.close()
        finally:
            embedded.stop(Path(folder))


def check(server: str, cursor: psycopg2.extensions.cursor) -> None:
    def url(login: str, database: str) -> str:
        parsed = make_url(on_database(server, database)).set(username=login)
        return parsed.render_as_string(hide_password=False)

    for database, store in (("series", "timeseries"), ("facts", "metadata")):
        engine = open_engine(url("owner", database))
        assert migrate(engine, store)  # type: ignore[arg-type]
        assert migrate(engine, store) == []  # type: ignore[arg-type]
        engine.dispose()
    rows = rows_of(LOAD_MEASUREMENTS, 300, datetime(2020, 7, 6, tzinfo=UTC))
    ingest = open_engine(url("owner", "series"), "ingest")
    assert timeseries.write(ingest, LOAD_MEASUREMENTS, rows) == 300
    ingest.dispose()
    migrator = open_engine(url("owner", "series"), "migrator")
    later = datetime.now(UTC) + timedelta(days=100)
    assert len(timeseries.drop_expired(migrator, later)) == 2  # 300 times 7 minutes are two days
    migrator.dispose()

    # A worker's login has nothing until it is lent a role, and then that role's privileges only.
    worker = open_engine(url("worker", "series"))
    with pytest.raises(DatabaseRefused, match="permission denied"):
        query(worker, "SELECT * FROM load_measurements")
    cursor.execute("GRANT api_ro TO worker")
    assert len(query(worker, "SELECT * FROM load_measurements")) == 0
    with pytest.raises(DatabaseRefused, match="permission denied"):
        timeseries.write(worker, LOAD_MEASUREMENTS, rows)
    worker.dispose()
