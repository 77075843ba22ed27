"""How far a DC dispatch is from AC: a power flow of every interval.

Each bus gets the dispatched power. Where a running unit with a reactive range stands, the bus holds
that unit's voltage set point within the range of all units that run there; the reference bus holds
its own and takes what is missing, losses above all.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from data_engineering.model.grid import ISOLATED, REF, Flags, Floats, Grid
from data_engineering.solvers.matrices import (
    Complexes,
    branch_flows,
    bus_admittance,
    bus_injections,
)
from data_engineering.solvers.power_flow import power_flow
from data_engineering.solvers.result_rows import BASE, stacked

log = logging.getLogger(__name__)

FILLED = ("generator_dispatch", "bus_results", "branch_flow_results", "interval_results")


@dataclass(frozen=True, eq=False)
class State:
    """One interval as the power flow needs it, per bus: MW, Mvar, p.u."""

    injection_mw: Floats
    load_mvar: Floats
    controlled: Flags
    set_point_pu: Floats
    q_min_mvar: Floats
    q_max_mvar: Floats


def verify_ac(grid: Grid, tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The result tables with their AC columns filled.

    An interval whose power flow finds no solution has `ac_converged` false and null AC columns.

    Args:
        grid: the case.
        tables: of a dispatch; every interval has a row for each element of the intact network, in
            the grid's order. Rows of outages stay as they are.
    """
    intact = {name: intact_rows(tables[name]).copy() for name in FILLED}
    states = states_of(grid, intact)
    voltage = _solve(grid, states, by_interval(intact["bus_results"], "voltage_angle"))
    _fill(grid, intact, voltage, states)
    filled = {name: stacked([intact[name], outage_rows(tables[name])]) for name in FILLED}
    return {**tables, **filled}


def intact_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of a result table that are about the intact network."""
    return frame[frame["contingency_id"] == BASE] if "contingency_id" in frame else frame


def outage_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of a result table that are about a network after an outage."""
    return frame[frame["contingency_id"] != BASE] if "contingency_id" in frame else frame[:0]


def states_of(grid: Grid, intact: Mapping[str, pd.DataFrame]) -> list[State]:
    """Every interval of a DC dispatch as the power flow needs it."""
    on = by_interval(intact["generator_dispatch"], "commitment_status").astype(np.bool_)
    demand = by_interval(intact["bus_results"], "load_mw") - grid.buses.gs_mw
    served = by_interval(intact["bus_results"], "net_injection_mw") + grid.buses.gs_mw
    dc = by_interval(intact["branch_flow_results"], "flow_mw")[:, len(grid.branches) :]
    units = on[:, : len(grid.generators)]
    return [_state(grid, served[t], demand[t], units[t], dc[t]) for t in range(len(on))]


def _fill(
    grid: Grid, result: dict[str, pd.DataFrame], voltage: Complexes, states: list[State]
) -> None:
    on = by_interval(result["generator_dispatch"], "commitment_status").astype(np.bool_)
    flow = by_interval(result["branch_flow_results"], "flow_mw")
    _fill_buses(result["bus_results"], voltage)
    into_from, into_to = branch_flows(grid, voltage)
    _fill_branches(result["branch_flow_results"], grid, into_from, into_to)
    _fill_units(result["generator_dispatch"], grid, voltage, states, on)
    change = _slack_change(grid, voltage, states)
    _fill_intervals(result["interval_results"], grid, voltage, change, (into_from, into_to, flow))


def by_interval(frame: pd.DataFrame, column: str) -> Any:
    """A column as an array of shape (T, elements); rows of an interval keep their order."""
    parts = [values.to_numpy() for _, values in frame.groupby("time_interval")[column]]
    return np.stack(parts)


def _state(grid: Grid, served: Floats, demand: Floats, on: Flags, dc: Floats) -> State:
    units, count = grid.generators, len(grid.buses)
    injection = served.copy()
    np.add.at(injection, grid.dc_lines.from_bus, -dc)
    np.add.at(injection, grid.dc_lines.to_bus, dc * (1.0 - grid.dc_lines.loss_share))
    ratio = np.zeros(count)
    nominal = np.zeros(count)
    np.add.at(ratio, grid.loads.bus, grid.loads.q_mvar)
    np.add.at(nominal, grid.loads.bus, grid.loads.p_mw)
    ratio = np.divide(ratio, nominal, out=np.zeros(count), where=nominal != 0.0)
    holds = on & (units.q_max_mvar > units.q_min_mvar)
    low, high = np.zeros(count), np.zeros(count)
    np.add.at(low, units.bus[holds], units.q_min_mvar[holds])
    np.add.at(high, units.bus[holds], units.q_max_mvar[holds])
    controlled = np.zeros(count, dtype=np.bool_)
    controlled[units.bus[holds]] = True
    set_point = np.ones(count)
    set_point[units.bus[holds][::-1]] = units.vm_pu[holds][::-1]  # the first unit of a bus decides
    return State(injection, demand * ratio, controlled, set_point, low, high)


