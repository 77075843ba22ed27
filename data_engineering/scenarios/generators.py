"""Costs of the samples: permuted among the generators that have a variable cost, or scaled."""

from __future__ import annotations

import numpy as np

from data_engineering.model.grid import Floats, Generators
from data_engineering.scenarios.config_blocks import GenerationBlock


def base_costs(generators: Generators) -> Floats:
    """c2, c1, c0 of every generator in USD/h of MW, shape (generators, 3)."""
    return np.column_stack([generators.cost_c2, generators.cost_c1, generators.cost_c0])


def costs(base: Floats, block: GenerationBlock, count: int, rng: np.random.Generator) -> Floats:
    """Costs of `count` variants, shape (count, generators, 3).

    Generators whose c2 and c1 are both 0 keep their costs. `cost_permutation` moves whole rows,
    `cost_perturbation` multiplies each coefficient by U(max(0, 1 - sigma), 1 + sigma). Variants
    draw one after another, so the first ones are the same whatever `count` is.
    """
    if block.type == "none":
        return np.broadcast_to(base, (count, *base.shape))
    varied = np.flatnonzero(base[:, :2].any(axis=1))
    result = np.repeat(base[None], count, axis=0)
    if block.type == "cost_permutation":
        order = rng.permuted(np.tile(varied, (count, 1)), axis=1)
        result[:, varied] = base[order]
    else:
        low, high = max(0.0, 1.0 - block.sigma), 1.0 + block.sigma
        result[:, varied] *= rng.uniform(low, high, size=(count, len(varied), 3))
    return result
