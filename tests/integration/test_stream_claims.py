"""Partitions are taken over from whoever has them, also from a process that sleeps."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from databases import StoreDatabases
from sqlalchemy.engine import Connection, Engine

from data_engineering.model.errors import DatabaseBusy, DatabaseUnavailable
from data_engineering.model.stream import POWER_TOPIC, Place
from data_engineering.storage import stream_books
from data_engineering.storage.database import open_engine
from data_engineering.storage.stream_sink import Sink, retryable

pytestmark = pytest.mark.integration
PLACE = Place(POWER_TOPIC, 0)


@pytest.fixture
def engine(store_databases: StoreDatabases) -> Iterator[Engine]:
    engine = open_engine(store_databases.timeseries_url, "ingest")
    yield engine
    engine.dispose()


def move(connection: Connection) -> None:
    """Change the books of the partition, as the storing of a batch does."""
    connection.execute(sa.text("UPDATE stream_offsets SET next_offset = 5, epoch = epoch"))


def test_a_claim_ends_the_session_that_sleeps_with_a_partition(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_books, "_BATCH_SECONDS", 1)
    assert Sink(engine, "s", "a").claim([PLACE])[PLACE].epoch == 1
    with engine.connect() as asleep:
        move(asleep)
        taken = Sink(engine, "s", "b").claim([PLACE, Place(POWER_TOPIC, 1)])
        with pytest.raises(DatabaseUnavailable) as caught:
            asleep.execute(sa.text("SELECT 1"))
    assert retryable(caught.value)
    assert (taken[PLACE].epoch, taken[PLACE].next_offset) == (2, 0)
    with engine.begin() as connection:
        role = connection.execute(sa.text("SELECT current_user")).scalar_one()
    assert role == "ingest"


def test_a_batch_that_is_stored_in_time_is_waited_for(engine: Engine) -> None:
    Sink(engine, "s", "a").claim([PLACE])
    with engine.begin() as connection:
        move(connection)
    assert Sink(engine, "s", "b").claim([PLACE])[PLACE].next_offset == 5


def test_a_session_that_slept_too_long_may_try_again(engine: Engine) -> None:
    with engine.connect() as asleep:
        asleep.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = '10ms'"))
        time.sleep(0.5)
        # Over TCP the server's last word arrives, over a Unix socket that it is gone.
        with pytest.raises((DatabaseBusy, DatabaseUnavailable)) as caught:
            asleep.execute(sa.text("SELECT 1"))
    assert retryable(caught.value)
