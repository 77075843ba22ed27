"""Costs of MATPOWER's gencost table: polynomials up to the square, and piecewise linear ones."""

from __future__ import annotations

import numpy as np

from data_engineering.model.grid import Floats, Ints
from data_engineering.transformation.matpower_text import Statements, Table, fault

PIECEWISE, POLYNOMIAL = 1, 2
FIRST = 4
"""Column of the first coefficient or point."""


def cost_columns(case: Statements, count: int) -> dict[str, Floats]:
    """The columns of `Generators` that hold costs, of `count` units; zeros without a gencost.

    Raises:
        BadInput: rows that do not match the units, reactive costs, a cost that is neither
            piecewise linear nor a polynomial up to the square.
    """
    if "gencost" not in case.tables:
        nothing, no_points = np.zeros(count), np.full((count, 2), np.nan)
        return _columns(np.zeros((count, 3)), no_points, no_points.copy(), [nothing] * 3)
    table = case.tables["gencost"]
    if len(table) != count:
        reactive = count > 0 and len(table) == 2 * count
        remedy = f"give one row for each of the {count} rows of mpc.gen" + (
            "; costs of reactive power are not supported" if reactive else ""
        )
        line = case.lines["gencost"]
        raise fault(case.case_name, line, "gencost", f"{len(table)} rows", remedy)
    terms = _terms(table)
    points, costs = _points(table, terms)
    start = table["startup"] + table["shutdown"]
    return _columns(np.tile(start[:, None], 3), points, costs, _coefficients(table, terms))


def _columns(
    start: Floats, points: Floats, costs: Floats, coefficients: list[Floats]
) -> dict[str, Floats]:
    c0, c1, c2 = (each.copy() for each in coefficients)
    return {
        "start_cost_usd": start,
        "cost_mw": points,
        "cost_usd_per_h": costs,
        "cost_c2": c2,
        "cost_c1": c1,
        "cost_c0": c0,
    }


def _terms(table: Table) -> Ints:
    """How many coefficients or points each row has."""
    model, count = table["model"], table["n"]
    table.refuse(~np.isin(model, (PIECEWISE, POLYNOMIAL)), "model", "give 1 or 2")
    room = table.values.shape[1] - FIRST
    room_of_row = np.where(model == PIECEWISE, room // 2, room)
    least = np.where(model == PIECEWISE, 2, 1)
    whole = (count == np.round(count)) & (count >= least) & (count <= room_of_row)
    table.refuse(~whole, "n", f"give what the {room} columns of costs hold, 2 points at least")
    return count.astype(np.int64)


def _coefficients(table: Table, terms: Ints) -> list[Floats]:
    """c0, c1, c2 of every row, the highest first in the table; 0 where piecewise."""
    polynomial = table["model"] == POLYNOMIAL
    rows = np.arange(len(table))
    room = table.values.shape[1] - FIRST
    values = []
    for power in range(room):
        given = polynomial & (terms > power)
        place = np.where(given, FIRST + terms - 1 - power, FIRST)
        values.append(np.where(given, table.values[rows, place], 0.0))
        if power > 2:
            high = f"give a cost up to the square; this one has a term of order {power}"
            table.refuse(values[power] != 0.0, "n", high)
    return (values + [np.zeros(len(table))] * 3)[:3]


def _points(table: Table, terms: Ints) -> tuple[Floats, Floats]:
    """Points of the piecewise costs, each (rows, points), NaN elsewhere."""
    piecewise = table["model"] == PIECEWISE
    most = max(2, int(terms[piecewise].max(initial=0)))
    shown = piecewise[:, None] & (np.arange(most) < terms[:, None])
    points, costs = np.full((2, len(table), most), np.nan)
    pairs = table.values[:, FIRST:]
    width = min(most, pairs.shape[1] // 2)
    shown = shown[:, :width]
    points[:, :width][shown] = pairs[:, 0 : 2 * width : 2][shown]
    costs[:, :width][shown] = pairs[:, 1 : 2 * width : 2][shown]
    falls = np.any(np.diff(points, axis=1) <= 0.0, axis=1)
    table.refuse(falls, "n", "give points of rising power")
    return points.copy(), costs.copy()
