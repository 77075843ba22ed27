"""Newton's method for many scenarios by lightsim2grid's C++ core.

Its grid is built so that it solves exactly our equations: every branch is its pi model with a
complex ratio at the from end, all injections are loads, and units of no power hold voltages.
What it gives is only a candidate; `power_flow_batch` checks each row against our own matrices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from data_engineering.model.grid import Flags, Floats, Ints
from data_engineering.solvers.matrices import Complexes
from data_engineering.solvers.power_flow_scenarios import Scenarios

UNSCALED, BOUNDED = 0, 1
ALWAYS, EVERY_N, ONCE = 0, 1, 2
REFACTOR_EVERY = 2
"""Where scenarios differ in topology a Jacobian serves two steps: from 1.1 to 1.5 times as fast as
one each and as robust. Where only injections differ one Jacobian serves all steps of a scenario."""


@dataclass(frozen=True, eq=False)
class Swept:
    """Candidates: voltages of shape (S, buses), p.u.; meaningless where `converged` is false."""

    voltage: Complexes
    converged: Flags
    iterations: Ints


def sweep(
    scenarios: Scenarios,
    start: Complexes,
    tolerance_pu: float,
    max_iterations: int,
    damped: bool = False,
) -> Swept:
    """Solve all scenarios from one start.

    Args:
        scenarios: what to solve.
        start: voltages of shape (buses,), p.u.; held magnitudes are set by the scenario.
        tolerance_pu: greatest mismatch of a bus.
        max_iterations: Newton steps of a scenario.
        damped: a fresh Jacobian each step, and steps of at most 0.5 rad and 0.1 p.u.
    """
    from lightsim2grid.lightsim2grid_cpp import AlgorithmType, ScenarioSweepCPP

    grid, holders = scenarios.grid, _holders(scenarios)
    model = _model(scenarios, holders)
    computer = ScenarioSweepCPP(model)
    single = scenarios.capability_mw is None
    computer.change_algorithm(AlgorithmType.NRSing_KLU if single else AlgorithmType.NR_KLU)
    _configure(computer, scenarios, damped)
    load = -scenarios.power
    computer.modify_load_p(np.ascontiguousarray(load.real))
    computer.modify_load_q(np.ascontiguousarray(load.imag))
    count = len(scenarios)
    if len(scenarios.set_point_pu) > 1:
        computer.modify_gen_v(np.ascontiguousarray(scenarios.set_point_pu[:, holders.bus]))
    if len(scenarios.branch_on) > 1:
        computer.set_contingency_trafos(scenarios.ever_on & ~scenarios.branch_on)
    if len(holders.off) > 1:
        computer.set_contingency_gens(np.ascontiguousarray(holders.off))
    # All begin at the solution of the mean injections, which is near each of them.
    computer.init_from_n_powerflow = count > 1
    # Its tolerance is in MVA, divided by the base inside.
    computer.compute(start, max_iterations, tolerance_pu * grid.base_mva)
    converged = np.asarray(computer.converged_mask(), dtype=np.bool_)
    voltage = _turned(computer.get_voltages()[:, : len(grid.buses)], scenarios, converged)
    return Swept(voltage, converged, np.asarray(computer.get_row_nb_iter(), dtype=np.int64))


@dataclass(frozen=True, eq=False)
class _Holders:
    """Who holds voltages: buses, where each is off, shape (S or 1, holders), and slack weights."""

    bus: Ints
    off: Flags
    weight: Floats


def _holders(scenarios: Scenarios) -> _Holders:
    """One for each bus, the reference last; with a distributed slack one for each unit besides."""
    reference, held = scenarios.reference, scenarios.ever_held.copy()
    held[reference] = False
    if scenarios.capability_mw is None:
        bus = np.append(np.flatnonzero(held), reference)
        return _Holders(bus, ~scenarios.held[:, bus], (bus == reference).astype(np.float64))
    # Units that are off leave the distribution; the others keep the ratio of their shares.
    units = scenarios.grid.generators
    row = np.flatnonzero(scenarios.unit_on.any(axis=0) & scenarios.ever_held[units.bus])
    bus = np.append(units.bus[row], reference)
    on = scenarios.unit_on[:, row] & scenarios.held[:, units.bus[row]]
    off = np.hstack([~on, np.zeros((len(on), 1), dtype=np.bool_)])
    return _Holders(bus, off, np.append(scenarios.capability_mw[row], 0.0))


def _model(scenarios: Scenarios, holders: _Holders) -> Any:
    from lightsim2grid.lightsim2grid_cpp import LSGrid

    grid = scenarios.grid
    branches, count = grid.branches, len(grid.buses)
    bus = np.arange(count, dtype=np.int32)
    start, end = branches.from_bus.astype(np.int32), branches.to_bus.astype(np.int32)
    model = LSGrid()
    model.set_sn_mva(grid.base_mva)
    model.init_bus(count, 1, np.ones(count), 0, len(branches))
    model.init_trafo(
        branches.r_pu, branches.x_pu, 1j * branches.b_pu, branches.tap, branches.shift_deg,
        [True] * len(branches), start, end, True,
    )  # fmt: skip
    for row in np.flatnonzero(~scenarios.ever_on):
        model.deactivate_trafo(int(row))
    model.init_shunt(grid.buses.gs_mw, -grid.buses.bs_mvar, bus)
    mean = -scenarios.power.mean(axis=0)
    model.init_loads(mean.real.copy(), mean.imag.copy(), bus)
    held = holders.bus.astype(np.int32)
    nothing, wide = np.zeros(len(held)), np.full(len(held), 1e9)
    set_point, holding = scenarios.set_point_pu[0, held], [True] * len(held)
    model.init_generators_full(nothing, set_point, nothing, holding, -wide, wide, held)
    for number in np.flatnonzero(holders.weight > 0.0):
        model.add_gen_slackbus(int(number), float(holders.weight[number]))
    for row in np.flatnonzero(~scenarios.live):
        model.deactivate_load(int(row))
        model.deactivate_shunt(int(row))
        model.deactivate_bus(int(row))
    for name in ("gen", "load", "shunt"):
        getattr(model, f"set_{name}_to_subid")(held if name == "gen" else bus)
    model.set_trafo_to_sub1_id(start)
    model.set_trafo_to_sub2_id(end)
    return model


def _configure(computer: Any, scenarios: Scenarios, damped: bool) -> None:
    config = computer.get_algo_config()
    choices = list(config.int_params)
    choices[0] = BOUNDED if damped else UNSCALED
    if damped or len(scenarios) == 1:
        choices[1] = ALWAYS
    elif len(scenarios.branch_on) == len(scenarios.held) == 1:
        choices[1] = ONCE
    else:
        choices[1], choices[3] = EVERY_N, REFACTOR_EVERY
    config.int_params = choices
    computer.set_algo_config(config)


def _turned(voltage: Complexes, scenarios: Scenarios, converged: Flags) -> Complexes:
    """Angles from the reference: a distributed slack may hold that of another bus."""
    if scenarios.capability_mw is None or not converged.any():
        return voltage
    at = voltage[:, scenarios.reference]
    wanted = np.exp(1j * np.deg2rad(scenarios.angle_deg))
    turn = np.divide(wanted * np.abs(at), at, out=np.ones_like(at), where=converged)
    turned: Complexes = voltage * turn[:, None]
    return turned
