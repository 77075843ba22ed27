"""Random streams: one for each (seed, load scenario, purpose), so that none moves another."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What a stream of random numbers is for; the numbers are part of what a seed means."""

    ACTIVE_DEMAND = 0
    REACTIVE_DEMAND = 1
    TOPOLOGY = 2
    COST = 3
    ADMITTANCE = 4


def stream(seed: int, load_scenario: int, purpose: Purpose) -> np.random.Generator:
    """The stream of one purpose in one load scenario.

    Streams of one seed are independent: NumPy derives the key of each from all three numbers.
    """
    key = np.random.SeedSequence(seed, spawn_key=(load_scenario, int(purpose)))
    return np.random.Generator(np.random.Philox(key))
