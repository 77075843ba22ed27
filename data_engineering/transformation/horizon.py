"""Forecast rows to the `Periods` of a solve, and the outages of a grid."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from data_engineering.model.errors import BadInput, NoRows
from data_engineering.model.grid import Floats, Grid, Texts
from data_engineering.model.islands import islands
from data_engineering.model.problem import Periods

HOURS_A_YEAR = 8_766.0
RESERVES_UP = ("SPIN_UP", "REG_UP", "FLEX_UP")
RESERVES_DOWN = ("REG_DOWN", "FLEX_DOWN")
MUST_TAKE = ("HYDRO", "RTPV")
"""Kinds whose least output is their forecast: the source gives both limits as one series."""


def periods_from_frames(
    grid: Grid,
    load_forecasts: pd.DataFrame,
    renewable_forecasts: pd.DataFrame,
    reserve_requirements: pd.DataFrame,
    *,
    start: datetime,
    reported: int,
    count: int,
) -> Periods:
    """The hourly intervals from `start` with what the forecasts say of each.

    An area's load is shared among its buses in proportion to the loads of the grid. A unit with
    a forecast is limited by it, never above its capability; a forecast for a store is its
    natural inflow. The reserve products of one direction are asked for together.

    Args:
        grid: the case.
        load_forecasts: rows of that table, one issue for each hour and area.
        renewable_forecasts: rows of that table, one issue for each hour and unit.
        reserve_requirements: rows of that table for one market.
        start: start of the first interval, UTC.
        reported: intervals that count.
        count: intervals in all; those after `reported` are look-ahead.

    Raises:
        NoRows: an hour of the horizon lacks a load forecast.
        BadInput: a forecast is for an area or unit that the grid has not.
    """
    hours = [start + timedelta(hours=hour) for hour in range(count)]
    areas = _pivot(load_forecasts, "target_time", "load_id", "forecasted_load_mw", hours)
    units = _pivot(renewable_forecasts, "target_time", "generator_id", "forecasted_power_mw", hours)
    reserves = _pivot(
        reserve_requirements.groupby(["time", "product"])["requirement_mw"].sum().reset_index(),
        "time",
        "product",
        "requirement_mw",
        hours,
    )
    available, inflow = _limits(grid, units)
    kinds = np.isin(grid.generators.kind, MUST_TAKE)
    return Periods(
        start=start,
        minutes=60,
        load_mw=_bus_loads(grid, areas),
        available_mw=available,
        must_take=kinds & np.isin(grid.generators.id, units.columns.to_numpy(dtype=np.str_)),
        inflow_mw=inflow,
        reserve_up_mw=_total(reserves, RESERVES_UP),
        reserve_down_mw=_total(reserves, RESERVES_DOWN),
        reported=reported,
    )


def periods_from_grid(
    grid: Grid, factors: Floats, *, start: datetime, minutes: int = 60
) -> Periods:
    """Intervals in which every load of the grid follows one profile.

    Args:
        grid: the case; its units are limited by their capability alone.
        factors: of the grid's loads in each interval, shape (T,).
        start: start of the first interval, UTC.
        minutes: length of an interval.
    """
    count = len(factors)
    return Periods(
        start=start,
        minutes=minutes,
        load_mw=np.outer(factors, grid.loads.p_mw),
        available_mw=np.tile(grid.generators.p_max_mw, (count, 1)),
        must_take=np.zeros(len(grid.generators), dtype=np.bool_),
        inflow_mw=np.zeros((count, len(grid.storages))),
        reserve_up_mw=np.zeros(count),
        reserve_down_mw=np.zeros(count),
        reported=count,
    )


def _pivot(
    frame: pd.DataFrame, time: str, name: str, value: str, hours: list[datetime]
) -> pd.DataFrame:
    """Hours down, elements across. Every hour must be there for every element."""
    table = frame.pivot(index=time, columns=name, values=value).reindex(pd.DatetimeIndex(hours))
    gaps = table.isna().any(axis=1)
    if table.empty or gaps.any():
        first = table.index[gaps][0] if gaps.any() else hours[0]
        raise NoRows(value, f"the hour {first.isoformat()}", "ingest that day first")
    return table


def _bus_loads(grid: Grid, areas: pd.DataFrame) -> Floats:
    loads = grid.loads
    area_of_load = grid.buses.area[loads.bus]
    known = np.unique(area_of_load)
    unknown = sorted(set(areas.columns) - set(known))
    missing = sorted(set(known) - set(areas.columns))
    if unknown or missing:
        raise BadInput("load_forecasts.load_id", unknown or missing, f"give {', '.join(known)}")
    totals = pd.Series(loads.p_mw).groupby(area_of_load).transform("sum").to_numpy()
    share = loads.p_mw / totals
    result: Floats = areas[area_of_load].to_numpy(dtype=np.float64) * share
    return result


def _limits(grid: Grid, units: pd.DataFrame) -> tuple[Floats, Floats]:
    """Greatest output of units, shape (T, generators), and inflow, shape (T, storages)."""
    given = units.columns.to_numpy(dtype=np.str_)
    unknown = sorted(set(given) - set(grid.generators.id) - set(grid.storages.id))
    if unknown:
        raise BadInput("renewable_forecasts.generator_id", unknown, "give units of the grid")
    available = np.tile(grid.generators.p_max_mw, (len(units), 1))
    inflow = np.zeros((len(units), len(grid.storages)))
    _fill(available, grid.generators.id, units)
    np.minimum(available, grid.generators.p_max_mw, out=available)
    _fill(inflow, grid.storages.id, units)
    return available, inflow


def _fill(target: Floats, ids: Texts, units: pd.DataFrame) -> None:
    for column in np.flatnonzero(np.isin(ids, units.columns.to_numpy(dtype=np.str_))):
        target[:, column] = units[ids[column]].to_numpy(dtype=np.float64)


def _total(reserves: pd.DataFrame, products: tuple[str, ...]) -> Floats:
    present = [product for product in products if product in reserves]
    total: Floats = reserves[present].sum(axis=1).to_numpy(dtype=np.float64)
    return total


def contingencies_from_grid(grid: Grid) -> pd.DataFrame:
    """Every single-branch outage: rows of `contingencies` without the case.

    The probability is the share of time that a permanent outage lasts. Severity is 5 where the
    outage islands a part of the network, else 1 to 4 by the branch's rating among all ratings.
    """
    branches = grid.branches
    in_service = np.flatnonzero(branches.in_service)
    ratings = branches.rate_a_mva[in_service]
    quarter = np.searchsorted(np.quantile(ratings, [0.25, 0.5, 0.75]), ratings) + 1
    whole = islands(grid).max(initial=0)
    parts = [islands(grid, row).max(initial=0) for row in in_service[:, None]]
    islanding = np.array(parts) > whole
    ids = branches.id[in_service]
    return pd.DataFrame(
        {
            "contingency_id": ids,
            "contingency_type": "N-1",
            "affected_branches": [[name] for name in ids.tolist()],
            "affected_generators": [[] for _ in ids],
            "probability": (branches.outages_per_year * branches.outage_hours)[in_service]
            / HOURS_A_YEAR,
            "severity_level": np.where(islanding, 5, quarter),
            "islanding": islanding,
        }
    )
