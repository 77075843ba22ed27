"""What stores must hold at the end of a dispatch, against the printed model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_solver_grids import triangle, triangle_periods

from data_engineering.model.grid import Storages
from data_engineering.model.problem import Options, SolveRequest
from data_engineering.solvers.lascopf import solve_lascopf
from data_engineering.solvers.lascopf_reference import solve_extensive

ONE = np.ones(1)


def battery() -> Storages:
    """30 MWh in a battery of 60 MWh and 40 MW at the bus of the demand, without losses."""
    return Storages(
        id=np.array(["battery"]),
        bus=np.array([2]),
        kind=np.array(["STORAGE"]),
        charge_max_mw=40.0 * ONE,
        discharge_max_mw=40.0 * ONE,
        discharge_min_mw=0.0 * ONE,
        start_cost_usd=0.0 * ONE,
        energy_max_mwh=60.0 * ONE,
        energy_initial_mwh=30.0 * ONE,
        charge_efficiency=ONE.copy(),
        discharge_efficiency=ONE.copy(),
        q_min_mvar=0.0 * ONE,
        q_max_mvar=0.0 * ONE,
        vm_pu=ONE.copy(),
        in_service=np.array([True]),
    )


def asked(end_mwh: float | None) -> SolveRequest:
    grid = replace(triangle(rating=1_000.0), storages=battery())
    periods = replace(
        triangle_periods([80.0, 80.0]),
        inflow_mw=np.zeros((2, 1)),
        energy_end_mwh=None if end_mwh is None else np.array([end_mwh]),
    )
    return SolveRequest("lascopf", grid, periods, (), Options(commitment="on"))


@pytest.mark.parametrize(
    ("end_mwh", "usd"),
    # Two hours of 10 MW at 30 USD/MWh and 70 MW at 20, less 20 for every MWh out of the battery.
    [(None, 3_400.0), (30.0, 3_400.0), (0.0, 2_800.0), (10.0, 3_000.0), (40.0, 3_600.0)],
)
def test_stores_end_with_what_is_asked(end_mwh, usd):
    request = asked(end_mwh)
    for result in (solve_lascopf(request), solve_extensive(request)):
        assert result.objective == pytest.approx(usd, rel=1e-9)
        rows = result.tables["generator_dispatch"].set_index(["generator_id", "time_interval"])
        held = rows.loc[("battery", 2), "stored_energy_mwh"]
        assert held == pytest.approx(30.0 if end_mwh is None else end_mwh, abs=1e-6)
