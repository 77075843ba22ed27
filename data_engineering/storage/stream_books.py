"""The books of the stream: claims and offsets, requests, dead letters. Each in a transaction."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import psycopg2.errors
from psycopg2.extras import execute_values

from data_engineering.model.stream import Claim, DeadLetter, Place, StreamRequest

LATEST_SECONDS = 253_402_300_799.0
"""The end of the year 9999; a producer's clock may say anything."""
_BATCH_SECONDS = 5
"""A batch that is being stored by whoever had the partitions is waited for, but no longer."""
_log = logging.getLogger(__name__)


def claim(cursor: Any, stream: str, member: str, places: Sequence[Place]) -> dict[Place, Claim]:
    """Take over partitions for a member; those that are new begin at their offset 0.

    A process that was put to sleep while it stored a batch holds its rows locked, and no timeout of
    the server ends a COPY that waits for its client. Its session is ended, its batch is undone.

    Raises:
        psycopg2.errors.LockNotAvailable: they are held still; try again.
    """
    if not places:
        return {}
    cursor.execute(f"SET LOCAL lock_timeout = '{_BATCH_SECONDS}s'")
    cursor.execute("SAVEPOINT claim")
    try:
        return _take(cursor, stream, member, places)
    except psycopg2.errors.LockNotAvailable:
        cursor.execute("ROLLBACK TO SAVEPOINT claim")
    _end_holders(cursor, stream, places)
    return _take(cursor, stream, member, places)


def _end_holders(cursor: Any, stream: str, places: Sequence[Place]) -> None:
    """End the sessions whose open transactions have changed the rows of partitions.

    What `xmax` names of a row that we can see is the transaction that is changing it. A session may
    end those of its own login: not as the role that the platform works as, nor of other logins.
    """
    cursor.execute("SET LOCAL ROLE NONE")
    try:
        found = execute_values(
            cursor,
            "SELECT held.pid, pg_terminate_backend(held.pid) FROM (SELECT DISTINCT l.pid "
            "FROM (VALUES %s) AS v (stream, topic, part) JOIN stream_offsets AS o "
            "ON o.stream = v.stream AND o.topic = v.topic AND o.stream_partition = v.part "
            "JOIN pg_locks AS l ON l.transactionid = o.xmax AND l.granted "
            "AND l.mode = 'ExclusiveLock' AND l.pid <> pg_backend_pid()) AS held",
            [(stream, *place) for place in places],
            page_size=1000,
            fetch=True,
        )
    except psycopg2.errors.InsufficientPrivilege as error:
        _log.warning("a sleeping session holds partitions and is not ours to end: %s", error)
    else:
        _log.warning("ended %d sessions that held our partitions", len(found))
    # Takes back the role too.
    cursor.execute("ROLLBACK TO SAVEPOINT claim")


def _take(cursor: Any, stream: str, member: str, places: Sequence[Place]) -> dict[Place, Claim]:
    found = execute_values(
        cursor,
        "INSERT INTO stream_offsets AS o "
        "(stream, topic, stream_partition, next_offset, epoch, member, updated_at) VALUES %s "
        "ON CONFLICT (stream, topic, stream_partition) DO UPDATE "
        "SET epoch = o.epoch + 1, member = EXCLUDED.member, updated_at = now() "
        "RETURNING topic, stream_partition, epoch, next_offset",
        [(stream, place.topic, place.partition, 0, 1, member) for place in sorted(places)],
        template="(%s, %s, %s, %s, %s, %s, now())",
        page_size=1000,
        fetch=True,
    )
    claims = {}
    for topic, partition, epoch, next_offset in found:
        place = Place(topic, partition)
        claims[place] = Claim(place, epoch, next_offset)
    return claims


