"""The words of the realtime stream: messages as read, rows as committed, letters that failed.

A message's topic is the name of the declared table that its rows go to. Of rows with one key the
newest version stands, and a row's version is its `available_at`; so a replay or another order of
the same messages changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple

import pyarrow as pa

POWER_TOPIC = "power_measurements"
LOAD_TOPIC = "load_measurements"
BRANCH_TOPIC = "branch_measurements"
TOPOLOGY_TOPIC = "topology_changes"
REQUESTS_TOPIC = "lascopf_requests"
RESULTS_TOPIC = "lascopf_results"
READ_TOPICS = (POWER_TOPIC, LOAD_TOPIC, BRANCH_TOPIC, TOPOLOGY_TOPIC, REQUESTS_TOPIC)
"""What the stream service reads; results are written by it."""
DEAD_LETTER_SUFFIX = ".dead_letters"

PARTITION, OFFSET = "stream_partition", "stream_offset"
"""Columns that follow the declared ones in `Committed.readings`."""

ElementKind = Literal["branch", "generator", "bus", "breaker"]
Verdict = Literal["garbage", "schema", "version", "unknown_point", "time", "oversized", "refused"]
"""Why a message became a dead letter; `refused` is the database's word."""


class RawMessage(NamedTuple):
    """One message as the source holds it; `offset` counts up within its topic and partition."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes


class Place(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


@dataclass(frozen=True)
class Claim:
    """The right to write what a partition holds: of two claims the greater epoch has it."""

    place: Place
    epoch: int
    next_offset: int


@dataclass(frozen=True)
class StatusChange:
    """An element opened or closed, as a message of `topology_changes` says.

    Attributes:
        time: when it was so (UTC).
        quality: 0 good, 1 suspect, 2 bad, 3 estimated.
        available_at: when it was known (UTC); the version of the row.
    """

    time: datetime
    case_name: str
    element: ElementKind
    element_id: str
    closed: bool
    quality: int
    available_at: datetime
    source: str = ""


@dataclass(frozen=True)
class StreamRequest:
    """Somebody asks for a solve by a message of `lascopf_requests`.

    Attributes:
        request_id: chosen by who asks; a second request of that name is the same request.
        requested_at: when it was asked for (UTC).
        config: options of the solve, as JSON values.
    """

    request_id: str
    case_name: str
    requested_at: datetime
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DeadLetter:
    """A message that gives no rows, kept whole with what is wrong with it.

    Attributes:
        reason: one line for people.
        verdict: the same in one word.
        field: the part of the message that is wrong; empty where all of it is.
        value: what stands there, shortened.
        attempt: 1 at first, one more by every replay.
    """

    topic: str
    partition: int
    offset: int
    reason: str
    verdict: Verdict
    field: str
    value: str
    attempt: int
    payload: bytes
    timestamp_ms: int = 0


@dataclass(frozen=True)
class Committed:
    """What one transaction stored; handed on after it, in the order of the transactions.

    What a process had committed but not yet handed on when it was killed is not handed on again:
    whoever keeps a state from this rebuilds it from the tables at the start.

    Attributes:
        readings: by table name (`power_measurements`, `load_measurements`,
            `branch_measurements`), arrow tables of the written columns in their declared types
            (timestamps are microseconds UTC), then `stream_partition` and `stream_offset`. In the
            order of the messages; a key may be there more than once and may be older than what
            the table holds.
        changes: in the order of the messages.
        at: when it was committed, by this machine's clock (UTC).
    """

    readings: Mapping[str, pa.Table]
    changes: tuple[StatusChange, ...]
    requests: tuple[StreamRequest, ...]
    at: datetime

    def by_scan(self) -> list[Committed]:
        """Parts of the readings that became known at one moment each, in the order of these.

        Changes go with the readings that come next; those after the last readings are a part.
        """
        moments: set[datetime] = set()
        for rows in self.readings.values():
            moments.update(rows["available_at"].unique().to_pylist())
        left, parts = self.changes, []
        for moment in sorted(moments):
            now = tuple(each for each in left if each.available_at <= moment)
            left = tuple(each for each in left if each.available_at > moment)
            parts.append(Committed(self._known_at(moment), now, (), self.at))
        return [*parts, Committed({}, left, (), self.at)] if left else parts

    def _known_at(self, moment: datetime) -> dict[str, pa.Table]:
        import pyarrow.compute as pc

        found = {
            name: rows.filter(pc.equal(rows["available_at"], moment))
            for name, rows in self.readings.items()
        }
        return {name: rows for name, rows in found.items() if rows.num_rows}


MemberState = Literal["running", "waiting", "stopped", "failed"]


@dataclass(frozen=True)
class Member:
    """A process that stores the stream; a row of `stream_members`."""

    stream: str
    member: str
    started_at: datetime
    beat_at: datetime
    state: MemberState = "running"
    partitions: int = 0
    messages: int = 0
    rows_stored: int = 0
    dead_letters: int = 0
    lag: int | None = None
    latency_p50_seconds: float | None = None
    latency_p99_seconds: float | None = None
    detail: str = ""
