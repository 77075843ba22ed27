"""The servers that the storage contract holds on; each gets two migrated databases a module."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from databases import create_database, drop_database, ignore_crashes, migrate_url
from sqlalchemy.engine import Engine

from data_engineering.storage import embedded
from data_engineering.storage.database import open_engine

SERVERS = [
    pytest.param("embedded-18", marks=pytest.mark.integration),
    pytest.param("embedded-16", marks=pytest.mark.integration),
    pytest.param("LASCOPF_TEST_POSTGRES_URL", marks=pytest.mark.services),
    pytest.param("LASCOPF_TEST_TIMESCALEDB_URL", marks=pytest.mark.services),
]


@pytest.fixture(scope="session", params=SERVERS)
def server_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a server on which databases may be made: embedded, or named by the environment."""
    name = request.param
    if name.startswith("LASCOPF_"):
        if name not in os.environ:
            pytest.skip(f"{name} is not set")
        yield os.environ[name]
        return
    with tempfile.TemporaryDirectory(prefix="lascopf-test-") as folder:
        started = embedded.start(Path(folder), major=int(name[-2:]))
        try:
            ignore_crashes(started.timeseries_url)
            yield started.timeseries_url
        finally:
            embedded.stop(Path(folder))


@pytest.fixture(scope="module")
def timeseries_url(server_url: str) -> Iterator[str]:
    url = create_database(server_url)
    migrate_url(url, "timeseries")
    yield url
    drop_database(url)


@pytest.fixture(scope="module")
def metadata_url(server_url: str) -> Iterator[str]:
    url = create_database(server_url)
    migrate_url(url, "metadata")
    yield url
    drop_database(url)


@pytest.fixture(scope="module")
def timeseries_engine(timeseries_url: str) -> Iterator[Engine]:
    """The login's own session; tasks use `open_engine(url, role)`."""
    engine = open_engine(timeseries_url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def metadata_engine(metadata_url: str) -> Iterator[Engine]:
    engine = open_engine(metadata_url)
    yield engine
    engine.dispose()
