"""Look-ahead dispatch with redispatch after outages: the scenario tree by constraint generation.

Every interval of the horizon is a root. After an outage a chain of short intervals follows in which
the units move within their ramps: flows may be at the short-term rating (or lines below their
temperature) for a while, then the continuous rating holds again, and at the end of the chain the
grid bears one more outage. A chain joins the program once its root's dispatch, kept as it is, would
break one of its limits. The rest of the chains then cost nothing and break nothing, so what is
optimal without them is optimal with them. The page docs/MODEL.md has the equations.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import Flags, Floats
from data_engineering.model.problem import SolveRequest, SolveResult, Status
from data_engineering.solvers.corrective_chains import Chains
from data_engineering.solvers.corrective_heat import Heat
from data_engineering.solvers.corrective_screen import broken_chains, needed_chains, too_hot
from data_engineering.solvers.corrective_states import States, states_after
from data_engineering.solvers.corrective_tables import corrective_result
from data_engineering.solvers.dc_network import DcNetwork, dc_network
from data_engineering.solvers.lascopf import (
    CURVED_SHARE,
    MAX_ROUNDS,
    add_limits,
    add_slacks,
    add_tangents,
    curvature,
    screen,
)
from data_engineering.solvers.lascopf_tables import Round, Screened
from data_engineering.solvers.live_program import Answer
from data_engineering.solvers.outage_factors import OutageFactors, outage_factors
from data_engineering.solvers.result_rows import AT_LIMIT_MW
from data_engineering.solvers.security_build import security_program
from data_engineering.solvers.security_program import SecurityProgram

log = logging.getLogger(__name__)

NO_LIMIT_MW = 1e12
"""Stands for no limit where infinity would not."""


@dataclass(eq=False)
class Tree:
    """The program of all roots and the chains that it knows."""

    program: SecurityProgram
    chains: Chains
    heat: Heat
    answer: Answer
    screened: Screened
    history: list[Round]
    status: Status


def solve_corrective(
    request: SolveRequest, progress: Callable[[str], None] | None = None
) -> SolveResult:
    """Dispatch all intervals at least cost so that every outage can be recovered from.

    Args:
        request: kinds scopf and lascopf; `options.restoration` says what a chain is.
        progress: called with a line of text after every round.

    Raises:
        BadInput: the restoration's numbers make no sense, the commitment is relaxed or missing, or
            an outage names an element that the grid has not.
    """
    _check(request)
    network = dc_network(request.grid)
    at_once, factors = _right_after(request, network)
    states = states_after(request.grid, network, request.outages)
    directions = None if request.commitment is None else request.commitment.discharging
    tree = _grow(at_once, request, network, factors, states, directions, progress)
    resources = tree.program.resources
    if directions is None and tree.status == "optimal":
        # As in the method for production: a store keeps the direction of its net power.
        charge, discharge = (
            tree.answer.values[block] for block in (resources.charge, resources.discharge)
        )
        if (np.minimum(charge, discharge) > AT_LIMIT_MW).any():
            giving = discharge > charge
            tree = _grow(at_once, request, network, factors, states, giving, progress)
    return corrective_result(
        tree.program,
        tree.chains,
        tree.heat,
        tree.answer,
        tree.screened,
        tree.history,
        tree.status,
    )


def _check(request: SolveRequest) -> None:
    restoration = request.options.restoration
    for name in ("redispatch_intervals", "secure_intervals", "weight"):
        if getattr(restoration, name) < 0:
            raise BadInput(
                f"options.restoration.{name}", getattr(restoration, name), "give 0 or more"
            )
    for name in ("minutes", "thermal_minutes"):
        if not getattr(restoration, name) > 0.0:
            raise BadInput(
                f"options.restoration.{name}", getattr(restoration, name), "give more than 0"
            )
    if request.commitment is None and request.options.commitment == "relaxed":
        raise BadInput("options.commitment", "relaxed", "give a commitment, or `on`")


def _right_after(request: SolveRequest, network: DcNetwork) -> tuple[SolveRequest, OutageFactors]:
    """The request with the limits that hold right after an outage, with the root's dispatch.

    That moment is step 0 of every chain: the short-term rating, none where temperature is the
    limit, the continuous rating where there is no time for a redispatch.
    """
    restoration, branches = request.options.restoration, request.grid.branches
    if restoration.redispatch_intervals == 0:
        rate = branches.rate_a_mva
    elif restoration.line_limit == "short_term":
        rate = branches.rate_c_mva
    else:
        rate = np.full(len(branches), np.inf)
    # Every branch with a continuous rating is watched, whatever holds in this moment.
    watched = np.minimum(rate, branches.rate_a_mva)
    grid = replace(request.grid, branches=replace(branches, rate_b_mva=watched))
    factors = outage_factors(grid, network, request.outages)
    limit = np.minimum(rate[factors.monitored], NO_LIMIT_MW)
    factors = replace(factors, limit_mw=limit)
    grid = replace(grid, branches=replace(branches, rate_b_mva=rate))
    return replace(request, grid=grid), factors


def _grow(
    at_once: SolveRequest,
    request: SolveRequest,
    network: DcNetwork,
    factors: OutageFactors,
    states: States,
    directions: Flags | None,
    progress: Callable[[str], None] | None,
) -> Tree:
    """Solve, screen and add until nothing is broken or the time is over."""
    options, started = request.options, time.perf_counter()
    program = security_program(at_once, network, factors, directions)
    chains = Chains(program, states, request.grid.branches.rate_b_mva)
    tree = Tree(program, chains, Heat(chains), *_nothing(program))
    if options.restoration.weight > 0.0 and chains.steps:
        # A chain that costs something is wanted even where the root's dispatch would do.
        for interval in range(request.periods.count):
            for number in range(len(states.outages)):
                chains.add(interval, number)
    while True:
        left = options.time_limit_seconds - (time.perf_counter() - started)
        tree.answer = program.live.run(max(left, 0.1))
        tree.status = tree.answer.status
        if tree.status != "optimal":
            return tree
        added = _round(tree, started)
        last = tree.history[-1]
        if progress is not None:
            progress(
                f"round {len(tree.history)}: {last.bound:,.2f} USD, {len(chains.chains)} chains, "
                f"worst excess {last.violation_mw:.3f} MW"
            )
        if not added:
            return tree
        late = time.perf_counter() - started > options.time_limit_seconds
        if len(tree.history) >= MAX_ROUNDS or late:
            log.warning("the rounds ended with limits broken by %.3f MW", last.violation_mw)
            tree.status = "feasible"
            return tree


def _round(tree: Tree, started: float) -> bool:
    """Screen an answer and add what it breaks; whether there was anything."""
    program, chains, answer = tree.program, tree.chains, tree.answer
    tree.screened, injection = screen(program, answer), program.injection(answer)
    gap, chains_gap = curvature(program, answer), chains.curvature(answer)
    missing = float(gap.sum() + sum(each.sum() for each in chains_gap))
    bound = answer.objective + program.constant_usd
    elapsed = time.perf_counter() - started
    # Prices belong to the rows that the answer knows, so slacks come before new rows.
    added = add_slacks(program, answer)
    found = _broken(tree, injection)
    added |= add_limits(program, tree.screened)
    added |= found > 0.0
    if missing / max(abs(bound), 1.0) > program.request.options.tolerance / CURVED_SHARE:
        add_tangents(program, answer, gap)
        chains.add_tangents(answer, chains_gap)
        added = True
    worst = max(tree.screened.worst_mw, found)
    tree.history.append(Round(bound + missing, bound, worst, elapsed))
    return added


def _nothing(program: SecurityProgram) -> tuple[Answer, Screened, list[Round], Status]:
    nothing: Floats = np.zeros(0)
    unsolved = Answer("not_converged", np.nan, nothing, nothing)
    return unsolved, Screened.nothing(program), [], "not_converged"


def _broken(tree: Tree, injection: Floats) -> float:
    """Add the chains and limits that the answer needs; the worst excess of what was added, MW."""
    chains, answer = tree.chains, tree.answer
    if not chains.steps:
        return 0.0
    worst = broken_chains(chains, answer, injection)
    if chains.program.request.options.restoration.line_limit == "temperature":
        worst = max(worst, too_hot(tree.heat, answer, injection))
    return max(worst, needed_chains(chains, answer, tree.screened.flow))
