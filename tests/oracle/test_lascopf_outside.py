"""LASCOPF against PyPSA's and Egret's security-constrained optimisation."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from outside_models import (
    common_grid,
    common_request,
    egret_data,
    pypsa_network,
    whole_outages,
)
from rts_day import rts_grid, rts_periods
from solve_cases import pglib, request

from data_engineering.solvers.lascopf import solve_lascopf

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.filterwarnings("default"),  # the other programs' own
]


def scaled(grid, factor):
    branches = grid.branches
    wider = {name: getattr(branches, name) * factor for name in ("rate_a_mva", "rate_b_mva")}
    return replace(grid, branches=replace(branches, **wider))


def pypsa_objective(asked) -> float:
    network = pypsa_network(asked)
    outages = [outage.branches[0] for outage in asked.outages]
    status = network.optimize.optimize_security_constrained(
        branch_outages=outages, solver_name="highs"
    )
    assert status[0] == "ok"
    return float(network.objective)


@pytest.mark.parametrize(("name", "width"), [("case14_ieee", 1.0), ("case24_ieee_rts", 0.9)])
def test_pypsa_finds_the_same_cost(name, width):
    """Three hours with ramps; narrowed ratings, so that outages bind."""
    pytest.importorskip("pypsa")
    grid = common_grid(scaled(pglib(name), width))
    units = grid.generators
    grid = replace(grid, generators=replace(units, ramp_mw_per_min=units.p_max_mw * 0.002))
    periods = request(grid, factors=(0.8, 1.0, 0.9)).periods
    asked = common_request(grid, periods, whole_outages(grid))
    found = solve_lascopf(asked)
    assert found.objective == pytest.approx(pypsa_objective(asked), rel=1e-6)
    economic = solve_lascopf(replace(asked, outages=()))
    assert found.objective > economic.objective * 1.0001


@pytest.mark.slow
def test_pypsa_finds_the_same_cost_of_a_day_of_rts_gmlc():
    """24 hours, all outages that do not split the network, wind, sun, water and the DC line."""
    pytest.importorskip("pypsa")
    running = np.isin(rts_grid().generators.kind, ("NUCLEAR", "STEAM", "CC", "WIND", "PV", "HYDRO"))
    running |= rts_grid().generators.kind == "RTPV"
    grid = common_grid(rts_grid(), running)
    asked = common_request(grid, rts_periods(date(2020, 7, 6), 24), whole_outages(grid))
    assert len(asked.outages) == 118
    found = solve_lascopf(asked)
    assert found.objective == pytest.approx(pypsa_objective(asked), rel=1e-6)


def highs_for_egret():
    """HiGHS in the form that Egret takes: it knows Pyomo's older class of solvers only."""
    import pyomo.environ as pyo
    from pyomo.opt import OptSolver

    class Highs(OptSolver):
        def __init__(self):
            super().__init__(type="highs")
            self.name = "highs"

        def solve(self, model, **_):
            return pyo.SolverFactory("appsi_highs").solve(model)

    return Highs()


@pytest.mark.parametrize(("name", "width"), [("case5_pjm", 1.5), ("case24_ieee_rts", 0.9)])
def test_egret_finds_the_same_cost(name, width):
    pytest.importorskip("egret")
    from egret.models.scopf import solve_scopf

    grid = common_grid(scaled(pglib(name), width))
    asked = common_request(grid, request(grid).periods, whole_outages(grid))
    found = solve_lascopf(asked)
    answer = solve_scopf(egret_data(asked), highs_for_egret(), solver_tee=False)
    assert found.residuals["load_shed_mw"] == pytest.approx(0.0, abs=1e-6)
    assert found.objective == pytest.approx(answer.data["system"]["total_cost"], rel=1e-6)
