"""A linear program that stays in HiGHS, grows, and starts from a known basis."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csc_matrix, csr_matrix

from data_engineering.model.grid import Floats, Ints
from data_engineering.model.problem import Status
from data_engineering.solvers.linear import LinearProgram, status_of

Basis = list[Any]
"""HiGHS's statuses of the columns or of the rows, one each."""


@dataclass(frozen=True)
class Answer:
    """Values of all columns, duals of all rows (change of the objective per unit of a bound)."""

    status: Status
    objective: float
    values: Floats
    duals: Floats


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
        self._solver.passModel(program.to_highs())
        self.columns, self.rows = program.columns, program.row_count
        self.iterations, self.seconds = 0, 0.0
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
        self.columns += count
        return np.arange(self.columns - count, self.columns, dtype=np.int64)

    def add_rows(self, lower: Floats, upper: Floats, entries: csr_matrix) -> Ints:
        """Add rows with `entries` in the columns that are there, shape (new, columns)."""
        count = len(lower)
        self._solver.addRows(
            count, lower, upper, entries.nnz, entries.indptr[:-1], entries.indices, entries.data
        )
        self.rows += count
        return np.arange(self.rows - count, self.rows, dtype=np.int64)

    def bound_columns(self, columns: Ints, lower: Floats, upper: Floats) -> None:
        """Give columns other bounds."""
        self._solver.changeColsBounds(len(columns), columns.astype(np.int32), lower, upper)

    def bound_rows(self, rows: Ints, lower: Floats, upper: Floats) -> None:
        """Give rows other bounds."""
        self._solver.changeRowsBounds(len(rows), rows.astype(np.int32), lower, upper)

    def basis(self) -> tuple[Basis, Basis]:
        """Statuses of columns and rows after a run."""
        found = self._solver.getBasis()
        return list(found.col_status), list(found.row_status)

    def start_from(self, columns: Basis, rows: Basis) -> None:
        """Begin the next run from these statuses; HiGHS repairs what does not fit."""
        basis = self._highspy.HighsBasis()
        basis.col_status, basis.row_status = columns, rows
        basis.valid, basis.alien = True, True
        self._solver.setBasis(basis)

    @property
    def basic(self) -> Any:
        """The status of a column or row in the basis."""
        return self._highspy.HighsBasisStatus.kBasic

    @property
    def at_lower(self) -> Any:
        """The status of one at its lower bound."""
        return self._highspy.HighsBasisStatus.kLower

    def run(self, time_limit_seconds: float) -> Answer:
        """Solve from the present basis."""
        started = time.perf_counter()
        self._solver.setOptionValue("time_limit", self._solver.getRunTime() + time_limit_seconds)
        self._solver.run()
        self.seconds += time.perf_counter() - started
        info, solution = self._solver.getInfo(), self._solver.getSolution()
        self.iterations += max(info.simplex_iteration_count, 0)
        found = info.primal_solution_status == (
            self._highspy.SolutionStatus.kSolutionStatusFeasible
        )
        return Answer(
            status_of(self._solver.getModelStatus(), self._highspy.HighsModelStatus, found),
            info.objective_function_value,
            np.asarray(solution.col_value),
            np.asarray(solution.row_dual),
        )
