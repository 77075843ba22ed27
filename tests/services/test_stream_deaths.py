"""The stream from a real Kafka into a real TimescaleDB while things die: nothing lost or doubled.

Needs LASCOPF_TEST_KAFKA (host:port) and LASCOPF_TEST_TIMESCALEDB_URL; restarts need the names of
their containers in LASCOPF_TEST_KAFKA_CONTAINER and LASCOPF_TEST_TIMESCALEDB_CONTAINER.
"""

from __future__ import annotations

import gc
import json
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
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

from data_engineering.ingestion.kafka_consumers import KafkaSource
from data_engineering.ingestion.stream_publish import KafkaPublisher
from data_engineering.model.errors import LascopfError, StreamRefused, StreamUnavailable
from data_engineering.model.stream import DEAD_LETTER_SUFFIX, POWER_TOPIC
from data_engineering.settings import Settings
from data_engineering.storage import stream_status
from data_engineering.storage.database import open_engine

NEEDED = ("LASCOPF_TEST_KAFKA", "LASCOPF_TEST_TIMESCALEDB_URL")
pytestmark = [
    pytest.mark.services,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        not all(name in os.environ for name in NEEDED), reason=f"{', '.join(NEEDED)} are not set"
    ),
]
RATE = 2000.0


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
        end = time.monotonic() + 90
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

    def member(self, instance: str | None = None) -> ForkServerProcess:
        """Start a member of the group."""
        stream = {"group": self.settings.stream.group, "session_seconds": 6.0, "beat_seconds": 1.0}
        options: dict[str, Any] = {
            "home": str(self.folder),
            "timeseries_url": self.url,
            "kafka_bootstrap": self.settings.kafka_bootstrap,
            "case_name": CASE,
            "stream": stream | ({"instance": instance} if instance else {}),
        }
        log = self.folder / f"member{len(self.members)}.log"
        process = start_member(options, "kafka", log)
        self.members.append(process)
        return process

    def messages(self) -> int:
        """How many messages are stored."""
        return int(stream_status.offsets(self.engine)["next_offset"].sum())

    def until(self, true: Callable[[], bool], seconds: float = 90.0) -> None:
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

    def logs(self) -> str:
        """The last words of the members, and where they are."""
        for process in self.members:
            if process.is_alive():
                os.kill(process.pid or 0, signal.SIGUSR1)
        time.sleep(1.0)
        return "\n".join(path.read_text()[-4000:] for path in sorted(self.folder.glob("*.log")))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    settings = Settings(
        home=tmp_path,
        kafka_bootstrap=os.environ["LASCOPF_TEST_KAFKA"],
        case_name=CASE,
        stream={"group": f"test-{time.time_ns()}"},
    )
    empty_topics(settings)
    url = create_database(os.environ["LASCOPF_TEST_TIMESCALEDB_URL"])
    migrate_url(url, "timeseries")
    engine = open_engine(url, "ingest")
    made = World(settings, url, engine, tmp_path)
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
    """The exit code of a member that ends."""
    process.join(timeout=60)
    return process.exitcode


def restart(variable: str, pause: float) -> None:
    container = os.environ.get(variable)
    if container is None:
        pytest.skip(f"{variable} is not set")
    subprocess.run(["docker", "kill", container], check=True, capture_output=True)
    time.sleep(pause)
    subprocess.run(["docker", "start", container], check=True, capture_output=True)


def test_25_kills_under_load(world: World) -> None:
    chance = random.Random(25)
    with Feed(world.settings) as feed:
        members = {name: world.member(name) for name in ("a", "b")}
        for _ in range(25):
            before = world.messages()
            world.until(lambda before=before: world.messages() > before)
            time.sleep(chance.uniform(0.0, 0.3))
            name = chance.choice(sorted(members))
            members[name].kill()
            members[name].join()
            members[name] = world.member(name)
        count = feed.end()
    check_whole(world, count)
    print(f"25 kills, {count} readings: 0 lost, 0 doubled")


def test_members_share_the_partitions_and_take_them_over(world: World) -> None:
    def alive() -> list[int]:
        rows = stream_status.members(world.engine).to_dict("records")
        return sorted(
            int(row["partitions"])
            for row in rows
            if row["state"] == "running" and row["silent_seconds"] < 5
        )

    partitions = 5 * 3
    with Feed(world.settings) as feed:
        first = world.member()
        world.until(lambda: alive() == [partitions])
        second, third = world.member(), world.member()
        world.until(lambda: alive() == [5, 5, 5])
        second.kill()
        world.until(lambda: len(alive()) == 2 and sum(alive()) == partitions)
        third.terminate()
        assert ended(third) == 0
        world.until(lambda: alive() == [partitions])
        count = feed.end()
    check_whole(world, count)
    first.terminate()
    assert ended(first) == 0
    states = stream_status.members(world.engine)["state"].tolist()
    assert states.count("stopped") == 2


