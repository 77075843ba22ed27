"""The state of a stream: readings, topology and trigger, moved on by what was committed.

Functions take the present of the stream as an argument and give a new state; the same batches at
the same times give the same decisions, also after the state was stored and restored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from data_engineering.model.decisions import Cause, Decision, Hindrance, Reason
from data_engineering.model.grid import Grid
from data_engineering.model.snapshot import (
    NEVER_NS,
    Snapshot,
    Topology,
    changed_elements,
    instant,
    nanoseconds,
)
from data_engineering.model.stream import Committed
from data_engineering.settings import ReoptimizationRules
from data_engineering.transformation import reoptimization
from data_engineering.transformation.reoptimization import SECOND
from data_engineering.transformation.snapshot import (
    Merged,
    fresh_share,
    merge,
    snapshot_from_document,
    snapshot_to_document,
)
from data_engineering.transformation.status_readings import status_readings
from data_engineering.transformation.stream_measures import (
    NET_LOAD,
    Expected,
    deviations,
    errors,
    loadings,
)
from data_engineering.transformation.topology_state import (
    ElementIndex,
    Scanned,
    Statuses,
    element_index,
    scan,
    statuses_from_document,
    statuses_to_document,
    topology_of,
)
from data_engineering.transformation.trigger_state import (
    Revision,
    Seen,
    Trigger,
    trigger_from_document,
    trigger_to_document,
)


@dataclass(frozen=True, eq=False)
class CaseFacts:
    """What a stream needs to know of its case.

    Attributes:
        ratings_mw: continuous ratings by branch, those that there are.
    """

    index: ElementIndex
    ratings_mw: Mapping[str, float]


def case_facts(grid: Grid) -> CaseFacts:
    """The facts of a grid."""
    limited = np.isfinite(grid.branches.rate_a_mva)
    names, ratings = grid.branches.id[limited], grid.branches.rate_a_mva[limited]
    return CaseFacts(element_index(grid), dict(zip(names.tolist(), ratings.tolist(), strict=True)))


@dataclass(frozen=True, eq=False)
class StreamState:
    """All that is remembered of a stream.

    Attributes:
        expected: forecasts; not stored with the state, as they have tables of their own.
        revisions: newer forecasts and prices that the next look will see.
        newest_ns: when the newest reading or scan was known.
        heard_ns: when that came, by the machine's clock; not stored.
    """

    snapshot: Snapshot
    statuses: Statuses
    trigger: Trigger = field(default_factory=Trigger)
    expected: Expected | None = None
    revisions: tuple[Revision, ...] = ()
    newest_ns: int = NEVER_NS
    heard_ns: int = NEVER_NS


@dataclass(frozen=True, eq=False)
class Reaction:
    """A new state and the decisions that led to it, in order."""

    state: StreamState
    decisions: tuple[Decision, ...] = ()

    @property
    def fires(self) -> tuple[Decision, ...]:
        """The decisions to dispatch; one at most."""
        return tuple(each for each in self.decisions if each.action == "fire")


def new_state(case_name: str) -> StreamState:
    """A state that has seen nothing."""
    return StreamState(Snapshot(case_name), Statuses(case_name))


def present(state: StreamState, rules: ReoptimizationRules, wall: datetime) -> datetime:
    """The present of the stream (UTC).

    By the clock `event` it is when the newest reading was known, with the time since it came; a
    state that was restored counts from its first look. By the clock `recording` no time passes
    between readings but by `wait_until`.

    Args:
        state: with all that was taken in.
        rules: which clock tells the time.
        wall: the machine's clock now (UTC).
    """
    if rules.clock not in ("event", "recording") or state.newest_ns == NEVER_NS:
        return wall
    running = rules.clock == "event" and state.heard_ns != NEVER_NS
    since_ns = nanoseconds(wall) - state.heard_ns if running else 0
    return instant(state.newest_ns + max(since_ns, 0))


def absorb(
    state: StreamState,
    facts: CaseFacts,
    rules: ReoptimizationRules,
    committed: Committed,
    wall: datetime,
) -> Reaction:
    """Take in what was committed and decide.

    Args:
        state: what was known.
        facts: of the case; rows of other cases are left out.
        rules: thresholds.
        committed: a batch of the sink.
        wall: the machine's clock now (UTC).
    """
    merged = merge(state.snapshot, committed.readings)
    told = status_readings(committed.readings, state.statuses, facts.index)
    scanned = scan(state.statuses, (*committed.changes, *told), rules.confirm_scans)
    known = replace(state, snapshot=merged.snapshot, statuses=scanned.statuses)
    newest_ns = max(merged.snapshot.at_ns, scanned.newest_ns)
    if newest_ns > state.newest_ns:
        known = replace(known, newest_ns=newest_ns, heard_ns=nanoseconds(wall))
    now = present(known, rules, wall)
    notes = (*_reading_notes(merged, now), *_scan_notes(scanned, now))
    return _look(known, facts, rules, wall, notes)


def tick(
    state: StreamState, facts: CaseFacts, rules: ReoptimizationRules, wall: datetime
) -> Reaction:
    """Decide without anything new; due at `next_tick`."""
    return _look(state, facts, rules, wall, ())


def next_tick(state: StreamState, rules: ReoptimizationRules, wall: datetime) -> datetime:
    """When `tick` is due by the machine's clock unless something comes before."""
    now = present(state, rules, wall)
    due_ns = reoptimization.next_look(state.trigger, rules, nanoseconds(now))
    return wall + (instant(due_ns) - now) + timedelta(microseconds=1)


