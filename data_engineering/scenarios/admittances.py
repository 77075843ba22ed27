"""Impedances of the samples: R and X of every branch by factors of their own."""

from __future__ import annotations

import numpy as np

from data_engineering.model.grid import Branches, Floats
from data_engineering.scenarios.config_blocks import AdmittanceBlock


def impedances(
    branches: Branches, block: AdmittanceBlock, count: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """R and X of `count` variants, each shape (count, branches), p.u.

    A factor of U(max(0, 1 - sigma), 1 + sigma) for each variant, branch and of R and X. Variants
    draw one after another, so the first ones are the same whatever `count` is.
    """
    if block.type == "none":
        shape = (count, len(branches))
        return np.broadcast_to(branches.r_pu, shape), np.broadcast_to(branches.x_pu, shape)
    low, high = max(0.0, 1.0 - block.sigma), 1.0 + block.sigma
    factors = rng.uniform(low, high, size=(count, 2, len(branches)))
    return branches.r_pu * factors[:, 0], branches.x_pu * factors[:, 1]
