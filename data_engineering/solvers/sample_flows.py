"""Samples in pf mode: one base AC-OPF for each load scenario, then power flows of its variants."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from data_engineering.model.grid import REF, Flags, Floats, Grid, Texts
from data_engineering.model.samples import Samples, Solutions, joined, unsolved
from data_engineering.solvers.power_flow_batch import BatchOptions, PowerFlowBatch, solve_batch
from data_engineering.solvers.power_flow_network import Network
from data_engineering.solvers.sample_dc import dc_power_flows, nothing_dc, susceptance_mw
from data_engineering.solvers.sample_groups import by_load_scenario
from data_engineering.solvers.sample_opf import SampleOpf
from data_engineering.solvers.sample_units import shared
from data_engineering.solvers.sample_words import OneSample, Optimum, sample_at


@dataclass(frozen=True, eq=False)
class Base:
    """The base optimum of a load scenario, and what it was asked for."""

    given: OneSample
    found: Optimum

    def serves(self, given: OneSample) -> bool:
        """Whether another sample has the same base."""
        return all(
            np.array_equal(getattr(self.given, name), getattr(given, name))
            for name in ("load_p_mw", "load_q_mvar", "cost", "r_pu", "x_pu")
        )


class FlowKernel:
    """Solves samples in pf mode."""

    def __init__(self, grid: Grid, opf: SampleOpf, dc: bool) -> None:
        """Keep the grid and its OPF."""
        self._grid, self._opf, self._dc = grid, opf, dc
        self._base: Base | None = None
        self._at_reference = grid.buses.kind[grid.generators.bus] == REF

    def __call__(self, samples: Samples) -> Solutions:
        """Solve samples of one load scenario or of several."""
        if not len(samples):
            return self._unsolved(0, "")
        return by_load_scenario(samples, self._one)

    def _one(self, samples: Samples) -> Solutions:
        """Solve samples of one load scenario."""
        base = self._base_of(sample_at(samples, 0))
        if base.status != "optimal":
            return self._unsolved(len(samples), f"base opf: {base.status}")
        balanced = samples.unit_on[:, self._at_reference].any(axis=1)
        if balanced.all():
            return self._variants(samples, base)
        parts = [self._unsolved(int((~balanced).sum()), "power flow: no unit at the reference")]
        if balanced.any():
            parts.insert(0, self._variants(samples.rows(np.flatnonzero(balanced)), base))
        order = np.concatenate([np.flatnonzero(balanced), np.flatnonzero(~balanced)])
        return joined(parts).rows(np.argsort(order))

    def _variants(self, samples: Samples, base: Optimum) -> Solutions:
        grid = self._grid
        began = time.perf_counter()
        batch = _flows(grid, samples, base)
        active, reactive = _outputs(grid, samples, batch, base)
        seconds = (time.perf_counter() - began) / len(samples)
        failed = ~batch.converged
        active[failed], reactive[failed] = np.nan, np.nan
        reason: Texts = np.array([f"power flow: {why}" if why else "" for why in batch.reason])
        dc = nothing_dc(len(samples), grid)
        if self._dc:
            slope = susceptance_mw(grid, samples.r_pu[0], samples.x_pu[0])
            dc = dc_power_flows(
                grid, slope, samples.load_p_mw, samples.branch_on, samples.unit_on, base.p_mw
            )
        return Solutions(
            solved=batch.converged,
            reason=reason,
            vm_pu=np.abs(batch.voltage),
            va_deg=np.rad2deg(np.angle(batch.voltage)),
            p_mw=active,
            q_mvar=reactive,
            seconds=np.where(failed, np.nan, seconds),
            dc_va_deg=dc.va_deg,
            dc_p_mw=dc.p_mw,
            dc_seconds=dc.seconds,
        )

    def _unsolved(self, count: int, reason: str) -> Solutions:
        return unsolved(count, len(self._grid.buses), len(self._grid.generators), reason)

    def _base_of(self, given: OneSample) -> Optimum:
        """Of the last load scenario where it is the same again: its pieces come one by one."""
        if self._base is None or not self._base.serves(given):
            whole = given._replace(
                branch_on=self._grid.branches.in_service, unit_on=self._grid.generators.in_service
            )
            self._base = Base(_copied(given), self._opf.solve(whole))
        return self._base.found


def _copied(given: OneSample) -> OneSample:
    return given._replace(**{name: part.copy() for name, part in given._asdict().items()})


def _flows(grid: Grid, samples: Samples, base: Optimum) -> PowerFlowBatch:
    branches = replace(grid.branches, r_pu=samples.r_pu[0].copy(), x_pu=samples.x_pu[0].copy())
    vm_pu = np.abs(base.voltage)
    buses = replace(grid.buses, vm_pu=vm_pu, va_deg=np.rad2deg(np.angle(base.voltage)))
    return solve_batch(
        replace(grid, branches=branches, buses=buses),
        samples.load_p_mw,
        samples.load_q_mvar,
        branch_status=samples.branch_on,
        generator_p_mw=base.p_mw,
        generator_status=samples.unit_on,
        generator_vm_pu=vm_pu[grid.generators.bus],
        start=base.voltage,
        options=BatchOptions(max_iterations=20),
    )


def _outputs(
    grid: Grid, samples: Samples, batch: PowerFlowBatch, base: Optimum
) -> tuple[Floats, Floats]:
    """Output of every unit: set points, but for the reference's; reactive power by the ranges."""
    units = grid.generators
    taken = Network.of(batch.scenarios).taken(batch.scenarios, batch.voltage) * grid.base_mva
    made = taken + samples.load_p_mw + 1j * samples.load_q_mvar
    on: Flags = samples.unit_on
    reactive = shared(made.imag, units.q_min_mvar, units.q_max_mvar, on, units.bus)
    at_reference = grid.buses.kind[units.bus] == REF
    active = np.where(on, base.p_mw, 0.0)
    balancing = shared(made.real, units.p_min_mw, units.p_max_mw, on & at_reference, units.bus)
    return np.where(at_reference, balancing, active), reactive
