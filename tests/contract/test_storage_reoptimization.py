"""The contract of the stored decisions: once each, with the state that follows, by one process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.engine import Engine

from data_engineering.model.decisions import Cause, Decision, fire_key
from data_engineering.model.errors import DecisionsTaken
from data_engineering.model.snapshot import Topology
from data_engineering.storage.database import open_engine
from data_engineering.storage.metadata import query
from data_engineering.storage.reoptimization import (
    claim_state,
    note_end,
    note_start,
    read_fire,
    save,
)

NOW = datetime(2020, 7, 6, 12, 3, 7, 250_000, tzinfo=UTC)
START = datetime(2020, 7, 6, 12, 0, tzinfo=UTC)
TRIP = Topology(branches=frozenset({"A1"}))


@pytest.fixture(scope="module")
def engine(metadata_url: str) -> Iterator[Engine]:
    engine = open_engine(metadata_url, "optimizer")
    yield engine
    engine.dispose()


def a_fire(case: str, **changes: Any) -> Decision:
    causes = (
        Cause("topology", "A1", None, None, NOW),
        Cause("deviation", "net_load", 41.5, 30.0, NOW - timedelta(seconds=4)),
    )
    key = fire_key(case, START, TRIP, "0" * 64)
    fire = Decision(case, "fire", NOW, START, causes, None, key, TRIP, "0" * 64, NOW)
    return replace(fire, **changes)


def a_suppression(case: str) -> Decision:
    causes = tuple(
        Cause("branch_loading", f"B{number}", 96.0 + number, 95.0, NOW) for number in range(60)
    )
    return a_fire(
        case, action="suppress", hindrance="cooldown", causes=causes, idempotency_key="f" * 64
    )


def test_decisions_and_state_come_back(engine: Engine) -> None:
    claim = claim_state(engine, "back", "one")
    assert claim.document is None
    fire, held = a_fire("back"), a_suppression("back")
    known = {"snapshot": {"at_ns": -(2**63), "value": [0.1, None, 1e-300]}}
    state = {"latches": {"deviation:ünit": [True, [0, 2], 5]}, "big": 2**63 - 1}
    assert save(engine, claim, [fire, held], state, known) == [fire.idempotency_key, "f" * 64]
    assert claim_state(engine, "back", "two").document == state
    row = read_fire(engine, fire.idempotency_key)
    assert row is not None
    assert row["known"] == known
    assert str(row["execution_id"]) == fire.execution_id
    assert (row["reason"], row["subject"], row["observed_value"]) == ("topology", "A1", None)
    assert (row["decided_at"], row["interval_start"], row["ready_at"]) == (NOW, START, NOW)
    assert [cause["observed"] for cause in row["causes"]] == [None, 41.5]
    assert read_fire(engine, held.idempotency_key) is None
    found = query(
        engine,
        "SELECT hindrance, cause_count, jsonb_array_length(causes) AS kept, execution_id "
        "FROM reoptimization_events WHERE case_name = 'back' AND action = 'suppress'",
    ).iloc[0]
    assert (found["hindrance"], found["cause_count"], found["kept"]) == ("cooldown", 60, 50)
    assert found["execution_id"] is None


def test_a_decision_is_written_once(engine: Engine) -> None:
    claim = claim_state(engine, "once", "one")
    fire = a_fire("once")
    assert save(engine, claim, [fire], {}) == [fire.idempotency_key]
    note_start(engine, fire.idempotency_key, NOW)
    again = replace(fire, decided_at=NOW + timedelta(hours=1))
    assert save(engine, claim, [again], {"after": 1}) == []
    row = read_fire(engine, fire.idempotency_key)
    assert row is not None
    assert (row["decided_at"], row["started_at"]) == (NOW, NOW)


def test_who_lost_the_claim_writes_nothing(engine: Engine) -> None:
    old = claim_state(engine, "taken", "old")
    save(engine, old, [], {"by": "old"})
    new = claim_state(engine, "taken", "new")
    assert new.epoch == old.epoch + 1
    assert new.document == {"by": "old"}
    with pytest.raises(DecisionsTaken, match="new"):
        save(engine, old, [a_fire("taken")], {"by": "old, late"})
    assert read_fire(engine, a_fire("taken").idempotency_key) is None
    assert save(engine, new, [a_fire("taken")], {"by": "new"})
    assert claim_state(engine, "taken", "third").document == {"by": "new"}


def test_the_first_start_and_the_newest_end_stand(engine: Engine) -> None:
    fire = a_fire("times")
    save(engine, claim_state(engine, "times", "one"), [fire], {})
    for second in (1, 2):
        at = NOW + timedelta(seconds=second)
        note_start(engine, fire.idempotency_key, at)
        note_end(engine, fire.idempotency_key, at, "failed" if second == 1 else "optimal")
    row = read_fire(engine, fire.idempotency_key)
    assert row is not None
    assert row["started_at"] == NOW + timedelta(seconds=1)
    assert (row["ended_at"], row["outcome"]) == (NOW + timedelta(seconds=2), "optimal")