def _solve(grid: Grid, states: list[State], angle_deg: Floats) -> Complexes:
    """Voltages, shape (T, buses), p.u.; NaN where no solution was found."""
    # An isolated bus has no equations; it stays as it is, like a reference of its own.
    admittance, reference = bus_admittance(grid), np.isin(grid.buses.kind, (REF, ISOLATED))
    voltage = np.full((len(states), len(grid.buses)), np.nan + 0j)
    for t, state in enumerate(states):
        power = np.empty(len(grid.buses), dtype=np.complex128)
        power.real, power.imag = state.injection_mw, -state.load_mvar
        power /= grid.base_mva
        start: Complexes = state.set_point_pu * np.exp(1j * np.deg2rad(angle_deg[t]))
        limits = (state.q_min_mvar / grid.base_mva, state.q_max_mvar / grid.base_mva)
        # Reactive limits can leave no solution where there is one without them.
        for q_range in (limits, None):
            found = power_flow(admittance, power, start, reference, state.controlled, q_range)
            if found.converged:
                voltage[t] = found.voltage
                break
        else:
            log.warning("the AC power flow of interval %d found no solution", t + 1)
    return voltage


def _slack_change(grid: Grid, voltage: Complexes, states: list[State]) -> Floats:
    """What the reference adds to its dispatch, shape (T,), MW."""
    reference = grid.buses.kind == REF
    given = np.stack([state.injection_mw for state in states])
    change: Floats = (bus_injections(grid, voltage).real - given)[:, reference].sum(axis=1)
    return change


def _fill_buses(frame: pd.DataFrame, voltage: Complexes) -> None:
    solved = ~np.isnan(voltage).ravel()
    frame["voltage_magnitude"] = np.abs(voltage).ravel()
    angle = np.rad2deg(np.angle(voltage)).ravel()
    frame["voltage_angle"] = np.where(solved, angle, frame["voltage_angle"])


def _fill_branches(
    frame: pd.DataFrame, grid: Grid, into_from: Complexes, into_to: Complexes
) -> None:
    apparent = np.maximum(np.abs(into_from), np.abs(into_to))
    lines = np.full((len(apparent), len(grid.dc_lines)), np.nan)
    # Frames hold all AC branches of all intervals first, then the DC lines.
    frame["ac_flow_mva"] = np.concatenate([apparent.ravel(), lines.ravel()])
    frame["ac_loading_percent"] = frame["ac_flow_mva"] / frame["rating_mw"] * 100.0


def _fill_units(
    frame: pd.DataFrame, grid: Grid, voltage: Complexes, states: list[State], on: Flags
) -> None:
    """Reactive power of a bus's running units in proportion to their ranges."""
    units = grid.generators
    load = np.stack([state.load_mvar for state in states])
    at_bus = bus_injections(grid, voltage).imag + load
    span = np.where(on[:, : len(units)], units.q_max_mvar - units.q_min_mvar, 0.0)
    total = np.zeros(at_bus.shape)
    low = np.zeros(at_bus.shape)
    np.add.at(total.T, units.bus, span.T)
    np.add.at(low.T, units.bus, np.where(span > 0.0, units.q_min_mvar, 0.0).T)
    above = (at_bus - low)[:, units.bus]
    wide = np.where(total[:, units.bus] > 0.0, total[:, units.bus], 1.0)
    share = np.where(span > 0.0, units.q_min_mvar + above * span / wide, 0.0)
    stores = np.zeros((len(share), len(grid.storages)))
    stores[np.isnan(voltage).any(axis=1)] = np.nan
    frame["reactive_power"] = np.concatenate([share.ravel(), stores.ravel()])


def _fill_intervals(
    frame: pd.DataFrame,
    grid: Grid,
    voltage: Complexes,
    change: Floats,
    flows: tuple[Complexes, Complexes, Floats],
) -> None:
    into_from, into_to, dc = flows
    solved = np.asarray(~np.isnan(voltage).any(axis=1))
    rating = grid.branches.rate_a_mva
    loading = np.maximum(np.abs(into_from), np.abs(into_to)) / rating * 100.0
    frame["ac_converged"] = solved
    frame["ac_losses_mw"] = (into_from + into_to).real.sum(axis=1)
    frame["ac_slack_change_mw"] = change
    frame["ac_max_loading_percent"] = loading.max(axis=1)
    frame["ac_min_voltage_pu"] = np.abs(voltage).min(axis=1)
    frame["ac_max_voltage_pu"] = np.abs(voltage).max(axis=1)
    difference = np.abs(into_from.real - dc[:, : len(grid.branches)])
    frame["ac_max_flow_difference_mw"] = difference.max(axis=1)
