"""Faults in files other than the tables, and in what the configuration says of the tables."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from planted_faults import (
    BRANCH,
    BUS,
    GEN,
    MATRIX,
    TIMES,
    Change,
    Columns,
    add_first,
    edit,
    read,
)


def _text(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / name
        text = path.read_text()
        assert old in text, text
        path.write_text(text.replace(old, new))

    return change


def _gone(pattern: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (path,) = folder.glob(pattern)
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return change


def _cut(pattern: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (path,) = folder.glob(pattern)
        path.write_bytes(path.read_bytes()[:-100])

    return change


def _scrambled(pattern: str) -> Callable[[Path], None]:
    """Damage the middle of a file, so that its footer can be read but not its pages."""

    def change(folder: Path) -> None:
        (path,) = folder.glob(pattern)
        data = bytearray(path.read_bytes())
        data[4 : len(data) // 2] = b"\xff" * (len(data) // 2 - 4)
        path.write_bytes(bytes(data))

    return change


def _again(table: str, number: int) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        first = folder / f"{table}.parquet" / "scenario_partition=0"
        shutil.copytree(first, first.with_name(f"scenario_partition={number}"))

    return change


def _loads(change: Change) -> Callable[[Path], None]:
    def change_file(folder: Path) -> None:
        (path,) = folder.glob("scenarios_*.parquet")
        columns = read(path)
        change(columns)
        pq.write_table(pa.table(columns), path)

    return change_file


def _sample_twice(folder: Path) -> None:
    """Write sample 1 in the place of sample 2."""
    for table in (BUS, GEN, BRANCH, MATRIX, TIMES):

        def change(columns: Columns) -> None:
            number = columns["scenario"]
            kept = [np.flatnonzero(number == (1 if s == 2 else s)) for s in np.unique(number)]
            counts = [len(rows) for rows in kept]
            for name in columns:
                columns[name] = columns[name][np.concatenate(kept)]
            columns["scenario"] = np.repeat(np.arange(len(counts)), counts)

        edit(folder, table, change)


@dataclass(frozen=True)
class FolderFault:
    """A fault in the files of a dataset of case 14 in pf mode, with what finds it."""

    name: str
    change: Callable[[Path], None]
    found_by: frozenset[str]


FOLDER_FAULTS = [
    FolderFault(name, change, frozenset(found_by))
    for name, change, *found_by in [
        ("wrong n_scenarios.txt", _text("n_scenarios.txt", "12", "13"), "scenario_count"),
        ("no n_scenarios.txt", _gone("n_scenarios.txt"), "scenario_count"),
        ("partition of one table missing", _gone("gen_data.parquet/*=0"), "partitions"),
        ("partition of one table too many", _again("branch_data", 1), "partitions"),
        ("end of a file missing", _cut("y_bus_data.parquet/*/*"), "readable"),
        ("middle of a file damaged", _scrambled("branch_data.parquet/*/*"), "readable"),
        ("a sample twice", _sample_twice, "variants"),
        ("no load table", _gone("scenarios_*"), "load_table"),
        (
            "load scenario not in the load table",
            _loads(lambda c: c["load_scenario"].__iadd__(1)),
            "load_table",
            "demand",
        ),
        ("demand of the load table", _loads(add_first("p_mw", 1.0)), "demand"),
        ("fewer outages configured", _text("args.log", "k: 2", "k: 1"), "outages"),
        ("no outages configured", _text("args.log", "type: random", "type: none"), "outages"),
        (
            "no outages of generators configured",
            _text("args.log", "[branch, gen]", "[branch]"),
            "outages",
        ),
    ]
]