def advance(
    cursor: Any,
    stream: str,
    claims: Mapping[Place, Claim],
    following: Mapping[Place, int],
    newest_ms: Mapping[Place, int],
    newest_rows: Mapping[str, datetime],
) -> list[Place]:
    """Move the offsets of claimed partitions on; those that somebody else has moved or claimed.

    Args:
        cursor: in the transaction that stores the rows.
        stream: whose offsets.
        claims: of all partitions in `following`.
        following: the first offset that is not stored then.
        newest_ms: time stamp of the newest message.
        newest_rows: the newest time of a row, by topic.
    """
    if not following:
        return []
    values = [
        (
            stream,
            *place,
            claims[place].epoch,
            claims[place].next_offset,
            offset,
            min(max(newest_ms[place], 0) / 1000, LATEST_SECONDS),
            newest_rows.get(place.topic),
        )
        for place, offset in sorted(following.items())
    ]
    moved = execute_values(
        cursor,
        "UPDATE stream_offsets AS o SET next_offset = v.following, updated_at = now(), "
        "last_message_at = to_timestamp(v.newest), "
        "newest_row_at = greatest(o.newest_row_at, v.newest_row) "
        "FROM (VALUES %s) AS v "
        "(stream, topic, part, epoch, known, following, newest, newest_row) "
        "WHERE o.stream = v.stream AND o.topic = v.topic AND o.stream_partition = v.part "
        "AND o.epoch = v.epoch AND o.next_offset = v.known "
        "RETURNING o.topic, o.stream_partition",
        values,
        template="(%s, %s, %s, %s::bigint, %s::bigint, %s::bigint, %s::double precision, "
        "%s::timestamptz)",
        page_size=1000,
        fetch=True,
    )
    done = {Place(*row) for row in moved}
    return [place for place in following if place not in done]


def offsets(cursor: Any, stream: str) -> dict[Place, tuple[int, int]]:
    """Epoch and next offset of every partition of a stream."""
    cursor.execute(
        "SELECT topic, stream_partition, epoch, next_offset FROM stream_offsets WHERE stream = %s",
        (stream,),
    )
    return {Place(topic, part): (epoch, offset) for topic, part, epoch, offset in cursor.fetchall()}


def add_requests(cursor: Any, requests: Sequence[StreamRequest]) -> None:
    """Note solves that are asked for; one that is known is left as it is."""
    if requests:
        execute_values(
            cursor,
            "INSERT INTO stream_requests (request_id, case_name, requested_at, received_at, "
            "config, status, answer) VALUES %s ON CONFLICT DO NOTHING",
            [
                (one.request_id, one.case_name, one.requested_at, json.dumps(dict(one.config)))
                for one in requests
            ],
            template="(%s, %s, %s, now(), %s, 'open', '')",
        )


def add_letters(cursor: Any, stream: str, letters: Sequence[DeadLetter]) -> None:
    """Keep messages that gave no rows; of one that is kept already the newest reason stands."""
    unique = {(one.topic, one.partition, one.offset): one for one in letters}
    if unique:
        execute_values(
            cursor,
            "INSERT INTO stream_dead_letters (stream, topic, stream_partition, stream_offset, "
            "failed_at, message_at, verdict, reason, field, value, attempt, payload_base64) "
            "VALUES %s ON CONFLICT (stream, topic, stream_partition, stream_offset) DO UPDATE "
            "SET failed_at = EXCLUDED.failed_at, verdict = EXCLUDED.verdict, "
            "reason = EXCLUDED.reason, field = EXCLUDED.field, value = EXCLUDED.value, "
            "attempt = EXCLUDED.attempt, resolved_at = NULL",
            [
                (
                    stream,
                    one.topic,
                    one.partition,
                    one.offset,
                    min(max(one.timestamp_ms, 0) / 1000, LATEST_SECONDS),
                    one.verdict,
                    one.reason,
                    one.field,
                    one.value,
                    one.attempt,
                    base64.b64encode(one.payload).decode(),
                )
                for one in unique.values()
            ],
            template="(%s, %s, %s, %s, now(), to_timestamp(%s), %s, %s, %s, %s, %s, %s)",
        )
