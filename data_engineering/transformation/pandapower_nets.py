"""pandapower nets to grids and back, without loss.

A net that was made from a grid carries the grid's document. Reading it takes each value that is
still as it was written from the document, and each value that was changed since from the net.
"""

from __future__ import annotations

import json
import re
from dataclasses import fields
from typing import Any

import numpy as np

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import Grid, Ints
from data_engineering.transformation.grid_document import grid_from_document, grid_to_document
from data_engineering.transformation.grid_parts import BUS_FIELDS, PARTS
from data_engineering.transformation.pandapower_read import (
    read_branches,
    read_buses,
    read_dc_lines,
    read_loads,
    read_storages,
)
from data_engineering.transformation.pandapower_tables import MALFORMED, tables_of
from data_engineering.transformation.pandapower_units import (
    held_by_converters,
    read_units,
    set_points,
)
from data_engineering.transformation.pandapower_write import Rows, write_net

DOCUMENT = "grid_document"
"""Entry of a net that holds the grid it was made from, as JSON text."""
_SAME = 1e-9
"""Relative change below which a number is as it was written: conversions and JSON round."""


_MODULE = re.compile(r'_module\\*"\s*:\s*\\*"([^"\\]*)')
"""Modules that a net names, in tables that are texts within the text too."""
_TRUSTED = ("pandapower", "pandas", "numpy", "builtins", "shapely", "networkx")


def net_from_json(text: str) -> Any:
    """The net that `pandapower.to_json` wrote.

    pandapower imports whatever modules such a text names; only those of nets and their tables are
    let through.

    Raises:
        BadInput: the text is no net of pandapower, or it names another module.
    """
    import pandapower

    for name in sorted(set(_MODULE.findall(text))):
        if name.partition(".")[0] not in _TRUSTED:
            raise BadInput("pandapower net: _module", name, "keep nets, tables and arrays only")
    try:
        net = pandapower.from_json_string(text)
    except (*MALFORMED, ImportError, UserWarning) as error:
        raise BadInput("pandapower net", str(error), "write it with pandapower.to_json") from None
    if not isinstance(net, pandapower.pandapowerNet):
        raise BadInput("pandapower net", type(net).__name__, "write it with pandapower.to_json")
    return net


def grid_from_pandapower(net: Any, case_name: str) -> Grid:
    """The grid of a net.

    Ids are table and index (`line-3`, `trafo3w-0-hv`), of a bus its index. Buses that closed
    switches join are one; a line with one open end keeps its charging; a transformer with an open
    switch is out of service. A DC line's converters are units that hold voltages. Set points of
    storages must be 0.

    Args:
        net: pandapower's net; it stays as it is.
        case_name: name of the case.

    Raises:
        BadInput: the net has elements that a grid cannot hold, such as wards; says which.
    """
    if DOCUMENT not in net:
        return _plain(net, case_name, ours=False)
    try:
        before = grid_from_document(json.loads(net[DOCUMENT]))
    except ValueError as error:
        raise BadInput(f"net.{DOCUMENT}", str(error), f"delete net.{DOCUMENT}") from None
    written, rows = write_net(before)
    then, now = _plain(written, case_name, ours=True), _plain(net, case_name, ours=True)
    return _merged(now, then, before, rows)


def grid_to_pandapower(grid: Grid) -> Any:
    """A net of the same power flow, which also carries the grid itself.

    pandapower's DC lines hold the voltages at their ends, which the grid's do not.
    """
    net, _ = write_net(grid)
    net[DOCUMENT] = json.dumps(grid_to_document(grid), allow_nan=False)
    return net


def _plain(net: Any, case_name: str, *, ours: bool) -> Grid:
    tables = tables_of(net)
    voltage, angle = set_points(tables)
    return Grid(
        case_name=case_name,
        base_mva=float(net.sn_mva),
        buses=read_buses(tables, voltage, angle, held_by_converters(tables, ours)),
        branches=read_branches(tables),
        generators=read_units(tables, voltage, ours),
        loads=read_loads(tables),
        storages=read_storages(tables),
        dc_lines=read_dc_lines(tables),
    )


def _merged(now: Grid, then: Grid, before: Grid, rows: Rows) -> Grid:
    """The net as it is, with what is as it was written taken from the grid it came from.

    Args:
        now: of the net.
        then: of the net as it was written.
        before: the grid that it was written from.
        rows: of `before`, by part and id in `then`.
    """
    orders = {part: _order(now, then, rows, part) for part in PARTS}
    final = {row: place for place, row in enumerate(orders["buses"][0].tolist())}
    old = {row: place for place, row in enumerate(orders["buses"][2].tolist()) if row >= 0}
    parts: dict[str, Any] = {}
    for part, kind in PARTS.items():
        here, there, was = orders[part]
        grids = ((now, here), (then, there), (before, was))
        columns = {}
        for field in fields(kind):
            name = field.name
            ours, theirs, first = (
                _pick(getattr(getattr(grid, part), name), order) for grid, order in grids
            )
            if name in BUS_FIELDS:
                same = now.buses.id[ours] == then.buses.id[theirs]
                ours = np.array([final[row] for row in ours.tolist()], dtype=np.int64)
                first = np.array([old.get(row, -1) for row in first.tolist()], dtype=np.int64)
                same &= first >= 0
            else:
                ours, theirs, first = _one_width(ours, theirs, first)
                same = _unchanged(ours, theirs)
            known = (was >= 0) & (same | (name == "id"))
            columns[name] = np.where(known.reshape(-1, *[1] * (ours.ndim - 1)), first, ours)
        parts[part] = kind(**columns)
    base = before.base_mva if now.base_mva == then.base_mva else now.base_mva
    return Grid(now.case_name, base, **parts)


def _order(now: Grid, then: Grid, rows: Rows, part: str) -> tuple[Ints, Ints, Ints]:
    """Rows in each grid of what the result has, in its order; -1 where a grid has it not.

    Elements of the first grid come first, in its order; what only the writing made is left out.
    """
    place = {name: row for row, name in enumerate(getattr(then, part).id.tolist())}
    found = []
    for row, name in enumerate(getattr(now, part).id.tolist()):
        if name in rows[part] or name not in place:
            first = rows[part].get(name, -1)
            found.append((first if first >= 0 else np.inf, row, place.get(name, -1), first))
    found.sort()
    table = np.array([each[1:] for each in found], dtype=np.int64).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2]


def _pick(values: Any, order: Ints) -> Any:
    """Values in an order; anything where it is -1."""
    if len(values) == 0:
        return np.zeros((len(order), *values.shape[1:]), dtype=values.dtype)
    return values[np.maximum(order, 0)]


def _one_width(*columns: Any) -> tuple[Any, ...]:
    """Columns of one width, filled with NaN."""
    if columns[0].ndim == 1:
        return columns
    width = max(column.shape[1] for column in columns)
    return tuple(
        np.pad(column, ((0, 0), (0, width - column.shape[1])), constant_values=np.nan)
        for column in columns
    )


def _unchanged(ours: Any, theirs: Any) -> Any:
    if ours.dtype.kind != "f":
        return ours == theirs
    same = np.isclose(ours, theirs, rtol=_SAME, atol=1e-12, equal_nan=True)
    return same.all(axis=1) if same.ndim == 2 else same
