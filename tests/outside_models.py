"""The same problem for other programs: PyPSA's and Egret's security-constrained optimisation.

Both know fewer things than ours, so the cases are reduced to what all three state alike: linear
costs, units that stay on, no stores and no reserves, one rating before and after outages.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from data_engineering.model.grid import Grid
from data_engineering.model.problem import Options, Outage, Penalties, Periods, SolveRequest
from data_engineering.solvers.outage_factors import outages_of
from data_engineering.solvers.units import thermal_rows

SHED = 10_000.0
NEVER = 1e6
"""Penalty of an overload: outside programs have hard limits, which shedding can always keep."""


def common_grid(grid: Grid, running: Any = None) -> Grid:
    """The grid as all programs can take it; `running` are the units that stay on."""
    units = grid.generators
    on = units.in_service if running is None else units.in_service & running
    span = np.where(units.p_max_mw > units.p_min_mw, units.p_max_mw - units.p_min_mw, 1.0)
    slope = units.cost_c1.copy()
    for k in np.flatnonzero(~np.isnan(units.cost_mw).all(axis=1)):
        known = np.isfinite(units.cost_mw[k])
        slope[k] = np.ptp(units.cost_usd_per_h[k, known]) / span[k]
    none, nothing = np.full_like(units.cost_mw, np.nan), np.zeros(len(units))
    plain = replace(
        units,
        in_service=on,
        cost_mw=none,
        cost_usd_per_h=none.copy(),
        cost_c2=nothing,
        cost_c1=slope,
        cost_c0=nothing.copy(),
    )
    branches = replace(grid.branches, rate_b_mva=grid.branches.rate_a_mva.copy())
    stores = replace(grid.storages, in_service=np.zeros(len(grid.storages), dtype=bool))
    return replace(grid, generators=plain, branches=branches, storages=stores)


def common_request(grid: Grid, periods: Periods, outages: tuple[Outage, ...]) -> SolveRequest:
    """Our request of the common problem."""
    nothing = np.zeros(periods.count)
    plain = replace(
        periods,
        reserve_up_mw=nothing,
        reserve_down_mw=nothing,
        inflow_mw=np.zeros_like(periods.inflow_mw),
    )
    penalties = Penalties(load_shed=SHED, branch_overload=NEVER, outage_overload=NEVER)
    options = Options(commitment="on", penalties=penalties)
    return SolveRequest("lascopf", grid, plain, outages, options)


def whole_outages(grid: Grid) -> tuple[Outage, ...]:
    """N-1 over the branches that do not split the network."""
    from data_engineering.solvers.dc_network import dc_network
    from data_engineering.solvers.outage_factors import outage_factors

    every = outages_of(grid)
    split = set(outage_factors(grid, dc_network(grid), every).left_out)
    return tuple(outage for outage in every if outage.id not in split)


def pypsa_network(request: SolveRequest) -> Any:
    """The request as a PyPSA network; impedances per unit on 1 MVA at 1 kV."""
    import pypsa

    grid, periods = request.grid, request.periods
    network = pypsa.Network()
    network.set_snapshots(range(periods.count))
    network.add("Bus", grid.buses.id, v_nom=1.0)
    branches, units, lines = grid.branches, grid.generators, grid.dc_lines
    kept = branches.in_service
    rated = np.where(np.isfinite(branches.rate_a_mva), branches.rate_a_mva, 1e6)
    network.add(
        "Line",
        branches.id[kept],
        bus0=grid.buses.id[branches.from_bus[kept]],
        bus1=grid.buses.id[branches.to_bus[kept]],
        x=(branches.x_pu * branches.tap / grid.base_mva)[kept],
        s_nom=rated[kept],
    )
    if len(lines):
        most = np.maximum(lines.p_max_mw, 1e-9)
        network.add(
            "Link",
            lines.id,
            bus0=grid.buses.id[lines.from_bus],
            bus1=grid.buses.id[lines.to_bus],
            p_nom=most,
            p_min_pu=lines.p_min_mw / most,
        )
    demand = np.zeros((periods.count, len(grid.buses)))
    np.add.at(demand.T, grid.loads.bus, periods.load_mw.T)
    for bus in np.flatnonzero(demand.any(axis=0)):
        name = str(grid.buses.id[bus])
        network.add("Load", f"load {name}", bus=name, p_set=demand[:, bus])
        network.add(
            "Generator",
            f"shed {name}",
            bus=name,
            p_nom=1.0,
            marginal_cost=SHED,
            p_max_pu=np.maximum(demand[:, bus], 0.0),
        )
    thermal = set(thermal_rows(grid).tolist())
    for k in np.flatnonzero(units.in_service):
        name, bus = str(units.id[k]), str(grid.buses.id[units.bus[k]])
        if k not in thermal:
            most = periods.available_mw[:, k]
            least = most if periods.must_take[k] else np.zeros(periods.count)
            network.add("Generator", name, bus=bus, p_nom=1.0, p_max_pu=most, p_min_pu=least)
            continue
        most = max(float(units.p_max_mw[k]), 1e-9)
        ramp = float(units.ramp_mw_per_min[k]) * periods.minutes / most
        limits = {"ramp_limit_up": ramp, "ramp_limit_down": ramp} if ramp < 1.0 else {}
        network.add(
            "Generator",
            name,
            bus=bus,
            p_nom=most,
            p_min_pu=float(units.p_min_mw[k]) / most,
            marginal_cost=float(units.cost_c1[k]),
            **limits,
        )
    return network


def egret_data(request: SolveRequest) -> Any:
    """The request's one interval as Egret's model data, its outages as contingencies."""
    from egret.data.model_data import ModelData

    grid, units, branches = request.grid, request.grid.generators, request.grid.branches
    reference = str(grid.buses.id[grid.buses.kind == 3][0])
    elements: dict[str, Any] = {
        "bus": {
            str(name): {"base_kv": 1.0, "matpower_bustype": "PQ", "vm": 1.0, "va": 0.0}
            for name in grid.buses.id
        },
        "load": {
            str(name): {
                "bus": str(grid.buses.id[bus]),
                "p_load": float(power),
                "q_load": 0.0,
                "in_service": True,
            }
            for name, bus, power in zip(
                grid.loads.id, grid.loads.bus, request.periods.load_mw[0], strict=True
            )
        },
        "generator": {},
        "branch": {},
        "shunt": {},
        "contingency": {
            outage.id: {"branch_contingency": outage.branches[0]} for outage in request.outages
        },
    }
    for k in np.flatnonzero(units.in_service):
        elements["generator"][str(units.id[k])] = {
            "bus": str(grid.buses.id[units.bus[k]]),
            "generator_type": "thermal",
            "p_min": float(units.p_min_mw[k]),
            "p_max": float(units.p_max_mw[k]),
            "pg": 0.0,
            "in_service": True,
            "p_cost": {
                "data_type": "cost_curve",
                "cost_curve_type": "polynomial",
                "values": {0: 0.0, 1: float(units.cost_c1[k]), 2: 0.0},
            },
        }
    for k in np.flatnonzero(branches.in_service):
        rating = float(branches.rate_a_mva[k])
        elements["branch"][str(branches.id[k])] = {
            "from_bus": str(grid.buses.id[branches.from_bus[k]]),
            "to_bus": str(grid.buses.id[branches.to_bus[k]]),
            "resistance": 0.0,
            "reactance": float(branches.x_pu[k] * branches.tap[k]),
            "charging_susceptance": 0.0,
            "branch_type": "line",
            "in_service": True,
            "transformer_tap_ratio": 1.0,
            "transformer_phase_shift": 0.0,
            "rating_long_term": rating,
            "rating_short_term": rating,
            "rating_emergency": rating,
            "angle_diff_min": -90.0,
            "angle_diff_max": 90.0,
        }
    system = {
        "baseMVA": float(grid.base_mva),
        "reference_bus": reference,
        "reference_bus_angle": 0.0,
        "load_mismatch_cost": SHED,
        "q_load_mismatch_cost": SHED,
    }
    return ModelData({"elements": elements, "system": system})
