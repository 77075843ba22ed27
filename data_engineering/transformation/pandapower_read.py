"""Standard elements of a pandapower net to the parts of a grid, but for its units.

What pandapower adds, the star points of three-winding transformers and the open ends of lines,
become buses.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import (
    PQ,
    PV,
    Branches,
    Buses,
    DcLines,
    Flags,
    Floats,
    Ints,
    Loads,
    Storages,
    Texts,
)
from data_engineering.transformation.pandapower_tables import (
    UNLIMITED,
    BranchColumns,
    BusColumns,
    Tables,
    column,
    flags,
    names_of,
    texts,
)

_SIDES = ("hv", "mv", "lv")


def read_buses(tables: Tables, set_point: Floats, angle: Floats, held: Flags) -> Buses:
    """The buses; those that closed switches join are one, named after the first of them.

    Args:
        tables: of the net.
        set_point: voltage of each bus, p.u.
        angle: of each bus, degrees.
        held: buses whose voltage a DC line's converter holds.
    """
    frame, count = tables.net.bus, len(tables.bus)
    first = np.full(count, -1)
    first[tables.rows(pd.Series(frame.index))[::-1]] = np.arange(len(frame))[::-1]
    real = first >= 0
    ids = _bus_ids(tables, first)
    names = ids.astype(object)
    given = texts(frame, "name")[first[real]]
    names[real] = np.where(given == "", ids[real], given)
    zones = np.full(count, "1", dtype=object)
    zones[real] = texts(frame, "zone", "1")[first[real]]
    low, high = np.zeros(count), np.full(count, 2.0)
    low[real] = column(frame, "min_vm_pu", 0.0)[first[real]]
    high[real] = column(frame, "max_vm_pu", 2.0)[first[real]]
    kind = tables.bus[:, BusColumns.KIND].astype(np.int64)
    shunt = _line_shunts(tables)
    return Buses(
        id=ids,
        name=names.astype(np.str_),
        kind=np.where((kind == PQ) & held, PV, kind),
        base_kv=tables.bus[:, BusColumns.BASE_KV].copy(),
        vm_pu=set_point,
        va_deg=angle,
        vm_min_pu=low,
        vm_max_pu=high,
        gs_mw=tables.bus[:, BusColumns.GS] + shunt.real * tables.net.sn_mva,
        bs_mvar=tables.bus[:, BusColumns.BS] + shunt.imag * tables.net.sn_mva,
        area=np.full(count, "1", dtype=np.str_),
        zone=zones.astype(np.str_),
        latitude_deg=np.full(count, np.nan),
        longitude_deg=np.full(count, np.nan),
    )


def _bus_ids(tables: Tables, first: Ints) -> Texts:
    """Index of the first bus of the net in each row, or what pandapower added there."""
    ids = np.array([f"open-end-{row}" for row in range(len(first))], dtype=object)
    ids[_stars(tables)] = [f"trafo3w-{index}-star" for index in tables.net.trafo3w.index]
    ids[first >= 0] = [str(index) for index in tables.net.bus.index[first[first >= 0]]]
    return ids.astype(np.str_)


def _stars(tables: Tables) -> Ints:
    """Rows of the star points of three-winding transformers."""
    aux = tables.net["_pd2ppc_lookups"].get("aux", {})
    stars: Ints = tables.row[np.asarray(aux.get("trafo3w", []), dtype=np.int64)]
    return stars


def _line_shunts(tables: Tables) -> np.ndarray:
    """What branches have beside a symmetric charging, at their ends: shape (buses,), p.u.

    Iron losses and leakage, and charging that differs between the ends.
    """
    branch, of = tables.branch, BranchColumns
    on = branch[:, of.STATUS] > 0
    ratio = np.where(branch[:, of.TAP] == 0.0, 1.0, branch[:, of.TAP])
    near = 0.5 * branch[:, of.G] / ratio**2 * on
    far = 0.5 * (branch[:, of.G] + branch[:, of.G_ASYM] + 1j * branch[:, of.B_ASYM]) * on
    total = np.zeros(len(tables.bus), dtype=np.complex128)
    np.add.at(total, branch[:, 0].astype(np.int64), near)
    np.add.at(total, branch[:, 1].astype(np.int64), far)
    return total


def read_branches(tables: Tables) -> Branches:
    """Lines, transformers, impedances and switches with an impedance."""
    ids, ratings = [], []
    ranges = tables.net["_pd2ppc_lookups"]["branch"]
    for table, (start, end) in sorted(ranges.items(), key=lambda each: each[1]):
        frame, sides = tables.net[table], [""]
        if table == "trafo3w":
            sides = [f"-{side}" for side in _SIDES]
        if table == "switch":
            frame = frame[(frame["et"] == "b") & frame["closed"] & (frame["z_ohm"] > 0)]
        if len(frame) * len(sides) != end - start:
            raise BadInput(f"net.{table}", f"{end - start} branches", "convert its switches")
        for side in sides:
            ids += [f"{name}{side}" for name in names_of(frame, table)]
            ratings.append(_ratings(tables.net, table, frame, side))
    branch = tables.branch
    count = len(branch)
    rating = np.concatenate([*ratings, np.zeros(0)])
    rating[rating >= UNLIMITED] = np.inf
    return Branches(
        id=np.array(ids, dtype=np.str_),
        from_bus=branch[:, 0].astype(np.int64),
        to_bus=branch[:, 1].astype(np.int64),
        r_pu=branch[:, BranchColumns.R].copy(),
        x_pu=branch[:, BranchColumns.X].copy(),
        b_pu=branch[:, BranchColumns.B].copy(),
        tap=np.where(branch[:, BranchColumns.TAP] == 0.0, 1.0, branch[:, BranchColumns.TAP]),
        shift_deg=branch[:, BranchColumns.SHIFT].copy(),
        rate_a_mva=rating,
        rate_b_mva=rating.copy(),
        rate_c_mva=rating.copy(),
        angle_min_deg=np.full(count, -np.inf),
        angle_max_deg=np.full(count, np.inf),
        in_service=branch[:, BranchColumns.STATUS] > 0,
        outages_per_year=np.zeros(count),
        outage_hours=np.zeros(count),
    )


def _ratings(net: Any, table: str, frame: pd.DataFrame, side: str) -> Floats:
    share = column(frame, "max_loading_percent", 100.0) / 100.0
    if table == "line":
        current = column(frame, "max_i_ka", np.inf)
        current = np.where(current >= UNLIMITED, np.inf, current)
        kv = net.bus.loc[frame["from_bus"], "vn_kv"].to_numpy(dtype=np.float64)
        many = column(frame, "df", 1.0) * column(frame, "parallel", 1.0)
        limit: Floats = np.sqrt(3.0) * kv * current * many * share
        return limit
    if table == "trafo":
        many = column(frame, "df", 1.0) * column(frame, "parallel", 1.0)
        size = column(frame, "sn_mva", np.inf)
        return np.where(size >= UNLIMITED, np.inf, size * many) * share
    if table == "trafo3w":
        return column(frame, f"sn{side.replace('-', '_')}_mva", np.inf) * share
    return np.full(len(frame), np.inf)


def read_loads(tables: Tables) -> Loads:
    """The loads, scaled as the net says."""
    frame = tables.net.load
    scaling = column(frame, "scaling", 1.0)
    return Loads(
        id=names_of(frame, "load"),
        bus=tables.rows(frame["bus"]),
        p_mw=column(frame, "p_mw", np.nan) * scaling,
        q_mvar=column(frame, "q_mvar", 0.0) * scaling,
        in_service=flags(frame, "in_service", True),
    )


def read_storages(tables: Tables) -> Storages:
    """The storages, without losses.

    Raises:
        BadInput: a storage has an output of its own; a storage's output is decided, not given.
    """
    frame = tables.net.storage
    for name in ("p_mw", "q_mvar"):
        for index in frame.index[column(frame, name, 0.0) != 0.0][:1]:
            value = float(frame.at[index, name])
            remedy = "give 0, or make it a load: what a storage does is decided by the solver"
            raise BadInput(f"net.storage {index}.{name}", value, remedy)
    count = len(frame)
    size, least = column(frame, "sn_mva", 0.0), column(frame, "min_e_mwh", 0.0)
    most = column(frame, "max_e_mwh", np.nan)
    stored = column(frame, "soc_percent", 0.0) / 100.0 * most - least
    return Storages(
        id=names_of(frame, "storage"),
        bus=tables.rows(frame["bus"]),
        kind=np.full(count, "STORAGE", dtype=np.str_),
        charge_max_mw=np.maximum(column(frame, "max_p_mw", size), 0.0),
        discharge_max_mw=np.maximum(-column(frame, "min_p_mw", -size), 0.0),
        discharge_min_mw=np.zeros(count),
        start_cost_usd=np.zeros(count),
        energy_max_mwh=most - least,
        energy_initial_mwh=np.maximum(stored, 0.0),
        charge_efficiency=np.ones(count),
        discharge_efficiency=np.ones(count),
        q_min_mvar=column(frame, "min_q_mvar", 0.0),
        q_max_mvar=column(frame, "max_q_mvar", 0.0),
        vm_pu=np.ones(count),
        in_service=flags(frame, "in_service", True),
    )


def read_dc_lines(tables: Tables) -> DcLines:
    """The DC lines."""
    frame = tables.net.dcline
    count = len(frame)
    return DcLines(
        id=names_of(frame, "dcline"),
        from_bus=tables.rows(frame["from_bus"]),
        to_bus=tables.rows(frame["to_bus"]),
        p_mw=column(frame, "p_mw", 0.0),
        p_min_mw=np.minimum(column(frame, "p_mw", 0.0), np.zeros(count)),
        p_max_mw=column(frame, "max_p_mw", np.abs(column(frame, "p_mw", 0.0))),
        loss_fixed_mw=column(frame, "loss_mw", 0.0),
        loss_share=column(frame, "loss_percent", 0.0) / 100.0,
        in_service=flags(frame, "in_service", True),
    )
