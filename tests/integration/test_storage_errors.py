"""What a database that does not serve us is told like: one line, what, where, what to do."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg2
import pytest
from databases import StoreDatabases, create_database, drop_database, on_database
from declared_rows import rows_of
from sqlalchemy.engine import make_url

from data_engineering.model.errors import (
    BadInput,
    DatabaseBusy,
    DatabaseRefused,
    DatabaseUnavailable,
    DiskFull,
    LascopfError,
    MigrationFailed,
    Permanent,
    Retryable,
)
from data_engineering.model.tables import LOAD_MEASUREMENTS
from data_engineering.model.time import Window
from data_engineering.storage import embedded, timeseries
from data_engineering.storage.database import open_engine
from data_engineering.storage.metadata import query
from data_engineering.storage.migrations import SQL_FOLDER, migrate, migrations, pending

pytestmark = pytest.mark.integration

START = datetime(2020, 7, 6, tzinfo=UTC)
WINDOW = Window.of_day(START.date())


def told(url: str, role: str | None = None, statement: str = "SELECT 1 AS one") -> LascopfError:
    """The error that a query meets, by SQLAlchemy and by the driver's own cursor alike."""
    engine = open_engine(url, role)
    try:
        with pytest.raises(LascopfError) as by_engine:
            query(engine, statement)
        with pytest.raises(LascopfError) as by_driver:
            timeseries.read(engine, LOAD_MEASUREMENTS, WINDOW, case_name="x")
    finally:
        engine.dispose()
    if statement == "SELECT 1 AS one":
        assert str(by_driver.value) == str(by_engine.value)
    assert "\n" not in str(by_engine.value)
    assert "secret" not in str(by_engine.value)
    return by_engine.value


@pytest.fixture
def password_url(embedded_server: embedded.Embedded) -> Iterator[str]:
    """A login that must give its password, `right`, on the embedded server."""
    connection = psycopg2.connect(embedded_server.timeseries_url)
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute("SHOW hba_file")
    rules = Path(cursor.fetchone()[0])  # type: ignore[index]
    before = rules.read_text()
    cursor.execute("CREATE ROLE locked LOGIN PASSWORD 'right'")
    rules.write_text("local all locked scram-sha-256\n" + before)
    cursor.execute("SELECT pg_reload_conf()")
    url = make_url(embedded_server.timeseries_url).set(username="locked", password="right")
    _wait_for_reload(url.set(password="wrong").render_as_string(hide_password=False))
    yield url.render_as_string(hide_password=False)
    rules.write_text(before)
    cursor.execute("SELECT pg_reload_conf()")
    cursor.execute("DROP ROLE locked")
    connection.close()


def _wait_for_reload(wrong_url: str) -> None:
    for _ in range(200):
        try:
            psycopg2.connect(wrong_url).close()
        except psycopg2.OperationalError:
            return
    pytest.fail("the server does not take its new rules")


