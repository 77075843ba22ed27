"""An exchange bundle as one HDF5 file: the same values, as plain datasets with units.

Layout, for readers such as HDF5.jl (which sees the axes of matrices the other way round):

    /                       attributes format, version, request_id, case_name, kind
    /options                attributes, by the keys of options.json; a group for each nested object
    /bus, /branch, ...      a dataset for each column; text is UTF-8, NA is NaN (no limit: Inf)
    /series/load, ...       `values` (T, elements), `ids`, `interval`
    /matpower/case.m        text
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from data_engineering.model.grid import Floats
from data_engineering.transformation.exchange_columns import (
    BRANCH,
    BUS,
    DC_BRANCH,
    GENERATOR,
    LOAD,
    STORAGE,
    UNITS,
    Column,
)
from data_engineering.transformation.exchange_csv import CsvTable

TABLES: Mapping[str, tuple[Column, ...]] = {
    "bus": BUS,
    "branch": BRANCH,
    "gen": GENERATOR,
    "dc_branch": DC_BRANCH,
    "storage": STORAGE,
    "load": LOAD,
    "contingencies": (),
}
TEXTS = ("Bus Type", "UID", "Branches", "Generators")
"""Columns of text that are not fields of the grid."""
FLAGS = ("Thermal", "Must Take")
WIDE = {
    "series/load": "MW",
    "series/available": "MW",
    "series/inflow": "MW",
    "series/reserve": "MW",
    "commitment/on": "0 or 1",
    "commitment/discharging": "0 or 1",
    "commitment/start_cost": "USD",
    "commitment/store_start_cost": "USD",
}


def bundle_hdf5(files: Mapping[str, str]) -> bytes:
    """The bytes of bundle.h5; equal bundles give equal bytes.

    Args:
        files: of the bundle by name, as `bundle_files` gives them.
    """
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        manifest = json.loads(files["manifest.json"])
        for name in ("format", "version", "request_id", "case_name", "kind"):
            file.attrs[name] = manifest[name]
        _attributes(file.create_group("options"), json.loads(files["options.json"]))
        for name, columns in TABLES.items():
            table = CsvTable.read(f"{name}.csv", files[f"{name}.csv"])
            _columns(file.create_group(name), table, columns)
        for name, unit in WIDE.items():
            if f"{name}.csv" in files:
                table = CsvTable.read(f"{name}.csv", files[f"{name}.csv"])
                _matrix(file.create_group(name), table, unit)
        _text(file, "matpower/case.m", files["matpower/case.m"])
    return buffer.getvalue()


def _attributes(group: Any, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, dict):
            _attributes(group.create_group(name), value)
        else:
            group.attrs[name] = value


def _columns(group: Any, table: CsvTable, columns: tuple[Column, ...]) -> None:
    known = {column.name: column for column in columns}
    for name in table.columns:
        column = known.get(name)
        if name in TEXTS or (column is not None and column.kind == "text"):
            _text(group, _plain(name), table.texts(name))
            continue
        if name in ("Bus ID", "From Bus", "To Bus"):
            values: Any = table.wholes(name)
        elif name in FLAGS or (column is not None and column.kind == "flag"):
            values = table.flags(name).astype(np.int8)
        else:
            values = _floats(table, name, column)
        dataset = group.create_dataset(_plain(name), data=values)
        if _plain(name) != name:
            dataset.attrs["column"] = name
        if unit := UNITS.get(name) or UNITS.get(name.rstrip(" 0123456789")):
            dataset.attrs["unit"] = unit


def _floats(table: CsvTable, name: str, column: Column | None) -> Floats:
    missing = np.nan if column is None or column.missing is None else column.missing
    return table.floats(name, missing)


def _plain(name: str) -> str:
    """A column's name without the slash, which parts the names of HDF5."""
    return name.replace("/", " per ")


def _matrix(group: Any, table: CsvTable, unit: str) -> None:
    ids = [name for name in table.columns if name != "Interval"]
    values = np.column_stack([table.floats(name) for name in ids] or [np.zeros((table.count, 0))])
    dataset = group.create_dataset("values", data=values)
    dataset.attrs["unit"] = unit
    group.create_dataset("interval", data=table.wholes("Interval"))
    _text(group, "ids", ids)


def _text(group: Any, name: str, words: str | list[str]) -> None:
    import h5py

    kind = h5py.string_dtype("utf-8")
    data = words if isinstance(words, str) else np.array(words, dtype=object)
    group.create_dataset(name, data=data, dtype=kind)
