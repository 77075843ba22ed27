"""Messages to Kafka, and the topics of the stream."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Protocol

from data_engineering.ingestion.kafka_consumers import connection, explain, reaching, words
from data_engineering.model.errors import StreamRefused
from data_engineering.model.stream import DEAD_LETTER_SUFFIX, READ_TOPICS, RESULTS_TOPIC
from data_engineering.settings import Settings

ALL_TOPICS = (
    *READ_TOPICS,
    RESULTS_TOPIC,
    *(f"{topic}{DEAD_LETTER_SUFFIX}" for topic in READ_TOPICS),
)
_PATIENCE_MS = 10_000


class Publisher(Protocol):
    """Where messages go to: `KafkaPublisher` or `stream_files.FilePublisher`."""

    def send(
        self, topic: str, key: bytes | None, value: bytes, timestamp_ms: int | None = None
    ) -> None:
        """Send a message; it is there for sure after `flush`."""

    def flush(self) -> None:
        """Wait until all that was sent is there."""

    def close(self) -> None:
        """Flush and end."""


class KafkaPublisher:
    """Messages to Kafka, each exactly once while the process lives.

    Raises:
        StreamUnavailable, StreamRefused: no broker answers, or it refuses the login.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings, self._where = settings, settings.kafka_bootstrap or ""
        self._producer = self._open()
        self._failed: Exception | None = None

    def _open(self) -> Any:
        from kafka import KafkaProducer

        options = connection(self._settings)
        with reaching(self._where):
            return KafkaProducer(
                acks="all",
                enable_idempotence=True,
                linger_ms=5,
                batch_size=262_144,
                max_request_size=2 * self._settings.stream.max_message_bytes,
                max_block_ms=_PATIENCE_MS,
                **options,
            )

    def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes,
        timestamp_ms: int | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> None:
        """Send a message; it is there for sure after `flush`.

        Raises:
            StreamUnavailable, StreamRefused: the broker does not answer, or not take it.
        """
        from kafka import errors

        try:
            sent = self._producer.send(
                topic, value=value, key=key, timestamp_ms=timestamp_ms, headers=list(headers)
            )
        except (errors.KafkaError, ValueError) as error:
            raise explain(error, self._where) from None
        sent.add_errback(self._note)

    def flush(self) -> None:
        """Wait until all that was sent is there.

        Raises:
            StreamUnavailable, StreamRefused: some of it is not.
        """
        from kafka import errors

        try:
            self._producer.flush(timeout=_PATIENCE_MS / 1000)
        except errors.KafkaError as error:
            raise explain(error, self._where) from None
        if self._failed is not None:
            failed, self._failed = self._failed, None
            self._producer.close(timeout=0)  # one that a message failed for good takes no more
            self._producer = self._open()
            raise explain(failed, self._where, f"messages were not taken: {words(failed)}")

    def close(self) -> None:
        """Flush and end."""
        self._producer.close(timeout=_PATIENCE_MS / 1000)

    def __enter__(self) -> KafkaPublisher:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _note(self, error: Exception) -> None:
        self._failed = error


def create_topics(
    settings: Settings, topics: Sequence[str] = ALL_TOPICS, partitions: int = 3, replicas: int = -1
) -> list[str]:
    """Create the topics that are missing; their names.

    Args:
        settings: how to reach the brokers.
        topics: names.
        partitions: of each new topic.
        replicas: of each partition; -1: as many as the brokers give by themselves.

    Raises:
        StreamUnavailable, StreamRefused: no broker answers, or it does not let us.
    """
    from kafka import KafkaAdminClient, errors

    where = settings.kafka_bootstrap or ""
    try:
        with reaching(where):
            admin = KafkaAdminClient(**connection(settings))
        try:
            missing = sorted(set(topics) - set(admin.list_topics()))
            if missing:
                _create(admin, missing, partitions, replicas)
            return missing
        finally:
            admin.close()
    except errors.AuthorizationError as error:
        raise StreamRefused(where, str(error), "let the user create topics") from None
    except (errors.KafkaError, OSError, ValueError) as error:
        raise explain(error, where) from None


def _create(admin: Any, names: Sequence[str], partitions: int, replicas: int) -> None:
    from kafka import errors
    from kafka.admin import NewTopic

    new = [
        NewTopic(name=name, num_partitions=partitions, replication_factor=replicas)
        for name in names
    ]
    try:
        admin.create_topics(new)
    except errors.TopicAlreadyExistsError:
        return  # somebody else was faster
