"""Grids as datasets need them and samples of them, for tests of kernels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from data_engineering.model.grid import Grid, Loads
from data_engineering.model.samples import Samples
from data_engineering.solvers.ac_opf_model import bus_loads


def one_load_per_bus(grid: Grid) -> Grid:
    """The grid with one load at each bus in bus order, ratings and angle limits finite."""
    count = len(grid.buses)
    p_mw, q_mvar = bus_loads(grid, grid.loads.p_mw, grid.loads.q_mvar)
    loads = Loads(grid.buses.id.copy(), np.arange(count), p_mw, q_mvar, np.ones(count, np.bool_))
    branches = grid.branches
    low, high = branches.angle_min_deg, branches.angle_max_deg
    free = (low <= -90.0) | (high >= 90.0) | ((low == 0.0) & (high == 0.0))
    branches = replace(
        branches,
        rate_a_mva=np.where(np.isfinite(branches.rate_a_mva), branches.rate_a_mva, 9_999.0),
        angle_min_deg=np.where(free, -60.0, low),
        angle_max_deg=np.where(free, 60.0, high),
    )
    return replace(grid, loads=loads, branches=branches)


def samples_of(
    grid: Grid,
    scenarios: int,
    variants: int,
    *,
    seed: int = 0,
    outages: int = 1,
    shared: bool = True,
    noise: float = 0.2,
    impedance: float = 0.2,
) -> Samples:
    """Samples like those of a dataset: noisy loads, outages, permuted costs, scaled impedances.

    The first variant of each load scenario has no outage. With `shared` costs and impedances are
    those of the load scenario.
    """
    rng = np.random.default_rng(seed)
    units, branches, count = grid.generators, grid.branches, scenarios * variants
    sets = scenarios if shared else count
    spread = (1.0 - noise, 1.0 + noise)
    factor = rng.uniform(*spread, (2, scenarios, len(grid.buses)))
    on_branches = np.repeat(branches.in_service[None], count, axis=0)
    on_units = np.repeat(units.in_service[None], count, axis=0)
    reference = np.flatnonzero(grid.buses.kind == 3)[0]
    lose = np.flatnonzero(on_units[0] & (units.bus != reference)) + len(branches)
    lose = np.concatenate([np.flatnonzero(on_branches[0] & _safe(grid)), lose])
    for row in range(count):
        gone = rng.choice(lose, outages if row % variants else 0, replace=False)
        on_branches[row, gone[gone < len(branches)]] = False
        on_units[row, gone[gone >= len(branches)] - len(branches)] = False
    cost = np.stack([units.cost_c2, units.cost_c1, units.cost_c0], axis=1)
    dear = np.flatnonzero((cost[:, :2] != 0.0).any(axis=1))
    costs = np.repeat(cost[None], sets, axis=0)
    for one in costs:
        one[dear] = one[rng.permutation(dear)]
    scale = rng.uniform(1.0 - impedance, 1.0 + impedance, (2, sets, len(branches)))
    each = np.repeat(np.arange(scenarios), variants)
    own = each if shared else np.arange(count)
    return Samples(
        load_scenario=each,
        variant=np.tile(np.arange(variants), scenarios),
        load_p_mw=(grid.loads.p_mw * factor[0])[each],
        load_q_mvar=(grid.loads.q_mvar * factor[1])[each],
        branch_on=on_branches,
        unit_on=on_units,
        cost=costs[own],
        r_pu=(branches.r_pu * scale[0])[own],
        x_pu=(branches.x_pu * scale[1])[own],
    )


def _safe(grid: Grid) -> np.ndarray:
    """Branches whose loss parts nothing."""
    from data_engineering.solvers.power_flow_network import splitting_branches

    return ~splitting_branches(grid, int(np.flatnonzero(grid.buses.kind == 3)[0]))
