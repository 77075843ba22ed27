"""Batches of AC power flows: closed forms, published values, our own Newton, symmetries."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_power_flow_cases import branches_taken, case9, two_buses, with_branches, with_units

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import DcLines
from data_engineering.solvers.matrices import bus_admittance
from data_engineering.solvers.power_flow import power_flow
from data_engineering.solvers.power_flow_batch import BatchOptions, solve_batch, unit_power

EXACT = 1e-8
"""Solutions have mismatches below 1e-9 p.u.; admittances of these cases are of the order of 10."""


def solve(grid, **options):
    return solve_batch(grid, grid.loads.p_mw, grid.loads.q_mvar, **options)


def by_our_newton(grid, set_point=1.0):
    """The same power flow by the Python Newton, from its own matrices."""
    buses, units = grid.buses, grid.generators
    power = np.zeros(len(buses), dtype=complex)
    np.add.at(power, units.bus, units.p_mw * units.in_service)
    np.add.at(power, grid.loads.bus, -grid.loads.p_mw - 1j * grid.loads.q_mvar)
    held = np.isin(np.arange(len(buses)), units.bus[units.in_service])
    start = np.where(held, set_point, 1.0) + 0j
    reference = buses.kind == 3
    found = power_flow(bus_admittance(grid), power / grid.base_mva, start, reference, held)
    assert found.converged
    return found.voltage


def test_two_buses_have_a_closed_form():
    """|V2|^2 solves u^2 + (2 (r p + x q) - |V1|^2) u + |z|^2 |s|^2 = 0, the upper root."""
    grid, loads = two_buses(), np.array([[0.0], [40.0], [80.0], [120.0]])
    found = solve_batch(grid, loads, 0.375 * loads)
    s = (loads[:, 0] + 0.375j * loads[:, 0]) / 100.0
    half = (0.02 * s.real + 0.1 * s.imag) - 1.02**2 / 2.0
    squared = -half + np.sqrt(half**2 - (0.02**2 + 0.1**2) * np.abs(s) ** 2)
    assert found.converged.all()
    assert found.vm_pu[:, 1] == pytest.approx(np.sqrt(squared), abs=EXACT)
    losses = 100.0 * 0.02 * np.abs(s) ** 2 / squared
    assert found.slack_mw == pytest.approx(loads[:, 0] + losses, abs=1e-5)


def test_beyond_the_nose_of_the_curve_there_is_no_solution():
    grid = two_buses()
    found = solve_batch(grid, np.array([[80.0], [600.0]]), np.array([[30.0], [0.0]]))
    assert found.converged.tolist() == [True, False]
    assert found.reason.tolist() == ["", "diverged"]
    assert np.isnan(found.voltage[1]).all()


def test_case9_is_what_matpower_prints():
    """Its manual prints three decimals of voltages and angles, and two of the outputs."""
    found = solve(case9())
    assert found.vm_pu[0] == pytest.approx(
        [1.0, 1.0, 1.0, 0.987, 0.975, 1.003, 0.986, 0.996, 0.958], abs=5e-4
    )
    assert found.va_deg[0] == pytest.approx(
        [0.0, 9.669, 4.771, -2.407, -4.017, 1.926, 0.622, 3.799, -4.350], abs=5e-4
    )
    active, reactive = unit_power(found)
    assert active[0] == pytest.approx([71.95, 163.0, 85.0], abs=5e-3)
    assert reactive[0] == pytest.approx([24.07, 14.46, -3.65], abs=5e-3)


def test_taps_shifts_and_shunts_are_those_of_our_matrices():
    grid = with_branches(
        case9(),
        tap=np.array([0.97, 1, 1, 1.04, 1, 1, 1.01, 1, 1]),
        shift_deg=np.array([3.0, 0, 0, -5, 0, 0, 0, 0, 0]),
    )
    shunts = np.array([0, 0, 0, 5.0, 0, 0, 0, 2.0, 0])
    grid = replace(grid, buses=replace(grid.buses, gs_mw=shunts, bs_mvar=-3.0 * shunts))
    assert np.abs(solve(grid).voltage[0] - by_our_newton(grid)).max() < EXACT


def test_every_branch_outage_is_the_grid_without_the_branch():
    grid = case9()
    status = ~np.eye(9, dtype=bool)
    found = solve(grid, branch_status=status)
    assert found.reason.tolist() == ["islanded" if k in (0, 3, 6) else "" for k in range(9)]
    for row in np.flatnonzero(found.converged):
        alone = by_our_newton(with_branches(grid, in_service=status[row]))
        assert np.abs(found.voltage[row] - alone).max() < EXACT
    assert np.isnan(found.voltage[~found.converged]).all()


def test_two_branches_that_part_a_bus_together_island_it():
    status = np.ones((2, 9), dtype=bool)
    status[0, [1, 2]] = False  # both lines of bus 5
    status[1, 1] = False
    assert solve(case9(), branch_status=status).reason.tolist() == ["islanded", ""]


def test_a_branch_of_the_grid_that_is_out_can_come_back():
    grid = case9()
    out = with_branches(grid, in_service=np.arange(9) != 4)
    found = solve(out, branch_status=np.ones(9, dtype=bool))
    assert np.abs(found.voltage - solve(grid).voltage).max() < EXACT


def test_a_lost_unit_gives_up_its_power_and_its_voltage():
    grid = case9()
    status = np.array([[True, True, True], [True, False, True], [True, True, False]])
    found = solve(grid, generator_status=status)
    for row in range(3):
        alone = by_our_newton(with_units(grid, in_service=status[row]))
        assert np.abs(found.voltage[row] - alone).max() < EXACT
    active, reactive = unit_power(found)
    assert (active[~status] == 0.0).all()
    assert (reactive[~status] == 0.0).all()


def test_dispatch_and_set_points_by_scenario():
    grid = case9()
    power = np.array([[0.0, 163.0, 85.0], [0.0, 120.0, 100.0]])
    magnitude = np.array([[1.0, 1.0, 1.0], [1.03, 1.02, 1.01]])
    found = solve(grid, generator_p_mw=power, generator_vm_pu=magnitude)
    for row in range(2):
        other = with_units(grid, p_mw=power[row], vm_pu=magnitude[row])
        points = np.ones(9)
        points[grid.generators.bus] = magnitude[row]
        assert np.abs(found.voltage[row] - by_our_newton(other, points)).max() < EXACT


def test_two_equal_lines_carry_what_one_did():
    grid = case9()
    rows = np.append(np.arange(9), 4)
    halves = branches_taken(grid, rows)
    twice = np.isin(rows, 4)
    split = replace(
        halves,
        id=np.array([*halves.id[:9], "other half"]),
        r_pu=np.where(twice, 2.0, 1.0) * halves.r_pu,
        x_pu=np.where(twice, 2.0, 1.0) * halves.x_pu,
        b_pu=np.where(twice, 0.5, 1.0) * halves.b_pu,
    )
    found = solve(replace(grid, branches=split))
    assert np.abs(found.voltage - solve(grid).voltage).max() < EXACT


def test_the_order_of_the_buses_does_not_matter():
    grid = case9()
    order = np.array([4, 8, 0, 6, 2, 1, 7, 3, 5])
    place = np.argsort(order)
    buses = replace(grid.buses, **{k: v[order] for k, v in vars(grid.buses).items()})
    branches = grid.branches
    moved = replace(
        grid,
        buses=buses,
        branches=replace(
            branches, from_bus=place[branches.from_bus], to_bus=place[branches.to_bus]
        ),
        generators=replace(grid.generators, bus=place[grid.generators.bus]),
        loads=replace(grid.loads, bus=place[grid.loads.bus]),
    )
    assert np.abs(solve(moved).voltage[0] - solve(grid).voltage[0, order]).max() < EXACT


def test_powers_and_base_scaled_together_leave_the_voltages():
    grid = case9()
    scaled = with_units(replace(grid, base_mva=250.0), p_mw=2.5 * grid.generators.p_mw)
    found = solve_batch(scaled, 2.5 * grid.loads.p_mw, 2.5 * grid.loads.q_mvar)
    assert np.abs(found.voltage - solve(grid).voltage).max() < EXACT


def test_a_distributed_slack_is_shared_by_capability():
    grid = case9()
    found = solve(grid, options=BatchOptions(distributed_slack=True))
    active, _ = unit_power(found)
    change = active[0] - grid.generators.p_mw
    assert change == pytest.approx(change.sum() * np.array([250, 300, 270]) / 820, abs=1e-5)
    assert found.va_deg[0, 0] == pytest.approx(0.0, abs=1e-9)
    # The units' new outputs as set points leave the reference nothing to add.
    again = solve(with_units(grid, p_mw=active[0]))
    assert again.slack_mw[0] == pytest.approx(0.0, abs=1e-5)
    assert np.abs(again.voltage - found.voltage).max() < EXACT


def test_a_unit_that_is_lost_leaves_the_distribution():
    grid = case9()
    status = np.array([[True, True, True], [True, True, False]])
    options = BatchOptions(distributed_slack=True)
    active, _ = unit_power(solve(grid, generator_status=status, options=options))
    change = active[1] - grid.generators.p_mw * status[1]
    assert change == pytest.approx(change.sum() * np.array([250, 300, 0]) / 550, abs=1e-5)


@pytest.mark.parametrize("shared", [False, True])
def test_no_unit_leaves_its_reactive_range(shared):
    grid = with_units(case9(), q_max_mvar=np.array([300.0, 10.0, 300.0]))
    options = BatchOptions(reactive_limits=True, distributed_slack=shared)
    found = solve(grid, options=options)
    _, reactive = unit_power(found)
    assert found.converged.all()
    assert reactive[0, 1] == pytest.approx(10.0, abs=1e-5)
    assert found.vm_pu[0, 1] < 1.0
    assert found.vm_pu[0, 2] == pytest.approx(1.0, abs=1e-12)


def test_limits_that_leave_no_solution_are_the_reason():
    grid = with_units(case9(), q_max_mvar=np.array([300.0, -300.0, -300.0]))
    found = solve(with_units(grid, q_min_mvar=np.array([-300.0, -300.0, -300.0])),
                  options=BatchOptions(reactive_limits=True))  # fmt: skip
    assert found.reason.tolist() == ["reactive limits"]


def test_dc_lines_and_stores_are_injections():
    grid = case9()
    line = DcLines(
        id=np.array(["dc"]), from_bus=np.array([8]), to_bus=np.array([4]), p_mw=np.array([20.0]),
        p_min_mw=np.array([0.0]), p_max_mw=np.array([50.0]), loss_fixed_mw=np.array([1.0]),
        loss_share=np.array([0.1]), in_service=np.array([True]),
    )  # fmt: skip
    found = solve(replace(grid, dc_lines=line))
    load = grid.loads.p_mw + np.array([-17.0, 0.0, 20.0])  # at buses 5, 7 and 9
    same = solve_batch(grid, load, grid.loads.q_mvar)
    assert np.abs(found.voltage - same.voltage).max() < EXACT


def test_an_isolated_bus_is_dead_and_disturbs_nothing():
    grid = case9()
    kind = grid.buses.kind.copy()
    kind[4] = 4
    found = solve(replace(grid, buses=replace(grid.buses, kind=kind)))
    rest = solve_batch(
        grid, grid.loads.p_mw * [0, 1, 1], grid.loads.q_mvar * [0, 1, 1],
        branch_status=~np.isin(np.arange(9), (1, 2)), start=np.ones(9, dtype=complex),
    )  # fmt: skip
    assert rest.reason.tolist() == ["islanded"]  # its bus 5 is there, only out of reach
    assert found.converged.all()
    assert found.voltage[0, 4] == 0.0
    losses = found.slack_mw[0] + 163.0 + 85.0 - 100.0 - 125.0
    assert 0.0 < losses < 10.0


def test_the_first_bus_with_a_unit_takes_the_place_of_a_reference_without_one():
    grid = with_units(case9(), in_service=np.array([False, True, True]))
    found = solve(grid)
    assert found.scenarios.reference == 1
    assert found.converged.all()


def test_a_case_that_newton_does_not_reach_from_its_start_is_followed():
    grid = case9()
    far = grid.buses.va_deg + np.linspace(0.0, 800.0, 9)
    found = solve(replace(grid, buses=replace(grid.buses, va_deg=far, vm_pu=0.2 * np.ones(9))))
    assert found.converged.all()
    turned = found.voltage[0] * np.exp(-1j * np.angle(found.voltage[0, 0]))
    assert np.abs(turned - solve(grid).voltage[0]).max() < EXACT


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"load_p_mw": np.ones((2, 2))}, "load_p_mw"),
        ({"generator_p_mw": np.array([[np.nan, 1.0, 1.0]])}, r"generator_p_mw\[0, 0\]"),
        ({"load_p_mw": np.ones((2, 3)), "branch_status": np.ones((3, 9), dtype=bool)}, "rows"),
    ],
)
def test_bad_arrays_are_named(given, word):
    grid = case9()
    loads = {"load_p_mw": grid.loads.p_mw, "load_q_mvar": grid.loads.q_mvar}
    with pytest.raises(BadInput, match=word):
        solve_batch(grid, **(loads | given))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.2, 1.0), min_size=3, max_size=3), st.integers(0, 8))
def test_any_load_and_outage_is_solved_as_by_our_newton(factors, lost):
    grid = case9()
    factor, status = np.array(factors), np.arange(9) != lost
    found = solve_batch(
        grid, grid.loads.p_mw * factor, grid.loads.q_mvar * factor, branch_status=status
    )
    assert found.converged[0] == (lost not in (0, 3, 6))
    if found.converged[0]:
        loads = replace(
            grid.loads, p_mw=grid.loads.p_mw * factor, q_mvar=grid.loads.q_mvar * factor
        )
        alone = by_our_newton(with_branches(replace(grid, loads=loads), in_service=status))
        assert np.abs(found.voltage[0] - alone).max() < EXACT
