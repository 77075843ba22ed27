"""What a grid must satisfy before it is solved; the first fault is named with its element."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import numpy.typing as npt

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import REF, Elements, Grid

_MAY_BE_NAN = {"cost_mw", "cost_usd_per_h", "latitude_deg", "longitude_deg"}


def check_grid(grid: Grid) -> None:
    """Raise for the first fault of a grid.

    Raises:
        BadInput: a value is NaN, an id is not unique, there is no reference bus, a branch has no
            or a negative reactance, limits cross, or a cost is not convex.
    """
    for part in fields(grid):
        elements = getattr(grid, part.name)
        if isinstance(elements, Elements):
            _check_ids(part.name, elements)
            _check_numbers(part.name, elements)
    if not (grid.buses.kind == REF).any():
        raise BadInput("buses.kind", "no reference bus", "make one bus the reference (3)")
    branches, units, stores = grid.branches, grid.generators, grid.storages
    _refuse("branches", branches, "x_pu", branches.x_pu <= 0, "give a positive reactance")
    _refuse(
        "generators",
        units,
        "p_min_mw",
        units.p_min_mw > units.p_max_mw,
        "give a minimum at or below the maximum",
    )
    _refuse(
        "storages",
        stores,
        "energy_initial_mwh",
        stores.energy_initial_mwh > stores.energy_max_mwh,
        "give no more energy than the store holds",
    )
    slopes = np.diff(units.cost_usd_per_h, axis=1) / np.diff(units.cost_mw, axis=1)
    # Costs are cents, so a slope that falls by less than a cent per MWh is rounding.
    concave = np.any(np.diff(slopes, axis=1) < -0.01, axis=1)
    _refuse("generators", units, "cost_usd_per_h", concave, "give increasing slopes")


def _check_ids(part: str, elements: Elements) -> None:
    ids = elements.id  # type: ignore[attr-defined]
    known, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        raise BadInput(f"{part}.id", str(known[counts > 1][0]), "give each element its own id")


def _check_numbers(part: str, elements: Elements) -> None:
    for field in fields(elements):
        values = getattr(elements, field.name)
        if values.dtype.kind == "f" and field.name not in _MAY_BE_NAN:
            missing = np.any(np.isnan(values).reshape(len(values), -1), axis=1)
            _refuse(part, elements, field.name, missing, "give a number")


def _refuse(
    part: str, elements: Elements, field: str, wrong: npt.NDArray[np.bool_], remedy: str
) -> None:
    for row in np.flatnonzero(wrong)[:1]:
        name = elements.id[row]  # type: ignore[attr-defined]
        value = getattr(elements, field)[row]
        raise BadInput(f"{part} {name}.{field}", value, remedy)
