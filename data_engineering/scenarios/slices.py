"""A written dataset, read a few samples at a time, so that memory does not grow with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data_engineering.model.errors import BadInput, SourceFileBroken
from data_engineering.model.grid import Floats, Ints

SLICE_BYTES = 32 * 2**20
"""Columns of one slice; the work on it takes several times as much."""
SAMPLING_SEED = 20240501
"""Of the choice of partitions, so that two looks at a dataset see the same ones."""

Columns = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Slice:
    """Samples of one partition that stand together.

    Attributes:
        scenario: numbers of the S samples, shape (S,).
        bus, gen, branch: columns of the tables, shape (S, buses), (S, generators), (S, branches).
        y_bus: columns, one row an entry; `sample` is its place among the S.
        runtime: columns, shape (S,).
    """

    scenario: Ints
    bus: Columns
    gen: Columns
    branch: Columns
    y_bus: Columns
    runtime: Columns

    def __len__(self) -> int:
        return len(self.scenario)


def partition_path(folder: Path, table: str, number: int) -> Path:
    """The folder of one partition of a table."""
    return folder / f"{table}.parquet" / f"scenario_partition={number}"


def partition_files(folder: Path, table: str, number: int) -> list[Path]:
    """Its files in the order of their names."""
    return sorted(partition_path(folder, table, number).glob("*.parquet"))


def partition_numbers(folder: Path, table: str) -> list[int]:
    """Numbers of the partitions that a table has, ascending."""
    names = (path.name for path in (folder / f"{table}.parquet").glob("scenario_partition=*"))
    numbers = (name.partition("=")[2] for name in names)
    return sorted(int(number) for number in numbers if number.isdigit())


def dataset_partitions(folder: Path) -> list[int]:
    """Numbers of the dataset's partitions, ascending.

    Raises:
        BadInput: the folder holds no dataset.
    """
    numbers = partition_numbers(folder, "bus_data")
    if not numbers:
        raise BadInput(
            "folder", str(folder), "give the raw folder of a dataset, which has bus_data.parquet"
        )
    return numbers


def chosen_partitions(numbers: list[int], count: int) -> list[int]:
    """At most `count` of the partitions, evenly by chance but always the same; 0 is all.

    Raises:
        BadInput: the count is negative.
    """
    if count < 0:
        raise BadInput("n_partitions", count, "give 0 for all partitions, or how many to look at")
    if count == 0 or count >= len(numbers):
        return numbers
    drawn = np.random.default_rng(SAMPLING_SEED).choice(len(numbers), size=count, replace=False)
    return [numbers[place] for place in sorted(drawn)]


def has_dc(folder: Path, numbers: list[int]) -> bool:
    """Whether the first partition that can be read holds DC results."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in (path for n in numbers for path in partition_files(folder, "bus_data", n)):
        try:
            return "Va_dc" in pq.read_schema(path).names
        except (pa.ArrowException, OSError):
            continue
    return False


class Rows:
    """The rows of one table in one partition, read in order."""

    def __init__(self, files: list[Path], columns: list[str] | None = None) -> None:
        self._files, self._columns = files, columns
        self._batches: Iterator[Any] | None = None
        self._waiting: list[Any] = []
        self._batch_rows = 1

    def take(self, count: int) -> dict[str, npt.NDArray[Any]]:
        """The next `count` rows as columns; fewer where the table ends."""
        import pyarrow as pa

        if self._batches is None:
            self._batch_rows = max(count, 1)
            self._batches = self._read()
        held = sum(len(batch) for batch in self._waiting)
        while held < count:
            batch = next(self._batches, None)
            if batch is None:
                break
            self._waiting.append(batch)
            held += len(batch)
        if not self._waiting:
            return {}
        table = pa.Table.from_batches(self._waiting)
        self._waiting = table.slice(count).to_batches()
        taken = table.slice(0, count)
        return {name: taken[name].to_numpy() for name in taken.column_names}

    def _read(self) -> Iterator[Any]:
        import pyarrow.parquet as pq

        for path in self._files:
            with pq.ParquetFile(path) as file:
                yield from file.iter_batches(self._batch_rows, columns=self._columns)


