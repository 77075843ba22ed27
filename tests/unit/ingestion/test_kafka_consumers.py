"""What the client of Kafka says and forgets, and what becomes of it here."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from data_engineering.ingestion import kafka_consumers
from data_engineering.ingestion.kafka_consumers import KafkaSource, reaching
from data_engineering.model.errors import StreamRefused, StreamUnavailable
from data_engineering.model.stream import POWER_TOPIC, READ_TOPICS, Place
from data_engineering.settings import Settings


class Client:
    """What the source uses of `KafkaConsumer`."""

    def __init__(self) -> None:
        self._cluster = self._coordinator = self
        self.cluster_id = "c"
        self.waits: list[int] = []
        self.asked_to_rejoin = 0
        self.listener: Any = None

    def topics(self) -> set[str]:
        return set(READ_TOPICS)

    def subscribe(self, topics: list[str], listener: Any) -> None:
        self.listener = listener

    def poll(self, timeout_ms: int) -> dict[Any, Any]:
        self.waits.append(timeout_ms)
        return {}

    def request_rejoin(self) -> None:
        self.asked_to_rejoin += 1


def test_a_join_is_waited_for_and_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    from kafka import TopicPartition

    client = Client()
    monkeypatch.setattr(kafka_consumers, "_open", lambda settings, where: client)
    source = KafkaSource(Settings(kafka_bootstrap="h:1"))
    one = TopicPartition(POWER_TOPIC, 0)
    client.listener.on_partitions_assigned({one})
    source.poll(0.0)
    client.listener.on_partitions_revoked({one})
    source.poll(0.0)
    client.listener.on_partitions_assigned(set())
    source.poll(0.0)
    assert client.asked_to_rejoin == 1
    assert client.waits == [0, 1000, 0]
    assert source.rebalanced() == ({Place(POWER_TOPIC, 0)}, set())


CLOSED = "<KafkaConnection node_id=bootstrap-0 broker_version={} (disconnected)>: Connection lost: "
REFUSED = "SaslAuthenticationFailedError: Authentication failed: Invalid username or password"


def fail_after(lines: list[str]) -> None:
    """Reach for a broker in vain."""
    from kafka.errors import KafkaTimeoutError

    with reaching("h:1"):
        for line in lines:
            logging.getLogger("kafka.net.connection").error(line)
        raise KafkaTimeoutError("Unable to bootstrap")


@pytest.mark.parametrize(
    ("lines", "kind", "words"),
    [
        (
            [f"<KafkaTCPTransport [h:1<-2]>: Abort ([Error 58] {REFUSED})"],
            StreamRefused,
            "Authentication failed: Invalid username or password; correct LASCOPF_KAFKA_SECURITY",
        ),
        (
            ["<KafkaConnection>: SaslHandshake failed: UnsupportedSaslMechanismError"],
            StreamRefused,
            "UnsupportedSaslMechanismError; correct LASCOPF_KAFKA_SECURITY, _MECHANISM",
        ),
        (
            [CLOSED.format("(4, 1)") + "socket disconnected"] * 3,
            StreamRefused,
            "it answers and then closes every connection; correct LASCOPF_KAFKA_SECURITY",
        ),
        (
            [CLOSED.format("unknown") + "socket disconnected"] * 3,
            StreamUnavailable,
            "it closes every connection, as when it starts",
        ),
        ([CLOSED.format("(4, 1)") + "socket disconnected"], StreamUnavailable, "KafkaTimeoutError"),
    ],
)
def test_what_the_log_of_the_client_says_becomes_one_line(
    lines: list[str], kind: type[StreamRefused | StreamUnavailable], words: str
) -> None:
    with pytest.raises(kind) as caught:
        fail_after(lines)
    assert words in str(caught.value)
