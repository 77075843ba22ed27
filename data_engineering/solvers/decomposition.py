"""Look-ahead dispatch by agents, one for each interval: the auxiliary problem principle.

An agent dispatches its own interval and holds beliefs of what its neighbours' units do. After each
round the differences between beliefs and decisions are priced; they vanish at the optimum of the
whole. Source: Cohen, J. Optim. Theory Appl. 32 (1980); Kim and Baldick, IEEE Trans. Power Systems
12 (1997); Chakrabarti and Baldick, arXiv 1909.08461. The page docs/MODEL.md has the equations.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import Flags
from data_engineering.model.problem import SolveRequest, SolveResult, Status
from data_engineering.solvers.dc_network import DcNetwork, dc_network
from data_engineering.solvers.decomposition_agents import Partition
from data_engineering.solvers.decomposition_consensus import (
    PER_UNIT_MW,
    Consensus,
    Iteration,
    begin,
    cut,
    differences,
    start_from_before,
)
from data_engineering.solvers.decomposition_messages import solve_by_messages
from data_engineering.solvers.decomposition_result import decomposed_result
from data_engineering.solvers.decomposition_team import Team
from data_engineering.solvers.lascopf import add_limits, add_slacks, screen
from data_engineering.solvers.outage_factors import OutageFactors, outage_factors
from data_engineering.solvers.result_rows import AT_LIMIT_MW

log = logging.getLogger(__name__)

TELL_EVERY = 10
BALANCE_EVERY, BALANCE_UNTIL, BALANCE_RATIO = 20, 1_000, 5.0
"""The steps follow the residuals every so many rounds, for so long, when they differ so much."""
SMALLEST = 1e-12
"""Of a residual, p.u."""


def solve_decomposed(
    request: SolveRequest, progress: Callable[[str], None] | None = None
) -> SolveResult:
    """Dispatch all intervals at least cost, secure against the request's outages, by agents.

    Args:
        request: kinds dcopf, scopf and lascopf; `options.decomposition` has the steps.
        progress: called with a line of text after every tenth round.

    Raises:
        BadInput: the request has no commitment or relaxes it, a step is not positive, an outage
            names an element that the grid has not, or messages are asked for more than they do.
    """
    _check(request)
    if request.options.decomposition.inner == "message_passing":
        return solve_by_messages(request, progress)
    network = dc_network(request.grid)
    factors = outage_factors(request.grid, network, request.outages)
    started = time.perf_counter()
    directions = None if request.commitment is None else request.commitment.discharging
    with Team(min(request.options.decomposition.workers, request.periods.count)) as team:
        common, status = _agree(request, network, factors, directions, team, progress)
        resources = common.program.resources
        both = np.minimum(common.values[resources.charge], common.values[resources.discharge])
        if directions is None and (both > AT_LIMIT_MW).any():
            # As in the method for production: a store keeps the direction of its net power.
            net = common.values[resources.discharge] - common.values[resources.charge]
            common, status = _agree(request, network, factors, net > 0.0, team, progress)
        bound = _bound(common, team) if common.history else np.nan
    return decomposed_result(common, status, bound, time.perf_counter() - started)


def _check(request: SolveRequest) -> None:
    if request.commitment is None and request.options.commitment == "relaxed":
        raise BadInput("options.commitment", "relaxed", "give a commitment, or `on`")
    steps = request.options.decomposition
    for name in ("alpha", "beta", "gamma", "tolerance", "max_iterations", "workers"):
        if not getattr(steps, name) > 0:
            field = f"options.decomposition.{name}"
            raise BadInput(field, getattr(steps, name), "give more than 0")


def _agree(
    request: SolveRequest,
    network: DcNetwork,
    factors: OutageFactors,
    directions: Flags | None,
    team: Team,
    progress: Callable[[str], None] | None,
) -> tuple[Consensus, Status]:
    """Rounds of all agents until they agree and nothing is broken."""
    steps, started = request.options.decomposition, time.perf_counter()
    common = begin(request, network, factors, directions)
    parts = cut(common)
    near = request.periods.before_mw is not None
    if near:
        start_from_before(common, parts)
    team.load(parts.agents, near=near)
    for number in range(1, steps.max_iterations + 1):
        status = _round(common, parts, team, near, number == 1 and not near)
        if status != "optimal":
            common.history.clear()
            return common, status
        latest = common.history[-1]
        common.history[-1] = replace(latest, seconds=time.perf_counter() - started)
        grown = _grow(common)
        if progress is not None and number % TELL_EVERY == 0:
            progress(
                f"round {number}: {latest.objective:,.2f} USD, agents differ by "
                f"{latest.disagreement:.2e} p.u. and moved by {latest.movement:.2e}"
            )
        agreed = max(latest.disagreement, latest.movement) <= steps.tolerance
        if near and agreed and not grown:
            return common, "optimal"
        if time.perf_counter() - started > request.options.time_limit_seconds:
            break
        scaled = _balance(common)
        if grown or scaled or not near:
            parts, near = cut(common), True
            team.load(parts.agents, near=True)
    log.warning("the agents still differ by %.2e p.u.", common.history[-1].disagreement)
    return common, "not_converged"


def _balance(common: Consensus) -> bool:
    """Greater steps where agents stand still and differ, smaller where they rush about.

    All three steps change alike, so that they converge as before. Whether they changed.
    """
    number = len(common.history)
    if number % BALANCE_EVERY or number > BALANCE_UNTIL:
        return False
    last = common.history[-BALANCE_EVERY:]
    seen = np.array([(each.disagreement, each.movement) for each in last])
    apart, moved = np.exp(np.log(np.maximum(seen, SMALLEST)).mean(axis=0))
    if max(apart, moved) <= BALANCE_RATIO * min(apart, moved):
        return False
    common.scale *= 2.0 if apart > moved else 0.5
    return True


def _round(common: Consensus, parts: Partition, team: Team, near: bool, alone: bool) -> Status:
    """One solve of every agent and the new prices; how the first without an answer ended."""
    steps = common.program.request.options.decomposition
    links = parts.links
    push = (common.price + common.scale * steps.gamma * differences(common, parts)) / PER_UNIT_MW
    cost = parts.cost.copy()
    np.add.at(cost, links.column, push)
    asked, stood = [], []
    for agent in parts.agents:
        own, seen = agent.columns[: agent.own], agent.links
        linear = np.concatenate([cost[own], -push[seen]])
        at = np.concatenate([common.values[own], common.beliefs[seen]])
        asked.append(linear - agent.weight * at if near else linear)
        stood.append(at)
    moved = 0.0
    for agent, at, (status, values, duals) in zip(
        parts.agents, stood, team.solve(asked), strict=True
    ):
        if status != "optimal":
            return status
        common.values[agent.columns[: agent.own]] = values[: agent.own]
        common.beliefs[agent.links] = values[agent.own :]
        common.duals[agent.rows] = duals
        moved += float((((values - at) * (agent.weight > 0.0)) ** 2).sum())
    if alone:
        # Nobody knew anything of the others yet: beliefs begin from the others' own optima.
        common.beliefs = common.values[links.column]
    differ = differences(common, parts)
    if near:
        common.price = common.price + common.scale * steps.alpha * differ
    size = float(np.sqrt(moved)) / PER_UNIT_MW
    common.history.append(Iteration(common.total_usd(), float(np.linalg.norm(differ)), size, 0.0))
    return "optimal"


def _bound(common: Consensus, team: Team) -> float:
    """What no dispatch can cost less than: every agent at the last prices, free to move, USD."""
    parts = cut(common)
    links, push = parts.links, common.price / PER_UNIT_MW
    cost = parts.cost.copy()
    np.add.at(cost, links.column, push)
    asked = [
        np.concatenate([cost[agent.columns[: agent.own]], -push[agent.links]])
        for agent in parts.agents
    ]
    team.load(parts.agents, near=False)
    least = common.constant_usd()
    for agent, slope, (status, values, _) in zip(
        parts.agents, asked, team.solve(asked), strict=True
    ):
        found = float((0.5 * agent.half * values + slope) @ values)
        least += found if status == "optimal" else -np.inf
    return least


def _grow(common: Consensus) -> bool:
    """Add the limits that the agents' dispatch breaks; whether there were."""
    answer = common.answer()
    screened = screen(common.program, answer)
    # Prices belong to the rows that the agents knew, so slacks come before new rows.
    grown = add_slacks(common.program, answer)
    return add_limits(common.program, screened) or grown
