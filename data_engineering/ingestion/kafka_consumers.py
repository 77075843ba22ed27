"""The stream from Kafka: the partitions that the group gives us, from where our books end.

The broker's own offsets are not used: what is stored says where to go on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from data_engineering.model.errors import StreamRefused, StreamUnavailable
from data_engineering.model.stream import READ_TOPICS, Claim, Place, RawMessage
from data_engineering.settings import Settings, Stream

if TYPE_CHECKING:
    from kafka import KafkaConsumer

_BOOTSTRAP_MS = 10_000
_LOOK_MS = 5_000
_JOIN_SECONDS = 1.0
_CLOSED_OFTEN = 3
_FETCH_BYTES, _PARTITION_BYTES = 32_000_000, 8_000_000
_log = logging.getLogger(__name__)


def connection(settings: Settings) -> dict[str, Any]:
    """What every client needs to reach the brokers.

    Raises:
        StreamRefused: no broker is configured, or a password is missing.
    """
    if not settings.kafka_bootstrap:
        raise StreamRefused("kafka", "no broker is configured", "set LASCOPF_KAFKA_BOOTSTRAP")
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap.split(","),
        "security_protocol": settings.kafka_security,
        "client_id": "lascopf",
        "bootstrap_timeout_ms": _BOOTSTRAP_MS,
        "reconnect_backoff_max_ms": 2_000,
    }
    if settings.kafka_security.startswith("SASL"):
        if not settings.kafka_user or settings.kafka_password is None:
            remedy = "set LASCOPF_KAFKA_USER and LASCOPF_KAFKA_PASSWORD"
            raise StreamRefused(settings.kafka_bootstrap, "SASL needs a login", remedy)
        options |= {
            "sasl_mechanism": settings.kafka_mechanism,
            "sasl_plain_username": settings.kafka_user,
            "sasl_plain_password": settings.kafka_password.get_secret_value(),
        }
    if settings.kafka_ca_file is not None:
        options["ssl_cafile"] = str(settings.kafka_ca_file)
    return options


class KafkaSource:
    """The topics of the stream as a member of a consumer group.

    Args:
        settings: brokers, login and group.
        topics: what to read; those that are missing are refused.

    Raises:
        StreamUnavailable: no broker answers.
        StreamRefused: it refuses the login, or a topic is missing.
    """

    exhausted = False

    def __init__(self, settings: Settings, topics: Sequence[str] = READ_TOPICS) -> None:
        self._where = settings.kafka_bootstrap or ""
        self._consumer = _open(settings, self._where)
        self._lock = threading.Lock()
        self._lost: set[Place] = set()
        self._gained: set[Place] = set()
        self._next: dict[Place, int] = {}
        self._joining = True
        try:
            missing = sorted(set(topics) - _topics(self._consumer, self._where))
            if missing:
                remedy = "create them, or run once with --create-topics"
                raise StreamRefused(self._where, f"no topic {', '.join(missing)}", remedy)
            cluster = self._consumer._cluster.cluster_id or self._where
            self.name = f"kafka:{cluster}/{settings.stream.group}"
            self._consumer.subscribe(list(topics), listener=_listener(self))
        except BaseException:
            self._consumer.close(autocommit=False, timeout_ms=_LOOK_MS)
            raise

    def poll(self, seconds: float) -> list[RawMessage]:
        """Messages of started partitions; waits for some at most so long.

        Raises:
            StreamRefused: the broker does not let us read, or a partition begins anew.
        """
        from kafka import errors

        if self._joining:
            # The client forgets a join that ended while nobody waited for it, and asks once more.
            seconds = max(seconds, _JOIN_SECONDS)
        try:
            records = self._consumer.poll(timeout_ms=int(seconds * 1000))
        except errors.KafkaError as error:
            if _fatal(error):
                raise StreamRefused(self._where, words(error), "see its log") from None
            _log.warning("reading from %s failed and is tried again: %s", self._where, error)
            time.sleep(min(seconds, 0.5))
            return []
        with self._lock:
            for place in self._lost | self._gained:
                self._next.pop(place, None)
        found: list[RawMessage] = []
        for partition, some in records.items():
            place = Place(partition.topic, partition.partition)
            if place not in self._next:
                continue  # not claimed yet: they come again
            if some[0].offset < self._next[place]:
                raise _begun_anew(self._where, place, self._next[place], some[0].offset)
            self._next[place] = some[-1].offset + 1
            topic, number = place
            found += [
                RawMessage(topic, number, r.offset, r.timestamp, r.key, r.value or b"")
                for r in some
            ]
        return found

    def rebalanced(self) -> tuple[set[Place], set[Place]]:
        """Partitions lost and gained since the last call; one may be in both."""
        with self._lock:
            lost, gained = self._lost, self._gained
            self._lost, self._gained = set(), set()
        return lost, gained

    def start(self, claims: Mapping[Place, Claim]) -> None:
        """Read claimed partitions from where their books end; any of them again.

        Raises:
            StreamRefused: a partition ends before that: its topic was made anew.
            StreamUnavailable: the broker does not tell.
        """
        from kafka import TopicPartition, errors

        partitions = {place: TopicPartition(*place) for place in claims}
        try:
            first = self._consumer.beginning_offsets(list(partitions.values()), _LOOK_MS)
            end = self._consumer.end_offsets(list(partitions.values()), _LOOK_MS)
        except errors.KafkaError as error:
            raise StreamUnavailable(self._where, words(error)) from None
        for place, claim in claims.items():
            partition = partitions[place]
            if end[partition] < claim.next_offset:
                raise _begun_anew(self._where, place, claim.next_offset, end[partition])
            if 0 < claim.next_offset < first[partition]:
                _log.error(
                    "%s/%d: messages %d to %d expired on the broker before they were read",
                    *place,
                    claim.next_offset,
                    first[partition] - 1,
                )
            with suppress(errors.IllegalStateError):  # lost again meanwhile
                self._consumer.seek(partition, max(claim.next_offset, first[partition]))
                self._next[place] = claim.next_offset

    def pause(self) -> None:
        """Hand out nothing until `resume`, and stay in the group by polling."""
        self._consumer.pause(*self._consumer.assignment())

    def resume(self) -> None:
        """Hand out messages again."""
        self._consumer.resume(*self._consumer.paused())

    def lag(self, claims: Mapping[Place, Claim]) -> int | None:
        """Messages of the claimed partitions that are not stored yet, as far as is known."""
        from kafka import TopicPartition, errors

        total = 0
        for place, claim in claims.items():
            with suppress(errors.IllegalStateError):
                high = self._consumer.highwater(TopicPartition(*place))
                total += max((high or 0) - claim.next_offset, 0)
        return total

    def close(self) -> None:
        """Leave the group, so that others take over at once."""
        self._consumer.close(autocommit=False, timeout_ms=_LOOK_MS)

    def note(self, lost: set[Place], gained: set[Place], *, joining: bool = False) -> None:
        """What the group gave and took; called from the client's own thread."""
        with self._lock:
            self._joining = joining
            self._gained -= lost
            self._lost |= lost
            self._gained |= gained


