"""Samples split into those of one load scenario each, and the answers put together again."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from data_engineering.model.samples import Samples, Solutions, joined


def by_load_scenario(samples: Samples, solve: Callable[[Samples], Solutions]) -> Solutions:
    """Solve the samples of every load scenario on their own; there is at least one."""
    first = np.flatnonzero(np.diff(samples.load_scenario)) + 1
    bounds = [0, *first.tolist(), len(samples)]
    return joined([solve(samples.rows(slice(begin, end))) for begin, end in pairwise(bounds)])
