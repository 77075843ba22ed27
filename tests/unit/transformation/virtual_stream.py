"""A stream on a clock of its own: batches, ticks and dispatches in the order of their times."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from stream_batches import CASE, GRID, START, forecasts

from data_engineering.model.decisions import Decision
from data_engineering.model.stream import Committed
from data_engineering.settings import ReoptimizationRules
from data_engineering.transformation.stream_measures import Expected
from data_engineering.transformation.stream_state import (
    CaseFacts,
    Reaction,
    StreamState,
    absorb,
    case_facts,
    finished,
    new_state,
    next_tick,
    state_from_document,
    state_to_document,
    tick,
)

FACTS = case_facts(GRID)
RULES = ReoptimizationRules()


@dataclass
class VirtualStream:
    """Feeds a state; a dispatch takes `solve_seconds` and fails as often as `failing` says.

    With `restarts` the state is stored and restored as JSON before everything that happens.
    """

    rules: ReoptimizationRules = RULES
    solve_seconds: float = 2.0
    failing: int = 0
    restarts: bool = False
    facts: CaseFacts = FACTS
    now: datetime = START - timedelta(minutes=1)
    state: StreamState = field(
        default_factory=lambda: replace(new_state(CASE), expected=forecasts())
    )
    decisions: list[Decision] = field(default_factory=list)
    under_way: tuple[str, datetime] | None = None

    def feed(self, batches: Iterable[tuple[datetime, Committed]]) -> VirtualStream:
        for time, batch in batches:
            self.pass_until(time)
            self.now = time
            self._took(absorb(self._state(), self.facts, self.rules, batch, time))
        return self

    def pass_until(self, end: datetime) -> VirtualStream:
        """Ticks and ends of dispatches before a time."""
        while True:
            due = next_tick(self.state, self.rules, self.now)
            assert due > self.now, "a tick that does not move on"
            ends = self.under_way[1] if self.under_way else end
            self.now = min(due, ends, end)
            if self.now >= end:
                return self
            if self.under_way is not None and self.now == ends:
                self._end()
            else:
                self._took(tick(self._state(), self.facts, self.rules, self.now))

    def expect(self, expected: Expected) -> VirtualStream:
        self.state = replace(self.state, expected=expected)
        return self

    def _end(self) -> None:
        assert self.under_way is not None
        key, self.under_way = self.under_way[0], None
        succeeded = self.failing == 0
        self.failing = max(self.failing - 1, 0)
        state = self._state()
        self._took(finished(state, self.facts, self.rules, key, self.now, succeeded=succeeded))

    def _took(self, reaction: Reaction) -> None:
        self.state = reaction.state
        self.decisions += reaction.decisions
        fires = reaction.fires
        assert len(fires) <= 1
        if fires:
            assert self.under_way is None, "two dispatches at once"
            end = self.now + timedelta(seconds=self.solve_seconds)
            self.under_way = (fires[0].idempotency_key, end)

    def _state(self) -> StreamState:
        if not self.restarts:
            return self.state
        document = json.loads(json.dumps(state_to_document(self.state)))
        # The machine's time of the newest reading is not stored: only the clock `event` needs it.
        restored = state_from_document(document)
        return replace(restored, expected=self.state.expected, heard_ns=self.state.heard_ns)

    def fires(self, *, but: str = "timer") -> list[Decision]:
        """The fires with another reason than `but`."""
        return [each for each in self.decisions if each.action == "fire" and each.reason != but]

    def words(self, since: datetime = START) -> list[tuple[str, str, str | None]]:
        """Action, reason and hindrance of every decision since a time, timers left out."""
        return [
            (each.action, each.reason, each.hindrance)
            for each in self.decisions
            if each.decided_at >= since and each.reason != "timer"
        ]
