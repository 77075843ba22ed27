"""A broker's topics, made anew so that only a test's own messages are there, and its users."""

from __future__ import annotations

import time

from data_engineering.ingestion.kafka_consumers import connection
from data_engineering.ingestion.stream_publish import ALL_TOPICS, create_topics
from data_engineering.settings import Settings


def empty_topics(settings: Settings, partitions: int = 3) -> None:
    """Delete the stream's topics and make them again."""
    from kafka import KafkaAdminClient

    admin = KafkaAdminClient(**connection(settings))
    try:
        there = set(ALL_TOPICS) & set(admin.list_topics())
        if there:
            admin.delete_topics(sorted(there))
            end = time.monotonic() + 30
            while set(ALL_TOPICS) & set(admin.list_topics()):
                assert time.monotonic() < end, "the broker does not delete its topics"
                time.sleep(0.2)
    finally:
        admin.close()
    create_topics(settings, partitions=partitions)
    time.sleep(0.5)


def add_partitions(settings: Settings, topic: str, count: int) -> None:
    """Let a topic have so many partitions."""
    from kafka import KafkaAdminClient

    admin = KafkaAdminClient(**connection(settings))
    try:
        admin.create_partitions({topic: count})
    finally:
        admin.close()


def scram_user(settings: Settings, user: str, password: str) -> None:
    """Let a user in by SCRAM-SHA-512, and wait until the broker knows."""
    from kafka import KafkaAdminClient
    from kafka.admin import UserScramCredentialUpsertion

    admin = KafkaAdminClient(**connection(settings))
    try:
        wanted = UserScramCredentialUpsertion(user, "SCRAM-SHA-512", password)
        assert admin.alter_user_scram_credentials([wanted]) == {user: None}
    finally:
        admin.close()
    time.sleep(0.5)
