"""Realtime dispatches of RTS-GMLC from the stores to the stores: trips, islands, no answer."""

from __future__ import annotations

import math
import uuid
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from realtime_day import CASE, START, planned, snapshot, store_day
from rts_day import rts_grid

from data_engineering.model.problem import SolveResult
from data_engineering.model.snapshot import Snapshot, Topology
from data_engineering.orchestration.realtime_dispatch import Dispatcher
from data_engineering.orchestration.realtime_inputs import Asked, Grids, build_problem
from data_engineering.runtime import open_runtime
from data_engineering.storage.metadata import query

pytestmark = pytest.mark.integration

NOW = START + timedelta(seconds=5)


def asked(topology=None, start=START, given=None, **changes) -> Asked:
    key = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{topology}{start}{changes}"))
    return Asked(
        execution_id=key,
        case_name=changes.pop("case_name", CASE),
        start=start,
        now=start + timedelta(seconds=5),
        topology=topology or Topology(),
        snapshot=given or Snapshot(CASE),
        reason="topology" if topology else "timer",
        key=key,
        **changes,
    )


@pytest.fixture
def runtime(store_settings):
    with open_runtime(store_settings) as opened:
        store_day(opened)
        yield opened


def rows(runtime, table, execution_id):
    return query(
        runtime.metadata, f"SELECT * FROM {table} WHERE execution_id = :id", {"id": execution_id}
    )


def test_the_next_hour_from_the_realised_dispatch(runtime):
    sent = []
    dispatcher = Dispatcher(runtime, lambda key, message: sent.append((key, message)))
    wanted = asked()
    message = dispatcher.dispatch(wanted)
    assert message["convergence_status"] == "optimal"
    assert sent == [(wanted.key, message)]
    stored = rows(runtime, "lascopf_executions", wanted.execution_id).iloc[0]
    assert (stored["triggered_by"], stored["commitment"]) == ("EVENT", "plan")
    assert (stored["interval_minutes"], stored["interval_count"]) == (5, 12)
    dispatch = rows(runtime, "generator_dispatch", wanted.execution_id)
    assert len(dispatch) == 158 * 12
    first = dispatch[dispatch["time_interval"] == 1].set_index("generator_id")["active_power"]
    grid, plan = rts_grid(), planned(14)
    for row, name in enumerate(grid.generators.id):
        if grid.generators.kind[row] in ("CT", "CC", "STEAM", "NUCLEAR") and plan[name] > 0:
            reach = 5 * grid.generators.ramp_mw_per_min[row] + 1e-6
            assert abs(first[name] - plan[name]) <= reach, name
    intervals = rows(runtime, "interval_results", wanted.execution_id)
    assert intervals["ac_converged"].all()
    assert (intervals["outages_checked"] == len(grid.branches.id)).all()
    assert message["dispatch_mw"][first.index[0]][0] == pytest.approx(first.iloc[0], abs=5e-4)


def test_the_same_request_again_is_told_again_without_a_solve(runtime):
    sent = []
    dispatcher = Dispatcher(runtime, lambda key, message: sent.append(message))
    dispatcher.dispatch(asked())
    solves = dispatcher.solves
    other = Dispatcher(runtime, lambda key, message: sent.append(message))
    other.dispatch(asked())
    assert (solves >= 1, other.solves) == (True, 0)
    assert sent[0] == sent[1]


def test_a_tripped_unit_gives_nothing_and_the_others_take_over(runtime):
    plan = planned(14)
    name = max((n for n in plan if "CC" in n or "STEAM" in n), key=plan.__getitem__)
    dispatcher = Dispatcher(runtime, lambda key, message: None)
    before = dispatcher.dispatch(asked())
    after = dispatcher.dispatch(asked(Topology(generators=frozenset({name}))))
    assert after["convergence_status"] == "optimal"
    assert after["open_generators"] == [name]
    assert set(after["dispatch_mw"][name]) == {0.0}
    assert before["dispatch_mw"][name][0] > 0.0
    # From the time on that quick units run, everything is served again.
    assert max(after["load_shed_mw"][3:]) == pytest.approx(0.0, abs=1e-3)


