"""The AC-OPF model against published objectives, derivatives, finite differences and symmetry."""

from __future__ import annotations

from dataclasses import replace

import casadi
import numpy as np
import pytest
from ac_opf_cases import (
    on_base,
    pglib_grid,
    published,
    relabelled,
    solved,
    split_in_two,
    with_dc_line,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from small_solver_grids import triangle

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import ISOLATED
from data_engineering.solvers.ac_opf_functions import functions
from data_engineering.solvers.ac_opf_layout import layout_of
from data_engineering.solvers.ac_opf_model import AcOpfModel, bus_loads
from data_engineering.solvers.matrices import branch_flows, bus_injections

SMALL = sorted(name for name, (buses, _) in published().items() if buses <= 600)
EXACT = 1e-6
"""Ipopt ends at 1e-7 of a cost gradient scaled to 5, so equal problems agree far closer."""


@pytest.mark.parametrize("name", SMALL)
def test_the_objective_is_the_published_one(name):
    """The publication has five digits, so up to 5e-5 of the difference is rounding."""
    assert solved(pglib_grid(name)).objective == pytest.approx(published()[name][1], rel=1e-4)


def _everything():
    """Taps, shifts, shunts, an outage, a DC line, a piecewise cost and an isolated bus."""
    grid = with_dc_line(triangle(rating=60.0), 0, 2, 20.0)
    branches = replace(
        grid.branches,
        tap=np.array([1.0, 0.95, 1.05]),
        shift_deg=np.array([0.0, 5.0, -3.0]),
        angle_max_deg=np.array([30.0, np.inf, 20.0]),
        in_service=np.array([True, True, False]),
    )
    buses = replace(grid.buses, gs_mw=np.array([0.0, 3.0, 0.0]), bs_mvar=np.array([0.0, 0.0, 15.0]))
    return replace(grid, branches=branches, buses=buses)


@pytest.mark.parametrize("grid", [_everything(), pglib_grid("case30_ieee")], ids=["all", "30"])
def test_derivatives_are_those_of_automatic_differentiation(grid):
    layout = layout_of(grid)
    ours = functions(layout)
    x, p, g = (ours.problem[name] for name in "xpg")
    rng = np.random.default_rng(0)
    at_x = rng.normal(0.0, 0.2, layout.width)
    at_x[layout.buses : 2 * layout.buses] += 1.0
    at_p, at_l = rng.uniform(size=p.numel()), rng.normal(size=layout.height)
    lam = casadi.MX.sym("lam", layout.height)
    lagrangian = 0.7 * ours.problem["f"] + casadi.dot(lam, g)
    auto = casadi.Function(
        "auto",
        [x, p, lam],
        [
            casadi.gradient(ours.problem["f"], x),
            casadi.jacobian(g, x),
            casadi.triu(casadi.hessian(lagrangian, x)[0]),
        ],
    )(at_x, at_p, at_l)
    hand = (
        ours.grad_f(at_x, at_p)[1],
        ours.jac_g(at_x, at_p)[1],
        ours.hess_lag(at_x, at_p, 0.7, at_l),
    )
    for one, other in zip(auto, hand, strict=True):
        expected = one.full()
        np.testing.assert_allclose(
            other.full(), expected, rtol=0, atol=1e-12 * np.abs(expected).max()
        )


@pytest.mark.parametrize("name", ["case5_pjm", "case14_ieee__api", "case30_ieee__sad"])
def test_the_solution_keeps_the_limits_and_balances(name):
    """Against flows and injections that are computed apart from the model."""
    grid = pglib_grid(name)
    found = solved(grid)
    p_mw, q_mvar = bus_loads(grid, grid.loads.p_mw, grid.loads.q_mvar)
    injected = np.zeros(len(grid.buses), dtype=np.complex128)
    np.add.at(injected, grid.generators.bus, found.p_mw + 1j * found.q_mvar)
    wrong = injected - (p_mw + 1j * q_mvar) - bus_injections(grid, found.voltage)
    assert np.abs(wrong).max() < 1e-4  # MVA
    flows = np.maximum(*(np.abs(flow) for flow in branch_flows(grid, found.voltage)))
    assert (flows <= grid.branches.rate_a_mva + 1e-3).all()
    angle = found.va_deg[grid.branches.from_bus] - found.va_deg[grid.branches.to_bus]
    assert (angle <= grid.branches.angle_max_deg + 1e-5).all()
    assert (angle >= grid.branches.angle_min_deg - 1e-5).all()
    assert (found.vm_pu <= grid.buses.vm_max_pu + 1e-7).all()
    assert (found.vm_pu >= grid.buses.vm_min_pu - 1e-7).all()
    assert found.objective == pytest.approx(found.cost_usd_per_h.sum(), rel=1e-9)


def test_prices_are_the_cost_of_one_more_megawatt():
    """Central differences over 0.2 MW.

    Ipopt's tolerance leaves 1e-4 USD/h in an objective, so 5e-4 in a difference, and 1e-4 of the
    greatest price, 40 USD/MWh, in a price.
    """
    grid = pglib_grid("case5_pjm")
    model = AcOpfModel(grid)
    p_mw, q_mvar = bus_loads(grid, grid.loads.p_mw, grid.loads.q_mvar)
    base = model.solve(p_mw, q_mvar)
    assert np.ptp(base.price) > 1.0  # a branch binds
    step = 0.1
    for bus in range(len(grid.buses)):
        at = np.zeros(len(grid.buses))
        at[bus] = step
        active = [model.solve(p_mw + sign * at, q_mvar).objective for sign in (1, -1)]
        reactive = [model.solve(p_mw, q_mvar + sign * at).objective for sign in (1, -1)]
        assert np.diff(active)[0] / (-2 * step) == pytest.approx(base.price[bus], abs=5e-3)
        assert np.diff(reactive)[0] / (-2 * step) == pytest.approx(base.price_q[bus], abs=5e-3)


def test_shadow_prices_are_the_saving_by_one_more_mva():
    grid = pglib_grid("case5_pjm")
    base = solved(grid)
    row, step = int(np.argmax(base.shadow)), 0.01
    assert base.shadow[row] > 1.0
    costs = []
    for sign in (1.0, -1.0):
        rates = grid.branches.rate_a_mva.copy()
        rates[row] += sign * step
        costs.append(solved(replace(grid, branches=replace(grid.branches, rate_a_mva=rates))))
    saving = (costs[1].objective - costs[0].objective) / (2 * step)
    assert saving == pytest.approx(base.shadow[row], rel=1e-3)


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(["case5_pjm", "case14_ieee__api"]))
def test_the_order_of_buses_does_not_matter(random, name):
    grid = pglib_grid(name)
    order = list(range(len(grid.buses)))
    random.shuffle(order)
    other = solved(relabelled(grid, np.array(order)))
    base = solved(grid)
    assert other.objective == pytest.approx(base.objective, rel=EXACT)
    np.testing.assert_allclose(other.vm_pu, base.vm_pu[order], atol=1e-3)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 19))
