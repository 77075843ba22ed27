"""The newest reading of every point, against a plain maximum over all readings."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_batches import CASE, START, batch

from data_engineering.model.snapshot import Snapshot, nanoseconds
from data_engineering.transformation.snapshot import (
    fresh_share,
    merge,
    snapshot_from_document,
    snapshot_to_document,
)

READINGS = st.lists(
    st.tuples(
        st.sampled_from(["u1", "u2", "ü 3", ""]),
        st.sampled_from([-1.5, -0.0, 0.0, 2.0, 3.25]),
        st.integers(0, 4),
        st.sampled_from([0, 1, 2, 3]),
        st.integers(0, 2),
    ),
    min_size=1,
    max_size=30,
)


def sent(readings: Any) -> Any:
    rows = [
        (
            name,
            value,
            START + timedelta(seconds=time),
            quality,
            START + timedelta(seconds=time + delay),
        )
        for name, value, time, quality, delay in readings
    ]
    return batch(units=rows).readings


def merged(batches: list[Any]) -> Snapshot:
    snapshot = Snapshot(CASE)
    for readings in batches:
        snapshot = merge(snapshot, sent(readings)).snapshot
    return snapshot


@given(READINGS)
@settings(max_examples=200, deadline=None)
def test_it_is_the_newest_reading_of_each_point(readings: Any) -> None:
    points = merged([readings]).points["generator_mw"]
    assert points.id.tolist() == sorted({row[0] for row in readings})
    for place, name in enumerate(points.id.tolist()):
        mine = [row for row in readings if row[0] == name]
        good = [(time, time + delay, -q, v) for _, v, time, q, delay in mine if q != 2]
        bad = [time for _, _, time, q, _ in mine if q == 2]
        never = np.iinfo(np.int64).min
        if good:
            time, known, quality, value = max(good)
            assert points.value[place] == value
            assert points.quality[place] == -quality
            assert points.time_ns[place] == nanoseconds(START) + time * 10**9
            assert points.available_ns[place] == nanoseconds(START) + known * 10**9
        else:
            assert np.isnan(points.value[place])
            assert points.time_ns[place] == never
        newest_bad = nanoseconds(START) + max(bad) * 10**9 if bad else never
        assert points.bad_ns[place] == newest_bad


@given(READINGS, st.randoms(use_true_random=False), st.integers(1, 6))
@settings(max_examples=200, deadline=None)
def test_order_repetition_and_cuts_change_nothing(readings: Any, random: Any, pieces: int) -> None:
    twice = [*readings, *readings]
    random.shuffle(twice)
    cuts = [twice[place::pieces] for place in range(pieces) if twice[place::pieces]]
    assert merged(cuts).digest == merged([readings]).digest
    assert snapshot_to_document(merged(cuts)) == snapshot_to_document(merged([readings]))


@given(READINGS)
@settings(max_examples=100, deadline=None)
def test_the_same_batch_again_is_nothing_new(readings: Any) -> None:
    before = merged([readings])
    again = merge(before, sent(readings))
    assert again.taken == 0
    assert again.snapshot.digest == before.digest


@given(READINGS)
@settings(max_examples=100, deadline=None)
def test_it_comes_back_from_its_document(readings: Any) -> None:
    snapshot = merged([readings])
    document = snapshot_to_document(snapshot)
    back = snapshot_from_document(document)
    assert (back.digest, back.at_ns) == (snapshot.digest, snapshot.at_ns)
    assert snapshot_to_document(back) == document


def test_counts_tell_what_became_of_readings() -> None:
    first = merge(Snapshot(CASE), sent([("u1", 1.0, 3, 0, 0), ("u1", 2.0, 2, 0, 0)]))
    assert (first.taken, first.late, first.same, first.bad) == (1, 0, 1, 0)
    second = merge(
        first.snapshot, sent([("u1", 5.0, 2, 0, 0), ("u1", 1.0, 3, 0, 0), ("u1", 9.0, 4, 2, 0)])
    )
    assert (second.taken, second.late, second.same, second.bad) == (0, 1, 1, 1)
    assert second.snapshot.points["generator_mw"].value.tolist() == [1.0]


def test_values_say_what_is_wrong_with_each() -> None:
    ids = np.array(["u4", "u1", "u2", "u3", "u0", "nobody"])
    rows = [("u0", 5.0, 0, 1, 0), ("u1", 1.0, 9, 0, 0), ("u2", 2.0, 9, 0, 0), ("u2", 7.0, 10, 2, 0)]
    snapshot = merged([[*rows, ("u3", 3.0, 0, 0, 0), ("u4", 4.0, 8, 3, 0)]])
    now = START + timedelta(seconds=12)
    values, states = snapshot.values("generator_mw", ids, now=now, oldest=timedelta(seconds=5))
    assert states.tolist() == ["suspect", "good", "bad", "stale", "stale", "absent"]
    np.testing.assert_array_equal(values, [4.0, 1.0, np.nan, np.nan, np.nan, np.nan])
    oldest_ns = nanoseconds(now) - 5 * 10**9
    assert fresh_share(snapshot, oldest_ns) == 2 / 5
    assert fresh_share(Snapshot(CASE), oldest_ns) == 0.0


def test_other_cases_and_missing_values_are_left_out() -> None:
    readings = batch(
        branches=[("L1", None, START), ("L2", 50.0, START), ("L3", float("nan"), START)]
    ).readings
    assert merge(Snapshot("another"), readings).snapshot.points == {}
    points = merge(Snapshot(CASE), readings).snapshot.points
    assert set(points) == {"branch_percent"}
    assert points["branch_percent"].id.tolist() == ["L2"]
