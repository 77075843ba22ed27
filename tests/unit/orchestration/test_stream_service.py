"""The loop of the service against a source and a sink that do as they are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from stream_feed import RULES, encoded, reading

from data_engineering.model.errors import DatabaseRefused, DatabaseUnavailable, Fenced
from data_engineering.model.stream import POWER_TOPIC, Claim, Committed, Member, Place, RawMessage
from data_engineering.orchestration.stream_health import Health
from data_engineering.orchestration.stream_service import Service
from data_engineering.settings import Stream

START = datetime(2020, 7, 6, tzinfo=UTC)
SENT = 1_594_033_600_000


@dataclass
class Script:
    """A source of given messages; partitions change hands after so many polls."""

    messages: Sequence[RawMessage]
    moves: dict[int, tuple[set[Place], set[Place]]]
    name: str = "script:1"
    polls: int = 0
    paused: bool = False
    closed: bool = False
    starts: dict[Place, int] = field(default_factory=dict)
    at: dict[Place, int] = field(default_factory=dict)

    @property
    def exhausted(self) -> bool:
        last = max(self.moves)
        return self.polls > last and all(
            message.offset < self.at.get(Place(message.topic, message.partition), 10**9)
            for message in self.messages
        )

    def poll(self, seconds: float) -> list[RawMessage]:
        self.polls += 1
        if self.paused:
            return []
        found = []
        for place, offset in list(self.at.items()):
            own = [m for m in self.messages if (m.topic, m.partition) == place]
            some = [m for m in own if m.offset >= offset][:7]
            self.at[place] = some[-1].offset + 1 if some else offset
            found += some
        return found

    def rebalanced(self) -> tuple[set[Place], set[Place]]:
        due = [count for count in self.moves if count <= self.polls]
        lost: set[Place] = set()
        gained: set[Place] = set()
        for count in sorted(due):
            away, here = self.moves.pop(count)
            self.moves[-count] = (set(), set())
            lost, gained = lost | away, (gained - away) | here
        for place in lost | gained:
            self.at.pop(place, None)
        return lost, gained

    def start(self, claims: Mapping[Place, Claim]) -> None:
        self.at.update({place: claim.next_offset for place, claim in claims.items()})

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def lag(self, claims: Mapping[Place, Claim]) -> int | None:
        return None

    def close(self) -> None:
        self.closed = True


@dataclass
class Books:
    """A sink in memory that fails as it is told: by the number of the try."""

    failures: dict[int, Exception] = field(default_factory=dict)
    next: dict[Place, int] = field(default_factory=dict)
    claims: dict[Place, Claim] = field(default_factory=dict)
    kept: list[tuple[int, int]] = field(default_factory=list)
    tries: int = 0

    def claim(self, places: Sequence[Place]) -> dict[Place, Claim]:
        found = {place: Claim(place, 1, self.next.get(place, 0)) for place in places}
        self.claims.update(found)
        return found

    def release(self, places: Sequence[Place]) -> None:
        for place in places:
            self.claims.pop(place, None)

    def store(self, batch: Any) -> tuple[datetime, list[Any]]:
        self.tries += 1
        if self.tries in self.failures:
            raise self.failures[self.tries]
        for place, offset in batch.following.items():
            assert batch.first[place] == self.claims[place].next_offset == self.next.get(place, 0)
            self.next[place] = offset
            self.claims[place] = Claim(place, 1, offset)
        rows = batch.rows[POWER_TOPIC]
        self.kept += zip(
            rows["stream_partition"].to_pylist(), rows["stream_offset"].to_pylist(), strict=True
        )
        return datetime.now(UTC), []


def places(*numbers: int) -> set[Place]:
    return {Place(POWER_TOPIC, number) for number in numbers}


def serve(source: Script, books: Books, seen: list[Committed] | None = None) -> Service:
    told: list[Member] = []
    health = Health(Member("s", "m", START, START), told.append, beat_seconds=0.0)
    limits = Stream(batch_messages=10, retry_seconds=0.1)
    service = Service(source, books, RULES, limits, health, (seen or []).append)  # type: ignore[arg-type]
    if seen is not None:
        service.on_committed = seen.append
    service.run()
    assert source.closed
    return service


def messages(partitions: int, each: int) -> list[RawMessage]:
    values = encoded(reading(number) for number in range(partitions * each))
    return [
        RawMessage(POWER_TOPIC, number % partitions, number // partitions, SENT, None, value)
        for number, value in enumerate(values)
    ]


def everything(partitions: int, each: int) -> list[tuple[int, int]]:
    return [(part, offset) for part in range(partitions) for offset in range(each)]


def test_everything_is_stored_once_and_told_in_order() -> None:
    books, seen = Books(), []
    serve(Script(messages(3, 40), {1: (set(), places(0, 1, 2))}), books, seen)
    assert sorted(books.kept) == everything(3, 40)
    told = [
        (part, offset)
        for one in seen
        for part, offset in zip(
            one.readings[POWER_TOPIC]["stream_partition"].to_pylist(),
            one.readings[POWER_TOPIC]["stream_offset"].to_pylist(),
            strict=True,
        )
    ]
    assert told == books.kept


@pytest.mark.parametrize("turn", range(2, 12))
def test_partitions_that_go_and_come_back_lose_nothing(turn: int) -> None:
    books = Books()
    moves = {
        1: (set[Place](), places(0, 1)),
        turn: (places(1), set[Place]()),
        turn + 1: (places(0), places(0, 1, 2)),
    }
    serve(Script(messages(3, 40), moves), books)
    assert sorted(books.kept) == everything(3, 40)


def test_an_outage_is_waited_for_and_the_batch_kept() -> None:
    down = DatabaseUnavailable("here", "gone")
    books = Books({2: down, 3: down, 6: down})
    service = serve(Script(messages(2, 40), {1: (set(), places(0, 1))}), books)
    assert sorted(books.kept) == everything(2, 40)
    assert service.health.member.detail == str(down)
    assert service.health.member.state == "stopped"


@pytest.mark.parametrize("turn", range(2, 14, 2))
def test_a_rebalance_during_an_outage_reads_again(turn: int) -> None:
    down = DatabaseUnavailable("here", "gone")
    books = Books(dict.fromkeys(range(2, 6), down))
    moves = {1: (set[Place](), places(0, 1)), turn: (places(0), places(0))}
    serve(Script(messages(2, 40), moves), books)
    assert sorted(books.kept) == everything(2, 40)


def test_a_fenced_batch_is_read_again_where_the_group_leaves_us_the_partition(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("data_engineering.orchestration.stream_service._FENCED_SECONDS", 0.0)
    books = Books({3: Fenced([Place(POWER_TOPIC, 0)])})
    serve(Script(messages(2, 40), {1: (set(), places(0, 1))}), books)
    assert sorted(books.kept) == everything(2, 40)


def test_a_refusal_ends_the_service_and_is_told() -> None:
    books = Books({2: DatabaseRefused("here", "permission denied", "ask")})
    source = Script(messages(1, 40), {1: (set(), places(0))})
    told: list[Member] = []
    health = Health(Member("s", "m", START, START), told.append)
    limits = Stream(batch_messages=10)
    with pytest.raises(DatabaseRefused):
        Service(source, books, RULES, limits, health).run()  # type: ignore[arg-type]
    assert source.closed
    assert told[-1].state == "failed"
    assert "permission denied" in told[-1].detail
    assert books.kept == [(0, offset) for offset in range(7)]
