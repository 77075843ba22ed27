"""Outages checked by AC power flow, against power flows of the grids without what is lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_solver_grids import triangle, triangle_periods

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import Grid
from data_engineering.model.problem import Commitment, Outage, SolveRequest
from data_engineering.model.tables import TABLES
from data_engineering.solvers.ac_check import verify_ac
from data_engineering.solvers.ac_outages import verify_outages
from data_engineering.solvers.lascopf import solve_lascopf
from data_engineering.solvers.matrices import branch_flows, bus_admittance
from data_engineering.solvers.power_flow import power_flow
from data_engineering.storage.frames import to_arrow

N_1 = tuple(Outage(name, (name,)) for name in ("1-2", "2-3", "1-3"))
EXECUTION = "6f9619ff-8b86-d011-b42d-00c04fc964ff"


def grid_rated(emergency: float) -> Grid:
    grid = triangle(rating=500.0)
    rate = np.array([1_000.0, 1_000.0, emergency])
    return replace(grid, branches=replace(grid.branches, rate_b_mva=rate))


def checked(grid: Grid, demand: list[float], outages=N_1):
    """The dispatch without security, checked after outages."""
    count = len(demand)
    commitment = Commitment(
        np.ones((count, 3), bool), np.zeros((count, 0), bool), np.zeros((count, 3)),
        np.zeros((count, 0)),
    )  # fmt: skip
    request = SolveRequest("dcopf", grid, triangle_periods(demand), commitment=commitment)
    tables = verify_ac(grid, solve_lascopf(request).tables)
    return tables, verify_outages(grid, tables, outages)


def by_our_newton(grid: Grid, tables, lost: int):
    """The first interval of the dispatch without one branch, by the Python Newton."""
    buses = tables["bus_results"].iloc[:3]
    ratio = grid.loads.q_mvar.sum() / grid.loads.p_mw.sum()
    power = buses["net_injection_mw"].to_numpy() - 1j * ratio * buses["load_mw"].to_numpy()
    without = replace(grid, branches=replace(grid.branches, in_service=np.arange(3) != lost))
    start = buses["voltage_magnitude"].to_numpy() + 0j
    found = power_flow(
        bus_admittance(without), power / 100.0, start, np.array([True, False, False]),
        np.array([False, True, False]),
    )  # fmt: skip
    assert found.converged
    into_from, into_to = branch_flows(without, found.voltage)
    return found.voltage, into_from.real, np.maximum(np.abs(into_from), np.abs(into_to))


def test_flows_beyond_the_emergency_rating_are_rows_of_the_outage():
    grid = grid_rated(60.0)
    tables, result = checked(grid, [80.0, 40.0])
    flows = result["branch_flow_results"]
    rows = flows[flows["contingency_id"] != "base"]
    _, active, size = by_our_newton(grid, tables, lost=1)
    row = rows[(rows["contingency_id"] == "2-3") & (rows["time_interval"] == 1)].iloc[0]
    assert row["branch_id"] == "1-3"
    assert row["flow_mw"] == pytest.approx(active[2], abs=1e-5)
    assert row["ac_flow_mva"] == pytest.approx(size[2], abs=1e-5)
    assert row["ac_loading_percent"] == pytest.approx(size[2] / 60.0 * 100.0, abs=1e-5)
    assert set(rows["time_interval"]) == {1}
    counts = result["interval_results"].set_index("time_interval")
    assert counts["outages_checked"].tolist() == [3, 3]
    assert counts["outages_not_converged"].tolist() == [0, 0]
    assert counts["outage_violations"].tolist() == [len(rows), 0]
    assert counts.loc[1, "worst_outage_id"] == "2-3"
    assert counts.loc[1, "worst_outage_loading_percent"] == pytest.approx(row["ac_loading_percent"])


def test_intact_rows_stay_as_they_are():
    tables, result = checked(grid_rated(60.0), [80.0])
    for name in ("bus_results", "branch_flow_results"):
        base = result[name][result[name]["contingency_id"] == "base"]
        assert base[tables[name].columns].reset_index(drop=True).equals(tables[name])
    assert result["generator_dispatch"].equals(tables["generator_dispatch"])


def test_voltages_that_leave_their_limits_are_rows_of_the_outage():
    grid = grid_rated(500.0)
    tables, _ = checked(grid, [100.0])
    voltage, _, _ = by_our_newton(grid, tables, lost=2)
    low = (np.abs(voltage[2]) + tables["bus_results"]["voltage_magnitude"][2]) / 2.0
    limits = replace(grid.buses, vm_min_pu=np.array([0.9, 0.9, low]))
    _, result = checked(replace(grid, buses=limits), [100.0])
    rows = result["bus_results"][result["bus_results"]["contingency_id"] == "1-3"]
    assert rows["bus_id"].tolist() == ["3"]
    assert rows["voltage_magnitude"].iloc[0] == pytest.approx(np.abs(voltage[2]), abs=1e-7)
    assert rows["lmp_total"].isna().all()


def test_a_bus_that_is_outside_anyway_is_not_a_row_of_each_outage():
    grid = grid_rated(500.0)
    limits = replace(grid.buses, vm_max_pu=np.array([0.99, 1.1, 1.1]))  # the reference stands at 1
    _, result = checked(replace(grid, buses=limits), [50.0])
    assert (result["bus_results"]["contingency_id"] == "base").all()


def test_a_lost_unit_is_taken_over_by_capability():
    grid = grid_rated(500.0)
    outage = (Outage("no cheap unit", (), ("cheap",)),)
    tables, result = checked(grid, [100.0], outage)
    made = tables["generator_dispatch"].set_index("generator_id")["active_power"]
    limits = replace(grid.buses, vm_min_pu=np.array([0.9, 0.9, 1.2]))
    _, result = checked(replace(grid, buses=limits), [100.0], outage)
    intact = result["bus_results"].set_index(["contingency_id", "bus_id"])["net_injection_mw"]
    assert intact["base"].sum() == pytest.approx(0.0, abs=1e-6)
    counts = result["interval_results"].iloc[0]
    assert counts["outages_not_converged"] == 0
    # dear and wind stand ready with 100 and 80 MW: 5/9 of what cheap gave comes at bus 2.
    assert made["cheap"] > 0.0


def test_an_outage_that_splits_the_network_is_counted_and_not_solved():
    both = Outage("both lines of 3", ("2-3", "1-3"))
    _, result = checked(grid_rated(500.0), [50.0], (*N_1, both))
    counts = result["interval_results"].iloc[0]
    assert (counts["outages_checked"], counts["outages_islanding"]) == (4, 1)
    assert counts["outages_not_converged"] == 0


def test_an_outage_without_a_solution_is_named_in_the_history():
    grid = triangle(rating=5_000.0)
    weak = replace(grid.branches, x_pu=np.array([0.1, 4.0, 0.1]), rate_b_mva=np.full(3, 9e3))
    _, result = checked(replace(grid, branches=weak), [100.0])
    history = result["convergence_history"]
    failed = history[history["stage"].str.startswith("ac outage ")]
    assert failed[["stage", "iteration"]].to_numpy().tolist() == [["ac outage 1-3", 1]]
    assert result["interval_results"]["outages_not_converged"].tolist() == [1]


def test_rows_of_a_secure_dispatch_get_their_ac_columns():
    grid = grid_rated(500.0)
    tables, _ = checked(grid, [80.0])
    flows = tables["branch_flow_results"]
    secure = flows.iloc[[2]].assign(contingency_id="2-3", flow_mw=77.0, shadow_price=1.0)
    with_row = {**tables, "branch_flow_results": flows._append(secure, ignore_index=True)}
    result = verify_outages(grid, verify_ac(grid, with_row), N_1)["branch_flow_results"]
    row = result[result["contingency_id"] == "2-3"].iloc[0]
    _, _, size = by_our_newton(grid, tables, lost=1)
    assert (row["flow_mw"], row["shadow_price"]) == (77.0, 1.0)
    assert row["ac_flow_mva"] == pytest.approx(size[2], abs=1e-5)
    assert len(result) == len(flows) + 1


def test_tables_are_as_declared():
    _, result = checked(grid_rated(60.0), [80.0])
    for name in ("bus_results", "branch_flow_results", "interval_results", "convergence_history"):
        added = result[name].assign(execution_id=EXECUTION)
        if name != "convergence_history":
            added = added.assign(case_name="triangle")
        assert to_arrow(TABLES[name], added).num_rows == len(added)


def test_an_unknown_element_is_named():
    with pytest.raises(BadInput, match="4-5"):
        checked(triangle(rating=500.0), [50.0], (Outage("x", ("4-5",)),))
