"""AC-OPF of one sample after the other, by a model that has stopped learning.

Which limits the model leaves out, and where every solve starts, is settled once by a few solves of
the grid, so an answer depends on its own sample alone.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_engineering.model.grid import Flags, Floats, Grid
from data_engineering.model.samples import Samples
from data_engineering.solvers.ac_opf_bounds import UnitState
from data_engineering.solvers.ac_opf_layout import Side, sides_of
from data_engineering.solvers.ac_opf_model import AcOpfModel, AcOpfSolution

log = logging.getLogger(__name__)

FOREVER = 1e9
"""Seconds: a limit of time would make answers depend on the machine."""
ANGLE_MARGIN_DEG = 1e-4
"""By which angle limits are narrowed, more than the 1e-6 rad to which rows are kept."""
PROBES, PROBES_LARGE, LARGE = 8, 3, 3_000
"""Solves from which the model learns which limits matter, and those of more than LARGE buses."""
PROBE_SEED = 20_240_607


class OneSample(NamedTuple):
    """What is given of one sample, shapes as in `Samples` without the first axis."""

    load_p_mw: Floats
    load_q_mvar: Floats
    branch_on: Flags
    unit_on: Flags
    cost: Floats
    r_pu: Floats
    x_pu: Floats


def sample_at(samples: Samples, row: int) -> OneSample:
    """One sample of many."""
    return OneSample(*(getattr(samples, name)[row] for name in OneSample._fields))


class SampleOpf:
    """The AC-OPF of one grid's samples."""

    def __init__(self, grid: Grid, max_iterations: int, log_path: Path | None = None) -> None:
        """Build the model and settle what it leaves out and where it starts.

        Args:
            grid: a prepared grid.
            max_iterations: of each run of Ipopt.
            log_path: file that gets a line for every solve; None: none.
        """
        self.grid = grid
        self._log = log_path
        self._units = UnitState.of(grid)
        self.model = AcOpfModel(
            narrowed(grid), time_limit_seconds=FOREVER, max_iterations=max_iterations
        )
        self._last: tuple[Floats, Floats, tuple[Side, Side]] | None = None
        self._start = self._settle()

    def solve(self, given: OneSample) -> AcOpfSolution:
        """The optimum of a sample."""
        found = self._run(given, self._start)
        if self._log is not None:
            line = f"ac_opf {found.status} {found.iterations} iterations {found.seconds:.4f} s\n"
            with self._log.open("a") as stream:
                stream.write(line)
        return found

    def _run(self, given: OneSample, start: AcOpfSolution | None) -> AcOpfSolution:
        units = replace(self._units, on=given.unit_on, cost=given.cost)
        return self.model.solve(
            given.load_p_mw,
            given.load_q_mvar,
            given.branch_on,
            start,
            units,
            self._sides(given.r_pu, given.x_pu),
        )

    def _sides(self, r_pu: Floats, x_pu: Floats) -> tuple[Side, Side]:
        """Admittances; those of the last sample again where it had the same impedances."""
        last = self._last
        if last is None or not (np.array_equal(last[0], r_pu) and np.array_equal(last[1], x_pu)):
            branches = replace(self.grid.branches, r_pu=r_pu.copy(), x_pu=x_pu.copy())
            last = (branches.r_pu, branches.x_pu, sides_of(replace(self.grid, branches=branches)))
            self._last = last
        return last[2]

    def _settle(self) -> AcOpfSolution | None:
        """Solve the grid as it is, then near it, with every limit that mattered kept in the end."""
        start: AcOpfSolution | None = None
        count = PROBES_LARGE if len(self.grid.buses) > LARGE else PROBES
        for given in _probes(self.grid, count):
            found = self._run(given, start)
            if found.status == "optimal" and start is None:
                start = found
        self.model.freeze()
        return start


def narrowed(grid: Grid) -> Grid:
    """The grid with angle limits narrowed by the margin."""
    branches = grid.branches
    low, high = branches.angle_min_deg, branches.angle_max_deg
    margin = np.minimum(ANGLE_MARGIN_DEG, 0.25 * np.maximum(high - low, 0.0))
    return replace(
        grid,
        branches=replace(branches, angle_min_deg=low + margin, angle_max_deg=high - margin),
    )


def _probes(grid: Grid, count: int) -> list[OneSample]:
    """The grid as it is, then with other loads, costs and impedances, each with one branch less."""
    rng = np.random.default_rng(PROBE_SEED)
    units, branches, loads = grid.generators, grid.branches, grid.loads
    cost = np.stack([units.cost_c2, units.cost_c1, units.cost_c0], axis=1)
    plain = OneSample(
        loads.p_mw,
        loads.q_mvar,
        branches.in_service,
        units.in_service,
        cost,
        branches.r_pu,
        branches.x_pu,
    )
    probes = [plain]
    for _ in range(count - 1):
        on = branches.in_service.copy()
        on[rng.integers(len(on))] = False
        noise = rng.uniform(0.85, 1.1, (2, len(loads)))
        scale = rng.uniform(0.9, 1.1, (2, len(branches)))
        probes.append(
            plain._replace(
                load_p_mw=loads.p_mw * noise[0],
                load_q_mvar=loads.q_mvar * noise[1],
                branch_on=on,
                cost=cost[rng.permutation(len(cost))],
                r_pu=branches.r_pu * scale[0],
                x_pu=branches.x_pu * scale[1],
            )
        )
    return probes
