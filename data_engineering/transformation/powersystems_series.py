"""Series of a grid for PowerSystems.jl: CSV files and the pointers that name them."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from data_engineering.model.grid import Floats, Grid
from data_engineering.model.problem import Periods
from data_engineering.transformation.powersystems_descriptors import JULIA_TYPES

UNIT_SERIES = "max_active_power_units.csv"
LOAD_SERIES = "max_active_power_loads.csv"


def bus_names(grid: Grid) -> list[str]:
    """The name of each bus where names are unique, else its id."""
    names = [str(name) for name in grid.buses.name]
    return names if len(set(names)) == len(names) else [str(bus) for bus in grid.buses.id]


def bus_load(grid: Grid) -> tuple[Floats, Floats]:
    """MW and Mvar of the loads in service, shape (buses,) each."""
    loads = grid.loads
    active, reactive = np.zeros(len(grid.buses)), np.zeros(len(grid.buses))
    np.add.at(active, loads.bus, np.where(loads.in_service, loads.p_mw, 0.0))
    np.add.at(reactive, loads.bus, np.where(loads.in_service, loads.q_mvar, 0.0))
    return active, reactive


def limited_units(grid: Grid, periods: Periods) -> list[int]:
    """Generators whose available power is ever below their greatest output."""
    below = (periods.available_mw < grid.generators.p_max_mw).any(axis=0)
    return [int(unit) for unit in np.flatnonzero(below | periods.must_take)]


def pointers_text(grid: Grid, periods: Periods | None) -> str:
    """timeseries_pointers.json: for each series its component, its file and what 1 stands for."""
    if periods is None:
        return "[]\n"
    units = grid.generators
    # PowerSystems.jl takes a renewable unit's greatest output from its rating, sqrt(P^2 + Q^2).
    rated = np.hypot(units.p_max_mw, units.q_max_mvar)
    records = []
    for unit in limited_units(grid, periods):
        renewable = JULIA_TYPES.get(str(units.kind[unit]), "").startswith("Renewable")
        greatest = rated[unit] if renewable else units.p_max_mw[unit]
        records.append(_pointer("Generator", str(units.id[unit]), greatest, UNIT_SERIES, periods))
    active, _ = bus_load(grid)
    names = bus_names(grid)
    for bus in np.flatnonzero(active > 0):
        records.append(_pointer("ElectricLoad", names[bus], active[bus], LOAD_SERIES, periods))
    return json.dumps(records, indent=1) + "\n"


def _pointer(
    category: str, name: str, greatest: float, file: str, periods: Periods
) -> dict[str, object]:
    return {
        "simulation": "DAY_AHEAD" if periods.minutes == 60 else "REAL_TIME",
        "resolution": periods.minutes * 60,
        "category": category,
        "component_name": name,
        "module": "PowerSystems",
        "type": "SingleTimeSeries",
        "name": "max_active_power",
        "scaling_factor_multiplier": "get_max_active_power",
        "scaling_factor_multiplier_module": "PowerSystems",
        "normalization_factor": float(greatest),
        "data_file": file,
    }


def series_tables(grid: Grid, periods: Periods) -> dict[str, pd.DataFrame | str]:
    """MW of the limited units and of the loaded buses: Year, Month, Day, Period (from 1)."""
    starts = pd.DatetimeIndex(periods.starts())
    time = pd.DataFrame(
        {
            "Year": starts.year,
            "Month": starts.month,
            "Day": starts.day,
            "Period": (starts.hour * 60 + starts.minute) // periods.minutes + 1,
        }
    )
    limited = limited_units(grid, periods)
    units = pd.DataFrame(
        periods.available_mw[:, limited], columns=[str(i) for i in grid.generators.id[limited]]
    )
    loads = np.zeros((periods.count, len(grid.buses)))
    np.add.at(loads.T, grid.loads.bus, periods.load_mw.T)
    active, _ = bus_load(grid)
    loaded = np.flatnonzero(active > 0)
    names = bus_names(grid)
    buses = pd.DataFrame(loads[:, loaded], columns=[names[bus] for bus in loaded])
    return {UNIT_SERIES: time.join(units), LOAD_SERIES: time.join(buses)}