def test_a_branch_that_is_open_carries_nothing(runtime):
    dispatcher = Dispatcher(runtime, lambda key, message: None)
    wanted = asked(Topology(branches=frozenset({"A27"})))
    assert dispatcher.dispatch(wanted)["convergence_status"] == "optimal"
    flows = rows(runtime, "branch_flow_results", wanted.execution_id)
    assert flows.loc[flows["branch_id"] == "A27", "flow_mw"].eq(0.0).all()
    assert "A27" not in set(flows["contingency_id"])


def test_an_island_without_supply_is_reported_as_load_not_served(runtime):
    grid = rts_grid()
    ends = grid.buses.id[np.stack([grid.branches.from_bus, grid.branches.to_bus])]
    alone = frozenset(grid.branches.id[(ends == "106").any(axis=0)].tolist())
    wanted = asked(Topology(branches=alone))
    message = Dispatcher(runtime, lambda key, message: None).dispatch(wanted)
    assert message["convergence_status"] == "optimal"
    buses = rows(runtime, "bus_results", wanted.execution_id)
    dead = buses[(buses["bus_id"] == "106") & (buses["contingency_id"] == "base")]
    assert dead["load_shed_mw"].to_numpy() == pytest.approx(dead["load_mw"].to_numpy(), abs=1e-3)
    assert dead["load_mw"].min() > 0.0
    assert rows(runtime, "interval_results", wanted.execution_id)["ac_converged"].all()


def test_the_loss_of_an_areas_lines_leaves_two_islands_that_both_go_on(runtime):
    """Area 3 hangs on C34, CA-1, CB-1 and the DC line: open, it is an island with its own units."""
    grid = rts_grid()
    areas = grid.buses.area[np.stack([grid.branches.from_bus, grid.branches.to_bus])]
    ties = grid.branches.id[(areas[0] != areas[1]) & (areas == "area_3").any(axis=0)].tolist()
    lines = frozenset(ties + grid.dc_lines.id.tolist())
    wanted = asked(Topology(branches=lines))
    message = Dispatcher(runtime, lambda key, message: None).dispatch(wanted)
    assert message["convergence_status"] == "optimal"
    buses = rows(runtime, "bus_results", wanted.execution_id)
    buses = buses[buses["contingency_id"] == "base"]
    area = dict(zip(grid.buses.id, grid.buses.area, strict=True))
    island = buses[buses["bus_id"].map(area) == "area_3"].groupby("time_interval")
    # What is generated there is used there.
    net = island["net_injection_mw"].sum().to_numpy()
    assert net == pytest.approx(np.zeros(12), abs=1e-4)


def test_readings_bring_the_forecasts_to_the_present(runtime):
    loads = {"area_1": 1_500.0, "area_2": 1_600.0, "area_3": 1_700.0}
    given = snapshot(START - timedelta(minutes=5), {"122_WIND_1": 55.0}, loads)
    problem = build_problem(runtime, asked(given=given), Grids())
    grid, periods = problem.request.grid, problem.request.periods
    area = grid.buses.area[grid.loads.bus]
    for name, reading in loads.items():
        # Two and a half minutes later 4 % of an error has faded, here of up to 900 MW.
        assert periods.load_mw[0, area == name].sum() == pytest.approx(reading, abs=45.0)
    wind = grid.generators.id == "122_WIND_1"
    assert periods.available_mw[0, wind][0] == pytest.approx(55.0, rel=0.3)


def test_stale_readings_count_for_nothing(runtime):
    given = snapshot(START - timedelta(hours=1), {}, {"area_1": 5_000.0})
    with_stale = build_problem(runtime, asked(given=given), Grids()).request.periods
    without = build_problem(runtime, asked(), Grids()).request.periods
    assert with_stale.load_mw == pytest.approx(without.load_mw)


def test_without_a_plan_the_minima_are_dropped_and_it_is_said(store_settings):
    with open_runtime(store_settings) as runtime:
        store_day(runtime, plan=False)
        wanted = asked()
        message = Dispatcher(runtime, lambda key, message: None).dispatch(wanted)
        stored = rows(runtime, "lascopf_executions", wanted.execution_id).iloc[0]
    assert message["convergence_status"] == "optimal"
    assert stored["commitment"] == "relaxed"
    assert any("minima are dropped" in note for note in message["notes"])


