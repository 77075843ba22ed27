"""An AC answer as frames of the declared result tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from data_engineering.model.grid import Flags, Floats, Grid, Ints
from data_engineering.model.problem import SolveRequest
from data_engineering.solvers.matrices import Complexes, branch_flows, bus_injections
from data_engineering.solvers.result_rows import (
    AT_LIMIT_MW,
    BASE,
    branch_ratings,
    dc_line_ratings,
    line_columns,
    long_rows,
    stacked,
    store_columns,
    unchecked_outages,
)
from data_engineering.solvers.units import thermal_rows


@dataclass(frozen=True, eq=False)
class AcArrays:
    """All intervals of an AC answer, first axis the interval.

    Prices, costs and shadow prices are NaN where the method has none.

    Attributes:
        power, reactive: of the generators, shape (T, generators), MW and Mvar.
        on: which generators run, shape (T, generators).
        voltage: shape (T, buses), p.u.; whatever stands there where `converged` is false.
        cost: production cost of the interval, shape (T, generators), USD.
        load_mw, load_mvar: demand without shunts, shape (T, buses).
        price: of active power, shape (T, buses), USD/MWh; it is the sum of the next three.
        price_energy, price_congestion, price_loss: its parts, shape (T, buses), USD/MWh.
        shadow: saving by one MVA more of a branch's rating, shape (T, branches), USD/MVAh.
        dc_flow: what DC lines take at their from end, shape (T, dc lines), MW.
        store_power: net output of stores, shape (T, storages), MW.
        slack_change_mw: what the slack adds to the set points, shape (T,); NaN where none is given.
        converged: intervals with an answer; the others have no rows, shape (T,).
        iterations, seconds, primal_residual: of each interval, shape (T,); the residual in p.u.
        stage: name of the solve in `convergence_history`.
    """

    power: Floats
    reactive: Floats
    on: Flags
    voltage: Complexes
    cost: Floats
    load_mw: Floats
    load_mvar: Floats
    price: Floats
    price_energy: Floats
    price_congestion: Floats
    price_loss: Floats
    shadow: Floats
    dc_flow: Floats
    store_power: Floats
    slack_change_mw: Floats
    converged: Flags
    iterations: Ints
    seconds: Floats
    primal_residual: Floats
    stage: str


def no_prices(grid: Grid, count: int) -> dict[str, Floats]:
    """The prices of a method that has none, as keywords of `AcArrays`."""
    buses = np.full((count, len(grid.buses)), np.nan)
    names = ("price", "price_energy", "price_congestion", "price_loss")
    return {
        **dict.fromkeys(names, buses),
        "shadow": np.full((count, len(grid.branches)), np.nan),
    }


def ac_tables(request: SolveRequest, arrays: AcArrays) -> dict[str, pd.DataFrame]:
    """The result tables; an interval that did not converge has only its convergence history.

    Args:
        request: what was asked; its reported intervals get rows.
        arrays: the answer.

    Returns:
        generator_dispatch, bus_results, branch_flow_results, interval_results and
        convergence_history, with the declared columns but execution_id and case_name.
    """
    reported = request.periods.reported
    kept = np.flatnonzero(arrays.converged[:reported])
    flows = branch_flows(request.grid, arrays.voltage)
    generators = _generator_rows(request, arrays, kept)
    return {
        "generator_dispatch": generators,
        "bus_results": _bus_rows(request, arrays, kept),
        "branch_flow_results": _branch_rows(request, arrays, flows, kept),
        "interval_results": _interval_rows(request, arrays, flows, generators, kept),
        "convergence_history": _history(arrays, reported),
    }


def ac_mismatch(grid: Grid, arrays: AcArrays) -> Complexes:
    """Injection less what the network takes from each bus, shape (T, buses), MVA."""
    net = _injection(grid, arrays) - arrays.load_mw - 1j * arrays.load_mvar
    mismatch: Complexes = net - bus_injections(grid, arrays.voltage)
    return mismatch


def _injection(grid: Grid, arrays: AcArrays) -> Complexes:
    """Of generators, stores and DC lines at each bus, shape (T, buses), MVA."""
    lines = grid.dc_lines
    injection = np.zeros(arrays.voltage.shape, dtype=np.complex128)
    np.add.at(injection.T, grid.generators.bus, (arrays.power + 1j * arrays.reactive).T)
    np.add.at(injection.T, grid.storages.bus, arrays.store_power.T)
    np.add.at(injection.T, lines.from_bus, -arrays.dc_flow.T)
    np.add.at(injection.T, lines.to_bus, dc_arrival(grid, arrays.dc_flow).T)
    return injection


def dc_arrival(grid: Grid, flow: Floats) -> Floats:
    """What arrives at the to ends of DC lines, shape (..., dc lines), MW; losses run with them."""
    lines = grid.dc_lines
    arriving: Floats = flow * (1.0 - lines.loss_share) - lines.loss_fixed_mw * lines.in_service
    return arriving


def _generator_rows(request: SolveRequest, arrays: AcArrays, kept: Ints) -> pd.DataFrame:
    grid, periods = request.grid, request.periods
    units, thermal = grid.generators, np.zeros(len(grid.generators), dtype=np.bool_)
    thermal[thermal_rows(grid)] = True
    nothing, missing = np.zeros(len(units)), np.full(len(units), np.nan)
    available = arrays.on * np.where(thermal, units.p_max_mw, periods.available_mw)
    least = np.where(periods.must_take, available, np.where(thermal, units.p_min_mw, 0.0))
    unused = np.maximum(available - arrays.power, 0.0)
    columns = {
        "generator_id": units.id,
        "bus_id": grid.buses.id[units.bus],
        "generator_type": units.kind,
        "fuel": units.fuel,
        "active_power": arrays.power,
        "reactive_power": arrays.reactive,
        "commitment_status": arrays.on,
        "available_mw": np.where(np.isfinite(available), np.maximum(available, 0.0), np.nan),
        "curtailed_mw": np.where(thermal, 0.0, unused),
        "reserve_up_mw": nothing,
        "reserve_down_mw": nothing,
        "stored_energy_mwh": missing,
        "cost_usd": arrays.cost,
        "start_cost_usd": nothing,
        "at_pmin": arrays.on & (arrays.power <= least + AT_LIMIT_MW),
        "at_pmax": arrays.on & (arrays.power >= available - AT_LIMIT_MW),
        "ramp_limited": nothing.astype(np.bool_),
    }
    stores = {
        **store_columns(grid, arrays.store_power),
        "reactive_power": np.zeros(len(grid.storages)),
        "stored_energy_mwh": np.full(len(grid.storages), np.nan),
        "start_cost_usd": np.zeros(len(grid.storages)),
    }
    return stacked(
        [
            long_rows(periods, columns, len(units), kept),
            long_rows(periods, stores, len(grid.storages), kept),
        ]
    )


def _bus_rows(request: SolveRequest, arrays: AcArrays, kept: Ints) -> pd.DataFrame:
    grid = request.grid
    nothing = np.zeros(len(grid.buses))
    made = _injection(grid, arrays).real - arrays.load_mw
    np.add.at(made.T, grid.dc_lines.from_bus, arrays.dc_flow.T)
    np.add.at(made.T, grid.dc_lines.to_bus, -dc_arrival(grid, arrays.dc_flow).T)
    columns = {
        "contingency_id": np.full(len(grid.buses), BASE),
        "bus_id": grid.buses.id,
        "voltage_magnitude": np.abs(arrays.voltage),
        "voltage_angle": np.rad2deg(np.angle(arrays.voltage)),
        "net_injection_mw": made,
        "load_mw": arrays.load_mw,
        "load_shed_mw": nothing,
        "over_generation_mw": nothing,
        "lmp_energy": arrays.price_energy,
        "lmp_congestion": arrays.price_congestion,
        "lmp_loss": arrays.price_loss,
        "lmp_total": arrays.price,
    }
    return long_rows(request.periods, columns, len(grid.buses), kept)


def _branch_rows(
    request: SolveRequest, arrays: AcArrays, flows: tuple[Complexes, Complexes], kept: Ints
) -> pd.DataFrame:
    """`loading_percent`, `binding` and `violation_mw` are of the larger end's MVA."""
    grid, periods, rate = request.grid, request.periods, branch_ratings(request.grid)
    apparent = np.maximum(np.abs(flows[0]), np.abs(flows[1]))
    ac = {
        **line_columns(grid, grid.branches),
        "flow_mw": flows[0].real,
        **_limit_columns(apparent, rate),
        "shadow_price": arrays.shadow,
        "ac_flow_mva": apparent,
        "ac_loading_percent": apparent / rate * 100.0,
    }
    limit = dc_line_ratings(grid)
    missing = np.full(len(limit), np.nan)
    dc = {
        **line_columns(grid, grid.dc_lines),
        "flow_mw": arrays.dc_flow,
        **_limit_columns(np.abs(arrays.dc_flow), limit),
        "shadow_price": missing,
        "ac_flow_mva": missing,
        "ac_loading_percent": missing,
    }
    return stacked(
        [long_rows(periods, ac, len(rate), kept), long_rows(periods, dc, len(limit), kept)]
    )


