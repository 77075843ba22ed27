"""Checks of a written dataset, partition by partition, in as many processes as wanted.

They hold every number of the tables against the others: the physics of each sample, the limits,
the files, and what the configuration lets vary. A check that finds nothing has looked at every
row of the partitions it was given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import Ints
from data_engineering.scenarios.checks_dc import (
    check_dc_balance,
    check_dc_flows,
    check_dc_generation,
    check_dc_limits,
    check_missing,
)
from data_engineering.scenarios.checks_demand import Demand
from data_engineering.scenarios.checks_layout import (
    Layout,
    check_layout,
    check_order,
    sample_rows,
)
from data_engineering.scenarios.checks_list import CHECKS, OPTIMAL_ONLY, POWER_FLOW_ONLY
from data_engineering.scenarios.checks_log import Finding, Log
from data_engineering.scenarios.checks_matrix import check_connection, check_matrix
from data_engineering.scenarios.checks_network import (
    check_admittances,
    check_balance,
    check_flows,
    check_generation,
    check_limits,
)
from data_engineering.scenarios.checks_rules import Rules, read_rules
from data_engineering.scenarios.checks_values import (
    check_bus_types,
    check_flags,
    check_indices,
    check_numbers,
    check_ranges,
    check_ratings,
    check_runtimes,
)
from data_engineering.scenarios.checks_variation import (
    Variants,
    check_constants,
    check_costs,
    check_impedances,
    check_load_scenarios,
    check_outages,
)
from data_engineering.scenarios.checks_view import Reference, View, read_reference
from data_engineering.scenarios.slices import chosen_partitions, dataset_partitions, slices

VALUE_CHECKS = (
    check_numbers,
    check_flags,
    check_indices,
    check_bus_types,
    check_ratings,
    check_ranges,
    check_runtimes,
    check_constants,
    check_costs,
    check_impedances,
    check_outages,
)
NETWORK_CHECKS = (
    check_admittances,
    check_flows,
    check_balance,
    check_generation,
    check_limits,
    check_matrix,
    check_connection,
)
ALONE = 3
"""So few partitions are checked sooner than other processes have started."""
DC_CHECKS = (check_missing, check_dc_flows, check_dc_balance, check_dc_generation, check_dc_limits)


@dataclass(frozen=True)
class Findings:
    """What the checks of a dataset found.

    Attributes:
        folder: the dataset.
        mode: `pf` or `opf`.
        scenarios: samples in the dataset.
        partitions: numbers of those looked into, ascending.
        of: how many partitions there are.
        checks: names of the checks that apply.
        counts: findings by the name of their check, without those that found none.
        found: the first findings of each check.
    """

    folder: Path
    mode: str
    scenarios: int
    partitions: tuple[int, ...]
    of: int
    checks: tuple[str, ...]
    counts: dict[str, int]
    found: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing was found."""
        return not self.counts

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the checks that found something, as they are listed."""
        return tuple(name for name in CHECKS if name in self.counts)


def check_dataset(
    folder: Path,
    *,
    mode: str | None = None,
    n_partitions: int = 100,
    sn_mva: float = 100.0,
    processes: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Findings:
    """Check a dataset.

    The files of all partitions are checked; values of `n_partitions` of them, always the same.

    Args:
        folder: the raw folder of the dataset.
        mode: `pf` or `opf`; None: as in its `args.log`.
        n_partitions: how many partitions to look into; 0: all.
        sn_mva: base power of per-unit values, MVA.
        processes: how many to use.
        progress: called with the number of partitions done and to do.

    Raises:
        BadInput: the folder holds no dataset, or the mode is not known.
    """
    numbers = dataset_partitions(folder)
    rules = read_rules(folder, mode, sn_mva)
    if processes < 1:
        raise BadInput("processes", processes, "give 1 or more")
    chosen_partitions(numbers, n_partitions)
    log = Log()
    layout = check_layout(folder, numbers, log)
    chosen = chosen_partitions(layout.numbers, n_partitions)
    reference = _reference(folder, layout)
    if reference is not None and not reference.usable:
        log.one("indices", "elements at other buses", "buses from 0, in order", table="bus_data")
    else:
        work = partial(check_partition, folder, layout, rules, reference)
        _check_values(work, chosen, processes, log, progress)
    return _findings(folder, rules, layout, chosen, log)


def _findings(folder: Path, rules: Rules, layout: Layout, chosen: list[int], log: Log) -> Findings:
    return Findings(
        folder=folder,
        mode=rules.mode,
        scenarios=layout.scenarios,
        partitions=tuple(chosen),
        of=len(dataset_partitions(folder)),
        checks=_applied(rules, layout),
        counts=log.counts,
        found=tuple(log.found),
    )


def _check_values(
    work: Callable[[int], tuple[dict[str, int], list[Finding]]],
    chosen: list[int],
    processes: int,
    log: Log,
    progress: Callable[[int, int], None] | None,
) -> None:
    for done, (counts, found) in enumerate(_each(work, chosen, processes), start=1):
        log.join(counts, found)
        if progress is not None:
            progress(done, len(chosen))


def _applied(rules: Rules, layout: Layout) -> tuple[str, ...]:
    without = POWER_FLOW_ONLY if rules.mode == "opf" else OPTIMAL_ONLY
    names = [name for name in CHECKS if name not in without]
    if not rules.known:
        names = [name for name in names if name not in ("outages", "impedances", "load_table")]
    return tuple(name for name in names if layout.dc or not name.startswith("dc_"))


def _reference(folder: Path, layout: Layout) -> Reference | None:
    """The first sample of the first partition that has its rows."""
    for number in layout.numbers:
        with _readable(number, Log()):
            rows = sample_rows(folder, number, layout, Log())
            if rows is not None:
                return read_reference(folder, number, rows)
    return None


def _each(
    work: Callable[[int], tuple[dict[str, int], list[Finding]]],
    chosen: list[int],
    processes: int,
) -> Iterator[tuple[dict[str, int], list[Finding]]]:
    if processes == 1 or len(chosen) <= ALONE:
        yield from map(work, chosen)
        return
    # Not forked: the caller may have threads.
    context = get_context("spawn")
    with ProcessPoolExecutor(min(processes, len(chosen)), mp_context=context) as pool:
        yield from pool.map(work, chosen)


def check_partition(
    folder: Path, layout: Layout, rules: Rules, reference: Reference | None, number: int
) -> tuple[dict[str, int], list[Finding]]:
    """Check the values of one partition; counts and first findings.

    Without a reference no partition has the rows that it should have, which is found again here.
    """
    log = Log()
    with _readable(number, log), np.errstate(all="ignore"):
        rows = sample_rows(folder, number, layout, log)
        if rows is not None and reference is not None:
            _check_samples(folder, number, rows, rules, reference, log)
    return log.counts, log.found


@contextmanager
def _readable(number: int, log: Log) -> Iterator[None]:
    """Note it if a partition's files cannot be read."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        log.one("readable", str(error), "a Parquet file", element=f"partition {number}")


def _check_samples(
    folder: Path,
    number: int,
    rows: dict[str, Ints],
    rules: Rules,
    reference: Reference,
    log: Log,
) -> None:
    order = {
        "bus_data": reference.bus["bus"],
        "gen_data": reference.gen["idx"],
        "branch_data": reference.branch["idx"],
    }
    demand = Demand(folder, number, rules, log)
    variants, before = Variants(), -1
    for part in slices(folder, number, rows):
        if not check_order(part, order, log):
            continue
        view = View(part, reference, rules, log)
        before = check_load_scenarios(view, before)
        for check in VALUE_CHECKS + NETWORK_CHECKS + (DC_CHECKS if view.dc else ()):
            check(view)
        variants.check(view)
        demand.check(view)
