"""Scenario datasets end to end, beside a loop of pandapower calls on the same samples, in one run.

    python tests/benchmarks/scenario_benchmark.py [MODE CASE LOAD_SCENARIOS]...

Each dataset is made by `lascopf scenarios generate` with the format's defaults (20 topology
variants of one outage, permuted costs, scaled impedances, DC results, everything written), in one
process and in two by turns. The rate counts the CPU time of all processes, their start included;
the rate of the loop counts pandapower's solver alone, on nets that stand ready. The greatest
difference of a voltage (pf) or the relative one of the cost (opf; `runopp` limits currents and no
angles) is told. Published for gridfm-datakit: 0.116 / 4.48 core-seconds for a pf sample of 118 /
2000 buses, 0.84 / 20.0 for an opf sample.
"""

from __future__ import annotations

import json
import logging
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))
from ac_opf_benchmark import pandapower_net as opf_net
from ac_opf_cases import pglib_grid
from pandapower_nets import pandapower_net, solve, voltages

from data_engineering.model.grid import REF, Grid
from data_engineering.scenarios.case import prepare

RUNS = (
    ("pf", "case118_ieee", 600),
    ("pf", "case2000_goc", 30),
    ("opf", "case118_ieee", 60),
    ("opf", "case2000_goc", 5),
)
ROUNDS, SINGLES = 3, 12
PUBLISHED = {
    ("pf", "case118_ieee"): 0.116,
    ("pf", "case2000_goc"): 4.48,
    ("opf", "case118_ieee"): 0.84,
    ("opf", "case2000_goc"): 20.0,
}
NO_ANSWER = ("opf", "case2000_goc")
"""pandapower's runopp does not converge there."""


@dataclass(frozen=True)
class Made:
    """One dataset: its folder, samples, wall and CPU seconds, peak memory of a worker in MB."""

    folder: Path
    samples: int
    wall: float
    cpu: float
    memory: float


def make(root: Path, mode: str, case: str, load_scenarios: int, processes: int) -> Made:
    config = {
        "network": {"name": case},
        "load": {"scenarios": load_scenarios},
        "topology_perturbation": {"type": "random", "k": 1, "n_topology_variants": 20},
        "generation_perturbation": {"type": "cost_permutation"},
        "admittance_perturbation": {"type": "random_perturbation", "sigma": 0.2},
        "settings": {"mode": mode, "data_dir": str(root), "seed": 1},
    }
    path = root / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    command = [Path(sys.executable).with_name("lascopf"), "scenarios", "generate", path]
    command += ["--replace", "--json", "--processes", str(processes)]
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    ended = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    wall = time.perf_counter() - begin
    after, told = resource.getrusage(resource.RUSAGE_CHILDREN), json.loads(ended.stdout)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Made(Path(told["folder"]), told["scenarios"], wall, cpu, told["worker_memory_mb"])


def table(folder: Path, name: str) -> pd.DataFrame:
    part = folder / f"{name}_data.parquet" / "scenario_partition=0"
    return pq.ParquetFile(next(part.glob("*.parquet"))).read().to_pandas().set_index("scenario")


def samples_of(folder: Path, case: str) -> list[tuple[Grid, pd.DataFrame, pd.DataFrame]]:
    """The first samples as grids of their own, with their rows of the bus and generator tables."""
    grid = prepare(pglib_grid(case)).grid
    buses, units, branches = (table(folder, name) for name in ("bus", "gen", "branch"))
    found = []
    for row in range(SINGLES):
        bus, unit, branch = buses.loc[row], units.loc[row], branches.loc[row]
        vm, va = bus["Vm"].to_numpy(), bus["Va"].to_numpy()
        sample = replace(
            grid,
            buses=replace(grid.buses, vm_pu=vm, va_deg=va),
            loads=replace(grid.loads, p_mw=bus["Pd"].to_numpy(), q_mvar=bus["Qd"].to_numpy()),
            generators=replace(
                grid.generators,
                p_mw=unit["p_mw"].to_numpy(),
                q_mvar=unit["q_mvar"].to_numpy(),
                vm_pu=vm[grid.generators.bus],
                in_service=unit["in_service"].to_numpy() == 1,
                cost_c0=unit["cp0_eur"].to_numpy(),
                cost_c1=unit["cp1_eur_per_mw"].to_numpy(),
                cost_c2=unit["cp2_eur_per_mw2"].to_numpy(),
            ),
            branches=replace(
                grid.branches,
                r_pu=branch["r"].to_numpy(),
                x_pu=branch["x"].to_numpy(),
                in_service=branch["br_status"].to_numpy() == 1,
            ),
        )
        found.append((sample, bus, unit))
    return found