def test_a_line_split_into_two_parallels_changes_nothing(row):
    grid = pglib_grid("case14_ieee__api")
    assert solved(split_in_two(grid, row)).objective == pytest.approx(
        solved(grid).objective, rel=EXACT
    )


@settings(max_examples=10, deadline=None)
@given(st.floats(1.0, 1_000.0))
def test_the_base_of_per_unit_values_changes_nothing(base_mva):
    grid = pglib_grid("case14_ieee")
    other = solved(on_base(grid, base_mva))
    assert other.objective == pytest.approx(solved(grid).objective, rel=EXACT)


def test_a_branch_out_by_status_is_a_branch_out_of_service():
    grid = pglib_grid("case14_ieee")
    status = grid.branches.in_service.copy()
    status[4] = False
    apart = replace(grid, branches=replace(grid.branches, in_service=status))
    assert solved(grid, status=status).objective == pytest.approx(
        solved(apart).objective, rel=EXACT
    )


def test_an_optimum_as_start_gives_the_same_in_fewer_iterations():
    grid = pglib_grid("case118_ieee")
    model = AcOpfModel(grid)
    p_mw, q_mvar = bus_loads(grid, grid.loads.p_mw, grid.loads.q_mvar)
    start = model.solve(p_mw, q_mvar)
    cold = model.solve(1.02 * p_mw, q_mvar)
    warm = model.solve(1.02 * p_mw, q_mvar, start=start)
    assert warm.objective == pytest.approx(cold.objective, rel=EXACT)
    assert warm.iterations < 0.6 * cold.iterations


def test_limits_that_were_left_out_count_when_they_are_broken():
    """At a third of its load nothing of the case is near a limit; at full load ratings bind."""
    grid = pglib_grid("case118_ieee__sad")
    model = AcOpfModel(grid)
    p_mw, q_mvar = bus_loads(grid, grid.loads.p_mw, grid.loads.q_mvar)
    for share in (0.33, 0.34, 0.7, 1.0, 0.95, 1.0):
        again = model.solve(share * p_mw, share * q_mvar)
        fresh = AcOpfModel(grid).solve(share * p_mw, share * q_mvar)
        assert again.objective == pytest.approx(fresh.objective, rel=EXACT)
        np.testing.assert_allclose(again.price, fresh.price, rtol=1e-3)
        flows = np.maximum(*(np.abs(flow) for flow in branch_flows(grid, again.voltage)))
        assert (flows <= grid.branches.rate_a_mva + 1e-3).all()
    assert again.shadow.max() > 0.1


def test_a_piecewise_cost_that_bends_is_met_at_its_corner():
    """Without losses and charging, 100 MW: the cheap unit to its bend at 50 MW, then the other."""
    grid = triangle(rating=1_000.0)
    branches = replace(grid.branches, r_pu=np.zeros(3), b_pu=np.zeros(3))
    units = replace(
        grid.generators,
        cost_usd_per_h=np.array(
            [[200.0, 1_000.0, 3_000.0], [300.0, 1_500.0, 3_000.0], [np.nan] * 3]
        ),
        q_min_mvar=np.full(3, -50.0),
        p_max_mw=np.array([100.0, 100.0, 0.0]),
    )
    found = solved(replace(grid, branches=branches, generators=units))
    # 20 USD/MWh to 50 MW, 30 to 50 MW of the other, 40 and 30 after: 50 MW each.
    assert found.objective == pytest.approx(1_000.0 + 1_500.0, rel=EXACT)
    np.testing.assert_allclose(found.p_mw[:2], [50.0, 50.0], atol=1e-3)