def _listener(source: KafkaSource) -> Any:
    from kafka import ConsumerRebalanceListener

    class Listener(ConsumerRebalanceListener):  # type: ignore[misc]
        def on_partitions_revoked(self, revoked: Any) -> None:
            source.note({Place(p.topic, p.partition) for p in revoked}, set(), joining=True)
            # Where new metadata is the only reason to join again, the client (3.0.12) sees it no
            # more after a poll that ended before the join did, and would stay outside for good.
            source._consumer._coordinator.request_rejoin()

        def on_partitions_assigned(self, assigned: Any) -> None:
            source.note(set(), {Place(p.topic, p.partition) for p in assigned})

    return Listener()


def _open(settings: Settings, where: str) -> KafkaConsumer:
    from kafka import KafkaConsumer

    stream: Stream = settings.stream
    with reaching(where):
        return KafkaConsumer(
            group_id=stream.group,
            group_instance_id=stream.instance,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            allow_auto_create_topics=False,
            max_poll_records=stream.batch_messages,
            max_partition_fetch_bytes=max(_PARTITION_BYTES, 2 * stream.max_message_bytes),
            fetch_max_bytes=_FETCH_BYTES,
            session_timeout_ms=int(stream.session_seconds * 1000),
            heartbeat_interval_ms=int(stream.session_seconds * 1000 / 5),
            metadata_max_age_ms=10_000,
            metrics_enabled=False,
            **connection(settings),
        )


