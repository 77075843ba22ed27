"""DC-OPF of samples: one quadratic program with values that change, solved by PIQP.

The same network as in `sample_dc`: minimise the units' cost with balances at all buses, flows
within the ratings and angle differences within their limits.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix, csc_matrix, diags

from data_engineering.model.grid import REF, Flags, Floats, Grid
from data_engineering.solvers.sample_dc import susceptance_mw
from data_engineering.solvers.sample_words import OneSample

ANY_RAD = 100.0
"""No limit, to PIQP: it complains of infinite ones."""
FIXED_PU = 1e-9
"""A unit whose range is narrower than this is given, not decided."""


class DcOpf:
    """The program of one grid. Columns: angles but for the reference's, outputs; rows: buses."""

    def __init__(self, grid: Grid) -> None:
        """Lay out the matrices; nothing is solved yet."""
        self.grid = grid
        self._buses, self._units = len(grid.buses), len(grid.generators)
        reference = int(np.flatnonzero(grid.buses.kind == REF)[0])
        self._column = np.full(self._buses, -1)
        self._kept = np.delete(np.arange(self._buses), reference)
        self._column[self._kept] = np.arange(self._buses - 1)
        self._width = self._buses - 1 + self._units
        self._pattern, self._values = self._balances()
        self._differences = self._across()

    def solve(self, given: OneSample) -> tuple[Floats, Floats] | None:
        """Angles in degrees and outputs in MW; None where there is no optimum."""
        import piqp

        grid, base = self.grid, self.grid.base_mva
        slope = np.where(given.branch_on, susceptance_mw(grid, given.r_pu, given.x_pu), 0.0)
        low = np.where(given.unit_on, grid.generators.p_min_mw, 0.0) / base
        high = np.where(given.unit_on, grid.generators.p_max_mw, 0.0) / base
        free = high - low > FIXED_PU
        solver = piqp.SparseSolver()
        solver.settings.verbose = False
        solver.settings.eps_abs, solver.settings.eps_rel = 1e-9, 1e-10
        balance = self._pattern.copy()
        balance.data = self._values @ np.concatenate([slope / base, free])
        set_power = np.bincount(grid.generators.bus, np.where(free, 0.0, low), self._buses)
        right = (given.load_p_mw + grid.buses.gs_mw) / base - set_power
        quadratic, linear = self._cost(given.cost, free)
        least, most = self._limits(slope, given.branch_on)
        angles = np.full(self._buses - 1, np.inf)
        solver.setup(
            quadratic, linear, balance, right, self._differences, least, most,
            np.concatenate([-angles, np.where(free, low, -1.0)]),
            np.concatenate([angles, np.where(free, high, 1.0)]),
        )  # fmt: skip
        if solver.solve() != piqp.PIQP_SOLVED:
            return None
        x = np.asarray(solver.result.x)
        theta = np.zeros(self._buses)
        theta[self._kept] = x[: self._buses - 1]
        power = np.where(free, np.clip(x[self._buses - 1 :], low, high), low) * base
        return np.rad2deg(theta), power

    def _cost(self, cost: Floats, free: Flags) -> tuple[csc_matrix, Floats]:
        base, angles = self.grid.base_mva, np.zeros(self._buses - 1)
        square = np.where(free, 2.0 * cost[:, 0] * base**2, 0.0)
        line = np.where(free, cost[:, 1] * base, 0.0)
        scale = 1.0 / max(np.abs(line).max(initial=0.0), square.max(initial=0.0), 1e-12)
        quadratic = diags(np.concatenate([angles, scale * square])).tocsc()
        return quadratic, np.concatenate([angles, scale * line])

    def _limits(self, slope: Floats, branch_on: Flags) -> tuple[Floats, Floats]:
        """Of the angle across every branch in service, radians."""
        branches = self.grid.branches
        most = np.full(len(slope), np.inf)
        np.divide(branches.rate_a_mva, np.abs(slope), out=most, where=slope != 0.0)
        low = np.maximum(np.deg2rad(branches.angle_min_deg), -most)
        high = np.minimum(np.deg2rad(branches.angle_max_deg), most)
        return np.where(branch_on, low, -ANY_RAD), np.where(branch_on, high, ANY_RAD)

    def _balances(self) -> tuple[csc_matrix, csc_matrix]:
        """Matrix of outputs less outflows by bus, and its values as a map of slopes and flags."""
        branches, count = self.grid.branches, len(self.grid.branches)
        start, end = branches.from_bus, branches.to_bus
        number, unit = np.arange(count), np.arange(self._units)
        parts = [
            (start, self._column[start], number, -np.ones(count)),
            (start, self._column[end], number, np.ones(count)),
            (end, self._column[end], number, -np.ones(count)),
            (end, self._column[start], number, np.ones(count)),
            (self.grid.generators.bus, self._buses - 1 + unit, count + unit, np.ones(self._units)),
        ]
        row, column, source, value = (np.concatenate([p[k] for p in parts]) for k in range(4))
        kept = column >= 0
        row, column, source, value = row[kept], column[kept], source[kept], value[kept]
        place, entry = np.unique(column * self._buses + row, return_inverse=True)
        size = (self._buses, self._width)
        pattern = csc_matrix(
            (np.ones(len(place)), (place % self._buses, place // self._buses)), size
        )
        values = coo_matrix((value, (entry, source)), (len(place), count + self._units)).tocsr()
        return pattern, values

    def _across(self) -> csc_matrix:
        branches, count = self.grid.branches, len(self.grid.branches)
        row = np.tile(np.arange(count), 2)
        column = self._column[np.concatenate([branches.from_bus, branches.to_bus])]
        value = np.repeat([1.0, -1.0], count)
        kept = column >= 0
        return coo_matrix((value[kept], (row[kept], column[kept])), (count, self._width)).tocsc()
