"""The dispatch of a small grid, worked out by hand."""

from __future__ import annotations

import itertools
from dataclasses import fields, replace
from datetime import UTC, datetime

import numpy as np
import pytest
from small_solver_grids import triangle, triangle_periods

from data_engineering.model.grid import Buses
from data_engineering.model.problem import Commitment, Options, SolveRequest
from data_engineering.solvers.lascopf import solve_lascopf
from data_engineering.solvers.result_checks import check_results

EXACT = 1e-6


def all_on(periods, grid) -> Commitment:
    units, stores = len(grid.generators), len(grid.storages)
    return Commitment(
        np.ones((periods.count, units), dtype=bool),
        np.ones((periods.count, stores), dtype=bool),
        np.zeros((periods.count, units)),
        np.zeros((periods.count, stores)),
    )


def solve(grid, periods):
    request = SolveRequest("dcopf", grid, periods, commitment=all_on(periods, grid))
    result = solve_lascopf(request)
    assert result.status == "optimal"
    assert check_results(request, result.tables, result.objective) == []
    return result


def at(result, table, key, column):
    return result.tables[table].set_index(key)[column].to_dict()


def test_without_congestion_the_cheapest_units_serve_and_one_price_rules():
    """150 MW: the 20 USD unit gives 100, the 30 USD unit 50."""
    result = solve(triangle(rating=500.0), triangle_periods([150.0]))
    power = at(result, "generator_dispatch", "generator_id", "active_power")
    assert power == pytest.approx({"cheap": 100.0, "dear": 50.0, "wind": 0.0}, abs=EXACT)
    assert at(result, "bus_results", "bus_id", "lmp_total") == pytest.approx(
        {"1": 30.0, "2": 30.0, "3": 30.0}, abs=EXACT
    )
    # 10 MW at least from each: 10 * 20 + 90 * 20 and 10 * 30 + 40 * 30.
    assert result.objective == pytest.approx(100 * 20 + 50 * 30, abs=EXACT)


def test_a_full_line_splits_the_prices():
    """Equal reactances: of 1 MW from bus 1 to bus 3, 2/3 take the direct line and 1/3 the other.

    Cheap at 1, dear at 2, 90 MW at 3, direct line 1-3 rated 50 MW: its flow is
    (2 P1 + P2) / 3 = 50 with P1 + P2 = 90, so P1 = 60 and P2 = 30. One MW more at bus 3 takes 2 MW
    from the dear unit and 1 MW less from the cheap one: 2 * 30 - 20 = 40 USD.
    """
    result = solve(triangle(rating=50.0), triangle_periods([90.0]))
    power = at(result, "generator_dispatch", "generator_id", "active_power")
    assert power == pytest.approx({"cheap": 60.0, "dear": 30.0, "wind": 0.0}, abs=EXACT)
    prices = at(result, "bus_results", "bus_id", "lmp_total")
    assert prices == pytest.approx({"1": 20.0, "2": 30.0, "3": 40.0}, abs=EXACT)
    # One MW more of rating saves (40 - 20) * 3 / 2 ... by hand: P1 up 3, P2 down 3.
    shadow = at(result, "branch_flow_results", "branch_id", "shadow_price")
    assert shadow == pytest.approx({"1-2": 0.0, "2-3": 0.0, "1-3": 30.0}, abs=EXACT)
    # All demand is at bus 3, so its price is the energy part and the others are congestion.
    parts = at(result, "bus_results", "bus_id", "lmp_congestion")
    assert parts == pytest.approx({"1": -20.0, "2": -10.0, "3": 0.0}, abs=EXACT)


def test_wind_goes_first_and_the_rest_is_curtailed():
    """40 MW of demand, 20 MW of minima, 60 MW of wind: 20 MW of it are used, and more is free."""
    result = solve(triangle(rating=500.0), triangle_periods([40.0], wind=60.0))
    rows = result.tables["generator_dispatch"].set_index("generator_id")
    assert rows.loc["wind", "active_power"] == pytest.approx(20.0, abs=EXACT)
    assert rows.loc["wind", "curtailed_mw"] == pytest.approx(40.0, abs=EXACT)
    assert rows.loc["cheap", "at_pmin"]
    assert at(result, "bus_results", "bus_id", "lmp_total")["3"] == pytest.approx(0.0, abs=EXACT)


def test_ramps_hold_the_cheap_unit_back_and_are_reported():
    """The cheap unit rises by 0.5 MW a minute: from 40 to 70 MW, the dear one gives the rest."""
    grid = triangle(rating=500.0, ramp=0.5)
    result = solve(grid, triangle_periods([50.0, 100.0]))
    rows = result.tables["generator_dispatch"].set_index(["generator_id", "time_interval"])
    assert rows.loc[("cheap", 2), "active_power"] == pytest.approx(70.0, abs=EXACT)
    assert rows.loc[("cheap", 2), "ramp_limited"]
    assert not rows.loc[("cheap", 1), "ramp_limited"]


