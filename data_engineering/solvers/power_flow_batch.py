"""Many AC power flows of one grid: over loads, dispatches, topologies, units and set points.

Arrays in, arrays out, the first axis the scenario. A solution is believed only when its own
mismatch, computed here from the grid's matrices, is within the tolerance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_engineering.model.grid import Flags, Floats, Grid, Ints, Texts
from data_engineering.solvers.matrices import Complexes
from data_engineering.solvers.power_flow_limits import within_limits
from data_engineering.solvers.power_flow_network import Network
from data_engineering.solvers.power_flow_scenarios import Scenarios, incidence, scenarios_of
from data_engineering.solvers.power_flow_start import first_guess, follow
from data_engineering.solvers.power_flow_sweep import Swept, sweep

HARD = 3
"""Times as many steps where no scenario has been solved yet."""
ISLANDED, DIVERGED, LIMITED = "islanded", "diverged", "reactive limits"


@dataclass(frozen=True)
class BatchOptions:
    """How to solve a batch.

    Attributes:
        tolerance_pu: greatest mismatch of any bus in an accepted solution.
        max_iterations: Newton steps before a scenario is tried again with damping, and then.
        reactive_limits: units that would leave their reactive range hold its end instead of
            their voltage; scenarios are then looked at one by one where a limit is reached.
        distributed_slack: units that hold a voltage share what is missing by their p_max_mw.
    """

    tolerance_pu: float = 1e-9
    max_iterations: int = 10
    reactive_limits: bool = False
    distributed_slack: bool = False


@dataclass(frozen=True, eq=False)
class PowerFlowBatch:
    """S solutions.

    Attributes:
        voltage: shape (S, buses), p.u.; NaN where not converged, 0 at isolated buses.
        converged: shape (S,).
        reason: why a scenario has no solution: "islanded", "diverged", or "reactive limits" where
            it has one without them; else "".
        iterations: Newton steps, shape (S,).
        mismatch_pu: greatest of any bus, shape (S,); NaN where not converged.
        slack_mw: what the slack gives beyond the set points, shape (S,).
        scenarios: what was solved.
    """

    voltage: Complexes
    converged: Flags
    reason: Texts
    iterations: Ints
    mismatch_pu: Floats
    slack_mw: Floats
    scenarios: Scenarios

    @property
    def vm_pu(self) -> Floats:
        """Voltage magnitudes, shape (S, buses)."""
        return np.abs(self.voltage)

    @property
    def va_deg(self) -> Floats:
        """Voltage angles, shape (S, buses)."""
        angle: Floats = np.rad2deg(np.angle(self.voltage))
        return angle


def solve_batch(
    grid: Grid,
    load_p_mw: Floats,
    load_q_mvar: Floats,
    *,
    branch_status: Flags | None = None,
    generator_p_mw: Floats | None = None,
    generator_status: Flags | None = None,
    generator_vm_pu: Floats | None = None,
    dc_flow_mw: Floats | None = None,
    store_p_mw: Floats | None = None,
    start: Complexes | None = None,
    options: BatchOptions | None = None,
) -> PowerFlowBatch:
    """Solve S power flows.

    Each array has shape (S, elements), or (elements,) or (1, elements) for all scenarios alike;
    what is not given is the grid's. The grid's own `in_service` counts for loads; statuses that
    are given count instead of it for branches and generators.

    Args:
        grid: the case.
        load_p_mw: active demand of the loads.
        load_q_mvar: reactive demand of the loads.
        branch_status: branches in service.
        generator_p_mw: set points of the generators.
        generator_status: generators that run; a bus without one gives up its voltage, but for
            the reference.
        generator_vm_pu: voltage set points; the first unit of a bus decides.
        dc_flow_mw: flows of the DC lines at their from ends.
        store_p_mw: net output of the stores, none by default.
        start: voltages of shape (buses,) to start from, p.u.; searched for by default.
        options: how to solve.

    Raises:
        BadInput: shapes do not fit, a number is missing, or there is no reference.
    """
    chosen = BatchOptions() if options is None else options
    scenarios = scenarios_of(
        grid,
        load_p_mw,
        load_q_mvar,
        branch_status=branch_status,
        generator_p_mw=generator_p_mw,
        generator_status=generator_status,
        generator_vm_pu=generator_vm_pu,
        dc_flow_mw=dc_flow_mw,
        store_p_mw=store_p_mw,
        distributed_slack=chosen.distributed_slack,
    )
    return solve_scenarios(scenarios, chosen, start)


def solve_scenarios(
    scenarios: Scenarios, options: BatchOptions, start: Complexes | None = None
) -> PowerFlowBatch:
    """Solve scenarios that are prepared; see `solve_batch`."""
    network = Network.of(scenarios)
    voltage, iterations, whole = _candidates(scenarios, network, options, start)
    reason = np.where(whole, np.where(np.isnan(voltage[:, 0]), DIVERGED, LIMITED), ISLANDED)
    if options.reactive_limits:
        scenarios, voltage = within_limits(scenarios, network, voltage)
    mismatch, slack = network.mismatch(scenarios, voltage)
    converged = mismatch <= options.tolerance_pu  # false where NaN
    voltage[~converged], mismatch[~converged], slack[~converged] = np.nan, np.nan, np.nan
    return PowerFlowBatch(
        voltage=voltage,
        converged=converged,
        reason=np.where(converged, "", reason),
        iterations=iterations,
        mismatch_pu=mismatch,
        slack_mw=slack * scenarios.grid.base_mva,
        scenarios=scenarios,
    )


def _candidates(
    scenarios: Scenarios, network: Network, options: BatchOptions, start: Complexes | None
) -> tuple[Complexes, Ints, Flags]:
    """Voltages (NaN where none), iterations, and which scenarios are not islanded."""
    whole = ~network.islanded(scenarios)
    voltage = np.full(scenarios.power.shape, np.nan + 0j)
    iterations = np.zeros(len(scenarios), dtype=np.int64)
    if whole.any():
        some = scenarios.subset(np.flatnonzero(whole))
        first = first_guess(scenarios) if start is None else start
        found = _tried(some, options, first)
        if start is None and not found.converged.any():
            first = follow(some, network)
            found = _tried(some, options, first)
        if not found.converged.any():
            found = _halved(some, options, first, found)
        voltage[whole] = np.where(found.converged[:, None], found.voltage, np.nan)
        iterations[whole] = found.iterations
    return voltage, iterations, whole


def _tried(scenarios: Scenarios, options: BatchOptions, start: Complexes) -> Swept:
    """Plain Newton for all, damped for those it does not solve."""
    first, tolerance = _anchored(scenarios, start), options.tolerance_pu / 10.0
    found = sweep(scenarios, first, tolerance, options.max_iterations)
    left = np.flatnonzero(~found.converged)
    if not len(left):
        return found
    steps = options.max_iterations * (1 if found.converged.any() else HARD)
    again = sweep(scenarios.subset(left), first, tolerance, steps, damped=True)
    voltage, converged = found.voltage.copy(), found.converged.copy()
    voltage[left], converged[left] = again.voltage, again.converged
    iterations = found.iterations.copy()
    iterations[left] += again.iterations
    return Swept(voltage, converged, iterations)


def _halved(scenarios: Scenarios, options: BatchOptions, start: Complexes, found: Swept) -> Swept:
    """Where not even the mean injections have a solution, those nearer to each other are tried."""
    if len(scenarios) == 1:
        return found
    order = np.argsort(scenarios.power.real.sum(axis=1), kind="stable")
    parts = []
    for rows in np.array_split(order, 2):
        half = scenarios.subset(rows)
        tried = _tried(half, options, start)
        if not tried.converged.any():
            tried = _halved(half, options, start, tried)
        parts.append(tried)
    back = np.argsort(order)
    return Swept(
        *(
            np.concatenate([getattr(part, name) for part in parts])[back]
            for name in ("voltage", "converged", "iterations")
        )
    )


def _anchored(scenarios: Scenarios, start: Complexes) -> Complexes:
    """Turned to the angle of the reference."""
    turn = np.deg2rad(scenarios.angle_deg) - np.angle(start[scenarios.reference])
    turned: Complexes = start * np.exp(1j * turn)
    return turned


def unit_power(batch: PowerFlowBatch) -> tuple[Floats, Floats]:
    """Output of every generator, shape (S, generators), MW and Mvar.

    What the slack gives is shared by its units' capability, at a single reference by that of the
    units that run there. Reactive power of a bus that holds its voltage is shared by the ranges
    of its running units, in equal parts where none has one.
    """
    scenarios = batch.scenarios
    grid, units = scenarios.grid, scenarios.grid.generators
    taken = Network.of(scenarios).taken(scenarios, batch.voltage) * grid.base_mva
    share = scenarios.unit_share()
    active = scenarios.unit_mw + batch.slack_mw[:, None] * share
    missing = (taken - scenarios.power).imag[:, units.bus]
    regulates = scenarios.held
    if scenarios.limit_mvar is not None:
        regulates = regulates | ~np.isnan(scenarios.limit_mvar)
    holds = scenarios.unit_on & regulates[:, units.bus]
    span = np.where(np.isfinite(units.q_max_mvar - units.q_min_mvar),
                    units.q_max_mvar - units.q_min_mvar, 0.0)  # fmt: skip
    at_bus = incidence(units.bus, len(grid.buses))
    wide = holds * span
    ranged = (wide @ at_bus)[:, units.bus]
    low = np.where(span > 0.0, units.q_min_mvar, 0.0)
    below = ((holds * low) @ at_bus)[:, units.bus]
    many = (holds @ at_bus)[:, units.bus]
    by_range = low + (missing - below) * wide / np.where(ranged > 0.0, ranged, 1.0)
    equal = missing / np.maximum(many, 1)
    given = np.where(scenarios.unit_on, units.q_mvar, 0.0)
    reactive = np.where(holds, np.where(ranged > 0.0, by_range, equal), given)
    return active, reactive
