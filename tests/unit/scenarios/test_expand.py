"""Rows of the tables: two-ports and admittances against matrices made otherwise, flows against the
balance of every bus, and three buses by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from data_engineering.model.grid import PQ, PV, REF, Floats, Grid
from data_engineering.model.samples import Samples, Solutions
from data_engineering.scenarios import contract
from data_engineering.scenarios.case import ScenarioCase, prepare
from data_engineering.scenarios.expand import Columns, expansion
from data_engineering.scenarios.flows import dc_flows, wrapped
from data_engineering.solvers.matrices import branch_admittances, bus_admittance
from data_engineering.solvers.power_flow_batch import BatchOptions, solve_batch, unit_power
from data_engineering.solvers.sample_kernels import kernel
from data_engineering.transformation.matpower import grid_from_matpower
from tests.scenario_samples import samples_of, solutions_of
from tests.solve_cases import pglib

THREE_BUSES = """
mpc.version = '2';
mpc.baseMVA = 100;
mpc.bus = [
  1 3  0  0 0  0 1 1.0 0 230 1 1.1 0.9;
  2 2 20  5 0  0 1 1.0 0 115 1 1.1 0.9;
  3 1 90 30 2 19 1 1.0 0 115 1 1.1 0.9;
];
mpc.gen = [
  1 0 0 50 -50 1 100 1 150 0;
  1 0 0 40 -40 1 100 1 100 10;
  2 0 0 10 -10 1 100 1  20 0;
];
mpc.branch = [
  1 2 0.00 0.50 0.20 80 0 0 0.8 90 1 -30 30;
  2 3 0.03 0.04 0.10 80 0 0 0   0  1 -30 30;
  1 3 0.06 0.08 0.00 80 0 0 0   0  1 -30 30;
  3 2 0.03 0.04 0.10 80 0 0 0   0  0 -30 30;
];
mpc.gencost = [2 0 0 3 0.01 20 5; 2 0 0 3 0.02 30 7; 2 0 0 3 0 9 1];
"""


def three() -> ScenarioCase:
    return prepare(grid_from_matpower(THREE_BUSES, "three"))


def plain_samples(grid: Grid, count: int) -> Samples:
    """Samples of the case as it is."""
    units, branches = grid.generators, grid.branches
    cost = np.stack([units.cost_c2, units.cost_c1, units.cost_c0], axis=1)

    def each(values: Any) -> Any:
        return np.broadcast_to(values, (count, *values.shape))

    return Samples(
        load_scenario=np.arange(count) + 40,
        variant=np.zeros(count, dtype=np.int64),
        load_p_mw=each(grid.loads.p_mw),
        load_q_mvar=each(grid.loads.q_mvar),
        branch_on=each(branches.in_service),
        unit_on=each(units.in_service),
        cost=each(cost),
        r_pu=each(branches.r_pu),
        x_pu=each(branches.x_pu),
    )


def perturbed(grid: Grid, count: int, seed: int) -> tuple[Samples, Solutions]:
    """Samples with outages and impedances of their own."""
    rng = np.random.default_rng(seed)
    given = samples_of(grid, 0, count, rng)
    scale = rng.uniform(0.8, 1.2, (2, *given.r_pu.shape))
    given = replace(given, r_pu=given.r_pu * scale[0], x_pu=given.x_pu * scale[1])
    return given, solutions_of(given, rng)


def sample_grid(grid: Grid, given: Samples, row: int) -> Grid:
    """The grid of one sample."""
    branches = replace(
        grid.branches,
        in_service=given.branch_on[row].copy(),
        r_pu=given.r_pu[row].copy(),
        x_pu=given.x_pu[row].copy(),
    )
    return replace(grid, branches=branches)


def rows_of(columns: Columns, scenario: int) -> Columns:
    chosen = columns["scenario"] == scenario
    return {name: values[chosen] for name, values in columns.items()}


def dense(grid: Grid, rows: Columns) -> Any:
    matrix = np.zeros((len(grid.buses), len(grid.buses)), dtype=np.complex128)
    matrix[rows["index1"], rows["index2"]] = rows["G"] + 1j * rows["B"]
    return matrix


def test_three_buses_by_hand() -> None:
    """Branch 1-2: y = 1/0.5j = -2j with tap 0.8 at 90 degrees, so Yff = (-2 + 0.1) j / 0.64,
    Yft = 2j / (-0.8j) = -2.5, Ytf = 2j / 0.8j = 2.5, Ytt = -1.9j. Branch 2-3:
    y = 1/(0.03 + 0.04j) = 12 - 16j. Branch 1-3: y = 6 - 8j."""
    case = three()
    given = plain_samples(case.grid, 1)
    found = replace(
        solutions_of(given, np.random.default_rng(0)),
        vm_pu=np.ones((1, 3)),
        va_deg=np.array([[0.0, 0.0, -90.0]]),
        p_mw=np.array([[30.0, 12.0, 5.0]]),
        q_mvar=np.array([[1.0, 2.0, -4.0]]),
    )
    tables = expansion(case).tables(given, found, 7, dc=False)
    branch, bus = tables["branch_data"], tables["bus_data"]

    expected = {
        "Yff": [-1.9j / 0.64, 12 - 15.95j, 6 - 8j, 0],
        "Yft": [-2.5, -12 + 16j, -6 + 8j, 0],
        "Ytf": [2.5, -12 + 16j, -6 + 8j, 0],
        "Ytt": [-1.9j, 12 - 15.95j, 6 - 8j, 0],
    }
    for name, values in expected.items():
        stored = branch[f"{name}_r"] + 1j * branch[f"{name}_i"]
        assert stored == pytest.approx(np.array(values), abs=1e-14)
    # S12 = conj(Yff + Yft) 100, S21 = conj(Ytf + Ytt) 100; at 3 the voltage is -1j:
    # S23 = conj(12 - 15.95j + (-12 + 16j)(-1j)) 100 = conj(28 - 3.95j) 100, and so on
    assert branch["pf"] == pytest.approx([-250.0, 2800.0, 1400.0, 0.0], abs=1e-11)
    assert branch["qf"] == pytest.approx([296.875, 395.0, 200.0, 0.0], abs=1e-11)
    assert branch["pt"] == pytest.approx([250.0, -400.0, -200.0, 0.0], abs=1e-11)
    assert branch["qt"] == pytest.approx([190.0, 2795.0, 1400.0, 0.0], abs=1e-11)
    assert branch["br_status"].tolist() == [1, 1, 1, 0]
    assert branch["tap"].tolist() == [0.8, 1.0, 1.0, 1.0]
    assert branch["shift"].tolist() == [90.0, 0.0, 0.0, 0.0]
    assert branch["r"].tolist() == [0.0, 0.03, 0.06, 0.03]
    assert branch["rate_a"].tolist() == [80.0] * 4

    assert bus["scenario"].tolist() == [7, 7, 7]
    assert bus["load_scenario_idx"].tolist() == [40, 40, 40]
    assert bus["Pg"].tolist() == [42.0, 5.0, 0.0]
    assert bus["Qg"].tolist() == [3.0, -4.0, 0.0]
    assert bus["Pd"].tolist() == [0.0, 20.0, 90.0]
    assert bus["GS"].tolist() == [0.0, 0.0, 0.02]
    assert bus["BS"].tolist() == [0.0, 0.0, 0.19]
    assert bus["vn_kv"].tolist() == [230.0, 115.0, 115.0]
    assert [bus[name].tolist() for name in ("PQ", "PV", "REF")] == [[0, 0, 1], [0, 1, 0], [1, 0, 0]]

    gen = tables["gen_data"]
    assert gen["bus"].tolist() == [0, 0, 1]
    assert gen["is_slack_gen"].tolist() == [1, 1, 0]
    assert gen["cp0_eur"].tolist() == [5.0, 7.0, 1.0]
    assert gen["cp1_eur_per_mw"].tolist() == [20.0, 30.0, 9.0]
    assert gen["cp2_eur_per_mw2"].tolist() == [0.01, 0.02, 0.0]

    matrix = dense(case.grid, tables["y_bus_data"])
    by_hand = [
        [6 - 8j - 1.9j / 0.64, -2.5, -6 + 8j],
        [2.5, 12 - 17.85j, -12 + 16j],
        [-6 + 8j, -12 + 16j, 18.02 - 23.76j],
    ]
    assert matrix == pytest.approx(np.array(by_hand), abs=1e-13)


def test_entries_between_buses_vanish_with_their_branches() -> None:
    case = three()
    given = plain_samples(case.grid, 3)
    on = given.branch_on.copy()
    on[1, 2] = False  # 1-3 has no other branch
    on[2, 1], on[2, 3] = False, True  # 2-3 is taken over by 3-2
    given = replace(given, branch_on=on)
    found = solutions_of(given, np.random.default_rng(0))
    rows = expansion(case).tables(given, found, 0, dc=True)["y_bus_data"]
    places = [
        list(zip(part["index1"].tolist(), part["index2"].tolist(), strict=True))
        for part in (rows_of(rows, scenario) for scenario in range(3))
    ]
    whole = [(i, j) for i in range(3) for j in range(3)]
    assert places == [whole, [pair for pair in whole if pair not in ((0, 2), (2, 0))], whole]
    assert dense(case.grid, rows_of(rows, 2)) == pytest.approx(
        dense(case.grid, rows_of(rows, 0)), abs=1e-13
    )


@pytest.mark.parametrize("name", ["case14_ieee", "case118_ieee", "case300_ieee"])
def test_admittances_are_those_of_the_matrices(name: str) -> None:
    """Both compute 1/(r + jx) in their own way: some last bits of numbers up to 1e4 differ."""
    case = prepare(pglib(name))
    given, found = perturbed(case.grid, 6, 5)
    tables = expansion(case).tables(given, found, 0, dc=True)
    for row in range(6):
        grid = sample_grid(case.grid, given, row)
        branch = rows_of(tables["branch_data"], row)
        for part, expected in branch_admittances(grid)._asdict().items():
            stored = branch[f"Y{part}_r"] + 1j * branch[f"Y{part}_i"]
            np.testing.assert_allclose(stored, expected, rtol=1e-13, atol=1e-13)
        entries = rows_of(tables["y_bus_data"], row)
        matrix = bus_admittance(grid)
        np.testing.assert_allclose(dense(grid, entries), matrix.toarray(), rtol=1e-12, atol=1e-11)
        matrix.eliminate_zeros()
        matrix.sort_indices()
        there = np.nonzero(matrix.toarray())
        assert entries["index1"].tolist() == there[0].tolist()
        assert entries["index2"].tolist() == there[1].tolist()


def balance(grid: Grid, branch: Columns, at_from: Floats, at_to: Floats) -> Floats:
    """What the branches take from each bus."""
    count = len(grid.buses)
    taken = np.zeros(count)
    np.add.at(taken, branch["from_bus"], at_from)
    np.add.at(taken, branch["to_bus"], at_to)
    return taken


@pytest.mark.parametrize("name", ["case14_ieee", "case118_ieee"])
def test_flows_balance_every_bus_of_a_solved_power_flow(name: str) -> None:
    """Solved to 1e-11 p.u., 1e-9 MW; flows of up to 1e3 MW add rounding of 1e-13 each."""
    case = prepare(pglib(name))
    grid = case.grid
    rng = np.random.default_rng(3)
    given = samples_of(grid, 0, 8, rng)
    lost = rng.choice(len(grid.branches), 8, replace=False)
    on = np.tile(grid.branches.in_service, (8, 1))
    on[np.arange(8), lost] = False
    given = replace(given, branch_on=on, unit_on=np.tile(grid.generators.in_service, (8, 1)))
    batch = solve_batch(
        grid,
        given.load_p_mw,
        given.load_q_mvar,
        branch_status=on,
        options=BatchOptions(tolerance_pu=1e-11),
    )
    kept = np.flatnonzero(batch.converged)
    assert len(kept) >= 6
    p_mw, q_mvar = unit_power(batch)
    voltage = batch.voltage
    found = replace(
        solutions_of(given, rng),
        vm_pu=np.abs(voltage),
        va_deg=np.rad2deg(np.angle(voltage)),
        p_mw=p_mw,
        q_mvar=q_mvar,
    )
    tables = expansion(case).tables(given.rows(kept), found.rows(kept), 0, dc=False)
    for row in range(len(kept)):
        bus, branch = (rows_of(tables[table], row) for table in ("bus_data", "branch_data"))
        square = bus["Vm"] ** 2 * grid.base_mva
        active = bus["Pg"] - bus["Pd"] - bus["GS"] * square
        reactive = bus["Qg"] - bus["Qd"] + bus["BS"] * square
        np.testing.assert_allclose(
            balance(grid, branch, branch["pf"], branch["pt"]), active, atol=1e-8
        )
        np.testing.assert_allclose(
            balance(grid, branch, branch["qf"], branch["qt"]), reactive, atol=1e-8
        )


@pytest.mark.parametrize("mode", ["pf", "opf"])
def test_flows_balance_every_bus_of_a_solved_dc_problem(mode: Any) -> None:
    case = prepare(pglib("case14_ieee"))
    grid = case.grid
    given = plain_samples(grid, 3)
    on = given.branch_on.copy()
    on[1, 4] = on[2, 9] = False
    given = replace(
        given, load_scenario=np.zeros(3, dtype=np.int64), branch_on=on, variant=np.arange(3)
    )
    found = kernel(grid, mode)(given)
    assert found.solved.all(), found.reason
    tables = expansion(case).tables(given, found, 0, dc=True)
    for row in range(3):
        bus, branch = (rows_of(tables[table], row) for table in ("bus_data", "branch_data"))
        taken = balance(grid, branch, branch["pf_dc"], branch["pt_dc"])
        active = bus["Pg_dc"] - bus["Pd"] - bus["GS"] * grid.base_mva
        # the DC-OPF is solved to 1e-6 MW or so, the DC power flow to rounding
        np.testing.assert_allclose(taken, active, atol=1e-4 if mode == "opf" else 1e-9)
    gen = tables["gen_data"]
    np.testing.assert_array_equal(gen["p_mw_dc"], found.dc_p_mw.reshape(-1))


def test_dc_flows_by_hand() -> None:
    """b = x / (r^2 + x^2): 2, 16 and 8; 10, 20 and -30 degrees; tap and shift play no part."""
    grid = three().grid
    given = plain_samples(grid, 1)
    flows = dc_flows(grid, given, np.array([[10.0, 20.0, -30.0]]))
    degree = np.pi / 180.0
    expected = [100 * 2 * -10 * degree, 100 * 16 * 50 * degree, 100 * 8 * 40 * degree, 0.0]
    assert flows[0] == pytest.approx(expected, rel=1e-13)


def test_what_is_out_of_service_has_zeros_and_what_failed_in_dc_has_nan() -> None:
    case = prepare(pglib("case14_ieee"))
    grid = case.grid
    given, found = perturbed(grid, 4, 9)
    on, unit_on = given.branch_on.copy(), given.unit_on.copy()
    on[:, 5], unit_on[:, 1] = False, False
    given = replace(given, branch_on=on, unit_on=unit_on)
    va, p = found.dc_va_deg.copy(), found.dc_p_mw.copy()
    va[1] = p[1] = np.nan  # no DC solution
    p[2, 0] = np.nan  # half of one is none
    p[3, ~unit_on[3]] = np.nan  # generators that are off have no output: that is no failure
    found = replace(found, dc_va_deg=va, dc_p_mw=p, dc_seconds=np.array([1.0, np.nan, 3.0, 4.0]))
    tables = expansion(case).tables(given, found, 0, dc=True)
    branch, gen, bus = (tables[name] for name in ("branch_data", "gen_data", "bus_data"))

    off = branch["br_status"] == 0
    assert off.sum() == (~on).sum() > 4
    zeros = ["pf", "qf", "pt", "qt", "pf_dc", "pt_dc"]
    zeros += [name for name in branch if name.startswith("Y")]
    assert all((branch[name][off] == 0.0).all() for name in zeros)
    assert (branch["x"][off] != 0.0).all()
    idle = gen["in_service"] == 0
    assert idle.sum() == (~unit_on).sum() >= 4
    assert all((gen[name][idle] == 0.0).all() for name in ("p_mw", "q_mvar", "p_mw_dc"))

    failed = [1, 2]
    for name, values in (("Va_dc", bus), ("Pg_dc", bus)):
        assert (np.isnan(values[name]) == np.isin(bus["scenario"], failed)).all()
    for name in ("pf_dc", "pt_dc"):
        assert (np.isnan(branch[name]) == (np.isin(branch["scenario"], failed) & ~off)).all()
    assert (np.isnan(gen["p_mw_dc"]) == (np.isin(gen["scenario"], failed) & ~idle)).all()
    np.testing.assert_array_equal(tables["runtime_data"]["dc"], [1.0, np.nan, np.nan, 4.0])
    others = [
        values
        for table in tables.values()
        for name, values in table.items()
        if name not in sum(contract.DC_COLUMNS.values(), ())
    ]
    assert not any(np.isnan(values).any() for values in others)


def test_a_bus_that_loses_its_last_generator_is_pq() -> None:
    case = prepare(pglib("case24_ieee_rts"))  # up to six generators at a bus
    grid = case.grid
    given = plain_samples(grid, 2)
    units_at = [np.flatnonzero(grid.generators.bus == bus) for bus in range(len(grid.buses))]
    several = next(b for b, u in enumerate(units_at) if len(u) > 2 and grid.buses.kind[b] == PV)
    unit_on = given.unit_on.copy()
    unit_on[0, units_at[several][1:]] = False
    unit_on[1, units_at[several]] = False
    given = replace(given, unit_on=unit_on)
    found = solutions_of(given, np.random.default_rng(0))
    bus = expansion(case).tables(given, found, 0, dc=False)["bus_data"]
    kind = np.stack([bus["PQ"], bus["PV"], bus["REF"]], axis=1)
    assert (kind.sum(axis=1) == 1).all()
    stored = kind.argmax(axis=1).reshape(2, -1) + 1
    assert (stored[0] == grid.buses.kind).all()
    expected = grid.buses.kind.copy()
    expected[several] = PQ
    assert (stored[1] == expected).all()
    assert bus["Pg"].reshape(2, -1)[1, several] == 0.0
    assert bus["Pg"].reshape(2, -1)[0, several] == found.p_mw[0, units_at[several][0]]
    assert (np.bincount(stored[0])[[PQ, PV, REF]] > 0).all()


def test_angles_are_wrapped_and_keep_their_bits_inside() -> None:
    given = np.array([-180.0, 179.9999, 180.0, 200.0, -190.0, 540.0, 720.5, -1e-300, np.nan])
    given = np.append(given, np.nextafter(-180.0, -200.0))
    found = wrapped(given)
    expected = [-180.0, 179.9999, -180.0, -160.0, 170.0, -180.0, 0.5, -1e-300, np.nan, -180.0]
    np.testing.assert_allclose(found[:-1], expected[:-1], rtol=0, atol=1e-12)
    assert -180.0 <= found[-1] < 180.0
    inside = np.random.default_rng(0).uniform(-180.0, 180.0, 1000)
    assert (wrapped(inside) == inside).all()


def test_rows_do_not_depend_on_what_is_expanded_with_them() -> None:
    case = prepare(pglib("case118_ieee"))
    given, found = perturbed(case.grid, 37, 11)
    layout = expansion(case)
    whole = layout.tables(given, found, 5, dc=True)
    cuts = [0, 1, 2, 13, 36, 37]
    parts = [
        layout.tables(given.rows(slice(a, b)), found.rows(slice(a, b)), 5 + a, dc=True)
        for a, b in pairwise(cuts)
    ]
    for table, columns in whole.items():
        for name, values in columns.items():
            joined = np.concatenate([part[table][name] for part in parts])
            assert joined.tobytes() == values.tobytes(), (table, name)


@pytest.mark.parametrize("dc", [True, False])
def test_columns_are_those_of_the_contract(dc: bool) -> None:
    case = three()
    given = plain_samples(case.grid, 2)
    tables = expansion(case).tables(given, solutions_of(given, np.random.default_rng(0)), 0, dc=dc)
    assert list(tables) == list(contract.TABLES)
    for name, columns in tables.items():
        types = {column: contract.column_type(column) for column in contract.columns(name, dc)}
        assert {column: str(values.dtype) for column, values in columns.items()} == types
        assert list(columns) == list(types)
        assert {len(values) for values in columns.values()} == {len(columns["scenario"])}
