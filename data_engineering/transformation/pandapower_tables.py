"""A pandapower net with its pypower tables, and what of it a grid cannot hold.

Impedances, taps, shunts and the fusing of buses are pandapower's own, so that a power flow of the
grid is that of the net.
"""

from __future__ import annotations

import warnings
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import Flags, Floats, Ints, Texts

UNLIMITED = 99_999.0
"""Ratings from here on, kA or MVA, are none; what pandapower's converters write for none."""
MALFORMED = (ValueError, KeyError, TypeError, AttributeError, IndexError)
"""What reading a net raises that lacks a table or column, or has text in place of numbers."""
_REFUSED = (
    *("ward", "xward", "motor", "asymmetric_load", "asymmetric_sgen", "svc", "ssc", "tcsc", "vsc"),
    *("bus_dc", "line_dc", "source_dc", "load_dc", "vsc_stacked", "vsc_bipolar"),
)
_NEEDED = {
    "bus": ("vn_kv",),
    "load": ("bus", "p_mw"),
    "ext_grid": ("bus", "vm_pu"),
    "gen": ("bus", "p_mw"),
    "sgen": ("bus", "p_mw"),
    "shunt": ("bus", "q_mvar"),
    "storage": ("bus", "max_e_mwh"),
    "line": ("from_bus", "to_bus", "x_ohm_per_km"),
    "trafo": ("hv_bus", "lv_bus", "vk_percent"),
    "trafo3w": ("hv_bus", "mv_bus", "lv_bus", "vk_hv_percent"),
    "impedance": ("from_bus", "to_bus", "xft_pu"),
    "dcline": ("from_bus", "to_bus", "p_mw"),
}
"""Tables of a net with the columns that name buses, and one of values."""
_VOLTAGE_DEPENDENT = ("const_z_p_percent", "const_i_p_percent", "const_z_q_percent")


class BusColumns:
    """Columns of pandapower's pypower table of buses (pandapower.pypower.idx_bus)."""

    KIND, GS, BS, BASE_KV = 1, 4, 5, 9


class BranchColumns:
    """Columns of pandapower's pypower table of branches (pandapower.pypower.idx_brch)."""

    R, X, B, TAP, SHIFT, STATUS = 2, 3, 4, 8, 9, 10
    R_ASYM, X_ASYM, G, G_ASYM, B_ASYM = 21, 22, 23, 24, 25


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
        BadInput: the net has elements that a grid cannot hold, or is broken; says which.
    """
    _refuse(net)
    net = deepcopy(net)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandapower's, of columns that its own nets lack
        try:
            tables = _pypower(net)
        except MALFORMED as error:
            remedy = "look for the fault with pandapower.diagnostic"
            raise BadInput("pandapower net", f"{type(error).__name__}: {error}", remedy) from None
    bus, branch = (np.real(tables[name]).astype(np.float64) for name in ("bus", "branch"))
    lookups = net["_pd2ppc_lookups"]
    uneven = (branch[:, BranchColumns.R_ASYM] != 0.0) | (branch[:, BranchColumns.X_ASYM] != 0.0)
    for row in np.flatnonzero(uneven)[:1]:
        index = net.impedance.index[row - lookups["branch"]["impedance"][0]]
        remedy = "give it the same impedance in both directions"
        raise BadInput(f"net.impedance {index}", "two impedances", remedy)
    return _without_merged(Tables(net, bus, branch, np.asarray(lookups["bus"], dtype=np.int64)))


def _pypower(net: Any) -> Any:
    """Pypower's tables as a power flow with angles makes them; the net keeps the look-ups."""
    from pandapower.auxiliary import _add_ppc_options
    from pandapower.pd2ppc import _pd2ppc

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
    return _pd2ppc(net)[0]


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
    for table, columns in _NEEDED.items():
        frame = net.get(table)
        if not isinstance(frame, pd.DataFrame) or not set(columns) <= set(frame.columns):
            raise BadInput(f"net.{table}", "not whole", f"give a table of {', '.join(columns)}")
        for name in columns[:-1]:
            unknown = ~frame[name].isin(net.bus.index)
            for first in frame.index[unknown][:1]:
                value = str(frame.at[first, name])
                raise BadInput(f"net.{table} {first}.{name}", value, "name a bus of net.bus")
    for table in _REFUSED:
        if table in net and len(net[table]):
            remedy = "take them out or replace them by loads, shunts and generators"
            raise BadInput(f"net.{table}", f"{len(net[table])} elements", remedy)
    for name in (*_VOLTAGE_DEPENDENT, "const_i_q_percent"):
        for first in net.load.index[column(net.load, name, 0.0) != 0.0][:1]:
            share = float(net.load.at[first, name])
            raise BadInput(f"net.load {first}.{name}", share, "give loads of constant power")


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
