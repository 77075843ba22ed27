"""Whether an answer is one: its voltages, put into the network equations, against every limit."""

from __future__ import annotations

import numpy as np

from data_engineering.model.grid import Floats, Grid, Ints
from data_engineering.solvers.ac_opf_layout import Side
from data_engineering.solvers.matrices import Complexes
from data_engineering.solvers.sample_words import OneSample, Optimum

BALANCE_PU, VM_PU, ANGLE_DEG, LOADING, OUTPUT_PU = 1e-6, 1e-7, 1e-6, 1e-6, 1e-6
"""Greatest violations of an answer: of balances, magnitudes, angle differences, relative loading,
and outputs. Ipopt widens bounds by 1e-8 of their size."""


def sound(grid: Grid, sides: tuple[Side, Side], given: OneSample, found: Optimum) -> bool:
    """Whether an answer balances every bus and keeps every limit.

    Args:
        grid: a prepared grid.
        sides: admittances of its branches in this sample.
        given: the sample.
        found: the answer.
    """
    base, on = grid.base_mva, given.branch_on
    branches, units, buses = grid.branches, grid.generators, grid.buses
    v, count = found.voltage, len(grid.buses)
    taken = (buses.gs_mw - 1j * buses.bs_mvar) / base * np.abs(v) ** 2
    loading = 0.0
    for side in sides:
        own, other = v[side.own_bus], v[side.other_bus]
        flow = own * np.conj(side.own * own + side.other * other)
        flow[~on] = 0.0
        loading = max(loading, float((np.abs(flow) * base / branches.rate_a_mva).max()))
        taken = taken + _at_buses(side.own_bus, flow, count)
    made = _at_buses(units.bus, found.p_mw + 1j * found.q_mvar, count)
    wrong = (made - given.load_p_mw - 1j * given.load_q_mvar) / base - taken
    across = np.rad2deg(np.angle(v[branches.from_bus] * v[branches.to_bus].conj()))[on]
    size, runs = np.abs(v), given.unit_on
    return bool(
        max(np.abs(wrong.real).max(), np.abs(wrong.imag).max()) <= BALANCE_PU
        and _beyond(size, buses.vm_min_pu, buses.vm_max_pu) <= VM_PU
        and _beyond(across, branches.angle_min_deg[on], branches.angle_max_deg[on]) <= ANGLE_DEG
        and loading <= 1.0 + LOADING
        and _beyond(found.p_mw[runs], units.p_min_mw[runs], units.p_max_mw[runs])
        <= OUTPUT_PU * base
        and _beyond(found.q_mvar[runs], units.q_min_mvar[runs], units.q_max_mvar[runs])
        <= OUTPUT_PU * base
    )


def _at_buses(bus: Ints, values: Complexes, count: int) -> Complexes:
    total: Complexes = np.bincount(bus, values.real, count) + 1j * np.bincount(
        bus, values.imag, count
    )
    return total


def _beyond(values: Floats, low: Floats, high: Floats) -> float:
    """How far the worst value is outside its limits."""
    return float(np.maximum(values - high, low - values).max(initial=0.0))