def test_nobody_listens(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for url in (
        f"postgresql://user:secret@127.0.0.1:{port}/db",
        f"postgresql://user:secret@/db?host={tmp_path}",
        "postgresql://user:secret@no-such-host.invalid/db",
    ):
        error = told(url)
        assert isinstance(error, DatabaseUnavailable)
        assert isinstance(error, Retryable)
        assert "/db" in str(error)


def test_nobody_answers() -> None:
    """A listener that says nothing ends our wait by its time limit."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        error = told(f"postgresql://user:secret@127.0.0.1:{port}/db?connect_timeout=2")
    assert isinstance(error, DatabaseUnavailable)


def test_wrong_credentials(password_url: str) -> None:
    right = open_engine(password_url)
    assert query(right, "SELECT current_user AS u")["u"].tolist() == ["locked"]
    right.dispose()
    for given in (":secret@", "@"):
        error = told(password_url.replace(":right@", given))
        assert isinstance(error, DatabaseRefused)
        assert isinstance(error, Permanent)
        assert "password" in str(error)


def test_missing_database_or_user(embedded_server: embedded.Embedded) -> None:
    url = embedded_server.timeseries_url
    assert isinstance(told(on_database(url, "nowhere")), DatabaseRefused)
    stranger = make_url(url).set(username="stranger").render_as_string(hide_password=False)
    assert isinstance(told(stranger), DatabaseRefused)


def test_missing_role_and_missing_membership(password_url: str) -> None:
    error = told(password_url, role="ingest")
    assert isinstance(error, DatabaseRefused)
    assert "GRANT ingest" in str(error)
    error = told(password_url, role="no_such_role")
    assert isinstance(error, DatabaseRefused)
    assert "db migrate" in str(error)


def test_before_migrations(embedded_server: embedded.Embedded) -> None:
    engine = open_engine(on_database(embedded_server.timeseries_url, "postgres"))
    with pytest.raises(DatabaseRefused, match="db migrate"):
        timeseries.read(engine, LOAD_MEASUREMENTS, WINDOW, case_name="x")
    engine.dispose()


def test_read_only_server(store_databases: StoreDatabases) -> None:
    url = store_databases.timeseries_url + "&options=-c%20default_transaction_read_only%3Don"
    engine = open_engine(url)
    with pytest.raises(DatabaseRefused, match=r"read-only.*takes writes"):
        timeseries.write(engine, LOAD_MEASUREMENTS, rows_of(LOAD_MEASUREMENTS, 3, START))
    with pytest.raises(DatabaseRefused, match="read-only"):
        migrate(open_engine(url), "metadata")
    engine.dispose()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("53100", DiskFull),
        ("53300", DatabaseBusy),
        ("25P03", DatabaseBusy),
        ("40001", DatabaseBusy),
        ("57P01", DatabaseUnavailable),
        ("25006", DatabaseRefused),
        ("42501", DatabaseRefused),
        ("XX000", DatabaseRefused),
        ("23514", BadInput),
    ],
)
def test_codes_of_the_server(
    code: str, kind: type[LascopfError], store_databases: StoreDatabases
) -> None:
    """A trigger makes the server fail in the middle of our write, with any code."""
    engine = open_engine(store_databases.timeseries_url)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION 'planted' USING ERRCODE = '{code}'; END $$; "
            "CREATE TRIGGER fail BEFORE INSERT ON load_measurements "
            "FOR EACH STATEMENT EXECUTE FUNCTION fail()"
        )
    with pytest.raises(kind, match="planted") as caught:
        timeseries.write(engine, LOAD_MEASUREMENTS, rows_of(LOAD_MEASUREMENTS, 3, START))
    assert "\n" not in str(caught.value)
    engine.dispose()


def test_writers_in_each_others_way_can_try_again(store_databases: StoreDatabases) -> None:
    """Two transactions that lock two rows in opposite order: the server ends one of them."""
    engine = open_engine(store_databases.timeseries_url)
    rows = rows_of(LOAD_MEASUREMENTS, 2, START, case_name="x")
    timeseries.write(engine, LOAD_MEASUREMENTS, rows)
    other = psycopg2.connect(store_databases.timeseries_url)
    cursor = other.cursor()
    ids = rows["load_id"].tolist()
    change = "UPDATE load_measurements SET source = %s WHERE load_id = %s"
    cursor.execute("SET deadlock_timeout = '60s'")  # so that it is the writer that notices
    cursor.execute(change, ("other", ids[1]))
    errors: list[BaseException] = []

    def write() -> None:
        try:
            timeseries.write(engine, LOAD_MEASUREMENTS, rows.assign(source="writer"))
        except LascopfError as error:
            errors.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = :name"
    while not len(query(engine, waiting, {"name": engine.url.database})):
        assert writer.is_alive()
    cursor.execute(change, ("other", ids[0]))
    other.commit()
    writer.join()
    assert [type(error) for error in errors] == [DatabaseBusy]
    assert timeseries.write(engine, LOAD_MEASUREMENTS, rows.assign(source="writer")) == 2
    other.close()
    engine.dispose()


def test_a_lost_session_can_be_tried_again(store_databases: StoreDatabases) -> None:
    engine = open_engine(store_databases.timeseries_url)
    with pytest.raises(DatabaseUnavailable):
        query(engine, "SELECT pg_terminate_backend(pg_backend_pid())")
    assert query(engine, "SELECT 1 AS one")["one"].tolist() == [1]
    engine.dispose()


@pytest.mark.parametrize(
    "url", ["", "nonsense", "mysql://host/db", "postgresql://user:secret@host:port/db"]
)
def test_unusable_urls(url: str) -> None:
    with pytest.raises(BadInput, match="database URL") as caught:
        open_engine(url)
    assert "secret" not in str(caught.value)


def write_migrations(folder: Path, *texts: str) -> None:
    (folder / "shared").mkdir(parents=True, exist_ok=True)
    (folder / "metadata").mkdir(exist_ok=True)
    roles = "shared/0001_roles.sql"
    (folder / roles).write_text((SQL_FOLDER / roles).read_text())
    for number, text in enumerate(texts, start=1):
        (folder / "metadata" / f"{number:04}_step.sql").write_text(text)


@pytest.fixture
def empty_url(embedded_server: embedded.Embedded) -> Iterator[str]:
    url = create_database(embedded_server.metadata_url)
    yield url
    drop_database(url)


def test_a_migration_that_fails_half_way_is_rolled_back(empty_url: str, tmp_path: Path) -> None:
    engine = open_engine(empty_url)
    good, bad = "CREATE TABLE good (x int);", "CREATE TABLE half (x int); SELECT 1/0;"
    write_migrations(tmp_path, good, bad)
    for _ in range(2):
        with pytest.raises(MigrationFailed, match=r"metadata/0002_step.sql.*division by zero"):
            migrate(engine, "metadata", tmp_path)
    tables = query(engine, "SELECT relname FROM pg_class WHERE relname IN ('good', 'half')")
    assert tables["relname"].tolist() == ["good"]
    assert pending(engine, "metadata", tmp_path) == ["metadata/0002_step.sql"]
    write_migrations(tmp_path, good, "CREATE TABLE half (x int);")
    assert migrate(engine, "metadata", tmp_path) == ["metadata/0002_step.sql"]
    engine.dispose()


def test_a_changed_migration_is_noticed(empty_url: str, tmp_path: Path) -> None:
    engine = open_engine(empty_url)
    write_migrations(tmp_path, "CREATE TABLE good (x int);")
    assert migrate(engine, "metadata", tmp_path) == [
        "shared/0001_roles.sql",
        "metadata/0001_step.sql",
    ]
    write_migrations(tmp_path, "CREATE TABLE good (x bigint);")
    for call in (migrate, pending):
        with pytest.raises(DatabaseRefused, match=r"metadata/0001_step.sql differs"):
            call(engine, "metadata", tmp_path)
    engine.dispose()


def test_a_newer_schema_is_refused_and_left_alone(empty_url: str, tmp_path: Path) -> None:
    engine = open_engine(empty_url)
    newer, older = tmp_path / "newer", tmp_path / "older"
    write_migrations(newer, "CREATE TABLE one (x int);", "CREATE TABLE two (x int);")
    write_migrations(older, "CREATE TABLE one (x int);")
    migrate(engine, "metadata", newer)
    for call in (migrate, pending):
        with pytest.raises(DatabaseRefused, match=r"newer.*has metadata/0002_step.sql; install"):
            call(engine, "metadata", older)
    # Forward again: the newer code finds nothing to do, and a later version brings it on.
    assert pending(engine, "metadata", newer) == []
    write_migrations(newer, *(f"CREATE TABLE {n} (x int);" for n in ("one", "two", "three")))
    assert migrate(engine, "metadata", newer) == ["metadata/0003_step.sql"]
    # What the other store applied in the same database is no newer schema.
    query(engine, "INSERT INTO schema_migrations VALUES ('timeseries/9_x.sql', '') RETURNING 1")
    assert pending(engine, "metadata", newer) == []
    engine.dispose()


def test_migrations_at_once_apply_once(empty_url: str) -> None:
    done: list[list[str]] = []

    def run() -> None:
        engine = open_engine(empty_url)
        done.append(migrate(engine, "metadata"))
        engine.dispose()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(names) for names in done) == [0, 0, 0, len(migrations("metadata"))]


def test_a_login_without_privileges_cannot_migrate(password_url: str) -> None:
    engine = open_engine(password_url)
    with pytest.raises(LascopfError, match="permission denied"):
        migrate(engine, "timeseries")
    engine.dispose()
