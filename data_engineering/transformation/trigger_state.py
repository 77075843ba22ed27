"""The words of the trigger: what it looks at, and what it remembers between looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from data_engineering.model.decisions import Cause, Hindrance
from data_engineering.model.snapshot import NEVER_NS, Snapshot, Topology, instant, nanoseconds
from data_engineering.transformation.stream_measures import Errors, Watched
from data_engineering.transformation.threshold_latches import Latch


@dataclass(frozen=True)
class Revision:
    """A newer forecast or price.

    Attributes:
        change: greatest difference to the one before, MW or USD/MWh.
    """

    reason: Literal["forecast_revision", "price_revision"]
    subject: str
    issued_ns: int
    change: float


@dataclass(frozen=True)
class Waiting:
    """A cause that is not served yet; it was first and last seen then."""

    cause: Cause
    first_ns: int
    last_ns: int


@dataclass(frozen=True, eq=False)
class Flight:
    """The dispatch under way, and what it replaced."""

    key: str
    started_ns: int
    before: Trigger


@dataclass(frozen=True, eq=False)
class Trigger:
    """What the decisions depend on besides the newest readings.

    Attributes:
        latches: by reason and subject.
        waiting: causes by name.
        anchors: errors that the newest dispatch took into account, MW by subject.
        revisions: newest revision by subject, when it was issued.
        flight: the dispatch under way.
        asked: topology of the newest dispatch.
        noticed: digest of the topology that was seen last.
        interval_ns: dispatch interval of the newest fire.
        storm_ns: when a fire was last for the topology.
        free_ns: end of the cooldown.
        alive_ns: when a dispatch last succeeded, or the first reading came.
        alarmed: the dead-man alarm was given.
        key: of the newest fire that did not fail.
        failures: dispatches that failed since one succeeded.
    """

    latches: Mapping[str, Latch] = field(default_factory=dict)
    waiting: Mapping[str, Waiting] = field(default_factory=dict)
    anchors: Mapping[str, float] = field(default_factory=dict)
    revisions: Mapping[str, int] = field(default_factory=dict)
    flight: Flight | None = None
    asked: Topology = field(default_factory=Topology)
    noticed: str = ""
    interval_ns: int = NEVER_NS
    storm_ns: int = NEVER_NS
    free_ns: int = NEVER_NS
    alive_ns: int = NEVER_NS
    alarmed: bool = False
    key: str = ""
    failures: int = 0


@dataclass(frozen=True, eq=False)
class Seen:
    """What the trigger looks at.

    Attributes:
        now_ns: the present of the stream.
        topology_ns: time of the newest scan of what is connected otherwise than in the newest
            dispatch; `NEVER_NS` where nothing is.
        oldest_ns: what is of an earlier time is stale.
        fresh: share of the points that a dispatch needs that is fresh.
        watched: comparisons with limits.
        errors: of the forecasts; None without forecasts.
        revisions: that came since the last look.
        notes: what came and counts for nothing.
    """

    now_ns: int
    snapshot: Snapshot
    topology: Topology
    topology_ns: int
    oldest_ns: int
    fresh: float
    watched: tuple[Watched, ...] = ()
    errors: Errors | None = None
    revisions: tuple[Revision, ...] = ()
    notes: tuple[tuple[Hindrance, Cause], ...] = ()


def trigger_to_document(trigger: Trigger) -> dict[str, Any]:
    """The state as JSON values; `trigger_from_document` gives back an equal one."""
    flight = trigger.flight
    return {
        "latches": {
            name: [each.on, list(each.levels), each.scan_ns, each.state]
            for name, each in trigger.latches.items()
        },
        "waiting": {
            name: [_cause_document(each.cause), each.first_ns, each.last_ns]
            for name, each in trigger.waiting.items()
        },
        "flight": None
        if flight is None
        else [flight.key, flight.started_ns, trigger_to_document(flight.before)],
        "asked": topology_to_document(trigger.asked),
        **{name: getattr(trigger, name) for name in _PLAIN},
        "anchors": dict(trigger.anchors),
        "revisions": dict(trigger.revisions),
    }


def trigger_from_document(document: Mapping[str, Any]) -> Trigger:
    """The state that `trigger_to_document` wrote."""
    flight = document["flight"]
    return Trigger(
        latches={
            name: Latch(on, tuple(levels), scan_ns, state)
            for name, (on, levels, scan_ns, state) in document["latches"].items()
        },
        waiting={
            name: Waiting(_cause(cause), first_ns, last_ns)
            for name, (cause, first_ns, last_ns) in document["waiting"].items()
        },
        flight=None
        if flight is None
        else Flight(flight[0], flight[1], trigger_from_document(flight[2])),
        asked=topology_from_document(document["asked"]),
        anchors=document["anchors"],
        revisions=document["revisions"],
        **{name: document[name] for name in _PLAIN},
    )


def topology_to_document(topology: Topology) -> dict[str, list[str]]:
    """The elements as sorted lists."""
    return {name: sorted(part) for name, part in vars(topology).items()}


def topology_from_document(document: Mapping[str, list[str]]) -> Topology:
    """The topology that `topology_to_document` wrote."""
    return Topology(**{name: frozenset(part) for name, part in document.items()})


_PLAIN = (
    "noticed",
    "interval_ns",
    "storm_ns",
    "free_ns",
    "alive_ns",
    "alarmed",
    "key",
    "failures",
)


def _cause_document(cause: Cause) -> list[Any]:
    return [
        cause.reason,
        cause.subject,
        cause.observed,
        cause.limit,
        nanoseconds(cause.since),
    ]


def _cause(document: list[Any]) -> Cause:
    reason, subject, observed, limit, since_ns = document
    return Cause(reason, subject, observed, limit, instant(since_ns))
