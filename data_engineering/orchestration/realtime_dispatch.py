"""A look-ahead dispatch from what a stream knows: built, solved, checked, stored, told.

The program of one topology stays in the solver, so that the next interval is a move of its horizon.
Whatever goes wrong with a request is a row of `lascopf_executions` that says so.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from data_engineering.model.errors import Permanent
from data_engineering.model.problem import SolveRequest, SolveResult
from data_engineering.orchestration.realtime_inputs import Asked, Grids, Problem, build_problem
from data_engineering.orchestration.realtime_results import (
    execution_row,
    failed_row,
    result_message,
    summary_of,
)
from data_engineering.orchestration.steps import Facts
from data_engineering.runtime import Runtime
from data_engineering.solvers.ac_check import verify_ac
from data_engineering.solvers.ac_outages import verify_outages
from data_engineering.solvers.lascopf_tables import result_of
from data_engineering.solvers.realtime_commitment import relieved
from data_engineering.solvers.result_checks import check_results
from data_engineering.solvers.rolling import RollingHorizon
from data_engineering.storage import metadata
from data_engineering.transformation.energised import with_references

log = logging.getLogger(__name__)

Publish = Callable[[str, Facts], None]
"""Sends a result message, given its key and content, to whoever listens."""
MISSING_MW = 1.0
"""Load not served, or reserve not held, from which on quick units are started."""
EXECUTION = "SELECT * FROM lascopf_executions WHERE execution_id = :execution"
STORED = {
    "generator_dispatch": "SELECT time_interval, generator_id, active_power "
    "FROM generator_dispatch WHERE execution_id = :execution",
    "interval_results": "SELECT * FROM interval_results WHERE execution_id = :execution",
}


@dataclass(eq=False)
class Dispatcher:
    """What stays from one dispatch to the next: grids, and the program in the solver.

    Attributes:
        solves: how many programs were solved.
        started: called with the key when a request is known to need a solve and its program is
            about to be solved.
    """

    runtime: Runtime
    publish: Publish
    started: Callable[[str], None] = lambda key: None
    solves: int = 0
    _grids: Grids = field(default_factory=Grids)
    _horizon: RollingHorizon | None = None

    def dispatch(self, asked: Asked) -> Facts:
        """Answer one request; asked again it tells what was stored, unless that failed.

        Returns:
            The message that was published.

        Raises:
            Retryable: a store does not answer; nothing was stored, the same call may be made again.
        """
        earlier = stored_message(self.runtime, asked)
        if earlier is not None and earlier["convergence_status"] != "failed":
            self.publish(asked.key, earlier)
            return earlier
        begun = time.perf_counter()
        try:
            problem = build_problem(self.runtime, asked, self._grids)
        except Permanent as error:
            log.error("dispatch %s: %s", asked.execution_id, error)
            return self._failed(asked, None, str(error), begun)
        self.started(asked.key)
        try:
            request, result, notes = self._solved(problem)
            result, tables = _verified(self.runtime, request, result)
        except (ArithmeticError, RuntimeError, ValueError, Permanent) as error:
            self._horizon = None
            log.exception("dispatch %s ended by an error", asked.execution_id)
            return self._failed(asked, problem, f"{type(error).__name__}: {error}", begun)
        result = replace(result, notes=(*problem.notes, *notes, *result.notes))
        row = execution_row(asked, problem, request, result)
        keyed = {name: _keyed(frame, name, asked) for name, frame in tables.items()}
        metadata.replace_results(self.runtime.metadata, row, keyed)
        message = result_message(asked, row, tables)
        self.publish(asked.key, message)
        log.info("%s", summary_of(message, time.perf_counter() - begun))
        return message

    def _solved(self, problem: Problem) -> tuple[SolveRequest, SolveResult, tuple[str, ...]]:
        """The best answer: by the plan, else relieved, else without the minima of units."""
        request, result = problem.request, self._solve(problem.request)
        if not _usable(result) and request.commitment is not None:
            loose = _loosened(request)
            note = "the plan cannot be kept from here: the minima of units are dropped"
            return loose, self._solve(loose), (note,)
        missing = _missing_mw(request, result, self._lead(request))
        if missing < MISSING_MW or request.commitment is None:
            return request, result, ()
        other, started = relieved(request, missing, self._lead(request))
        better = self._solve(other)
        if not _usable(better) or better.objective >= result.objective - 0.01:
            return request, result, (f"{missing:.1f} MW missing, and no quick unit helps",)
        names = ", ".join(started) or "none"
        return other, better, (f"{missing:.1f} MW missing: stores free, quick units: {names}",)

    def _lead(self, request: SolveRequest) -> int:
        """Intervals until a quick unit runs."""
        minutes = self.runtime.settings.realtime.quick_start_minutes
        lead = math.ceil(minutes / request.periods.minutes)
        return min(max(lead, 1), request.periods.count)

    def _solve(self, request: SolveRequest) -> SolveResult:
        self.solves += 1
        if self._horizon is None:
            self._horizon = RollingHorizon(request)
            solved = self._horizon.solve()
        else:
            solved = self._horizon.roll(request)
        result = result_of(
            solved.program, solved.answer, solved.screened, solved.history, solved.status
        )
        if not _usable(result):
            self._horizon = None
        return result

    def _failed(self, asked: Asked, problem: Problem | None, error: str, begun: float) -> Facts:
        """A row without results for what could not be solved."""
        seconds = time.perf_counter() - begun
        row = failed_row(self.runtime.settings, asked, problem, error, seconds)
        metadata.replace_results(self.runtime.metadata, row, {})
        message = result_message(asked, row, {})
        self.publish(asked.key, message)
        return message


def stored_message(runtime: Runtime, asked: Asked) -> Facts | None:
    """What an earlier call of the same request stored; None where there was none."""
    identity = {"execution": asked.execution_id}
    found = metadata.query(runtime.metadata, EXECUTION, identity)
    if found.empty:
        return None
    tables = {
        name: metadata.query(runtime.metadata, statement, identity)
        for name, statement in STORED.items()
    }
    row = {str(name): value for name, value in found.iloc[0].items()}
    return result_message(asked, row, tables)


def _usable(result: SolveResult) -> bool:
    return result.status in ("optimal", "feasible")


def _loosened(request: SolveRequest) -> SolveRequest:
    """Without a commitment, and with no energy asked of the stores."""
    periods = replace(request.periods, energy_end_mwh=np.zeros(len(request.grid.storages)))
    options = replace(request.options, commitment="relaxed")
    return replace(request, periods=periods, options=options, commitment=None)


def _missing_mw(request: SolveRequest, result: SolveResult, lead: int) -> float:
    """The most that is missing of load and reserve once quick units could run, MW."""
    if not _usable(result):
        return 0.0
    rows = result.tables["interval_results"]
    missing = rows["load_shed_mw"] + rows["reserve_shortfall_mw"]
    return float(missing[rows["time_interval"] > lead].max()) if len(rows) > lead else 0.0


def _verified(
    runtime: Runtime, request: SolveRequest, result: SolveResult
) -> tuple[SolveResult, dict[str, pd.DataFrame]]:
    """The tables, checked and with AC columns; an unsound answer is a failed one without tables."""
    tables = dict(result.tables)
    if not tables:
        return result, tables
    faults = check_results(request, tables, result.objective)
    if faults:
        log.error("the answer is not sound: %s", "; ".join(faults))
        notes = (*(f"fault: {fault}" for fault in faults), *result.notes)
        return replace(result, status="failed", notes=notes, objective=math.nan), {}
    if runtime.settings.realtime.ac_check:
        grid = with_references(request.grid)
        tables = verify_ac(grid, tables)
        if runtime.settings.realtime.ac_outages:
            tables = verify_outages(grid, tables, request.outages)
    return replace(result, tables=tables), tables


def _keyed(frame: pd.DataFrame, name: str, asked: Asked) -> pd.DataFrame:
    keys: dict[str, Any] = {"execution_id": asked.execution_id}
    if name != "convergence_history":
        keys["case_name"] = asked.case_name
    return frame.assign(**keys)
