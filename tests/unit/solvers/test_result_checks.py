"""Every fault that is planted in a sound result is found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_solver_grids import triangle, triangle_periods

from data_engineering.model.problem import Commitment, SolveRequest
from data_engineering.solvers.lascopf import solve_lascopf
from data_engineering.solvers.result_checks import check_results


@pytest.fixture(scope="module")
def solved():
    grid = triangle(rating=50.0, ramp=0.5)
    periods = replace(
        triangle_periods([60.0, 80.0, 90.0], wind=10.0), reserve_up_mw=np.full(3, 5.0)
    )
    commitment = Commitment(
        np.ones((3, 3), dtype=bool),
        np.zeros((3, 0), dtype=bool),
        np.zeros((3, 3)),
        np.zeros((3, 0)),
    )
    request = SolveRequest("dcopf", grid, periods, commitment=commitment)
    result = solve_lascopf(request)
    assert check_results(request, result.tables, result.objective) == []
    return request, result


def plant(tables, table, column, value, **where):
    frame = tables[table].copy()
    rows = np.ones(len(frame), dtype=bool)
    for name, wanted in where.items():
        rows &= (frame[name] == wanted).to_numpy()
    assert rows.any()
    frame.loc[rows, column] = value if not callable(value) else frame.loc[rows, column].map(value)
    return {**tables, table: frame}


@pytest.mark.parametrize(
    ("word", "table", "column", "value", "where"),
    [
        ("balance of a bus", "generator_dispatch", "active_power", lambda p: p + 1.0,
         {"generator_id": "dear", "time_interval": 2}),
        ("balance of a bus", "branch_flow_results", "flow_mw", lambda f: f - 1.0,
         {"branch_id": "2-3", "time_interval": 1}),
        ("stated net injection", "bus_results", "net_injection_mw", lambda p: p + 1.0,
         {"bus_id": "3", "time_interval": 1}),
        ("load shed above the load", "bus_results", "load_shed_mw", 7.0, {"bus_id": "1"}),
        ("output above what is available", "generator_dispatch", "available_mw", 1.0,
         {"generator_id": "cheap"}),
        ("output below zero", "generator_dispatch", "active_power", -1.0,
         {"generator_id": "wind", "time_interval": 1}),
        ("flow above the rating", "branch_flow_results", "rating_mw", 1.0, {"branch_id": "1-3"}),
        ("between zero and its minimum", "generator_dispatch", "active_power", 5.0,
         {"generator_id": "dear", "time_interval": 1}),
        ("between zero and its minimum", "generator_dispatch", "commitment_status", False,
         {"generator_id": "cheap", "time_interval": 1}),
        ("above the ramp", "generator_dispatch", "active_power", 99.0,
         {"generator_id": "cheap", "time_interval": 2}),
        ("reserve above the ramp", "generator_dispatch", "reserve_up_mw", 60.0,
         {"generator_id": "cheap"}),
        ("reserve missing", "generator_dispatch", "reserve_up_mw", 0.0, {}),
        ("downward reserve above the room", "generator_dispatch", "reserve_down_mw", 99.0,
         {"generator_id": "dear"}),
        ("costs sum to", "interval_results", "production_cost_usd", lambda c: c + 10.0, {}),
    ],
)  # fmt: skip
def test_a_planted_fault_is_found(solved, word, table, column, value, where):
    request, result = solved
    tables = plant(result.tables, table, column, value, **where)
    assert any(word in line for line in check_results(request, tables, result.objective))


def test_a_run_that_is_too_short_is_found(solved):
    """The cheap unit must stay on for two hours once it starts."""
    request, result = solved
    tables = result.tables
    for hour in (1, 3):
        tables = plant(
            tables, "generator_dispatch", "commitment_status", False,
            generator_id="cheap", time_interval=hour,
        )  # fmt: skip
    assert "unit cheap: on 1 h < 2 h" in check_results(request, tables, result.objective)


def test_a_jump_from_the_realised_dispatch_is_found(solved):
    """The cheap unit moves 30 MW in an hour: 100 MW before cannot be its 40 MW now."""
    request, result = solved
    jumped = replace(request.periods, before_mw=np.array([100.0, np.nan, np.nan]))
    faults = check_results(replace(request, periods=jumped), result.tables, result.objective)
    assert any("realised dispatch" in line for line in faults)
