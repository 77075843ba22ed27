"""Kernels of datasets against the network equations, other solvers, and themselves."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from sample_cases import one_load_per_bus, samples_of
from solve_cases import pglib

from data_engineering.model.grid import REF, Grid
from data_engineering.model.samples import Samples, Solutions, joined
from data_engineering.solvers.ac_opf_model import AcOpfModel
from data_engineering.solvers.matrices import branch_flows, bus_injections
from data_engineering.solvers.sample_kernels import feasible_at, kernel

TIMED = ("seconds", "dc_seconds")


def grid_of(samples: Samples, row: int, grid: Grid) -> Grid:
    """The grid with the branches of one sample."""
    branches = replace(
        grid.branches,
        r_pu=samples.r_pu[row].copy(),
        x_pu=samples.x_pu[row].copy(),
        in_service=samples.branch_on[row].copy(),
    )
    return replace(grid, branches=branches)


def voltage_of(found: Solutions, row: int) -> np.ndarray:
    return found.vm_pu[row] * np.exp(1j * np.deg2rad(found.va_deg[row]))


def mismatch_mva(samples: Samples, found: Solutions, row: int, grid: Grid) -> np.ndarray:
    injected = np.zeros(len(grid.buses), dtype=np.complex128)
    np.add.at(injected, grid.generators.bus, found.p_mw[row] + 1j * found.q_mvar[row])
    demand = samples.load_p_mw[row] + 1j * samples.load_q_mvar[row]
    return injected - demand - bus_injections(grid_of(samples, row, grid), voltage_of(found, row))


def bits(found: Solutions) -> dict[str, bytes]:
    """Everything but measured times, byte for byte."""
    return {
        f.name: np.ascontiguousarray(getattr(found, f.name)).tobytes()
        for f in fields(found)
        if f.name not in (*TIMED, "reason")
    } | {"reason": "|".join(found.reason).encode()}


@pytest.mark.parametrize("formulation", ["polar", "rectangular"])
@pytest.mark.parametrize("name", ["case14_ieee", "case30_ieee", "case30_ieee__sad"])
def test_optima_keep_every_limit_and_balance(name, formulation):
    """Tolerances are those to which a dataset is checked, balances to 1e-6 p.u."""
    grid = one_load_per_bus(pglib(name))
    samples = samples_of(grid, 4, 3, shared=False, noise=0.05)
    found = kernel(grid, "opf", formulation=formulation)(samples)
    assert found.solved.sum() >= 6
    units = grid.generators
    for row in np.flatnonzero(found.solved):
        assert np.abs(mismatch_mva(samples, found, row, grid)).max() < 1e-6 * grid.base_mva
        own, v = grid_of(samples, row, grid), voltage_of(found, row)
        assert (found.vm_pu[row] <= grid.buses.vm_max_pu + 1e-6).all()
        assert (found.vm_pu[row] >= grid.buses.vm_min_pu - 1e-6).all()
        size = np.maximum(*(np.abs(flow) for flow in branch_flows(own, v)))
        assert (size <= 1.000001 * grid.branches.rate_a_mva).all()
        angle = np.rad2deg(np.angle(v[own.branches.from_bus] * v[own.branches.to_bus].conj()))
        on = samples.branch_on[row]
        assert (angle[on] <= grid.branches.angle_max_deg[on] + 1e-6).all()
        assert (angle[on] >= grid.branches.angle_min_deg[on] - 1e-6).all()
        runs = samples.unit_on[row]
        assert not found.p_mw[row, ~runs].any()
        assert not found.q_mvar[row, ~runs].any()
        assert (found.p_mw[row, runs] <= units.p_max_mw[runs] + 1e-4).all()
        assert (found.p_mw[row, runs] >= units.p_min_mw[runs] - 1e-4).all()
        assert (found.q_mvar[row, runs] <= units.q_max_mvar[runs] + 1e-4).all()
        assert (found.q_mvar[row, runs] >= units.q_min_mvar[runs] - 1e-4).all()


def test_optima_are_those_of_the_grid_with_the_samples_numbers():
    """The plain model of a grid whose own numbers are the sample's; Ipopt's tolerance is 1e-7."""
    grid = one_load_per_bus(pglib("case30_ieee"))
    samples = samples_of(grid, 3, 2, shared=False, noise=0.05, seed=3)
    found = kernel(grid, "opf", dc=False)(samples)
    assert np.isnan(found.dc_va_deg).all()
    for row in range(len(samples)):
        cost = samples.cost[row]
        units = replace(
            grid.generators,
            cost_c2=cost[:, 0].copy(),
            cost_c1=cost[:, 1].copy(),
            cost_c0=cost[:, 2].copy(),
            in_service=samples.unit_on[row].copy(),
        )
        own = replace(grid_of(samples, row, grid), generators=units)
        plain = AcOpfModel(own).solve(samples.load_p_mw[row], samples.load_q_mvar[row])
        assert (plain.status == "optimal") == found.solved[row]
        if found.solved[row]:
            power = found.p_mw[row]
            value = (samples.unit_on[row] * ((cost[:, 0] * power + cost[:, 1]) * power)).sum()
            value += (samples.unit_on[row] * cost[:, 2]).sum()
            assert value == pytest.approx(plain.objective, rel=1e-6)


def test_variants_hold_dispatch_and_voltages_and_the_reference_takes_the_rest():
    grid = one_load_per_bus(pglib("case24_ieee_rts"))
    samples = samples_of(grid, 2, 8, noise=0.05, outages=2)
    found = kernel(grid, "pf")(samples)
    assert found.solved.sum() >= 12
    # Without its cable to bus 10 the reactor of bus 6 may leave no solution.
    assert set(found.reason) <= {"", "power flow: islanded", "power flow: diverged"}
    units, at_reference = grid.generators, grid.buses.kind[grid.generators.bus] == REF
    for row in np.flatnonzero(found.solved):
        # The first variant of a load scenario has all in service, so it is the base itself.
        base, on = row - row % 8, samples.unit_on[row]
        assert np.abs(mismatch_mva(samples, found, row, grid)).max() < 1e-6
        kept = on & ~at_reference
        np.testing.assert_array_equal(found.p_mw[row, kept], found.p_mw[base, kept])
        assert not found.p_mw[row, ~on].any()
        holding = np.unique(units.bus[on])
        np.testing.assert_allclose(
            found.vm_pu[row, holding], found.vm_pu[base, holding], rtol=0, atol=1e-12
        )
        np.testing.assert_array_equal(found.va_deg[row, grid.buses.kind == REF], 0.0)
        assert (found.dc_p_mw[row, kept] == found.p_mw[row, kept]).all()
        losses = found.p_mw[row].sum() - samples.load_p_mw[row].sum() - grid.buses.gs_mw.sum()
        assert losses > 0.0
        assert found.dc_p_mw[row].sum() == pytest.approx(
            samples.load_p_mw[row].sum() + grid.buses.gs_mw.sum(), rel=1e-12
        )


def test_the_base_of_a_load_scenario_is_the_optimum_of_the_whole_grid():
    grid = one_load_per_bus(pglib("case30_ieee"))
    samples = samples_of(grid, 2, 3, noise=0.05)
    flows, optima = kernel(grid, "pf")(samples), kernel(grid, "opf")(samples)
    for row in (0, 3):
        np.testing.assert_allclose(flows.vm_pu[row], optima.vm_pu[row], rtol=0, atol=1e-6)
        np.testing.assert_allclose(flows.p_mw[row], optima.p_mw[row], rtol=0, atol=1e-3)


def test_a_bus_that_loses_its_last_unit_gives_up_its_voltage():
    grid = one_load_per_bus(pglib("case30_ieee"))
    samples = samples_of(grid, 1, 2, noise=0.0, impedance=0.0)
    units = grid.generators
    lost = int(np.flatnonzero(grid.buses.kind[units.bus] != REF)[0])
    on = np.array(samples.unit_on)
    on[1] = True
    on[1, lost] = False
    branches = np.ones_like(samples.branch_on)
    found = kernel(grid, "pf")(replace(samples, unit_on=on, branch_on=branches))
    assert found.solved.all()
    bus = units.bus[lost]
    assert abs(found.vm_pu[1, bus] - found.vm_pu[0, bus]) > 1e-4
    assert np.abs(mismatch_mva(replace(samples, branch_on=branches), found, 1, grid)).max() < 1e-6


@pytest.mark.parametrize("mode", ["pf", "opf"])
def test_an_answer_depends_on_its_own_load_scenario_alone(mode):
    """To the last bit: together, in reverse, after others, and in another process."""
    grid = one_load_per_bus(pglib("case30_ieee"))
    samples = samples_of(grid, 4, 3, shared=mode == "pf", outages=2)
    together = kernel(grid, mode)(samples)
    later = kernel(grid, mode)
    parts = [samples.rows(slice(3 * k, 3 * k + 3)) for k in range(4)]
    backwards = [later(part) for part in reversed(parts)][::-1]
    again = [later(part) for part in parts]
    assert bits(joined(backwards)) == bits(together) == bits(joined(again))
    script = (
        "import sys; sys.path[:0] = ['tests', 'tests/unit/solvers'];"
        "from test_sample_kernels import *;"
        "import hashlib;"
        "grid = one_load_per_bus(pglib('case30_ieee'));"
        f"samples = samples_of(grid, 4, 3, shared={mode == 'pf'}, outages=2);"
        f"found = kernel(grid, '{mode}')(samples.rows(slice(6, 9)));"
        "print(hashlib.sha256(repr(bits(found)).encode()).hexdigest())"
    )
    import hashlib

    root = Path(__file__).parents[3]
    other = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True
    )
    own = hashlib.sha256(repr(bits(together.rows(slice(6, 9)))).encode()).hexdigest()
    assert other.stdout.strip() == own


def test_pieces_of_a_load_scenario_differ_by_rounding_alone():
    """Newton's method ends below 1e-10 p.u.; the network is updated from variant to variant."""
    grid = one_load_per_bus(pglib("case24_ieee_rts"))
    samples = samples_of(grid, 1, 6, noise=0.05)
    whole, pieces = kernel(grid, "pf"), kernel(grid, "pf")
    one = whole(samples)
    other = joined([pieces(samples.rows(slice(0, 2))), pieces(samples.rows(slice(2, 6)))])
    np.testing.assert_allclose(one.vm_pu, other.vm_pu, rtol=0, atol=1e-9)
    np.testing.assert_allclose(one.p_mw, other.p_mw, rtol=0, atol=1e-6)


