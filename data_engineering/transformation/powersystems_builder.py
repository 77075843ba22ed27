"""A grid as the table files of PowerSystems.jl: CSV tables, descriptors, mapping and series.

Written for the table parser of PowerSystems.jl 4 (`PowerSystemTableData`, its columns are those of
`src/descriptors/power_system_inputs.json`):

    data = PowerSystemTableData(folder, base_mva, joinpath(folder, "user_descriptors.yaml");
        timeseries_metadata_file = joinpath(folder, "timeseries_pointers.json"),
        generator_mapping_file = joinpath(folder, "generator_mapping.yaml"))
    system = System(data)

Values stand in natural units (MW, Mvar, MVA, MWh); the descriptors say so and the parser makes them
per unit. Impedances, voltages and output points are per unit, angles of buses degrees. A missing
value is `NA`, the parser's word for nothing.

The format has no place for emergency ratings, so `rate_b` and `rate_c` ride along unread; branches
and DC lines out of service are left out, since the parser puts every branch in service.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import ISOLATED, PQ, PV, REF, Floats, Grid
from data_engineering.model.problem import Periods
from data_engineering.transformation.powersystems_descriptors import (
    DESCRIPTORS,
    descriptors_text,
    mapping_text,
)
from data_engineering.transformation.powersystems_series import (
    bus_load,
    bus_names,
    pointers_text,
    series_tables,
)

BUS_KINDS = {PQ: "PQ", PV: "PV", REF: "REF", ISOLATED: "ISOLATED"}
FUEL_PRICE = 1000.0
"""USD/MMBTU; the parser divides it by 1000, so that heat rates stand for USD/MWh as they are."""
COST_POINTS = 10
"""Points by which a polynomial cost is drawn; the format allows 13."""


def powersystems_tables(
    grid: Grid, periods: Periods | None = None
) -> dict[str, pd.DataFrame | str]:
    """The files of a grid, by name; a frame is a CSV file, a text a file as it stands.

    Args:
        grid: the grid.
        periods: load and available power by interval; None for a grid without series.

    Returns:
        bus.csv, branch.csv, dc_branch.csv, gen.csv, storage.csv, user_descriptors.yaml,
        generator_mapping.yaml, timeseries_pointers.json; with `periods` also the two series files
        that the pointers name. Natural inflow of stores has no place in the format.

    Raises:
        BadInput: the grid has a phase shifter in service, which the parser does not know.
    """
    numbers = bus_numbers(grid)
    generators = generator_table(grid, numbers)
    series = {} if periods is None else series_tables(grid, periods)
    return {
        "bus.csv": bus_table(grid, numbers),
        "branch.csv": branch_table(grid, numbers),
        "dc_branch.csv": dc_branch_table(grid, numbers),
        "gen.csv": generators,
        "storage.csv": storage_table(grid, numbers),
        "user_descriptors.yaml": descriptors_text(generators),
        "generator_mapping.yaml": mapping_text(grid),
        "timeseries_pointers.json": pointers_text(grid, periods),
        **series,
    }


def bus_numbers(grid: Grid) -> pd.Series[Any]:
    """The whole number of each bus: its id where all ids are whole numbers, else 1, 2, ..."""
    ids = [str(bus) for bus in grid.buses.id]
    whole = all(bus.isascii() and bus.isdecimal() for bus in ids)
    numbers = [int(bus) for bus in ids] if whole else list(range(1, len(ids) + 1))
    return pd.Series(numbers, dtype="int64")


def bus_table(grid: Grid, numbers: pd.Series[Any]) -> pd.DataFrame:
    """A row for each bus, with the sum of the loads in service at it."""
    buses = grid.buses
    active, reactive = bus_load(grid)
    return pd.DataFrame(
        {
            "bus_id": numbers,
            "name": bus_names(grid),
            "area": buses.area,
            "zone": buses.zone,
            "base_voltage": buses.base_kv,
            "bus_type": [BUS_KINDS[int(kind)] for kind in buses.kind],
            "voltage": buses.vm_pu,
            "angle": buses.va_deg,
            "voltage_limits_min": buses.vm_min_pu,
            "voltage_limits_max": buses.vm_max_pu,
            "max_active_power": active,
            "max_reactive_power": reactive,
            "active_power": active,
            "reactive_power": reactive,
            "shunt_g": buses.gs_mw,
            "shunt_b": buses.bs_mvar,
        }
    )


def branch_table(grid: Grid, numbers: pd.Series[Any]) -> pd.DataFrame:
    """A row for each branch in service.

    Raises:
        BadInput: one of them shifts the phase.
    """
    branches = grid.branches
    shifting = branches.id[branches.in_service & (branches.shift_deg != 0)]
    if len(shifting):
        remedy = "the PowerSystems.jl table parser has no phase shifters: take it out of service"
        raise BadInput("branch", str(shifting[0]), remedy)
    base_kv = grid.buses.base_kv
    rows = pd.DataFrame(
        {
            "name": branches.id,
            "connection_points_from": numbers.to_numpy()[branches.from_bus],
            "connection_points_to": numbers.to_numpy()[branches.to_bus],
            "r": branches.r_pu,
            "x": branches.x_pu,
            "primary_shunt": branches.b_pu,
            "rate": branches.rate_a_mva,
            "rate_b": branches.rate_b_mva,
            "rate_c": branches.rate_c_mva,
            "min_angle_limits": _angle(branches.angle_min_deg),
            "max_angle_limits": _angle(branches.angle_max_deg),
            "tap": branches.tap,
            "is_transformer": (branches.tap != 1.0)
            | (base_kv[branches.from_bus] != base_kv[branches.to_bus]),
        }
    )
    return rows[branches.in_service].reset_index(drop=True)


def dc_branch_table(grid: Grid, numbers: pd.Series[Any]) -> pd.DataFrame:
    """A row for each DC line in service; the constant part of its loss has no place."""
    lines = grid.dc_lines
    rows = pd.DataFrame(
        {
            "name": lines.id,
            "connection_points_from": numbers.to_numpy()[lines.from_bus],
            "connection_points_to": numbers.to_numpy()[lines.to_bus],
            "active_power_flow": lines.p_mw,
            "rate": np.maximum(np.abs(lines.p_min_mw), np.abs(lines.p_max_mw)),
            "loss": lines.loss_share,
            "min_active_power_limit_from": lines.p_min_mw,
            "max_active_power_limit_from": lines.p_max_mw,
            "min_active_power_limit_to": lines.p_min_mw,
            "max_active_power_limit_to": lines.p_max_mw,
            "control_mode": "Power",
        }
    )
    return rows[lines.in_service].reset_index(drop=True)


def generator_table(grid: Grid, numbers: pd.Series[Any]) -> pd.DataFrame:
    """A row for each generator, then one for each storage unit, whose store is in storage.csv.

    The cost columns are those of `cost_table`; storage units have none of their own and cost 0.
    """
    units = grid.generators
    rows = pd.DataFrame(
        {
            "name": units.id,
            "available": units.in_service,
            "bus_id": numbers.to_numpy()[units.bus],
            "fuel": units.fuel,
            "fuel_price": FUEL_PRICE,
            "active_power": units.p_mw,
            "reactive_power": units.q_mvar,
            "active_power_limits_max": units.p_max_mw,
            "active_power_limits_min": units.p_min_mw,
            "reactive_power_limits_max": units.q_max_mvar,
            "reactive_power_limits_min": units.q_min_mvar,
            "min_down_time": units.min_down_h,
            "min_up_time": units.min_up_h,
            "ramp_limits": units.ramp_mw_per_min,
            "base_mva": _base_mva(units.p_max_mw, units.q_min_mvar, units.q_max_mvar),
            "startup_cost": units.start_cost_usd[:, 2],
            "shutdown_cost": 0.0,
            "hot_start_cost": units.start_cost_usd[:, 0],
            "warm_start_cost": units.start_cost_usd[:, 1],
            "cold_start_cost": units.start_cost_usd[:, 2],
            "hot_start_time": units.start_after_h[:, 0],
            "warm_start_time": units.start_after_h[:, 1],
            "cold_start_time": units.start_after_h[:, 2],
            "unit_type": units.kind,
            "category": units.kind,
        }
    )
    points = cost_table(grid)
    rows = pd.concat([rows, _storage_units(grid, numbers)], ignore_index=True)
    return rows.join(points).fillna(dict.fromkeys(points, "NA")).infer_objects()


def _storage_units(grid: Grid, numbers: pd.Series[Any]) -> pd.DataFrame:
    stores = grid.storages
    rows = pd.DataFrame(
        {
            "name": stores.id,
            "available": stores.in_service,
            "bus_id": numbers.to_numpy()[stores.bus],
            "fuel": stores.kind,
            "active_power_limits_max": stores.discharge_max_mw,
            "active_power_limits_min": stores.discharge_min_mw,
            "startup_cost": stores.start_cost_usd,
            "reactive_power_limits_max": stores.q_max_mvar,
            "reactive_power_limits_min": stores.q_min_mvar,
            "ramp_limits": stores.discharge_max_mw,
            "base_mva": _base_mva(stores.discharge_max_mw, stores.q_min_mvar, stores.q_max_mvar),
            "unit_type": stores.kind,
            "category": stores.kind,
        }
    )
    nothing = [name for name in DESCRIPTORS["generator"] if name not in rows]
    return rows.assign(**dict.fromkeys(nothing, 0.0))


def cost_table(grid: Grid) -> pd.DataFrame:
    """The cost of each generator as a heat-rate curve of a fuel that costs 1 USD a unit.

    That is the one form of cost that the parser takes for every type of unit. Columns
    `output_point_<i>` (share of the greatest output), `heat_rate_avg_0` (USD/MWh from nothing to
    point 0) and `heat_rate_incr_<i>` (USD/MWh from the point before); NaN beyond a unit's points.
    """
    curves = [_cost_curve(grid, unit) for unit in range(len(grid.generators))]
    count = max((len(power) for power, _ in curves), default=1)
    shares = np.full((len(curves), count), np.nan)
    rates = np.full((len(curves), count), np.nan)
    for unit, (power, cost) in enumerate(curves):
        greatest = grid.generators.p_max_mw[unit]
        shares[unit, : len(power)] = power / greatest if greatest > 0 else 0.0
        rates[unit, 0] = cost[0] / power[0] if power[0] > 0 else 0.0
        rates[unit, 1 : len(power)] = np.diff(cost) / np.diff(power)
    names = ["heat_rate_avg_0", *(f"heat_rate_incr_{i}" for i in range(1, count))]
    points = [f"output_point_{i}" for i in range(count)]
    return pd.DataFrame(shares, columns=points).join(pd.DataFrame(rates, columns=names))


def _cost_curve(grid: Grid, unit: int) -> tuple[Floats, Floats]:
    """Points (MW, USD/h) of a unit's cost; a quadratic is drawn by chords."""
    units = grid.generators
    given = np.isfinite(units.cost_mw[unit])
    if units.p_max_mw[unit] <= 0:
        return np.zeros(1), np.zeros(1)
    if given.any():
        return units.cost_mw[unit][given], units.cost_usd_per_h[unit][given]
    low, high = units.p_min_mw[unit], units.p_max_mw[unit]
    power = np.linspace(
        low if low < high else 0.0, high, COST_POINTS if units.cost_c2[unit] != 0 else 2
    )
    cost = units.cost_c2[unit] * power**2 + units.cost_c1[unit] * power + units.cost_c0[unit]
    if power[0] <= 0 and cost[0] != 0:
        # The curve starts with an average cost, which nothing at zero output can carry.
        power = np.concatenate([[1e-6 * high], power[1:]])
    return power, cost


