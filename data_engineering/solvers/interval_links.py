"""Which interval of a program follows which: in a row, or in a ring whose first one moves on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_engineering.model.grid import Flags, Floats, Ints


@dataclass(frozen=True)
class Links:
    """Slots of a program, one for each interval of its horizon.

    In a row, slot and interval are the same. In a ring interval t is in slot first + t modulo
    count; the link from the last interval into the first is in the program but switched off, so
    that the horizon can move on by bounds alone.
    """

    count: int
    first: int = 0
    ring: bool = False

    @property
    def last(self) -> int:
        """The slot of the last interval."""
        return (self.first - 1) % self.count

    @property
    def order(self) -> Ints:
        """The slot of every interval, shape (T,)."""
        return (np.arange(self.count) + self.first) % self.count

    @property
    def interval(self) -> Ints:
        """The interval in every slot, shape (T,)."""
        return (np.arange(self.count) - self.first) % self.count

    @property
    def later(self) -> Ints:
        """The slot at the end of every link, shape (links,)."""
        # A ring of one would link an interval with itself.
        return np.arange(0 if self.ring and self.count > 1 else 1, self.count)

    @property
    def earlier(self) -> Ints:
        """The slot at the beginning of every link, shape (links,)."""
        return (self.later - 1) % self.count

    def where_on(self, bound: Floats | float, off: Floats) -> Floats:
        """A bound of the links' rows, shape (links, k); `off` for the link that is switched off.

        `off` is as wide as the row can be. A bound of infinity would do the same, but a basis that
        was optimal would not stay dual feasible.
        """
        return np.where((self.later != self.first)[:, None], bound, off)

    def begins(self, on: Flags) -> Flags:
        """Where something is on that was off before, shape (T, k); never in the first interval."""
        found: Flags = on & ~np.roll(on, 1, axis=0)
        found[self.first] = False
        return found

    def ends(self, on: Flags) -> Flags:
        """Where something is on that is off next, shape (T, k); never in the last interval."""
        found: Flags = on & ~np.roll(on, -1, axis=0)
        found[self.last] = False
        return found
