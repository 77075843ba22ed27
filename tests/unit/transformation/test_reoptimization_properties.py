"""What holds for every stream: one dispatch at a time, the same decisions after restarts, ..."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stream_batches import START, batch, change
from virtual_stream import RULES, VirtualStream

from data_engineering.model.stream import Committed

QUICK = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
READING = st.tuples(
    st.sampled_from(["load", "unit", "branch", "L1", "T1", "L2"]),
    st.floats(0.9, 1.1),
    st.sampled_from([0, 0, 0, 0, 2]),
    st.integers(-60, 0),
)
EVENTS = st.lists(
    st.tuples(st.floats(0.1, 40.0), st.lists(READING, max_size=4)), min_size=1, max_size=40
)


def timeline(events: Any) -> list[tuple[Any, Committed]]:
    """Batches after the given pauses (s); readings are some seconds older than their batch."""
    found, now = [], START
    for pause, readings in events:
        now += timedelta(seconds=round(pause, 3))
        loads, units, branches, changes = [], [], [], []
        for point, factor, quality, age in readings:
            time = now + timedelta(seconds=age)
            if point == "load":
                loads.append(("a", 600.0 * factor, time, quality, now))
                loads.append(("b", 400.0, time, quality, now))
            elif point == "unit":
                units.append(("30_WIND_1", 50.0 * factor, time, quality, now))
            elif point == "branch":
                branches.append(("L1", 92.0 * factor, time, quality, now))
            else:
                changes.append(change(time, point, factor > 1.0, quality=quality, known=now))
        found.append((now, batch(loads, units, branches, changes, at=now)))
    return found


@given(EVENTS)
@QUICK
def test_restarts_change_no_decision(events: Any) -> None:
    batches = timeline(events)
    end = batches[-1][0] + timedelta(minutes=20)
    steady = VirtualStream().feed(batches).pass_until(end)
    restarted = VirtualStream(restarts=True).feed(batches).pass_until(end)
    told = [(each.idempotency_key, each.causes) for each in steady.decisions]
    assert [(each.idempotency_key, each.causes) for each in restarted.decisions] == told


@given(EVENTS, st.floats(0.1, 60.0))
@QUICK
def test_what_holds_for_every_stream(events: Any, solve_seconds: float) -> None:
    batches = timeline(events)
    stream = VirtualStream(solve_seconds=solve_seconds)  # asserts one dispatch at a time
    stream.feed(batches).pass_until(batches[-1][0] + timedelta(minutes=5))
    fires = [each for each in stream.decisions if each.action == "fire"]
    keys = [each.idempotency_key for each in stream.decisions]
    assert len(set(keys)) == len(keys)
    for each in stream.decisions:
        assert each.causes
        assert (each.hindrance is not None) == (each.action == "suppress")
        assert each.interval_start <= each.decided_at
        assert each.decided_at - each.interval_start < timedelta(minutes=RULES.interval_minutes)
    # A cooldown separates dispatches unless the topology changed.
    pause = max(RULES.cooldown_seconds, solve_seconds) + solve_seconds
    for one, later in pairwise(fires):
        apart = (later.decided_at - one.decided_at).total_seconds()
        assert later.reason == "topology" or apart >= pause - 0.001


@given(EVENTS)
@QUICK
def test_the_same_records_again_fire_nothing_but_the_timer(events: Any) -> None:
    batches = timeline(events)
    stream = VirtualStream().feed(batches)
    stream.pass_until(batches[-1][0] + timedelta(minutes=2))
    before, now = len(stream.decisions), stream.now
    stream.feed((now, each) for _, each in batches).pass_until(now + timedelta(minutes=2))
    again = [each for each in stream.decisions[before:] if each.action == "fire"]
    assert {each.reason for each in again} <= {"timer"}


@given(EVENTS)
@QUICK
def test_what_is_not_good_never_fires(events: Any) -> None:
    bad = [(pause, [(*each[:2], 2, each[3]) for each in readings]) for pause, readings in events]
    batches = timeline(bad)
    stream = VirtualStream().feed(batches).pass_until(batches[-1][0] + timedelta(minutes=10))
    assert [each for each in stream.decisions if each.action == "fire"] == []