def looped_flows(folder: Path, case: str) -> tuple[float, float]:
    """Median seconds of one `runpp`, and the greatest difference of a voltage, p.u."""
    seconds, differences = [], []
    for sample, bus, _ in samples_of(folder, case):
        net = pandapower_net(sample, int(np.flatnonzero(sample.buses.kind == REF)[0]))
        begin = time.process_time()
        solve(net, init="flat" if len(bus) < 1000 else "dc", lightsim2grid="auto")
        seconds.append(time.process_time() - begin)
        angle = np.deg2rad(bus["Va"].to_numpy())
        differences.append(np.abs(voltages(net) - bus["Vm"].to_numpy() * np.exp(1j * angle)).max())
    return statistics.median(seconds[1:]), max(differences)


def looped_opf(folder: Path, case: str) -> tuple[float, float]:
    """Median seconds of one `runopp`, and the greatest relative difference of the cost."""
    import pandapower

    seconds, differences = [], []
    for sample, _, unit in samples_of(folder, case):
        net: Any = opf_net(sample)
        begin = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pandapower.runopp(net, numba=False)
        seconds.append(time.process_time() - begin)
        p = unit["p_mw"]
        cost = unit["cp0_eur"] + unit["cp1_eur_per_mw"] * p + unit["cp2_eur_per_mw2"] * p**2
        ours = float(cost[unit["in_service"] == 1].sum())
        differences.append(abs(net.res_cost / ours - 1.0))
    return statistics.median(seconds[1:]), max(differences)


def compare(root: Path, mode: str, case: str, load_scenarios: int) -> None:
    made = {1: [], 2: []}
    for _ in range(ROUNDS):
        for processes, results in made.items():
            results.append(make(root, mode, case, load_scenarios, processes))
    last = made[2][-1]
    cpu = statistics.median(one.cpu / one.samples for one in made[1])
    pairs = zip(made[1], made[2], strict=True)
    faster = statistics.median(one.wall / two.wall for one, two in pairs)
    memory = max(one.memory for one in made[1] + made[2])
    if (mode, case) == NO_ANSWER:
        loop, difference = float("nan"), float("nan")
    else:
        loop, difference = (looped_flows if mode == "pf" else looped_opf)(last.folder, case)
    published = PUBLISHED.get((mode, case), float("nan"))
    print(
        f"{mode:4} {case:13} {last.samples:7,} {1 / cpu:9.1f} {cpu:9.4f} {loop / cpu:8.1f} "
        f"{difference:9.0e} {published / cpu:9.0f} {faster:6.2f} {memory:8.0f}",
        flush=True,
    )


def main(arguments: list[str]) -> None:
    logging.getLogger("pandapower").setLevel(logging.ERROR)
    asked = [
        (mode, case, int(count)) for mode, case, count in zip(*[iter(arguments)] * 3, strict=True)
    ]
    print(
        "mode case          samples  per core  core-s   /pandap. difference  /gridfm  2 procs "
        "worker MB"
    )
    for mode, case, count in asked or RUNS:
        with tempfile.TemporaryDirectory() as folder:
            compare(Path(folder), mode, case, count)


if __name__ == "__main__":
    main(sys.argv[1:])
