"""Small datasets for tests, written straight from samples and solutions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from solve_cases import pglib

from data_engineering.model.samples import Samples, joined
from data_engineering.scenarios import contract
from data_engineering.scenarios.case import prepare
from data_engineering.scenarios.config import Config, config_from
from data_engineering.scenarios.expand import expansion
from data_engineering.scenarios.sampler import sampler_of
from data_engineering.solvers.sample_kernels import kernel

RANDOM = {"type": "random", "k": 2, "n_topology_variants": 4}


def configuration(
    case: str = "case14_ieee", mode: str = "pf", scenarios: int = 3, **blocks: dict[str, Any]
) -> Config:
    """A configuration with some blocks given; light demand, so that all samples solve."""
    values: dict[str, Any] = {
        "network": {"name": case},
        "load": {"scenarios": scenarios, "sigma": 0.1, "global_range": 0.2},
        "topology_perturbation": RANDOM,
        "settings": {"mode": mode},
    } | blocks
    return config_from(values, "test")


def write_dataset(folder: Path, config: Config, partition: int = contract.PARTITION) -> int:
    """Solve and write all samples of a configuration; the number of the solved ones."""
    case = prepare(pglib(config.network.name))
    sampler = sampler_of(case, config, seed=1, upper_factor=0.8)
    dc = config.settings.include_dc_res
    solve = kernel(case.grid, config.settings.mode, dc=dc)
    pieces = [piece for load in range(sampler.count) for piece in sampler.samples(load)]
    samples = _joined_samples(pieces)
    solutions = joined([solve(piece) for piece in pieces])
    solved = np.flatnonzero(solutions.solved)
    tables = expansion(case)
    for number in range(-(-len(solved) // partition)):
        rows = solved[number * partition : (number + 1) * partition]
        first = number * partition
        found = tables.tables(samples.rows(rows), solutions.rows(rows), first, dc=dc)
        for table, columns in found.items():
            path = folder / contract.partition_file(table, number)
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.table(columns, contract.schema(table, dc)), path)
    (folder / "n_scenarios.txt").write_text(f"{len(solved)}\n")
    (folder / "args.log").write_text(f"\nNew generation started at now\n{config.as_yaml()}")
    _write_loads(folder / f"scenarios_{config.load.generator}.parquet", sampler)
    return len(solved)


def _joined_samples(pieces: list[Samples]) -> Samples:
    columns = {
        name: np.concatenate([getattr(piece, name) for piece in pieces])
        for name in Samples.__dataclass_fields__
    }
    return Samples(**columns)


def _write_loads(path: Path, sampler: Any) -> None:
    demands = [sampler.demand(load) for load in range(sampler.count)]
    buses = len(demands[0][0])
    columns = {
        "load_scenario": np.repeat(np.arange(sampler.count), buses),
        "load": np.tile(np.arange(buses), sampler.count),
        "p_mw": np.concatenate([p for p, _ in demands]),
        "q_mvar": np.concatenate([q for _, q in demands]),
    }
    pq.write_table(pa.table(columns), path)
