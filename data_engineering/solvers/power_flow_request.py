"""Power flows behind `SolveRequest`: AC (`pf`) and DC (`dcpf`), every interval on its own.

Units give their set points `generators.p_mw`. In an interval whose demand differs from the grid's
those of the units that need a commitment are scaled with the total demand, so that the slack keeps
its part; wind, sun and water give no more than what is available. Reactive demand follows active
demand at each load's power factor. Stores rest; DC lines carry their set points.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from data_engineering.model.grid import ISOLATED, REF, Flags, Floats, Grid, Ints, Texts
from data_engineering.model.islands import islands
from data_engineering.model.problem import Penalties, SolveRequest, SolveResult
from data_engineering.solvers.ac_tables import AcArrays, ac_tables, no_prices, reactive_demand
from data_engineering.solvers.dc_flow import dc_flows
from data_engineering.solvers.dispatch_tables import DispatchArrays, tables_of
from data_engineering.solvers.matrices import Complexes, branch_flows
from data_engineering.solvers.power_flow_batch import (
    BatchOptions,
    PowerFlowBatch,
    solve_batch,
    unit_power,
)
from data_engineering.solvers.power_flow_scenarios import Scenarios, incidence, scenarios_of
from data_engineering.solvers.units import thermal_rows, thermal_units


def solve_power_flow(request: SolveRequest) -> SolveResult:
    """AC power flow of every interval.

    Args:
        request: kind `pf`; of its options reactive_limits and distributed_slack count.

    Returns:
        `optimal` when every interval was solved, else `not_converged` with the reason of each in
        the notes and rows for the others. The objective is the cost of what the units give.

    Raises:
        BadInput: there is no reference, or with a distributed slack no unit to share.
    """
    import lightsim2grid

    grid, periods, options = request.grid, request.periods, request.options
    began = time.perf_counter()
    load_mw, on, power = periods.load_mw, _running(request), _set_points(request)
    how = BatchOptions(
        reactive_limits=options.reactive_limits, distributed_slack=options.distributed_slack
    )
    batch = _joined(
        [
            solve_batch(
                part,
                load_mw,
                reactive_demand(grid, load_mw),
                generator_p_mw=power,
                generator_status=on,
                options=how,
            )
            for part in _fed_islands(grid)
        ]
    )
    seconds = time.perf_counter() - began
    arrays = _arrays(request, batch, seconds)
    failed = np.flatnonzero(~batch.converged[: periods.reported])
    solved = batch.converged[: periods.reported]
    return SolveResult(
        status="not_converged" if len(failed) else "optimal",
        objective=float("nan") if len(failed) else float(arrays.cost[: periods.reported].sum()),
        tables=ac_tables(request, arrays),
        residuals=_residuals(grid, batch, solved, periods.reported),
        solver="lightsim2grid",
        version=str(lightsim2grid.__version__),
        seconds=seconds,
        iterations=int(batch.iterations[: periods.reported].sum()),
        notes=tuple(f"interval {t + 1}: {batch.reason[t]}" for t in failed),
    )


def solve_dc_power_flow(request: SolveRequest) -> SolveResult:
    """DC power flow of every interval.

    Args:
        request: kind `dcpf`; with distributed_slack units share what is missing.

    Raises:
        BadInput: there is no reference, or with a distributed slack no unit to share.
    """
    import scipy

    grid, periods = request.grid, request.periods
    began = time.perf_counter()
    scenarios = scenarios_of(
        grid,
        periods.load_mw,
        reactive_demand(grid, periods.load_mw),
        generator_p_mw=_set_points(request),
        generator_status=_running(request),
        distributed_slack=request.options.distributed_slack,
    )
    given = scenarios.power.real
    missing = -(given - grid.buses.gs_mw).sum(axis=1, keepdims=True)
    found = dc_flows(grid, given + missing * scenarios.slack_share())
    power = scenarios.unit_mw + missing * scenarios.unit_share()
    # No penalty: a power flow reports what is beyond a limit and does not price it.
    free = replace(request.options, penalties=Penalties(0.0, 0.0, 0.0, 0.0))
    arrays = _dispatch(request, scenarios, power, found.angle_rad, found.flow_mw)
    units = thermal_units(grid, periods.hours)
    result = tables_of(replace(request, options=free), units, arrays)
    seconds = time.perf_counter() - began
    return replace(result, solver="superlu", version=scipy.__version__, seconds=seconds)


@dataclass(frozen=True, eq=False)
class Flow:
    """The power flow of all islands, first axis the interval; see `PowerFlowBatch`."""

    voltage: Complexes
    converged: Flags
    reason: Texts
    iterations: Ints
    mismatch_pu: Floats
    slack_mw: Floats
    power_mw: Floats
    power_mvar: Floats
    on: Flags
    live: Flags


def _fed_islands(grid: Grid) -> list[Grid]:
    """The grid once for each island that has a reference, all other buses isolated.

    A grid with a part that nothing feeds stays whole, and the power flow says that it is islanded.
    """
    buses, island = grid.buses, islands(grid)
    fed = np.unique(island[buses.kind == REF])
    if len(fed) < 2 or not np.isin(island[buses.kind != ISOLATED], fed).all():
        return [grid]
    kinds = (np.where(island == number, buses.kind, ISOLATED) for number in fed)
    return [replace(grid, buses=replace(buses, kind=kind)) for kind in kinds]


def _joined(batches: list[PowerFlowBatch]) -> Flow:
    """What islands find, put together: voltages and outputs are 0 where an island is not."""
    powers = [unit_power(batch) for batch in batches]
    reasons = np.stack([batch.reason for batch in batches])
    failed = np.argmax(reasons != "", axis=0)
    shape = powers[0][0].shape
    on = [np.broadcast_to(batch.scenarios.unit_on, shape) for batch in batches]
    return Flow(
        voltage=np.sum([batch.voltage for batch in batches], axis=0),
        converged=np.logical_and.reduce([batch.converged for batch in batches]),
        reason=np.take_along_axis(reasons, failed[None], axis=0)[0],
        iterations=np.max([batch.iterations for batch in batches], axis=0),
        mismatch_pu=np.max([batch.mismatch_pu for batch in batches], axis=0),
        slack_mw=np.sum([batch.slack_mw for batch in batches], axis=0),
        power_mw=np.sum([active for active, _ in powers], axis=0),
        power_mvar=np.sum([reactive for _, reactive in powers], axis=0),
        on=np.logical_or.reduce(on),
        live=np.logical_or.reduce([batch.scenarios.live for batch in batches]),
    )


def production_cost(grid: Grid, power: Floats, on: Flags) -> Floats:
    """Cost of running units, shape (T, generators), USD/h; beyond its points a curve goes on.

    Args:
        grid: the case.
        power: shape (T, generators), MW.
        on: shape (T, generators) or (1, generators).
    """
    units = grid.generators
    cost = (units.cost_c2 * power + units.cost_c1) * power + units.cost_c0
    for row in np.flatnonzero(np.isfinite(units.cost_mw[:, :2]).all(axis=1)):
        known = np.isfinite(units.cost_mw[row])
        mw, usd = units.cost_mw[row, known], units.cost_usd_per_h[row, known]
        piece = np.clip(np.searchsorted(mw, power[:, row]) - 1, 0, len(mw) - 2)
        slope = (usd[piece + 1] - usd[piece]) / np.maximum(mw[piece + 1] - mw[piece], 1e-9)
        cost[:, row] = usd[piece] + slope * (power[:, row] - mw[piece])
    return np.where(on, cost, 0.0)


def _running(request: SolveRequest) -> Flags:
    """Units that run, shape (T, generators)."""
    on = np.tile(request.grid.generators.in_service, (request.periods.count, 1))
    if request.commitment is not None:
        on &= request.commitment.on
    return on


def _set_points(request: SolveRequest) -> Floats:
    """Set points of every interval, shape (T, generators), MW."""
    grid, periods = request.grid, request.periods
    loads = grid.loads
    nominal = loads.p_mw[loads.in_service].sum()
    demand = periods.load_mw[:, loads.in_service].sum(axis=1)
    factor = demand / nominal if nominal else np.ones(periods.count)
    power = np.tile(grid.generators.p_mw, (periods.count, 1))
    thermal = thermal_rows(grid)
    free = np.setdiff1d(np.arange(len(grid.generators)), thermal)
    power[:, thermal] *= factor[:, None]
    available = periods.available_mw[:, free]
    must = periods.must_take[free]
    power[:, free] = np.where(must, available, np.minimum(power[:, free], available))
    return power


def _arrays(request: SolveRequest, batch: Flow, seconds: float) -> AcArrays:
    grid, periods = request.grid, request.periods
    power, reactive, count, on = batch.power_mw, batch.power_mvar, periods.count, batch.on
    at_bus = incidence(grid.loads.bus, len(grid.buses))
    load_mw = periods.load_mw * grid.loads.in_service
    reactive_load = reactive_demand(grid, periods.load_mw) * grid.loads.in_service
    return AcArrays(
        power=power,
        reactive=reactive,
        on=on,
        voltage=batch.voltage,
        cost=production_cost(grid, power, on) * periods.hours,
        load_mw=load_mw @ at_bus,
        load_mvar=reactive_load @ at_bus,
        **no_prices(grid, count),
        dc_flow=_dc_lines(grid, count),
        store_power=np.zeros((count, len(grid.storages))),
        slack_change_mw=batch.slack_mw,
        converged=batch.converged,
        iterations=batch.iterations,
        seconds=np.full(count, seconds / count),
        primal_residual=batch.mismatch_pu,
        stage="power flow",
    )


def _dc_lines(grid: Grid, count: int) -> Floats:
    return np.tile(grid.dc_lines.p_mw * grid.dc_lines.in_service, (count, 1))


def _residuals(grid: Grid, batch: Flow, solved: Flags, reported: int) -> dict[str, float]:
    """The largest mismatch, and how far flows and voltages are beyond their limits."""
    if not solved.any():
        return {}
    voltage = batch.voltage[:reported][solved]
    flows = branch_flows(grid, voltage)
    size = np.maximum(np.abs(flows[0]), np.abs(flows[1]))
    live = batch.live
    magnitude = np.abs(voltage)[:, live]
    low, high = grid.buses.vm_min_pu[live], grid.buses.vm_max_pu[live]
    outside = np.maximum(magnitude - high, low - magnitude)
    worst = batch.mismatch_pu[:reported][solved].max()
    return {
        "balance_mva": float(worst * grid.base_mva),
        "branch_overload_mva": float((size - grid.branches.rate_a_mva).max(initial=0.0)),
        "voltage_pu": float(outside.max(initial=0.0)),
    }


def _dispatch(
    request: SolveRequest, scenarios: Scenarios, power: Floats, angle: Floats, flow: Floats
) -> DispatchArrays:
    grid, periods = request.grid, request.periods
    count = periods.count
    thermal = thermal_rows(grid)
    units, buses, branches = np.zeros_like(power), np.zeros_like(angle), np.zeros_like(flow)
    stores, none = np.zeros((count, len(grid.storages))), np.zeros(count)
    demand = periods.load_mw * grid.loads.in_service @ incidence(grid.loads.bus, len(grid.buses))
    on = np.broadcast_to(scenarios.unit_on, power.shape)
    return DispatchArrays(
        power=power,
        on=on,
        above=power[:, thermal] - grid.generators.p_min_mw[thermal],
        cost=production_cost(grid, power, on) * periods.hours,
        start_cost=units,
        reserve_up=units,
        reserve_down=units,
        charge=stores,
        discharge=stores,
        energy=np.full_like(stores, np.nan),
        store_start_cost=stores,
        angle=angle + np.deg2rad(scenarios.angle_deg),
        flow=flow,
        dc_flow=_dc_lines(grid, count),
        demand=demand + grid.buses.gs_mw,
        shed=buses,
        over=buses,
        overload=np.maximum(np.abs(flow) - grid.branches.rate_a_mva, 0.0),
        up_short=none,
        down_short=none,
        price=np.full_like(buses, np.nan),
        shadow=np.full_like(branches, np.nan),
        reserve_price=np.full(count, np.nan),
        outage_penalty=none,
    )
