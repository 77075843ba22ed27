"""The dispatch of a day of RTS-GMLC against its extensive form in Pyomo."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from rts_day import rts_grid, rts_periods

from data_engineering.model.problem import Options, SolveRequest
from data_engineering.solvers.commitment import commit, fixed
from data_engineering.solvers.lascopf import solve_lascopf
from data_engineering.solvers.lascopf_reference import solve_extensive
from data_engineering.solvers.result_checks import check_results

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # Pyomo's own
]


@pytest.fixture(scope="module")
def committed() -> SolveRequest:
    """24 hours; the commitment need not be the best one, only a feasible one."""
    request = SolveRequest(
        "dcopf", rts_grid(), rts_periods(date(2020, 7, 6), 24), options=Options(relative_gap=0.03)
    )
    return replace(request, commitment=fixed(request, commit(request)))


@pytest.mark.parametrize("share_of_rating", [1.0, 0.6])
def test_the_objective_equals_the_reference(committed, share_of_rating):
    """At 0.6 of the ratings branches bind and overload, so prices differ and slacks are used."""
    branches = committed.grid.branches
    derated = replace(branches, rate_a_mva=branches.rate_a_mva * share_of_rating)
    request = replace(committed, grid=replace(committed.grid, branches=derated))
    result = solve_lascopf(request)
    assert result.objective == pytest.approx(solve_extensive(request).objective, rel=1e-9)
    assert check_results(request, result.tables, result.objective) == []
    spread = result.tables["bus_results"].groupby("time_interval")["lmp_total"].agg(np.ptp)
    assert (spread.max() > 1.0) == (share_of_rating < 1.0)


def test_prices_are_the_cost_of_one_more_megawatt(committed):
    """Forward and backward differences enclose the dual wherever the cost has a kink."""
    branches = committed.grid.branches
    derated = replace(branches, rate_a_mva=branches.rate_a_mva * 0.6)
    request = replace(committed, grid=replace(committed.grid, branches=derated))
    base = solve_lascopf(request)
    prices = base.tables["bus_results"].set_index(["time_interval", "bus_id"])["lmp_total"]
    for hour, load in ((3, 0), (12, 17), (19, 40)):
        bus = request.grid.buses.id[request.grid.loads.bus[load]]
        changes = []
        for step in (-0.01, 0.01):
            more = request.periods.load_mw.copy()
            more[hour - 1, load] += step
            varied = replace(request, periods=replace(request.periods, load_mw=more))
            changes.append((solve_lascopf(varied).objective - base.objective) / step)
        # Objectives of 2.8 million are exact to about 1e-6 USD, differences over 0.01 MW to 1e-4.
        assert changes[0] - 1e-3 <= prices[hour, bus] <= changes[1] + 1e-3
