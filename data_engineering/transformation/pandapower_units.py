"""Everything that injects power in a pandapower net to `Generators`, with costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import Flags, Floats, Generators
from data_engineering.transformation.pandapower_tables import Tables, column, flags, names_of, texts

UNLIMITED_MW = 1e6
"""Stands for the limits that an external grid does not give."""
_REACTIVE_COSTS = ("cq2_eur_per_mvar2", "cq1_eur_per_mvar", "cq0_eur")
_UNITS = ("ext_grid", "gen", "sgen")


def set_points(tables: Tables) -> tuple[Floats, Floats]:
    """Voltage, p.u., and angle, degrees, of each bus; 1 and 0 where nothing holds them."""
    net, count = tables.net, len(tables.bus)
    voltage, angle = np.ones(count), np.zeros(count)
    lines = net.dcline[flags(net.dcline, "in_service", True)]
    for frame, end, name in (
        (lines, "to_bus", "vm_to_pu"),
        (lines, "from_bus", "vm_from_pu"),
        (net.gen[flags(net.gen, "in_service", True)], "bus", "vm_pu"),
        (net.ext_grid[flags(net.ext_grid, "in_service", True)], "bus", "vm_pu"),
    ):
        voltage[tables.rows(frame[end])] = column(frame, name, 1.0)
    outside = net.ext_grid[flags(net.ext_grid, "in_service", True)]
    angle[tables.rows(outside["bus"])] = column(outside, "va_degree", 0.0)
    return voltage, angle


def held_by_converters(tables: Tables, ours: bool) -> Flags:
    """Buses whose voltage a DC line holds, shape (buses,); none in a net that we wrote."""
    lines = tables.net.dcline
    held = np.zeros(len(tables.bus), dtype=np.bool_)
    if not ours:
        on = flags(lines, "in_service", True)
        held[tables.rows(lines["from_bus"][on])] = True
        held[tables.rows(lines["to_bus"][on])] = True
    return held


def read_units(tables: Tables, voltage: Floats, ours: bool) -> Generators:
    """External grids, generators, static generators and converters of DC lines.

    A unit without limits is fixed at its output, but for an external grid, which has
    `UNLIMITED_MW`. A static generator that is not controllable is fixed.

    Args:
        tables: of the net.
        voltage: set point of each bus, p.u.
        ours: the net was written from a grid, whose DC lines hold no voltages.

    Raises:
        BadInput: a cost of reactive power, of a load, storage or DC line, or one that is broken.
    """
    net = tables.net
    frames = [_frame(tables, name) for name in _UNITS]
    if not ours:
        frames += [_converters(tables, end) for end in ("from", "to")]
    units = pd.concat(frames, ignore_index=True)
    points, costs, polynomial = _costs(net, units["id"].tolist())
    number = {name: units[name].to_numpy(dtype=np.float64) for name in units if name not in _TEXTS}
    bus = units["bus"].to_numpy(dtype=np.int64)
    return Generators(
        id=units["id"].to_numpy(dtype=np.str_),
        bus=bus,
        kind=units["kind"].to_numpy(dtype=np.str_),
        p_mw=number["p"],
        q_mvar=number["q"],
        vm_pu=np.where(units["holds"], number["vm"], voltage[bus]),
        p_min_mw=number["p_min"],
        p_max_mw=number["p_max"],
        q_min_mvar=number["q_min"],
        q_max_mvar=number["q_max"],
        in_service=units["in_service"].to_numpy(dtype=np.bool_),
        cost_mw=points,
        cost_usd_per_h=costs,
        cost_c2=polynomial[:, 0].copy(),
        cost_c1=polynomial[:, 1].copy(),
        cost_c0=polynomial[:, 2].copy(),
        **_not_given(len(units)),
    )


def _not_given(count: int) -> dict[str, Any]:
    """What a net does not say of units: no fuel, no limits in time, no start costs or outages."""
    return {
        "fuel": np.full(count, "", dtype=np.str_),
        "ramp_mw_per_min": np.full(count, np.inf),
        "min_up_h": np.zeros(count),
        "min_down_h": np.zeros(count),
        "start_after_h": np.zeros((count, 3)),
        "start_cost_usd": np.zeros((count, 3)),
        "outage_rate": np.zeros(count),
    }


_TEXTS = ("id", "kind", "bus", "holds", "in_service")


def _frame(tables: Tables, table: str) -> pd.DataFrame:
    frame = tables.net[table]
    scaling = column(frame, "scaling", 1.0)
    p, q = column(frame, "p_mw", 0.0) * scaling, column(frame, "q_mvar", 0.0) * scaling
    free = flags(frame, "controllable", table != "sgen")
    wide = UNLIMITED_MW if table == "ext_grid" else p
    reactive = q if table == "sgen" else np.inf
    limits = {
        "p_min": column(frame, "min_p_mw", -wide if table == "ext_grid" else p),
        "p_max": column(frame, "max_p_mw", wide),
        "q_min": column(frame, "min_q_mvar", reactive if table == "sgen" else -np.inf),
        "q_max": column(frame, "max_q_mvar", reactive),
    }
    if table != "ext_grid":
        limits["p_min"] = np.where(free, limits["p_min"], p)
        limits["p_max"] = np.where(free, limits["p_max"], p)
    if table == "sgen":
        limits["q_min"] = np.where(free, limits["q_min"], q)
        limits["q_max"] = np.where(free, limits["q_max"], q)
    return pd.DataFrame(
        {
            "id": names_of(frame, table),
            "kind": texts(frame, "type") if table != "ext_grid" else "",
            "bus": tables.rows(frame["bus"]),
            "p": p,
            "q": q,
            "vm": column(frame, "vm_pu", 1.0),
            "holds": table != "sgen",
            "in_service": flags(frame, "in_service", True),
            **limits,
        }
    )


def _converters(tables: Tables, end: str) -> pd.DataFrame:
    """What holds the voltage at one end of the DC lines: a unit of no active power."""
    frame = tables.net.dcline
    nothing = np.zeros(len(frame))
    return pd.DataFrame(
        {
            "id": [f"{name}-{end}" for name in names_of(frame, "dcline")],
            "kind": "SYNC_COND",
            "bus": tables.rows(frame[f"{end}_bus"]),
            "p": nothing,
            "q": nothing,
            "vm": column(frame, f"vm_{end}_pu", 1.0),
            "holds": True,
            "in_service": flags(frame, "in_service", True),
            "p_min": nothing,
            "p_max": nothing,
            "q_min": column(frame, f"min_q_{end}_mvar", -np.inf),
            "q_max": column(frame, f"max_q_{end}_mvar", np.inf),
        }
    )


def _costs(net: Any, ids: Sequence[str]) -> tuple[Floats, Floats, Floats]:
    """Points and their costs, each (units, points), and polynomials (units, 3), highest first."""
    row = {name: place for place, name in enumerate(ids)}
    polynomial = np.zeros((len(ids), 3))
    powers = ("cp2_eur_per_mw2", "cp1_eur_per_mw", "cp0_eur")
    for index, cost in net.poly_cost.iterrows():
        if any(
            cost.get(name, 0.0) for name in ("cq2_eur_per_mvar2", "cq1_eur_per_mvar", "cq0_eur")
        ):
            raise BadInput(f"net.poly_cost {index}", "a cost of reactive power", "take it away")
        values = [float(cost[name]) for name in powers]
        place = _place(row, "poly_cost", index, cost, any(values))
        if place is not None:
            polynomial[place] = values
    given: dict[int, list[tuple[float, float]]] = {}
    for index, cost in net.pwl_cost.iterrows():
        if cost["power_type"] != "p":
            raise BadInput(f"net.pwl_cost {index}", "a cost of reactive power", "take it away")
        place = _place(row, "pwl_cost", index, cost, True)
        if place is not None:
            given[place] = _points(index, cost["points"])
    most = max([2, *(len(points) for points in given.values())])
    filled = np.full((2, len(ids), most), np.nan)
    for place, points in given.items():
        filled[:, place, : len(points)] = np.array(points).T
    return filled[0].copy(), filled[1].copy(), polynomial


def _place(
    row: dict[str, int], table: str, index: Any, cost: pd.Series, costly: bool
) -> int | None:
    """Row of the unit that a cost is of; None for a cost of nothing of another element."""
    name = f"{cost['et']}-{int(cost['element'])}"
    if name in row:
        return row[name]
    if costly:
        remedy = "give costs to elements of ext_grid, gen and sgen only"
        raise BadInput(f"net.{table} {index}", f"a cost of {name}", remedy)
    return None


def _points(index: Any, areas: Any) -> list[tuple[float, float]]:
    """Points of a cost whose slopes are given, as pandapower joins them."""
    points: list[tuple[float, float]] = []
    for low, high, slope in areas:
        if not points:
            points.append((low, low * slope))
        elif points[-1][0] != low:
            raise BadInput(f"net.pwl_cost {index}.points", low, "let each range begin at the last")
        points.append((high, points[-1][1] + (high - low) * slope))
    return points
