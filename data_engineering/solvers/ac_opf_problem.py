"""An AC-OPF with all rows of its grid or some of them, and how it is solved in several ways.

Most ratings and angle limits are far from binding. An optimum without their rows that keeps them
all the same is an optimum with them, at less than half of the time; and where even fewer rows
cannot be satisfied, more cannot either.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from data_engineering.model.grid import Flags, Floats, Ints
from data_engineering.model.problem import Status
from data_engineering.solvers.ac_opf_bounds import Numbers
from data_engineering.solvers.ac_opf_elastic import MISSING_PU, nearest_point, relaxed
from data_engineering.solvers.ac_opf_functions import functions
from data_engineering.solvers.ac_opf_ipopt import Point, ipopt, run
from data_engineering.solvers.ac_opf_layout import Layout

log = logging.getLogger(__name__)

NEAR = 0.7
"""Share of a limit from which on its row is kept."""
KEPT_PU = 1e-6
"""A row that was left out is violated by more than this; Ipopt keeps rows to about 1e-8."""


class Attempt(NamedTuple):
    """Where an attempt ended, what it means, and the injections missing, p.u."""

    point: Point
    status: Status
    missing: float
    iterations: int


class Effort(NamedTuple):
    """Limits of each run of Ipopt.

    Attributes:
        seconds: of CPU time, after which no other run begins.
        iterations: some runs have a lower limit of their own.
        patience: iterations of a first run from the middle, after which it is asked whether there
            is a solution at all; None: no such run.
    """

    seconds: float
    iterations: int
    patience: int | None = None


class Problem:
    """One set of rows; points and numbers are those of the full problem throughout."""

    def __init__(self, full: Layout, kept: Flags | None, effort: Effort) -> None:
        """Build the equations.

        Args:
            full: layout with all rows.
            kept: which of its limit rows to keep, shape (limits,), see `limit_rows`; None: all.
            effort: limits of each run of Ipopt.
        """
        import casadi

        self.full = full
        self.rows = np.arange(full.height)
        self.layout = full
        if kept is not None:
            self.layout, self.rows = reduced(full, kept)
        self._functions = functions(self.layout)
        x, p, g = (self._functions.problem[name] for name in "xpg")
        self._rows_at = casadi.Function("rows", [x, p], [g])
        self.effort = effort
        self._solvers: dict[str, Any] = {}

    def values(self, given: Numbers, x: Floats) -> Floats:
        """The rows of this problem at a point."""
        return np.asarray(self._rows_at(x, given.p)).ravel()

    def attempt(self, given: Numbers, start: Point | None) -> Attempt:
        """From the start, then from the middle, then by way of the nearest point.

        What was not solved is infeasible if the nearest point still misses injections. Where it
        misses none, two more runs follow, or three after a short one.
        """
        began, spent = time.perf_counter(), 0
        first_variant = "cold" if self.effort.patience is None else "brief"
        for variant in ["warm", first_variant] if start is not None else [first_variant]:
            found = self._run(variant, given, start if variant == "warm" else None)
            spent += found.iterations
            if found.solved:
                return Attempt(found, "optimal", 0.0, spent)
            log.info("AC-OPF, %s start: %s", variant, found.message)
            if time.perf_counter() - began > self.effort.seconds:
                return Attempt(found, "not_converged", 0.0, spent)
        nearest = nearest_point(self._solver("elastic"), self.layout, self._mine(given))
        spent += nearest.iterations
        if nearest.known and nearest.missing > MISSING_PU:
            return Attempt(found, "infeasible", nearest.missing, spent)
        by_way = [("monotone", given), ("monotone", given._replace(x0=nearest.x))]
        if first_variant != "cold":
            by_way.insert(0, ("cold", given))
        for variant, first in by_way:
            if time.perf_counter() - began > self.effort.seconds:
                break
            found = self._run(variant, first, None)
            spent += found.iterations
            if found.solved:
                return Attempt(found, "optimal", 0.0, spent)
        return Attempt(found, "not_converged", nearest.missing, spent)

    def _mine(self, given: Numbers) -> Numbers:
        return given._replace(lbg=given.lbg[self.rows], ubg=given.ubg[self.rows])

    def _run(self, variant: str, given: Numbers, start: Point | None) -> Point:
        if start is not None:
            start = start._replace(lam_g=start.lam_g[self.rows])
        found = run(self._solver(variant), self._mine(given), start)
        multipliers = np.zeros(self.full.height)
        multipliers[self.rows] = found.lam_g
        return found._replace(lam_g=multipliers)

    def _limits(self, variant: str) -> tuple[float, int]:
        seconds, iterations, patience = self.effort
        if variant == "brief" and patience is not None:
            iterations = min(iterations, patience)
        return seconds, iterations

    def _solver(self, variant: str) -> Any:
        if variant not in self._solvers:
            own = self._functions
            problem = relaxed(own, self.layout) if variant == "elastic" else own
            self._solvers[variant] = ipopt(problem, variant, *self._limits(variant))
        return self._solvers[variant]


def limit_rows(layout: Layout) -> slice:
    """The rows that may be left out: both ends of limited branches, then angle differences."""
    return slice(layout.balances, layout.first_segment)


def near_limits(layout: Layout, given: Numbers, values: Floats) -> Flags:
    """Which limit rows are beyond `NEAR` of the way to their limit, shape (limits,)."""
    rows = limit_rows(layout)
    value, low, high = values[rows], given.lbg[rows], given.ubg[rows]
    share = np.full(len(value), NEAR)
    share[: 2 * len(layout.limited)] = NEAR**2  # squared flows
    near: Flags = (value > share * high) | (value < share * low)
    # A range without 0 has no share of the way.
    return near | (high <= 0.0) | (low >= 0.0)


def broken_limits(layout: Layout, given: Numbers, values: Floats) -> Flags:
    """Which limit rows are violated, shape (limits,)."""
    rows = limit_rows(layout)
    excess = np.maximum(values[rows] - given.ubg[rows], given.lbg[rows] - values[rows])
    broken: Flags = excess > KEPT_PU
    return broken


def reduced(full: Layout, kept: Flags) -> tuple[Layout, Ints]:
    """The layout with only some limits, both ends of a branch together, and its rows in `full`."""
    count = len(full.limited)
    branch = np.flatnonzero(kept[:count] | kept[count : 2 * count])
    pair = np.flatnonzero(kept[2 * count :])
    number = np.full(len(full.pairs) + 1, -1)
    number[pair] = np.arange(len(pair))
    layout = replace(
        full,
        limited=full.limited[branch],
        pairs=full.pairs[pair],
        pair_of=number[full.pair_of],
    )
    rows = (
        np.arange(full.balances),
        full.balances + branch,
        full.balances + count + branch,
        full.first_pair + pair,
        np.arange(full.first_segment, full.height),
    )
    return layout, np.concatenate(rows)
