"""What an answer breaks in the chains that the program knows, and which others it must know."""

from __future__ import annotations

import numpy as np

from data_engineering.model.grid import Flags, Floats
from data_engineering.solvers.corrective_chains import NO_SECOND, Chains
from data_engineering.solvers.corrective_heat import ACCURACY, Heat
from data_engineering.solvers.live_program import Answer

VIOLATION_MW = 1e-6
"""As in the method for production."""
WORST_SECONDS = 2
"""Second outages whose limits of one branch are added at a time."""


def needed_chains(chains: Chains, answer: Answer, flow: Floats) -> float:
    """Add the chains that cannot keep their root's dispatch; the worst excess, MW.

    Args:
        chains: those known so far.
        answer: of the program.
        flow: of the roots in the intact network, shape (T, L), MW.
    """
    program, states = chains.program, chains.states
    rate = program.request.grid.branches.rate_a_mva
    secure = program.request.options.restoration.secure_intervals > 0
    power = _unit_power(chains, answer)
    worst = 0.0
    for number, state in enumerate(states.outages):
        missing = [t for t in range(len(flow)) if (t, number) not in chains.place]
        after = state.flows(flow[missing])
        excess = (np.abs(after) - rate).max(axis=1, initial=-np.inf)
        if secure:
            later = [_second_excess(chains, number, each).max(initial=-np.inf) for each in after]
            excess = np.maximum(excess, later)
        if len(state.units):
            excess = np.maximum(excess, power[missing][:, state.units].max(axis=1))
        for t in np.flatnonzero(excess > VIOLATION_MW).tolist():
            chains.add(missing[t], number)
            worst = max(worst, float(excess[t]))
    return worst


def _second_excess(chains: Chains, number: int, after: Floats) -> Floats:
    """Excess over the rating after a second outage, shape (L, D), MW."""
    factors, counts = chains.states.second(number)
    carried = after[chains.states.seconds]
    found: Floats = np.abs(after[:, None] + factors * carried) - chains.second_rate[:, None]
    found[:, ~counts] = -np.inf
    return found


def _unit_power(chains: Chains, answer: Answer) -> Floats:
    program = chains.program
    resources = program.resources
    power = np.zeros((program.request.periods.count, len(program.request.grid.generators)))
    power[:, resources.thermal] = resources.power(answer.values)
    power[:, resources.free_units] = answer.values[resources.free]
    return power


def broken_chains(chains: Chains, answer: Answer, injection: Floats) -> float:
    """Add the limits that chains break; the worst excess, MW.

    Args:
        chains: all in the program when it was solved.
        answer: of the program.
        injection: of the roots, shape (T, n), MW.
    """
    program = chains.program
    restoration = program.request.options.restoration
    grid = program.request.grid
    rate = np.tile(grid.branches.rate_a_mva, (chains.steps, 1))
    temperature = restoration.line_limit == "temperature"
    meanwhile = np.inf if temperature else grid.branches.rate_c_mva
    rate[: max(restoration.redispatch_intervals - 1, 0)] = meanwhile
    worst = 0.0
    for number, flow in enumerate(_chain_flows(chains, answer, injection)):
        over = np.abs(flow) - rate
        for k, branch in np.argwhere(over > VIOLATION_MW).tolist():
            upper, limit = bool(flow[k, branch] > 0.0), float(rate[k, branch])
            if chains.limit(number, k + 1, branch, upper, limit, NO_SECOND):
                worst = max(worst, float(over[k, branch]))
        if restoration.secure_intervals:
            worst = max(worst, _second_limits(chains, number, flow[-1]))
    return worst


def _second_limits(chains: Chains, number: int, flow: Floats) -> float:
    """Add limits after second outages at the end of a chain."""
    chain, worst = chains.chains[number], 0.0
    excess = _second_excess(chains, chain.number, flow)
    factors, _ = chains.states.second(chain.number)
    for branch in np.flatnonzero(excess.max(axis=1, initial=-np.inf) > VIOLATION_MW).tolist():
        order = np.argsort(-excess[branch])
        added = 0
        for second in order[excess[branch, order] > VIOLATION_MW].tolist():
            after = flow[branch] + factors[branch, second] * flow[chains.states.seconds[second]]
            rate = float(chains.second_rate[branch])
            if chains.limit(number, chains.steps, branch, bool(after > 0.0), rate, second):
                worst = max(worst, float(excess[branch, second]))
                added += 1
            if added == WORST_SECONDS:
                break
    return worst


def _chain_flows(chains: Chains, answer: Answer, injection: Floats) -> list[Floats]:
    """Flows of every chain in its intervals, shape (K, L) each, MW."""
    network, states = chains.program.network, chains.states
    found = []
    for chain in chains.chains:
        net = chains.injections(chain, injection[chain.interval], answer)
        flow = network.flows(network.angles(net))
        found.append(states.outages[chain.number].flows(flow))
    return found


def too_hot(heat: Heat, answer: Answer, injection: Floats) -> float:
    """Add temperatures of lines that get too hot, and tangents; the worst excess, about MW."""
    chains = heat.chains
    network, program = chains.program.network, chains.program
    rate, worst = program.request.grid.branches.rate_a_mva, 0.0
    known = len(heat.lines)
    flows = _chain_flows(chains, answer, injection) if heat.steps else []
    for number, (chain, flow) in enumerate(zip(chains.chains, flows, strict=True)):
        root = network.flows(network.angles(injection[chain.interval]))
        at_once = chains.at_once(chain, root, answer)
        squares = np.vstack([root, at_once, flow[: heat.steps - 1]]) / rate
        hottest = heat.after((squares**2).T).max(axis=1) - 1.0
        limited: Flags = np.isfinite(rate)
        for branch in np.flatnonzero(limited & (hottest > ACCURACY)).tolist():
            if heat.add(number, branch):
                worst = max(worst, float(hottest[branch] * rate[branch] / 2.0))
    return max(worst, heat.refine(answer, known))