def storage_table(grid: Grid, numbers: pd.Series[Any]) -> pd.DataFrame:
    """A row for each store, the head of the unit of the same name in gen.csv."""
    stores = grid.storages
    rating = np.maximum(stores.charge_max_mw, stores.discharge_max_mw)
    return pd.DataFrame(
        {
            "name": [f"{store}_STORE" for store in stores.id],
            "generator_name": stores.id,
            "bus_id": numbers.to_numpy()[stores.bus],
            "position": "head",
            "available": stores.in_service,
            "energy_level": stores.energy_initial_mwh,
            "storage_capacity": stores.energy_max_mwh,
            "input_active_power_limit_max": stores.charge_max_mw,
            "output_active_power_limit_max": stores.discharge_max_mw,
            "output_active_power_limit_min": stores.discharge_min_mw,
            "input_efficiency": stores.charge_efficiency,
            "output_efficiency": stores.discharge_efficiency,
            "output_reactive_power_limits_max": stores.q_max_mvar,
            "output_reactive_power_limits_min": stores.q_min_mvar,
            "rating": rating,
            "base_power": rating,
        }
    )


def _angle(limit_deg: Floats) -> Floats:
    """Radians; no limit is half a turn, the parser's own word for none."""
    return np.clip(np.radians(limit_deg), -np.pi, np.pi)


def _base_mva(power: Floats, least: Floats, greatest: Floats) -> Floats:
    """The parser divides by it, so it is never 0."""
    base = np.maximum(power, np.maximum(np.abs(least), np.abs(greatest)))
    return np.where(base > 0, base, 1.0)