def column(folder: Path, table: str, number: int, name: str) -> npt.NDArray[Any]:
    """One column of a partition."""
    import pyarrow.parquet as pq

    parts = [
        pq.read_table(path, columns=[name], partitioning=None)[name].to_numpy()
        for path in partition_files(folder, table, number)
    ]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)


def slices(
    folder: Path,
    number: int,
    rows: Mapping[str, Ints],
    columns: Mapping[str, list[str]] | None = None,
) -> Iterator[Slice]:
    """The samples of a partition in order, as many at once as SLICE_BYTES take.

    Args:
        folder: the raw folder of the dataset.
        number: of the partition.
        rows: table to its number of rows of each sample, shape (samples,); of all but `y_bus_data`
            these are alike. Tables that are not named are not read.
        columns: table to the columns wanted; None: all.
    """
    wanted = columns or {}
    readers = {
        table: Rows(partition_files(folder, table, number), wanted.get(table)) for table in rows
    }
    samples = len(rows["bus_data"])
    per_sample = sum(int(counts.max(initial=0)) * 25 * 8 for counts in rows.values())
    step = max(1, min(samples, SLICE_BYTES // max(per_sample, 1)))
    for first in range(0, samples, step):
        part = {table: counts[first : first + step] for table, counts in rows.items()}
        taken = {table: readers[table].take(int(counts.sum())) for table, counts in part.items()}
        yield _slice(taken, part)


def _slice(taken: Mapping[str, Columns], rows: Mapping[str, Ints]) -> Slice:
    count = len(rows["bus_data"])

    def grid(table: str) -> Columns:
        columns = taken.get(table, {})
        return {name: values.reshape(count, -1) for name, values in columns.items()}

    entries = dict(taken.get("y_bus_data", {}))
    if entries:
        entries["sample"] = np.repeat(np.arange(count), rows["y_bus_data"])
    bus = grid("bus_data")
    return Slice(
        scenario=bus["scenario"][:, 0],
        bus=bus,
        gen=grid("gen_data"),
        branch=grid("branch_data"),
        y_bus=entries,
        runtime=taken.get("runtime_data", {}),
    )


@contextmanager
def readable(folder: Path) -> Iterator[None]:
    """Raise what cannot be read as an error that tells so.

    Raises:
        SourceFileBroken: a file is not Parquet, or not whole.
    """
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        fact = " ".join(str(error).split())
        raise SourceFileBroken(folder, fact, "check the dataset, and make it again") from None


def alike_rows(folder: Path, number: int, columns: Mapping[str, list[str]]) -> dict[str, Ints]:
    """Rows of each sample of a partition whose samples all have the same ones.

    Args:
        folder: the raw folder of the dataset.
        number: of the partition.
        columns: table to the columns that it must have.

    Raises:
        BadInput: a table lacks a column, or its rows do not divide into the partition's samples.
    """
    import pyarrow.parquet as pq

    samples = len(np.unique(column(folder, "bus_data", number, "scenario")))
    found = {}
    for table, names in columns.items():
        footers = [pq.read_metadata(path) for path in partition_files(folder, table, number)]
        total = sum(footer.num_rows for footer in footers)
        for name in names:
            if any(name not in footer.schema.names for footer in footers):
                given, remedy = f"no column {name}", "check the dataset first"
                raise BadInput(f"{table} of partition {number}", given, remedy)
        if samples == 0 or total == 0 or total % samples:
            raise BadInput(
                f"{table} of partition {number}",
                f"{total} rows",
                f"{samples} samples cannot share them; check the dataset first",
            )
        found[table] = np.full(samples, total // samples, dtype=np.int64)
    return found


def summed(values: Floats, rows: Ints, width: int) -> Floats:
    """Sums of columns by what they belong to: shape (S, n) and (n,) to (S, width)."""
    from scipy.sparse import csr_matrix

    n = len(rows)
    matrix = csr_matrix((np.ones(n), (rows, np.arange(n))), shape=(width, n))
    return np.ascontiguousarray((matrix @ values.T).T)
