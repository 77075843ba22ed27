"""Parts: what was solved of some load scenarios, compactly, until partitions are written from it.

A part is an Arrow IPC file with one row a sample, solved or not (see `part_columns`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import accumulate
from pathlib import Path
from typing import IO, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa

from data_engineering.model.errors import SourceFileBroken
from data_engineering.model.samples import Samples, Solutions
from data_engineering.scenarios.contract import failures_schema
from data_engineering.scenarios.part_columns import (
    FORMAT,
    FOUND,
    SIZES,
    failures_of,
    packed,
    part_schema,
    reasons,
    samples_of,
    solutions_of,
    solved,
)

BATCH_BYTES = 4 << 20
"""Pieces are joined until their solutions have so many bytes. Never configured: the bytes of a
part depend on it."""

_Rows = TypeVar("_Rows", Samples, Solutions)


class PartCounts(NamedTuple):
    """What a part holds: samples, those solved, and the others by their reason."""

    samples: int
    solved: int
    failures: Mapping[str, int]


def write_part(stream: IO[bytes], pieces: Iterable[tuple[Samples, Solutions]]) -> PartCounts:
    """Write a part, batch by batch; the same pieces give the same bytes.

    Args:
        stream: takes the bytes; it need not seek and stays open.
        pieces: samples and what was found of them, in order; at least one.

    Returns:
        What was written.

    Raises:
        ValueError: there are no pieces.
    """
    samples, failures = 0, Counter[str]()
    writer = None
    for given, found in _batches(pieces):
        if writer is None:
            schema = part_schema(given)
            writer = pa.ipc.new_file(stream, schema)
        writer.write_batch(packed(given, found, schema))
        samples += len(given)
        failures.update(found.reason[~found.solved].tolist())
    if writer is None:
        raise ValueError("a part has one sample at least")
    writer.close()
    return _counts(samples, failures)


def open_part(source: Path | str | pa.Buffer) -> Part:
    """A part for reading; a file is mapped, so that only what is read is in memory.

    Raises:
        SourceFileBroken: it is not a part, or one of another version.
    """
    mapped = isinstance(source, pa.Buffer)
    name, remedy = "a buffer" if mapped else str(source), "take it away; it is then solved again"
    try:
        reader = pa.ipc.open_file(source if mapped else pa.memory_map(name))
    except pa.ArrowInvalid as error:
        raise SourceFileBroken(name, str(error), remedy) from None
    about = reader.schema.metadata or {}
    if about.get(b"part") != FORMAT:
        raise SourceFileBroken(name, "it is not a part of this version", remedy)
    sizes = {size: int(about[size.encode()]) for size in SIZES}
    batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
    return Part(sizes, tuple(batches))


@dataclass(frozen=True, eq=False)
class Part:
    """A part that is open for reading.

    Attributes:
        sizes: how many buses, branches and generators a sample has.
        batches: record batches, in order.
    """

    sizes: Mapping[str, int]
    batches: tuple[pa.RecordBatch, ...]

    @property
    def solved(self) -> int:
        """How many samples have a solution."""
        return sum(int(solved(batch).sum()) for batch in self.batches)

    def counts(self) -> PartCounts:
        """What the part holds."""
        failures = Counter[str]()
        for batch in self.batches:
            failures.update(reasons(batch)[~solved(batch)].tolist())
        return _counts(sum(batch.num_rows for batch in self.batches), failures)

    def rows(self, first: int, last: int) -> Iterator[tuple[Samples, Solutions]]:
        """The solved samples `first` up to, not with, `last`, batch by batch, in order.

        Arrays may be views of the file: they are read-only.
        """
        ends = list(accumulate(int(solved(batch).sum()) for batch in self.batches))
        number = bisect_right(ends, first)
        for batch, end in zip(self.batches[number:], ends[number:], strict=True):
            chosen = np.flatnonzero(solved(batch))
            begin = end - len(chosen)
            if begin >= last:
                return
            chosen = chosen[max(first - begin, 0) : last - begin]
            if len(chosen):
                yield samples_of(batch, chosen, self.sizes), solutions_of(batch, chosen, self.sizes)

    def failures(self) -> pa.Table:
        """The samples without a solution, as rows of `failures.parquet`."""
        tables = [failures_of(batch, self.sizes) for batch in self.batches]
        return pa.concat_tables([failures_schema().empty_table(), *tables]).combine_chunks()


def together(pieces: list[tuple[Samples, Solutions]]) -> tuple[Samples, Solutions]:
    """Pieces one after another, as one."""
    if len(pieces) == 1:
        return pieces[0]
    return _joined([given for given, _ in pieces]), _joined([found for _, found in pieces])


def _counts(samples: int, failures: Counter[str]) -> PartCounts:
    return PartCounts(samples, samples - failures.total(), dict(sorted(failures.items())))


def _joined(parts: list[_Rows]) -> _Rows:
    names = [field.name for field in fields(parts[0])]
    return type(parts[0])(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    )


def _batches(pieces: Iterable[tuple[Samples, Solutions]]) -> Iterator[tuple[Samples, Solutions]]:
    """Pieces joined until they are large enough to be worth a record batch."""
    waiting: list[tuple[Samples, Solutions]] = []
    size = 0
    for given, found in pieces:
        waiting.append((given, found))
        size += sum(getattr(found, name).nbytes for name in FOUND)
        if size >= BATCH_BYTES:
            yield together(waiting)
            waiting, size = [], 0
    if waiting:
        yield together(waiting)
