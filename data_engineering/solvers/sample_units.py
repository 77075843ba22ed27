"""How units that stand at one bus share what the bus gives."""

from __future__ import annotations

import numpy as np

from data_engineering.model.grid import Flags, Floats, Ints
from data_engineering.solvers.power_flow_scenarios import incidence

UNLIMITED_MW = 1e4
"""Stands for an infinite limit: such units share as if they had this range."""


def shared(total: Floats, low: Floats, high: Floats, on: Flags, bus: Ints) -> Floats:
    """Output of every unit: from its lower limit up, by the range, as far as the bus gives.

    So every unit keeps its limits where the bus keeps their sum. Units without a range give equal
    parts of what is left.

    Args:
        total: output of the units of every bus together, shape (S, buses), MW or Mvar.
        low: lower limits of the units, shape (units,).
        high: upper limits.
        on: units that run, shape (S, units); the others give 0.
        bus: of each unit, shape (units,).
    """
    low, high = np.maximum(low, -UNLIMITED_MW), np.minimum(high, UNLIMITED_MW)
    span = np.maximum(high - low, 0.0)
    at_bus = incidence(bus, total.shape[1])
    spans = (on * span) @ at_bus
    left = total - (on * low) @ at_bus
    many = np.maximum(on @ at_bus, 1.0)
    by_range = np.divide(left, spans, out=np.zeros_like(left), where=spans > 0.0)
    equal = np.where(spans > 0.0, 0.0, left / many)
    output: Floats = np.where(on, low + by_range[:, bus] * span + equal[:, bus], 0.0)
    return output
