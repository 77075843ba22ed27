"""A constructed execution of the size of RTS-GMLC, for the report's tests and for looking at it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

EXECUTION_ID = "0a5f3bfe-1f5b-5d0c-9b44-1c8f6a1f2d33"
FLEET = (
    ("NUCLEAR", "Nuclear", 1, 400.0, 8.0),
    ("STEAM", "Coal", 16, 155.0, 22.0),
    ("CC", "NG", 10, 355.0, 27.0),
    ("CT", "NG", 27, 55.0, 38.0),
    ("STEAM", "Oil", 7, 12.0, 90.0),
    ("CT", "Oil", 12, 20.0, 110.0),
    ("HYDRO", "Hydro", 20, 50.0, 0.0),
    ("WIND", "Wind", 4, 600.0, 0.0),
    ("PV", "Solar", 25, 60.0, 0.0),
    ("RTPV", "Solar", 31, 40.0, 0.0),
    ("SYNC_COND", "Sync_Cond", 3, 0.0, 0.0),
    ("CSP", "Solar", 1, 200.0, 0.0),
    ("STORAGE", "Storage", 1, 50.0, 0.0),
)
COUNTS = {"bus": 73, "branch": 120, "interval": 24}


def execution() -> dict[str, Any]:
    return {
        "execution_id": EXECUTION_ID,
        "execution_time": pd.Timestamp("2020-07-05T12:00", tz="UTC"),
        "case_name": "rts_gmlc",
        "topology_id": 1,
        "topology_digest": "ab" * 32,
        "topology_version": 1,
        "kind": "dcopf",
        "method": "b_theta",
        "commitment": "uc",
        "horizon_start": pd.Timestamp("2020-07-06", tz="UTC"),
        "interval_minutes": 60,
        "interval_count": COUNTS["interval"],
        "outage_count": 0,
        "penalties": {},
        "tolerances": {},
        "solver": "highs",
        "solver_version": "1.15.1",
        "triggered_by": "EVENT",
        "airflow_run_id": "asset_triggered__2020-07-06",
        "convergence_status": "optimal",
        "objective_value": 1_234_567.89,
        "solve_time_seconds": 1.25,
        "iteration_count": None,
        "results_path": "file:///data/objects/results/rts_gmlc",
        "metadata": {"residuals": {"balance_mw": 3e-9, "load_shed_mw": 0.0}},
    }


def starts() -> pd.DatetimeIndex:
    return pd.date_range("2020-07-06", periods=COUNTS["interval"], freq="h", tz="UTC")


def tables(seed: int = 3) -> dict[str, pd.DataFrame]:
    random = np.random.default_rng(seed)
    units = _units(random)
    dispatch = _dispatch(random, units)
    buses, flows = _buses(random), _flows(random)
    made = {
        "generator_dispatch": dispatch,
        "bus_results": buses.assign(contingency_id="base"),
        "branch_flow_results": flows,
        "interval_results": _intervals(random, dispatch, buses),
    }
    made = {name: frame.assign(case_name="rts_gmlc") for name, frame in made.items()}
    made["convergence_history"] = pd.DataFrame(
        {
            "stage": ["commitment"] * 6 + ["dispatch"],
            "iteration": [0, 1, 2, 3, 4, 5, 812],
            "objective_value": [1.5e6, 1.4e6, 1.3e6, 1.25e6, 1.24e6, 1.239e6, 1_234_567.89],
            "best_bound": [1.1e6, 1.15e6, 1.2e6, 1.22e6, 1.23e6, 1.235e6, 1_234_567.89],
            "relative_gap": [0.27, 0.18, 0.08, 0.024, 0.008, 0.003, 0.0],
            "elapsed_seconds": [0.5, 1.0, 2.0, 4.0, 7.0, 9.0, 1.25],
        }
    )
    return {name: frame.assign(execution_id=EXECUTION_ID) for name, frame in made.items()}


def _units(random: np.random.Generator) -> pd.DataFrame:
    rows = []
    for kind, fuel, count, capacity, cost in FLEET:
        for number in range(count):
            bus = int(random.integers(COUNTS["bus"]))
            rows.append(
                (f"{bus_name(bus)}_{kind}_{number + 1}", bus_name(bus), kind, fuel, capacity, cost)
            )
    return pd.DataFrame(
        rows, columns=["generator_id", "bus_id", "generator_type", "fuel", "capacity", "price"]
    )


def bus_name(number: int) -> str:
    return str(100 * (number // 25 + 1) + number % 25 + 1)


def _shape(kind: str, hour: np.ndarray) -> np.ndarray:
    if kind in ("PV", "RTPV", "CSP"):
        return np.clip(np.sin((hour - 5.5) / 14.0 * np.pi), 0.0, None)
    if kind == "WIND":
        return 0.45 + 0.25 * np.cos(hour / 24.0 * 2.0 * np.pi)
    if kind == "STORAGE":
        return np.where(hour < 6, -0.8, np.where((hour > 17) & (hour < 22), 1.0, 0.0))
    return 0.6 + 0.25 * np.sin((hour - 9.0) / 24.0 * 2.0 * np.pi)


def _dispatch(random: np.random.Generator, units: pd.DataFrame) -> pd.DataFrame:
    parts = []
    hour = np.arange(COUNTS["interval"], dtype=float)
    for unit in units.itertuples():
        share = _shape(unit.generator_type, hour)
        switched = unit.generator_type in ("STEAM", "CC", "CT")
        on = np.ones(len(hour), dtype=bool)
        if switched:
            begin, length = random.integers(0, 14), random.integers(0, 22)
            on = (hour >= begin) & (hour < begin + length)
        share = share * on
        curtailed = np.where((unit.generator_type == "WIND") & (hour < 4), 0.15, 0.0)
        power = unit.capacity * np.clip(share - curtailed, -1.0, 1.0)
        started = switched & on & ~np.roll(on, 1)
        parts.append(
            pd.DataFrame(
                {
                    "time_interval": np.arange(1, len(hour) + 1),
                    "interval_start": starts(),
                    "generator_id": unit.generator_id,
                    "bus_id": unit.bus_id,
                    "generator_type": unit.generator_type,
                    "fuel": unit.fuel,
                    "active_power": power,
                    "commitment_status": on,
                    "available_mw": unit.capacity * np.where(switched, on, np.abs(share)),
                    "curtailed_mw": unit.capacity * curtailed,
                    "reserve_up_mw": np.where(switched & on, unit.capacity * 0.1, 0.0),
                    "reserve_down_mw": 0.0,
                    "stored_energy_mwh": 150.0 - np.cumsum(power) / 2
                    if unit.generator_type == "STORAGE"
                    else np.nan,
                    "cost_usd": np.maximum(power, 0.0) * unit.price,
                    "start_cost_usd": np.where(started, 1_200.0, 0.0),
                    "at_pmin": False,
                    "at_pmax": share > 0.99,
                    "ramp_limited": False,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _buses(random: np.random.Generator) -> pd.DataFrame:
    count, width = COUNTS["interval"], COUNTS["bus"]
    hour = np.arange(count)
    energy = 22.0 + 14.0 * np.exp(-((hour - 18.0) ** 2) / 12.0)
    shift = np.where((hour >= 15) & (hour < 22), 1.0, 0.1)[:, None] * np.linspace(-9.0, 11.0, width)
    load = np.outer(
        60.0 + 25.0 * np.sin((hour - 9) / 24 * 2 * np.pi), random.uniform(0.2, 1.8, width)
    )
    return pd.DataFrame(
        {
            "time_interval": np.repeat(hour + 1, width),
            "interval_start": starts().repeat(width),
            "bus_id": [bus_name(bus) for bus in range(width)] * count,
            "voltage_magnitude": random.uniform(0.96, 1.045, count * width),
            "voltage_angle": random.uniform(-20.0, 20.0, count * width),
            "net_injection_mw": 0.0,
            "load_mw": load.reshape(-1),
            "load_shed_mw": 0.0,
            "over_generation_mw": 0.0,
            "lmp_energy": np.repeat(energy, width),
            "lmp_congestion": shift.reshape(-1),
            "lmp_loss": 0.0,
            "lmp_total": (energy[:, None] + shift).reshape(-1),
        }
    )


def ends() -> list[tuple[int, int]]:
    ring = [(bus, (bus + 1) % COUNTS["bus"]) for bus in range(COUNTS["bus"])]
    chords = [(bus, (bus + 9) % COUNTS["bus"]) for bus in range(COUNTS["branch"] - len(ring))]
    return ring + chords


def _flows(random: np.random.Generator) -> pd.DataFrame:
    count, width = COUNTS["interval"], COUNTS["branch"]
    hour = np.arange(count)
    usual = random.beta(2.0, 3.0, width) * 110.0
    swing = 0.8 + 0.2 * np.sin((hour - 9) / 24 * 2 * np.pi)
    loading = np.minimum(np.outer(swing, usual) + random.normal(0, 3, (count, width)), 100.0)
    loading = np.maximum(loading, 0.0)
    binding = loading >= 100.0
    return pd.DataFrame(
        {
            "time_interval": np.repeat(hour + 1, width),
            "interval_start": starts().repeat(width),
            "contingency_id": "base",
            "branch_id": [f"A{number + 1}" for number in range(width)] * count,
            "from_bus_id": [bus_name(one) for one, _ in ends()] * count,
            "to_bus_id": [bus_name(other) for _, other in ends()] * count,
            "flow_mw": loading.reshape(-1) * 1.75,
            "rating_mw": 175.0,
            "loading_percent": loading.reshape(-1),
            "shadow_price": np.where(binding, 12.5, 0.0).reshape(-1),
            "binding": binding.reshape(-1),
            "violation_mw": 0.0,
            "ac_flow_mva": loading.reshape(-1) * 1.8,
            "ac_loading_percent": loading.reshape(-1) * 1.03,
        }
    )


def _intervals(
    random: np.random.Generator, dispatch: pd.DataFrame, buses: pd.DataFrame
) -> pd.DataFrame:
    count = COUNTS["interval"]
    by_interval = dispatch.groupby("time_interval")
    generation = by_interval["active_power"].sum().to_numpy()
    return pd.DataFrame(
        {
            "time_interval": np.arange(1, count + 1),
            "interval_start": starts(),
            "load_mw": generation - 1.5,
            "generation_mw": generation,
            "production_cost_usd": by_interval["cost_usd"].sum().to_numpy(),
            "start_cost_usd": by_interval["start_cost_usd"].sum().to_numpy(),
            "penalty_usd": 0.0,
            "balance_residual_mw": random.uniform(0.0, 3e-9, count),
            "curtailed_mw": by_interval["curtailed_mw"].sum().to_numpy(),
            "load_shed_mw": 0.0,
            "over_generation_mw": 0.0,
            "reserve_required_mw": generation * 0.03,
            "reserve_shortfall_mw": 0.0,
            "reserve_price": 2.0,
            "ac_converged": True,
            "ac_losses_mw": generation * 0.021,
            "ac_slack_change_mw": generation * 0.021 - 1.5,
            "ac_max_loading_percent": random.uniform(95.0, 106.0, count),
            "ac_min_voltage_pu": random.uniform(0.955, 0.97, count),
            "ac_max_voltage_pu": random.uniform(1.04, 1.05, count),
            "ac_max_flow_difference_mw": random.uniform(8.0, 25.0, count),
        }
    )


def quality() -> pd.DataFrame:
    rows = []
    for table, checks in (
        ("power_measurements", 14),
        ("load_measurements", 9),
        ("load_forecasts", 7),
    ):
        for number in range(checks):
            success = None if table == "power_measurements" and number < 4 else True
            if table == "load_forecasts" and number == 2:
                success = False
            rows.append(
                {
                    "case_name": "rts_gmlc",
                    "table_name": table,
                    "day": pd.Timestamp("2020-07-06").date(),
                    "suite_name": f"{table}_suite",
                    "check_name": f"check_{number:02d}",
                    "success": success,
                    "observed_value": None if success is None else 0.99,
                    "expected": "values between 0 and 1 for 98 % of rows",
                    "evaluated_rows": 0 if success is None else 45_504,
                    "unexpected_rows": 12 if success is False else 0,
                }
            )
    return pd.DataFrame(rows)


def rejected() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "case_name": "rts_gmlc",
            "table_name": "load_forecasts",
            "day": pd.Timestamp("2020-07-06").date(),
            "row_digest": [f"{number:064x}" for number in (1, 2, 3, 3)],
            "reason": ["load below 0 <MW>", "load below 0 <MW>", "load below 0 <MW>", "late"],
            "row_data": "{}",
        }
    )


def topology() -> Mapping[str, Any]:
    angle = np.linspace(0.0, 2.0 * np.pi, COUNTS["bus"], endpoint=False)
    radius = 1.0 + 0.35 * np.sin(5.0 * angle)
    buses = [
        {
            "id": bus_name(bus),
            "name": f"Bus {bus}",
            "vm_min_pu": 0.95,
            "vm_max_pu": 1.05,
            "latitude_deg": 34.0 + float(radius[bus] * np.sin(angle[bus])),
            "longitude_deg": -115.0 + float(1.6 * radius[bus] * np.cos(angle[bus])),
        }
        for bus in range(COUNTS["bus"])
    ]
    branches = [
        {"id": f"A{number + 1}", "from_bus": bus_name(one), "to_bus": bus_name(other)}
        for number, (one, other) in enumerate(ends())
    ]
    dc = [{"id": "DC1", "from_bus": bus_name(12), "to_bus": bus_name(60)}]
    return {"buses": buses, "branches": branches, "dc_lines": dc}
