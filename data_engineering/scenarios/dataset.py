"""The files of a dataset: partitions of the tables, the mapping of bus ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import IO, Any

import numpy as np
import pyarrow as pa

from data_engineering.model.grid import Floats
from data_engineering.model.samples import Samples, Solutions
from data_engineering.scenarios import contract
from data_engineering.scenarios.case import ScenarioCase
from data_engineering.scenarios.expand import expansion
from data_engineering.scenarios.parquet_files import parquet_writer, table_of
from data_engineering.scenarios.parts import together

GROUP_BYTES = 48 << 20
"""Rows that are expanded at once take about so much room in all tables; they become one row group
of each. Never configured: the bytes of the files depend on it."""

Output = Callable[[str], AbstractContextManager[IO[bytes]]]

_OF_CASE = (
    "vn_kv", "min_vm_pu", "max_vm_pu", "GS", "BS", "min_p_mw", "max_p_mw", "min_q_mvar",
    "max_q_mvar", "b", "tap", "shift", "ang_min", "ang_max", "rate_a",
)  # fmt: skip
_OF_COSTS = ("cp0_eur", "cp1_eur_per_mw", "cp2_eur_per_mw2")
_OF_IMPEDANCES = (
    "r", "x", "Yff_r", "Yff_i", "Yft_r", "Yft_i", "Ytf_r", "Ytf_i", "Ytt_r", "Ytt_i", "G", "B",
)  # fmt: skip


def write_tables(
    case: ScenarioCase,
    number: int,
    pieces: Iterable[tuple[Samples, Solutions]],
    open_output: Output,
    *,
    dc: bool,
) -> int:
    """Write the five files of a partition; the same samples give the same bytes.

    Args:
        case: what the samples are of.
        number: of the partition; its scenarios begin at 200 times that.
        pieces: solved samples in order, 1 to 200 of them; how they are cut makes no difference.
        open_output: opens the file of a table by the table's name, for writing bytes from first
            to last; what it leaves where the writing fails is for it to say.
        dc: whether the DC results are written.

    Returns:
        How many scenarios were written.

    Raises:
        ValueError: there are no samples, or more than 200.
    """
    layout = expansion(case)
    rows = max(1, GROUP_BYTES // layout.bytes_per_sample)
    begin = number * contract.PARTITION
    first = begin
    with ExitStack() as stack:
        writers: dict[str, Any] = {}
        for given, found in _groups(pieces, rows):
            if first + len(given) - begin > contract.PARTITION:
                raise ValueError(f"more than {contract.PARTITION} samples for partition {number}")
            if not writers:
                repeated = _repeated(given)
                for name in contract.TABLES:
                    stream = stack.enter_context(open_output(name))
                    writer = parquet_writer(stream, contract.schema(name, dc), repeated)
                    writers[name] = stack.enter_context(writer)
            for name, columns in layout.tables(given, found, first, dc=dc).items():
                writers[name].write_table(table_of(columns, contract.schema(name, dc)))
            first += len(given)
    if first == begin:
        raise ValueError(f"no samples for partition {number}")
    return first - begin


def write_bus_mapping(stream: IO[bytes], case: ScenarioCase) -> None:
    """Write the original id of each bus: columns `bus` and `id`, a text."""
    schema = pa.schema([("bus", pa.int64()), ("id", pa.string())])
    columns = [pa.array(np.arange(len(case.bus_ids))), pa.array(case.bus_ids.tolist(), pa.string())]
    with parquet_writer(stream, schema, ()) as writer:
        writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def _groups(
    pieces: Iterable[tuple[Samples, Solutions]], rows: int
) -> Iterator[tuple[Samples, Solutions]]:
    """The samples again, in groups of `rows`; the last has what is left."""
    waiting: list[tuple[Samples, Solutions]] = []
    missing = rows
    for given, found in pieces:
        begin = 0
        while begin < len(given):
            taken = slice(begin, begin + missing)
            waiting.append((given.rows(taken), found.rows(taken)))
            begin += len(waiting[-1][0])
            missing -= len(waiting[-1][0])
            if not missing:
                yield together(waiting)
                waiting, missing = [], rows
    if waiting:
        yield together(waiting)


def _repeated(samples: Samples) -> tuple[str, ...]:
    """Floating-point columns that are the same in all samples, as far as these tell."""

    def same(values: Floats) -> bool:
        return bool((values == values[:1]).all())

    columns: tuple[str, ...] = _OF_CASE
    if same(samples.cost):
        columns += _OF_COSTS
    if same(samples.r_pu) and same(samples.x_pu):
        columns += _OF_IMPEDANCES
    return columns
