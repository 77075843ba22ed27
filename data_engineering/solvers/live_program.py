"""A linear program that stays in HiGHS, grows, and starts from a known basis."""

from __future__ import annotations

import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix, csr_matrix

from data_engineering.model.grid import Floats, Ints
from data_engineering.model.problem import Status
from data_engineering.solvers.linear import LinearProgram, status_of

DUAL, PRIMAL = 1, 4
"""HiGHS's numbers of the simplex methods."""


@dataclass(frozen=True)
class Answer:
    """Values of all columns, duals of all rows (change of the objective per unit of a bound)."""

    status: Status
    objective: float
    values: Floats
    duals: Floats


class Bounds(NamedTuple):
    """Bounds as HiGHS has them, so that it is told of changes alone."""

    lower: Floats
    upper: Floats

    @staticmethod
    def of(lower: Sequence[Floats], upper: Sequence[Floats]) -> Bounds:
        """The bounds of all blocks of a program."""
        return Bounds(np.concatenate(lower), np.concatenate(upper))

    def with_more(self, lower: Floats, upper: Floats) -> Bounds:
        """These and others."""
        return Bounds(np.append(self.lower, lower), np.append(self.upper, upper))

    def change(
        self, which: Ints, lower: Floats, upper: Floats
    ) -> tuple[NDArray[np.int32], Floats, Floats]:
        """Write bounds; which of them were others before, and what they are now."""
        changed = (self.lower[which] != lower) | (self.upper[which] != upper)
        which, lower, upper = which[changed], lower[changed], upper[changed]
        self.lower[which], self.upper[which] = lower, upper
        return which.astype(np.int32), lower, upper


class LiveProgram:
    """HiGHS with one linear program in it; single-threaded, so that a run can be repeated."""

    def __init__(self, program: LinearProgram) -> None:
        import highspy

        self._highspy = highspy
        self._solver = highspy.Highs()
        self._solver.setOptionValue("log_to_console", False)
        self._solver.setOptionValue("threads", 1)
        # Rows are added in sight of a basis, which presolve would throw away.
        self._solver.setOptionValue("presolve", "off")
        self._solver.setOptionValue("solver", "simplex")
        # What is near its optimum needs no bounds or costs moved at random to escape degeneracy.
        self._solver.setOptionValue("primal_simplex_bound_perturbation_multiplier", 0.0)
        self._solver.passModel(program.to_highs())
        self._columns = Bounds.of(program.lower, program.upper)
        self._rows = Bounds.of(program.row_lower, program.row_upper)
        self.columns, self.rows = program.columns, program.row_count
        self.iterations, self.seconds = 0, 0.0
        self.changes, self._moved = 0, False
        self.version = str(self._solver.version())

    def add_columns(self, cost: Floats, lower: Floats, upper: Floats, entries: csc_matrix) -> Ints:
        """Add columns with `entries` in the rows that are there, shape (rows, new)."""
        count = len(cost)
        self._solver.addCols(
            count,
            cost,
            lower,
            upper,
            entries.nnz,
            entries.indptr[:-1],
            entries.indices,
            entries.data,
        )
        self._columns = self._columns.with_more(lower, upper)
        self.columns += count
        return np.arange(self.columns - count, self.columns, dtype=np.int64)

    def add_rows(self, lower: Floats, upper: Floats, entries: csr_matrix) -> Ints:
        """Add rows with `entries` in the columns that are there, shape (new, columns)."""
        count = len(lower)
        self._solver.addRows(
            count, lower, upper, entries.nnz, entries.indptr[:-1], entries.indices, entries.data
        )
        self._rows = self._rows.with_more(lower, upper)
        self.rows += count
        return np.arange(self.rows - count, self.rows, dtype=np.int64)

    def bound_columns(self, columns: Ints, lower: Floats, upper: Floats) -> None:
        """Give columns other bounds."""
        changed = self._columns.change(columns, lower, upper)
        if len(changed[0]):
            self.changes += len(changed[0])
            self._solver.changeColsBounds(len(changed[0]), *changed)

    def bound_rows(self, rows: Ints, lower: Floats, upper: Floats) -> None:
        """Give rows other bounds."""
        changed = self._rows.change(rows, lower, upper)
        if len(changed[0]):
            self.changes += len(changed[0])
            self._solver.changeRowsBounds(len(changed[0]), *changed)

    def prepare_move(self, primal: bool) -> None:
        """Let the next run begin from the optimum of nearly the same program.

        Costs are not moved at random against degeneracy: that would lose the optimum's prices,
        from which the dual simplex method starts. `primal` takes the primal one instead.
        """
        self._solver.setOptionValue("simplex_strategy", PRIMAL if primal else DUAL)
        self._solver.setOptionValue("dual_simplex_cost_perturbation_multiplier", 0.0)
        self._moved = True

    def run(self, time_limit_seconds: float) -> Answer:
        """Solve from the present basis."""
        started = time.perf_counter()
        self._solver.setOptionValue("time_limit", self._solver.getRunTime() + time_limit_seconds)
        self._solver.run()
        self.seconds += time.perf_counter() - started
        self.changes = 0
        if self._moved:
            self._solver.setOptionValue("simplex_strategy", DUAL)
            self._solver.setOptionValue("dual_simplex_cost_perturbation_multiplier", 1.0)
            self._moved = False
        info, solution = self._solver.getInfo(), self._solver.getSolution()
        self.iterations += max(info.simplex_iteration_count, 0)
        found = info.primal_solution_status == (
            self._highspy.SolutionStatus.kSolutionStatusFeasible
        )
        return Answer(
            status_of(self._solver.getModelStatus(), self._highspy.HighsModelStatus, found),
            info.objective_function_value,
            _from_list(solution.col_value),
            _from_list(solution.row_dual),
        )


def _from_list(values: list[float]) -> Floats:
    # HiGHS gives lists; `array` reads them several times as fast as NumPy.
    return np.frombuffer(array("d", values)) if values else np.zeros(0)
