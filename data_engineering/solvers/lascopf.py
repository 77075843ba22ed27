"""Look-ahead security-constrained dispatch by constraint generation: the method for production.

The program of `security_program` is solved, every flow of every interval is screened in the intact
network and after every outage, prices are screened for shedding and spilling, quadratic costs for
their distance from their tangents; what is broken is added, until nothing is. Without outages and
with one interval this is the DC optimal power flow.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from data_engineering.model.grid import Flags, Floats, Ints
from data_engineering.model.problem import SolveRequest, SolveResult, Status
from data_engineering.solvers.dc_network import DcNetwork, dc_network
from data_engineering.solvers.lascopf_tables import Round, Screened, result_of
from data_engineering.solvers.live_program import Answer
from data_engineering.solvers.outage_factors import OutageFactors, outage_factors
from data_engineering.solvers.result_rows import AT_LIMIT_MW
from data_engineering.solvers.security_build import security_program
from data_engineering.solvers.security_program import INTACT, SecurityProgram

log = logging.getLogger(__name__)

VIOLATION_MW = 1e-6
"""Excess of a flow over its limit that does not count: ten times what HiGHS allows a row."""
PRICE_USD = 1e-5
"""Excess of a price over a penalty that does not count."""
WORST_PER_BRANCH = 4
"""Limits of one branch, interval and direction that are added in one round: the worst outages."""
CURVED_SHARE = 20.0
"""Part of the tolerance that tangents of quadratic costs may take, so that prices are good too."""
MAX_ROUNDS = 200


@dataclass(eq=False)
class Solved:
    """The program at its end, with what was found there."""

    program: SecurityProgram
    answer: Answer
    screened: Screened
    history: list[Round]
    status: Status


def solve_lascopf(
    request: SolveRequest, progress: Callable[[str], None] | None = None
) -> SolveResult:
    """Dispatch all intervals at least cost, secure against the request's outages.

    Args:
        request: kinds dcopf, scopf and lascopf.
        progress: called with a line of text after every round.

    Raises:
        BadInput: the request has no commitment and its options ask for one, or an outage names
            an element that the grid has not.
    """
    network = dc_network(request.grid)
    factors = outage_factors(request.grid, network, request.outages)
    return dispatch_secure(request, network, factors, progress)


def dispatch_secure(
    request: SolveRequest,
    network: DcNetwork,
    factors: OutageFactors,
    progress: Callable[[str], None] | None = None,
) -> SolveResult:
    """`solve_lascopf` with the factors of the network and its outages at hand."""
    directions = None if request.commitment is None else request.commitment.discharging
    solved = generate(security_program(request, network, factors, directions), progress)
    # With spilled energy in the system a store without a direction gains by charging and giving
    # at once, which no store can. It then keeps the direction of its net power.
    if directions is None and solved.status == "optimal":
        values, resources = solved.answer.values, solved.program.resources
        charge, discharge = values[resources.charge], values[resources.discharge]
        if (np.minimum(charge, discharge) > AT_LIMIT_MW).any():
            again = security_program(request, network, factors, discharge > charge)
            solved = generate(again, progress)
    return result_of(solved.program, solved.answer, solved.screened, solved.history, solved.status)


def generate(program: SecurityProgram, progress: Callable[[str], None] | None = None) -> Solved:
    """Solve, screen and add until nothing is broken or the time is over."""
    options, started = program.request.options, time.perf_counter()
    history: list[Round] = []
    while True:
        left = options.time_limit_seconds - (time.perf_counter() - started)
        answer = program.live.run(max(left, 0.1))
        if answer.status != "optimal":
            return Solved(program, answer, Screened.nothing(program), history, answer.status)
        screened = screen(program, answer)
        gap = curvature(program, answer)
        bound = answer.objective + program.constant_usd
        missing = gap.sum() / max(abs(bound), 1.0)
        elapsed = time.perf_counter() - started
        history.append(Round(bound + float(gap.sum()), bound, screened.worst_mw, elapsed))
        if progress is not None:
            progress(
                f"round {len(history)}: {bound:,.2f} USD, {screened.new.sum()} limits "
                f"broken, worst by {screened.worst_mw:.3f} MW"
            )
        # Prices belong to the rows that the answer knows, so slacks come before new rows.
        added = add_slacks(program, answer)
        added |= add_limits(program, screened)
        if missing > options.tolerance / CURVED_SHARE:
            add_tangents(program, answer, gap)
            added = True
        if not added:
            return Solved(program, answer, screened, history, "optimal")
        if len(history) >= MAX_ROUNDS or time.perf_counter() - started > options.time_limit_seconds:
            log.warning("the rounds ended with limits broken by %.3f MW", screened.worst_mw)
            return Solved(program, answer, screened, history, "feasible")


def screen(program: SecurityProgram, answer: Answer) -> Screened:
    """Every flow beyond its limit, with or without a row for it in the program."""
    theta = program.network.angles(program.injection(answer))
    return screen_flows(program, theta, program.network.flows(theta), unit_power(program, answer))


def screen_flows(program: SecurityProgram, theta: Floats, flow: Floats, power: Floats) -> Screened:
    """`screen` for given angles, flows and outputs of units, first axis the interval."""
    request, factors = program.request, program.factors
    rate = np.where(request.grid.branches.in_service, request.grid.branches.rate_a_mva, np.inf)
    t, branch = np.nonzero(np.abs(flow) > rate + VIOLATION_MW)
    found = [(t, branch, np.full(len(t), INTACT), flow[t, branch], rate[branch])]
    for pairs in factors.beyond(flow, power, program.all_running(), VIOLATION_MW):
        line, limit = factors.monitored[pairs.row], factors.limit_mw[pairs.row]
        found.append((pairs.interval, line, pairs.outage, pairs.flow_mw, limit))
    t, branch, outage, after, limit = (np.concatenate(part) for part in zip(*found, strict=True))
    upper = after > 0.0
    sizes = (len(request.outages), flow.shape[1])
    place = program.limits._replace(interval=t, branch=branch, outage=outage, upper=upper)
    new = ~np.isin(place.keys(*sizes), program.limits.keys(*sizes))
    return Screened(theta, flow, t, branch, outage, upper, np.abs(after) - limit, new)


def unit_power(program: SecurityProgram, answer: Answer) -> Floats:
    """Output of every unit of the grid, shape (T, units), MW."""
    resources = program.resources
    power = np.zeros((program.request.periods.count, len(program.request.grid.generators)))
    power[:, resources.thermal] = resources.power(answer.values)
    power[:, resources.free_units] = answer.values[resources.free]
    return power


def add_limits(program: SecurityProgram, screened: Screened) -> bool:
    """Add the worst of the limits that are broken and not in the program; whether there were."""
    new = np.flatnonzero(screened.new)
    if not len(new):
        return False
    group = np.stack([screened.interval, screened.branch, screened.upper])[:, new]
    order = np.lexsort((-screened.excess_mw[new], *group))
    group, chosen = group[:, order], new[order]
    starts = np.concatenate([[True], (np.diff(group, axis=1) != 0).any(axis=0)])
    first = np.maximum.accumulate(np.where(starts, np.arange(len(order)), 0))
    chosen = chosen[np.arange(len(order)) - first < WORST_PER_BRANCH]
    program.add_limits(
        screened.interval[chosen],
        screened.branch[chosen],
        screened.outage[chosen],
        screened.upper[chosen],
    )
    return True


def add_slacks(program: SecurityProgram, answer: Answer) -> bool:
    """Columns for shedding and spilling at buses where they would pay; whether there were."""
    penalties, hours = program.request.options.penalties, program.request.periods.hours
    price = program.prices(answer)
    loaded = program.resources.demand_mw > 0.0
    shed = (price > penalties.load_shed * hours + PRICE_USD) & loaded & (program.shed < 0)
    over = (price < -penalties.over_generation * hours - PRICE_USD) & (program.over < 0)
    over[:, program.network.reference] = False
    spread = np.argwhere(answer.values[program.all_shed] > VIOLATION_MW)
    if len(spread):
        program.spread_shed(spread[:, 0], spread[:, 1])
        shed &= program.shed < 0
    if shed.any():
        program.add_sheds(*np.nonzero(shed))
    if over.any():
        program.add_overs(*np.nonzero(over))
    return bool(len(spread) or shed.any() or over.any())


def curvature(program: SecurityProgram, answer: Answer) -> Floats:
    """How far quadratic costs are above their tangents, shape (T, q), USD."""
    resources = program.resources
    which = resources.quadratic.units
    share = resources.share(answer.values)[:, which]
    power = resources.power(answer.values)[:, which] / np.where(share > 1e-9, share, 1.0)
    gap = resources.quadratic.at(power) * share - answer.values[resources.curved]
    return np.asarray(np.maximum(gap, 0.0))


def add_tangents(program: SecurityProgram, answer: Answer, gap: Floats) -> None:
    """Touch the quadratic costs that are far from their tangents where the units stand."""
    resources = program.resources
    whole = abs(answer.objective + program.constant_usd)
    t, curved = _wanted(gap, program.request.options.tolerance * whole / 20.0)
    which = resources.quadratic.units[curved]
    share = resources.share(answer.values)[t, which]
    power = resources.power(answer.values)[t, which] / np.where(share > 1e-9, share, 1.0)
    program.add_tangents(t, curved, power)


def _wanted(gap: Floats, allowed: float) -> tuple[Ints, Ints]:
    """The gaps that matter: all but those that together stay within what is allowed."""
    wanted: Flags = gap > allowed / max(gap.size, 1)
    t, curved = np.nonzero(wanted)
    return t, curved
