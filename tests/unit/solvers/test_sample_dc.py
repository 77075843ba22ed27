"""DC answers to samples against dense solves and HiGHS."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sample_cases import one_load_per_bus, samples_of
from solve_cases import pglib

from data_engineering.model.grid import REF, Grid
from data_engineering.solvers.linear import LinearProgram
from data_engineering.solvers.sample_dc import DcFlow, dc_power_flows, susceptance_mw
from data_engineering.solvers.sample_dc_opf import DcOpf
from data_engineering.solvers.sample_units import shared
from data_engineering.solvers.sample_words import OneSample, sample_at


def dense_angles(grid: Grid, slope: np.ndarray, injection: np.ndarray) -> np.ndarray:
    """Angles by a dense solve, 0 at the reference, radians."""
    branches, count = grid.branches, len(grid.buses)
    matrix = np.zeros((count, count))
    for one, other, b in zip(branches.from_bus, branches.to_bus, slope, strict=True):
        matrix[one, one] += b
        matrix[other, other] += b
        matrix[one, other] -= b
        matrix[other, one] -= b
    kept = np.flatnonzero(grid.buses.kind != REF)
    theta = np.zeros(count)
    theta[kept] = np.linalg.solve(matrix[np.ix_(kept, kept)], injection[kept])
    return theta


def test_power_flows_are_those_of_a_dense_solve():
    """Up to two branches or units lost at once; 1e-9 degrees is rounding."""
    grid = one_load_per_bus(pglib("case118_ieee"))
    samples = samples_of(grid, 1, 12, outages=2, seed=4)
    slope = susceptance_mw(grid, samples.r_pu[0], samples.x_pu[0])
    power = 0.5 * grid.generators.p_max_mw
    found = dc_power_flows(
        grid, slope, samples.load_p_mw, samples.branch_on, samples.unit_on, power
    )
    for row in range(len(samples)):
        injection = np.bincount(grid.generators.bus, found.p_mw[row], len(grid.buses))
        injection -= samples.load_p_mw[row] + grid.buses.gs_mw
        assert abs(injection.sum()) < 1e-9
        expected = dense_angles(grid, slope * samples.branch_on[row], injection)
        np.testing.assert_allclose(found.va_deg[row], np.rad2deg(expected), rtol=0, atol=1e-9)


def test_an_island_has_no_angles_and_a_joined_branch_has():
    grid = one_load_per_bus(pglib("case14_ieee"))
    slope = susceptance_mw(grid, grid.branches.r_pu, grid.branches.x_pu)
    every = np.ones(len(slope), dtype=np.bool_)
    alone = int(np.flatnonzero(grid.branches.to_bus == 7)[0])
    apart, fewer = every.copy(), every.copy()
    apart[alone], fewer[0] = False, False
    injection = np.linspace(-1.0, 1.0, len(grid.buses))
    assert DcFlow(grid, slope, every).angles(injection, apart) is None
    assert DcFlow(grid, slope, apart).angles(injection, apart) is None
    for first in (fewer, apart):  # the second has nothing factored to begin with
        theta = DcFlow(grid, slope, first).angles(injection, every)
        np.testing.assert_allclose(theta, dense_angles(grid, slope, injection), rtol=0, atol=1e-12)


def reference(grid: Grid, given: OneSample) -> tuple[str, float]:
    """Status and least linear cost by HiGHS, flows in rows of their own."""
    base, branches, units = grid.base_mva, grid.branches, grid.generators
    program = LinearProgram()
    held = grid.buses.kind == REF
    angle = program.variables((len(held),), np.where(held, 0.0, -9.0), np.where(held, 0.0, 9.0))
    low, high = (np.where(given.unit_on, p, 0.0) for p in (units.p_min_mw, units.p_max_mw))
    power = program.variables((len(units),), low / base, high / base, given.cost[:, 1] * base)
    on = np.flatnonzero(given.branch_on)
    start, end = branches.from_bus[on], branches.to_bus[on]
    b = (given.x_pu / (given.r_pu**2 + given.x_pu**2))[on]
    rate = branches.rate_a_mva[on] / base
    program.rows((len(on),), [(angle[start], b), (angle[end], -b)], -rate, rate)
    least, most = (np.deg2rad(a[on]) for a in (branches.angle_min_deg, branches.angle_max_deg))
    program.rows((len(on),), [(angle[start], 1.0), (angle[end], -1.0)], least, most)
    demand = (given.load_p_mw + grid.buses.gs_mw) / base
    balance = program.rows((len(held),), [], demand, demand)
    program.add_entries(balance[units.bus], power, 1.0)
    for at, sign in ((start, -1.0), (end, 1.0)):
        program.add_entries(balance[at], angle[start], sign * b)
        program.add_entries(balance[at], angle[end], -sign * b)
    found = program.solve()
    return found.status, found.objective


@pytest.mark.parametrize("name", ["case30_ieee", "case57_ieee", "case118_ieee"])
def test_optima_cost_what_highs_finds(name):
    """Its gap of 1e-7 and PIQP's of 1e-10 leave 1e-7."""
    grid = one_load_per_bus(pglib(name))
    samples = samples_of(grid, 3, 4, shared=False, noise=0.1, outages=2, seed=2)
    program, solved = DcOpf(grid), 0
    for row in range(len(samples)):
        given = sample_at(samples, row)
        status, objective = reference(grid, given)
        found = program.solve(given)
        assert (found is not None) == (status == "optimal")
        if found is None:
            continue
        solved += 1
        theta, power = np.deg2rad(found[0]), found[1]
        assert not power[~given.unit_on].any()
        assert given.cost[:, 1] @ power == pytest.approx(objective, rel=1e-7)
        slope = given.branch_on * susceptance_mw(grid, given.r_pu, given.x_pu)
        branches = grid.branches
        flow = slope * (theta[branches.from_bus] - theta[branches.to_bus])
        assert (np.abs(flow) <= branches.rate_a_mva + 1e-4).all()
        made = np.bincount(grid.generators.bus, power, len(theta))
        lacking = made - given.load_p_mw - grid.buses.gs_mw
        lacking -= np.bincount(branches.from_bus, flow, len(theta))
        lacking += np.bincount(branches.to_bus, flow, len(theta))
        assert np.abs(lacking).max() < 1e-6
    assert solved >= 6


