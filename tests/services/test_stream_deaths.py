"""The stream from Kafka into TimescaleDB while things die: nothing is lost or doubled."""

from __future__ import annotations

import os
import random
import signal
import time

import sqlalchemy as sa
from stream_world import ON_SERVERS, RATE, Feed, World, check_whole, ended, restart

from data_engineering.storage import stream_status

pytestmark = ON_SERVERS
PARTITIONS = 5 * 3


def alive(world: World) -> list[int]:
    """How many partitions each member has that gives signs of life."""
    rows = stream_status.members(world.engine).to_dict("records")
    return sorted(
        int(row["partitions"])
        for row in rows
        if row["state"] == "running" and row["silent_seconds"] < 5
    )


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
    with Feed(world.settings) as feed:
        first = world.member()
        world.until(lambda: alive(world) == [PARTITIONS])
        second, third = world.member(), world.member()
        world.until(lambda: alive(world) == [5, 5, 5])
        second.kill()
        world.until(lambda: len(alive(world)) == 2 and sum(alive(world)) == PARTITIONS)
        third.terminate()
        assert ended(third) == 0
        world.until(lambda: alive(world) == [PARTITIONS])
        count = feed.end()
    check_whole(world, count)
    first.terminate()
    assert ended(first) == 0
    states = stream_status.members(world.engine)["state"].tolist()
    assert states.count("stopped") == 2


def stores(world: World) -> bool:
    """Whether a session has changed the books in a transaction that is open."""
    with world.engine.begin() as connection:
        found = connection.execute(
            sa.text(
                "SELECT count(*) FROM pg_locks AS l JOIN stream_offsets AS o "
                "ON l.transactionid = o.xmax AND l.mode = 'ExclusiveLock' AND l.granted"
            )
        )
        return bool(found.scalar_one())


def sleep_while_storing(world: World, pid: int) -> None:
    """Stop a process in the middle of a transaction that holds its partitions."""
    end = time.monotonic() + 60
    while True:
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.1)  # what its server does for it by itself ends meanwhile
        if stores(world):
            return
        os.kill(pid, signal.SIGCONT)
        assert time.monotonic() < end, world.logs()
        time.sleep(0.01)


def test_a_member_that_was_asleep_is_fenced_and_comes_back(world: World) -> None:
    with Feed(world.settings) as feed:
        sleeper = world.member()
        world.until(lambda: world.messages() > 1000)
        sleep_while_storing(world, sleeper.pid or 0)
        other = world.member()
        before = world.messages()
        # The other one gets all partitions when the session is over, and ends what holds them.
        world.until(lambda: world.messages() > before + RATE)
        world.until(lambda: alive(world) == [PARTITIONS])
        os.kill(sleeper.pid or 0, signal.SIGCONT)
        world.until(lambda: len(alive(world)) == 2 and sum(alive(world)) == PARTITIONS)
        count = feed.end()
    check_whole(world, count)
    assert sleeper.is_alive(), world.logs()
    assert other.is_alive(), world.logs()
    assert "ended 1 sessions that held our partitions" in world.said()


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


def test_a_database_that_is_away_for_a_minute(world: World) -> None:
    with Feed(world.settings) as feed:
        member = world.member()
        world.until(lambda: world.messages() > 1000)
        restart("LASCOPF_TEST_TIMESCALEDB_CONTAINER", 60.0)
        count = feed.end()
    assert count > 30 * RATE
    check_whole(world, count)
    assert member.is_alive(), world.logs()
