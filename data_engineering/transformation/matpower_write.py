"""A `Grid` as a MATPOWER case file (format 2), without loss.

The standard tables hold what they can: sums of the loads at each bus, one start cost, no ids.
Whatever reading them back would not give is added in tables `grid.PART.FIELD`, which MATPOWER keeps
and ignores and `grid_from_matpower` reads. Storages have no standard table and stand there alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

import numpy as np

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import Floats, Grid, Ints, Texts
from data_engineering.transformation.grid_parts import BUS_FIELDS, PARTS
from data_engineering.transformation.matpower import grid_from_matpower
from data_engineering.transformation.matpower_columns import COLUMNS, EXACT, FULL_TURN_DEG
from data_engineering.transformation.matpower_costs import PIECEWISE, POLYNOMIAL

_NOTE = """\
% Written from a grid model. The tables mpc.grid.PART.FIELD hold what the standard tables cannot;
% MATPOWER ignores them. Storages stand there alone.
"""


def grid_to_matpower(grid: Grid) -> str:
    """The text of a case file; reading it gives an equal grid.

    Raises:
        BadInput: an id, name or the like has more than one line.
    """
    numbers = _bus_numbers(grid.buses.id)
    standard = _standard(grid, numbers)
    again = grid_from_matpower(standard, grid.case_name)
    return standard + "".join(_exact(grid, again, numbers))


def _bus_numbers(ids: Texts) -> Ints:
    """The ids where they are numbers, else 1 to n."""
    if all(re.fullmatch(r"[1-9][0-9]{0,14}", name) for name in ids.tolist()):
        return ids.astype(np.int64)
    return np.arange(1, len(ids) + 1)


def _standard(grid: Grid, numbers: Ints) -> str:
    units = grid.generators
    name = re.sub(r"\W", "_", grid.case_name, flags=re.ASCII)
    blocks = [
        f"function mpc = {name if name[:1].isalpha() else f'case_{name}'}\n{_NOTE}",
        f"mpc.version = '2';\nmpc.baseMVA = {grid.base_mva!r};\n",
        _table("bus", _bus(grid, numbers)),
        _table("gen", _gen(grid, numbers)),
        _table("branch", _branch(grid, numbers)),
    ]
    if len(units):
        blocks.append(_table("gencost", _gencost(grid)))
    if len(grid.dc_lines):
        blocks.append(_table("dcline", _dcline(grid, numbers)))
    if (grid.buses.name != numbers.astype(np.str_)).any():
        blocks.append(_cells("bus_name", grid.buses.name))
    for column, texts in (("gentype", units.kind), ("genfuel", units.fuel)):
        if (texts != "").any():
            blocks.append(_cells(column, texts))
    return "\n".join(blocks)


def _bus(grid: Grid, numbers: Ints) -> list[Any]:
    buses, loads, count = grid.buses, grid.loads, len(grid.buses)
    on = loads.in_service
    return [
        numbers,
        buses.kind,
        np.bincount(loads.bus[on], loads.p_mw[on], count),
        np.bincount(loads.bus[on], loads.q_mvar[on], count),
        buses.gs_mw,
        buses.bs_mvar,
        _codes(buses.area),
        buses.vm_pu,
        buses.va_deg,
        buses.base_kv,
        _codes(buses.zone),
        buses.vm_max_pu,
        buses.vm_min_pu,
    ]


def _codes(texts: Texts) -> Ints:
    """Areas and zones as numbers: their own, or their place among the sorted texts."""
    if all(re.fullmatch(r"0|[1-9][0-9]{0,14}", text) for text in texts.tolist()):
        return texts.astype(np.int64)
    return np.unique(texts, return_inverse=True)[1] + 1


def _gen(grid: Grid, numbers: Ints) -> list[Any]:
    units = grid.generators
    nothing = np.zeros(len(units))
    return [
        numbers[units.bus],
        units.p_mw,
        units.q_mvar,
        units.q_max_mvar,
        units.q_min_mvar,
        units.vm_pu,
        np.full(len(units), grid.base_mva),
        units.in_service.astype(np.int64),
        units.p_max_mw,
        units.p_min_mw,
        *[nothing] * 6,
        np.where(np.isinf(units.ramp_mw_per_min), 0.0, units.ramp_mw_per_min),
        *[nothing] * 4,
    ]


def _branch(grid: Grid, numbers: Ints) -> list[Any]:
    branches = grid.branches
    ratings = (branches.rate_a_mva, branches.rate_b_mva, branches.rate_c_mva)
    return [
        numbers[branches.from_bus],
        numbers[branches.to_bus],
        branches.r_pu,
        branches.x_pu,
        branches.b_pu,
        *[np.where(np.isinf(rating), 0.0, rating) for rating in ratings],
        np.where((branches.tap == 1.0) & (branches.shift_deg == 0.0), 0.0, branches.tap),
        branches.shift_deg,
        branches.in_service.astype(np.int64),
        np.maximum(branches.angle_min_deg, -FULL_TURN_DEG),
        np.minimum(branches.angle_max_deg, FULL_TURN_DEG),
    ]


def _gencost(grid: Grid) -> list[Any]:
    """Polynomials have 3 coefficients, piecewise costs their points; rows are filled with 0."""
    units = grid.generators
    given = np.isfinite(units.cost_mw)
    piecewise = given[:, :1].any(axis=1)
    pairs = np.stack([units.cost_mw, units.cost_usd_per_h], axis=2).reshape(len(units), -1)
    room = max(3, 2 * int(given.sum(axis=1).max(initial=0)))
    costs = np.zeros((len(units), room))
    costs[:, : pairs.shape[1]] = np.nan_to_num(pairs[:, :room])
    polynomial = np.column_stack([units.cost_c2, units.cost_c1, units.cost_c0])
    costs[~piecewise, :3] = polynomial[~piecewise]
    return [
        np.where(piecewise, PIECEWISE, POLYNOMIAL),
        units.start_cost_usd[:, -1],
        np.zeros(len(units)),
        np.where(piecewise, given.sum(axis=1), 3),
        *costs.T,
    ]


def _dcline(grid: Grid, numbers: Ints) -> list[Any]:
    lines = grid.dc_lines
    nothing = np.zeros(len(lines))
    return [
        numbers[lines.from_bus],
        numbers[lines.to_bus],
        lines.in_service.astype(np.int64),
        lines.p_mw,
        lines.p_mw * (1.0 - lines.loss_share) - lines.loss_fixed_mw,
        nothing,
        nothing,
        grid.buses.vm_pu[lines.from_bus],
        grid.buses.vm_pu[lines.to_bus],
        lines.p_min_mw,
        lines.p_max_mw,
        *[nothing] * 4,
        lines.loss_fixed_mw,
        lines.loss_share,
    ]


def _table(name: str, columns: Iterable[Any]) -> str:
    names = "\t".join(COLUMNS.get(name, ()))
    return f"%\t{names}\n{_numbers(name, columns)}"


def _numbers(name: str, columns: Iterable[Any]) -> str:
    """Every number in the shortest form that reads back the same."""
    words = [[repr(value) for value in column.tolist()] for column in columns]
    rows = "".join("\t" + "\t".join(row) + ";\n" for row in zip(*words, strict=True))
    return f"mpc.{name} = [\n{rows.replace('inf', 'Inf').replace('nan', 'NaN')}];\n"


def _cells(name: str, texts: Texts) -> str:
    for text in texts.tolist():
        if "\n" in text or "\r" in text:
            raise BadInput(name, text, "give it one line")
    quoted = [text.replace("'", "''") for text in texts.tolist()]
    return f"mpc.{name} = {{\n" + "".join(f"\t'{text}';\n" for text in quoted) + "};\n"


def _exact(grid: Grid, again: Grid, numbers: Ints) -> Iterable[str]:
    """Tables of the fields in which the grid that was read back differs."""
    for part in PARTS:
        ours, theirs = getattr(grid, part), getattr(again, part)
        for field in fields(ours):
            values = getattr(ours, field.name)
            if len(ours) == len(theirs) and _same(values, getattr(theirs, field.name)):
                continue
            name = f"{EXACT}{part}.{field.name}"
            if values.dtype.kind == "U":
                yield _cells(name, values)
            elif field.name in BUS_FIELDS:
                yield _numbers(name, [numbers[values]])
            else:
                plain: Floats | Ints = values.astype(np.int64) if values.dtype == bool else values
                yield _numbers(name, plain.T if plain.ndim == 2 else [plain])


def _same(ours: Any, theirs: Any) -> bool:
    if len(ours) == 0:
        return True
    return np.array_equal(ours, theirs, equal_nan=ours.dtype.kind == "f")
