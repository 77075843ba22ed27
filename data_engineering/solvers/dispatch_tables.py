"""A dispatch as frames of the declared result tables, with its residuals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from data_engineering.model.grid import Branches, DcLines, Flags, Floats, Grid
from data_engineering.model.problem import Periods, SolveRequest, SolveResult
from data_engineering.solvers.result_rows import (
    AT_LIMIT_MW,
    BASE,
    branch_ratings,
    dc_line_ratings,
    line_columns,
    long_rows,
    stacked,
    store_columns,
    unchecked_ac,
)
from data_engineering.solvers.units import ThermalUnits, thermal_rows


@dataclass(frozen=True, eq=False)
class DispatchArrays:
    """All intervals, first axis the interval; MW, MWh, USD, USD/MWh, angles in radians.

    `outage_penalty` is what overloads after outages cost, shape (T,), USD.
    """

    power: Floats
    on: Flags
    above: Floats
    cost: Floats
    start_cost: Floats
    reserve_up: Floats
    reserve_down: Floats
    charge: Floats
    discharge: Floats
    energy: Floats
    store_start_cost: Floats
    angle: Floats
    flow: Floats
    dc_flow: Floats
    demand: Floats
    shed: Floats
    over: Floats
    overload: Floats
    up_short: Floats
    down_short: Floats
    price: Floats
    shadow: Floats
    reserve_price: Floats
    outage_penalty: Floats


def tables_of(request: SolveRequest, units: ThermalUnits, arrays: DispatchArrays) -> SolveResult:
    """The result of an optimal dispatch of the intact network."""
    periods = request.periods
    generators = _generator_rows(request, units, arrays)
    intervals = _interval_rows(request, arrays, generators)
    tables = {
        "generator_dispatch": generators,
        "bus_results": _bus_rows(request.grid, periods, arrays),
        "branch_flow_results": _branch_rows(request.grid, periods, arrays),
        "interval_results": intervals,
    }
    costs = ("production_cost_usd", "start_cost_usd", "penalty_usd")
    residuals = {
        "balance_mw": float(np.abs(bus_imbalance(request.grid, arrays)).max()),
        "load_shed_mw": float(_clean(arrays.shed).sum(axis=1).max()),
        "over_generation_mw": float(_clean(arrays.over).sum(axis=1).max()),
        "branch_overload_mw": float(arrays.overload.max(initial=0.0)),
        "reserve_shortfall_mw": float(_clean(arrays.up_short + arrays.down_short).max()),
    }
    return SolveResult(
        status="optimal",
        objective=float(intervals[list(costs)].to_numpy().sum()),
        tables=tables,
        residuals=residuals,
        solver="highs",
        version="",
        seconds=0.0,
    )


def bus_imbalance(grid: Grid, arrays: DispatchArrays) -> Floats:
    """Injection less demand less what the lines take away, shape (T, buses), MW.

    Summed element by element from the solution, not read from the solver's rows.
    """
    net = _injection(grid, arrays) - arrays.demand + arrays.shed - arrays.over
    for flow, lines, arriving in (
        (arrays.flow, grid.branches, np.ones(len(grid.branches))),
        (arrays.dc_flow, grid.dc_lines, 1.0 - grid.dc_lines.loss_share),
    ):
        np.add.at(net.T, lines.from_bus, -flow.T)
        np.add.at(net.T, lines.to_bus, (flow * arriving).T)
    return net


def _injection(grid: Grid, arrays: DispatchArrays) -> Floats:
    injection = np.zeros_like(arrays.demand)
    np.add.at(injection.T, grid.generators.bus, arrays.power.T)
    np.add.at(injection.T, grid.storages.bus, (arrays.discharge - arrays.charge).T)
    return injection


def _generator_rows(
    request: SolveRequest, units: ThermalUnits, arrays: DispatchArrays
) -> pd.DataFrame:
    grid, periods = request.grid, request.periods
    generators = grid.generators
    thermal = np.zeros(len(generators), dtype=np.bool_)
    thermal[thermal_rows(grid)] = True
    available = np.where(thermal, arrays.on * generators.p_max_mw, periods.available_mw)
    least = np.where(periods.must_take, available, np.where(thermal, generators.p_min_mw, 0.0))
    ramped = np.zeros(arrays.power.shape, dtype=np.bool_)
    ramped[:, thermal] = _ramp_limited(units, arrays.above, arrays.on[:, thermal])
    rows = long_rows(
        periods,
        {
            "generator_id": generators.id,
            "bus_id": grid.buses.id[generators.bus],
            "generator_type": generators.kind,
            "fuel": generators.fuel,
            "active_power": arrays.power,
            "reactive_power": np.full(len(generators), np.nan),
            "commitment_status": arrays.on,
            "available_mw": available,
            "curtailed_mw": np.where(thermal, 0.0, np.maximum(available - arrays.power, 0.0)),
            "reserve_up_mw": arrays.reserve_up,
            "reserve_down_mw": arrays.reserve_down,
            "stored_energy_mwh": np.full(len(generators), np.nan),
            "cost_usd": arrays.cost,
            "start_cost_usd": arrays.start_cost,
            "at_pmin": arrays.on & (arrays.power <= least + AT_LIMIT_MW),
            "at_pmax": arrays.on & (arrays.power >= available - AT_LIMIT_MW),
            "ramp_limited": ramped,
        },
        len(generators),
    )
    return stacked([rows, _store_rows(request, arrays)])


def _ramp_limited(units: ThermalUnits, above: Floats, on: Flags) -> Flags:
    """Whether the change from the interval before is all that the ramp allows."""
    change = np.diff(above, axis=0)
    limited = (change >= units.ramp_up_mw - AT_LIMIT_MW) | (
        change <= AT_LIMIT_MW - units.ramp_down_mw
    )
    first = np.zeros((1, len(units)), dtype=np.bool_)
    flags: Flags = np.vstack([first, limited & on[1:] & on[:-1]])
    return flags


def _store_rows(request: SolveRequest, arrays: DispatchArrays) -> pd.DataFrame:
    stores = request.grid.storages
    columns = {
        **store_columns(request.grid, arrays.discharge - arrays.charge),
        "reactive_power": np.full(len(stores), np.nan),
        "stored_energy_mwh": arrays.energy,
        "start_cost_usd": arrays.store_start_cost,
    }
    return long_rows(request.periods, columns, len(stores))


def _bus_rows(grid: Grid, periods: Periods, arrays: DispatchArrays) -> pd.DataFrame:
    """Prices: the energy part is the demand-weighted mean price, congestion the rest."""
    weight = arrays.demand / arrays.demand.sum(axis=1, keepdims=True)
    energy = (arrays.price * weight).sum(axis=1, keepdims=True)
    served = _injection(grid, arrays) - arrays.demand + arrays.shed - arrays.over
    return long_rows(
        periods,
        {
            "contingency_id": np.full(len(grid.buses), BASE),
            "bus_id": grid.buses.id,
            "voltage_magnitude": np.full(len(grid.buses), np.nan),
            "voltage_angle": np.rad2deg(arrays.angle),
            "net_injection_mw": served,
            "load_mw": arrays.demand,
            "load_shed_mw": _clean(arrays.shed),
            "over_generation_mw": _clean(arrays.over),
            "lmp_energy": np.broadcast_to(energy, arrays.price.shape),
            "lmp_congestion": arrays.price - energy,
            "lmp_loss": np.zeros(len(grid.buses)),
            "lmp_total": arrays.price,
        },
        len(grid.buses),
    )


def _clean(slack: Floats) -> Floats:
    """Slacks without the solver's negative rounding."""
    positive: Floats = np.maximum(slack, 0.0)
    return positive