def test_a_member_that_was_asleep_is_fenced_and_comes_back(world: World) -> None:
    with Feed(world.settings) as feed:
        sleeper = world.member()
        world.until(lambda: world.messages() > 1000)
        other = world.member()
        world.until(lambda: (stream_status.members(world.engine)["partitions"] > 0).sum() == 2)
        os.kill(sleeper.pid or 0, signal.SIGSTOP)
        before = world.messages()
        # Longer than a session: the other one has all partitions then.
        time.sleep(10.0)
        world.until(lambda: world.messages() > before + RATE)
        os.kill(sleeper.pid or 0, signal.SIGCONT)
        time.sleep(3.0)
        count = feed.end()
    check_whole(world, count)
    assert sleeper.is_alive(), world.logs()
    assert other.is_alive(), world.logs()


def test_a_broker_that_is_killed_and_started_again(world: World) -> None:
    with Feed(world.settings) as feed:
        member = world.member()
        world.until(lambda: world.messages() > 1000)
        count = feed.end()
    restart("LASCOPF_TEST_KAFKA_CONTAINER", 5.0)
    with Feed(world.settings, sent=count) as feed:
        world.until(lambda: feed.sent > count + 2 * RATE)
        count = feed.end()
    check_whole(world, count)
    assert member.is_alive(), world.logs()


def test_a_database_that_is_killed_and_started_again(world: World) -> None:
    with Feed(world.settings) as feed:
        member = world.member()
        world.until(lambda: world.messages() > 1000)
        restart("LASCOPF_TEST_TIMESCALEDB_CONTAINER", 10.0)
        world.until(lambda: feed.sent > 20 * RATE)
        count = feed.end()
    check_whole(world, count)
    assert member.is_alive(), world.logs()


def test_bad_messages_reach_the_dead_letter_topic(world: World) -> None:
    from kafka import KafkaConsumer

    bad = [b"\xff", b"{}", json.dumps(reading(0, generator_id="nobody")).encode()]
    with KafkaPublisher(world.settings) as publisher:
        for value in bad:
            publisher.send(POWER_TOPIC, b"k", value)
        publisher.send(POWER_TOPIC, b"k", json.dumps(reading(0)).encode())
    world.member()
    world.until(lambda: world.messages() == 4)
    consumer = KafkaConsumer(
        POWER_TOPIC + DEAD_LETTER_SUFFIX,
        bootstrap_servers=world.settings.kafka_bootstrap,
        auto_offset_reset="earliest",
        consumer_timeout_ms=20_000,
    )
    found = {}
    for record in consumer:
        document = json.loads(record.value)
        found[document["offset"]] = document["verdict"]
        if len(found) == 3:
            break
    consumer.close()
    assert found == {0: "garbage", 1: "schema", 2: "unknown_point"}
    assert len(stored(world.engine)) == 1


def test_a_topic_made_anew_is_refused_until_it_is_forgotten(world: World) -> None:
    with Feed(world.settings) as feed:
        world.until(lambda: feed.sent > 100)
        count = feed.end()
    first = world.member()
    check_whole(world, count)
    first.terminate()
    assert ended(first) == 0
    empty_topics(world.settings)
    second = world.member()
    assert ended(second) != 0
    assert "its topic was made anew" in world.logs()
    stream_status.forget(world.engine, POWER_TOPIC)
    with Feed(world.settings, sent=count) as feed:
        world.until(lambda: feed.sent > count + 100)
        more = feed.end()
    world.member()
    world.until(lambda: world.messages() == more - count)
    assert stored(world.engine) == expected(more)


def test_what_is_wrong_with_the_broker_is_one_clear_line(world: World) -> None:
    silent = world.settings.model_copy(update={"kafka_bootstrap": "127.0.0.1:9"})
    with pytest.raises(StreamUnavailable, match=r"127\.0\.0\.1:9 does not answer"):
        KafkaSource(silent)
    with pytest.raises(StreamRefused, match="no topic gossip; create them"):
        KafkaSource(world.settings, ["gossip"])
