"""Samples and solutions with numbers that tell them apart, for tests of parts and tables."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from data_engineering.model.grid import Grid
from data_engineering.model.samples import Samples, Solutions


def samples_of(grid: Grid, load_scenario: int, variants: int, rng: np.random.Generator) -> Samples:
    """Variants of a load scenario of a prepared grid: demand and costs shared, some outages."""
    branches, units = grid.branches, grid.generators
    cost = np.stack([units.cost_c2, units.cost_c1, units.cost_c0], axis=1)
    branch_on = np.tile(branches.in_service, (variants, 1))
    branch_on &= rng.random(branch_on.shape) > 0.02
    unit_on = np.tile(units.in_service, (variants, 1))
    unit_on &= rng.random(unit_on.shape) > 0.02
    shape = (variants, len(grid.buses))
    return Samples(
        load_scenario=np.full(variants, load_scenario),
        variant=np.arange(variants),
        load_p_mw=np.broadcast_to(grid.loads.p_mw * rng.uniform(0.8, 1.2, shape[1]), shape),
        load_q_mvar=np.broadcast_to(grid.loads.q_mvar * rng.uniform(0.8, 1.2, shape[1]), shape),
        branch_on=branch_on,
        unit_on=unit_on,
        cost=np.broadcast_to(cost, (variants, *cost.shape)),
        r_pu=np.broadcast_to(branches.r_pu, branch_on.shape),
        x_pu=np.broadcast_to(branches.x_pu, branch_on.shape),
    )


def solutions_of(samples: Samples, rng: np.random.Generator) -> Solutions:
    """Numbers of a likely size that solve nothing."""
    buses, on = samples.load_p_mw.shape, samples.unit_on
    return Solutions(
        solved=np.ones(len(samples), dtype=np.bool_),
        reason=np.full(len(samples), ""),
        vm_pu=rng.uniform(0.95, 1.05, buses),
        va_deg=rng.uniform(-30.0, 30.0, buses),
        p_mw=rng.uniform(0.0, 300.0, on.shape) * on,
        q_mvar=rng.uniform(-50.0, 50.0, on.shape) * on,
        seconds=rng.uniform(1e-3, 1e-2, len(samples)),
        dc_va_deg=rng.uniform(-30.0, 30.0, buses),
        dc_p_mw=rng.uniform(0.0, 300.0, on.shape) * on,
        dc_seconds=rng.uniform(1e-4, 1e-3, len(samples)),
    )


def same(one: Samples | Solutions, other: Samples | Solutions) -> bool:
    """Whether all columns are equal to the bit, NaN too."""
    return all(
        np.array_equal(
            np.ascontiguousarray(getattr(one, field.name)).view(np.uint8),
            np.ascontiguousarray(getattr(other, field.name)).view(np.uint8),
        )
        for field in fields(one)
        if field.name != "reason"
    ) and (isinstance(one, Samples) or one.reason.tolist() == other.reason.tolist())
