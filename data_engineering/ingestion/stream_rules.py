"""What a message of the stream may say: its shape by topic, the points there are, the limits."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from data_engineering.model.columns import Column, Table
from data_engineering.model.stream import (
    BRANCH_TOPIC,
    LOAD_TOPIC,
    POWER_TOPIC,
    TOPOLOGY_TOPIC,
    DeadLetter,
    RawMessage,
    Verdict,
)
from data_engineering.model.tables import (
    BRANCH_MEASUREMENTS,
    LOAD_MEASUREMENTS,
    POWER_MEASUREMENTS,
    TOPOLOGY_CHANGES,
)

VERSION = 1
ELEMENTS = ("branch", "generator", "bus", "breaker")
LONGEST_TEXT = 200
OPTIONAL = ("case_name", "measurement_quality", "source", "available_at")
"""Columns that are never null in the table and may be left out of a message."""
_SHOWN = 80
_CLOCK_WAS_SET_MS = 946_684_800_000  # 2000-01-01; a time stamp before it is a clock not set


@dataclass(frozen=True)
class Shape:
    """The messages of a topic: rows of `table`, of which `point` names the point."""

    table: Table
    point: str

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns that a message may have."""
        return self.table.written


SHAPES: Mapping[str, Shape] = {
    POWER_TOPIC: Shape(POWER_MEASUREMENTS, "generator_id"),
    LOAD_TOPIC: Shape(LOAD_MEASUREMENTS, "load_id"),
    BRANCH_TOPIC: Shape(BRANCH_MEASUREMENTS, "branch_id"),
    TOPOLOGY_TOPIC: Shape(TOPOLOGY_CHANGES, "element_id"),
}


@dataclass(frozen=True)
class KnownPoints:
    """The ids of a case: those that a message may name."""

    units: frozenset[str]
    loads: frozenset[str]
    branches: frozenset[str]
    buses: frozenset[str]

    def of(self, topic: str, element: str | None = None) -> frozenset[str] | None:
        """The ids of a topic's points, of `topology_changes` by element; None: any."""
        kind = element if topic == TOPOLOGY_TOPIC else topic
        return {
            POWER_TOPIC: self.units,
            LOAD_TOPIC: self.loads,
            BRANCH_TOPIC: self.branches,
            "generator": self.units,
            "branch": self.branches,
            "bus": self.buses,
        }.get(kind or "")


@dataclass(frozen=True)
class Rules:
    """What the parser holds messages against.

    Attributes:
        case_name: the case of a message that names none.
        points: by case; a case that is not there is unknown. Empty: nothing is checked.
        max_bytes: greatest length of a message.
        max_age_days: how far before its message a reading may lie.
        max_ahead_minutes: how far after it.
    """

    case_name: str
    points: Mapping[str, KnownPoints] = field(default_factory=dict)
    max_bytes: int = 4_000_000
    max_age_days: float = 3660.0
    max_ahead_minutes: float = 60.0


def sent_ms(message: RawMessage) -> int:
    """When a message was sent (ms since 1970): its time stamp, unless a clock was not right."""
    now = time.time_ns() // 1_000_000
    return message.timestamp_ms if _CLOCK_WAS_SET_MS <= message.timestamp_ms <= now else now


def letter(
    message: RawMessage, verdict: Verdict, field_name: str, value: object, remedy: str
) -> DeadLetter:
    """The dead letter of a message, with field and value in its reason."""
    if isinstance(value, datetime):
        value = value.isoformat()
    shown = repr(value) if value is not None else "null"
    if len(shown) > _SHOWN:
        shown = shown[: _SHOWN - 3] + "..."
    shown = shown.encode("utf-8", "replace").decode().replace("\x00", "\\0")
    reason = f"{field_name or 'message'}: {shown} is not usable; {remedy}"
    return DeadLetter(
        message.topic,
        message.partition,
        message.offset,
        reason,
        verdict,
        field_name,
        shown,
        1,
        message.value,
        message.timestamp_ms,
    )