def test_quadratic_costs_meet_at_one_marginal_cost():
    """Two units on two buses without a limit: 2 a p + b is the same, and the demand is met."""
    grid = one_load_per_bus(pglib("case14_ieee"))
    samples = samples_of(grid, 1, 1, noise=0.0, impedance=0.0)
    cost = np.zeros_like(samples.cost[0])
    cost[:2, 0], cost[:2, 1] = (0.1, 0.3), (20.0, 5.0)
    cost[2:, 1] = 1e3
    wide = np.full(len(grid.branches), 9e3)
    grid = replace(grid, branches=replace(grid.branches, rate_a_mva=wide))
    units = replace(grid.generators, p_max_mw=np.full(len(cost), 400.0))
    grid = replace(grid, generators=units)
    found = DcOpf(grid).solve(sample_at(samples, 0)._replace(cost=cost))
    assert found is not None
    power, demand = found[1], grid.loads.p_mw.sum()
    # 0.2 p + 20 = 0.6 (demand - p) + 5
    assert power[0] == pytest.approx((0.6 * demand - 15.0) / 0.8, abs=1e-4)
    assert power[:2].sum() == pytest.approx(demand, abs=1e-4)


def test_units_of_a_bus_share_by_their_ranges():
    low, high = np.array([0.0, -10.0, 5.0, 0.0]), np.array([10.0, 20.0, 5.0, np.inf])
    on = np.array([[True, True, True, True], [True, False, True, True]])
    bus = np.array([0, 0, 1, 2])
    given = shared(np.array([[10.0, 7.0, 3.0], [4.0, 5.0, -2.0]]), low, high, on, bus)
    # (10 - (-10)) of a range of 40: half of each range.
    np.testing.assert_allclose(given[0], [5.0, 5.0, 7.0, 3.0], rtol=1e-12)
    np.testing.assert_allclose(given[1], [4.0, 0.0, 5.0, -2.0], rtol=1e-12)
