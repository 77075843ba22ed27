"""What the stream says and does when messages, topics, or the broker are not as they should be."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from kafka_topics import empty_topics, scram_user
from pydantic import SecretStr
from stream_feed import expected, reading, stored
from stream_world import ON_SERVERS, Feed, World, check_whole, ended

from data_engineering.ingestion import kafka_consumers
from data_engineering.ingestion.kafka_consumers import KafkaSource
from data_engineering.ingestion.stream_publish import KafkaPublisher, create_topics
from data_engineering.model.errors import StreamRefused, StreamUnavailable
from data_engineering.model.stream import DEAD_LETTER_SUFFIX, POWER_TOPIC, READ_TOPICS, Place
from data_engineering.settings import Settings
from data_engineering.storage import stream_status

pytestmark = ON_SERVERS

BAD = {
    b"\xff": "garbage",
    b"{}": "schema",
    json.dumps(reading(0, generator_id="nobody")).encode(): "unknown_point",
    json.dumps(reading(0, schema_version=7)).encode(): "version",
    json.dumps(reading(0, active_power=float("nan"))).encode(): "schema",
    json.dumps(reading(0, time="2100-01-01T00:00:00Z")).encode(): "time",
    json.dumps(reading(0, time="1900-01-01T00:00:00Z")).encode(): "time",
    json.dumps(reading(0, time="9999-12-31T23:59:59Z")).encode(): "schema",
    b"x" * 900_000: "oversized",
}


def letters_sent(settings: Settings, count: int) -> list[dict[str, Any]]:
    """The first letters of the dead-letter topic, by offset of the message."""
    from kafka import KafkaConsumer

    consumer = KafkaConsumer(
        POWER_TOPIC + DEAD_LETTER_SUFFIX,
        bootstrap_servers=settings.kafka_bootstrap,
        auto_offset_reset="earliest",
        consumer_timeout_ms=20_000,
    )
    found: dict[int, dict[str, Any]] = {}
    for record in consumer:
        document = json.loads(record.value)
        found[document["offset"]] = document
        if len(found) == count:
            break
    consumer.close()
    return [found[offset] for offset in sorted(found)]


def test_bad_messages_are_dead_letters_and_reach_their_topic(world: World) -> None:
    with KafkaPublisher(world.settings) as publisher:
        for value in BAD:
            publisher.send(POWER_TOPIC, b"k", value)
        publisher.send(POWER_TOPIC, b"k", json.dumps(reading(0)).encode())
    stream = world.settings.stream.model_copy(update={"max_message_bytes": 500_000})
    world.member(stream=stream.model_dump())
    world.until(lambda: world.messages() == len(BAD) + 1)
    kept = [one for _, one in stream_status.letters(world.engine)]
    assert {one.payload: one.verdict for one in kept} == BAD
    assert stored(world.engine) == expected(1)
    sent = letters_sent(world.settings, len(BAD))
    assert [one["verdict"] for one in sent] == list(BAD.values())
    *small, oversized = sent
    assert [base64.b64decode(one["payload_base64"]) for one in small] == list(BAD)[:-1]
    assert oversized["payload_base64"] == ""  # the database has it


def test_a_message_that_the_broker_does_not_take_is_refused(world: World) -> None:
    with KafkaPublisher(world.settings) as publisher:
        publisher.send(POWER_TOPIC, b"k", b"x" * 2_000_000)
        with pytest.raises(StreamRefused, match=r"MessageSizeTooLarge.*max\.message\.bytes"):
            publisher.flush()
        publisher.send(POWER_TOPIC, b"k", json.dumps(reading(0)).encode())
    world.member()
    check_whole(world, 1)


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
    assert "its topic was made anew" in world.said()
    stream_status.forget(world.engine, POWER_TOPIC)
    with Feed(world.settings, sent=count) as feed:
        world.until(lambda: feed.sent > count + 100)
        more = feed.end()
    world.member()
    world.until(lambda: world.messages() == more - count)
    assert stored(world.engine) == expected(more)


@pytest.fixture
def broker(tmp_path: Path) -> Settings:
    """Settings of the open door; the topics are there."""
    settings = Settings(home=tmp_path, kafka_bootstrap=os.environ["LASCOPF_TEST_KAFKA"])
    create_topics(settings)
    return settings


def test_a_broker_that_is_not_there_and_a_topic_that_is_missing(
    broker: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StreamRefused, match="no topic gossip; create them"):
        KafkaSource(broker, ["gossip"])
    monkeypatch.setattr(kafka_consumers, "_BOOTSTRAP_MS", 1_000)
    silent = broker.model_copy(update={"kafka_bootstrap": "127.0.0.1:9"})
    with pytest.raises(StreamUnavailable, match=r"127\.0\.0\.1:9 does not answer"):
        KafkaSource(silent)


@pytest.fixture
def login(broker: Settings) -> Settings:
    """Settings that the door with SASL lets in, by PLAIN and by SCRAM-SHA-512."""
    if "LASCOPF_TEST_KAFKA_LOGIN" not in os.environ:
        pytest.skip("LASCOPF_TEST_KAFKA_LOGIN is not set")
    who, where = os.environ["LASCOPF_TEST_KAFKA_LOGIN"].split("@")
    user, password = who.split(":")
    scram_user(broker, user, password)
    return Settings(
        home=broker.home,
        stream={"group": f"test-{time.time_ns()}"},
        kafka_bootstrap=where,
        kafka_security="SASL_PLAINTEXT",
        kafka_user=user,
        kafka_password=SecretStr(password),
    )


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_the_right_login_writes_and_joins_a_group(login: Settings, mechanism: str) -> None:
    settings = login.model_copy(update={"kafka_mechanism": mechanism})
    with KafkaPublisher(settings) as publisher:
        publisher.send(POWER_TOPIC, b"k", json.dumps(reading(0)).encode())
        publisher.flush()
    with closing(KafkaSource(settings)) as source:
        end = time.monotonic() + 60
        gained: set[Place] = set()
        while not gained and time.monotonic() < end:
            source.poll(1.0)
            gained = source.rebalanced()[1]
    assert {place.topic for place in gained} == set(READ_TOPICS)


WRONG = {
    "password": {"kafka_password": SecretStr("guessed")},
    "password of PLAIN": {"kafka_password": SecretStr("guessed"), "kafka_mechanism": "PLAIN"},
    "user": {"kafka_user": "nobody"},
    "mechanism": {"kafka_mechanism": "SCRAM-SHA-256"},
}


@pytest.mark.parametrize(
    ("name", "use"),
    [*((name, KafkaSource) for name in WRONG), ("user", KafkaPublisher), ("user", create_topics)],
)
def test_a_wrong_login_is_one_line_that_names_the_remedy(
    name: str, use: Callable[[Settings], object], login: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_consumers, "_BOOTSTRAP_MS", 4_000)  # it tries again until then
    settings = login.model_copy(update=WRONG[name])
    with pytest.raises(StreamRefused, match="correct LASCOPF_KAFKA_SECURITY") as caught:
        use(settings)
    assert caught.value.exit_code == 6
    assert "\n" not in str(caught.value)
    assert settings.kafka_password is not None
    assert settings.kafka_password.get_secret_value() not in str(caught.value)


def test_the_wrong_door_is_told(login: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without SASL the broker closes every connection there, and does not say why."""
    monkeypatch.setattr(kafka_consumers, "_BOOTSTRAP_MS", 4_000)
    settings = login.model_copy(update={"kafka_security": "PLAINTEXT"})
    with pytest.raises(
        StreamRefused, match=r"closes every connection; correct LASCOPF_KAFKA_SECUR"
    ):
        KafkaSource(settings)


def test_the_command_ends_with_6_for_a_wrong_login(login: Settings) -> None:
    environment = {
        "LASCOPF_HOME": str(login.home),
        "LASCOPF_KAFKA_BOOTSTRAP": login.kafka_bootstrap or "",
        "LASCOPF_KAFKA_SECURITY": "SASL_PLAINTEXT",
        "LASCOPF_KAFKA_USER": login.kafka_user or "",
        "LASCOPF_KAFKA_PASSWORD": "guessed",
    }
    done = subprocess.run(
        [sys.executable, "-m", "data_engineering.cli", "stream", "--no-react"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 6
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "correct LASCOPF_KAFKA_SECURITY, _MECHANISM, _USER or _PASSWORD" in line
