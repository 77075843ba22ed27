"""Which branches may be out together: exact, by vectors instead of a search for every set.

Taking branches away splits a connected grid exactly if some of them form a cut. Give every branch
the set of the fundamental cycles that it is in, as a vector over GF(2): the vectors of a cut sum
to zero, and branches whose vectors sum to zero hold a cut (cuts are the orthogonal complement of
the cycle space; R. Diestel, Graph Theory, section 1.9). So a set may be out if and only if its
vectors are linearly independent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import Branches, Ints


@dataclass(frozen=True, eq=False)
class Cuts:
    """The branches in service and their vectors.

    Attributes:
        rows: branches in service, shape (n,).
        vectors: of these branches, bits of an integer; 0 for a bridge.
        numbers: the same vectors numbered, so that equal ones have one number, shape (n,).
        number_of: the number of a vector.
    """

    rows: Ints
    vectors: tuple[int, ...]
    numbers: Ints
    number_of: dict[int, int]

    def connected_without(self, out: Iterable[int]) -> bool:
        """Whether the grid stays connected; `out` are positions in `rows`."""
        basis: dict[int, int] = {}
        for position in out:
            rest = self.vectors[position]
            while rest and (reducer := basis.get(rest.bit_length())) is not None:
                rest ^= reducer
            if not rest:
                return False
            basis[rest.bit_length()] = rest
        return True

    def outages(self, size: int) -> Iterator[Ints]:
        """Sets of `size` >= 1 branches without which the grid is connected, as `rows` positions.

        In lexicographic order; each array has shape (sets, size) and begins alike but for its
        last column.
        """
        yield from self._grown((), (0,), size)

    def _grown(self, chosen: tuple[int, ...], span: Sequence[int], more: int) -> Iterator[Ints]:
        """Sets that begin with `chosen`, whose vectors span `span`."""
        after = chosen[-1] + 1 if chosen else 0
        barred = [self.number_of[vector] for vector in span if vector in self.number_of]
        free = after + np.flatnonzero(~np.isin(self.numbers[after:], barred))
        if more == 1:
            sets = np.empty((len(free), len(chosen) + 1), dtype=np.int64)
            sets[:, :-1], sets[:, -1] = chosen, free
            if len(sets):
                yield sets
            return
        for position in free.tolist():
            vector = self.vectors[position]
            wider = (*span, *(known ^ vector for known in span))
            yield from self._grown((*chosen, position), wider, more - 1)


def cuts_of(branches: Branches, buses: int) -> Cuts:
    """The branches in service of a connected grid.

    Raises:
        BadInput: the grid is not connected.
    """
    rows = np.flatnonzero(branches.in_service).astype(np.int64)
    start, end = branches.from_bus[rows].tolist(), branches.to_bus[rows].tolist()
    order, via = _tree(start, end, buses)
    in_tree = set(via.values())
    vectors, sums = [0] * len(rows), [0] * buses
    for number, position in enumerate(p for p in range(len(rows)) if p not in in_tree):
        vectors[position] = bit = 1 << number
        sums[start[position]] ^= bit
        sums[end[position]] ^= bit
    for bus in reversed(order[1:]):
        position = via[bus]
        vectors[position] = sums[bus]
        sums[start[position] if end[position] == bus else end[position]] ^= sums[bus]
    number_of = {vector: number for number, vector in enumerate(dict.fromkeys(vectors))}
    numbers = np.array([number_of[vector] for vector in vectors], dtype=np.int64)
    return Cuts(rows, tuple(vectors), numbers, number_of)


def _tree(start: list[int], end: list[int], buses: int) -> tuple[list[int], dict[int, int]]:
    """A spanning tree: buses from the root outward, and the branch that leads to each."""
    touching: list[list[int]] = [[] for _ in range(buses)]
    for position, ends in enumerate(zip(start, end, strict=True)):
        for bus in ends:
            touching[bus].append(position)
    order, via = [0], {}
    for bus in order:
        for position in touching[bus]:
            other = end[position] if start[position] == bus else start[position]
            if other != 0 and other not in via:
                via[other] = position
                order.append(other)
    if len(order) < buses:
        remedy = f"all {buses} must be joined by branches in service; join them or take them out"
        raise BadInput("buses joined to the first", len(order), remedy)
    return order, via
