"""AC-OPF of samples: what counts as an answer, and what is done where there is none at first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sample_cases import one_load_per_bus, samples_of
from solve_cases import pglib

from data_engineering.model.grid import Grid
from data_engineering.solvers.ac_opf_layout import sides_of
from data_engineering.solvers.ac_opf_rectangular import RectangularModel
from data_engineering.solvers.sample_opf import SampleOpf
from data_engineering.solvers.sample_soundness import sound
from data_engineering.solvers.sample_words import OneSample, Optimum, as_it_is, sample_at


def settled(grid: Grid, formulation: Any = "polar") -> SampleOpf:
    opf = SampleOpf(grid, 200, formulation)
    opf.settle()
    return opf


@pytest.fixture(scope="module")
def grid() -> Grid:
    return one_load_per_bus(pglib("case30_ieee"))


@pytest.fixture(scope="module")
def optimum(grid: Grid) -> Optimum:
    return settled(grid).solve(as_it_is(grid))


def judged(grid: Grid, given: OneSample, found: Optimum) -> bool:
    return sound(grid, sides_of(grid), given, found)


def test_an_optimum_is_sound(grid, optimum):
    assert optimum.status == "optimal"
    assert judged(grid, as_it_is(grid), optimum)


def test_an_answer_that_does_not_balance_is_not_sound(grid, optimum):
    """1e-3 MW or Mvar is 1e-5 p.u., ten times what is allowed."""
    given = as_it_is(grid)
    for name in ("load_p_mw", "load_q_mvar"):
        more = getattr(given, name).copy()
        more[3] += 1e-3
        assert not judged(grid, given._replace(**{name: more}), optimum)
    assert not judged(grid, given, optimum._replace(voltage=optimum.voltage * 1.0001))


@pytest.mark.parametrize(
    ("part", "column", "amount"),
    [
        ("buses", "vm_max_pu", -1e-4),
        ("buses", "vm_min_pu", 0.2),
        ("generators", "p_max_mw", -300.0),
        ("generators", "q_min_mvar", 30.0),
        ("branches", "angle_max_deg", -65.0),
        ("branches", "rate_a_mva", -1.0),
    ],
)
def test_an_answer_beyond_a_limit_is_not_sound(grid, optimum, part, column, amount):
    elements = getattr(grid, part)
    tight = replace(elements, **{column: getattr(elements, column) + amount})
    if column == "rate_a_mva":
        # The optimum of this case loads a branch fully.
        assert judged(grid, as_it_is(grid), optimum)
    assert not judged(replace(grid, **{part: tight}), as_it_is(grid), optimum)


def test_an_optimum_that_is_not_sound_is_not_told_as_one(grid, caplog):
    opf = settled(grid)
    opf.grid = replace(grid, buses=replace(grid.buses, vm_max_pu=np.full(len(grid.buses), 1.0)))
    assert opf.solve(as_it_is(grid)).status == "not_converged"
    assert "breaks a limit" in caplog.text


class FailsFromTheMiddle:
    """A rectangular model that needs to be shown where the optimum is."""

    def __init__(self, model: RectangularModel) -> None:
        self.model, self.starts = model, []

    def solve(self, *given: Any) -> Any:
        point, seconds = self.model.solve(*given)
        near = given[5] if len(given) > 5 else None
        self.starts.append(near)
        if near is None:
            point = point._replace(message="Maximum_Iterations_Exceeded", x=0.0 * point.x)
        return point, seconds


def test_what_rectangular_coordinates_do_not_solve_begins_at_the_polar_optimum(grid, optimum):
    opf = settled(grid, "rectangular")
    stubborn = FailsFromTheMiddle(opf._with_few_limits)
    opf.__dict__["_with_few_limits"] = stubborn
    found = opf.solve(as_it_is(grid))
    assert found.status == "optimal"
    assert [start is None for start in stubborn.starts] == [True, False]
    assert found.objective == pytest.approx(optimum.objective, rel=1e-6)


def test_a_grid_without_a_solution_of_its_own_still_serves_lighter_samples(grid, optimum):
    heavy = replace(
        grid,
        loads=replace(grid.loads, p_mw=5.0 * grid.loads.p_mw, q_mvar=5.0 * grid.loads.q_mvar),
    )
    for formulation in ("polar", "rectangular"):
        opf = settled(heavy, formulation)
        assert opf.solve(as_it_is(heavy)).status == "infeasible"
        found = opf.solve(as_it_is(grid))
        assert found.status == "optimal"
        assert found.objective == pytest.approx(optimum.objective, rel=1e-6)


def test_limits_that_were_left_out_are_kept(grid):
    """Two outages load branches that no probe did; both formulations must see it."""
    name = "case118_ieee"
    other = one_load_per_bus(pglib(name))
    polar, rectangular = settled(other), settled(other, "rectangular")
    near = polar.model.near
    assert near is not None
    assert near.sum() < len(near) / 4
    samples = samples_of(other, 3, 2, shared=False, outages=2, seed=8)
    for row in range(len(samples)):
        given = sample_at(samples, row)
        one, two = polar.solve(given), rectangular.solve(given)
        assert one.status == two.status
        if one.status == "optimal":
            assert one.objective == pytest.approx(two.objective, rel=1e-6)
