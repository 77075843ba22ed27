"""Batches of AC-OPF: every scenario is the same as solved alone, from nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ac_opf_cases import pglib_grid, solved

from data_engineering.model.errors import BadInput
from data_engineering.solvers.ac_opf_batch import solve_batch
from data_engineering.solvers.ac_opf_model import AcOpfModel, bus_loads

SAME = 1e-6
"""Relative; two paths to one optimum at Ipopt's tolerance of 1e-7 differ by less."""


def test_scenarios_of_loads_outages_and_costs_are_those_solved_alone():
    grid = pglib_grid("case30_ieee")
    rng = np.random.default_rng(1)
    factor = rng.uniform(0.7, 0.9, (6, len(grid.loads)))
    status = np.ones((6, len(grid.branches)), dtype=bool)
    status[np.arange(3), [4, 20, 30]] = False
    own = np.stack([grid.generators.cost_c2, grid.generators.cost_c1, grid.generators.cost_c0], 1)
    cost = own * rng.uniform(0.5, 2.0, (6, len(own), 1))
    p_mw, q_mvar = factor * grid.loads.p_mw, factor * grid.loads.q_mvar
    batch = solve_batch(grid, p_mw, q_mvar, branch_status=status, generator_cost=cost)
    assert set(batch.status) == {"optimal"}
    assert batch.vm_pu.shape == batch.price.shape == (6, len(grid.buses))
    for s in range(6):
        units = replace(
            grid.generators, cost_c2=cost[s, :, 0], cost_c1=cost[s, :, 1], cost_c0=cost[s, :, 2]
        )
        alone = solved(
            replace(
                grid,
                branches=replace(grid.branches, in_service=status[s]),
                generators=units,
                loads=replace(grid.loads, p_mw=p_mw[s], q_mvar=q_mvar[s]),
            )
        )
        assert batch.objective[s] == pytest.approx(alone.objective, rel=SAME)
        np.testing.assert_allclose(batch.p_mw[s], alone.p_mw, atol=0.05)


def test_a_scenario_without_a_solution_says_so_and_leaves_the_others():
    grid = pglib_grid("case14_ieee")
    factor = np.array([[1.0], [3.0], [1.02]])
    batch = solve_batch(grid, factor * grid.loads.p_mw, factor * grid.loads.q_mvar)
    assert batch.status.tolist() == ["optimal", "infeasible", "optimal"]
    assert np.isnan(batch.objective[1])
    assert np.isnan(batch.vm_pu[1]).all()
    assert np.isfinite(batch.price[[0, 2]]).all()


def test_an_outage_that_islands_a_load_is_infeasible():
    """Bus 8 of the 14-bus case hangs on one branch; give it a load."""
    grid = pglib_grid("case14_ieee")
    loads = replace(grid.loads, bus=np.append(grid.loads.bus[:-1], 7))
    status = np.ones((1, len(grid.branches)), dtype=bool)
    status[0, (grid.branches.from_bus == 7) | (grid.branches.to_bus == 7)] = False
    grid = replace(grid, loads=loads)
    own = grid.loads.p_mw[None], grid.loads.q_mvar[None]
    assert solve_batch(grid, *own, branch_status=status).status.tolist() == ["infeasible"]
    assert solve_batch(grid, *own).status.tolist() == ["optimal"]


def test_a_model_and_a_start_of_before_are_used():
    grid = pglib_grid("case57_ieee")
    model = AcOpfModel(grid)
    start = model.solve(*bus_loads(grid, grid.loads.p_mw, grid.loads.q_mvar))
    own = grid.loads.p_mw[None], grid.loads.q_mvar[None]
    batch = solve_batch(grid, *own, start=start, model=model)
    assert batch.objective[0] == pytest.approx(start.objective, rel=SAME)
    assert batch.iterations[0] < start.iterations


def test_no_scenarios_give_empty_arrays():
    grid = pglib_grid("case5_pjm")
    nothing = np.zeros((0, len(grid.loads)))
    batch = solve_batch(grid, nothing, nothing)
    assert batch.objective.shape == (0,)
    assert batch.vm_pu.shape == (0, 5)


def test_wrong_shapes_and_gaps_are_named():
    grid = pglib_grid("case5_pjm")
    own = grid.loads.p_mw[None], grid.loads.q_mvar[None]
    with pytest.raises(BadInput, match=r"branch_status: .*\(1, 6\)"):
        solve_batch(grid, *own, branch_status=np.ones((1, 5), dtype=bool))
    with pytest.raises(BadInput, match=r"load_q_mvar\[0, 1\]: 'NaN'"):
        solve_batch(grid, own[0], np.array([[1.0, np.nan, 2.0]]))
