"""Standard elements of a pandapower net to the parts of a grid.

Impedances, taps, shunts and the fusing of buses are pandapower's own (its conversion to pypower's
tables), so that a power flow of the grid is that of the net. What pandapower adds, the star points
of three-winding transformers and the open ends of lines, become buses.
"""

from __future__ import annotations

import warnings
from copy import deepcopy
from dataclasses import dataclass
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

UNLIMITED = 99_999.0
"""Ratings from here on, kA or MVA, are none; what pandapower's converters write for none."""
_REFUSED = (
    *("ward", "xward", "motor", "asymmetric_load", "asymmetric_sgen", "svc", "ssc", "tcsc", "vsc"),
    *("bus_dc", "line_dc", "source_dc", "load_dc", "vsc_stacked", "vsc_bipolar"),
)
_VOLTAGE_DEPENDENT = ("const_z_p_percent", "const_i_p_percent", "const_z_q_percent")
_SIDES = ("hv", "mv", "lv")
_KIND, _GS, _BS, _BASE_KV = 1, 4, 5, 9
_R, _X, _B, _TAP, _SHIFT, _STATUS = 2, 3, 4, 8, 9, 10
_R_ASYM, _X_ASYM, _G, _G_ASYM, _B_ASYM = 21, 22, 23, 24, 25
"""Columns of pandapower's pypower tables (pandapower.pypower.idx_bus, idx_brch)."""


@dataclass(frozen=True, eq=False)
class Tables:
    """A net with its pypower tables.

    Attributes:
        net: pandapower's net, ours to change.
        bus, branch: pypower's tables.
        row: of pypower's bus table for each bus index of the net.
    """

    net: Any
    bus: Floats
    branch: Floats
    row: Ints

    def rows(self, buses: pd.Series) -> Ints:
        """Rows of the buses that a column names."""
        rows: Ints = self.row[buses.to_numpy(dtype=np.int64)]
        return rows