def test_a_dc_line_loses_what_it_says():
    """A bus that only a DC line feeds: its sending end gives (demand + 2) / 0.9."""
    grid = with_dc_line(triangle(rating=1_000.0), 0, 2, 200.0)
    branches = replace(grid.branches, in_service=np.array([True, False, False]))
    units = replace(
        grid.generators,
        p_max_mw=np.array([100.0, 100.0, 0.0]),
        q_min_mvar=np.full(3, -50.0),
        q_max_mvar=np.full(3, 50.0),
    )
    loads = replace(grid.loads, p_mw=np.array([70.0]))
    found = solved(replace(grid, branches=branches, generators=units, loads=loads))
    assert found.status == "optimal"
    assert found.dc_mw[0] == pytest.approx(72.0 / 0.9, abs=1e-4)
    assert found.price[2] == pytest.approx(found.price[0] / 0.9, rel=1e-5)


def test_an_isolated_bus_counts_nothing_and_has_no_price():
    grid = pglib_grid("case14_ieee")
    kind = grid.buses.kind.copy()
    kind[7] = ISOLATED  # its one branch and its unit without output go with it
    found = solved(replace(grid, buses=replace(grid.buses, kind=kind)))
    assert found.status == "optimal"
    assert np.isnan(found.price[7])
    assert found.vm_pu[7] == 1.0
    assert np.isfinite(np.delete(found.price, 7)).all()


def test_too_much_demand_is_infeasible_by_more_than_units_lack():
    grid = pglib_grid("case14_ieee")
    demand = bus_loads(grid, grid.loads.p_mw, grid.loads.q_mvar)
    found = AcOpfModel(grid).solve(3.0 * demand[0], 3.0 * demand[1])
    assert found.status == "infeasible"
    assert np.isnan(found.objective)
    lack = 3.0 * grid.loads.p_mw.sum() - grid.generators.p_max_mw.sum()
    assert found.missing_mva > lack


def test_limits_that_no_injection_can_keep_are_infeasible():
    """Around a triangle angles add up to 0, so they cannot all be above 10 degrees."""
    grid = triangle(rating=1_000.0)
    around = replace(
        grid.branches,
        from_bus=np.array([0, 1, 2]),
        to_bus=np.array([1, 2, 0]),
        angle_min_deg=np.full(3, 10.0),
        angle_max_deg=np.full(3, 30.0),
    )
    found = solved(replace(grid, branches=around))
    assert found.status == "infeasible"
    assert found.missing_mva == np.inf


def test_an_island_of_an_outage_needs_no_reference():
    """Bus 9 and the unit at bus 10 lose the rest of the 118-bus case, at nine tenths of its load.

    With the island's angles free it takes 500 iterations and does not converge.
    """
    grid = pglib_grid("case118_ieee")
    status = grid.branches.in_service.copy()
    status[6] = False
    demand = bus_loads(grid, 0.9 * grid.loads.p_mw, 0.9 * grid.loads.q_mvar)
    found = AcOpfModel(grid).solve(*demand, status)
    assert found.status == "optimal"
    assert np.abs(found.p_mw[grid.generators.bus == 9]).max() < 5.0  # the losses of a line


def test_angle_limits_of_parallels_that_do_not_meet_are_named():
    grid = split_in_two(pglib_grid("case5_pjm"), 0)
    lower = grid.branches.angle_min_deg.copy()
    upper = grid.branches.angle_max_deg.copy()
    upper[0], lower[-1] = -1.0, 1.0
    branches = replace(grid.branches, angle_min_deg=lower, angle_max_deg=upper)
    with pytest.raises(BadInput, match="between buses 1 and 2"):
        solved(replace(grid, branches=branches))


def test_no_time_is_not_converged_rather_than_infeasible():
    grid = pglib_grid("case118_ieee")
    demand = bus_loads(grid, grid.loads.p_mw, grid.loads.q_mvar)
    found = AcOpfModel(grid, time_limit_seconds=1e-9).solve(*demand)
    assert found.status == "not_converged"
    assert "Time" in found.message


@pytest.mark.parametrize(
    ("part", "field", "said"),
    [
        ("generators", "p_min_mw", "generators gen-1.p_min_mw"),
        ("generators", "q_min_mvar", "generators gen-1.q_min_mvar"),
        ("buses", "vm_min_pu", "buses 1.vm_min_pu"),
    ],
)
def test_crossed_limits_are_named(part, field, said):
    grid = pglib_grid("case14_ieee")
    elements = getattr(grid, part)
    values = getattr(elements, field).copy()
    values[0] = 1e4
    with pytest.raises(BadInput, match=said):
        solved(replace(grid, **{part: replace(elements, **{field: values})}))
