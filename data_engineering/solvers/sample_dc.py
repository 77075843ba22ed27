"""DC power flow of samples that share loads and impedances and differ in what is out of service.

A branch carries `b (angle_from - angle_to)` with b = x / (r^2 + x^2); taps, phase shifts and
charging are ignored, and a shunt's conductance is demand at 1 p.u.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import splu

from data_engineering.model.grid import REF, Flags, Floats, Grid, Ints

BALANCED_MW = 1e-6
"""Mismatch of a bus that is taken for a solution; what rounding leaves is about 1e-10."""


class DcAnswers(NamedTuple):
    """Angles, outputs and seconds as in `Solutions`; NaN where there is none."""

    va_deg: Floats
    p_mw: Floats
    seconds: Floats


def nothing_dc(count: int, grid: Grid) -> DcAnswers:
    """No answer to any of some samples."""
    angles = np.full((count, len(grid.buses)), np.nan)
    outputs = np.full((count, len(grid.generators)), np.nan)
    return DcAnswers(angles, outputs, np.full(count, np.nan))


def susceptance_mw(grid: Grid, r_pu: Floats, x_pu: Floats) -> Floats:
    """MW on a branch per radian between its ends."""
    slope: Floats = grid.base_mva * x_pu / (r_pu**2 + x_pu**2)
    return slope


class DcFlow:
    """The DC network with all branches of one set, factored once.

    Other sets of branches are reached by the Woodbury formula, so that a sample costs one solve
    and one for each branch that is lost for the first time.
    """

    def __init__(self, grid: Grid, slope_mw: Floats, branch_on: Flags) -> None:
        """Factor.

        Args:
            grid: the case.
            slope_mw: see `susceptance_mw`, shape (branches,).
            branch_on: the branches of the set, which leave no bus apart, shape (branches,).
        """
        self._grid, self._slope, self._on = grid, slope_mw, branch_on
        self._reference = int(np.flatnonzero(grid.buses.kind == REF)[0])
        count = len(grid.buses)
        self._kept = np.delete(np.arange(count), self._reference)
        self._factor = self._factored(branch_on)
        self._columns: dict[int, Floats] = {}

    def angles(self, injection_mw: Floats, branch_on: Flags) -> Floats | None:
        """Angles of one set of injections and branches, shape (buses,), radians; None: islanded."""
        if self._factor is None:
            return self._direct(injection_mw, branch_on)
        theta: Floats | None = self._solve(self._factor, injection_mw)
        changed = np.flatnonzero((branch_on != self._on) & (self._slope != 0.0))
        if theta is not None and len(changed):
            theta = self._moved(theta, changed)
        if theta is None or self._mismatch(theta, injection_mw, branch_on) > BALANCED_MW:
            return self._direct(injection_mw, branch_on)
        return theta

    def _moved(self, theta: Floats, changed: Ints) -> Floats | None:
        reach = np.stack([self._reach(int(branch)) for branch in changed])
        start, end = (side[changed] for side in self._ends())
        # Joining a branch adds its slope to the matrix, losing it takes it away.
        sign = np.where(self._on[changed], -1.0, 1.0)
        small = (reach[:, start] - reach[:, end]).T + np.diag(sign / self._slope[changed])
        try:
            weight = np.linalg.solve(small, theta[start] - theta[end])
        except np.linalg.LinAlgError:
            return None
        # Not a product of matrices, which would be shared out to threads.
        moved: Floats = theta - (weight[:, None] * reach).sum(axis=0)
        return moved

    def _reach(self, branch: int) -> Floats:
        """Angles for 1 MW from end to end of a branch."""
        if branch not in self._columns:
            start, end = (side[branch] for side in self._ends())
            unit = np.zeros(len(self._grid.buses))
            unit[start] += 1.0
            unit[end] -= 1.0
            self._columns[branch] = self._solve(self._factor, unit)
        return self._columns[branch]

    def _ends(self) -> tuple[Ints, Ints]:
        return self._grid.branches.from_bus, self._grid.branches.to_bus

    def _solve(self, factor: Any, injection: Floats) -> Floats:
        # One right-hand side at a time: several would be shared out to threads.
        theta = np.zeros(len(injection))
        theta[self._kept] = factor.solve(injection[self._kept])
        return theta

    def _direct(self, injection: Floats, branch_on: Flags) -> Floats | None:
        factor = self._factored(branch_on)
        if factor is None:
            return None
        theta = self._solve(factor, injection)
        wrong = self._mismatch(theta, injection, branch_on)
        return theta if wrong <= BALANCED_MW else None

    def _mismatch(self, theta: Floats, injection: Floats, branch_on: Flags) -> float:
        start, end = self._ends()
        flow = branch_on * self._slope * (theta[start] - theta[end])
        count = len(injection)
        lacking = np.bincount(start, flow, count) - np.bincount(end, flow, count) - injection
        lacking[self._reference] = 0.0
        return float(np.abs(lacking).max())

    def _factored(self, branch_on: Flags) -> Any:
        slope = np.where(branch_on, self._slope, 0.0)
        start, end = self._ends()
        rows = np.concatenate([start, end, start, end])
        columns = np.concatenate([start, end, end, start])
        values = np.concatenate([slope, slope, -slope, -slope])
        size = (len(self._grid.buses),) * 2
        matrix = coo_matrix((values, (rows, columns)), size).tocsr()
        try:
            return splu(
                matrix[self._kept][:, self._kept].tocsc(),
                permc_spec="MMD_AT_PLUS_A",
                options={"SymmetricMode": True},
                diag_pivot_thresh=0.0,
            )
        except RuntimeError:  # SuperLU's word for a singular matrix
            return None


def dc_power_flows(
    grid: Grid,
    slope_mw: Floats,
    load_p_mw: Floats,
    branch_on: Flags,
    unit_on: Flags,
    unit_mw: Floats,
) -> DcAnswers:
    """DC power flows of samples with the same slopes.

    The first running unit of the reference takes what is missing, the others keep their set points.

    Args:
        grid: a prepared grid.
        slope_mw: of the branches, shape (branches,).
        load_p_mw: demand, shape (S, buses).
        branch_on: shape (S, branches).
        unit_on: shape (S, units).
        unit_mw: set points, shape (units,).
    """
    answers = nothing_dc(len(branch_on), grid)
    bus, count = grid.generators.bus, len(grid.buses)
    began = time.perf_counter()
    network = DcFlow(grid, slope_mw, grid.branches.in_service)
    shared_seconds = (time.perf_counter() - began) / max(len(branch_on), 1)
    reference = int(np.flatnonzero(grid.buses.kind == REF)[0])
    for row, on in enumerate(unit_on):
        began = time.perf_counter()
        power = np.where(on, unit_mw, 0.0)
        demand = load_p_mw[row] + grid.buses.gs_mw
        balancing = np.flatnonzero(on & (bus == reference))
        if not len(balancing):
            continue
        power[balancing[0]] += demand.sum() - power.sum()
        theta = network.angles(np.bincount(bus, power, count) - demand, branch_on[row])
        if theta is not None:
            answers.va_deg[row], answers.p_mw[row] = np.rad2deg(theta), power
            answers.seconds[row] = time.perf_counter() - began + shared_seconds
    return answers