def test_what_cannot_be_served_is_shed_and_said():
    """Capacity 200 MW, demand 230: 30 MW are shed at 10,000 USD."""
    result = solve(triangle(rating=500.0), triangle_periods([230.0]))
    assert result.residuals["load_shed_mw"] == pytest.approx(30.0, abs=EXACT)
    row = result.tables["interval_results"].iloc[0]
    assert row["penalty_usd"] == pytest.approx(300_000.0, abs=1e-3)
    assert at(result, "bus_results", "bus_id", "lmp_total")["3"] == pytest.approx(10_000.0)


def test_a_line_that_must_overload_says_by_how_much():
    """Only the direct line: 90 MW over 50 MW, shedding costs more than the overload."""
    grid = triangle(rating=50.0)
    only = replace(grid.branches, in_service=np.array([True, False, True]))
    result = solve(replace(grid, branches=only), triangle_periods([90.0]))
    rows = result.tables["branch_flow_results"].set_index("branch_id")
    assert rows.loc["1-3", "violation_mw"] == pytest.approx(40.0, abs=EXACT)


def test_reserve_is_held_and_priced():
    """Each unit reaches 20 MW in ten minutes and 40 MW are asked for: the cheap one gives way.

    One MW more of reserve is beyond both: it is priced by its penalty.
    """
    grid = triangle(rating=500.0)
    slow = replace(grid.generators, ramp_mw_per_min=np.array([2.0, 2.0, 100.0]))
    periods = replace(triangle_periods([120.0]), reserve_up_mw=np.array([40.0]))
    result = solve(replace(grid, generators=slow), periods)
    power = at(result, "generator_dispatch", "generator_id", "active_power")
    assert power == pytest.approx({"cheap": 80.0, "dear": 40.0, "wind": 0.0}, abs=EXACT)
    row = result.tables["interval_results"].iloc[0]
    assert row["reserve_shortfall_mw"] == pytest.approx(0.0, abs=EXACT)
    assert 10.0 - EXACT <= row["reserve_price"] <= 1_000.0 + EXACT


def test_costs_and_prices_scale_together():
    """Costs in another currency change nothing but the currency."""
    grid, periods = triangle(rating=50.0), triangle_periods([90.0])
    units = replace(grid.generators, cost_usd_per_h=grid.generators.cost_usd_per_h * 3.0)
    base, dearer = solve(grid, periods), solve(replace(grid, generators=units), periods)
    assert dearer.objective == pytest.approx(3.0 * base.objective, rel=1e-9)
    before, after = (r.tables["bus_results"]["lmp_total"].to_numpy() for r in (base, dearer))
    assert after == pytest.approx(3.0 * before, rel=1e-9)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_order_of_the_buses_does_not_matter(order):
    grid, periods = triangle(rating=50.0), triangle_periods([90.0])
    place = np.argsort(order)
    buses = Buses(**{f.name: getattr(grid.buses, f.name)[list(order)] for f in fields(Buses)})
    branches = replace(
        grid.branches,
        from_bus=place[grid.branches.from_bus],
        to_bus=place[grid.branches.to_bus],
    )
    shuffled = replace(
        grid,
        buses=buses,
        branches=branches,
        generators=replace(grid.generators, bus=place[grid.generators.bus]),
        loads=replace(grid.loads, bus=place[grid.loads.bus]),
    )
    base, other = solve(grid, periods), solve(shuffled, periods)
    assert other.objective == pytest.approx(base.objective, rel=1e-9)
    prices = [at(result, "bus_results", "bus_id", "lmp_total") for result in (base, other)]
    assert prices[1] == pytest.approx(prices[0], abs=EXACT)


def test_relaxed_states_never_cost_more_than_all_on():
    grid, periods = triangle(rating=500.0), triangle_periods([15.0, 60.0])
    costs = {
        choice: solve_lascopf(
            SolveRequest("dcopf", grid, periods, options=Options(commitment=choice))
        ).objective
        for choice in ("on", "relaxed")
    }
    # All on: 20 MW of minima for 15 MW of demand spill 5 MW at 10,000 USD.
    assert costs["on"] == pytest.approx(10 * 20 + 10 * 30 + 50_000 + 50 * 20 + 10 * 30, rel=1e-6)
    assert costs["relaxed"] == pytest.approx(15 * 20 + 60 * 20, rel=1e-6)


def test_the_start_of_every_interval_is_told():
    result = solve(triangle(rating=500.0), triangle_periods([50.0, 60.0]))
    starts = result.tables["interval_results"]["interval_start"].tolist()
    assert starts == [datetime(2020, 7, 6, hour, tzinfo=UTC) for hour in (0, 1)]
