"""The result of the decomposed method: the agents' dispatch made one."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version

import numpy as np
import pandas as pd

from data_engineering.model.grid import Floats
from data_engineering.model.problem import SolveResult, Status
from data_engineering.solvers.decomposition_agents import AgentSolver, partition
from data_engineering.solvers.decomposition_consensus import Consensus, Iteration
from data_engineering.solvers.lascopf import add_limits, screen
from data_engineering.solvers.lascopf_tables import Round, Screened, result_of
from data_engineering.solvers.live_program import Answer

NEAREST_USD = 1e3
"""USD/MW^2 that keep the common dispatch at the end where the agents left it."""
REPAIRS = 20


def decomposed_result(
    common: Consensus, status: Status, bound: float, seconds: float
) -> SolveResult:
    """The result: agents' prices, and their dispatch made one."""
    if not common.history:
        answer = Answer(status, np.nan, common.values, common.duals)
        screened = Screened.nothing(common.program)
        return result_of(common.program, answer, screened, [], status)
    last, agreed = common.history[-1], common.values
    common.values, screened = _repaired(common)
    resources = common.program.resources
    moved = common.values[resources.above] - agreed[resources.above]
    curved = resources.power(common.values)[:, resources.quadratic.units]
    common.values[resources.curved] = resources.quadratic.at(curved)
    cost = common.total_usd()
    end = Round(cost, bound, screened.worst_mw, seconds)
    result = result_of(common.program, common.answer(), screened, [end], status)
    residuals = {
        **result.residuals,
        "relative_gap": max((cost - bound) / max(abs(cost), 1.0), 0.0),
        "disagreement_pu": last.disagreement,
        "movement_pu": last.movement,
        "repair_mw": float(np.abs(moved).max(initial=0.0)),
    }
    return replace(
        result,
        tables={**result.tables, "convergence_history": _history(common.history, bound)},
        residuals=residuals,
        solver="piqp",
        version=version("piqp"),
        seconds=seconds,
        iterations=len(common.history),
    )


def _history(history: list[Iteration], bound: float) -> pd.DataFrame:
    """Every round; residuals in p.u. on 100 MVA: disagreement, and movement since the last.

    The bound is known of the last prices alone.
    """
    objective = np.array([each.objective for each in history])
    bounds = np.full(len(history), np.nan)
    bounds[-1] = bound
    return pd.DataFrame(
        {
            "stage": "agents",
            "iteration": np.arange(1, len(history) + 1),
            "objective_value": objective,
            "best_bound": bounds,
            "relative_gap": np.abs(objective - bounds) / np.maximum(np.abs(objective), 1.0),
            "primal_residual": [each.disagreement for each in history],
            "dual_residual": [each.movement for each in history],
            "elapsed_seconds": [each.seconds for each in history],
        }
    )


def _repaired(common: Consensus) -> tuple[Floats, Screened]:
    """The nearest dispatch that keeps every row of all intervals together."""
    values = common.values
    for _ in range(REPAIRS):
        everything = np.zeros(common.recorded.columns, dtype=np.int64)
        whole = partition(common.recorded, everything, 1, common.curves, 0.0)
        values = np.concatenate([values, np.zeros(common.recorded.columns - len(values))])
        agent = whole.agents[0].moved_to(values[whole.agents[0].columns])
        near = replace(agent, weight=np.full(len(agent.columns), NEAREST_USD))
        slope = whole.cost[agent.columns] + agent.half * values[agent.columns]
        status, change, _ = AgentSolver(near, near=True).solve(slope)
        if status != "optimal":
            return common.values, screen(common.program, common.answer())
        values[agent.columns] += change
        duals = np.concatenate([common.duals, np.zeros(common.recorded.rows - len(common.duals))])
        answer = Answer("optimal", 0.0, values, duals)
        screened = screen(common.program, answer)
        if not add_limits(common.program, screened):
            break
    common.duals = duals
    return values, screened
