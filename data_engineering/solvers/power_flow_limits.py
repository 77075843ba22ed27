"""Reactive limits: a bus that would leave the range of its units holds its end instead.

As MATPOWER and pandapower have it, a bus that gave up its voltage does not take it back, and the
reference never gives it up.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from data_engineering.model.grid import Flags, Floats
from data_engineering.solvers.matrices import Complexes, bus_admittance
from data_engineering.solvers.power_flow import power_flow
from data_engineering.solvers.power_flow_network import Network, with_branches
from data_engineering.solvers.power_flow_scenarios import Scenarios, incidence

MAX_ROUNDS = 30
"""Of sharing what is missing: losses change by some percent of it, so each gains a digit or two."""
TOLERANCE_PU = 3e-10


def within_limits(
    scenarios: Scenarios, network: Network, voltage: Complexes
) -> tuple[Scenarios, Complexes]:
    """Solve those scenarios again, one by one, whose units left their reactive ranges.

    Args:
        scenarios: what was solved without limits.
        network: theirs.
        voltage: their solutions, shape (S, buses), p.u.; NaN where there is none.

    Returns:
        The scenarios with the limits that are held, and all solutions; NaN where the limits leave
        none.
    """
    low, high = _ranges(scenarios)
    needed = (network.taken(scenarios, voltage) * network.grid.base_mva - scenarios.power).imag
    held = np.array(np.broadcast_to(scenarios.held, needed.shape))
    held[:, scenarios.reference] = False
    slack = 1e-6 * network.grid.base_mva
    beyond = held & ((needed < low - slack) | (needed > high + slack))
    solved, given = voltage.copy(), np.full(needed.shape, np.nan)
    for row in np.flatnonzero(beyond.any(axis=1)):
        one = scenarios.subset(np.array([row]))
        found, limited = _solve(one, voltage[row], (low[row], high[row]))
        solved[row] = found
        held[row] &= ~limited
        made = (_taken(one, found) * network.grid.base_mva - scenarios.power[row]).imag
        given[row, limited] = np.clip(made, low[row], high[row])[limited]
    held[:, scenarios.reference] = True
    return replace(scenarios, limit_mvar=given, held=held), solved


def _ranges(scenarios: Scenarios) -> tuple[Floats, Floats]:
    """Of the running units of each bus together, shape (S, buses), Mvar."""
    units, shape = scenarios.grid.generators, scenarios.power.shape
    at_bus = incidence(units.bus, shape[1])
    # Sums that include an infinite limit are infinite; 0 * infinity would be NaN.
    low = np.where(scenarios.unit_on, np.maximum(units.q_min_mvar, -1e9), 0.0) @ at_bus
    high = np.where(scenarios.unit_on, np.minimum(units.q_max_mvar, 1e9), 0.0) @ at_bus
    return np.broadcast_to(low, shape), np.broadcast_to(high, shape)


def _taken(one: Scenarios, voltage: Complexes) -> Complexes:
    taken: Complexes = Network.of(one).taken(one, voltage[None])[0]
    return taken


def _solve(
    one: Scenarios, start: Complexes, limits: tuple[Floats, Floats]
) -> tuple[Complexes, Flags]:
    """One scenario by our own Newton; what is missing is shared in rounds where units share it."""
    grid = one.grid
    base, reference = grid.base_mva, np.arange(len(grid.buses)) == one.reference
    admittance = bus_admittance(with_branches(grid, one.branch_on[0]))
    share, held = one.slack_share()[0], one.held[0]
    power, voltage = one.power[0] / base, start
    limited = np.zeros(len(reference), dtype=np.bool_)
    for _ in range(MAX_ROUNDS):
        # Buses at a limit have it in their given power, so their own range has no room left.
        low, high = (np.where(limited, 0.0, limit / base) for limit in limits)
        found = power_flow(admittance, power, voltage, reference, held & ~limited, (low, high))
        if not found.converged:
            return np.full(len(reference), np.nan + 0j), limited
        voltage = found.voltage
        lacking = voltage * np.conj(admittance @ voltage) - power
        power = power + 1j * np.where(found.at_limit, lacking.imag, 0.0)
        limited = limited | found.at_limit
        missing = lacking.real[one.reference]
        if share[one.reference] == 1.0 or abs(missing) < TOLERANCE_PU:
            break
        power = power + share * missing
    return voltage, limited