def test_failures_have_reasons():
    grid = one_load_per_bus(pglib("case14_ieee"))
    samples = samples_of(grid, 2, 2, noise=0.05, outages=0)
    heavy = replace(samples, load_p_mw=samples.load_p_mw * np.array([1.0, 1.0, 5.0, 5.0])[:, None])
    # Bus 8 of the case hangs on one branch alone.
    alone = int(np.flatnonzero(grid.branches.to_bus == 7)[0])
    apart = np.array(heavy.branch_on)
    apart[1, alone] = False
    flows = kernel(grid, "pf")(replace(heavy, branch_on=apart))
    assert flows.solved.tolist() == [True, False, False, False]
    assert flows.reason.tolist() == ["", "power flow: islanded"] + 2 * ["base opf: infeasible"]
    assert np.isnan(flows.vm_pu[1:]).all()
    assert np.isnan(flows.p_mw[1:]).all()
    assert np.isnan(flows.dc_va_deg[1:]).all()
    optima = kernel(grid, "opf")(replace(heavy, branch_on=apart))
    expected = ["", "opf: islanded", "opf: infeasible", "opf: infeasible"]
    assert optima.reason.tolist() == expected
    assert np.isnan(optima.dc_p_mw[1:]).all()
    assert np.isfinite(optima.dc_p_mw[0]).all()


