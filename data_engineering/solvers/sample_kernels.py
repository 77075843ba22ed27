"""Kernels that solve the samples of a dataset, one for each mode."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from data_engineering.model.grid import Grid
from data_engineering.model.islands import islands
from data_engineering.model.samples import Kernel, Samples, Solutions, unsolved
from data_engineering.solvers.sample_dc_opf import DcOpf
from data_engineering.solvers.sample_flows import FlowKernel
from data_engineering.solvers.sample_opf import Formulation, SampleOpf
from data_engineering.solvers.sample_words import OneSample, as_it_is, sample_at


def kernel(
    grid: Grid,
    mode: Literal["pf", "opf"],
    *,
    dc: bool = True,
    formulation: Formulation = "polar",
    max_iterations: int = 200,
    log: Path | None = None,
) -> Kernel:
    """The kernel of a prepared grid, to be built once in a process.

    Args:
        grid: one load at each bus in bus order, one reference, polynomial costs.
        mode: `pf`: a base AC-OPF for each load scenario, then power flows of its variants; `opf`:
            an AC-OPF for each sample.
        dc: whether to solve the DC counterpart as well.
        formulation: coordinates of the voltages in the AC-OPF.
        max_iterations: of each run of Ipopt.
        log: file that gets one line for every AC-OPF; None: none.

    Returns:
        What solves samples; its answers depend on a sample's own load scenario alone.
    """
    opf = SampleOpf(grid, max_iterations, formulation, log)
    opf.settle()
    return FlowKernel(grid, opf, dc) if mode == "pf" else OpfKernel(grid, opf, dc)


class OpfKernel:
    """Solves samples in opf mode."""

    def __init__(self, grid: Grid, opf: SampleOpf, dc: bool) -> None:
        """Keep the grid and its OPF."""
        self._grid, self._opf = grid, opf
        self._dc = DcOpf(grid) if dc else None

    def __call__(self, samples: Samples) -> Solutions:
        """Solve every sample on its own."""
        answers = unsolved(len(samples), len(self._grid.buses), len(self._grid.generators), "")
        reasons = []
        for row in range(len(samples)):
            given = sample_at(samples, row)
            lost = np.flatnonzero(self._grid.branches.in_service & ~given.branch_on)
            if len(lost) and islands(self._grid, lost).any():
                reasons.append("opf: islanded")
                continue
            if self._dc is not None:
                _fill_dc(answers, row, self._dc, given)
            found = self._opf.solve(given)
            solved = found.status == "optimal"
            reasons.append("" if solved else f"opf: {found.status}")
            if solved:
                answers.solved[row] = True
                answers.vm_pu[row] = np.abs(found.voltage)
                answers.va_deg[row] = np.rad2deg(np.angle(found.voltage))
                answers.p_mw[row], answers.q_mvar[row] = found.p_mw, found.q_mvar
                answers.seconds[row] = found.seconds
        return replace(answers, reason=np.array(reasons, dtype=np.str_))


def _fill_dc(answers: Solutions, row: int, program: DcOpf, given: OneSample) -> None:
    began = time.perf_counter()
    found = program.solve(given)
    if found is not None:
        answers.dc_va_deg[row], answers.dc_p_mw[row] = found
        answers.dc_seconds[row] = time.perf_counter() - began


def feasible_at(
    grid: Grid,
    *,
    change_reactive_power: bool,
    formulation: Formulation = "polar",
    max_iterations: int = 200,
) -> Callable[[float], bool]:
    """Whether the AC-OPF of a prepared grid has a solution at its demand times a factor.

    Args:
        grid: a prepared grid.
        change_reactive_power: whether reactive demand is scaled as well.
        formulation: coordinates of the voltages.
        max_iterations: of each run of Ipopt.
    """
    opf = SampleOpf(grid, max_iterations, formulation)
    opf.model.freeze()
    plain = as_it_is(grid)

    def feasible(factor: float) -> bool:
        reactive = factor if change_reactive_power else 1.0
        scaled = plain._replace(
            load_p_mw=factor * plain.load_p_mw, load_q_mvar=reactive * plain.load_q_mvar
        )
        return opf.solve(scaled).status == "optimal"

    return feasible