def tables_of(net: Any) -> Tables:
    """The pypower tables of a net.

    Raises:
        BadInput: the net has elements that a grid cannot hold, or names an unknown bus.
    """
    from pandapower.auxiliary import _add_ppc_options
    from pandapower.pd2ppc import _pd2ppc

    _refuse(net)
    net = deepcopy(net)
    net["_options"] = {}
    _add_ppc_options(
        net,
        calculate_voltage_angles=True,
        trafo_model="t",
        check_connectivity=False,
        mode="pf",
        switch_rx_ratio=2,
        init_vm_pu="flat",
        init_va_degree="flat",
        enforce_p_lims=False,
        enforce_q_lims=False,
        recycle=None,
        voltage_depend_loads=False,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandapower's, of columns that its own nets lack
        tables, _ = _pd2ppc(net)
    branch = np.real(tables["branch"]).astype(np.float64)
    lookup = np.asarray(net["_pd2ppc_lookups"]["bus"], dtype=np.int64)
    for row in np.flatnonzero((branch[:, _R_ASYM] != 0.0) | (branch[:, _X_ASYM] != 0.0))[:1]:
        remedy = "give it the same impedance in both directions"
        raise BadInput("net.impedance", f"row {row} of the branches", remedy)
    return _without_merged(Tables(net, tables["bus"].real.astype(np.float64), branch, lookup))


def _without_merged(tables: Tables) -> Tables:
    """Without the rows of buses that closed switches joined to others."""
    ends = tables.branch[:, :2].astype(np.int64)
    kept = np.zeros(len(tables.bus), dtype=np.bool_)
    kept[tables.row[tables.net.bus.index.to_numpy(dtype=np.int64)]] = True
    kept[ends.ravel()] = True
    place = np.cumsum(kept) - 1
    branch = tables.branch.copy()
    branch[:, :2] = place[ends]
    row = np.where(tables.row >= 0, place[tables.row], -1)
    return Tables(tables.net, tables.bus[kept], branch, row)


def _refuse(net: Any) -> None:
    for table in _REFUSED:
        if table in net and len(net[table]):
            remedy = "take them out or replace them by loads, shunts and generators"
            raise BadInput(f"net.{table}", f"{len(net[table])} elements", remedy)
    for column in (*_VOLTAGE_DEPENDENT, "const_i_q_percent"):
        if column in net.load and (net.load[column] != 0.0).any():
            first = net.load.index[net.load[column] != 0.0][0]
            value = float(net.load.at[first, column])
            raise BadInput(f"net.load {first}.{column}", value, "give loads of constant power")
    known = set(net.bus.index)
    ends = ("bus", "from_bus", "to_bus", "hv_bus", "mv_bus", "lv_bus")
    tables = ("load", "gen", "sgen", "ext_grid", "shunt", "storage", "line", "trafo", "trafo3w")
    for table in (*tables, "impedance", "dcline"):
        for column in (name for name in ends if name in net[table]):
            unknown = ~net[table][column].isin(known)
            for first in net[table].index[unknown][:1]:
                value = net[table].at[first, column]
                raise BadInput(f"net.{table} {first}.{column}", str(value), "name a bus of net.bus")


def column(frame: pd.DataFrame, name: str, default: float | Floats) -> Floats:
    """A column of numbers; the default where it is missing."""
    if name not in frame:
        return np.array(np.broadcast_to(default, len(frame)), dtype=np.float64)
    values = pd.to_numeric(frame[name], errors="coerce").to_numpy(dtype=np.float64)
    filled: Floats = np.where(np.isnan(values), default, values)
    return filled


def flags(frame: pd.DataFrame, name: str, default: bool) -> Flags:
    """A column of truth values; the default where it is missing."""
    if name not in frame:
        return np.full(len(frame), default)
    given = [default if pd.isna(each) else bool(each) for each in frame[name]]
    return np.array(given, dtype=np.bool_)


def texts(frame: pd.DataFrame, name: str, default: str = "") -> Texts:
    """A column of texts; the default where it is missing."""
    given = frame[name] if name in frame else [None] * len(frame)
    return np.array([default if pd.isna(each) else str(each) for each in given], dtype=np.str_)


def names_of(frame: pd.DataFrame, table: str) -> Texts:
    """Ids of the elements of a table: `line-3`."""
    return np.array([f"{table}-{index}" for index in frame.index], dtype=np.str_)


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
    ids = np.array([f"open-end-{row}" for row in range(count)], dtype="<U40")
    for index, row in zip(tables.net.trafo3w.index, _stars(tables), strict=True):
        ids[row] = f"trafo3w-{index}-star"
    ids[real] = [str(index) for index in frame.index[first[real]]]
    names = ids.astype(object)
    given = texts(frame, "name")[first[real]]
    names[real] = np.where(given == "", ids[real], given)
    zones = np.full(count, "1", dtype=object)
    zones[real] = texts(frame, "zone", "1")[first[real]]
    low, high = np.zeros(count), np.full(count, 2.0)
    low[real] = column(frame, "min_vm_pu", 0.0)[first[real]]
    high[real] = column(frame, "max_vm_pu", 2.0)[first[real]]
    kind = tables.bus[:, _KIND].astype(np.int64)
    shunt = _line_shunts(tables)
    return Buses(
        id=ids.astype(np.str_),
        name=names.astype(np.str_),
        kind=np.where((kind == PQ) & held, PV, kind),
        base_kv=tables.bus[:, _BASE_KV].copy(),
        vm_pu=set_point,
        va_deg=angle,
        vm_min_pu=low,
        vm_max_pu=high,
        gs_mw=tables.bus[:, _GS] + shunt.real * tables.net.sn_mva,
        bs_mvar=tables.bus[:, _BS] + shunt.imag * tables.net.sn_mva,
        area=np.full(count, "1", dtype=np.str_),
        zone=zones.astype(np.str_),
        latitude_deg=np.full(count, np.nan),
        longitude_deg=np.full(count, np.nan),
    )


def _stars(tables: Tables) -> Ints:
    """Rows of the star points of three-winding transformers."""
    aux = tables.net["_pd2ppc_lookups"].get("aux", {})
    stars: Ints = tables.row[np.asarray(aux.get("trafo3w", []), dtype=np.int64)]
    return stars


def _line_shunts(tables: Tables) -> np.ndarray:
    """What branches have beside a symmetric charging, at their ends: shape (buses,), p.u.

    Iron losses and leakage, and charging that differs between the ends.
    """
    branch, on = tables.branch, tables.branch[:, _STATUS] > 0
    ratio = np.where(branch[:, _TAP] == 0.0, 1.0, branch[:, _TAP])
    near = 0.5 * branch[:, _G] / ratio**2 * on
    far = 0.5 * (branch[:, _G] + branch[:, _G_ASYM] + 1j * branch[:, _B_ASYM]) * on
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
        r_pu=branch[:, _R].copy(),
        x_pu=branch[:, _X].copy(),
        b_pu=branch[:, _B].copy(),
        tap=np.where(branch[:, _TAP] == 0.0, 1.0, branch[:, _TAP]),
        shift_deg=branch[:, _SHIFT].copy(),
        rate_a_mva=rating,
        rate_b_mva=rating.copy(),
        rate_c_mva=rating.copy(),
        angle_min_deg=np.full(count, -np.inf),
        angle_max_deg=np.full(count, np.inf),
        in_service=branch[:, _STATUS] > 0,
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
