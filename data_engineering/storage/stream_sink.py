"""The sink of the stream: rows, offsets, requests and dead letters in one transaction.

What a partition holds is stored by whoever has its newest claim, from where the last transaction
ended; every other writer is fenced. So nothing is stored twice and nothing is left out, whatever
dies in between.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import psycopg2
import psycopg2.errors
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy.engine import Engine

from data_engineering.model.errors import DiskFull, Fenced, Retryable
from data_engineering.model.stream import (
    OFFSET,
    PARTITION,
    Claim,
    DeadLetter,
    Place,
    StreamRequest,
)
from data_engineering.model.tables import TABLES
from data_engineering.storage import stream_books, stream_rows
from data_engineering.storage.database import explain, where_of
from data_engineering.storage.stream_parts import Parts

_RETRIED = ("08", "40", "53", "57P")
_LATER = (
    "25006",  # read-only: the server that a fail-over left behind
    "25P03",  # we slept within a transaction
    "55P03",  # somebody holds what we claim
)
_LIMIT = "53400"  # TimescaleDB: more compressed rows than one statement may touch
_UNLIMITED = "SET LOCAL timescaledb.max_tuples_decompressed_per_dml_transaction = 0"
_DATA = ("21", "22", "23")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Batch:
    """What one transaction stores.

    Attributes:
        rows: by table name; see `model.stream.Committed.readings`. Topology changes too.
        first, following: by partition, the first message of the batch and the one after it.
        newest_ms: by partition, time stamp of its last message.
        values: the bytes of a message, for those that the database refuses.
        parts: `rows` made ready by `stream_parts`; a table that is not there has no new rows.
    """

    rows: Mapping[str, pa.Table]
    requests: Sequence[StreamRequest]
    letters: Sequence[DeadLetter]
    first: Mapping[Place, int]
    following: Mapping[Place, int]
    newest_ms: Mapping[Place, int]
    values: Callable[[Place, int], tuple[bytes, int]]
    parts: Mapping[str, Parts] = field(default_factory=dict)


@dataclass
class _Guess:
    """Whether rows that are thought new are; wrong guesses make the next ones rarer."""

    _pause: int = 0
    _longest: int = 1

    def new(self) -> bool:
        self._pause -= 1
        return self._pause < 0

    def right(self) -> None:
        self._longest = 1

    def wrong(self) -> None:
        self._pause, self._longest = self._longest, min(2 * self._longest, 256)


class Sink:
    """One session on the time-series database that stores batches of one stream."""

    def __init__(self, engine: Engine, stream: str, member: str) -> None:
        self._engine, self._stream, self._member = engine, stream, member
        self._days: dict[str, set[Any]] = {}
        self._unlimited = False
        self._guess: defaultdict[str, _Guess] = defaultdict(_Guess)
        self.claims: dict[Place, Claim] = {}

    def claim(self, places: Sequence[Place]) -> dict[Place, Claim]:
        """Take partitions over; whoever had them is fenced from now on.

        Raises:
            LascopfError: as `retryable` and `store`.
        """
        with self._transaction() as cursor:
            found = stream_books.claim(cursor, self._stream, self._member, places)
        self.claims.update(found)
        return found

    def release(self, places: Sequence[Place]) -> None:
        """Forget partitions that somebody else has now."""
        for place in places:
            self.claims.pop(place, None)

    def store(self, batch: Batch) -> tuple[datetime, Sequence[DeadLetter]]:
        """Store a batch; when, and the messages that the database refused.

        Raises:
            Fenced: a partition is not ours any more; nothing was stored.
            Retryable: the server does not answer or gave up; nothing was stored, try again.
            LascopfError: it refuses the work whole.
        """
        missing = [place for place in batch.following if place not in self.claims]
        if missing:
            raise Fenced(missing)
        for table, rows in batch.rows.items():
            self._make_days(table, rows)
        refused: list[DeadLetter] = []
        self._unlimited = False
        newest = {
            name: pc.max(rows.column(TABLES[name].time)).as_py()
            for name, rows in batch.rows.items()
            if rows.num_rows
        }
        with self._transaction() as cursor:
            lost = stream_books.advance(
                cursor, self._stream, self.claims, batch.following, batch.newest_ms, newest
            )
            if lost and not self._stored_already(cursor, batch):
                raise Fenced(lost)
            if lost:
                return self._moved(batch), refused
            for table, rows in batch.rows.items():
                self._write(cursor, table, rows, batch, refused)
            stream_books.add_requests(cursor, batch.requests)
            stream_books.add_letters(cursor, self._stream, [*batch.letters, *refused])
        return self._moved(batch), refused

    def add(
        self,
        rows: Mapping[str, pa.Table],
        requests: Sequence[StreamRequest],
        letters: Sequence[DeadLetter],
        attempts: Mapping[tuple[str, int, int], int],
    ) -> set[tuple[str, int, int]]:
        """Store messages without moving any offset; the places of those that failed again.

        Args:
            rows: as in `Batch`.
            requests: as in `Batch`.
            letters: those that failed before the database.
            attempts: which try this is, by place (topic, partition, offset).

        Raises:
            LascopfError: as `store`.
        """
        batch = Batch(rows, requests, letters, {}, {}, {}, lambda place, offset: (b"", 0))
        refused: list[DeadLetter] = []
        for name, table in rows.items():
            self._make_days(name, table)
        with self._transaction() as cursor:
            for name, table in rows.items():
                self._write(cursor, name, table, batch, refused)
            stream_books.add_requests(cursor, requests)
            failed = [
                replace(one, attempt=attempts[one.topic, one.partition, one.offset])
                for one in [*letters, *refused]
            ]
            stream_books.add_letters(cursor, self._stream, failed)
        return {(one.topic, one.partition, one.offset) for one in failed}

    def _moved(self, batch: Batch) -> datetime:
        for place, offset in batch.following.items():
            self.claims[place] = Claim(place, self.claims[place].epoch, offset)
        return datetime.now(UTC)

    def _stored_already(self, cursor: Any, batch: Batch) -> bool:
        """Whether our last try was stored though the server's word on it never reached us."""
        known = stream_books.offsets(cursor, self._stream)
        return all(
            known.get(place) == (self.claims[place].epoch, offset)
            for place, offset in batch.following.items()
        )

    def _write(
        self,
        cursor: Any,
        name: str,
        rows: pa.Table,
        batch: Batch,
        refused: list[DeadLetter],
        used: bool = False,
    ) -> None:
        """All rows, or halves of them until the message that the database refuses is alone."""
        if rows.num_rows == 0:
            return
        cursor.execute("SAVEPOINT rows")
        try:
            parts = None if used else batch.parts.get(name)
            if parts is None or not self._put_new(cursor, name, parts):
                others = rows.drop_columns([PARTITION, OFFSET])
            else:
                others = parts.others
            if others.num_rows:
                stream_rows.upsert(cursor, TABLES[name], others, used=used)
        except psycopg2.Error as error:
            if _is_data(error):
                cursor.execute("ROLLBACK TO SAVEPOINT rows")
                halves = _halves(rows)
                if len(halves) == 1:
                    refused.append(_refusal(name, rows, error, batch))
                    _log.warning("%s", refused[-1].reason)
                    return
                for half in halves:
                    self._write(cursor, name, half, batch, refused, used=True)
                return
            if error.pgcode != _LIMIT or self._unlimited:
                raise
            self._unlimited = True  # the backfill path: a late scan into compressed days
            cursor.execute("ROLLBACK TO SAVEPOINT rows")
            cursor.execute(_UNLIMITED)
            self._write(cursor, name, rows, batch, refused, used=True)
            return
        cursor.execute("RELEASE SAVEPOINT rows")

    def _put_new(self, cursor: Any, name: str, parts: Parts) -> bool:
        """Copy the rows that are thought new straight into the table; whether their keys were."""
        guess = self._guess[name]
        if not parts.new or not guess.new():
            return False
        try:
            stream_rows.insert(cursor, TABLES[name], parts.new)
        except psycopg2.errors.UniqueViolation:
            guess.wrong()
            cursor.execute("ROLLBACK TO SAVEPOINT rows")
            return False
        guess.right()
        return True

    def _make_days(self, name: str, rows: pa.Table) -> None:
        """The partitions that rows need, in a transaction of their own; see `timeseries.write`."""
        if rows.num_rows == 0:
            return
        days = pc.unique(pc.floor_temporal(rows.column(TABLES[name].time), unit="day"))
        asked = {day.date() for day in days.to_pylist()} - self._days.get(name, set())
        if asked:
            with self._transaction() as cursor:
                cursor.execute("SELECT ensure_partitions(%s, %s::date[])", (name, sorted(asked)))
            self._days.setdefault(name, set()).update(asked)

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        try:
            with (
                self._engine.begin() as connection,
                closing(connection.connection.cursor()) as cursor,
            ):
                cursor.execute("SET LOCAL idle_in_transaction_session_timeout = '30s'")
                yield cursor
        except psycopg2.Error as error:
            self._days.clear()  # a day may have expired meanwhile
            raise explain(error, where_of(self._engine)) from error


