"""Decisions of the stream and what it remembers between them, in the metadata database.

One process at a time decides for a case: it holds the claim with the greatest epoch. Decisions and
the state that follows from them are written in one transaction, or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg2.extras import Json, execute_values
from sqlalchemy.engine import Engine

from data_engineering.model.decisions import Decision
from data_engineering.model.errors import DecisionsTaken
from data_engineering.model.tables import REOPTIMIZATION_EVENTS
from data_engineering.storage.database import driver_cursor

MOST_CAUSES = 50


@dataclass(frozen=True)
class StateClaim:
    """The right to decide for a case, and what was remembered when it was taken.

    Attributes:
        document: the state; None where there was none.
    """

    case_name: str
    epoch: int
    document: Mapping[str, Any] | None


def claim_state(engine: Engine, case_name: str, holder: str) -> StateClaim:
    """Take over the decisions for a case; whoever held them cannot write any more.

    Args:
        engine: the metadata database.
        case_name: grid case.
        holder: name of this process.
    """
    with driver_cursor(engine) as cursor:
        cursor.execute(
            "INSERT INTO reoptimization_state AS s (case_name, epoch, holder, updated_at) "
            "VALUES (%s, 1, %s, now()) ON CONFLICT (case_name) DO UPDATE "
            "SET epoch = s.epoch + 1, holder = EXCLUDED.holder, updated_at = now() "
            "RETURNING epoch, document",
            (case_name, holder),
        )
        epoch, document = cursor.fetchone()
    return StateClaim(case_name, epoch, document)


def save(
    engine: Engine,
    claim: StateClaim,
    decisions: Sequence[Decision],
    document: Mapping[str, Any],
    known: Mapping[str, Any] | None = None,
) -> list[str]:
    """Write decisions and the state after them.

    Args:
        engine: the metadata database.
        claim: of `claim_state`.
        decisions: in order.
        document: the state, as JSON values.
        known: snapshot and topology of the fire among them, as JSON values.

    Returns:
        Keys that were not written before; a fire with another key was asked for already.

    Raises:
        DecisionsTaken: another process decides for the case now; nothing was written.
    """
    with driver_cursor(engine) as cursor:
        cursor.execute(
            "UPDATE reoptimization_state SET document = %s, updated_at = now() "
            "WHERE case_name = %s AND epoch = %s",
            (Json(document), claim.case_name, claim.epoch),
        )
        if cursor.rowcount != 1:
            cursor.execute(
                "SELECT holder FROM reoptimization_state WHERE case_name = %s", (claim.case_name,)
            )
            found = cursor.fetchone()
            raise DecisionsTaken(claim.case_name, found[0] if found else "nobody")
        return _insert(cursor, decisions, known)


def note_start(engine: Engine, idempotency_key: str, at: datetime) -> None:
    """Note when the solve of a fire began; the first of several stands."""
    with driver_cursor(engine) as cursor:
        cursor.execute(
            "UPDATE reoptimization_events SET started_at = coalesce(started_at, %s) "
            "WHERE idempotency_key = %s",
            (at, idempotency_key),
        )


def note_end(engine: Engine, idempotency_key: str, at: datetime, outcome: str) -> None:
    """Note when a fire was answered and how; the newest of several stands."""
    with driver_cursor(engine) as cursor:
        cursor.execute(
            "UPDATE reoptimization_events SET ended_at = %s, outcome = %s "
            "WHERE idempotency_key = %s",
            (at, outcome, idempotency_key),
        )


def read_fire(engine: Engine, idempotency_key: str) -> Mapping[str, Any] | None:
    """The row of a fire with what was known then; None where there is none of that key."""
    names = REOPTIMIZATION_EVENTS.names
    with driver_cursor(engine) as cursor:
        cursor.execute(
            f"SELECT {', '.join(names)} FROM reoptimization_events "  # noqa: S608 - declared names
            "WHERE idempotency_key = %s AND action = 'fire'",
            (idempotency_key,),
        )
        row = cursor.fetchone()
    return None if row is None else dict(zip(names, row, strict=True))


def _insert(
    cursor: Any, decisions: Sequence[Decision], known: Mapping[str, Any] | None
) -> list[str]:
    if not decisions:
        return []
    names = ", ".join(REOPTIMIZATION_EVENTS.names)
    found = execute_values(
        cursor,
        f"INSERT INTO reoptimization_events ({names}) VALUES %s "  # noqa: S608 - declared names
        "ON CONFLICT (idempotency_key) DO NOTHING RETURNING idempotency_key",
        [_row(decision, known) for decision in decisions],
        fetch=True,
    )
    return [key for (key,) in found]


def _row(decision: Decision, known: Mapping[str, Any] | None) -> tuple[Any, ...]:
    first, fire = decision.causes[0], decision.action == "fire"
    causes = [
        {
            "reason": cause.reason,
            "subject": cause.subject,
            "observed": cause.observed,
            "limit": cause.limit,
            "since": cause.since.isoformat(),
        }
        for cause in decision.causes[:MOST_CAUSES]
    ]
    return (
        decision.idempotency_key,
        decision.case_name,
        decision.decided_at,
        decision.action,
        first.reason,
        decision.hindrance,
        first.subject,
        first.observed,
        first.limit,
        len(decision.causes),
        json.dumps(causes),
        decision.interval_start,
        decision.topology.digest,
        decision.snapshot_digest,
        decision.ready_at,
        decision.execution_id if fire else None,
        Json(known) if fire and known is not None else None,
        None,
        None,
        None,
    )
