"""Fixtures that several rooms share: an embedded PostgreSQL, migrated stores, settings."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from databases import StoreDatabases, create_database, drop_database, ignore_crashes, migrate_url

from data_engineering.settings import Settings
from data_engineering.storage import embedded


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
            ignore_crashes(server.timeseries_url)
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
