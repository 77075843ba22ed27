"""A recorded stream second by second, whatever the batches in which it was read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_engineering.model.grid import Ints
from data_engineering.model.stream import REQUESTS_TOPIC, TOPOLOGY_TOPIC, Committed

BEFORE = -1
"""Before every second."""


@dataclass(eq=False)
class Seconds:
    """What was committed, given out by the seconds in which it became known.

    A second is whole, and given out, when something of a later one has come: so it does not
    matter where one batch ended and the next began. What was known before the newest of its topic
    came late, and belongs to that one's second.
    """

    _newest: dict[str, int] = field(default_factory=dict)
    _held: dict[int, list[Committed]] = field(default_factory=dict)
    _given: int = BEFORE

    def add(self, committed: Committed) -> list[tuple[int, Committed]]:
        """Take in a batch; the seconds (since 1970) that are whole now, in order."""
        for second, part in self._parts(committed):
            self._held.setdefault(second, []).append(part)
        return self._give(max(self._held, default=BEFORE))

    def rest(self) -> list[tuple[int, Committed]]:
        """What is left when nothing more will come."""
        return self._give(max(self._held, default=BEFORE) + 1)

    def _give(self, before: int) -> list[tuple[int, Committed]]:
        whole = sorted(second for second in self._held if second < before)
        self._given = max([self._given, *whole])
        return [(second, _joined(self._held.pop(second))) for second in whole]

    def _parts(self, committed: Committed) -> Iterator[tuple[int, Committed]]:
        nothing = Committed({}, (), (), committed.at)
        for topic, rows in committed.readings.items():
            known = rows["available_at"].cast(pa.timestamp("us", "UTC")).cast(pa.int64())
            for second, first, end in self._runs(topic, known.to_numpy() // 1_000_000):
                yield second, replace(nothing, readings={topic: rows.slice(first, end - first)})
        changed = _seconds([each.available_at for each in committed.changes])
        for second, first, end in self._runs(TOPOLOGY_TOPIC, changed):
            yield second, replace(nothing, changes=committed.changes[first:end])
        asked = _seconds([each.requested_at for each in committed.requests])
        for second, first, end in self._runs(REQUESTS_TOPIC, asked):
            yield second, replace(nothing, requests=committed.requests[first:end])

    def _runs(self, topic: str, seconds: Ints) -> Iterator[tuple[int, int, int]]:
        """Each second of a topic's rows with the first row of it and the first of the next."""
        if not len(seconds):
            return
        earliest = max(self._newest.get(topic, BEFORE), self._given + 1)
        rising = np.maximum.accumulate(np.maximum(seconds, earliest))
        self._newest[topic] = int(rising[-1])
        found, first = np.unique(rising, return_index=True)
        ends = [*first[1:].tolist(), len(seconds)]
        yield from zip(found.tolist(), first.tolist(), ends, strict=True)


def known_after(committed: Committed, time: datetime) -> Committed:
    """The readings and changes that became known after a time."""
    readings = {
        name: rows.filter(pc.greater(rows["available_at"], time))
        for name, rows in committed.readings.items()
    }
    changes = tuple(each for each in committed.changes if each.available_at > time)
    return replace(committed, readings=readings, changes=changes)


def _seconds(times: Sequence[datetime]) -> Ints:
    return np.array([int(each.timestamp()) for each in times], dtype=np.int64)


def _joined(parts: Sequence[Committed]) -> Committed:
    """Parts of one second as one, each topic in the order in which it came."""
    tables: dict[str, list[pa.Table]] = {}
    for part in parts:
        for topic, rows in part.readings.items():
            tables.setdefault(topic, []).append(rows)
    return Committed(
        {topic: pa.concat_tables(found) for topic, found in tables.items()},
        sum((part.changes for part in parts), ()),
        sum((part.requests for part in parts), ()),
        parts[-1].at,
    )
