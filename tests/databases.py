"""Databases that tests make, migrate and drop on a server."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

from data_engineering.model.columns import Store
from data_engineering.storage.database import open_engine
from data_engineering.storage.migrations import migrate

_numbers = itertools.count(1)


@dataclass(frozen=True)
class StoreDatabases:
    """URLs of two migrated, empty databases."""

    timeseries_url: str
    metadata_url: str


def on_database(url: str, name: str) -> str:
    """The same server, another database."""
    return make_url(url).set(database=name).render_as_string(hide_password=False)


def _driven(url: str) -> URL:
    return make_url(url).set(drivername="postgresql+psycopg2")


def create_database(url: str, template: str = "template0") -> str:
    """A new database on the server of `url`; its URL."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    engine = sa.create_engine(_driven(url), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        # Some servers' own encoding is SQL_ASCII, which cannot hold all of jsonb.
        encoding = "ENCODING 'UTF8'" if template == "template0" else ""
        connection.execute(sa.text(f'CREATE DATABASE "{name}" TEMPLATE "{template}" {encoding}'))
    engine.dispose()
    return on_database(url, name)


def drop_database(url: str) -> None:
    """Drop a database that `create_database` made."""
    engine = sa.create_engine(_driven(on_database(url, "postgres")), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f'DROP DATABASE "{make_url(url).database}" WITH (FORCE)'))
    engine.dispose()


def ignore_crashes(url: str) -> None:
    """Let a server that only tests use not wait for its disk: what a crash would lose is not kept.

    All of these may be changed while it runs. Tests of crashes start servers of their own.
    """
    engine = sa.create_engine(_driven(url), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(sa.text(f"ALTER SYSTEM SET {name} = off"))
        connection.execute(sa.text("SELECT pg_reload_conf()"))
    engine.dispose()


def migrate_url(url: str, store: Store) -> list[str]:
    """Migrate a database and leave no session on it, so that it can be a template."""
    engine = open_engine(url)
    try:
        return migrate(engine, store)
    finally:
        engine.dispose()
