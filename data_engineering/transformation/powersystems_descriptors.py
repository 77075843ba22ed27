"""What PowerSystems.jl is told about our table files: columns, their units, unit types."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from data_engineering.model.grid import Grid

NATURAL = {"unit_system": "natural_units"}
PER_UNIT = {"unit_system": "device_base"}
AS_IS: Mapping[str, str] = {}


JULIA_TYPES: Mapping[str, str] = {
    "WIND": "RenewableDispatch",
    "PV": "RenewableDispatch",
    "RTPV": "RenewableNonDispatch",
    "HYDRO": "HydroDispatch",
    "ROR": "HydroDispatch",
}
"""Julia types of unit kinds; what is not here burns something: ThermalStandard."""

DESCRIPTORS: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "bus": {
        "bus_id": AS_IS,
        "name": AS_IS,
        "area": AS_IS,
        "zone": AS_IS,
        "base_voltage": AS_IS,
        "bus_type": AS_IS,
        "voltage": PER_UNIT,
        "angle": {"unit": "degree"},
        "voltage_limits_min": PER_UNIT,
        "voltage_limits_max": PER_UNIT,
        "max_active_power": NATURAL,
        "max_reactive_power": NATURAL,
        "active_power": NATURAL,
        "reactive_power": NATURAL,
        "shunt_g": NATURAL,
        "shunt_b": NATURAL,
    },
    "branch": {
        "name": AS_IS,
        "connection_points_from": AS_IS,
        "connection_points_to": AS_IS,
        "r": PER_UNIT,
        "x": PER_UNIT,
        "primary_shunt": PER_UNIT,
        "rate": NATURAL,
        "min_angle_limits": {"unit": "radian"},
        "max_angle_limits": {"unit": "radian"},
        "tap": AS_IS,
        "is_transformer": AS_IS,
    },
    "dc_branch": {
        "name": AS_IS,
        "connection_points_from": AS_IS,
        "connection_points_to": AS_IS,
        "active_power_flow": NATURAL,
        "rate": NATURAL,
        "loss": AS_IS,
        "min_active_power_limit_from": NATURAL,
        "max_active_power_limit_from": NATURAL,
        "min_active_power_limit_to": NATURAL,
        "max_active_power_limit_to": NATURAL,
        "control_mode": AS_IS,
    },
    "generator": {
        "name": AS_IS,
        "available": AS_IS,
        "bus_id": AS_IS,
        "fuel": AS_IS,
        "fuel_price": AS_IS,
        "active_power": NATURAL,
        "reactive_power": NATURAL,
        "active_power_limits_max": NATURAL,
        "active_power_limits_min": NATURAL,
        "reactive_power_limits_max": NATURAL,
        "reactive_power_limits_min": NATURAL,
        "min_down_time": AS_IS,
        "min_up_time": AS_IS,
        "ramp_limits": NATURAL,
        "base_mva": AS_IS,
        "startup_cost": AS_IS,
        "shutdown_cost": AS_IS,
        "hot_start_cost": AS_IS,
        "warm_start_cost": AS_IS,
        "cold_start_cost": AS_IS,
        "hot_start_time": AS_IS,
        "warm_start_time": AS_IS,
        "cold_start_time": AS_IS,
        "unit_type": AS_IS,
        "category": AS_IS,
    },
    "storage": {
        "name": AS_IS,
        "generator_name": AS_IS,
        "bus_id": AS_IS,
        "position": AS_IS,
        "available": AS_IS,
        "energy_level": NATURAL,
        "storage_capacity": NATURAL,
        "input_active_power_limit_max": NATURAL,
        "output_active_power_limit_max": NATURAL,
        "output_active_power_limit_min": NATURAL,
        "input_efficiency": AS_IS,
        "output_efficiency": AS_IS,
        "output_reactive_power_limits_max": NATURAL,
        "output_reactive_power_limits_min": NATURAL,
        "rating": NATURAL,
        "base_power": AS_IS,
    },
    "load": {},
    "reserves": {},
    "simulation_objects": {},
}
"""Columns of each category and how their values stand."""


def descriptors_text(generators: pd.DataFrame) -> str:
    """user_descriptors.yaml: every category with its columns, by the parser's own names.

    The parser pairs heat rates and output points in the order in which they stand here.
    """
    rates = [str(name) for name in generators if str(name).startswith("heat_rate_")]
    points = [str(name) for name in generators if str(name).startswith("output_point_")]
    cost = dict.fromkeys(rates, AS_IS) | dict.fromkeys(points, PER_UNIT)
    lines = []
    for category, columns in DESCRIPTORS.items():
        named = {**columns, **cost} if category == "generator" else columns
        lines.append(f"{category}:" if named else f"{category}: []")
        for name, facts in named.items():
            extra = "".join(f", {key}: {value}" for key, value in facts.items())
            lines.append(f"- {{custom_name: {name}, name: {name}{extra}}}")
    return "\n".join(lines) + "\n"


def mapping_text(grid: Grid) -> str:
    """generator_mapping.yaml: which Julia type each pair of fuel and unit type becomes.

    The parser looks pairs up in capitals.
    """
    units, stores = grid.generators, grid.storages
    pairs = {
        (str(fuel).upper(), str(kind).upper()): JULIA_TYPES.get(str(kind), "ThermalStandard")
        for fuel, kind in zip(units.fuel, units.kind, strict=True)
    } | {(str(kind).upper(), str(kind).upper()): "EnergyReservoirStorage" for kind in stores.kind}
    lines = []
    for julia_type in sorted(set(pairs.values())):
        lines.append(f"{julia_type}:")
        for (fuel, kind), own in sorted(pairs.items()):
            if own == julia_type:
                lines.append(f'- {{fuel: "{fuel}", type: "{kind}"}}')
    return "\n".join(lines) + "\n"