def _limit_columns(size: Floats, rating: Floats) -> Mapping[str, object]:
    over = size - rating
    full = np.divide(size, rating, out=np.full(size.shape, np.nan), where=rating > 0.0)
    return {
        "rating_mw": rating,
        "loading_percent": full * 100.0,
        "binding": over >= -AT_LIMIT_MW,
        "violation_mw": np.where(over > AT_LIMIT_MW, over, 0.0),
    }


def _interval_rows(
    request: SolveRequest,
    arrays: AcArrays,
    flows: tuple[Complexes, Complexes],
    generators: pd.DataFrame,
    kept: Ints,
) -> pd.DataFrame:
    grid, count = request.grid, len(kept)
    by_interval = generators.groupby("time_interval")
    nothing, missing = np.zeros(count), np.full(count, np.nan)
    apparent = np.maximum(np.abs(flows[0]), np.abs(flows[1]))[kept]
    loading = apparent / grid.branches.rate_a_mva * 100.0  # 0 where there is no rating
    magnitude = np.abs(arrays.voltage[kept])
    residual = np.abs(ac_mismatch(grid, arrays).real[kept])
    return pd.DataFrame(
        {
            "time_interval": kept + 1,
            "interval_start": pd.DatetimeIndex(request.periods.starts())[kept],
            "load_mw": arrays.load_mw.sum(axis=1)[kept],
            "generation_mw": by_interval["active_power"].sum().to_numpy(),
            "production_cost_usd": by_interval["cost_usd"].sum().to_numpy(),
            "start_cost_usd": nothing,
            "penalty_usd": nothing,
            "balance_residual_mw": residual.max(axis=1),
            "curtailed_mw": by_interval["curtailed_mw"].sum().to_numpy(),
            "load_shed_mw": nothing,
            "over_generation_mw": nothing,
            "reserve_required_mw": nothing,
            "reserve_shortfall_mw": nothing,
            "reserve_price": missing,
            "ac_converged": pd.array([True] * count, dtype="boolean"),
            "ac_losses_mw": (flows[0] + flows[1]).real.sum(axis=1)[kept],
            "ac_slack_change_mw": arrays.slack_change_mw[kept],
            "ac_max_loading_percent": loading.max(axis=1, initial=0.0),
            "ac_min_voltage_pu": magnitude.min(axis=1),
            "ac_max_voltage_pu": magnitude.max(axis=1),
            "ac_max_flow_difference_mw": missing,
            **unchecked_outages(count),
        }
    )


def _history(arrays: AcArrays, reported: int) -> pd.DataFrame:
    """A row for each interval, its number in the stage."""
    cost = np.where(arrays.converged, arrays.cost.sum(axis=1), np.nan)[:reported]
    missing = np.full(reported, np.nan)
    return pd.DataFrame(
        {
            "stage": [f"{arrays.stage} {t + 1}" for t in range(reported)],
            "iteration": arrays.iterations[:reported],
            "objective_value": cost,
            "best_bound": missing,
            "relative_gap": missing,
            "primal_residual": arrays.primal_residual[:reported],
            "dual_residual": missing,
            "elapsed_seconds": arrays.seconds[:reported],
        }
    )


def reactive_demand(grid: Grid, load_mw: Floats) -> Floats:
    """Mvar of the loads for MW of shape (T, loads); a load without active power keeps its own."""
    loads = grid.loads
    factor = np.divide(load_mw, loads.p_mw, out=np.ones_like(load_mw), where=loads.p_mw != 0.0)
    reactive: Floats = factor * loads.q_mvar
    return reactive
