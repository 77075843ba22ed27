"""Equality of grids, field by field, and grids with any values in them."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
from hypothesis import strategies as st

from data_engineering.model.grid import Elements, Grid


def assert_same_grid(ours: Grid, theirs: Grid) -> None:
    """Equal to the last bit; NaN equals NaN."""
    assert ours.case_name == theirs.case_name
    assert ours.base_mva == theirs.base_mva
    for part in fields(Grid):
        elements = getattr(ours, part.name)
        if not isinstance(elements, Elements):
            continue
        for field in fields(elements):
            a = getattr(elements, field.name)
            b = getattr(getattr(theirs, part.name), field.name)
            name = f"{part.name}.{field.name}"
            assert a.shape == b.shape, name
            assert a.dtype.kind == b.dtype.kind, name
            assert np.array_equal(a, b, equal_nan=a.dtype.kind == "f"), name


TEXTS = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S", "Zs"]), max_size=8)
NUMBERS = st.floats(width=64)


@st.composite
def with_any_values(draw, grid: Grid) -> Grid:
    """The grid with one to four columns of any values; what has rules of its own stays."""
    for _ in range(draw(st.integers(1, 4))):
        part = draw(st.sampled_from([f.name for f in fields(Grid) if f.name not in _PLAIN]))
        elements = getattr(grid, part)
        names = [f.name for f in fields(elements) if f.name not in _KEPT]
        name = draw(st.sampled_from(names))
        values = getattr(elements, name)
        kind = {"f": NUMBERS, "U": TEXTS, "b": st.booleans(), "i": st.integers(0, 9)}
        drawn = [draw(kind[values.dtype.kind]) for _ in range(values.size)]
        dtype = np.str_ if values.dtype.kind == "U" else values.dtype
        changed = np.array(drawn, dtype=dtype).reshape(values.shape)
        grid = replace(grid, **{part: replace(elements, **{name: changed})})
    return grid


_KEPT = ("id", "kind", "bus", "from_bus", "to_bus", "cost_mw")
_PLAIN = ("case_name", "base_mva")