def _topics(consumer: KafkaConsumer, where: str) -> set[str]:
    """All topics; the client itself would wait for a silent broker without end."""
    found: list[set[str]] = []
    asking = threading.Thread(target=lambda: found.append(set(consumer.topics())), daemon=True)
    asking.start()
    asking.join(_BOOTSTRAP_MS / 1000)
    if not found:
        raise StreamUnavailable(where, "it does not tell its topics")
    return found[0]


@contextmanager
def reaching(where: str) -> Iterator[None]:
    """What the client says while it reaches for a broker, in our words.

    Its error tells of a time-out only; why each try failed it tells its log.
    """
    from kafka import errors

    ear = _Ear()
    log = logging.getLogger("kafka.net")
    log.addHandler(ear)
    try:
        yield
    except (errors.KafkaError, OSError, ValueError) as error:
        raise explain(error, where, ear.words) from None
    finally:
        log.removeHandler(ear)


class _Ear(logging.Handler):
    """Keeps the first word on a refused login, else the first on a lost connection."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.words, self._closed, self._greeted = "", 0, 0

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        for mark in ("AuthenticationFailed", "SaslMechanism", "certificate", "SSL"):
            if mark in text:
                self.words = _cause(text)
                self.setLevel(logging.CRITICAL + 1)
                return
        if "Connection lost" in text and "socket disconnected" in text:
            self._closed += 1
            self._greeted += "broker_version=(" in text  # it has told its version
        if self._greeted >= _CLOSED_OFTEN:
            self.words = "authentication failed: it answers and then closes every connection"
        elif self._closed >= _CLOSED_OFTEN:
            hint = "as when it starts or LASCOPF_KAFKA_SECURITY is wrong"
            self.words = f"it closes every connection, {hint}"


def _cause(text: str) -> str:
    """The end of a line of the client's log: what went wrong, without what it went wrong in."""
    told = text.rsplit("Error: ", 1)[-1] if "Error: " in text else text.split("failed: ", 1)[-1]
    told = told.split(" (backoff")[0]
    return told[:-1] if told.count(")") > told.count("(") else told


def explain(error: Exception, where: str, heard: str = "") -> StreamUnavailable | StreamRefused:
    """The platform's error for one of the client, with what its log said."""
    from kafka import errors

    told = " ".join((heard or words(error)).split())[:200]
    if "authentication" in told.lower() or "saslmechanism" in told.lower():
        remedy = "correct LASCOPF_KAFKA_SECURITY, _MECHANISM, _USER or _PASSWORD"
        return StreamRefused(where, told, remedy)
    if "certificate" in told.lower() or "ssl" in told.lower():
        return StreamRefused(where, told, "correct LASCOPF_KAFKA_SECURITY or _CA_FILE")
    if isinstance(error, errors.MessageSizeTooLargeError):
        remedy = "send shorter messages or raise max.message.bytes of the topic"
        return StreamRefused(where, told, remedy)
    if isinstance(error, errors.AuthorizationError):
        return StreamRefused(where, told, "let the user read and write the topics of the stream")
    if isinstance(error, ValueError) or _fatal(error):
        return StreamRefused(where, told, "correct LASCOPF_KAFKA_BOOTSTRAP")
    return StreamUnavailable(where, told)


def _fatal(error: Exception) -> bool:
    """Whether trying again is in vain."""
    from kafka import errors

    kinds = (
        errors.AuthorizationError,
        errors.SaslAuthenticationFailedError,
        errors.UnsupportedSaslMechanismError,
        errors.UnsupportedCodecError,
        errors.UnsupportedVersionError,
        errors.CorruptRecordError,
        errors.KafkaConfigurationError,
        errors.InvalidGroupIdError,
        errors.FencedInstanceIdError,
    )
    return isinstance(error, kinds)


def words(error: Exception) -> str:
    """What an error of the client says, with its name, in one line."""
    name = type(error).__name__
    text = str(error) if name in str(error) else f"{name}: {error}"
    return " ".join(text.split())[:200]


def _begun_anew(where: str, place: Place, stored: int, found: int) -> StreamRefused:
    name = f"{place.topic}/{place.partition}"
    return StreamRefused(
        where,
        f"{name} is stored up to {stored} but holds offset {found}: its topic was made anew",
        f"forget the old one by `lascopf stream forget {place.topic}`",
    )
