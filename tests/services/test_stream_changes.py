"""The stream while sessions are cut, topics grow and producers take back what they said."""

from __future__ import annotations

import json
import time

import sqlalchemy as sa
from kafka_topics import add_partitions
from sqlalchemy.engine import make_url
from stream_feed import expected, reading, stored
from stream_world import ON_SERVERS, RATE, Feed, World, check_whole

from data_engineering.ingestion.kafka_consumers import connection
from data_engineering.model.stream import POWER_TOPIC
from data_engineering.storage import stream_status
from data_engineering.storage.database import open_engine

pytestmark = ON_SERVERS


def first_host_dead(url: str) -> str:
    """The same database by two hosts, of which nobody listens at the first."""
    parsed = make_url(url)
    hosts = ("127.0.0.1:9", f"{parsed.host}:{parsed.port}")
    two = parsed.set(host=None, port=None).update_query_dict({"host": hosts})
    return two.render_as_string(hide_password=False)


def cut_all(url: str) -> int:
    """End every session of the platform on a database, whatever it does; how many."""
    engine = open_engine(url)
    try:
        with engine.begin() as session:
            ended = session.execute(
                sa.text(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE "
                    "datname = current_database() AND application_name = 'lascopf' "
                    "AND pid <> pg_backend_pid()"
                )
            )
            return int(ended.scalar_one())
    finally:
        engine.dispose()


def send_to(world: World, partition: int, number: int) -> None:
    """One reading into a partition."""
    from kafka import KafkaProducer

    producer = KafkaProducer(**connection(world.settings))
    producer.send(POWER_TOPIC, value=json.dumps(reading(number)).encode(), partition=partition)
    producer.close()


def test_sessions_are_cut_again_and_again_while_the_topic_grows(world: World) -> None:
    """And the database has two addresses, one of them dead."""
    member = world.member(timeseries_url=first_host_dead(world.url))
    with Feed(world.settings) as feed:
        world.until(lambda: world.messages() > 1000)
        add_partitions(world.settings, POWER_TOPIC, 4)
        count = feed.end()
    cuts = 0  # the group learns of the new partition within ten seconds
    with Feed(world.settings, rate=RATE / 4, sent=count) as feed:
        while 3 not in set(stream_status.offsets(world.engine)["stream_partition"]) or cuts < 20:
            cuts += cut_all(world.url) > 0
            time.sleep(0.5)
            assert feed.sent < count + 120 * RATE / 4, world.logs()
        count = feed.end()
    send_to(world, 3, count)
    check_whole(world, count + 1)
    assert member.is_alive(), world.logs()


def test_what_a_transaction_took_back_is_not_stored(world: World) -> None:
    """Of six readings the two of the aborted transaction are left out, with all end markers."""
    from kafka import KafkaProducer

    producer = KafkaProducer(transactional_id="tester", **connection(world.settings))
    producer.init_transactions()
    for number, kept in ((0, True), (2, False), (4, True)):
        producer.begin_transaction()
        for one in (number, number + 1):
            value = json.dumps(reading(one)).encode()
            producer.send(POWER_TOPIC, value=value, partition=0)
        producer.flush()
        if kept:
            producer.commit_transaction()
        else:
            producer.abort_transaction()
    producer.close()
    first = world.member()
    # Offsets 0, 1, marker, 3, 4, marker, 6, 7, marker: the last message is 7.
    world.until(lambda: world.messages() >= 8)
    first.kill()
    first.join()
    # What begins at a marker goes on behind it.
    send_to(world, 0, 6)
    world.member()
    world.until(lambda: world.messages() == 10)
    wanted = expected(7)
    for number in (2, 3):
        del wanted[reading(number)["time"], reading(number)["generator_id"]]
    assert stored(world.engine) == wanted
    assert stream_status.letters(world.engine) == []
