"""DC power flow against dense algebra, and outage factors against networks solved again."""

from __future__ import annotations

import numpy as np
import pytest
from small_power_flow_cases import case9, with_branches

from data_engineering.solvers.dc_flow import dc_flows, outage_flows

MW = 1e-8
"""Flows of some hundred MW by direct solves."""


def injections(rows: int) -> np.ndarray:
    """Balanced injections at the nine buses."""
    drawn = np.random.default_rng(3).uniform(-100.0, 100.0, (rows, 9))
    return drawn - drawn.mean(axis=1, keepdims=True)


def by_dense_algebra(grid, injection):
    branches = grid.branches
    incidence = np.zeros((len(branches), len(grid.buses)))
    incidence[np.arange(len(branches)), branches.from_bus] = 1.0
    incidence[np.arange(len(branches)), branches.to_bus] -= 1.0
    slope = grid.base_mva / (branches.x_pu * branches.tap) * branches.in_service
    shift = -slope * np.deg2rad(branches.shift_deg)
    matrix = incidence.T @ (slope[:, None] * incidence)
    angle = np.zeros(len(grid.buses))
    angle[1:] = np.linalg.solve(matrix[1:, 1:], (injection - incidence.T @ shift)[1:])
    return slope * (incidence @ angle) + shift


def test_flows_of_many_injections_with_taps_and_shifts():
    grid = with_branches(
        case9(), tap=np.linspace(0.9, 1.1, 9), shift_deg=np.array([0, 4.0, 0, 0, 0, -3.0, 0, 0, 0])
    )
    given = injections(5)
    found = dc_flows(grid, given)
    expected = np.stack([by_dense_algebra(grid, row) for row in given])
    assert found.flow_mw == pytest.approx(expected, abs=MW)
    assert (found.angle_rad[:, 0] == 0.0).all()


def test_the_reference_takes_what_is_missing():
    given = injections(1)
    given[0, 4] -= 30.0
    assert dc_flows(case9(), given).slack_mw == pytest.approx([30.0], abs=MW)


def test_every_outage_is_the_network_without_the_branch():
    grid, given = case9(), injections(1)
    intact = dc_flows(grid, given).flow_mw[0]
    after, split = outage_flows(grid, intact)
    assert np.flatnonzero(split).tolist() == [0, 3, 6]
    for lost in np.flatnonzero(~split):
        without = with_branches(grid, in_service=np.arange(9) != lost)
        assert after[lost] == pytest.approx(dc_flows(without, given).flow_mw[0], abs=MW)
    assert np.isnan(after[split]).all()


def test_a_branch_out_of_service_changes_nothing_when_lost():
    grid = with_branches(case9(), in_service=np.arange(9) != 4)
    intact = dc_flows(grid, injections(1)).flow_mw[0]
    after, _ = outage_flows(grid, intact)
    assert after[4] == pytest.approx(intact, abs=MW)
