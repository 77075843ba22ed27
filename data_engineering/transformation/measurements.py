"""Joins: readings with the unit's capability and cost, and with the forecast made before them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import Floats, Generators, Grid, Ints
from data_engineering.model.tables import (
    GENERATOR_MEASUREMENTS,
    LOAD_MEASUREMENTS,
    NATURAL_INFLOW,
)
from data_engineering.transformation.features import forecast_at


def generator_measurements(
    readings: pd.DataFrame, forecasts: pd.DataFrame, grid: Grid
) -> pd.DataFrame:
    """Rows of `generator_measurements`: unit readings with capability, cost and forecast.

    Args:
        readings: rows of `power_measurements`.
        forecasts: rows of `renewable_forecasts`; natural inflow is no forecast of output and is
            left out.
        grid: where type, capability and cost of the units stand.

    Raises:
        BadInput: a reading is of a unit that the grid does not have.
    """
    units = unit_table(grid)
    unknown = sorted(set(readings["generator_id"]) - set(units.index))
    if unknown:
        raise BadInput("generator_id", unknown[0], f"give units of case {grid.case_name}")
    of_output = forecasts[forecasts["forecast_model"] != NATURAL_INFLOW]
    forecast = forecast_at(readings, of_output, "generator_id", "forecasted_power_mw")
    own = units.loc[readings["generator_id"]].set_axis(readings.index)
    rows = readings.rename(
        columns={"active_power": "active_power_mw", "reactive_power": "reactive_power_mvar"}
    ).assign(
        generator_type=own["generator_type"],
        capacity_mw=own["capacity_mw"],
        in_service=own["in_service"],
        marginal_cost_usd_per_mwh=_cost_of_readings(readings, grid),
        forecast_mw=forecast,
        forecast_error_mw=readings["active_power"] - forecast,
    )
    return GENERATOR_MEASUREMENTS.typed(rows)


def load_measurements(readings: pd.DataFrame, forecasts: pd.DataFrame) -> pd.DataFrame:
    """Rows of `load_measurements` with the forecast and its error filled in.

    Args:
        readings: rows of `load_measurements`.
        forecasts: rows of `load_forecasts`.
    """
    forecast = forecast_at(readings, forecasts, "load_id", "forecasted_load_mw")
    error = readings["active_power_mw"] - forecast
    return LOAD_MEASUREMENTS.typed(readings.assign(forecast_mw=forecast, forecast_error_mw=error))


def unit_table(grid: Grid) -> pd.DataFrame:
    """Generators and storages by id: generator_type, capacity_mw, in_service."""
    units, stores = grid.generators, grid.storages
    return pd.DataFrame(
        {
            "generator_type": np.concatenate([units.kind, stores.kind]),
            "capacity_mw": np.concatenate([units.p_max_mw, stores.discharge_max_mw]),
            "in_service": np.concatenate([units.in_service, stores.in_service]),
        },
        index=pd.Index(np.concatenate([units.id, stores.id]), name="generator_id"),
    )


def marginal_cost(units: Generators, which: Ints, power_mw: Floats) -> Floats:
    """Cost of one MWh more (USD/MWh) of each unit in `which` at its output, shape of `which`.

    On a piecewise linear cost it is the slope of the piece that holds the output, at a corner the
    piece above it, and the first or the last piece outside; else 2 c2 P + c1.
    """
    points, costs = units.cost_mw[which], units.cost_usd_per_h[which]
    polynomial = 2 * units.cost_c2[which] * power_mw + units.cost_c1[which]
    if points.shape[1] < 2:
        return np.asarray(polynomial, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        slopes = np.diff(costs, axis=1) / np.diff(points, axis=1)
    pieces = np.isfinite(slopes).sum(axis=1)
    passed = (points[:, 1:] <= power_mw[:, None]).sum(axis=1)
    piece = np.minimum(passed, np.maximum(pieces - 1, 0))
    slope = slopes[np.arange(len(which)), piece]
    return np.where(pieces > 0, slope, polynomial)


def _cost_of_readings(readings: pd.DataFrame, grid: Grid) -> pd.Series[Any]:
    """Null for storages, whose cost is what charging cost."""
    place = pd.Series(np.arange(len(grid.generators)), index=grid.generators.id)
    which = readings["generator_id"].map(place)
    has = which.notna()
    costs = marginal_cost(
        grid.generators,
        which[has].to_numpy(dtype=np.int64),
        readings.loc[has, "active_power"].to_numpy(dtype=float),
    )
    return pd.Series(costs, index=readings.index[has]).reindex(readings.index)
