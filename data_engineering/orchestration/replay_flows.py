"""Branch readings that go with readings of units and loads: a DC power flow."""

from __future__ import annotations

import numpy as np
import pandas as pd

from data_engineering.ingestion.replay_feed import INTERVAL, Flows
from data_engineering.model.grid import Floats, Grid
from data_engineering.model.tables import BRANCH_MEASUREMENTS
from data_engineering.solvers.dc_flow import dc_flows
from data_engineering.solvers.dc_network import dc_network


def flows_of(grid: Grid) -> Flows:
    """What the branches of a grid would carry with given readings.

    An area's load is shared among its buses in proportion to the grid's loads; what the units that
    are read do not give comes from the others in proportion to their capability. Without losses.
    """
    network = dc_network(grid)

    def flows(power: pd.DataFrame, demand: pd.DataFrame) -> pd.DataFrame:
        output = power.pivot(index="time", columns="generator_id", values="active_power")
        taken = demand.pivot(index="time", columns="load_id", values="active_power_mw")
        found = dc_flows(grid, injections(grid, output, taken), network).flow_mw
        times = pd.DatetimeIndex(taken.index)
        return _rows(grid, times, found, str(power["source"].iloc[0]))

    return flows


def injections(grid: Grid, output: pd.DataFrame, taken: pd.DataFrame) -> Floats:
    """Net injections of the buses (MW), balanced, shape (times, buses).

    Args:
        grid: the case.
        output: MW by time and unit, of the units that are read.
        taken: MW by time and area.
    """
    loads, units = grid.loads, grid.generators
    area, share = grid.buses.area[loads.bus], np.where(loads.in_service, loads.p_mw, 0.0)
    net = np.zeros((len(grid.buses), len(taken)))
    for name in taken.columns:
        mine = area == name
        part = share[mine] / share[mine].sum()
        np.add.at(net, loads.bus[mine], -np.outer(part, taken[name].to_numpy()))
    read = np.isin(units.id, output.columns.to_numpy(dtype=np.str_))
    np.add.at(net, units.bus[read], output[units.id[read]].to_numpy().T)
    others = np.where(units.in_service & ~read, units.p_max_mw, 0.0)
    np.add.at(net, units.bus, np.outer(others / others.sum(), -net.sum(axis=0)))
    return net.T


def _rows(grid: Grid, times: pd.DatetimeIndex, flow: Floats, source: str) -> pd.DataFrame:
    branches, count = grid.branches, len(times)
    limited = np.isfinite(branches.rate_a_mva) & (branches.rate_a_mva > 0)
    percent = 100.0 * np.abs(flow) / np.where(limited, branches.rate_a_mva, np.nan)
    rows = pd.DataFrame(
        {
            "time": times.repeat(len(branches)),
            "case_name": grid.case_name,
            "branch_id": np.tile(branches.id.astype(object), count),
            "from_bus_id": np.tile(grid.buses.id[branches.from_bus].astype(object), count),
            "to_bus_id": np.tile(grid.buses.id[branches.to_bus].astype(object), count),
            "active_power_from_mw": flow.round(3).ravel(),
            "active_power_to_mw": (-flow).round(3).ravel(),
            "loading_percent": percent.round(3).ravel(),
            "in_service": np.tile(branches.in_service, count),
            "measurement_quality": 0,
            "source": source,
        }
    )
    return BRANCH_MEASUREMENTS.typed(rows.assign(available_at=rows["time"] + INTERVAL))
