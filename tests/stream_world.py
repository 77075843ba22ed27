"""A stream on real servers for one test: a feed, members in processes of their own, a database.

Needs LASCOPF_TEST_KAFKA (host:port) and LASCOPF_TEST_TIMESCALEDB_URL; restarts need the names of
their containers in LASCOPF_TEST_KAFKA_CONTAINER and LASCOPF_TEST_TIMESCALEDB_CONTAINER.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
from databases import create_database, drop_database, migrate_url
from kafka_topics import empty_topics
from sqlalchemy.engine import Engine
from stream_feed import CASE, expected, reading, stored
from stream_member import start_member

from data_engineering.ingestion.stream_publish import KafkaPublisher
from data_engineering.model.errors import LascopfError, StreamUnavailable
from data_engineering.model.stream import POWER_TOPIC
from data_engineering.settings import Settings
from data_engineering.storage import stream_status
from data_engineering.storage.database import open_engine

_NEEDED = ("LASCOPF_TEST_KAFKA", "LASCOPF_TEST_TIMESCALEDB_URL")
ON_SERVERS = [
    pytest.mark.services,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        not all(name in os.environ for name in _NEEDED), reason=f"{', '.join(_NEEDED)} are not set"
    ),
]
RATE = 2000.0
"""Readings each second."""


@dataclass
class Feed:
    """Readings sent to Kafka by a thread, as many as there is time for."""

    settings: Settings
    rate: float = RATE
    sent: int = 0
    stop: threading.Event = field(default_factory=threading.Event)
    trouble: list[BaseException] = field(default_factory=list)

    def __enter__(self) -> Feed:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *trouble: object) -> None:
        self.end()

    def end(self) -> int:
        """Stop sending; how many messages there are."""
        self.stop.set()
        self._thread.join()
        assert self.trouble == []
        return self.sent

    def _publisher(self) -> KafkaPublisher:
        """A broker that was just started needs a moment."""
        end = time.monotonic() + 150
        while True:
            try:
                return KafkaPublisher(self.settings)
            except StreamUnavailable:
                if time.monotonic() > end:
                    raise

    def _run(self) -> None:
        try:
            with self._publisher() as publisher:
                started = time.monotonic()
                while not self.stop.is_set():
                    ahead = started + self.sent / self.rate - time.monotonic()
                    if ahead > 0:
                        time.sleep(ahead)
                    value = json.dumps(reading(self.sent)).encode()
                    publisher.send(POWER_TOPIC, str(self.sent % 200).encode(), value)
                    self.sent += 1
        except LascopfError as error:
            self.trouble.append(error)


@dataclass
class World:
    """One test's database, group and members."""

    settings: Settings
    url: str
    engine: Engine
    folder: Path
    members: list[ForkServerProcess] = field(default_factory=list)

    def member(self, instance: str | None = None, **changes: Any) -> ForkServerProcess:
        """Start a member of the group; `changes` are other settings than the world's."""
        own = {"session_seconds": 6.0, "beat_seconds": 1.0, "instance": instance}
        options: dict[str, Any] = {
            "home": str(self.folder),
            "timeseries_url": self.url,
            "kafka_bootstrap": self.settings.kafka_bootstrap,
            "case_name": CASE,
            "stream": self.settings.stream.model_dump() | own,
        }
        log = self.folder / f"member{len(self.members)}.log"
        process = start_member(options | changes, "kafka", log)
        self.members.append(process)
        return process

    def messages(self) -> int:
        """How many messages are stored."""
        return int(stream_status.offsets(self.engine)["next_offset"].sum())

    def until(self, true: Callable[[], bool], seconds: float = 150.0) -> None:
        """Wait; members that end of themselves are a failure."""
        end = time.monotonic() + seconds
        while True:
            try:
                if true():
                    return
            except LascopfError:
                pass  # the database is down for the moment
            assert time.monotonic() < end, self.logs()
            time.sleep(0.05)

    def said(self) -> str:
        """All that the members said."""
        return "\n".join(path.read_text() for path in sorted(self.folder.glob("*.log")))

    def logs(self) -> str:
        """The last words of the members, and where they are."""
        for process in self.members:
            if process.is_alive():
                os.kill(process.pid or 0, signal.SIGUSR1)
        time.sleep(1.0)
        return "\n".join(path.read_text()[-8000:] for path in sorted(self.folder.glob("*.log")))


@contextmanager
def new_world(folder: Path, **stream: Any) -> Iterator[World]:
    """Empty topics, a migrated database; members and database are gone afterwards."""
    settings = Settings(
        home=folder,
        kafka_bootstrap=os.environ["LASCOPF_TEST_KAFKA"],
        case_name=CASE,
        stream={"group": f"test-{time.time_ns()}"} | stream,
    )
    empty_topics(settings)
    url = create_database(os.environ["LASCOPF_TEST_TIMESCALEDB_URL"])
    migrate_url(url, "timeseries")
    engine = open_engine(url, "ingest")
    made = World(settings, url, engine, folder)
    try:
        yield made
    finally:
        for process in made.members:
            process.kill()
            process.join()
        engine.dispose()
        drop_database(url)
        gc.collect()


def check_whole(world: World, count: int, letters: int = 0) -> None:
    """Wait until all is stored; then every reading is there once, as it was sent."""
    world.until(lambda: world.messages() == count)
    assert stored(world.engine) == expected(count)
    assert len(stream_status.letters(world.engine)) == letters


def ended(process: ForkServerProcess) -> int | None:
    """The exit code of a member that ends within a minute."""
    process.join(timeout=60)
    return process.exitcode


def restart(variable: str, pause: float) -> None:
    """Kill the container that a variable names, and start it again after a pause (s)."""
    container = os.environ.get(variable)
    if container is None:
        pytest.skip(f"{variable} is not set")
    subprocess.run(["docker", "kill", container], check=True, capture_output=True)
    time.sleep(pause)
    subprocess.run(["docker", "start", container], check=True, capture_output=True)
