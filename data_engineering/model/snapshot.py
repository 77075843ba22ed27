"""`Snapshot` and `Topology`: the newest of what is measured, and what is known to be open.

Times are nanoseconds since 1970 (UTC): a snapshot is merged and compared many times a second.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np

from data_engineering.model.grid import Elements, Floats, Ints, Texts

Quantity = Literal["generator_mw", "load_mw", "branch_mw", "branch_percent"]
"""Output of units (negative while charging), demand, flow into the from end, loading of rate A."""

GOOD, SUSPECT, BAD, ESTIMATED = 0, 1, 2, 3
NEVER_NS = int(np.iinfo(np.int64).min)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, eq=False)
class Points(Elements):
    """The newest reading of each point of one quantity; ids are sorted and unique.

    A bad reading leaves `value` as it was. `bad_ns` is the time of the newest bad one: a point is
    bad while that is later than `time_ns`, the time of `value`. Both are `NEVER_NS` where there is
    none, and `value` is NaN then.
    """

    id: Texts
    value: Floats
    time_ns: Ints
    available_ns: Ints
    quality: Ints
    bad_ns: Ints


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The newest readings of a case.

    Attributes:
        at_ns: when the newest of them was known; `NEVER_NS` without any.
    """

    case_name: str
    points: Mapping[Quantity, Points] = field(default_factory=dict)
    at_ns: int = NEVER_NS

    def values(
        self, quantity: Quantity, ids: Texts, *, now: datetime, oldest: timedelta
    ) -> tuple[Floats, Texts]:
        """Readings of the given points, with what is wrong with each.

        Args:
            quantity: what is measured.
            ids: the points, in any order.
            now: the present of the stream (UTC).
            oldest: a reading of an earlier time than this before `now` is stale.

        Returns:
            Values, NaN where there is no usable one, and states, both of the shape of `ids`: good,
            suspect (suspect or estimated, usable), bad, stale or absent.
        """
        points = self.points.get(quantity)
        values, states = np.full(len(ids), np.nan), np.full(len(ids), "absent", dtype="<U7")
        if points is None or not len(points):
            return values, states
        place = np.minimum(np.searchsorted(points.id, ids), len(points) - 1)
        known = points.id[place] == ids
        limit = nanoseconds(now - oldest)
        states[known] = np.select(
            [points.bad_ns > points.time_ns, points.time_ns < limit, points.quality != GOOD],
            ["bad", "stale", "suspect"],
            "good",
        )[place[known]]
        usable = (states == "good") | (states == "suspect")
        values[usable] = points.value[place[usable]]
        return values, states

    @property
    def digest(self) -> str:
        """SHA-256 of all usable readings and their times; equal readings give equal digests."""
        text = hashlib.sha256(self.case_name.encode())
        for quantity in sorted(self.points):
            points = self.points[quantity]
            text.update(f"{quantity}:{len(points)}:{chr(0).join(points.id)}".encode())
            for column in (points.value, points.time_ns, points.quality):
                text.update(np.ascontiguousarray(column).tobytes())
        return text.hexdigest()


@dataclass(frozen=True)
class Topology:
    """Elements that are confirmed to be connected otherwise than in their case.

    Attributes:
        branches: lines, transformers and DC lines that are open.
        generators: units and stores that are open.
        buses: buses whose breakers are open: dead, with all that is connected to them.
        closed_branches: in service though out of service in the case.
        closed_generators: the same of units and stores.
    """

    branches: frozenset[str] = frozenset()
    generators: frozenset[str] = frozenset()
    buses: frozenset[str] = frozenset()
    closed_branches: frozenset[str] = frozenset()
    closed_generators: frozenset[str] = frozenset()

    @property
    def digest(self) -> str:
        """SHA-256 of the elements."""
        parts: tuple[Iterable[str], ...] = tuple(vars(self).values())
        lines = ("\0".join(sorted(part)) for part in parts)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def changed_elements(one: Topology, other: Topology) -> frozenset[str]:
    """The ids of what two topologies of a case connect differently."""
    names: frozenset[str] = frozenset()
    for part, elements in vars(one).items():
        names |= elements ^ getattr(other, part)
    return names


def nanoseconds(time: datetime) -> int:
    """Nanoseconds since 1970 of a time with a zone, exact to the microsecond."""
    return (time - _EPOCH) // timedelta(microseconds=1) * 1000


def instant(time_ns: int) -> datetime:
    """The UTC time of nanoseconds since 1970, cut to the microsecond."""
    return _EPOCH + timedelta(microseconds=time_ns // 1000)
