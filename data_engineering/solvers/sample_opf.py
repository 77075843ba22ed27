"""AC-OPF of one sample after the other, by models that have stopped learning.

Which limits the polar model leaves out, and where solves start, is settled once by a few solves
near the grid as it is, so an answer depends on its own sample alone. An answer counts only when
its voltages, put into the network equations, keep every limit.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from data_engineering.model.grid import Floats, Grid
from data_engineering.model.problem import Status
from data_engineering.solvers.ac_opf_bounds import UnitState
from data_engineering.solvers.ac_opf_layout import Side, sides_of
from data_engineering.solvers.ac_opf_model import AcOpfModel, AcOpfSolution
from data_engineering.solvers.ac_opf_problem import reduced
from data_engineering.solvers.ac_opf_rectangular import RectangularModel
from data_engineering.solvers.sample_soundness import sound
from data_engineering.solvers.sample_words import OneSample, Optimum, probes

log = logging.getLogger(__name__)

Formulation = Literal["polar", "rectangular"]

FOREVER = 1e9
"""Seconds: a limit of time would make answers depend on the machine."""
ANGLE_MARGIN_DEG = 1e-4
"""By which angle limits are narrowed, more than the 1e-6 rad to which rows are kept."""
PATIENCE = 50
"""Iterations: what has a solution took 10 to 35 of them on cases of up to 2,000 buses."""
PROBES = ((500, 16), (3_000, 8), (np.inf, 3))
"""Up to so many buses, solves from which the model learns which limits matter."""


class SampleOpf:
    """The AC-OPF of one grid's samples."""

    def __init__(
        self,
        grid: Grid,
        max_iterations: int,
        formulation: Formulation = "polar",
        log_path: Path | None = None,
    ) -> None:
        """Build the models and settle what they leave out and where they start.

        Args:
            grid: a prepared grid.
            max_iterations: of each run of Ipopt.
            formulation: coordinates of the voltages. With `rectangular` the polar model still
                says what a sample is that was not solved.
            log_path: file that gets a line for every solve; None: none.
        """
        self.grid = grid
        self._log = log_path
        self._units = UnitState.of(grid)
        self._last: tuple[Floats, Floats, tuple[Side, Side]] | None = None
        self.model = AcOpfModel(
            narrowed(grid),
            time_limit_seconds=FOREVER,
            max_iterations=max_iterations,
            patience=PATIENCE,
        )
        self._iterations = max_iterations
        self._rectangular = formulation == "rectangular"
        self._start: AcOpfSolution | None = None

    def settle(self) -> None:
        """Solve the grid as it is and near it; from then on no solve leaves a trace."""
        count = next(count for most, count in PROBES if len(self.grid.buses) <= most)
        for given in probes(self.grid, count):
            found = self._polar(given, None)
            if found.status == "optimal" and self._start is None:
                self._start = found
        self.model.freeze()
        if self._rectangular:
            _ = self._with_few_limits  # built now, not in the time of a solve

    def solve(self, given: OneSample) -> Optimum:
        """The optimum of a sample."""
        # With other costs the optimum is elsewhere, and the way from the middle is shorter.
        near = np.array_equal(given.cost, self._units.cost)
        if self._rectangular:
            found = self._in_rectangular(self._with_few_limits, given)
            if found.status == "optimal" and not sound(self.grid, self._sides(given), given, found):
                found = self._in_rectangular(self._with_all_limits, given)
        else:
            found = self._optimum(given, self._polar(given, self._start if near else None))
        if found.status == "optimal" and not sound(self.grid, self._sides(given), given, found):
            log.warning("an optimum breaks a limit and is not taken for one")
            found = found._replace(status="not_converged")
        if self._log is not None:
            with self._log.open("a") as stream:
                stream.write(
                    f"ac_opf {found.status} {found.iterations} iterations {found.seconds:.4f} s\n"
                )
        return found

    def _polar(self, given: OneSample, start: AcOpfSolution | None) -> AcOpfSolution:
        return self.model.solve(
            given.load_p_mw,
            given.load_q_mvar,
            given.branch_on,
            start,
            self._state(given),
            self._sides(given),
        )

    @cached_property
    def _with_all_limits(self) -> RectangularModel:
        # What takes longer is asked of the polar model.
        return RectangularModel(self.model.grid, min(self._iterations, PATIENCE))

    @cached_property
    def _with_few_limits(self) -> RectangularModel:
        if self.model.near is None:
            return self._with_all_limits
        layout, _ = reduced(self.model.layout, self.model.near)
        return RectangularModel(self.model.grid, min(self._iterations, PATIENCE), layout)

    def _in_rectangular(self, model: RectangularModel, given: OneSample) -> Optimum:
        """From the middle; what that does not solve is asked of the polar model first."""
        numbers = (given.load_p_mw, given.load_q_mvar, given.branch_on, self._state(given))
        point, seconds = model.solve(*numbers, self._sides(given))
        other: AcOpfSolution | None = None
        if not point.solved:
            other = self._polar(given, None)
            seconds += other.seconds
            if other.status == "optimal":
                point, more = model.solve(*numbers, self._sides(given), other.point.x)
                seconds += more
        layout, base = self.model.layout, self.grid.base_mva
        count = layout.buses
        status: Status = "optimal" if point.solved else "not_converged"
        if not point.solved and other is not None and other.status == "infeasible":
            status = "infeasible"
        return Optimum(
            status,
            point.x[count : 2 * count] * np.exp(1j * point.x[:count]),
            np.where(given.unit_on, point.x[layout.p_columns] * base, 0.0),
            np.where(given.unit_on, point.x[layout.q_columns] * base, 0.0),
            point.f,
            point.iterations,
            seconds,
        )

    def _optimum(self, given: OneSample, found: AcOpfSolution) -> Optimum:
        return Optimum(
            found.status,
            found.voltage,
            np.where(given.unit_on, found.p_mw, 0.0),
            np.where(given.unit_on, found.q_mvar, 0.0),
            found.objective,
            found.iterations,
            found.seconds,
        )

    def _state(self, given: OneSample) -> UnitState:
        return replace(self._units, on=given.unit_on, cost=given.cost)

    def _sides(self, given: OneSample) -> tuple[Side, Side]:
        """Admittances; those of the last sample again where it had the same impedances."""
        last, r_pu, x_pu = self._last, given.r_pu, given.x_pu
        if last is None or not (np.array_equal(last[0], r_pu) and np.array_equal(last[1], x_pu)):
            branches = replace(self.grid.branches, r_pu=r_pu.copy(), x_pu=x_pu.copy())
            last = (branches.r_pu, branches.x_pu, sides_of(replace(self.grid, branches=branches)))
            self._last = last
        return last[2]


def narrowed(grid: Grid) -> Grid:
    """The grid with angle limits narrowed by the margin."""
    branches = grid.branches
    low, high = branches.angle_min_deg, branches.angle_max_deg
    margin = np.minimum(ANGLE_MARGIN_DEG, 0.25 * np.maximum(high - low, 0.0))
    return replace(
        grid,
        branches=replace(branches, angle_min_deg=low + margin, angle_max_deg=high - margin),
    )
