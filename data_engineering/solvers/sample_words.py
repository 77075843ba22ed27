"""One sample, and what is found of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from data_engineering.model.grid import Flags, Floats, Grid
from data_engineering.model.problem import Status
from data_engineering.model.samples import Samples
from data_engineering.solvers.matrices import Complexes

PROBE_SEED = 20_240_607
PROBE_LEVELS = (0.95, 0.85, 1.05, 0.7)
"""Of demand; less of it has a solution more often."""


class OneSample(NamedTuple):
    """What is given of one sample, shapes as in `Samples` without the first axis."""

    load_p_mw: Floats
    load_q_mvar: Floats
    branch_on: Flags
    unit_on: Flags
    cost: Floats
    r_pu: Floats
    x_pu: Floats


def sample_at(samples: Samples, row: int) -> OneSample:
    """One sample of many."""
    return OneSample(*(getattr(samples, name)[row] for name in OneSample._fields))


class Optimum(NamedTuple):
    """An answer to one sample; meaningless unless `status` is `optimal`.

    Attributes:
        voltage: shape (buses,), p.u.
        p_mw, q_mvar: outputs, exactly 0 of units that are off, shape (units,).
        objective: USD/h.
    """

    status: Status
    voltage: Complexes
    p_mw: Floats
    q_mvar: Floats
    objective: float
    iterations: int
    seconds: float


def as_it_is(grid: Grid) -> OneSample:
    """The sample of a grid's own demand, costs and impedances."""
    units, branches, loads = grid.generators, grid.branches, grid.loads
    return OneSample(
        loads.p_mw,
        loads.q_mvar,
        branches.in_service,
        units.in_service,
        np.stack([units.cost_c2, units.cost_c1, units.cost_c0], axis=1),
        branches.r_pu,
        branches.x_pu,
    )


def probes(grid: Grid, count: int) -> list[OneSample]:
    """The grid as it is, then with other loads, costs and impedances, each with one branch less."""
    rng = np.random.default_rng(PROBE_SEED)
    plain = as_it_is(grid)
    near = [plain]
    for number in range(count - 1):
        on = plain.branch_on.copy()
        on[rng.integers(len(on))] = False
        noise = PROBE_LEVELS[number % len(PROBE_LEVELS)] * rng.uniform(
            0.85, 1.15, (2, len(grid.buses))
        )
        scale = rng.uniform(0.9, 1.1, (2, len(on)))
        near.append(
            plain._replace(
                load_p_mw=plain.load_p_mw * noise[0],
                load_q_mvar=plain.load_q_mvar * noise[1],
                branch_on=on,
                cost=plain.cost[rng.permutation(len(plain.cost))],
                r_pu=plain.r_pu * scale[0],
                x_pu=plain.x_pu * scale[1],
            )
        )
    return near
