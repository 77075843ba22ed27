"""When to dispatch again: a state machine on the stream's clock, without a clock of its own.

Causes wait until nothing hinders them and are then served together by one fire. A confirmed change
of the topology is urgent: it waits for no debounce and no cooldown, only for the dispatch under way
and, soon after another such fire, until the changes settle. Every fire, and every cause that
something hinders, is a decision.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal, get_args

from data_engineering.model.decisions import Cause, Decision, Hindrance, Reason, fire_key
from data_engineering.model.snapshot import NEVER_NS, Topology, changed_elements, instant
from data_engineering.settings import ReoptimizationRules
from data_engineering.transformation.threshold_latches import latch, latch_name
from data_engineering.transformation.trigger_state import Flight, Seen, Trigger, Waiting

SECOND = 1_000_000_000
WEIGHT = {reason: place for place, reason in enumerate(get_args(Reason))}


def step(
    trigger: Trigger, rules: ReoptimizationRules, seen: Seen
) -> tuple[Trigger, tuple[Decision, ...]]:
    """Look once: what to do now, and the state after it.

    To be called after every batch, and when `next_look` says so.
    """
    turn = _Turn(trigger, rules, seen)
    turn.begin()
    turn.compare()
    turn.revise()
    turn.connect()
    turn.time()
    turn.decide()
    turn.watch_over()
    return turn.trigger, tuple(turn.decisions)


def finished(
    trigger: Trigger, rules: ReoptimizationRules, key: str, now_ns: int, *, succeeded: bool
) -> Trigger:
    """The state after the dispatch of a key has ended; another key changes nothing.

    After a failure a dispatch is asked for again, after a pause that doubles with each failure.
    """
    flight = trigger.flight
    if flight is None or flight.key != key:
        return trigger
    pause = max(int(rules.cooldown_seconds * SECOND), now_ns - flight.started_ns)
    if succeeded:
        return replace(
            trigger,
            flight=None,
            free_ns=now_ns + pause,
            alive_ns=now_ns,
            alarmed=False,
            failures=0,
        )
    before, failures = flight.before, trigger.failures + 1
    pause = min(pause * 2 ** (failures - 1), max(pause, rules.interval_minutes * 60 * SECOND))
    return replace(
        trigger,
        flight=None,
        latches={name: each for name, each in trigger.latches.items() if not each.on},
        anchors=before.anchors,
        asked=before.asked,
        interval_ns=before.interval_ns,
        key=before.key,
        free_ns=now_ns + pause,
        failures=failures,
    )


def next_look(trigger: Trigger, rules: ReoptimizationRules, now_ns: int) -> int:
    """When `step` has something to do even if nothing comes, nanoseconds."""
    length = rules.interval_minutes * 60 * SECOND
    times = [(now_ns // length + 1) * length, trigger.free_ns]
    waits = [rules.debounce_seconds, rules.settle_seconds, rules.timer_delay_seconds]
    longest = [rules.debounce_longest_seconds, rules.storm_seconds, rules.timer_delay_seconds]
    for each in trigger.waiting.values():
        times += [each.last_ns + int(wait * SECOND) for wait in waits]
        times += [each.first_ns + int(wait * SECOND) for wait in longest]
    if trigger.flight is not None:
        times.append(trigger.flight.started_ns + int(rules.solve_limit_seconds * SECOND))
    if not trigger.alarmed and trigger.alive_ns != NEVER_NS:
        times.append(trigger.alive_ns + int(rules.dead_man_minutes * 60 * SECOND))
    return min(time for time in times if time > now_ns)


class _Turn:
    """One look: the state that comes to be, and the decisions so far."""

    def __init__(self, trigger: Trigger, rules: ReoptimizationRules, seen: Seen) -> None:
        self.trigger, self.rules, self.seen = trigger, rules, seen
        self.now = seen.now_ns
        self.fresh_causes: list[Cause] = []
        self.decisions: list[Decision] = []
        length = rules.interval_minutes * 60 * SECOND
        self.interval = self.now // length * length

    def begin(self) -> None:
        """Note what came and counts for nothing; a dispatch that takes too long is lost."""
        if self.trigger.alive_ns == NEVER_NS:
            self.trigger = replace(self.trigger, alive_ns=self.now)
        self._suppress_all(self.seen.notes)
        flight = self.trigger.flight
        limit = int(self.rules.solve_limit_seconds * SECOND)
        if flight is not None and self.now - flight.started_ns >= limit:
            took = (self.now - flight.started_ns) / SECOND
            cause = Cause("dead_man", "dispatch", took, limit / SECOND, instant(self.now))
            self._decide("alarm", (cause,), None)
            self.trigger = finished(self.trigger, self.rules, flight.key, self.now, succeeded=False)

    def compare(self) -> None:
        """Deviations and loadings against their limits."""
        for watched in self.seen.watched:
            found = latch(self.trigger.latches, watched, self.now)
            self.trigger = replace(self.trigger, latches=found.latches)
            self._suppress_all(found.held)
            for cause in found.causes:
                self._wait(latch_name(cause), cause)
        self._drop_what_is_over()

    def revise(self) -> None:
        """Newer forecasts and prices: a small change counts for nothing."""
        for each in self.seen.revisions:
            limit = self.rules.price_change_usd_per_mwh
            if each.reason == "forecast_revision":
                base = self.seen.errors.base_mw if self.seen.errors is not None else 0.0
                limit = self.rules.deviation_fire_share * base
            cause = Cause(each.reason, each.subject, each.change, limit, instant(each.issued_ns))
            name = latch_name(cause)
            known = self.trigger.revisions.get(name, NEVER_NS)
            if each.issued_ns <= known:
                hindrance: Hindrance = "duplicate" if each.issued_ns == known else "late"
                self._suppress_all([(hindrance, cause)])
                continue
            revisions = {**self.trigger.revisions, name: each.issued_ns}
            self.trigger = replace(self.trigger, revisions=revisions)
            if each.change < limit:
                self._suppress_all([("below_threshold", cause)])
            else:
                self._wait(name, cause)

    def connect(self) -> None:
        """The confirmed topology against that of the newest dispatch."""
        new, old = self.seen.topology, self.trigger.asked
        name = "topology"
        waiting = self.trigger.waiting.get(name)
        if new == old:
            if waiting is not None:
                self._drop(name, "cleared")
            return
        news = self.trigger.noticed != new.digest
        self.trigger = replace(self.trigger, noticed=new.digest)
        cause = Cause("topology", _difference(new, old), None, None, instant(self.now))
        if self.seen.topology_ns < self.seen.oldest_ns:
            if news:
                self._suppress_all([("stale", cause)])
        elif news or waiting is None:
            self._wait(name, cause)

    def time(self) -> None:
        """A new interval asks for a dispatch of its own."""
        waiting = self.trigger.waiting.get("timer")
        subject = instant(self.interval).isoformat()
        if self.interval <= self.trigger.interval_ns:
            return
        if waiting is None or waiting.cause.subject != subject:
            self._wait("timer", Cause("timer", subject, None, None, instant(self.now)))

    def decide(self) -> None:
        """Fire, or say what hinders the causes that are new."""
        if not self.trigger.waiting:
            return
        hindrance = self._hindrance()
        if hindrance is None:
            self._fire()
            return
        # That a timer waits for the scan of its boundary is no suppression.
        news = [
            cause
            for cause in self.fresh_causes
            if not (cause.reason == "timer" and hindrance == "debounce")
        ]
        if news:
            self._decide("suppress", news, hindrance)

    def watch_over(self) -> None:
        """The dead-man alarm: no dispatch for too long."""
        silent = self.now - self.trigger.alive_ns
        limit = int(self.rules.dead_man_minutes * 60 * SECOND)
        if silent < limit or self.trigger.alarmed:
            return
        cause = Cause("dead_man", "dispatch", silent / SECOND, limit / SECOND, instant(self.now))
        self._decide("alarm", (cause,), None)
        self.trigger = replace(self.trigger, alarmed=True)

    def _hindrance(self) -> Hindrance | None:
        trigger, rules, waiting = self.trigger, self.rules, self.trigger.waiting
        if trigger.flight is not None:
            return "in_flight"
        if trigger.failures and self.now < trigger.free_ns:
            return "cooldown"
        urgent = waiting.get("topology")
        if urgent is not None:
            storm = int(rules.storm_seconds * SECOND)
            if trigger.storm_ns == NEVER_NS or self.now - trigger.storm_ns >= storm:
                return None
            calm = self._calm(urgent, rules.settle_seconds, rules.storm_seconds)
            return None if calm else "debounce"
        if self.seen.fresh < rules.fresh_share:
            return "stale"
        if not any(self._due(name) for name in waiting):
            return "debounce"
        return "cooldown" if self.now < trigger.free_ns else None

    def _due(self, name: str) -> bool:
        rules, each = self.rules, self.trigger.waiting[name]
        if name == "timer":
            return self.now - each.first_ns >= int(rules.timer_delay_seconds * SECOND)
        return self._calm(each, rules.debounce_seconds, rules.debounce_longest_seconds)

    def _calm(self, each: Waiting, quiet: float, longest: float) -> bool:
        long_enough = self.now - each.first_ns >= int(longest * SECOND)
        return long_enough or self.now - each.last_ns >= int(quiet * SECOND)

    def _fire(self) -> None:
        seen, before = self.seen, self.trigger
        causes = _ordered(each.cause for each in before.waiting.values())
        digest = self._digest()
        start = instant(self.interval)
        key = fire_key(seen.snapshot.case_name, start, seen.topology, digest)
        self.trigger = replace(before, waiting={}, interval_ns=self.interval)
        if key == before.key:
            self._decide("suppress", causes, "duplicate")
            return
        ready_ns = max(each.last_ns for each in before.waiting.values())
        decision = Decision(
            case_name=seen.snapshot.case_name,
            action="fire",
            decided_at=instant(self.now),
            interval_start=start,
            causes=causes,
            hindrance=None,
            idempotency_key=key,
            topology=seen.topology,
            snapshot_digest=digest,
            ready_at=instant(ready_ns),
            snapshot=seen.snapshot,
        )
        self.decisions.append(decision)
        self.trigger = replace(
            self.trigger,
            flight=Flight(key, self.now, replace(before, flight=None, latches={}, waiting={})),
            anchors={} if seen.errors is None else {**before.anchors, **seen.errors.named()},
            asked=seen.topology,
            storm_ns=self.now if "topology" in before.waiting else before.storm_ns,
            key=key,
        )

    def _digest(self) -> str:
        """Of all that a dispatch is made from: the readings and the newest revisions."""
        revisions = sorted(self.trigger.revisions.items())
        text = f"{self.seen.snapshot.digest}{revisions if revisions else ''}"
        return hashlib.sha256(text.encode()).hexdigest()

    def _wait(self, name: str, cause: Cause) -> None:
        old = self.trigger.waiting.get(name)
        new = Waiting(cause, self.now if old is None else old.first_ns, self.now)
        self.trigger = replace(self.trigger, waiting={**self.trigger.waiting, name: new})
        self.fresh_causes.append(cause)

    def _drop(self, name: str, hindrance: Hindrance) -> None:
        waiting = dict(self.trigger.waiting)
        cause = waiting.pop(name).cause
        self.trigger = replace(self.trigger, waiting=waiting)
        self._suppress_all([(hindrance, cause)])

    def _drop_what_is_over(self) -> None:
        """A cause whose newest scan is below the lower limit is gone, and its latch with it."""
        for name in [*self.trigger.waiting]:
            held = self.trigger.waiting[name].cause.reason in ("deviation", "branch_loading")
            now = self.trigger.latches.get(name)
            if held and (now is None or not now.on or now.levels[-1:] == (0,)):
                latches = {key: each for key, each in self.trigger.latches.items() if key != name}
                self.trigger = replace(self.trigger, latches=latches)
                self._drop(name, "cleared")

    def _suppress_all(self, held: Sequence[tuple[Hindrance, Cause]]) -> None:
        """One decision for each hindrance."""
        for hindrance in dict.fromkeys(why for why, _ in held):
            causes = [cause for why, cause in held if why == hindrance]
            self._decide("suppress", causes, hindrance)

    def _decide(
        self,
        action: Literal["suppress", "alarm"],
        causes: Sequence[Cause],
        hindrance: Hindrance | None,
    ) -> None:
        seen, digest, start = self.seen, self._digest(), instant(self.interval)
        case = seen.snapshot.case_name
        ordered = _ordered(causes)
        parts = [
            fire_key(case, start, seen.topology, digest),
            action,
            hindrance or "",
            str(self.now),
        ]
        parts += [latch_name(cause) for cause in ordered]
        self.decisions.append(
            Decision(
                case_name=case,
                action=action,
                decided_at=instant(self.now),
                interval_start=start,
                causes=ordered,
                hindrance=hindrance,
                idempotency_key=hashlib.sha256("\n".join(parts).encode()).hexdigest(),
                topology=seen.topology,
                snapshot_digest=digest,
                ready_at=instant(self.now),
            )
        )


def _ordered(causes: Iterable[Cause]) -> tuple[Cause, ...]:
    """The weightiest reason first, of one reason the greatest excess."""

    def rank(cause: Cause) -> tuple[int, float, str]:
        excess = (cause.observed or 0.0) / cause.limit if cause.limit else 0.0
        return (WEIGHT[cause.reason], -excess, cause.subject)

    return tuple(sorted(causes, key=rank))


def _difference(new: Topology, old: Topology) -> str:
    """What is connected otherwise, a few elements by name."""
    changed = sorted(changed_elements(new, old))
    more = f" and {len(changed) - 5} more" if len(changed) > 5 else ""
    return ", ".join(changed[:5]) + more
