"""`Decision`: whether a new dispatch is asked for, and why."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from data_engineering.model.snapshot import Snapshot, Topology

Action = Literal["fire", "suppress", "alarm"]
Reason = Literal[
    "topology",
    "branch_loading",
    "deviation",
    "forecast_revision",
    "price_revision",
    "timer",
    "dead_man",
]
"""In the order of their weight: of several causes the first one names the decision."""
Hindrance = Literal[
    "debounce",
    "cooldown",
    "in_flight",
    "hysteresis",
    "unconfirmed",
    "cleared",
    "below_threshold",
    "bad_quality",
    "stale",
    "late",
    "duplicate",
]
"""Why nothing is asked for although something happened."""


@dataclass(frozen=True)
class Cause:
    """One thing that happened.

    Attributes:
        subject: the element, series or revision.
        observed: what was seen, in the unit of the reason: MW of a deviation or a revision, percent
            of a loading, USD/MWh of a price; None for the others.
        limit: what it was compared with.
        since: when it was first seen (UTC).
    """

    reason: Reason
    subject: str
    observed: float | None
    limit: float | None
    since: datetime


@dataclass(frozen=True)
class Decision:
    """One decision; all of its causes are held back, or served, together.

    Attributes:
        decided_at: by the clock of the stream (UTC).
        interval_start: the dispatch interval that `decided_at` is in (UTC).
        causes: the weightiest first; at least one.
        hindrance: why it was suppressed; None of a fire or an alarm.
        idempotency_key: of a fire made of interval, topology and snapshot alone, so that the same
            state asks once; of the others made of cause and hindrance besides.
        ready_at: when the state that it is about was complete, by the clock of the stream: the
            delay until the solve starts counts from here.
        snapshot: what was known; None where nothing is asked for.
    """

    case_name: str
    action: Action
    decided_at: datetime
    interval_start: datetime
    causes: tuple[Cause, ...]
    hindrance: Hindrance | None
    idempotency_key: str
    topology: Topology
    snapshot_digest: str
    ready_at: datetime
    snapshot: Snapshot | None = None

    @property
    def reason(self) -> Reason:
        """The weightiest cause."""
        return self.causes[0].reason

    @property
    def execution_id(self) -> str:
        """The execution that answers a fire: the same key gives the same id."""
        return str(uuid.UUID(self.idempotency_key[:32]))


def fire_key(case_name: str, interval: datetime, topology: Topology, snapshot_digest: str) -> str:
    """The idempotency key of a fire: SHA-256, 64 hexadecimal digits."""
    parts = (case_name, interval.isoformat(), topology.digest, snapshot_digest)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
