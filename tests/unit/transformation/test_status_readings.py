"""Statuses that branch readings tell, against a scan of every one of them."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from stream_batches import CASE, GRID, SECOND, START, batch, change

from data_engineering.transformation.status_readings import status_readings
from data_engineering.transformation.topology_state import (
    Statuses,
    element_index,
    scan,
    topology_of,
)

INDEX = element_index(GRID)
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["L1", "T1", "L2"]),
        st.integers(0, 9),
        st.booleans(),
        st.sampled_from([0, 0, 0, 2]),
    ),
    max_size=12,
)


def readings(rows: Any) -> Any:
    sent = batch(branches=[(n, 50.0, START + s * SECOND, q) for n, s, _, q in rows]).readings
    if not rows:
        return sent
    table = sent["branch_measurements"]
    place = table.schema.get_field_index("in_service")
    on = [[closed for _, _, closed, _ in rows]]
    return {"branch_measurements": table.set_column(place, table.schema.field(place), on)}


@given(st.lists(ROWS, max_size=5))
@settings(max_examples=200, deadline=None)
def test_it_is_as_if_every_reading_were_a_scan(batches: list[Any]) -> None:
    """Later batches hold later times, as what is older counts for nothing in either way."""
    told, every = Statuses(CASE), Statuses(CASE)
    for number, rows in enumerate(batches):
        later = [(name, 10 * number + second, on, quality) for name, second, on, quality in rows]
        later = list({row[:2]: row for row in later}.values())
        news = status_readings(readings(later), told, INDEX)
        told = scan(told, news, 2).statuses
        scans = [change(START + s * SECOND, n, on, quality=q) for n, s, on, q in later]
        every = scan(every, scans, 2).statuses
        assert topology_of(told, INDEX) == topology_of(every, INDEX)


def test_nothing_new_is_told_of_nothing() -> None:
    rows = [("L1", 0, True, 0), ("T1", 0, True, 0), ("L2", 0, False, 0)]
    assert status_readings(readings(rows), Statuses(CASE), INDEX) == ()
    assert status_readings({}, Statuses(CASE), INDEX) == ()
    assert status_readings(readings(rows), Statuses("another"), INDEX) == ()