def next_due(state: StreamState, rules: ReoptimizationRules, before_ns: int) -> int | None:
    """When in a recording a look is due before a time, nanoseconds; None where none is."""
    if state.newest_ns == NEVER_NS:
        return None
    due_ns = reoptimization.next_look(state.trigger, rules, state.newest_ns)
    return due_ns if due_ns < before_ns else None


def longest_wait(rules: ReoptimizationRules) -> int:
    """Nanoseconds of silence after which nothing is new: all is stale, the alarm was given."""
    seconds = max(rules.stale_seconds, 60.0 * rules.dead_man_minutes) + rules.storm_seconds
    return int(seconds * SECOND)


def wait_until(state: StreamState, now_ns: int) -> StreamState:
    """The state of a recording when its time has come to `now_ns`."""
    return replace(state, newest_ns=max(now_ns, state.newest_ns))


def finished(
    state: StreamState,
    facts: CaseFacts,
    rules: ReoptimizationRules,
    key: str,
    wall: datetime,
    *,
    succeeded: bool,
) -> Reaction:
    """Take note that the dispatch of an idempotency key ended, and decide.

    An infeasible dispatch succeeded: asking again would not change it.
    """
    now_ns = nanoseconds(present(state, rules, wall))
    trigger = reoptimization.finished(state.trigger, rules, key, now_ns, succeeded=succeeded)
    return _look(replace(state, trigger=trigger), facts, rules, wall, ())


def with_expected(
    state: StreamState,
    expected: Expected,
    rules: ReoptimizationRules,
    wall: datetime,
    horizon: timedelta = timedelta(hours=1),
) -> StreamState:
    """The state with newer forecasts.

    What the newest dispatch assumed stays what deviations are measured from; that the forecast of
    the net load changed is a revision, which the next look judges.

    Args:
        state: what was known.
        expected: the forecasts.
        rules: which clock tells the time.
        wall: the machine's clock now (UTC).
        horizon: in which a change counts.
    """
    old = state.expected
    if old is None or expected.issued_ns <= old.issued_ns:
        return replace(state, expected=expected if old is None else old)
    start = nanoseconds(present(state, rules, wall))
    times = start + np.arange(0, int(horizon.total_seconds()) + 1, 300, dtype=np.int64) * SECOND
    change = max(abs(_net(expected, int(at)) - _net(old, int(at))) for at in times)
    anchors = dict(state.trigger.anchors)
    before, after = _values(old, start), _values(expected, start)
    for name in anchors.keys() & before.keys() & after.keys():
        anchors[name] += before[name] - after[name]
    revision = Revision("forecast_revision", NET_LOAD, expected.issued_ns, change)
    return replace(
        state,
        expected=expected,
        trigger=replace(state.trigger, anchors=anchors),
        revisions=(*state.revisions, revision) if change == change else state.revisions,
    )


def with_price(state: StreamState, subject: str, issued: datetime, change: float) -> StreamState:
    """The state with a newer price of a node or market that changed by so much (USD/MWh)."""
    revision = Revision("price_revision", subject, nanoseconds(issued), abs(change))
    return replace(state, revisions=(*state.revisions, revision))


