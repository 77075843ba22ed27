"""Plans of hours met by units that are elsewhere: what is kept of them, and that it can be kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_solver_grids import triangle, triangle_periods
from test_store_targets import battery

from data_engineering.model.problem import Options, SolveRequest
from data_engineering.solvers.lascopf import solve_lascopf
from data_engineering.solvers.realtime_commitment import (
    Plan,
    reachable_commitment,
    reachable_energy,
    realised_dispatch,
    relieved,
)
from data_engineering.solvers.result_checks import check_results

COUNT = 12


def grid_of(ramp: float = 2.0, store: bool = False):
    """`cheap` (CC) and `dear` (CT), 10 to 100 MW each; `cheap` with a ramp in MW per minute."""
    grid = triangle(rating=1_000.0, ramp=ramp)
    costs = np.array([[500.0] * 3, [70.0] * 3, [0.0] * 3])
    grid = replace(grid, generators=replace(grid.generators, start_cost_usd=costs))
    return replace(grid, storages=battery()) if store else grid


def periods_of(grid, demand=50.0):
    stores = len(grid.storages)
    hourly = triangle_periods([demand] * COUNT)
    return replace(hourly, minutes=5, inflow_mw=np.zeros((COUNT, stores)))


def plan_of(grid, cheap, dear, cost=0.0):
    on = np.ones((COUNT, 3), dtype=bool)
    on[:, 0], on[:, 1] = cheap, dear
    stores = len(grid.storages)
    return Plan(
        on,
        np.ones(COUNT, dtype=bool),
        np.full((COUNT, 3), cost),
        np.zeros((COUNT, stores)),
        np.full(stores, np.nan),
    )


def before_of(grid, cheap, dear):
    return realised_dispatch(grid, np.array([cheap, dear, np.nan]))


def kept(grid, plan, before):
    return reachable_commitment(grid, plan, before, periods_of(grid))


def solved(grid, commitment, before, demand=50.0):
    periods = replace(periods_of(grid, demand), before_mw=before)
    request = SolveRequest("lascopf", grid, periods, (), Options(commitment="given"), commitment)
    result = solve_lascopf(request)
    assert result.status == "optimal"
    assert check_results(request, result.tables, result.objective) == []
    return request, result


def test_a_reading_beside_the_limits_is_at_the_limit():
    grid = grid_of()
    found = realised_dispatch(grid, np.array([101.5, 9.2, 3.0]))
    assert found.tolist() == [100.0, 10.0, 3.0]
    assert realised_dispatch(grid, np.array([0.4, np.nan, np.nan]))[0] == 0.0


def test_a_plan_that_is_where_the_units_are_is_kept():
    grid = grid_of()
    found = kept(grid, plan_of(grid, True, False), before_of(grid, 50.0, 0.0))
    assert found.on[:, 0].all()
    assert not found.on[:, 1].any()
    assert found.start_cost_usd.sum() == 0.0


def test_a_unit_that_stands_still_starts_an_interval_later_at_its_cost():
    grid = grid_of()
    before = before_of(grid, 50.0, 0.0)
    found = kept(grid, plan_of(grid, True, True), before)
    assert found.on[:, 1].tolist() == [False] + [True] * 11
    assert found.start_cost_usd[:, 1].tolist() == [0.0, 70.0] + [0.0] * 10
    planned = kept(grid, plan_of(grid, True, True, cost=90.0), before)
    assert planned.start_cost_usd[1, 1] == 90.0
    _, result = solved(grid, found, before)
    rows = result.tables["generator_dispatch"].set_index(["generator_id", "time_interval"])
    # It begins at its minimum.
    assert rows.loc[("dear", 2), "active_power"] == pytest.approx(10.0, abs=1e-6)


def test_a_unit_runs_on_until_its_ramp_lets_it_stop():
    """From 75 to 10 MW by 10 MW in 5 minutes takes 7 intervals."""
    grid = grid_of(ramp=2.0)
    before = before_of(grid, 75.0, 30.0)
    found = kept(grid, plan_of(grid, False, True), before)
    assert found.on[:, 0].tolist() == [True] * 7 + [False] * 5
    _, result = solved(grid, found, before, demand=80.0)
    rows = result.tables["generator_dispatch"].set_index(["generator_id", "time_interval"])
    assert rows.loc[("cheap", 7), "active_power"] == pytest.approx(10.0, abs=1e-6)


def test_a_unit_without_a_ramp_does_not_stop():
    grid = grid_of(ramp=0.0)
    found = kept(grid, plan_of(grid, False, True), before_of(grid, 75.0, 30.0))
    assert found.on[:, 0].all()


def test_a_state_that_would_not_last_is_not_taken_up():
    """`cheap` needs 2 hours; the plan has it off for half an hour, or on for as long."""
    grid = grid_of(ramp=100.0)
    pause = np.array([True] * 3 + [False] * 6 + [True] * 3)
    assert kept(grid, plan_of(grid, pause, True), before_of(grid, 50.0, 30.0)).on[:, 0].all()
    run = ~pause
    assert not kept(grid, plan_of(grid, run, True), before_of(grid, 0.0, 30.0)).on[:, 0].any()


def test_without_a_plan_known_units_stay_as_they_are():
    grid = grid_of()
    nothing = replace(plan_of(grid, False, False), known=np.zeros(COUNT, dtype=bool))
    found = kept(grid, nothing, before_of(grid, 50.0, 0.0))
    assert (found.on[:, 0].all(), found.on[:, 1].any()) == (True, False)
    assert kept(grid, nothing, before_of(grid, 50.0, np.nan)) is None


def test_intervals_beyond_the_plan_go_on_as_its_last_one():
    grid = grid_of()
    plan = plan_of(grid, True, True)
    plan.on[3:], plan.known[3:] = False, False
    assert kept(grid, plan, before_of(grid, 50.0, 30.0)).on[:, :2].all()


def test_stores_keep_what_they_can_reach():
    grid = grid_of(store=True)
    periods = periods_of(grid)
    charging = np.zeros((COUNT, 1), dtype=bool)
    for asked, reached in ((60.0, 60.0), (20.0, 20.0), (np.nan, 30.0)):
        found = reachable_energy(grid, charging, np.array([asked]), periods)
        assert found == pytest.approx([reached], abs=1e-5)
    # One that may not charge cannot have more than it has.
    found = reachable_energy(grid, ~charging, np.array([60.0]), periods)
    assert found == pytest.approx([30.0], abs=1e-5)


def test_a_store_gives_its_least_output_as_long_as_its_energy_lasts():
    """20 MW for 5 minutes are 1.67 MWh: 4 MWh last for two intervals."""
    grid = grid_of(store=True)
    low = replace(
        grid.storages, discharge_min_mw=np.array([20.0]), energy_initial_mwh=np.array([4.0])
    )
    grid = replace(grid, storages=low)
    plan = replace(plan_of(grid, True, True), store_mw=np.full((COUNT, 1), 25.0))
    found = kept(grid, plan, before_of(grid, 20.0, 10.0))
    assert found.discharging[:, 0].tolist() == [True] * 2 + [False] * 10
    solved(grid, found, before_of(grid, 20.0, 10.0))


def test_what_is_missing_is_given_by_quick_units_and_by_stores():
    """`cheap` alone gives 100 of 170 MW; `dear` runs after two intervals, the battery at once."""
    grid = grid_of(ramp=100.0, store=True)
    before = before_of(grid, 100.0, 0.0)
    found = kept(grid, plan_of(grid, True, False), before)
    energy = reachable_energy(grid, found.discharging, np.array([np.nan]), periods_of(grid))
    request, first = solved(grid, found, before, demand=170.0)
    request = replace(request, periods=replace(request.periods, energy_end_mwh=energy))
    shed = first.tables["interval_results"]["load_shed_mw"]
    assert shed.min() > 25.0
    other, started = relieved(request, float(shed.max()), lead=2)
    assert started == ["dear"]
    result = solve_lascopf(other)
    assert check_results(other, result.tables, result.objective) == []
    left = result.tables["interval_results"]["load_shed_mw"].to_numpy()
    # 40 MW of the battery leave 30 MW missing at first; `dear` starts at 10 MW and then suffices.
    assert left[:4] == pytest.approx([30.0, 30.0, 20.0, 0.0], abs=1e-6)
    assert result.objective < first.objective


def test_a_unit_that_the_plan_has_already_is_not_started():
    grid = grid_of(store=True)
    found = kept(grid, plan_of(grid, True, True), before_of(grid, 50.0, 30.0))
    request, _ = solved(grid, found, before_of(grid, 50.0, 30.0))
    other, started = relieved(request, 500.0, lead=2)
    assert started == []
    assert (other.commitment.on == found.on).all()
