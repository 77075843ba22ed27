"""Fixtures that several rooms share: an embedded PostgreSQL, migrated stores, settings."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from data_engineering.model.columns import Store
from data_engineering.settings import Settings
from data_engineering.storage import embedded
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


def create_database(url: str, template: str = "template1") -> str:
    """A new database on the server of `url`; its URL."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    engine = sa.create_engine(make_url(url), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'))
    engine.dispose()
    return on_database(url, name)


def drop_database(url: str) -> None:
    """Drop a database that `create_database` made."""
    maintenance = make_url(on_database(url, "postgres"))
    engine = sa.create_engine(maintenance, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f'DROP DATABASE "{make_url(url).database}" WITH (FORCE)'))
    engine.dispose()


def migrate_url(url: str, store: Store) -> list[str]:
    """Migrate a database and leave no session on it, so that it can be a template."""
    engine = open_engine(url)
    try:
        return migrate(engine, store)
    finally:
        engine.dispose()


@pytest.fixture(scope="session")
def embedded_server() -> Iterator[embedded.Embedded]:
    """A PostgreSQL 18 of this test session; its `powerlascopf` and `lascopf_metadata` are migrated.

    Its folder is not below pytest's, which every session closes to other users again: as root the
    server runs as a user of its own.
    """
    with tempfile.TemporaryDirectory(prefix="lascopf-test-") as folder:
        home = Path(folder)
        server = embedded.start(home)
        try:
            migrate_url(server.timeseries_url, "timeseries")
            migrate_url(server.metadata_url, "metadata")
            yield server
        finally:
            embedded.stop(home)


@pytest.fixture
def store_databases(embedded_server: embedded.Embedded) -> Iterator[StoreDatabases]:
    """Two migrated databases without rows, for one test."""
    urls = StoreDatabases(
        create_database(embedded_server.timeseries_url, embedded.TIMESERIES),
        create_database(embedded_server.metadata_url, embedded.METADATA),
    )
    yield urls
    drop_database(urls.timeseries_url)
    drop_database(urls.metadata_url)


@pytest.fixture
def store_settings(store_databases: StoreDatabases, tmp_path: Path) -> Settings:
    """Settings whose stores are empty databases and a folder of this test."""
    return Settings(
        home=tmp_path,
        timeseries_url=store_databases.timeseries_url,
        metadata_url=store_databases.metadata_url,
        objects_url=(tmp_path / "objects").as_uri(),
    )
