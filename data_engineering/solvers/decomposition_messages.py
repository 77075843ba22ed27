"""One interval of the intact network by message passing, as a request is answered."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import Ints
from data_engineering.model.problem import SolveRequest, SolveResult, Status
from data_engineering.solvers.dc_network import dc_network
from data_engineering.solvers.decomposition_consensus import (
    PER_UNIT_MW,
    Consensus,
    Iteration,
    begin,
    cut,
)
from data_engineering.solvers.decomposition_result import decomposed_result
from data_engineering.solvers.message_passing import (
    Agreement,
    Interval,
    Units,
    Wires,
    pass_messages,
)
from data_engineering.solvers.outage_factors import outage_factors
from data_engineering.solvers.security_program import INTACT

ROUNDS = 100
"""Rounds of messages for each of the outer iterations that a request allows."""
PRICED = 1e-6
"""Per unit: a limit of less price does not bind."""


def solve_by_messages(
    request: SolveRequest, progress: Callable[[str], None] | None = None
) -> SolveResult:
    """Dispatch one interval without outages, stores, DC lines and reserves.

    Raises:
        BadInput: the request asks for more than that.
    """
    _check(request)
    started = time.perf_counter()
    network = dc_network(request.grid)
    common = begin(request, network, outage_factors(request.grid, network, ()), None)
    interval, steepest = _interval(common)
    most = request.options.decomposition.max_iterations * ROUNDS
    found = pass_messages(interval, most, progress)
    _take_over(common, found, steepest)
    seconds = time.perf_counter() - started
    common.history = [
        Iteration(np.nan, primal, dual, seconds * (number + 1) / len(found.history))
        for number, (primal, dual) in enumerate(found.history.tolist())
    ]
    resources = common.program.resources
    held = np.concatenate([resources.above.ravel(), resources.free.ravel()])
    status: Status = "optimal" if found.converged else "not_converged"
    result = decomposed_result(common, status, np.nan, seconds, held)
    left_mw = float(np.abs(found.imbalance).max()) * PER_UNIT_MW
    return replace(result, residuals={**result.residuals, "messages_balance_mw": left_mw})


def _check(request: SolveRequest) -> None:
    grid, periods = request.grid, request.periods
    more = {
        "intervals": periods.count > 1,
        "outages": len(request.outages) > 0,
        "stores": bool(grid.storages.in_service.any()),
        "DC lines": bool(grid.dc_lines.in_service.any()),
        "reserves": bool(periods.reserve_up_mw.any() or periods.reserve_down_mw.any()),
    }
    if any(more.values()):
        named = ", ".join(name for name, there in more.items() if there)
        raise BadInput(
            "options.decomposition.inner", "message_passing", f"use qp for a request with {named}"
        )


def _interval(common: Consensus) -> tuple[Interval, float]:
    """The devices, and the USD/MW that prices are in units of."""
    program = common.program
    resources, grid, network = program.resources, program.request.grid, program.network
    demand = resources.demand_mw[0]
    loaded, wired = np.flatnonzero(demand), np.flatnonzero(network.slope)
    devices, steepest = _units(common)
    shed = program.request.options.penalties.load_shed * program.request.periods.hours
    wires = Wires(
        network.from_bus[wired],
        network.to_bus[wired],
        network.slope[wired] / PER_UNIT_MW,
        network.shift_mw[wired] / PER_UNIT_MW,
        grid.branches.rate_a_mva[wired] / PER_UNIT_MW,
    )
    served = demand[loaded] / PER_UNIT_MW
    return Interval(devices, loaded, served, shed / steepest, wires, len(demand)), steepest


def _units(common: Consensus) -> tuple[Units, float]:
    """Committed units that run, then those that need no commitment; and the steepest cost."""
    resources, recorded = common.program.resources, common.recorded
    thermal, quadratic = resources.units, resources.quadratic
    (width, slope), half = thermal.pieces(), np.zeros(len(thermal))
    # A quadratic cost is one piece from the least to the greatest output.
    width[quadratic.units], slope[quadratic.units] = 0.0, 0.0
    width[quadratic.units, 0] = (thermal.p_max_mw - thermal.p_min_mw)[quadratic.units]
    slope[quadratic.units, 0], half[quadratic.units] = quadratic.c1, 2.0 * quadratic.c2
    on = _running(common)
    least, most = (bound[resources.free[0]] for bound in (recorded.lower, recorded.upper))
    free = np.zeros((len(least), width.shape[1]))
    free[:, 0] = most - least
    low = np.concatenate([thermal.p_min_mw[on], least])
    width = np.vstack([width[on], free])
    steepest = float((slope[on] + (half * thermal.p_max_mw)[on, None]).max(initial=1.0))
    rows = np.concatenate([resources.thermal[on], resources.free_units])
    units = Units(
        bus=common.program.request.grid.generators.bus[rows],
        low=low / PER_UNIT_MW,
        high=np.concatenate([thermal.p_max_mw[on], most]) / PER_UNIT_MW,
        start=(low[:, None] + np.cumsum(width, axis=1) - width) / PER_UNIT_MW,
        width=width / PER_UNIT_MW,
        slope=np.vstack([slope[on], np.zeros_like(free)]) / steepest,
        half=np.concatenate([half[on], np.zeros(len(free))]) * PER_UNIT_MW / steepest,
    )
    return units, steepest


def _running(common: Consensus) -> Ints:
    """Committed units that run, by place among them."""
    on: Ints = np.flatnonzero(common.program.running(0)[common.program.resources.thermal])
    return on


def _take_over(common: Consensus, found: Agreement, steepest: float) -> None:
    """Outputs and prices of the messages into the program's columns and rows."""
    program, resources, on = common.program, common.program.resources, _running(common)
    power = found.power * PER_UNIT_MW
    common.values[resources.above[0, on]] = power[: len(on)] - resources.units.p_min_mw[on]
    common.values[resources.free[0]] = power[len(on) :]
    wired = np.flatnonzero(program.network.slope)
    binding = np.abs(found.limit) > PRICED
    branch, price = wired[binding], found.limit[binding] * steepest
    if len(branch):
        first = np.zeros(len(branch), dtype=np.int64)
        program.add_limits(first, branch, first + INTACT, price > 0.0)
    cut(common)
    common.duals[program.balance[0]] = found.price[program.network.reference] * steepest
    common.duals[program.limits.row] = -price
    common.duals[program.flow_row[0, branch]] = price
