"""How many samples a second the pipeline of scenario datasets sustains without solving.

    python tests/benchmarks/scenario_writing_benchmark.py [CASE] [PARTITIONS]

On one core, partition by partition: draw samples with 20 topology variants a load scenario, give
them solutions that are random numbers (not counted), write them as a part, read the part, expand
it and write the five tables to files. Beside it, in the same run, a plain loop that writes the
same rows, expanded before, by `pandas.DataFrame.to_parquet`. Medians of CPU time; the first
partition warms up. The memory is the peak before pandas begins.
"""

from __future__ import annotations

import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from data_engineering.model.samples import Samples, Solutions
from data_engineering.scenarios import contract
from data_engineering.scenarios.case import ScenarioCase, prepare
from data_engineering.scenarios.config import config_from
from data_engineering.scenarios.dataset import write_tables
from data_engineering.scenarios.expand import expansion
from data_engineering.scenarios.parts import open_part, together, write_part
from data_engineering.scenarios.sampler import Sampler, sampler_of
from tests.scenario_samples import solutions_of
from tests.solve_cases import pglib

ASKED = 3_000
"""Samples a second that are asked for at 118 buses."""

VARIANTS = 20
PER_PARTITION = contract.PARTITION // VARIANTS


class Times(NamedTuple):
    """CPU seconds of a partition; and what was in memory at most, in MB, before the plain loop."""

    draw: float
    keep: float
    write: float
    plain: float
    peak_mb: float


def sampler(case: ScenarioCase, name: str, partitions: int) -> Sampler:
    given = {
        "network": {"name": name},
        "load": {"scenarios": (partitions + 1) * PER_PARTITION},
        "topology_perturbation": {"type": "random", "n_topology_variants": VARIANTS},
        "settings": {"mode": "pf"},
    }
    return sampler_of(case, config_from(given, "the benchmark"), 0, 1.2)


def cpu_seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    begin = time.process_time()
    result = work()
    return time.process_time() - begin, result


def write_frames(tables: dict[str, Any], folder: Path) -> None:
    """The plain loop: a frame for each table."""
    for name, columns in tables.items():
        frame = pd.DataFrame(columns)
        frame.to_parquet(folder / f"{name}.plain", compression="zstd", index=False)


def one_partition(case: ScenarioCase, draws: Sampler, number: int, folder: Path) -> Times:
    numbers = range(number * PER_PARTITION, (number + 1) * PER_PARTITION)
    rng = np.random.default_rng(number)

    def part(pieces: list[tuple[Samples, Solutions]]) -> None:
        with (folder / "part").open("wb") as stream:
            write_part(stream, pieces)

    def rows() -> Iterator[tuple[Samples, Solutions]]:
        yield from open_part(folder / "part").rows(0, contract.PARTITION)

    def output(name: str) -> AbstractContextManager[IO[bytes]]:
        return (folder / name).open("wb")

    draw, drawn = cpu_seconds(lambda: [each for n in numbers for each in draws.samples(n)])
    pieces = [(given, solutions_of(given, rng)) for given in drawn]
    keep, _ = cpu_seconds(lambda: part(pieces))
    write, _ = cpu_seconds(lambda: write_tables(case, number, rows(), output, dc=True))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    tables = expansion(case).tables(*together(list(rows())), number * contract.PARTITION, dc=True)
    plain, _ = cpu_seconds(lambda: write_frames(tables, folder))
    return Times(draw, keep, write, plain, peak_mb)


def main(name: str = "case118_ieee", partitions: int = 15) -> None:
    pa.set_cpu_count(1)
    case = prepare(pglib(name))
    draws = sampler(case, name, partitions)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        times = [one_partition(case, draws, number, folder) for number in range(partitions + 1)]
        sizes = {
            label: sum((folder / file).stat().st_size for file in files) / contract.PARTITION
            for label, files in (
                ("part", ["part"]),
                ("tables", contract.TABLES),
                ("pandas", [f"{table}.plain" for table in contract.TABLES]),
            )
        }
    draw, keep, write, plain, _ = (
        statistics.median(column) / contract.PARTITION for column in zip(*times[1:], strict=True)
    )
    whole = draw + keep + write
    print(f"{name}: medians of {partitions} partitions of {contract.PARTITION} samples, one core")
    for label, seconds in (
        ("draw samples", draw),
        ("write parts", keep),
        ("read parts, expand, write five tables", write),
        ("all of it", whole),
        ("pandas writes rows expanded before", plain),
    ):
        print(f"  {label:38} {1 / seconds:9.0f} samples/s")
    if name == "case118_ieee":
        print(f"  all of it to the {ASKED} samples/s asked for: {1 / whole / ASKED:.2f}")
    print(f"  read, expand and write to pandas' writing alone: {plain / write:.2f}")
    print("  bytes a sample: " + ", ".join(f"{key} {size:.0f}" for key, size in sizes.items()))
    print(f"  peak memory of the first partition: {times[0].peak_mb:.0f} MB")


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:3]))
