"""What is known of the stream: its members, how far it is stored, dead letters, requests."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

import pandas as pd
from psycopg2.extras import execute_values
from sqlalchemy.engine import Engine

from data_engineering.model.errors import NoRows
from data_engineering.model.stream import DeadLetter, Member, StreamRequest
from data_engineering.storage.database import driver_cursor
from data_engineering.storage.metadata import query

_COLUMNS = [one.name for one in fields(Member)]


def tell_member(engine: Engine, member: Member) -> None:
    """Write a member's row."""
    names, marks = ", ".join(_COLUMNS), ", ".join(["%s"] * len(_COLUMNS))
    changes = ", ".join(f"{name} = EXCLUDED.{name}" for name in _COLUMNS[2:])
    with driver_cursor(engine) as cursor:
        cursor.execute(
            f"INSERT INTO stream_members ({names}) VALUES ({marks}) "  # noqa: S608 - own names
            f"ON CONFLICT (stream, member) DO UPDATE SET {changes}",
            [getattr(member, name) for name in _COLUMNS],
        )


def members(engine: Engine, since: datetime | None = None) -> pd.DataFrame:
    """Rows of `stream_members` with `silent_seconds`, newest first; those that beat since then."""
    return query(
        engine,
        "SELECT *, extract(epoch FROM now() - beat_at)::float8 AS silent_seconds "
        "FROM stream_members WHERE beat_at >= coalesce(:since, '-infinity'::timestamptz) "
        "ORDER BY beat_at DESC, member",
        {"since": since},
    )


def offsets(engine: Engine) -> pd.DataFrame:
    """Rows of `stream_offsets`."""
    return query(engine, "SELECT * FROM stream_offsets ORDER BY stream, topic, stream_partition")


def forget(engine: Engine, topic: str) -> int:
    """Let every stream read a topic from its beginning again; partitions concerned.

    Raises:
        NoRows: nothing of that topic is stored.
    """
    with driver_cursor(engine) as cursor:
        cursor.execute(
            "UPDATE stream_offsets SET next_offset = 0, epoch = epoch + 1, updated_at = now() "
            "WHERE topic = %s",
            (topic,),
        )
        count = int(cursor.rowcount)
    if not count:
        raise NoRows("stream_offsets", f"topic {topic}", "see `lascopf stream status`")
    return count


def letters(
    engine: Engine, *, limit: int = 1000, resolved: bool = False, unpublished: bool = False
) -> list[tuple[str, DeadLetter]]:
    """Dead letters with their streams, oldest first: those still open, or also the resolved."""
    with driver_cursor(engine) as cursor:
        cursor.execute(
            "SELECT stream, topic, stream_partition, stream_offset, reason, verdict, field, value, "
            "attempt, payload_base64, (extract(epoch FROM message_at) * 1000)::bigint "
            "FROM stream_dead_letters WHERE (%s OR resolved_at IS NULL) "
            "AND (NOT %s OR published_at IS NULL) "
            "ORDER BY failed_at, stream, topic, stream_partition, stream_offset LIMIT %s",
            (resolved, unpublished, limit),
        )
        found = cursor.fetchall()
    return [(stream, _letter(*facts)) for stream, *facts in found]


def open_letters(engine: Engine) -> dict[str, int]:
    """How many dead letters are open, by verdict."""
    found = query(
        engine,
        "SELECT verdict, count(*) AS letters FROM stream_dead_letters WHERE resolved_at IS NULL "
        "GROUP BY verdict ORDER BY verdict",
    )
    return dict(zip(found["verdict"].tolist(), found["letters"].tolist(), strict=True))


def _letter(*facts: Any) -> DeadLetter:
    topic, partition, offset, reason, verdict, field, value, attempt, payload, at_ms = facts
    content = base64.b64decode(payload)
    return DeadLetter(
        topic, partition, offset, reason, verdict, field, value, attempt, content, at_ms
    )


def mark_published(engine: Engine, found: Sequence[tuple[str, DeadLetter]]) -> None:
    """Note that dead letters went to their topics."""
    _mark(engine, "published_at = now()", found)


def mark_resolved(engine: Engine, found: Sequence[tuple[str, DeadLetter]]) -> None:
    """Note that a replay stored all rows of dead letters."""
    _mark(engine, "resolved_at = now(), attempt = d.attempt + 1", found)


def _mark(engine: Engine, change: str, found: Sequence[tuple[str, DeadLetter]]) -> None:
    if not found:
        return
    with driver_cursor(engine) as cursor:
        execute_values(
            cursor,
            f"UPDATE stream_dead_letters AS d SET {change} "  # noqa: S608 - own words
            "FROM (VALUES %s) AS v (stream, topic, part, place) WHERE d.stream = v.stream "
            "AND d.topic = v.topic AND d.stream_partition = v.part AND d.stream_offset = v.place",
            [(stream, one.topic, one.partition, one.offset) for stream, one in found],
            template="(%s, %s, %s, %s::bigint)",
        )


def open_requests(engine: Engine, case_name: str) -> list[StreamRequest]:
    """Solves of a case that are asked for and not answered, oldest first."""
    with driver_cursor(engine) as cursor:
        cursor.execute(
            "SELECT request_id, case_name, requested_at, config FROM stream_requests "
            "WHERE status = 'open' AND case_name = %s ORDER BY requested_at, request_id",
            (case_name,),
        )
        return [StreamRequest(*row) for row in cursor.fetchall()]


def answer_request(engine: Engine, request_id: str, answer: str, *, refused: bool = False) -> bool:
    """Answer a request by an execution's id, or by why it is refused; False: it was already."""
    with driver_cursor(engine) as cursor:
        cursor.execute(
            "UPDATE stream_requests SET status = %s, answer = %s, answered_at = now() "
            "WHERE request_id = %s AND status = 'open'",
            ("refused" if refused else "done", answer, request_id),
        )
        return bool(cursor.rowcount)
