"""What is out of service in the variants of a load scenario.

Every variant leaves the grid connected, and no two of one load scenario are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, combinations
from math import comb
from typing import Protocol

import numpy as np

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import REF, Flags, Floats, Grid, Ints
from data_engineering.scenarios.config_blocks import TopologyBlock
from data_engineering.scenarios.cuts import Cuts, cuts_of

LISTED = 20_000
"""Up to so many sets of outages are listed and drawn from the list; more are drawn and judged."""
_TOO_MANY = 100_000_000
_KEY = "topology_perturbation"


class Topologies(Protocol):
    """The variants of a load scenario."""

    def most(self) -> int:
        """How many variants a load scenario has; of random ones, at most."""
        ...

    def pieces(self, rng: np.random.Generator, rows: int) -> Iterator[tuple[Flags, Flags]]:
        """What is in service, in pieces of at most `rows` variants.

        Returns:
            Branches, shape (variants, branches), and generators, shape (variants, generators).
        """
        ...


def topologies(grid: Grid, block: TopologyBlock) -> Topologies:
    """The variants that a configuration asks for.

    Raises:
        BadInput: the grid has fewer elements than outages asked, or none may be out.
    """
    if block.type == "none":
        return Intact(grid)
    cuts = cuts_of(grid.branches, len(grid.buses))
    if block.type == "n_minus_k":
        _check_elements(block.k, len(cuts.rows), "branches in service")
        _check_variants(block.k, len(cuts.rows))
        return AllOutages(grid, cuts, block.k)
    elements = _elements(grid, block, cuts)
    _check_elements(block.k, elements.count, f"{' and '.join(block.elements)} that may be out")
    return _random(elements, block)


def _check_elements(k: int, count: int, what: str) -> None:
    if k > count:
        raise BadInput(f"{_KEY}.k", k, f"the grid has {count} {what}; give at most that")


def _check_variants(k: int, count: int) -> None:
    variants = sum(comb(count, size) for size in range(k + 1))
    if variants > _TOO_MANY:
        remedy = f"each load scenario would have up to {variants:,} variants; give a smaller k"
        raise BadInput(f"{_KEY}.k", k, f"{remedy} or type random")


@dataclass(frozen=True, eq=False)
class Intact:
    """The grid as it is, once."""

    grid: Grid

    def most(self) -> int:
        """See `Topologies`."""
        return 1

    def pieces(self, rng: np.random.Generator, rows: int) -> Iterator[tuple[Flags, Flags]]:
        """See `Topologies`."""
        yield self.grid.branches.in_service[None], self.grid.generators.in_service[None]


@dataclass(frozen=True, eq=False)
class AllOutages:
    """Every set of up to `k` branches that leaves the grid connected.

    First the intact grid, then sets of one branch, of two and so on, each in the order of the
    grid's branches.
    """

    grid: Grid
    cuts: Cuts
    k: int

    @cached_property
    def _most(self) -> int:
        return 1 + sum(len(s) for size in range(1, self.k + 1) for s in self.cuts.outages(size))

    def most(self) -> int:
        """See `Topologies`."""
        return self._most

    def pieces(self, rng: np.random.Generator, rows: int) -> Iterator[tuple[Flags, Flags]]:
        """See `Topologies`."""
        sets = chain.from_iterable(self.cuts.outages(size) for size in range(1, self.k + 1))
        for out in _regrouped(chain([np.empty((1, 0), dtype=np.int64)], sets), self.k, rows):
            branches = np.append(self.cuts.rows, len(self.grid.branches))[out]
            units = self.grid.generators.in_service
            yield (
                _without(self.grid.branches.in_service, branches),
                np.broadcast_to(units, (len(out), len(units))),
            )


@dataclass(frozen=True, eq=False)
class Elements:
    """What may be out: branches in service first, then generators.

    Attributes:
        branches: positions in `cuts.rows`, shape (n,).
        units: rows of generators in service that are not at the reference, shape (m,).
    """

    grid: Grid
    cuts: Cuts
    branches: Ints
    units: Ints

    @property
    def count(self) -> int:
        """How many elements may be out."""
        return len(self.branches) + len(self.units)

    def connected_without(self, out: Iterable[int]) -> bool:
        """Whether the grid is connected without these elements."""
        return self.cuts.connected_without(e for e in out if e < len(self.branches))

    def in_service(self, out: list[tuple[int, ...]]) -> tuple[Flags, Flags]:
        """Branches and generators in service without each of these sets of elements."""
        branches, units = self.grid.branches.in_service, self.grid.generators.in_service
        branch_on, unit_on = (np.repeat(each[None], len(out), axis=0) for each in (branches, units))
        for variant, elements in enumerate(out):
            for element in elements:
                if element < len(self.branches):
                    branch_on[variant, self.cuts.rows[element]] = False
                else:
                    unit_on[variant, self.units[element - len(self.branches)]] = False
        return branch_on, unit_on


def _elements(grid: Grid, block: TopologyBlock, cuts: Cuts) -> Elements:
    units = grid.generators
    free = units.in_service & (grid.buses.kind[units.bus] != REF)
    return Elements(
        grid,
        cuts,
        np.arange(len(cuts.rows) if "branch" in block.elements else 0),
        np.flatnonzero(free) if "gen" in block.elements else np.empty(0, dtype=np.int64),
    )


def _random(elements: Elements, block: TopologyBlock) -> Topologies:
    shares = block.outage_count_probabilities or (0.0, *[1 / block.k] * block.k)
    sizes = [size for size, share in enumerate(shares) if share > 0]
    if sum(comb(elements.count, size) for size in sizes) > LISTED:
        return DrawnOutages(elements, np.cumsum(shares), block.n_topology_variants)
    sets, weights = [], []
    for size in sizes:
        weight = shares[size] / comb(elements.count, size)
        for out in combinations(range(elements.count), size):
            if elements.connected_without(out):
                sets.append(out)
                weights.append(weight)
    if not sets:
        raise _nothing_connected(block.k)
    return ListedOutages(elements, tuple(sets), np.array(weights), block.n_topology_variants)


def _nothing_connected(k: int) -> BadInput:
    remedy = "no such set of outages leaves the grid connected; give a smaller k or other elements"
    return BadInput(f"{_KEY}.k", k, remedy)


@dataclass(frozen=True, eq=False)
class ListedOutages:
    """Random sets of outages, drawn from the list of all.

    A set's weight is the probability of its number of outages over the number of sets that have
    as many, so a draw is the same as drawing elements again until the grid is connected and the
    set is a new one. Where fewer sets exist than are asked, all are given.

    Attributes:
        sets: elements out, each set once.
        weights: shape (sets,).
        variants: how many are asked of each load scenario.
    """

    elements: Elements
    sets: tuple[tuple[int, ...], ...]
    weights: Floats
    variants: int

    def most(self) -> int:
        """See `Topologies`."""
        return min(self.variants, len(self.sets))

    def pieces(self, rng: np.random.Generator, rows: int) -> Iterator[tuple[Flags, Flags]]:
        """See `Topologies`.

        The smallest of exponential times with these rates come in the order of draws without
        replacement (P. S. Efraimidis, P. G. Spirakis, Information Processing Letters 97, 2006).
        """
        times = rng.exponential(size=len(self.sets)) / self.weights
        drawn = np.argsort(times, kind="stable")[: self.most()].tolist()
        for first in range(0, len(drawn), rows):
            yield self.elements.in_service([self.sets[s] for s in drawn[first : first + rows]])


@dataclass(frozen=True, eq=False)
class DrawnOutages:
    """Random sets of outages, drawn again until the grid is connected and the set is a new one.

    After `attempts` draws in one load scenario it has to do with what was found.

    Attributes:
        cumulative: probability of at most 0, 1, ... outages, shape (k + 1,).
        variants: how many are asked of each load scenario.
    """

    elements: Elements
    cumulative: Floats
    variants: int

    @property
    def attempts(self) -> int:
        """How often a load scenario draws at most."""
        return max(500, 50 * self.variants)

    def most(self) -> int:
        """See `Topologies`."""
        return self.variants

    def pieces(self, rng: np.random.Generator, rows: int) -> Iterator[tuple[Flags, Flags]]:
        """See `Topologies`.

        Raises:
            BadInput: no draw left the grid connected.
        """
        seen: set[tuple[int, ...]] = set()
        piece: list[tuple[int, ...]] = []
        for _ in range(self.attempts):
            out = self._draw(rng)
            if out in seen or not self.elements.connected_without(out):
                continue
            seen.add(out)
            piece.append(out)
            if len(piece) == rows:
                yield self.elements.in_service(piece)
                piece = []
            if len(seen) == self.variants:
                break
        if not seen:
            raise _nothing_connected(len(self.cumulative) - 1)
        if piece:
            yield self.elements.in_service(piece)

    def _draw(self, rng: np.random.Generator) -> tuple[int, ...]:
        size = int(np.searchsorted(self.cumulative, rng.random(), side="right"))
        size = min(size, len(self.cumulative) - 1)
        drawn = rng.choice(self.elements.count, size, replace=False, shuffle=False)
        return tuple(sorted(drawn.tolist()))


def _regrouped(sets: Iterable[Ints], width: int, rows: int) -> Iterator[Ints]:
    """Sets of positions in arrays of exactly `rows` but the last, padded with -1 to `width`."""
    piece, filled = np.full((rows, width), -1, dtype=np.int64), 0
    for some in sets:
        while len(some):
            taken = some[: rows - filled]
            piece[filled : filled + len(taken), : taken.shape[1]] = taken
            filled, some = filled + len(taken), some[len(taken) :]
            if filled == rows:
                yield piece
                piece, filled = np.full((rows, width), -1, dtype=np.int64), 0
    if filled:
        yield piece[:filled]


def _without(in_service: Flags, out: Ints) -> Flags:
    """Flags without the elements of each row of `out`; a number past the last is none."""
    on = np.repeat(np.append(in_service, False)[None], len(out), axis=0)
    np.put_along_axis(on, out, False, axis=1)
    return on[:, :-1]
