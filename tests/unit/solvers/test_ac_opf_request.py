"""AC-OPF as one kind of request: tables, price parts, statuses and notes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from ac_opf_cases import pglib_grid, published, solved

from data_engineering.model.grid import Grid
from data_engineering.model.problem import Commitment, Options, Outage, SolveRequest
from data_engineering.solvers.ac_opf import solve_ac_opf
from data_engineering.transformation.horizon import periods_from_grid

START = datetime(2020, 7, 6, tzinfo=UTC)
PRICES = ["lmp_energy", "lmp_congestion", "lmp_loss", "lmp_total"]


def asked(grid: Grid, factors: list[float], **changes: object) -> SolveRequest:
    periods = periods_from_grid(grid, np.array(factors), start=START, minutes=30)
    return SolveRequest("opf", grid, periods, **changes)  # type: ignore[arg-type]


def test_intervals_cost_what_each_alone_costs():
    """Half-hours, so half of the published USD/h; loads keep their power factor."""
    grid = pglib_grid("case14_ieee")
    result = solve_ac_opf(asked(grid, [1.0, 0.9]))
    loads = replace(grid.loads, p_mw=0.9 * grid.loads.p_mw, q_mvar=0.9 * grid.loads.q_mvar)
    second = solved(replace(grid, loads=loads)).objective
    assert result.status == "optimal"
    cost = result.tables["interval_results"]["production_cost_usd"]
    assert cost[0] == pytest.approx(published()["case14_ieee"][1] / 2, rel=1e-4)
    assert cost[1] == pytest.approx(second / 2, rel=1e-6)
    assert result.objective == pytest.approx(cost.sum(), rel=1e-12)
    assert max(result.residuals.values()) < 1e-4  # MW, Mvar, MVA, p.u. and degrees
    assert any("ramps" in note for note in result.notes)


@pytest.mark.parametrize("name", ["case5_pjm", "case30_ieee__api"])
def test_price_parts_make_the_price_and_loss_is_zero_at_the_reference(name):
    grid = pglib_grid(name)
    rows = solve_ac_opf(asked(grid, [1.0])).tables["bus_results"].set_index("bus_id")
    parts = rows[PRICES]
    np.testing.assert_allclose(parts.iloc[:, :3].sum(axis=1), parts["lmp_total"], atol=1e-9)
    first = grid.buses.id[grid.buses.kind == 3][0]
    assert parts.loc[first, "lmp_loss"] == pytest.approx(0.0, abs=1e-9)
    assert parts.loc[first, "lmp_energy"] == parts.loc[first, "lmp_total"]
    assert np.ptp(parts["lmp_congestion"]) > 1.0


def test_a_grid_without_binding_limits_has_no_congestion():
    """Free of flow, voltage and reactive limits, prices differ by losses alone.

    Magnitudes are held by a range of nothing; what is left in congestion is the price of reactive
    losses, none where reactive power is free at every bus.
    """
    grid = pglib_grid("case5_pjm")
    every = np.arange(5)
    units = replace(
        grid.generators,
        bus=every,
        p_min_mw=np.zeros(5),
        p_max_mw=np.array([2_000.0, 0.0, 0.0, 0.0, 0.0]),
        q_min_mvar=np.full(5, -1e4),
        q_max_mvar=np.full(5, 1e4),
    )
    branches = replace(grid.branches, rate_a_mva=np.full(6, np.inf))
    buses = replace(grid.buses, vm_min_pu=np.ones(5), vm_max_pu=np.ones(5))
    free = replace(grid, generators=units, branches=branches, buses=buses)
    rows = solve_ac_opf(asked(free, [1.0])).tables["bus_results"]
    assert rows["lmp_loss"].abs().max() > 0.05
    np.testing.assert_allclose(rows["lmp_congestion"], 0.0, atol=1e-4)


def test_units_that_the_commitment_stops_give_and_cost_nothing():
    grid = pglib_grid("case14_ieee")
    on = np.array([[False, True, True, True, True]])
    units = replace(grid.generators, p_max_mw=np.full(5, 340.0), cost_c0=np.full(5, 100.0))
    nothing, stores = np.zeros((1, 5)), np.zeros((1, 0))
    given = Commitment(on, stores.astype(bool), nothing, stores)
    grid = replace(grid, generators=units)
    result = solve_ac_opf(asked(grid, [1.0], commitment=given))
    rows = result.tables["generator_dispatch"]
    assert result.status == "optimal"
    assert rows["commitment_status"].tolist() == on[0].tolist()
    assert rows["active_power"][0] == rows["cost_usd"][0] == 0.0
    assert rows["cost_usd"].sum() == pytest.approx(result.objective)


def test_relaxed_units_may_give_less_than_their_minimum():
    grid = pglib_grid("case14_ieee")
    units = replace(grid.generators, p_min_mw=np.array([340.0, 0.0, 0.0, 0.0, 0.0]))
    grid = replace(grid, generators=units)
    assert solve_ac_opf(asked(grid, [1.0])).status == "infeasible"
    relaxed = solve_ac_opf(asked(grid, [1.0], options=Options(commitment="relaxed")))
    assert 2 * relaxed.objective == pytest.approx(published()["case14_ieee"][1], rel=1e-4)


def test_weather_limits_renewables_and_must_take_units_give_all():
    grid = pglib_grid("case14_ieee")
    units = replace(
        grid.generators,
        kind=np.array(["CC", "WIND", "HYDRO", "", ""]),
        p_max_mw=np.array([340.0, 50.0, 40.0, 0.0, 0.0]),
        cost_c1=np.array([8.0, 0.0, 50.0, 0.0, 0.0]),
    )
    request = asked(replace(grid, generators=units), [1.0])
    available = np.array([[340.0, 20.0, 30.0, 0.0, 0.0]])
    must = np.array([False, False, True, False, False])
    periods = replace(request.periods, available_mw=available, must_take=must)
    result = solve_ac_opf(replace(request, periods=periods))
    power = result.tables["generator_dispatch"]["active_power"]
    assert power[1] == pytest.approx(20.0, abs=1e-3)  # free, so all that there is
    assert power[2] == pytest.approx(30.0, abs=1e-3)  # dear, but must be taken


def test_an_infeasible_interval_is_named_and_the_others_have_rows():
    result = solve_ac_opf(asked(pglib_grid("case14_ieee"), [1.0, 3.0, 0.95]))
    assert result.status == "infeasible"
    assert np.isnan(result.objective)
    assert result.notes[0].startswith("interval 2 is infeasible")
    assert result.tables["interval_results"]["time_interval"].tolist() == [1, 3]
    history = result.tables["convergence_history"]
    assert history["objective_value"].isna().tolist() == [False, True, False]


def test_a_time_limit_is_not_converged():
    request = asked(pglib_grid("case118_ieee"), [1.0], options=Options(time_limit_seconds=1e-9))
    result = solve_ac_opf(request)
    assert result.status == "not_converged"
    assert result.residuals == {}
    assert len(result.tables["bus_results"]) == 0


def test_what_is_left_out_is_said():
    grid = pglib_grid("case14_ieee")
    notes = solve_ac_opf(asked(grid, [1.0], outages=(Outage("x", ("branch-1",)),))).notes
    assert any("outages" in note for note in notes)
