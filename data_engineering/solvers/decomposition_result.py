"""The result of the decomposed method: the agents' dispatch made one."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version

import numpy as np
import pandas as pd

from data_engineering.model.grid import Floats, Ints
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
    common: Consensus, status: Status, bound: float, seconds: float, held: Ints | None = None
) -> SolveResult:
    """The result: agents' prices, and their dispatch made one.

    Args:
        common: where the agents stand at the end.
        status: how they ended.
        bound: what no dispatch can cost less than, USD; NaN where it is not known.
        seconds: spent.
        held: columns that the common dispatch keeps near where they are; None for all.
    """
    if not common.history:
        answer = Answer(status, np.nan, common.values, common.duals)
        screened = Screened.nothing(common.program)
        return result_of(common.program, answer, screened, [], status)
    last, agreed = common.history[-1], common.values
    common.values, screened = _repaired(common, held)
    above = common.program.resources.above
    moved = np.abs(common.values[above] - agreed[above]).max(initial=0.0)
    cost, history = common.total_usd(), _history(common.history, bound)
    end = Round(cost, bound, screened.worst_mw, seconds)
    result = result_of(common.program, common.answer(), screened, [end], status)
    residuals = {name: value for name, value in result.residuals.items() if name != "relative_gap"}
    if np.isfinite(bound):
        residuals["relative_gap"] = max((cost - bound) / max(abs(cost), 1.0), 0.0)
    residuals |= {
        "disagreement_pu": last.disagreement,
        "movement_pu": last.movement,
        "repair_mw": float(moved),
    }
    return replace(
        result,
        tables={**result.tables, "convergence_history": history},
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


def _repaired(common: Consensus, held: Ints | None) -> tuple[Floats, Screened]:
    """The nearest dispatch that keeps every row of all intervals together."""
    values = common.values
    for _ in range(REPAIRS):
        everything = np.zeros(common.recorded.columns, dtype=np.int64)
        whole = partition(common.recorded, everything, 1, common.curves, 0.0)
        values = np.concatenate([values, np.zeros(common.recorded.columns - len(values))])
        agent = whole.agents[0].moved_to(values[whole.agents[0].columns])
        kept = agent.columns if held is None else held
        weight: Floats = np.where(np.isin(agent.columns, kept), NEAREST_USD, 0.0)
        near = replace(agent, weight=weight)
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
