"""The parts of a grid by name, what their columns are made of, and parts with no elements."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar, get_type_hints

import numpy as np

from data_engineering.model.grid import Elements, Flags, Floats, Generators, Grid, Ints, Texts

PARTS: dict[str, type[Elements]] = {
    name: kind for name, kind in get_type_hints(Grid).items() if issubclass(kind, Elements)
}
BUS_FIELDS = ("bus", "from_bus", "to_bus")
DTYPES: dict[Any, Any] = {Floats: np.float64, Ints: np.int64, Flags: np.bool_, Texts: np.str_}
WIDE = {"start_after_h": 3, "start_cost_usd": 3, "cost_mw": 2, "cost_usd_per_h": 2}
"""Columns of units that have several values each, and how many at least."""

_Kind = TypeVar("_Kind", bound=Elements)


def no_elements(kind: type[_Kind]) -> _Kind:
    """Elements of a kind, none of them."""
    hints = get_type_hints(kind)
    columns = {field.name: np.zeros(0, DTYPES[hints[field.name]]) for field in fields(kind)}
    if kind is Generators:
        columns |= {name: np.zeros((0, width)) for name, width in WIDE.items()}
    return kind(**columns)
