"""What joined a program where a solution asked for it: flow limits and tangents."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from data_engineering.model.grid import Flags, Floats, Ints

INTACT = -1
"""The number of the outage that is none."""


class Limits(NamedTuple):
    """Flow limits in the program, all shape (count,): what each is, its row and its slack."""

    interval: Ints
    branch: Ints
    outage: Ints
    upper: Flags
    row: Ints
    slack: Ints

    @staticmethod
    def none() -> Limits:
        """No limits."""
        empty = np.zeros(0, dtype=np.int64)
        return Limits(empty, empty, empty, np.zeros(0, dtype=np.bool_), empty, empty)

    def keys(self, outages: int, branches: int) -> Ints:
        """One number for each limit."""
        place = self.interval * (outages + 1) + self.outage + 1
        return (place * branches + self.branch) * 2 + self.upper

    def with_more(self, more: Limits) -> Limits:
        """These and others."""
        return Limits(*(np.concatenate(pair) for pair in zip(self, more, strict=True)))

    def where(self, kept: Flags) -> Limits:
        """Some of them."""
        return Limits._make(part[kept] for part in self)


class Tangents(NamedTuple):
    """Tangents that were added, all shape (count,).

    `curved` numbers the quadratic costs, `base` is the tangent's height at the unit's minimum.
    """

    interval: Ints
    curved: Ints
    base: Floats
    row: Ints

    @staticmethod
    def none() -> Tangents:
        """No tangents."""
        empty = np.zeros(0, dtype=np.int64)
        return Tangents(empty, empty, np.zeros(0), empty)

    def with_more(self, more: Tangents) -> Tangents:
        """These and others."""
        return Tangents(*(np.concatenate(pair) for pair in zip(self, more, strict=True)))
