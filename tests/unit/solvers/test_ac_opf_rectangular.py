"""The AC-OPF in rectangular coordinates against the polar one and its own derivatives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sample_cases import one_load_per_bus
from solve_cases import pglib

from data_engineering.solvers.ac_opf_bounds import UnitState
from data_engineering.solvers.ac_opf_layout import sides_of
from data_engineering.solvers.ac_opf_model import AcOpfModel
from data_engineering.solvers.ac_opf_rectangular import RectangularModel


@pytest.mark.parametrize(
    "name",
    [
        "case5_pjm",
        "case14_ieee",
        "case24_ieee_rts",
        "case30_ieee__sad",
        "case57_ieee",
        "case118_ieee__api",
    ],
)
def test_the_optimum_is_that_of_polar_coordinates(name):
    grid = one_load_per_bus(pglib(name))
    on, units = grid.branches.in_service.copy(), UnitState.of(grid)
    lost = 1
    for status in (on, np.where(np.arange(len(on)) == lost, False, on)):
        polar = AcOpfModel(grid).solve(grid.loads.p_mw, grid.loads.q_mvar, status)
        point, _ = RectangularModel(grid, 300).solve(
            grid.loads.p_mw, grid.loads.q_mvar, status, units, sides_of(grid)
        )
        assert point.solved == (polar.status == "optimal")
        if point.solved:
            assert point.f == pytest.approx(polar.objective, rel=1e-6)


def test_a_start_at_the_optimum_finds_it_again():
    grid = one_load_per_bus(pglib("case30_ieee"))
    model, units = RectangularModel(grid, 200), UnitState.of(grid)
    numbers = (grid.loads.p_mw, grid.loads.q_mvar, grid.branches.in_service, units, sides_of(grid))
    polar = AcOpfModel(grid).solve(grid.loads.p_mw, grid.loads.q_mvar)
    point, _ = model.solve(*numbers, polar.point.x)
    assert point.solved
    count = len(grid.buses)
    np.testing.assert_allclose(point.x[count : 2 * count], polar.vm_pu, rtol=0, atol=1e-5)
    np.testing.assert_allclose(np.rad2deg(point.x[:count]), polar.va_deg, rtol=0, atol=1e-3)


def test_admittances_given_to_a_solve_are_those_of_another_grid():
    grid = one_load_per_bus(pglib("case30_ieee"))
    branches = replace(grid.branches, r_pu=1.1 * grid.branches.r_pu, x_pu=0.9 * grid.branches.x_pu)
    other = replace(grid, branches=branches)
    demand = (grid.loads.p_mw, grid.loads.q_mvar)
    expected = AcOpfModel(other).solve(*demand)
    found = AcOpfModel(grid).solve(*demand, sides=sides_of(other))
    assert found.objective == pytest.approx(expected.objective, rel=1e-9)
    np.testing.assert_allclose(found.vm_pu, expected.vm_pu, rtol=0, atol=1e-8)
    assert abs(found.objective / AcOpfModel(grid).solve(*demand).objective - 1.0) > 1e-4


def test_a_frozen_model_answers_the_same_whatever_came_before():
    grid = one_load_per_bus(pglib("case24_ieee_rts__api"))
    demand = (grid.loads.p_mw, grid.loads.q_mvar)
    models = [AcOpfModel(grid) for _ in range(2)]
    for model in models:
        model.solve(*demand)
        model.freeze()
    for share in (0.7, 0.8, 0.9):
        models[1].solve(share * demand[0], share * demand[1])
    one, other = (model.solve(0.95 * demand[0], 0.95 * demand[1]) for model in models)
    np.testing.assert_array_equal(one.point.x, other.point.x)
    np.testing.assert_array_equal(one.point.lam_g, other.point.lam_g)
