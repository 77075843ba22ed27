"""Kernels that solve the samples of a dataset, one for each mode."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from data_engineering.model.grid import Grid
from data_engineering.model.samples import Kernel, Samples, Solutions, joined, unsolved
from data_engineering.solvers.ac_opf_model import AcOpfModel
from data_engineering.solvers.sample_dc_opf import DcOpf
from data_engineering.solvers.sample_flows import FlowKernel
from data_engineering.solvers.sample_opf import FOREVER, OneSample, SampleOpf, narrowed, sample_at

Formulation = Literal["polar", "rectangular"]


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
    opf = SampleOpf(grid, max_iterations, log)
    return FlowKernel(grid, opf, dc) if mode == "pf" else OpfKernel(grid, opf, dc)


class OpfKernel:
    """Solves samples in opf mode."""

    def __init__(self, grid: Grid, opf: SampleOpf, dc: bool) -> None:
        """Keep the grid and its OPF."""
        self._grid, self._opf = grid, opf
        self._dc = DcOpf(grid) if dc else None

    def __call__(self, samples: Samples) -> Solutions:
        """Solve every sample on its own."""
        return joined([self._one(sample_at(samples, row)) for row in range(len(samples))])

    def _one(self, given: OneSample) -> Solutions:
        grid = self._grid
        answer = unsolved(1, len(grid.buses), len(grid.generators), "")
        if self._dc is not None:
            began = time.perf_counter()
            found = self._dc.solve(given)
            if found is not None:
                answer.dc_va_deg[0], answer.dc_p_mw[0] = found
                answer.dc_seconds[0] = time.perf_counter() - began
        ac = self._opf.solve(given)
        if ac.status != "optimal":
            return replace(answer, reason=np.array([f"opf: {ac.status}"]))
        answer.solved[0] = True
        answer.vm_pu[0], answer.va_deg[0] = ac.vm_pu, ac.va_deg
        answer.p_mw[0] = np.where(given.unit_on, ac.p_mw, 0.0)
        answer.q_mvar[0] = np.where(given.unit_on, ac.q_mvar, 0.0)
        answer.seconds[0] = ac.seconds
        return answer


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
    model = AcOpfModel(narrowed(grid), time_limit_seconds=FOREVER, max_iterations=max_iterations)
    model.freeze()
    p_mw, q_mvar = grid.loads.p_mw, grid.loads.q_mvar

    def feasible(factor: float) -> bool:
        reactive = factor * q_mvar if change_reactive_power else q_mvar
        return model.solve(factor * p_mw, reactive).status == "optimal"

    return feasible
