"""The program of a dispatch cut into its intervals, one quadratic program for each.

Every column belongs to an interval. A row with columns of one interval belongs to it; a row that
joins two neighbours (ramps, stored energy) is kept by both, each with beliefs of its own about
the other's columns. Nothing here knows what the columns mean.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import numpy as np
from scipy.sparse import csc_matrix, csr_matrix, diags, hstack, vstack

from data_engineering.model.grid import Flags, Floats, Ints
from data_engineering.model.problem import Status
from data_engineering.solvers.linear import LinearProgram
from data_engineering.solvers.live_program import Answer, LiveProgram

FIXED = 1e-9
"""A column whose bounds are this close is a number."""
EXACT = 1e-9
"""Residuals and gap of a quadratic program, absolute and relative."""
MOST_STEPS = 500


class RecordedProgram(LiveProgram):
    """A program that grows like one in HiGHS but is only written down, for others to solve."""

    def __init__(self, program: LinearProgram) -> None:
        # No call of the parent: there is no solver behind it.
        highs = program.to_highs()
        self.columns, self.rows = program.columns, program.row_count
        self.iterations, self.seconds, self.version = 0, 0.0, ""
        self.cost, self.lower, self.upper = (
            np.array(values) for values in (highs.col_cost_, highs.col_lower_, highs.col_upper_)
        )
        self.row_lower, self.row_upper = np.array(highs.row_lower_), np.array(highs.row_upper_)
        form = highs.a_matrix_
        shape = (self.rows, self.columns)
        given = (np.array(form.value_), np.array(form.index_), np.array(form.start_))
        self.matrix: csr_matrix = csc_matrix(given, shape).tocsr()

    def add_columns(self, cost: Floats, lower: Floats, upper: Floats, entries: csc_matrix) -> Ints:
        """As the parent's."""
        self.matrix = hstack([self.matrix, entries], format="csr")
        self.cost = np.concatenate([self.cost, cost])
        self.lower = np.concatenate([self.lower, lower])
        self.upper = np.concatenate([self.upper, upper])
        self.columns += len(cost)
        return np.arange(self.columns - len(cost), self.columns, dtype=np.int64)

    def add_rows(self, lower: Floats, upper: Floats, entries: csr_matrix) -> Ints:
        """As the parent's."""
        self.matrix = vstack([self.matrix, entries], format="csr")
        self.row_lower = np.concatenate([self.row_lower, lower])
        self.row_upper = np.concatenate([self.row_upper, upper])
        self.rows += len(lower)
        return np.arange(self.rows - len(lower), self.rows, dtype=np.int64)

    def bound_columns(self, columns: Ints, lower: Floats, upper: Floats) -> None:
        """As the parent's."""
        self.lower[columns], self.upper[columns] = lower, upper

    def run(self, time_limit_seconds: float, primal: bool = False) -> Answer:
        """Nothing solves it here."""
        raise TypeError("a program that is only written down is solved by its agents")


@dataclass(frozen=True, eq=False)
class Curves:
    """Quadratic parts of the cost: columns of `slope x + half x^2 / 2` for `replaced` ones.

    The rows of a replaced column (tangents) and the column itself leave the program.
    """

    columns: Ints
    half: Floats
    slope: Floats
    replaced: Ints


@dataclass(frozen=True, eq=False)
class Links:
    """Beliefs: `column` of the whole program as agent `holder` sees it."""

    column: Ints
    holder: Ints


@dataclass(frozen=True, eq=False)
class AgentProblem:
    """One interval: `x' half x / 2 + cost x`, rows and bounds, in its own numbering.

    Attributes:
        columns: numbers in the whole program; the first `own` are of this interval.
        rows: numbers in the whole program.
        links: numbers of the links that the columns after `own` are.
        weight: curvature that keeps columns near where they were, shape (columns,).
    """

    columns: Ints
    rows: Ints
    links: Ints
    own: int
    half: Floats
    weight: Floats
    matrix: csr_matrix
    row_lower: Floats
    row_upper: Floats
    lower: Floats
    upper: Floats

    def moved_to(self, point: Floats) -> AgentProblem:
        """The same in terms of the difference from a point, where small changes stay exact."""
        given = self.matrix @ point
        return replace(
            self,
            row_lower=self.row_lower - given,
            row_upper=self.row_upper - given,
            lower=self.lower - point,
            upper=self.upper - point,
        )


@dataclass(frozen=True, eq=False)
class Partition:
    """All agents, the links between them and the linear cost of every column."""

    agents: tuple[AgentProblem, ...]
    links: Links
    cost: Floats