def _branch_rows(grid: Grid, periods: Periods, arrays: DispatchArrays) -> pd.DataFrame:
    rate, shadow, overload = branch_ratings(grid), arrays.shadow, arrays.overload
    ac = _flow_rows(grid, periods, grid.branches, arrays.flow, rate, shadow, overload)
    limit, nothing = dc_line_ratings(grid), np.zeros_like(arrays.dc_flow)
    dc = _flow_rows(grid, periods, grid.dc_lines, arrays.dc_flow, limit, nothing * np.nan, nothing)
    return stacked([ac, dc])


def _flow_rows(
    grid: Grid,
    periods: Periods,
    lines: Branches | DcLines,
    flow: Floats,
    rating: Floats,
    shadow: Floats,
    overload: Floats,
) -> pd.DataFrame:
    return long_rows(
        periods,
        {
            **line_columns(grid, lines),
            "flow_mw": flow,
            "rating_mw": rating,
            "loading_percent": np.abs(flow) / rating * 100.0,
            "shadow_price": shadow,
            "binding": np.abs(flow) >= rating - AT_LIMIT_MW,
            "violation_mw": _clean(overload),
            "ac_flow_mva": np.full(len(rating), np.nan),
            "ac_loading_percent": np.full(len(rating), np.nan),
        },
        len(rating),
    )


def _interval_rows(
    request: SolveRequest, arrays: DispatchArrays, generators: pd.DataFrame
) -> pd.DataFrame:
    periods, count = request.periods, request.periods.reported
    by_interval = generators.groupby("time_interval")
    penalty = _penalty(request, arrays)
    imbalance = np.abs(bus_imbalance(request.grid, arrays)).max(axis=1)
    return pd.DataFrame(
        {
            "time_interval": np.arange(1, count + 1),
            "interval_start": pd.DatetimeIndex(periods.starts()[:count]),
            "load_mw": arrays.demand.sum(axis=1)[:count],
            "generation_mw": by_interval["active_power"].sum().to_numpy(),
            "production_cost_usd": by_interval["cost_usd"].sum().to_numpy(),
            "start_cost_usd": by_interval["start_cost_usd"].sum().to_numpy(),
            "penalty_usd": penalty[:count],
            "balance_residual_mw": imbalance[:count],
            "curtailed_mw": by_interval["curtailed_mw"].sum().to_numpy(),
            "load_shed_mw": _clean(arrays.shed).sum(axis=1)[:count],
            "over_generation_mw": _clean(arrays.over).sum(axis=1)[:count],
            "reserve_required_mw": periods.reserve_up_mw[:count],
            "reserve_shortfall_mw": _clean(arrays.up_short)[:count],
            "reserve_price": arrays.reserve_price[:count],
            **unchecked_ac(count),
        }
    )


def _penalty(request: SolveRequest, arrays: DispatchArrays) -> Floats:
    """Cost of the violations of every interval, USD."""
    penalties = request.options.penalties
    cost: Floats = request.periods.hours * (
        _clean(arrays.shed).sum(axis=1) * penalties.load_shed
        + _clean(arrays.over).sum(axis=1) * penalties.over_generation
        + _clean(arrays.overload).sum(axis=1) * penalties.branch_overload
        + _clean(arrays.up_short + arrays.down_short) * penalties.reserve_shortfall
    )
    return cost + arrays.outage_penalty
