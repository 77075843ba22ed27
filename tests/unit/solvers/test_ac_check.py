"""The AC power flow against pandapower, and the check of a dispatch against its laws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_solver_grids import triangle, triangle_periods

from data_engineering.model.problem import Commitment, SolveRequest
from data_engineering.solvers.ac_check import verify_ac
from data_engineering.solvers.lascopf import solve_lascopf
from data_engineering.solvers.matrices import branch_flows, bus_admittance
from data_engineering.solvers.power_flow import power_flow

REFERENCE = np.array([True, False, False])
CONTROLLED = np.array([False, True, False])


def injected(grid, dear: float, load: float) -> np.ndarray:
    return np.array([0.0, dear, -load - 0.2j * load]) / grid.base_mva


@pytest.mark.filterwarnings("default")  # pandapower's own
@pytest.mark.parametrize("tap", [1.0, 1.03])
def test_voltages_equal_pandapowers(tap):
    """Newton stops at 1e-9 p.u. here and at 1e-10 there: agreement to 1e-8 is all of it."""
    import pandapower

    grid = triangle(rating=500.0)
    taps = np.array([1.0, 1.0, tap])
    grid = replace(grid, branches=replace(grid.branches, tap=taps))
    found = power_flow(
        bus_admittance(grid), injected(grid, 60.0, 150.0), np.array([1.02, 1.01, 1.0]) + 0j,
        REFERENCE, CONTROLLED,
    )  # fmt: skip
    net = pandapower.create_empty_network(sn_mva=100.0, f_hz=50.0)
    for _ in range(3):
        pandapower.create_bus(net, vn_kv=230.0)
    pandapower.create_ext_grid(net, 0, vm_pu=1.02)
    pandapower.create_gen(net, 1, p_mw=60.0, vm_pu=1.01)
    pandapower.create_load(net, 2, p_mw=150.0, q_mvar=30.0)
    base = 230.0**2 / 100.0
    lines = [(0, 1), (1, 2)] + ([(0, 2)] if tap == 1.0 else [])
    for start, end in lines:
        pandapower.create_line_from_parameters(
            net, start, end, 1.0, r_ohm_per_km=0.01 * base, x_ohm_per_km=0.1 * base,
            c_nf_per_km=0.02 / base / (2 * np.pi * 50.0) * 1e9, max_i_ka=1.0,
        )  # fmt: skip
    if tap != 1.0:
        # The two-port of a transformer without charging, as an unsymmetrical pi of impedances;
        # its charging is added as shunts, 0.01 p.u. at each end seen through the tap.
        series = 1.0 / (0.01 + 0.1j)
        z = tap / series
        pandapower.create_impedance(net, 0, 2, rft_pu=z.real, xft_pu=z.imag, sn_mva=100.0)
        for bus, y in (
            (0, (series + 0.01j) / tap**2 - series / tap),
            (2, series + 0.01j - series / tap),
        ):
            pandapower.create_shunt(net, bus, p_mw=y.real * 100.0, q_mvar=-y.imag * 100.0)
    pandapower.runpp(net, tolerance_mva=1e-8, numba=False)
    theirs = net.res_bus.vm_pu.to_numpy() * np.exp(1j * np.deg2rad(net.res_bus.va_degree))
    assert found.converged
    assert np.abs(found.voltage - theirs).max() < 1e-8
    start, end = branch_flows(grid, found.voltage)
    # What all branches lose is what comes in.
    slack = net.res_ext_grid.p_mw.iloc[0]
    assert (start + end).real.sum() == pytest.approx(slack + 60.0 - 150.0, abs=1e-5)


def test_a_bus_at_its_reactive_limit_gives_up_its_voltage():
    grid = triangle(rating=500.0)
    admittance, start = bus_admittance(grid), np.array([1.02, 1.05, 1.0]) + 0j
    power = injected(grid, 60.0, 150.0)
    free = power_flow(admittance, power, start, REFERENCE, CONTROLLED)
    given = (free.voltage * np.conj(admittance @ free.voltage)).imag[1]
    limit = np.array([0.0, 0.5 * given, 0.0])
    held = power_flow(admittance, power, start, REFERENCE, CONTROLLED, (-limit, limit))
    assert held.converged
    assert held.at_limit.tolist() == [False, True, False]
    now = (held.voltage * np.conj(admittance @ held.voltage)).imag[1]
    assert now == pytest.approx(0.5 * given, abs=1e-8)
    assert abs(held.voltage[1]) < 1.05


def test_more_than_the_lines_carry_has_no_solution():
    grid = triangle(rating=500.0)
    power = injected(grid, 60.0, 5_000.0)
    start = np.ones(3) + 0j
    assert not power_flow(bus_admittance(grid), power, start, REFERENCE, CONTROLLED).converged


def dispatched(demand):
    grid, periods = triangle(rating=500.0), triangle_periods(demand)
    count = len(demand)
    on = np.ones((count, 3), dtype=bool)
    commitment = Commitment(
        on, np.zeros((count, 0), bool), np.zeros((count, 3)), np.zeros((count, 0))
    )
    return grid, solve_lascopf(SolveRequest("dcopf", grid, periods, commitment=commitment)).tables


def test_the_slack_takes_the_losses_and_only_them():
    grid, tables = dispatched([80.0, 150.0])
    checked = verify_ac(grid, tables)["interval_results"]
    assert checked["ac_converged"].tolist() == [True, True]
    # Injections balance without losses, so what the reference adds are the losses.
    assert checked["ac_slack_change_mw"].to_numpy() == pytest.approx(
        checked["ac_losses_mw"].to_numpy(), abs=1e-5
    )
    assert (checked["ac_losses_mw"] > 0.1).all()


def test_units_share_what_their_bus_gives():
    grid, tables = dispatched([150.0])
    checked = verify_ac(grid, tables)
    units = checked["generator_dispatch"].set_index("generator_id")["reactive_power"]
    flows = checked["branch_flow_results"].set_index("branch_id")
    assert units["wind"] == 0.0
    assert abs(units["cheap"]) <= 50.0 + 1e-6
    assert flows["ac_loading_percent"].to_numpy() == pytest.approx(
        (flows["ac_flow_mva"] / flows["rating_mw"] * 100.0).to_numpy()
    )


def test_an_interval_without_a_solution_is_reported_not_raised():
    grid, tables = dispatched([100.0])
    buses = tables["bus_results"].copy()
    at_three = buses["bus_id"] == "3"
    buses.loc[at_three, "load_mw"] += 5_000.0
    buses.loc[at_three, "net_injection_mw"] -= 5_000.0
    checked = verify_ac(grid, {**tables, "bus_results": buses})
    row = checked["interval_results"].iloc[0]
    assert not row["ac_converged"]
    assert np.isnan(row["ac_losses_mw"])
    assert checked["bus_results"]["voltage_magnitude"].isna().all()
