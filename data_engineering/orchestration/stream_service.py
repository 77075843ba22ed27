"""The service that stores the stream: poll, parse, store, tell; over and over.

While one batch is stored by a thread the next is read and parsed. A batch that the database
cannot take now is kept and tried again, and the source is polled meanwhile so that the group
keeps us; whatever was not stored is read again from where the books end.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from data_engineering.ingestion.stream_messages import parse, status_changes
from data_engineering.ingestion.stream_rules import Rules
from data_engineering.model.errors import Fenced, LascopfError, StreamUnavailable
from data_engineering.model.stream import (
    TOPOLOGY_TOPIC,
    Claim,
    Committed,
    DeadLetter,
    Place,
    RawMessage,
)
from data_engineering.model.tables import TABLES
from data_engineering.orchestration.stream_health import Health
from data_engineering.settings import Stream
from data_engineering.storage.stream_parts import Newest
from data_engineering.storage.stream_sink import Batch, Sink, retryable, without

_IDLE_SECONDS = 0.2
_STOP_SECONDS = 20.0
_FENCED_SECONDS = 2.0
_log = logging.getLogger(__name__)

Stored = tuple[datetime, Sequence[DeadLetter]]


class Source(Protocol):
    """Where messages come from: `KafkaSource` or `FileSource`."""

    name: str

    @property
    def exhausted(self) -> bool:
        """No message will ever come."""

    def poll(self, seconds: float) -> list[RawMessage]:
        """Messages of started partitions."""

    def rebalanced(self) -> tuple[set[Place], set[Place]]:
        """Partitions lost and gained since the last call."""

    def start(self, claims: Mapping[Place, Claim]) -> None:
        """Read claimed partitions from where their books end."""

    def pause(self) -> None:
        """Hand out nothing."""

    def resume(self) -> None:
        """Hand out messages again."""

    def lag(self, claims: Mapping[Place, Claim]) -> int | None:
        """Messages that wait."""

    def close(self) -> None:
        """Give the partitions back."""


@dataclass
class Service:
    """One member of the stream's group.

    Attributes:
        on_committed: called after each transaction, in their order, in the service's own thread;
            it returns quickly. What it raises ends the service; the rows are stored.
        stop: set from elsewhere, it ends the service after the batch in hand.
    """

    source: Source
    sink: Sink
    rules: Rules
    limits: Stream
    health: Health
    on_committed: Callable[[Committed], None] = lambda committed: None
    stop: threading.Event = field(default_factory=threading.Event)
    _pending: deque[RawMessage] = field(default_factory=deque)
    _unclaimed: set[Place] = field(default_factory=set)
    _newest: Newest = field(default_factory=Newest)
    _work: _Work | None = None
    _retry_at: float = 0.0

    def run(self) -> None:
        """Serve until `stop`, or until a source without a future is stored whole.

        Raises:
            StreamRefused, StreamUnavailable, Fenced: the source ends it.
            LascopfError: the database refuses the work; nothing of that batch was stored.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="stream-store") as thread:
            try:
                while not self.stop.is_set() and not self._done():
                    self._turn(thread)
                self._finish(thread, deadline=time.monotonic() + _STOP_SECONDS)
                self.health.end("stopped", "")
            except LascopfError as error:
                self.health.end("failed", str(error))
                raise
            finally:
                self.source.close()

    def _done(self) -> bool:
        idle = not self._pending and self._work is None and not self._unclaimed
        return idle and self.source.exhausted

    def _turn(self, thread: ThreadPoolExecutor) -> None:
        if self._unclaimed:
            self._finish(thread)
            self._claim()
        busy = self._work is not None or bool(self._pending)
        found = self.source.poll(0.0 if busy else _IDLE_SECONDS) if self._wants_more() else []
        self._rebalance(thread)
        # No claim is made between the poll and here: what is claimed was read from its claim on.
        self._pending.extend(m for m in found if Place(m.topic, m.partition) in self.sink.claims)
        if self._pending:
            work = _prepare(self._take(), self.rules, self._newest)
            self._finish(thread)
            self._submit(thread, work)
        else:
            self._finish(thread)
        self.health.beat(self.source, self.sink.claims)

    def _wants_more(self) -> bool:
        return len(self._pending) < self.limits.batch_messages

    def _take(self) -> list[RawMessage]:
        """The next batch within the limits; at least one message."""
        taken: list[RawMessage] = []
        size = 0
        while self._pending and len(taken) < self.limits.batch_messages:
            size += len(self._pending[0].value)
            if taken and size > self.limits.batch_bytes:
                break
            taken.append(self._pending.popleft())
        return taken

    def _submit(self, thread: ThreadPoolExecutor, work: _Work) -> None:
        held = [place for place in work.batch.following if place in self.sink.claims]
        if len(held) < len(work.batch.following):
            self._rewind()  # the batch was read before a partition went elsewhere
            return
        work.stored = thread.submit(self.sink.store, work.batch)
        self._work = work

    def _finish(self, thread: ThreadPoolExecutor, deadline: float | None = None) -> None:
        """Wait until the batch in hand is stored; keep it through outages of the database."""
        delay = 0.1
        while self._work is not None and self._work.stored is not None:
            work, stored = self._work, self._work.stored
            if not self._await(stored):
                if deadline is not None and time.monotonic() > deadline:
                    return
                continue
            try:
                at, refused = stored.result()
            except Fenced as fenced:
                _log.warning("%s", fenced)
                self._fenced(fenced)
                return
            except LascopfError as error:
                if not retryable(error):
                    raise
                self.health.waiting(str(error))
                self._keep_polling(delay)
                delay = min(2 * delay, self.limits.retry_seconds)
                lost, gained = self.source.rebalanced()
                if lost or gained or (deadline is not None and time.monotonic() > deadline):
                    self._unclaimed = (self._unclaimed - lost) | gained
                    self.sink.release([*lost, *gained])
                    self._rewind()
                    return
                work.stored = thread.submit(self.sink.store, work.batch)
                continue
            self._work = None
            self.source.resume()
            self.health.stored(work.messages, work.rows, len(work.batch.letters) + len(refused), at)
            self.on_committed(_committed(work, refused, at))

    def _await(self, stored: Future[Stored]) -> bool:
        """Whether the thread is done within a second; polls the paused source when it is not."""
        done, _ = wait([stored], timeout=1.0)
        if not done:
            self._keep_polling(0.0)
        return bool(done)

    def _keep_polling(self, seconds: float) -> None:
        self.source.pause()
        self._pending.extend(self.source.poll(seconds))

    def _rebalance(self, thread: ThreadPoolExecutor) -> None:
        """Note what the group gave, drop what it took."""
        lost, gained = self.source.rebalanced()
        if not lost and not gained:
            return
        self._finish(thread)
        self._unclaimed = (self._unclaimed - lost) | gained
        self.sink.release([*lost, *gained])
        self._pending = deque(
            message
            for message in self._pending
            if Place(message.topic, message.partition) in self.sink.claims
        )

    def _claim(self) -> None:
        wanted = sorted(self._unclaimed)
        if time.monotonic() < self._retry_at:
            return
        try:
            claims = self.sink.claim(wanted)
            self.source.start(claims)
        except LascopfError as error:
            if not (retryable(error) or isinstance(error, StreamUnavailable)):
                raise
            self.sink.release(wanted)
            self.health.waiting(str(error))
            self._retry_at = time.monotonic() + min(1.0, self.limits.retry_seconds)
            return
        self._unclaimed = set()
        self.health.running()
        _log.info("reading %s", ", ".join(f"{p.topic}/{p.partition}" for p in wanted))

    def _fenced(self, fenced: Fenced) -> None:
        """Somebody has claimed a partition of ours, or bade us read it anew.

        In the first case the group takes it from us within the pause.
        """
        if self.source.name.startswith("file:"):
            raise fenced  # there is no group that would settle it
        lost, gained = self.source.rebalanced()
        self._rewind()
        places = {Place(*place) for place in fenced.places}
        self._unclaimed = ((self._unclaimed | places) - lost) | gained
        self._retry_at = time.monotonic() + _FENCED_SECONDS

    def _rewind(self) -> None:
        """Forget what was read and not stored, and read it again."""
        self._work = None
        self._pending.clear()
        self.source.resume()
        self._unclaimed |= set(self.sink.claims)
        self.sink.release(list(self.sink.claims))


