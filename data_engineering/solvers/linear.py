"""A linear or mixed-integer program in blocks of variables and rows, solved by HiGHS.

Blocks are NumPy arrays of column numbers, so a constraint family is one call and no Python loop
runs over its rows.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix

from data_engineering.model.grid import Floats, Ints
from data_engineering.model.problem import Status

Term = tuple[Ints, Any]
"""Column numbers and their coefficients, which broadcast to the shape of the columns."""


@dataclass(frozen=True)
class Solution:
    """What HiGHS found.

    Attributes:
        values: of every column; NaN without a solution.
        duals: of every row, the change of the objective per unit of its bound; NaN for a
            mixed-integer program.
        history: (seconds, objective, bound, relative gap) of each better solution of a
            mixed-integer program.
    """

    status: Status
    objective: float
    bound: float
    values: Floats
    duals: Floats
    iterations: int
    seconds: float
    history: tuple[tuple[float, float, float, float], ...]


@dataclass
class LinearProgram:
    """A program under construction; every method adds a block.

    With `bounds_only` coefficients are left out: the bounds are those of other data in a program
    that is there already.
    """

    lower: list[Floats] = field(default_factory=list)
    upper: list[Floats] = field(default_factory=list)
    cost: list[Floats] = field(default_factory=list)
    integer: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    columns: int = 0
    row_lower: list[Floats] = field(default_factory=list)
    row_upper: list[Floats] = field(default_factory=list)
    entries: list[tuple[Ints, Ints, Floats]] = field(default_factory=list)
    row_count: int = 0
    column_blocks: list[Ints] = field(default_factory=list)
    row_blocks: list[Ints] = field(default_factory=list)
    bounds_only: bool = False

    def variables(
        self,
        shape: tuple[int, ...],
        lower: Any = 0.0,
        upper: Any = np.inf,
        cost: Any = 0.0,
        integer: bool = False,
    ) -> Ints:
        """Add a block of variables; bounds and costs broadcast to `shape`."""
        size = math.prod(shape)
        for values, target in ((lower, self.lower), (upper, self.upper), (cost, self.cost)):
            target.append(_spread(values, shape))
        self.integer.append(np.full(size, integer))
        block = np.arange(self.columns, self.columns + size, dtype=np.int64).reshape(shape)
        self.columns += size
        self.column_blocks.append(block)
        return block

    def rows(self, shape: tuple[int, ...], terms: Sequence[Term], lower: Any, upper: Any) -> Ints:
        """Add a block of rows `lower <= sum of terms <= upper`.

        The columns of a term have the shape of the rows, or one axis more, over which is summed.
        """
        size = math.prod(shape)
        block = np.arange(self.row_count, self.row_count + size, dtype=np.int64).reshape(shape)
        for columns, coefficients in () if self.bounds_only else terms:
            rows = block if columns.ndim == len(shape) else block[..., None]
            wide = np.broadcast_shapes(rows.shape, columns.shape)
            self.add_entries(np.broadcast_to(rows, wide), columns, coefficients)
        for given, target in ((lower, self.row_lower), (upper, self.row_upper)):
            target.append(_spread(given, shape))
        self.row_count += size
        self.row_blocks.append(block)
        return block

    def add_entries(self, rows: Ints, columns: Ints, coefficients: Any) -> None:
        """Add coefficients to rows that are there; all three broadcast to one shape."""
        if self.bounds_only:
            return
        wide = np.broadcast_shapes(rows.shape, columns.shape)
        values = np.broadcast_to(np.asarray(coefficients, dtype=np.float64), wide).ravel()
        kept = values != 0.0
        self.entries.append(
            (
                np.broadcast_to(rows, wide).ravel()[kept],
                np.broadcast_to(columns, wide).ravel()[kept],
                values[kept],
            )
        )

    def solve(
        self,
        *,
        relative_gap: float = 0.0,
        time_limit_seconds: float = 3_600.0,
        progress: Callable[[str], None] | None = None,
        relaxed: bool = False,
        fixed: tuple[Ints, Floats] | None = None,
        first: Floats | None = None,
    ) -> Solution:
        """Solve by HiGHS, single-threaded with a fixed seed, so that a run can be repeated.

        Args:
            relative_gap: a mixed-integer program ends at this gap.
            time_limit_seconds: and at this time at the latest.
            progress: called with a line of text as a mixed-integer program runs.
            relaxed: take integers as continuous.
            fixed: columns and the values they keep.
            first: a known solution to begin from, one value for each column.
        """
        import highspy

        started = time.perf_counter()
        solver = highspy.Highs()
        solver.setOptionValue("log_to_console", False)
        solver.setOptionValue("threads", 1)
        solver.setOptionValue("mip_rel_gap", relative_gap)
        solver.setOptionValue("time_limit", time_limit_seconds)
        whole = not relaxed and any(block.any() for block in self.integer)
        solver.passModel(self.to_highs(whole))
        if fixed is not None:
            columns, values = fixed[0].ravel().astype(np.int32), fixed[1].ravel()
            solver.changeColsBounds(len(columns), columns, values, values)
        if first is not None:
            known = highspy.HighsSolution()
            known.col_value = first
            solver.setSolution(known)
        history: list[tuple[float, float, float, float]] = []
        if whole:
            # Improvements come in the same order in every run; log lines come by the clock.
            solver.cbMipImprovingSolution.subscribe(lambda event: _record(event, history))
            if progress is not None:
                solver.cbMipLogging.subscribe(lambda event: _tell(event, progress))
        solver.run()
        return self._read(solver, highspy, whole, tuple(history), time.perf_counter() - started)

    def to_highs(self, whole: bool = False) -> Any:
        """The program as HiGHS takes it; `whole` keeps integers whole."""
        import highspy

        rows, columns, values = (
            np.concatenate([entry[k] for entry in self.entries]) for k in range(3)
        )
        matrix = coo_matrix((values, (rows, columns)), (self.row_count, self.columns)).tocsc()
        program = highspy.HighsLp()
        program.num_col_, program.num_row_ = self.columns, self.row_count
        program.col_cost_ = np.concatenate(self.cost)
        program.col_lower_ = np.concatenate(self.lower)
        program.col_upper_ = np.concatenate(self.upper)
        program.row_lower_ = np.concatenate(self.row_lower)
        program.row_upper_ = np.concatenate(self.row_upper)
        program.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        program.a_matrix_.start_ = matrix.indptr
        program.a_matrix_.index_ = matrix.indices
        program.a_matrix_.value_ = matrix.data
        if whole:
            integer = np.concatenate(self.integer)
            kinds = (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger)
            program.integrality_ = [kinds[int(flag)] for flag in integer]
        return program

    def _read(
        self,
        solver: Any,
        highspy: Any,
        whole: bool,
        history: tuple[tuple[float, float, float, float], ...],
        seconds: float,
    ) -> Solution:
        info, solution = solver.getInfo(), solver.getSolution()
        found = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
        nothing = np.full(self.columns, np.nan)
        no_dual = whole or not solution.dual_valid
        return Solution(
            status=status_of(solver.getModelStatus(), highspy.HighsModelStatus, found),
            objective=info.objective_function_value if found else np.nan,
            bound=info.mip_dual_bound if whole else info.objective_function_value,
            values=np.asarray(solution.col_value) if found else nothing,
            duals=np.full(self.row_count, np.nan) if no_dual else np.asarray(solution.row_dual),
            iterations=max(info.simplex_iteration_count, 0),
            seconds=seconds,
            history=history,
        )


def _spread(values: Any, shape: tuple[int, ...]) -> Floats:
    """A number or an array in all places of a block, in one row."""
    if isinstance(values, float):
        return np.full(math.prod(shape), values)
    return np.broadcast_to(np.asarray(values, dtype=np.float64), shape).ravel()


def status_of(model: Any, statuses: Any, found: bool) -> Status:
    """HiGHS's word for how a run ended as ours."""
    if model == statuses.kOptimal:
        return "optimal"
    if model in (statuses.kInfeasible, statuses.kUnboundedOrInfeasible):
        return "infeasible"
    return "feasible" if found else "not_converged"


def _record(event: Any, history: list[tuple[float, float, float, float]]) -> None:
    seen = event.data_out
    row = (seen.running_time, seen.mip_primal_bound, seen.mip_dual_bound, seen.mip_gap)
    if np.isfinite(row).all():
        history.append(row)


def _tell(event: Any, progress: Callable[[str], None]) -> None:
    seen = event.data_out
    if np.isfinite(seen.mip_primal_bound) and np.isfinite(seen.mip_gap):
        progress(f"{seen.mip_primal_bound:,.0f} USD, gap {seen.mip_gap:.2%}")
