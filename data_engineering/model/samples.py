"""Samples of one grid, to be solved in batches: the words of scenario generation and solvers.

A load scenario is one set of demands; its variants differ in what is out of service (and, in opf
mode, in costs and impedances). A sample is one variant. The first axis of every array is the
sample; columns follow the prepared grid, which has exactly one load at each bus, in bus order.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Protocol

import numpy as np

from data_engineering.model.grid import Flags, Floats, Ints, Texts


@dataclass(frozen=True, eq=False)
class Samples:
    """What is given of B samples; rows of one load scenario stand together, in variant order.

    Columns that many samples share may be broadcast views: nobody writes to them.

    Attributes:
        load_scenario: number of the load scenario in its dataset, shape (B,).
        variant: number of the variant in its load scenario, shape (B,).
        load_p_mw, load_q_mvar: demand at the buses, shape (B, buses).
        branch_on: branches in service, shape (B, branches).
        unit_on: generators that run, shape (B, generators).
        cost: c2, c1, c0 in USD/h of MW, shape (B, generators, 3).
        r_pu, x_pu: series impedance of the branches, shape (B, branches).
    """

    load_scenario: Ints
    variant: Ints
    load_p_mw: Floats
    load_q_mvar: Floats
    branch_on: Flags
    unit_on: Flags
    cost: Floats
    r_pu: Floats
    x_pu: Floats

    def __len__(self) -> int:
        return len(self.load_scenario)

    def rows(self, chosen: Ints | slice) -> Samples:
        """Some of the samples."""
        return replace(self, **{f.name: getattr(self, f.name)[chosen] for f in fields(self)})


@dataclass(frozen=True, eq=False)
class Solutions:
    """What was found of B samples; numbers of samples that were not solved are NaN.

    Attributes:
        solved: whether the AC problem has a solution, shape (B,).
        reason: why not, as `stage: cause` ("base opf: infeasible"); "" where solved, shape (B,).
        vm_pu, va_deg: voltages, shape (B, buses).
        p_mw, q_mvar: output of the generators, 0 where they are off, shape (B, generators).
        seconds: of the AC solve, shape (B,).
        dc_va_deg: angles of the DC solution, shape (B, buses); NaN where it failed or was not
            asked for.
        dc_p_mw: output in the DC solution, shape (B, generators).
        dc_seconds: shape (B,).
    """

    solved: Flags
    reason: Texts
    vm_pu: Floats
    va_deg: Floats
    p_mw: Floats
    q_mvar: Floats
    seconds: Floats
    dc_va_deg: Floats
    dc_p_mw: Floats
    dc_seconds: Floats

    def __len__(self) -> int:
        return len(self.solved)

    def rows(self, chosen: Ints | slice) -> Solutions:
        """Some of the solutions."""
        return replace(self, **{f.name: getattr(self, f.name)[chosen] for f in fields(self)})


class Kernel(Protocol):
    """Solves samples. An answer depends on its own load scenario alone.

    So neither the other samples of a call, nor earlier calls, nor their order change a bit of it.
    """

    def __call__(self, samples: Samples) -> Solutions:
        """Solve every sample; one that has no solution is told in `reason`, never raised."""
        ...


def unsolved(count: int, buses: int, generators: int, reason: str) -> Solutions:
    """Solutions of `count` samples that all failed for one reason."""

    def nothing(width: int) -> Floats:
        return np.full((count, width), np.nan)

    return Solutions(
        solved=np.zeros(count, dtype=np.bool_),
        reason=np.full(count, reason),
        vm_pu=nothing(buses),
        va_deg=nothing(buses),
        p_mw=nothing(generators),
        q_mvar=nothing(generators),
        seconds=np.full(count, np.nan),
        dc_va_deg=nothing(buses),
        dc_p_mw=nothing(generators),
        dc_seconds=np.full(count, np.nan),
    )


def joined(parts: list[Solutions]) -> Solutions:
    """Solutions one after another."""
    columns = {
        f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(parts[0])
    }
    return Solutions(**columns)