def retryable(error: BaseException) -> bool:
    """Whether the same batch may be stored later: the server is down, full, busy or read-only."""
    cause = error.__cause__
    if isinstance(cause, psycopg2.Error) and cause.pgcode:
        return cause.pgcode.startswith(_RETRIED) or cause.pgcode in _LATER or _no_day(cause)
    return isinstance(error, Retryable | DiskFull)


def _is_data(error: psycopg2.Error) -> bool:
    """Whether a row is to blame, and not the server or the want of a day's partition."""
    return (error.pgcode or "")[:2] in _DATA and not _no_day(error)


def _no_day(error: psycopg2.Error) -> bool:
    """The partition of a day expired since it was made; a new try makes it again."""
    return error.pgcode == "23514" and not error.diag.constraint_name


def _halves(rows: pa.Table) -> list[pa.Table]:
    """The rows of the first and of the second half of the messages; one part is one message."""
    partitions, offsets = rows.column(PARTITION).to_numpy(), rows.column(OFFSET).to_numpy()
    changes = ((partitions[1:] != partitions[:-1]) | (offsets[1:] != offsets[:-1])).nonzero()[0] + 1
    if len(changes) == 0:
        return [rows]
    middle = int(changes[len(changes) // 2])
    return [rows.slice(0, middle), rows.slice(middle)]


def _refusal(name: str, rows: pa.Table, error: psycopg2.Error, batch: Batch) -> DeadLetter:
    place = Place(name, int(rows.column(PARTITION)[0].as_py()))
    offset = int(rows.column(OFFSET)[0].as_py())
    value, timestamp_ms = batch.values(place, offset)
    what = " ".join((error.diag.message_primary or str(error)).split()).replace("\x00", "\\0")
    field = error.diag.column_name or error.diag.constraint_name or ""
    return DeadLetter(
        place.topic,
        place.partition,
        offset,
        f"the database refuses a row: {what}",
        "refused",
        field,
        "",
        1,
        value,
        timestamp_ms,
    )


def without(rows: pa.Table, partition: int, offset: int) -> pa.Table:
    """The rows of all messages but one."""
    one = pc.and_(pc.equal(rows[PARTITION], partition), pc.equal(rows[OFFSET], offset))
    return rows.filter(pc.invert(one))
