"""Logins and databases of a deployment, on an embedded server."""

from __future__ import annotations

import secrets

import psycopg2
import pytest
from databases import StoreDatabases, drop_database, on_database

from data_engineering.model.errors import BadInput
from data_engineering.storage.database import open_engine
from data_engineering.storage.logins import Login, close_database, ensure_database, ensure_login
from data_engineering.storage.metadata import query

pytestmark = pytest.mark.integration

HASH = "SELECT rolpassword AS hash FROM pg_authid WHERE rolname = :name"
MEMBER = "SELECT pg_has_role(:name, 'ingest', 'MEMBER') AS it"


def test_a_login_is_made_once_and_takes_a_new_password(store_databases: StoreDatabases) -> None:
    engine = open_engine(store_databases.metadata_url)
    name = f"login_{secrets.token_hex(4)}"
    try:
        assert ensure_login(engine, Login(name, "the-first-password", ("ingest",)))
        first = query(engine, HASH, {"name": name})["hash"][0]
        assert first.startswith("SCRAM-SHA-256$")
        assert not ensure_login(engine, Login(name, "the-second-password", ("ingest",)))
        assert query(engine, HASH, {"name": name})["hash"][0] != first
        assert query(engine, MEMBER, {"name": name})["it"][0]
        with pytest.raises(BadInput, match="nobody"):
            ensure_login(engine, Login(name, "the-second-password", ("nobody",)))
    finally:
        with engine.begin() as session:
            session.exec_driver_sql(f"DROP ROLE IF EXISTS {name}")
        engine.dispose()


def test_a_database_is_its_owners_alone(store_databases: StoreDatabases) -> None:
    engine = open_engine(store_databases.metadata_url)
    names = [f"login_{secrets.token_hex(4)}" for _ in range(2)]
    database = f"owned_{secrets.token_hex(4)}"
    url = on_database(store_databases.metadata_url, database)
    try:
        for name in names:
            ensure_login(engine, Login(name, "a-password-of-this-test", ("ingest",)))
        assert ensure_database(engine, database, names[0])
        assert not ensure_database(engine, database, names[0])
        for name, may in zip(names, (True, False), strict=True):
            found = query(
                engine,
                "SELECT has_database_privilege(:name, :database, 'CONNECT') AS it",
                {"name": name, "database": database},
            )
            assert found["it"][0] == may
        encoding = "SELECT pg_encoding_to_char(encoding) AS it FROM pg_database WHERE datname = :d"
        assert query(engine, encoding, {"d": database})["it"][0] == "UTF8"
    finally:
        drop_database(url)
        with engine.begin() as session:
            for name in names:
                session.exec_driver_sql(f"DROP ROLE IF EXISTS {name}")
        engine.dispose()


def test_a_closed_database_lets_members_in_and_nobody_else(store_databases: StoreDatabases) -> None:
    engine = open_engine(store_databases.metadata_url)
    member, stranger = (f"login_{secrets.token_hex(4)}" for _ in range(2))
    try:
        ensure_login(engine, Login(member, "a-password-of-this-test", ("api_ro",)))
        ensure_login(engine, Login(stranger, "a-password-of-this-test"))
        close_database(engine, ("ingest", "api_ro"))
        url = engine.url.set(drivername="postgresql")
        psycopg2.connect(url.set(username=member).render_as_string(hide_password=False)).close()
        with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
            psycopg2.connect(url.set(username=stranger).render_as_string(hide_password=False))
    finally:
        with engine.begin() as session:
            name = engine.url.database
            session.exec_driver_sql(f"REVOKE CONNECT ON DATABASE {name} FROM ingest, api_ro")
            for login in (member, stranger):
                session.exec_driver_sql(f"DROP ROLE IF EXISTS {login}")
        engine.dispose()
