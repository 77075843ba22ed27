"""Power flow requests: statuses, tables as declared, what units give."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from small_power_flow_cases import case9, with_units

from data_engineering.model.problem import Options, SolveRequest
from data_engineering.model.tables import TABLES
from data_engineering.solvers.power_flow_batch import solve_batch
from data_engineering.solvers.power_flow_request import (
    production_cost,
    solve_dc_power_flow,
    solve_power_flow,
)
from data_engineering.storage.frames import to_arrow
from data_engineering.transformation.horizon import periods_from_grid

START = datetime(2020, 7, 6, tzinfo=UTC)
EXECUTION = "6f9619ff-8b86-d011-b42d-00c04fc964ff"


def request(kind, grid, factors=(1.0,), **options) -> SolveRequest:
    periods = periods_from_grid(grid, np.array(factors), start=START)
    return SolveRequest(kind, grid, periods, options=Options(**options))


def test_tables_are_as_declared():
    grid = case9()
    for kind, solver in (("pf", solve_power_flow), ("dcpf", solve_dc_power_flow)):
        found = solver(request(kind, grid, (1.0, 0.8)))
        assert found.status == "optimal"
        for name, frame in found.tables.items():
            added = frame.assign(execution_id=EXECUTION)
            if name != "convergence_history":
                added = added.assign(case_name="case9")
            rows = to_arrow(TABLES[name], added)
            assert rows.num_rows == len(frame) > 0


def test_ac_rows_are_the_batch():
    grid = case9()
    tables = solve_power_flow(request("pf", grid)).tables
    batch = solve_batch(grid, grid.loads.p_mw, grid.loads.q_mvar)
    buses, interval = tables["bus_results"], tables["interval_results"].iloc[0]
    assert buses["voltage_magnitude"].to_numpy() == pytest.approx(batch.vm_pu[0], abs=1e-12)
    assert interval["ac_slack_change_mw"] == pytest.approx(71.95, abs=5e-3)  # MATPOWER's manual
    assert interval["ac_losses_mw"] == pytest.approx(4.95, abs=6e-3)
    assert interval["balance_residual_mw"] < 1e-6
    flows = tables["branch_flow_results"].set_index("branch_id")
    assert flows.loc["branch-8", "loading_percent"] == pytest.approx(
        flows.loc["branch-8", "ac_flow_mva"] / 250.0 * 100.0
    )


def test_set_points_follow_the_demand():
    grid = case9()
    made = solve_power_flow(request("pf", grid, (1.0, 0.5))).tables["generator_dispatch"]
    wide = made.pivot(index="time_interval", columns="generator_id", values="active_power")
    assert wide.loc[1, ["gen-2", "gen-3"]].tolist() == pytest.approx([163.0, 85.0])
    assert wide.loc[2, ["gen-2", "gen-3"]].tolist() == pytest.approx([81.5, 42.5])


def test_an_overload_is_a_violation_and_no_cost():
    grid = case9()
    low = replace(grid, branches=replace(grid.branches, rate_a_mva=np.full(9, 50.0)))
    for kind, solver in (("pf", solve_power_flow), ("dcpf", solve_dc_power_flow)):
        found, free = solver(request(kind, low)), solver(request(kind, grid))
        assert (found.tables["branch_flow_results"]["violation_mw"] > 0.0).any()
        assert found.objective == pytest.approx(free.objective)
        assert (found.tables["interval_results"]["penalty_usd"] == 0.0).all()


def test_what_has_no_solution_is_a_status():
    found = solve_power_flow(request("pf", case9(), (1.0, 9.0)))
    assert found.status == "not_converged"
    assert found.notes == ("interval 2: diverged",)
    assert found.tables["interval_results"]["time_interval"].tolist() == [1]
    assert len(found.tables["convergence_history"]) == 2
    none = solve_power_flow(request("pf", case9(), (9.0,)))
    assert none.status == "not_converged"
    assert len(none.tables["bus_results"]) == 0


def test_dc_units_balance_the_demand_and_share_it_on_request():
    grid = case9()
    for shared in (False, True):
        found = solve_dc_power_flow(request("dcpf", grid, distributed_slack=shared))
        made = found.tables["generator_dispatch"]["active_power"].to_numpy()
        assert made.sum() == pytest.approx(315.0)
        change = made - grid.generators.p_mw
        share = np.array([250.0, 300.0, 270.0]) / 820.0 if shared else np.array([1.0, 0.0, 0.0])
        assert change == pytest.approx(67.0 * share)
        assert found.residuals["balance_mw"] < 1e-9


def test_reactive_limits_count_on_request():
    grid = with_units(case9(), q_max_mvar=np.array([300.0, 10.0, 300.0]))
    free = solve_power_flow(request("pf", grid)).tables["generator_dispatch"]
    held = solve_power_flow(request("pf", grid, reactive_limits=True)).tables["generator_dispatch"]
    assert free["reactive_power"][1] > 10.0
    assert held["reactive_power"][1] == pytest.approx(10.0, abs=1e-5)


def test_costs_are_polynomials_or_points():
    grid = case9()
    power = np.array([[100.0, 50.0, 0.0]])
    on = np.array([[True, True, False]])
    assert production_cost(grid, power, on)[0] == pytest.approx(
        [0.11 * 1e4 + 500.0 + 150.0, 0.085 * 2500.0 + 60.0 + 600.0, 0.0]
    )
    points = np.full((3, 3), np.nan)
    points[0] = [0.0, 50.0, 200.0]
    usd = np.full((3, 3), np.nan)
    usd[0] = [10.0, 110.0, 710.0]
    curved = with_units(grid, cost_mw=points, cost_usd_per_h=usd)
    assert production_cost(curved, power, on)[0, 0] == pytest.approx(310.0)
    assert production_cost(curved, 2.5 * power, on)[0, 0] == pytest.approx(910.0)
