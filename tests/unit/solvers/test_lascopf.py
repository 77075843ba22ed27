"""Constraint generation against the extensive form, published figures and hand-worked cases."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_solver_grids import triangle, triangle_periods
from solve_cases import pglib, request

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import Branches, DcLines, Grid
from data_engineering.model.problem import Options, Outage, Penalties, Periods, SolveRequest
from data_engineering.orchestration.cases import load_case
from data_engineering.solvers.dc_network import dc_network
from data_engineering.solvers.lascopf import solve_lascopf
from data_engineering.solvers.lascopf_reference import solve_extensive
from data_engineering.solvers.outage_factors import outage_factors, outages_of
from data_engineering.solvers.result_checks import check_results

LEGACY = Path(__file__).parents[4] / "shared/data/powerlascopf-legacy"
LINEAR = 1e-9
"""Two linear programs with one optimum differ by rounding alone."""
QUADRATIC = 1e-7
"""Tangents end at 5 % of the tolerance of 1e-6."""
pytestmark = pytest.mark.filterwarnings("default:::pyomo")


def linear(grid: Grid) -> Grid:
    units = grid.generators
    return replace(grid, generators=replace(units, cost_c2=np.zeros(len(units))))


def ramping(grid: Grid, share_per_min: float = 0.002) -> Grid:
    units = grid.generators
    return replace(grid, generators=replace(units, ramp_mw_per_min=units.p_max_mw * share_per_min))


def lmp(result):
    return result.tables["bus_results"]["lmp_total"].to_numpy()


def test_the_published_objective_of_case24_with_37_outages():
    """58448.6388 by two other solvers; branch 11 splits the network and is left out by name."""
    grid = linear(pglib("case24_ieee_rts"))
    result = solve_lascopf(request(grid, outages=outages_of(grid)))
    assert result.status == "optimal"
    assert result.objective == pytest.approx(58_448.6388, abs=5e-5)
    assert result.notes == ("outages left out, each splits the network: branch-11",)


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("case5_pjm", LINEAR),
        ("case14_ieee", LINEAR),
        ("case30_ieee", LINEAR),
        ("case24_ieee_rts", QUADRATIC),
    ],
)
def test_it_equals_the_extensive_form(name, tolerance):
    """Three hours with ramps that bind, every outage, prices too."""
    grid = ramping(pglib(name))
    asked = request(grid, "lascopf", (0.8, 1.0, 0.9), outages_of(grid))
    fast, reference = solve_lascopf(asked), solve_extensive(asked)
    assert fast.objective == pytest.approx(reference.objective, rel=tolerance)
    assert check_results(asked, fast.tables, fast.objective) == []
    assert check_results(asked, reference.tables, reference.objective) == []
    if tolerance == LINEAR:
        assert lmp(fast) == pytest.approx(lmp(reference), abs=1e-6)
    else:
        # A tangent's slope is off by 2 sqrt(c2 gap), here 0.02 USD/MWh.
        assert lmp(fast) == pytest.approx(lmp(reference), abs=0.05)


def test_lost_units_and_listed_outages_equal_the_extensive_form():
    grid = linear(pglib("case24_ieee_rts"))
    tight = replace(
        grid, branches=replace(grid.branches, rate_b_mva=grid.branches.rate_a_mva * 0.7)
    )
    lines = tight.branches.id
    outages = (
        *outages_of(tight, units=True),
        Outage("two lines", (str(lines[0]), str(lines[20]))),
        Outage("line and unit", (str(lines[4]),), (str(tight.generators.id[5]),)),
        Outage("two units", (), tuple(tight.generators.id[[0, 30]].tolist())),
    )
    asked = request(tight, outages=outages)
    fast, reference = solve_lascopf(asked), solve_extensive(asked)
    assert fast.objective == pytest.approx(reference.objective, rel=LINEAR)
    economic = solve_lascopf(request(tight)).objective
    assert fast.objective > economic * (1.0 + 1e-4)  # the outages matter
    assert lmp(fast) == pytest.approx(lmp(reference), abs=1e-6)


def test_units_that_are_lost_together_take_over_nothing():
    """Flows after the loss of two units against the network with the output moved by hand."""
    grid, lost = pglib("case24_ieee_rts"), np.array([3, 30])
    network, units = dc_network(grid), grid.generators
    outage = Outage("two", (), tuple(units.id[lost].tolist()))
    factors = outage_factors(grid, network, (outage,))
    power, on = units.p_max_mw * 0.5, np.ones(len(units), dtype=bool)
    others = np.delete(np.arange(len(units)), lost)
    moved = power.copy()
    moved[others] += power[lost].sum() * units.p_max_mw[others] / units.p_max_mw[others].sum()
    moved[lost] = 0.0

    def flows(output):
        at_bus = np.bincount(units.bus, output, len(grid.buses))
        return network.flows(network.angles(at_bus))

    (pairs,) = factors.beyond(flows(power)[None], power[None], on[None], -1e9)
    assert len(pairs.row) == len(factors.monitored)
    assert pairs.flow_mw == pytest.approx(flows(moved)[factors.monitored[pairs.row]], abs=1e-9)


@pytest.mark.skipif(not LEGACY.is_dir(), reason="the published tables are not beside the checkout")
@pytest.mark.parametrize(
    ("share", "objective"), [(1.3, 13_716.3355), (1.4, 13_524.8728), (1.5, 13_506.7672)]
)
def test_the_published_five_buses(share, objective):
    loads = np.array([[20, 45, 40, 60], [30, 40, 40, 65], [20, 43, 45, 65]], dtype=float)
    result = solve_lascopf(five_buses(share, loads))
    assert result.objective == pytest.approx(objective, abs=1e-4)
    assert result.residuals["outage_overload_mw"] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.skipif(not LEGACY.is_dir(), reason="the published tables are not beside the checkout")
def test_the_published_five_buses_as_printed_cannot_be_secure():
    """The outage of 1-2 asks P1 <= 100 while the ramp asks P1 >= 120.8: a violation, named."""
    loads = np.array([[20, 45, 40, 60], [30, 40, 40, 65], [20, 43, 45, 65]], dtype=float)
    result = solve_lascopf(five_buses(1.0, loads))
    flows = result.tables["branch_flow_results"]
    rows = flows[(flows["violation_mw"] > 1e-3) & (flows["time_interval"] == 1)]
    assert result.status == "optimal"
    assert set(zip(rows["contingency_id"], rows["branch_id"], strict=True)) == {
        ("branch-1", "branch-2"),
        ("branch-2", "branch-1"),
    }
    # What the ramp leaves of the first unit is 140.765 - 20 = 120.765 MW, over 100 MW of one line.
    assert rows["violation_mw"].max() == pytest.approx(20.765 + 5.0075, abs=1e-3)


def five_buses(share: float, loads) -> SolveRequest:
    case = load_case(str(LEGACY / "5"))
    branches = case.grid.branches
    grid = replace(case.grid, branches=replace(branches, rate_b_mva=branches.rate_a_mva * share))
    count = len(loads)
    periods = Periods(
        start=datetime(2020, 1, 1, tzinfo=UTC),
        minutes=60,
        load_mw=loads,
        available_mw=np.tile(grid.generators.p_max_mw, (count, 1)),
        must_take=np.zeros(2, dtype=bool),
        inflow_mw=np.zeros((count, 0)),
        reserve_up_mw=np.zeros(count),
        reserve_down_mw=np.zeros(count),
        reported=count,
        before_mw=case.periods.before_mw,
    )
    options = Options(commitment="on", tolerance=1e-8)
    return SolveRequest("lascopf", grid, periods, case.outages, options)


def test_a_dc_line_loses_a_share_and_a_fixed_part():
    """30 MW at bus 3, which nothing but the line reaches: 0.9 flow - 3 = 30, so 36.667 MW go in."""
    grid = triangle(rating=1_000.0)
    line = DcLines(
        id=np.array(["link"]),
        from_bus=np.array([0]),
        to_bus=np.array([2]),
        p_mw=np.zeros(1),
        p_min_mw=np.zeros(1),
        p_max_mw=np.array([500.0]),
        loss_fixed_mw=np.array([3.0]),
        loss_share=np.array([0.1]),
        in_service=np.ones(1, dtype=bool),
    )
    whole = grid.branches
    apart = replace(whole, in_service=(whole.from_bus != 2) & (whole.to_bus != 2))
    cut = replace(grid, branches=apart, dc_lines=line)
    asked = SolveRequest("dcopf", cut, triangle_periods([30.0]), (), Options(commitment="on"))
    for result in (solve_lascopf(asked), solve_extensive(asked)):
        flows = result.tables["branch_flow_results"].set_index("branch_id")["flow_mw"]
        assert flows["link"] == pytest.approx(33.0 / 0.9, abs=1e-6)
        assert check_results(asked, result.tables, result.objective) == []


def test_an_outage_is_prevented_by_hand():
    """Of 90 MW at bus 3 each unit's share takes the line that is left after an outage.

    All lines rated 60 after outages: losing 1-3 sends all of P1 over 1-2 and P1 + P2 = 90 over
    2-3, 30 too much whatever is done; losing 2-3 sends 90 over 1-3. Losing 1-2 leaves P1 on 1-3
    and P2 on 2-3: P1 <= 60 by either. The overloads that cannot be helped are reported.
    """
    grid = triangle(rating=1_000.0)
    grid = replace(grid, branches=replace(grid.branches, rate_b_mva=np.full(3, 60.0)))
    asked = SolveRequest(
        "scopf", grid, triangle_periods([90.0]), outages_of(grid), Options(commitment="on")
    )
    result = solve_lascopf(asked)
    rows = result.tables["generator_dispatch"].set_index("generator_id")["active_power"]
    assert rows["cheap"] == pytest.approx(60.0, abs=1e-6)
    flows = result.tables["branch_flow_results"].set_index(["contingency_id", "branch_id"])
    assert flows.loc[("1-3", "2-3"), "violation_mw"] == pytest.approx(30.0, abs=1e-6)
    assert flows.loc[("2-3", "1-3"), "violation_mw"] == pytest.approx(30.0, abs=1e-6)
    # Two limits say P1 <= 60; together one MW more of them is worth what the units differ by.
    twins = flows.loc[flows.index.isin([("1-2", "1-3"), ("1-3", "1-2")])]
    assert twins["violation_mw"].max() == pytest.approx(0.0, abs=1e-6)
    assert twins["shadow_price"].sum() == pytest.approx(10.0, abs=1e-6)


def test_price_parts_sum_to_the_congestion_of_every_bus():
    grid = ramping(pglib("case118_ieee"))
    result = solve_lascopf(request(grid, "lascopf", (0.9, 1.0), outages_of(grid)))
    buses = result.tables["bus_results"].set_index(["time_interval", "bus_id"])
    parts = result.tables["price_causes"].groupby(["time_interval", "bus_id"])["lmp_part"].sum()
    summed = parts.reindex(buses.index, fill_value=0.0)
    causes = result.tables["price_causes"]
    keys = ["time_interval", "branch_id", "contingency_id"]
    limits = causes.drop_duplicates(keys).groupby("time_interval").size()
    assert limits.min() > 0
    # Parts below half a cent are left out, at most one of each binding limit.
    missing = (summed - buses["lmp_congestion"]).abs().groupby("time_interval").max()
    assert (missing <= 0.005 * limits + 1e-6).all()


def test_prices_are_the_cost_of_one_more_megawatt():
    grid = ramping(pglib("case24_ieee_rts"))
    grid = linear(grid)
    tight = replace(
        grid, branches=replace(grid.branches, rate_b_mva=grid.branches.rate_a_mva * 0.8)
    )
    asked = request(tight, "lascopf", (0.9, 1.0), outages_of(tight))
    base = solve_lascopf(asked)
    prices = base.tables["bus_results"].set_index(["time_interval", "bus_id"])["lmp_total"]
    assert prices.groupby("time_interval").agg(np.ptp).max() > 1.0
    for hour, load in ((1, 0), (2, 5), (2, 12)):
        bus = tight.buses.id[tight.loads.bus[load]]
        changes = []
        for step in (-0.01, 0.01):
            more = asked.periods.load_mw.copy()
            more[hour - 1, load] += step
            varied = replace(asked, periods=replace(asked.periods, load_mw=more))
            changes.append((solve_lascopf(varied).objective - base.objective) / step)
        assert changes[0] - 1e-3 <= prices[hour, bus] <= changes[1] + 1e-3


def test_history_rises_to_the_objective_and_ends_with_nothing_broken():
    grid = pglib("case118_ieee")
    result = solve_lascopf(request(grid, outages=outages_of(grid)))
    history = result.tables["convergence_history"]
    assert len(history) == result.iterations > 1
    assert (np.diff(history["best_bound"]) >= -1e-6).all()
    assert history["primal_residual"].iloc[0] > 1.0
    assert history["primal_residual"].iloc[-1] == 0.0
    assert history["objective_value"].iloc[-1] == pytest.approx(result.objective, rel=1e-9)


def test_an_outage_of_nothing_known_names_it():
    grid = pglib("case5_pjm")
    with pytest.raises(BadInput, match=r"outage storm\.branches"):
        solve_lascopf(request(grid, outages=(Outage("storm", ("branch-99",)),)))


def relabelled(grid: Grid, seed: int) -> Grid:
    """The same grid with its buses in another order."""
    order = np.random.default_rng(seed).permutation(len(grid.buses))
    place = np.argsort(order)
    buses = replace(
        grid.buses, **{name: getattr(grid.buses, name)[order] for name in vars(grid.buses)}
    )
    branches = replace(
        grid.branches,
        from_bus=place[grid.branches.from_bus],
        to_bus=place[grid.branches.to_bus],
    )
    units = replace(grid.generators, bus=place[grid.generators.bus])
    loads = replace(grid.loads, bus=place[grid.loads.bus])
    return replace(grid, buses=buses, branches=branches, generators=units, loads=loads)


def split_line(grid: Grid, line: int) -> Grid:
    """One branch as two parallel ones of twice the impedance and half the rating."""
    branches = grid.branches
    columns = {name: np.append(values, values[line]) for name, values in vars(branches).items()}
    columns["id"] = np.append(branches.id, "twin")
    for name, factor in (
        ("x_pu", 2.0),
        ("r_pu", 2.0),
        ("b_pu", 0.5),
        ("rate_a_mva", 0.5),
        ("rate_b_mva", 0.5),
    ):
        columns[name] = columns[name].copy()
        columns[name][[line, -1]] *= factor
    return replace(grid, branches=Branches(**columns))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), line=st.integers(0, 37), scale=st.floats(0.7, 1.1))
def test_the_optimum_is_of_the_grid_and_not_of_its_description(seed, line, scale):
    """Another order of the buses, a line as two parallel ones: the same cost."""
    grid = linear(pglib("case24_ieee_rts"))
    tight = replace(
        grid, branches=replace(grid.branches, rate_a_mva=grid.branches.rate_a_mva * 0.5)
    )
    base = solve_lascopf(request(tight, factors=(scale,)))
    for other in (relabelled(tight, seed), split_line(tight, line)):
        found = solve_lascopf(request(other, factors=(scale,)))
        assert found.objective == pytest.approx(base.objective, rel=LINEAR)


@settings(max_examples=10, deadline=None)
@given(scale=st.floats(0.2, 5.0))
def test_everything_in_another_size_costs_in_proportion(scale):
    """Loads, ratings, outputs times a factor: with linear costs so is the objective."""
    grid = linear(pglib("case24_ieee_rts"))
    outages = outages_of(grid)
    base = solve_lascopf(request(grid, outages=outages))
    units, branches = grid.generators, grid.branches
    larger = replace(
        grid,
        base_mva=grid.base_mva * scale,
        generators=replace(
            units,
            p_min_mw=units.p_min_mw * scale,
            p_max_mw=units.p_max_mw * scale,
            cost_c0=units.cost_c0 * scale,
        ),
        loads=replace(grid.loads, p_mw=grid.loads.p_mw * scale),
        branches=replace(
            branches,
            rate_a_mva=branches.rate_a_mva * scale,
            rate_b_mva=branches.rate_b_mva * scale,
        ),
    )
    found = solve_lascopf(request(larger, outages=outages))
    assert found.objective == pytest.approx(base.objective * scale, rel=LINEAR)


def test_the_penalty_of_an_outage_is_what_it_says():
    grid = triangle(rating=1_000.0)
    grid = replace(grid, branches=replace(grid.branches, rate_b_mva=np.full(3, 60.0)))
    options = Options(commitment="on", penalties=Penalties(outage_overload=4.0))
    periods = triangle_periods([90.0])
    result = solve_lascopf(SolveRequest("scopf", grid, periods, outages_of(grid), options))
    # A MW beyond 60 costs 4 USD after each of two outages and saves 10: cheap gives 80, dear its
    # least 10; 20 MW too much after 1-2 and after 1-3, beside the 30 that cannot be helped twice.
    penalty = result.tables["interval_results"]["penalty_usd"].iloc[0]
    assert penalty == pytest.approx(4.0 * (20.0 + 20.0 + 30.0 + 30.0), abs=1e-5)


def test_a_unit_that_nobody_can_replace_is_named():
    grid = triangle(rating=1_000.0)
    units = grid.generators
    alone = replace(grid, generators=replace(units, in_service=np.array([True, False, False])))
    outages = outages_of(alone, units=True)
    asked = SolveRequest(
        "scopf", alone, triangle_periods([50.0]), outages, Options(commitment="on")
    )
    note = "outages without a unit that takes over, flows kept as they are: cheap"
    assert solve_lascopf(asked).notes == (note,)
    both = replace(grid, generators=replace(units, in_service=np.array([True, True, False])))
    asked = replace(asked, grid=both, outages=outages_of(both, units=True))
    assert solve_lascopf(asked).notes == ()