def test_a_reference_without_a_unit_balances_nothing():
    grid = one_load_per_bus(pglib("case14_ieee"))
    samples = samples_of(grid, 1, 3, noise=0.05, outages=0)
    on = np.array(samples.unit_on)
    on[1, grid.buses.kind[grid.generators.bus] == REF] = False
    found, whole = (kernel(grid, "pf")(s) for s in (replace(samples, unit_on=on), samples))
    assert found.reason.tolist() == ["", "power flow: no unit at the reference", ""]
    np.testing.assert_allclose(found.vm_pu[[0, 2]], whole.vm_pu[[0, 2]], rtol=0, atol=1e-9)
    assert np.isnan(found.vm_pu[1]).all()
    assert len(kernel(grid, "pf")(samples.rows(slice(0, 0)))) == 0


def test_few_iterations_end_without_an_answer():
    grid = one_load_per_bus(pglib("case14_ieee"))
    found = kernel(grid, "opf", max_iterations=3)(samples_of(grid, 1, 1))
    assert found.reason.tolist() == ["opf: not_converged"]
    assert np.isfinite(found.dc_p_mw).all()


def test_the_log_has_a_line_for_every_optimum(tmp_path):
    grid = one_load_per_bus(pglib("case14_ieee"))
    path = tmp_path / "opf.log"
    solve = kernel(grid, "pf", log=path)
    solve(samples_of(grid, 3, 2, noise=0.05))
    lines = path.read_text().splitlines()
    assert len(lines) == 3
    assert all(line.startswith("ac_opf optimal ") for line in lines)


@pytest.mark.parametrize("formulation", ["polar", "rectangular"])
def test_the_largest_demand_is_between_what_is_solved_and_what_is_not(formulation):
    """Case 14 has units of 340 + 59 MW for 259 MW of demand, so 1.54 times it at the most."""
    grid = one_load_per_bus(pglib("case14_ieee"))
    feasible = feasible_at(grid, change_reactive_power=True, formulation=formulation)
    most = np.where(grid.generators.in_service, grid.generators.p_max_mw, 0.0).sum()
    beyond = most / grid.loads.p_mw.sum() + 0.01
    answers = [feasible(factor) for factor in (beyond, 1.0, 1.1, beyond)]
    assert answers == [False, True, True, False]
