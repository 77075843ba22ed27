"""Where Newton's method begins, and how to reach a solution that it does not find from there."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from data_engineering.model.grid import Grid
from data_engineering.solvers.dc_network import dc_network
from data_engineering.solvers.matrices import Complexes
from data_engineering.solvers.power_flow import newton
from data_engineering.solvers.power_flow_network import Network
from data_engineering.solvers.power_flow_scenarios import Scenarios

log = logging.getLogger(__name__)

FIRST_STEP, LAST_STEP = 0.25, 1.0 / 256.0
"""Shares of the injections by which a continuation goes on at first and at least."""
STEPS = 8
"""Newton steps of one step of a continuation; one that needs more is too long."""


def first_guess(scenarios: Scenarios) -> Complexes:
    """Voltages to begin with, shape (buses,), p.u.

    The grid's own where it has any; else DC angles of the mean injections. The angle of the
    reference alone is not one: it is given, whatever the others are.
    """
    grid = scenarios.grid
    buses, set_point = grid.buses, scenarios.set_point_pu[0]
    held = scenarios.ever_held
    angle = np.deg2rad(buses.va_deg)
    others = np.flatnonzero(scenarios.live & (np.arange(len(held)) != scenarios.reference))
    if not len(others) or np.ptp(buses.va_deg[others]) == 0.0:
        given = angle[scenarios.reference]
        found = dc_network(_reactive(grid)).angles(scenarios.power.real.mean(axis=0))
        angle = found - found[scenarios.reference] + given
    magnitude = np.where(held, set_point, buses.vm_pu)
    voltage: Complexes = magnitude * np.exp(1j * angle)
    return voltage


def _reactive(grid: Grid) -> Grid:
    """The grid with the resistance of a branch in place of a reactance that it has not."""
    branches = grid.branches
    x = np.where(branches.x_pu == 0.0, np.abs(branches.r_pu), branches.x_pu)
    return replace(grid, branches=replace(branches, x_pu=x))


def follow(scenarios: Scenarios, network: Network) -> Complexes:
    """Voltages for the mean injections, reached by raising them from nothing step by step.

    A step that Newton's method does not manage is halved. Where the solutions end before all
    injections are there, the last one found is given and its share is logged.
    """
    grid = scenarios.grid
    power = scenarios.power.mean(axis=0) / grid.base_mva
    held = scenarios.ever_held
    angle_rows = np.flatnonzero(scenarios.live & (np.arange(len(held)) != scenarios.reference))
    vm_rows = np.flatnonzero(scenarios.live & ~held)
    # Phase shifters drive flows without any injection.
    angle = dc_network(_reactive(grid)).angles(np.zeros(len(held)))
    voltage: Complexes = scenarios.set_point_pu[0] * np.exp(1j * angle)
    found, solved, _ = newton(network.admittance, 0.0 * power, voltage, angle_rows, vm_rows)
    reached, step = 0.0, FIRST_STEP
    while solved and reached < 1.0 and step >= LAST_STEP:
        share = min(reached + step, 1.0)
        further, onwards, _ = newton(
            network.admittance, share * power, found, angle_rows, vm_rows, max_iterations=STEPS
        )
        if onwards:
            found, reached, step = further, share, 2.0 * step
        else:
            step /= 2.0
    if reached < 1.0:
        log.warning("%s: no solution beyond %.3f of the injections", grid.case_name, reached)
    return found if solved else voltage