def test_what_cannot_be_built_is_a_failed_row_that_says_why(store_settings):
    sent = []
    with open_runtime(store_settings) as runtime:
        dispatcher = Dispatcher(runtime, lambda key, message: sent.append(message))
        wanted = asked()
        message = dispatcher.dispatch(wanted)
        stored = rows(runtime, "lascopf_executions", wanted.execution_id).iloc[0]
        store_day(runtime)
        again = dispatcher.dispatch(wanted)
    assert (message["convergence_status"], stored["convergence_status"]) == ("failed", "failed")
    assert "network_topology has no rows" in message["notes"][0]
    assert sent == [message, again]
    # With the cause gone the same request is answered.
    assert again["convergence_status"] == "optimal"
    assert again["execution_id"] == message["execution_id"]


def test_a_plan_that_cannot_be_kept_gives_way(runtime):
    """A store that must give more than it has leaves no answer; the dispatch then does without."""
    problem = build_problem(runtime, asked(), Grids())
    request = problem.request
    stores = request.grid.storages
    empty = replace(stores, energy_initial_mwh=np.zeros(len(stores)))
    forced = replace(
        request,
        grid=replace(request.grid, storages=empty),
        periods=replace(request.periods, energy_end_mwh=stores.energy_max_mwh),
    )
    dispatcher = Dispatcher(runtime, lambda key, message: None)
    assert dispatcher._solve(forced).status == "infeasible"
    other, result, notes = dispatcher._solved(replace(problem, request=forced))
    assert (other.commitment, result.status) == (None, "optimal")
    assert "the plan cannot be kept" in notes[0]


def test_what_has_no_answer_at_all_is_a_row_without_results(runtime, monkeypatch):
    def nothing(self, request):
        return SolveResult("infeasible", math.nan, {}, {}, "highs", "1", 0.1)

    monkeypatch.setattr(Dispatcher, "_solve", nothing)
    wanted = asked()
    message = Dispatcher(runtime, lambda key, message: None).dispatch(wanted)
    stored = rows(runtime, "lascopf_executions", wanted.execution_id).iloc[0]
    assert (message["convergence_status"], stored["convergence_status"]) == ("infeasible",) * 2
    assert message["objective_value"] is None
    assert np.isnan(stored["objective_value"] or np.nan)
    assert rows(runtime, "generator_dispatch", wanted.execution_id).empty


def test_an_error_of_the_solver_is_a_failed_row(runtime, monkeypatch):
    def broken(self, request):
        raise RuntimeError("Factor is exactly singular")

    monkeypatch.setattr(Dispatcher, "_solve", broken)
    wanted = asked()
    message = Dispatcher(runtime, lambda key, message: None).dispatch(wanted)
    assert message["convergence_status"] == "failed"
    assert message["notes"] == ["RuntimeError: Factor is exactly singular"]


def test_an_unknown_element_of_a_request_is_named(runtime):
    wanted = asked(Topology(branches=frozenset({"A99"})), request_id="what-if")
    message = Dispatcher(runtime, lambda key, message: None).dispatch(wanted)
    assert message["convergence_status"] == "failed"
    assert "config.open_branches: 'A99' is not usable" in message["notes"][0]


def test_intervals_roll_on_in_the_solver_and_cost_what_they_cost_anew(runtime):
    """Each move of the resident program against a program of its own."""
    resident = Dispatcher(runtime, lambda key, message: None)
    five = timedelta(minutes=5)
    for move in range(3):
        wanted = asked(start=START + move * five)
        message = resident.dispatch(wanted)
        fresh = Dispatcher(runtime, lambda key, message: None)
        problem = build_problem(runtime, wanted, Grids())
        _, result, _ = fresh._solved(problem)
        assert message["objective_value"] == pytest.approx(result.objective, rel=1e-6)
    assert resident._horizon is not None
    assert resident._horizon.rebuilt == 0
