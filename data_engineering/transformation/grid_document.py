"""A `Grid` as the JSON document of `network_topology.system_data`, and back, without loss.

Elements are lists of objects that name buses by id, so that SQL can read them. JSON has no NaN and
no infinity: NaN is null, infinity the text "inf" or "-inf".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_type_hints

import numpy as np

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import Elements, Floats, Grid
from data_engineering.transformation.grid_parts import BUS_FIELDS, DTYPES, PARTS, no_elements

FORMAT = 1


def grid_to_document(grid: Grid) -> dict[str, Any]:
    """The whole grid as JSON values; equal grids give equal documents."""
    document: dict[str, Any] = {
        "format": FORMAT,
        "case_name": grid.case_name,
        "base_mva": grid.base_mva,
    }
    bus_ids = grid.buses.id.tolist()
    for part in PARTS:
        elements = getattr(grid, part)
        columns = {
            field.name: _plain(field.name, getattr(elements, field.name), bus_ids)
            for field in fields(elements)
        }
        names = list(columns)
        document[part] = [
            dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)
        ]
    return document


def grid_from_document(document: Mapping[str, Any]) -> Grid:
    """The grid that `grid_to_document` wrote.

    Raises:
        BadInput: another format, or a part, field or bus that is missing.
    """
    if document.get("format") != FORMAT:
        raise BadInput("system_data.format", document.get("format"), f"give format {FORMAT}")
    try:
        index = {bus["id"]: row for row, bus in enumerate(document["buses"])}
        parts = {name: _elements(kind, document[name], index) for name, kind in PARTS.items()}
        return Grid(document["case_name"], float(document["base_mva"]), **parts)
    except KeyError as missing:
        raise BadInput("system_data", missing.args[0], "give every part and field") from None
    except (TypeError, ValueError) as wrong:
        remedy = "give lists of objects whose values are of the fields' kinds"
        raise BadInput("system_data", str(wrong), remedy) from None


def _plain(name: str, values: Any, bus_ids: list[str]) -> list[Any]:
    if name in BUS_FIELDS:
        return [bus_ids[row] for row in values]
    if values.dtype.kind == "f":
        return [_to_json(value) for value in values.tolist()]
    return list(values.tolist())


def _to_json(value: float | list[float]) -> Any:
    if isinstance(value, list):
        return [_to_json(each) for each in value]
    if math.isfinite(value):
        return value
    return None if math.isnan(value) else str(value)


def _elements(kind: type[Elements], rows: list[dict[str, Any]], index: dict[str, int]) -> Any:
    if len(rows) == 0:
        return no_elements(kind)
    hints = get_type_hints(kind)
    columns: dict[str, Any] = {}
    for field in fields(kind):
        values = [row[field.name] for row in rows]
        if field.name in BUS_FIELDS:
            columns[field.name] = np.array([index[value] for value in values], dtype=np.int64)
        elif hints[field.name] == Floats:
            columns[field.name] = np.array([_from_json(each) for each in values], dtype=float)
        else:
            columns[field.name] = np.array(values, dtype=DTYPES[hints[field.name]])
    return kind(**columns)


def _from_json(value: Any) -> Any:
    if isinstance(value, list):
        return [_from_json(each) for each in value]
    return math.nan if value is None else float(value)
