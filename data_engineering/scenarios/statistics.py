"""Statistics of a dataset's samples: elements in service, loading, imbalance, run times.

Metrics and columns are those of gridfm-datakit, whose names say nothing of units: imbalances are
MW and Mvar, run times milliseconds, loading a share of the rating.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data_engineering.model.grid import Floats, Ints
from data_engineering.scenarios.contract import columns
from data_engineering.scenarios.coverage import Counts, Coverage, write_coverage
from data_engineering.scenarios.slices import (
    Slice,
    alike_rows,
    chosen_partitions,
    dataset_partitions,
    has_dc,
    readable,
    slices,
    summed,
)

OVERLOAD = 1.01
LOADING_STEP, LOADING_BINS = 0.01, 400
"""Bins of the loading of single branches; what is above the last one is counted in it."""
TABLES = ("bus_data", "gen_data", "branch_data", "runtime_data")
UNREAD = frozenset(("load_scenario_idx", "vn_kv", "min_vm_pu", "max_vm_pu", "ang_min", "ang_max"))

Metrics = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Statistics:
    """What was found of a dataset.

    Attributes:
        folder: the dataset.
        partitions: numbers of those looked at.
        of: how many there are.
        metrics: columns of `stats.parquet`, one value a sample.
        loadings: number of branches in service by their loading, in steps of `LOADING_STEP`.
        coverage: of the features.
        files: what was written.
    """

    folder: Path
    partitions: tuple[int, ...]
    of: int
    metrics: Metrics
    loadings: Ints
    coverage: Coverage
    files: tuple[Path, ...]


def write_statistics(
    folder: Path,
    *,
    n_partitions: int = 100,
    sn_mva: float = 100.0,
    progress: Callable[[int, int], None] | None = None,
) -> Statistics:
    """Write `stats.parquet`, `stats_plot.png`, `stats_plot.html` and the coverage of a dataset.

    Args:
        folder: the raw folder of the dataset, which gets the files.
        n_partitions: how many partitions to look at, always the same; 0: all.
        sn_mva: base power of per-unit values, MVA.
        progress: called with the number of partitions done and to do.

    Raises:
        BadInput: the folder holds no dataset, or its tables do not fit together.
        SourceFileBroken: a file cannot be read.
    """
    from data_engineering.scenarios.statistics_plots import write_page, write_picture

    numbers = dataset_partitions(folder)
    chosen = chosen_partitions(numbers, n_partitions)
    # What another program or another choice of partitions left there would count twice.
    shutil.rmtree(folder / "stats.parquet", ignore_errors=True)
    found, loadings = [], np.zeros(LOADING_BINS, dtype=np.int64)
    counts = Counts(has_dc(folder, numbers))
    for done, number in enumerate(chosen, start=1):
        with readable(folder):
            found.append(_of_partition(folder, number, sn_mva, counts, loadings))
        _write_partition(folder, number, found[-1])
        if progress is not None:
            progress(done, len(chosen))
    metrics, coverage, files = _joined(found), counts.coverage(), _files(folder)
    looked_at = tuple(chosen), len(numbers)
    statistics = Statistics(folder, *looked_at, metrics, loadings, coverage, files)
    write_coverage(folder, coverage)
    write_picture(statistics)
    write_page(statistics)
    return statistics


def _of_partition(
    folder: Path, number: int, base_mva: float, counts: Counts, loadings: Ints
) -> Metrics:
    """The metrics of a partition; what it adds to coverage and loadings is added there."""
    parts = []
    for part in read_slices(folder, number):
        parts.append(sample_metrics(part, base_mva))
        loadings += _loading_counts(branch_loadings(part))
        counts.add(part, base_mva)
    return _joined(parts)


def _files(folder: Path) -> tuple[Path, ...]:
    names = ("stats.parquet", "stats_plot.png", "stats_plot.html", "coverage.parquet")
    return tuple(folder / name for name in (*names, "coverage.json"))


def read_slices(folder: Path, number: int) -> Any:
    """Slices of a partition with the columns that statistics need."""
    dc = has_dc(folder, [number])
    wanted = {
        table: [
            name
            for name in columns(table, dc)
            if name not in UNREAD and not (table == "branch_data" and name in ("b", "shift"))
        ]
        for table in TABLES
    }
    return slices(folder, number, alike_rows(folder, number, wanted), wanted)


def branch_loadings(part: Slice) -> Floats:
    """Apparent power at the fuller end by the rating; NaN out of service or without a rating."""
    branch = part.branch
    flow = np.maximum(np.hypot(branch["pf"], branch["qf"]), np.hypot(branch["pt"], branch["qt"]))
    rated = (branch["br_status"] == 1) & (branch["rate_a"] > 0)
    loading: Floats = np.where(rated, flow / np.where(rated, branch["rate_a"], 1), np.nan)
    return loading


def _loading_counts(loading: Floats) -> Ints:
    steps = np.floor(loading[~np.isnan(loading)] / LOADING_STEP).astype(np.int64)
    return np.bincount(np.minimum(steps, LOADING_BINS - 1), minlength=LOADING_BINS)


def sample_metrics(part: Slice, base_mva: float) -> Metrics:
    """The metrics of the samples of a slice, shape (S,) each.

    Args:
        part: with bus, generator, branch and run time columns.
        base_mva: of the per-unit values.
    """
    loading = branch_loadings(part)
    metrics: Metrics = {
        "scenario": part.scenario.astype(np.int64),
        "n_generators": (part.gen["in_service"] == 1).sum(axis=1).astype(np.int64),
        "n_branches": (part.branch["br_status"] == 1).sum(axis=1).astype(np.int64),
        "n_overloads": (loading > OVERLOAD).sum(axis=1).astype(np.int64),
        "max_loading": np.where(np.isnan(loading), 0.0, loading).max(axis=1, initial=0.0),
    }
    for name, rest in zip("pq", imbalance(part, base_mva), strict=True):
        metrics[f"{name}_balance_error_ac_max"] = np.abs(rest).max(axis=1)
        metrics[f"{name}_balance_error_ac_mean"] = np.abs(rest).mean(axis=1)
    metrics["runtime_data_ac_ms"] = part.runtime["ac"] * 1000.0
    if "Va_dc" in part.bus:
        rest = np.abs(dc_imbalance(part, base_mva))
        solved = np.asarray(~np.isnan(rest).any(axis=1))
        worst = np.where(solved, np.where(np.isnan(rest), -1, rest).argmax(axis=1), 0)
        at = part.bus["bus"][np.arange(len(part)), worst].astype(np.float64)
        metrics["p_balance_error_dc_max"] = np.where(solved, rest.max(axis=1), np.nan)
        metrics["p_balance_error_dc_mean"] = np.where(solved, rest.mean(axis=1), np.nan)
        metrics["bus_idx_max_p_balance_error_dc_per_scenario"] = np.where(solved, at, np.nan)
        metrics["runtime_data_dc_ms"] = part.runtime["dc"] * 1000.0
    return metrics


def imbalance(part: Slice, base_mva: float) -> tuple[Floats, Floats]:
    """Power that comes to each bus and does not leave it by the stored flows: MW, Mvar."""
    bus, branch = part.bus, part.branch
    square = bus["Vm"] ** 2 * base_mva
    active = bus["Pg"] - bus["Pd"] - _leaving(part, branch["pf"], branch["pt"])
    reactive = bus["Qg"] - bus["Qd"] - _leaving(part, branch["qf"], branch["qt"])
    return active - bus["GS"] * square, reactive + bus["BS"] * square


def dc_imbalance(part: Slice, base_mva: float) -> Floats:
    """Active power that the DC result leaves at each bus in the AC network, MW; NaN if unsolved.

    Flows are those of the AC admittances at the DC angles and voltages of 1.
    """
    bus, branch = part.bus, part.branch
    voltage = np.exp(1j * np.deg2rad(bus["Va_dc"]))
    start, end = branch["from_bus"][0], branch["to_bus"][0]
    at_from, at_to = voltage[:, start], voltage[:, end]
    y = {e: branch[f"Y{e}_r"] + 1j * branch[f"Y{e}_i"] for e in ("ff", "ft", "tf", "tt")}
    into_from = (at_from * np.conj(y["ff"] * at_from + y["ft"] * at_to)).real * base_mva
    into_to = (at_to * np.conj(y["tt"] * at_to + y["tf"] * at_from)).real * base_mva
    rest: Floats = bus["Pg_dc"] - bus["Pd"] - bus["GS"] * base_mva
    rest = rest - _leaving(part, into_from, into_to)
    unsolved = np.asarray(np.isnan(bus["Va_dc"]).any(axis=1))
    return np.where(unsolved[:, None], np.nan, rest)


def _leaving(part: Slice, at_from: Floats, at_to: Floats) -> Floats:
    count = part.bus["bus"].shape[1]
    out = summed(at_from, part.branch["from_bus"][0], count)
    return out + summed(at_to, part.branch["to_bus"][0], count)


def _joined(parts: list[Metrics]) -> Metrics:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _write_partition(folder: Path, number: int, metrics: Metrics) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / "stats.parquet" / f"scenario_partition={number}" / "part-0.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(dict(metrics)), path, compression="zstd")