def partition(
    recorded: RecordedProgram, interval: Ints, count: int, curves: Curves, weight: float
) -> Partition:
    """Cut a program by the intervals of its columns.

    Args:
        recorded: the whole program.
        interval: of every column.
        count: intervals.
        curves: quadratic costs.
        weight: curvature of each end of each link, USD/MW^2.
    """
    rows, movable, half, cost = _without_tangents(recorded, curves)
    matrix = recorded.matrix[rows]
    seen = _seen(matrix, interval, count, movable)
    holder = np.repeat(np.arange(count), [len(beliefs) for *_, beliefs in seen])
    links = Links(np.concatenate([beliefs for *_, beliefs in seen]), holder)
    near = weight * np.bincount(links.column, minlength=recorded.columns)
    # A fixed column is part of the bounds of its rows.
    given = matrix @ np.where(movable | ~np.isfinite(recorded.lower), 0.0, recorded.lower)
    agents = []
    for agent, (mine, own, beliefs) in enumerate(seen):
        columns, here = np.concatenate([own, beliefs]), np.zeros(len(beliefs))
        agents.append(
            AgentProblem(
                columns=columns,
                rows=rows[mine],
                links=np.flatnonzero(links.holder == agent),
                own=len(own),
                half=np.concatenate([half[own], here]),
                weight=np.concatenate([near[own], here + weight]),
                matrix=matrix[mine][:, columns],
                row_lower=recorded.row_lower[rows[mine]] - given[mine],
                row_upper=recorded.row_upper[rows[mine]] - given[mine],
                lower=recorded.lower[columns],
                upper=recorded.upper[columns],
            )
        )
    return Partition(tuple(agents), links, cost)


def _without_tangents(
    recorded: RecordedProgram, curves: Curves
) -> tuple[Ints, Flags, Floats, Floats]:
    """Rows that stay, columns that can move, and their costs: curvatures and slopes."""
    kept = np.ones(recorded.columns, dtype=np.bool_)
    kept[curves.replaced] = False
    rows: Ints = np.flatnonzero(_first(recorded.matrix[:, curves.replaced], 0) < 0)
    half, cost = np.zeros(recorded.columns), recorded.cost.copy()
    np.add.at(half, curves.columns, curves.half)
    np.add.at(cost, curves.columns, curves.slope)
    return rows, kept & (recorded.upper - recorded.lower > FIXED), half, cost


def _seen(
    matrix: csr_matrix, interval: Ints, count: int, movable: Flags
) -> list[tuple[Ints, Ints, Ints]]:
    """Of each agent its rows, its own columns, and those of others in its rows."""
    first, last = _first(matrix, interval), _last(matrix, interval)
    found = []
    for agent in range(count):
        rows = np.flatnonzero((first <= agent) & (agent <= last))
        used = np.unique(matrix[rows].indices)
        foreign = used[movable[used] & (interval[used] != agent)]
        found.append((rows, np.flatnonzero(movable & (interval == agent)), foreign))
    return found


def _first(matrix: csr_matrix, label: Any) -> Ints:
    """The least label of the columns of each row; -1 in a row without any."""
    return _reduced(matrix, label, np.minimum)


def _last(matrix: csr_matrix, label: Any) -> Ints:
    return _reduced(matrix, label, np.maximum)


def _reduced(matrix: csr_matrix, label: Any, by: Any) -> Ints:
    found = np.full(matrix.shape[0], -1, dtype=np.int64)
    filled = np.diff(matrix.indptr) > 0
    if filled.any():
        values = np.broadcast_to(label, (matrix.shape[1],))[matrix.indices]
        found[filled] = by.reduceat(values, matrix.indptr[:-1][filled])
    return found


class AgentSolver:
    """One agent's program in PIQP; only its linear cost changes from one solve to the next."""

    def __init__(self, problem: AgentProblem, near: bool) -> None:
        # Its module has no types.
        piqp: Any = import_module("piqp")
        self._problem, self._solver = problem, piqp.SparseSolver()
        self._words: dict[Any, Status] = {
            piqp.PIQP_SOLVED: "optimal",
            piqp.PIQP_PRIMAL_INFEASIBLE: "infeasible",
        }
        settings = self._solver.settings
        settings.eps_abs = settings.eps_duality_gap_abs = EXACT
        settings.eps_rel = settings.eps_duality_gap_rel = EXACT
        settings.max_iter = MOST_STEPS
        half = problem.half + problem.weight if near else problem.half
        self._equal = problem.row_upper - problem.row_lower <= FIXED
        matrix, even = problem.matrix, self._equal
        self._setup = (
            diags(half).tocsc(),
            np.zeros(len(half)),
            matrix[even].tocsc(),
            problem.row_lower[even],
            matrix[~even].tocsc(),
            problem.row_lower[~even],
            problem.row_upper[~even],
            problem.lower,
            problem.upper,
        )
        self._begun = False

    def solve(self, cost: Floats) -> tuple[Status, Floats, Floats]:
        """How it ended, the columns, and the rows' duals (change of the cost per unit of bound)."""
        if self._begun:
            self._solver.update(c=cost)
        else:
            self._solver.setup(self._setup[0], cost, *self._setup[2:])
            self._begun = True
        status = self._words.get(self._solver.solve(), "failed")
        found = self._solver.result
        duals = np.empty(len(self._equal))
        duals[self._equal] = -found.y
        duals[~self._equal] = found.z_l - found.z_u
        values = np.clip(found.x, self._problem.lower, self._problem.upper)
        return status, values, duals