@dataclass
class _Work:
    """A batch on its way."""

    messages: Sequence[RawMessage]
    batch: Batch
    rows: int
    stored: Future[Stored] | None = None


def _prepare(messages: list[RawMessage], rules: Rules, seen: Newest) -> _Work:
    parsed = parse(messages, rules)
    first: dict[Place, int] = {}
    following: dict[Place, int] = {}
    newest: dict[Place, int] = {}
    for message in messages:
        place = Place(message.topic, message.partition)
        first.setdefault(place, message.offset)
        following[place] = message.offset + 1
        newest[place] = message.timestamp_ms

    def value(place: Place, offset: int) -> tuple[bytes, int]:
        for one in messages:
            if (one.topic, one.partition, one.offset) == (*place, offset):
                return one.value, one.timestamp_ms
        raise KeyError(offset)

    parts = {name: seen.parts(TABLES[name], rows) for name, rows in parsed.rows.items()}
    batch = Batch(
        parsed.rows, parsed.requests, parsed.letters, first, following, newest, value, parts
    )
    return _Work(messages, batch, sum(rows.num_rows for rows in parsed.rows.values()))


def _committed(work: _Work, refused: Sequence[DeadLetter], at: datetime) -> Committed:
    rows = dict(work.batch.rows)
    for one in refused:
        rows[one.topic] = without(rows[one.topic], one.partition, one.offset)
    changes = rows.pop(TOPOLOGY_TOPIC, None)
    return Committed(
        {name: table for name, table in rows.items() if table.num_rows},
        () if changes is None else status_changes(changes),
        tuple(work.batch.requests),
        at,
    )
