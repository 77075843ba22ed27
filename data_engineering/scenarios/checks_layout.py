"""Checks of a dataset's files: partitions, numbers of samples, columns, rows of each sample.

Footers tell all of this of every partition without reading a value; what needs the sample numbers
of each row is checked where a partition is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from data_engineering.model.grid import Ints
from data_engineering.scenarios.checks_log import Log
from data_engineering.scenarios.contract import (
    PARTITION,
    TABLES,
    column_type,
    columns,
    partitions,
)
from data_engineering.scenarios.slices import (
    Slice,
    column,
    has_dc,
    partition_files,
    partition_numbers,
)

ONE_BLOCK = ("bus_data", "gen_data", "branch_data", "runtime_data")
"""Tables that have the same rows in every sample."""


@dataclass
class Layout:
    """What the files of a dataset say.

    Attributes:
        scenarios: number of samples.
        numbers: of the partitions to look at, ascending.
        unusable: partitions that cannot be looked into.
        dc: whether there are DC results.
        rows: rows of one sample by table.
        last_load: last load scenario of the partitions so far, by their statistics.
    """

    scenarios: int
    numbers: list[int]
    dc: bool
    unusable: set[int] = field(default_factory=set)
    rows: dict[str, int] = field(default_factory=dict)
    last_load: int = 0


def check_layout(folder: Path, numbers: list[int], log: Log) -> Layout:
    """Check what the footers of all partitions say.

    Args:
        folder: the raw folder of the dataset.
        numbers: partitions of the bus table, ascending.
        log: where findings go.
    """
    layout = Layout(0, numbers, has_dc(folder, numbers))
    layout.scenarios = _count(folder, log)
    expected = list(range(partitions(layout.scenarios)))
    for table in TABLES:
        found = partition_numbers(folder, table)
        for number in sorted(set(expected) ^ set(found)):
            there = "there" if number in found else "missing"
            bound = f"partitions 0 to {len(expected) - 1} of {layout.scenarios} samples"
            element = f"partition {number}"
            log.one("partitions", there, bound, table=table, element=element)
            layout.unusable.add(number)
    for number in expected:
        if number not in layout.unusable:
            _check_footers(folder, number, layout, log)
    layout.numbers = [number for number in expected if number not in layout.unusable]
    return layout


def _count(folder: Path, log: Log) -> int:
    """Number of samples by the rows of the last partition, or `n_scenarios.txt` if it is broken."""
    import pyarrow as pa

    path = folder / "n_scenarios.txt"
    numbers = partition_numbers(folder, "bus_data")
    text = path.read_text().strip() if path.is_file() else "missing"
    try:
        last = np.unique(column(folder, "bus_data", numbers[-1], "scenario"))
    except (pa.ArrowException, OSError):
        return int(text) if text.isdigit() else PARTITION * (numbers[-1] + 1)
    found = PARTITION * numbers[-1] + len(last)
    if text != str(found):
        log.one("scenario_count", text, str(found), element="n_scenarios.txt")
    return found


def samples_of(number: int, scenarios: int) -> int:
    """How many samples a partition should have."""
    return min(PARTITION, scenarios - PARTITION * number)


def _check_footers(folder: Path, number: int, layout: Layout, log: Log) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    samples = samples_of(number, layout.scenarios)
    for table in TABLES:
        try:
            footers = [pq.read_metadata(path) for path in partition_files(folder, table, number)]
        except (pa.ArrowException, OSError) as error:
            log.one("readable", str(error), "a Parquet file", table=table, element=_name(number))
            layout.unusable.add(number)
            continue
        if not _columns_fit(table, number, footers, layout, log):
            layout.unusable.add(number)
            continue
        total = sum(footer.num_rows for footer in footers)
        if table in ONE_BLOCK:
            block = layout.rows.setdefault(table, max(total // samples, 1))
            if table == "runtime_data":
                block = 1
            if total != block * samples:
                bound = f"{block * samples} rows: {block} of each of {samples} samples"
                log.one("rows", total, bound, table=table, element=_name(number))
                layout.unusable.add(number)
        if table == "bus_data":
            _loads_go_on(footers, number, layout, log)


def _name(number: int) -> str:
    return f"partition {number}"


def _columns_fit(table: str, number: int, footers: list[Any], layout: Layout, log: Log) -> bool:
    wanted = {name: column_type(name) for name in columns(table, layout.dc)}
    wanted = {name: "double" if kind == "float64" else kind for name, kind in wanted.items()}
    for footer in footers:
        schema = footer.schema.to_arrow_schema()
        found = {name: str(schema.field(name).type) for name in schema.names}
        for name in sorted({*wanted, *found}):
            if wanted.get(name) != found.get(name):
                log.one(
                    "columns",
                    found.get(name, "missing"),
                    wanted.get(name, "not there"),
                    table=table,
                    column=name,
                    element=_name(number),
                )
        if found != wanted:
            return False
    return True


def _loads_go_on(footers: list[Any], number: int, layout: Layout, log: Log) -> None:
    """Load scenarios do not go back from partition to partition, by the statistics kept."""
    bounds = []
    for footer in footers:
        place = footer.schema.names.index("load_scenario_idx")
        for group in range(footer.num_row_groups):
            kept = footer.row_group(group).column(place).statistics
            if kept is not None and kept.has_min_max:
                bounds.append((kept.min, kept.max))
    if not bounds:
        return
    least = min(low for low, _ in bounds)
    if least < layout.last_load:
        log.one(
            "load_scenario",
            least,
            f"{layout.last_load} or more, after the partition before",
            table="bus_data",
            column="load_scenario_idx",
            element=_name(number),
        )
    layout.last_load = max(layout.last_load, max(high for _, high in bounds))


def sample_rows(folder: Path, number: int, layout: Layout, log: Log) -> dict[str, Ints] | None:
    """Rows of each sample by table, from the sample number of every row; None if they are wrong."""
    samples = samples_of(number, layout.scenarios)
    first = PARTITION * number
    numbers = np.arange(first, first + samples)
    rows, good = {}, True
    for table in TABLES:
        scenario = column(folder, table, number, "scenario")
        found, counts = np.unique(scenario, return_counts=True)
        note = partial(log.one, table=table, column="scenario", element=_name(number))
        if not np.array_equal(found, numbers):
            wrong = np.setxor1d(found, numbers)
            bound = f"samples {first} to {first + samples - 1}, each there"
            note("scenario_ids", f"{len(wrong)} others or missing: {wrong[:5]}", bound)
            good = False
        elif np.any(np.diff(scenario) < 0):
            note("row_order", "samples out of order", "ascending")
            good = False
        elif table in ONE_BLOCK and np.any(counts != layout.rows[table]):
            at = int(np.flatnonzero(counts != layout.rows[table])[0])
            bound = f"{layout.rows[table]} of each sample"
            note("rows", int(counts[at]), bound, scenario=int(found[at]))
            good = False
        rows[table] = counts
    return rows if good else None


def check_order(part: Slice, reference: dict[str, Any], log: Log) -> bool:
    """Whether the rows of every sample stand in the order of the first: buses, elements."""
    good = True
    for table, columns_of, name in (
        ("bus_data", part.bus, "bus"),
        ("gen_data", part.gen, "idx"),
        ("branch_data", part.branch, "idx"),
    ):
        expected = reference[table]
        for s in np.flatnonzero((columns_of[name] != expected).any(axis=1)):
            row = int(np.flatnonzero(columns_of[name][s] != expected)[0])
            log.one(
                "row_order",
                int(columns_of[name][s, row]),
                str(int(expected[row])),
                table=table,
                column=name,
                scenario=int(part.scenario[s]),
                element=f"row {row}",
            )
            good = False
    return good
