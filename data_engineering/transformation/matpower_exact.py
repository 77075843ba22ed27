"""Values of a grid that MATPOWER's standard tables cannot hold, in tables `grid.PART.FIELD`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any, get_type_hints

import numpy as np

from data_engineering.model.grid import Grid, Ints, Texts
from data_engineering.transformation.grid_parts import BUS_FIELDS, DTYPES, PARTS, WIDE
from data_engineering.transformation.matpower_columns import EXACT
from data_engineering.transformation.matpower_text import Statements, Table, fault


def with_exact(grid: Grid, case: Statements, positions: Callable[[Table, str], Ints]) -> Grid:
    """The grid with the values of the tables `grid.PART.FIELD` in place of the standard ones.

    Args:
        grid: of the standard tables.
        case: the whole case.
        positions: `(table, column) -> rows` of the buses whose numbers stand in a column.

    Raises:
        BadInput: a table is of another kind or length than its part of the grid.
    """
    if not any(name.startswith(EXACT) for name in case.lines):
        return grid
    parts: dict[str, Any] = {}
    for part, kind in PARTS.items():
        hints = get_type_hints(kind)
        columns = {}
        for field in fields(kind):
            name = f"{EXACT}{part}.{field.name}"
            if name not in case.lines:
                columns[field.name] = getattr(getattr(grid, part), field.name)
            elif hints[field.name] == Texts:
                columns[field.name] = np.array(_texts(case, name), dtype=np.str_)
            elif field.name in BUS_FIELDS:
                columns[field.name] = positions(_numbers(case, name), "value")
            elif part == "generators" and field.name in WIDE:
                columns[field.name] = _numbers(case, name).values
            else:
                values = _numbers(case, name).values.ravel()
                columns[field.name] = values.astype(DTYPES[hints[field.name]])
        parts[part] = kind(**columns)
    return Grid(grid.case_name, grid.base_mva, **parts)


def _texts(case: Statements, name: str) -> list[str]:
    if name not in case.texts:
        raise fault(case.case_name, case.lines[name], name, "numbers", "give texts in braces")
    return case.texts[name]


def _numbers(case: Statements, name: str) -> Table:
    if name not in case.tables:
        raise fault(case.case_name, case.lines[name], name, "a text", "give numbers in brackets")
    return case.tables[name]