def topology(state: StreamState, facts: CaseFacts) -> Topology:
    """The confirmed topology."""
    return topology_of(state.statuses, facts.index)


def state_to_document(state: StreamState) -> dict[str, Any]:
    """The state as JSON values, without the forecasts."""
    return {
        "snapshot": snapshot_to_document(state.snapshot),
        "statuses": statuses_to_document(state.statuses),
        "trigger": trigger_to_document(state.trigger),
        "newest_ns": state.newest_ns,
        "revisions": [list(vars(each).values()) for each in state.revisions],
    }


def state_from_document(document: Mapping[str, Any]) -> StreamState:
    """The state that `state_to_document` wrote."""
    return StreamState(
        snapshot_from_document(document["snapshot"]),
        statuses_from_document(document["statuses"]),
        trigger_from_document(document["trigger"]),
        revisions=tuple(Revision(*values) for values in document["revisions"]),
        newest_ns=document["newest_ns"],
    )


def _look(
    state: StreamState,
    facts: CaseFacts,
    rules: ReoptimizationRules,
    wall: datetime,
    notes: tuple[tuple[Hindrance, Cause], ...],
) -> Reaction:
    if state.newest_ns != NEVER_NS and state.heard_ns == NEVER_NS:
        state = replace(state, heard_ns=nanoseconds(wall))
    now_ns = nanoseconds(present(state, rules, wall))
    oldest_ns = now_ns - int(rules.stale_seconds * SECOND)
    watched = [loadings(state.snapshot, facts.ratings_mw, oldest_ns, rules)]
    found = None
    if state.expected is not None:
        found = errors(state.snapshot, state.expected, oldest_ns, rules.fresh_share)
        watched.append(deviations(found, state.trigger.anchors, rules))
    connected = topology(state, facts)
    seen = Seen(
        now_ns=now_ns,
        snapshot=state.snapshot,
        topology=connected,
        topology_ns=_newest_scan(state, facts, connected),
        oldest_ns=oldest_ns,
        fresh=fresh_share(state.snapshot, oldest_ns),
        watched=tuple(watched),
        errors=found,
        revisions=state.revisions,
        notes=notes,
    )
    trigger, decisions = reoptimization.step(state.trigger, rules, seen)
    return Reaction(replace(state, trigger=trigger, revisions=()), decisions)


def _newest_scan(state: StreamState, facts: CaseFacts, connected: Topology) -> int:
    """Time of the newest scan of what is connected otherwise than in the newest dispatch."""
    changed, newest = changed_elements(connected, state.trigger.asked), NEVER_NS
    for key, status in state.statuses.elements.items() if changed else ():
        target = facts.index.target(key)
        if target is not None and target[1] in changed:
            newest = max(newest, status.time_ns)
    return newest


def _reading_notes(merged: Merged, now: datetime) -> list[tuple[Hindrance, Cause]]:
    return [] if not merged.late else [_note("late", "deviation", merged.late, "readings", now)]


def _scan_notes(scanned: Scanned, now: datetime) -> list[tuple[Hindrance, Cause]]:
    notes: list[tuple[Hindrance, Cause]] = []
    if scanned.late:
        notes.append(_note("late", "topology", scanned.late, "scans", now))
    if scanned.bad:
        notes.append(_note("bad_quality", "topology", scanned.bad, "scans", now))
    for kind, name in scanned.unconfirmed:
        notes.append(("unconfirmed", Cause("topology", f"{kind} {name}", None, None, now)))
    return notes


def _note(
    hindrance: Hindrance, reason: Reason, count: int, what: str, now: datetime
) -> tuple[Hindrance, Cause]:
    return hindrance, Cause(reason, what, float(count), None, now)


def _values(expected: Expected, at_ns: int) -> dict[str, float]:
    """Forecasts of all subjects at a time, MW."""
    values = {NET_LOAD: _net(expected, at_ns)}
    for curves in (expected.load, expected.units):
        at, _ = curves.value(np.full(len(curves.id), at_ns, dtype=np.int64))
        values |= dict(zip(curves.id.tolist(), at.tolist(), strict=True))
    return values


def _net(expected: Expected, at_ns: int) -> float:
    """Forecast load less forecast output at a time (MW); points without one count as 0."""
    totals = [
        curves.value(np.full(len(curves.id), at_ns, dtype=np.int64))[0]
        for curves in (expected.load, expected.units)
    ]
    return float(np.nansum(totals[0]) - np.nansum(totals[1]))
