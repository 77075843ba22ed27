"""Solving the parts of a run, and writing partitions from what they hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from typing import IO, Any

from data_engineering.model.samples import Kernel, Samples, Solutions
from data_engineering.orchestration.scenario_plan import WORK, Plan, Run
from data_engineering.scenarios.contract import PARTITION, partition_file, partitions
from data_engineering.scenarios.dataset import write_tables
from data_engineering.scenarios.parts import open_part, write_part
from data_engineering.storage.objects import Draft, ObjectStore

TAIL = "tail.arrow"
"""In a finished dataset: what its last partition was written from, so that it can be completed."""
TAIL_PART = -1
STAGED = f"{WORK}/staged"
"""Where a run that adds to a dataset writes, until all of it is there."""

Piece = tuple[Samples, Solutions]
Count = Callable[[int, int], None]


@dataclass(frozen=True)
class PartFacts:
    """What a part holds: samples, how many of them are solved, and why the others are not."""

    samples: int
    solved: int
    failures: Mapping[str, int]
    byte_count: int


@dataclass(frozen=True)
class Span:
    """Solved samples `first` up to, not with, `last` of a part."""

    part: int
    first: int
    last: int


def build_kernel(run: Run, log: Path | None = None) -> Kernel:
    """The solver of a run's samples.

    Args:
        run: an open run.
        log: where the solvers' logs go, if anywhere.
    """
    from data_engineering.solvers import sample_kernels

    settings = run.config.settings
    return sample_kernels.kernel(
        run.case.grid,
        settings.mode,
        dc=settings.include_dc_res,
        formulation=settings.opf_formulation,
        max_iterations=settings.max_iter,
        log=log,
    )


def part_key(number: int) -> str:
    """Where a part stands."""
    return f"{WORK}/parts/{number:06d}.arrow"


def solve_part(
    run: Run, number: int, kernel: Kernel, count: Count = lambda solved, failed: None
) -> PartFacts:
    """Solve the load scenarios of a part and keep what was found.

    Args:
        run: an open run.
        number: which part.
        kernel: its solver.
        count: takes how many more samples were solved and have failed.
    """

    def pieces() -> Iterator[Piece]:
        for load_scenario in run.plan.load_scenarios(number):
            for samples in run.sampler.samples(load_scenario):
                found = kernel(samples)
                solved = int(found.solved.sum())
                count(solved, len(samples) - solved)
                yield samples, found

    with run.store.writing(part_key(number)) as draft:
        counts = write_part(draft.stream, pieces())
    assert draft.stored is not None
    facts = PartFacts(counts.samples, counts.solved, counts.failures, draft.stored.byte_count)
    # Last, since it says that the part is whole.
    run.store.write_bytes(_facts_key(number), json.dumps(asdict(facts)).encode())
    return facts


def part_facts(store: ObjectStore, number: int) -> PartFacts | None:
    """What a part holds; None if it is not there as it was written."""
    found = read_json(store, _facts_key(number))
    if found is None:
        return None
    facts = PartFacts(**found)
    return facts if _whole(store, part_key(number), facts.byte_count) else None


def spans(plan: Plan, solved: Sequence[int], partition: int) -> list[Span]:
    """Where the samples of a partition are.

    Args:
        plan: of the run.
        solved: solved samples of each part from the first on, as far as they are known.
        partition: its number in the dataset.
    """
    start = plan.solved_before - plan.tail
    parts = [TAIL_PART, *range(len(solved))]
    counts = [plan.tail, *solved]
    first, last = partition * PARTITION, (partition + 1) * PARTITION
    found = []
    for part, count, end in zip(parts, counts, accumulate(counts, initial=start), strict=False):
        low, high = max(first - end, 0), min(last - end, count)
        if low < high:
            found.append(Span(part, low, high))
    return found


def partition_numbers(plan: Plan, solved: Sequence[int], *, complete: bool) -> range:
    """Partitions that can be written.

    Args:
        plan: of the run.
        solved: solved samples of each part from the first on, as far as they are known.
        complete: these are all parts, so that the last partition may have fewer samples.
    """
    total = plan.solved_before + sum(solved)
    if complete and sum(solved) == 0:
        return range(0)
    last = partitions(total) if complete else total // PARTITION
    return range(plan.solved_before // PARTITION, max(last, plan.solved_before // PARTITION))


def write_partition(run: Run, number: int, where: Sequence[Span]) -> dict[str, dict[str, Any]]:
    """Write the five files of a partition.

    Args:
        run: an open run.
        number: of the partition.
        where: its samples, in order.

    Returns:
        Digest and length of each file, by its name in the dataset.
    """
    files: dict[str, dict[str, Any]] = {}

    @contextmanager
    def output(table: str) -> Iterator[IO[bytes]]:
        name = partition_file(table, number)
        with run.store.writing(output_key(run.plan, name)) as draft:
            yield draft.stream
        files[name] = facts_of(draft)

    dc = run.config.settings.include_dc_res
    write_tables(run.case, number, pieces(run.store, where), output, dc=dc)
    # Last, since it says that the partition is whole.
    run.store.write_bytes(_partition_key(number), json.dumps(files, sort_keys=True).encode())
    return files


def partition_files(store: ObjectStore, plan: Plan, number: int) -> dict[str, Any] | None:
    """The files of a partition, as `write_partition` returns them; None if one is not there."""
    files = read_json(store, _partition_key(number))
    if files is None:
        return None
    whole = (_whole(store, output_key(plan, key), facts["bytes"]) for key, facts in files.items())
    return files if all(whole) else None


def output_key(plan: Plan, key: str) -> str:
    """Where a file of the dataset is written by a run."""
    return f"{STAGED}/{key}" if plan.appends else key


def facts_of(draft: Draft) -> dict[str, Any]:
    """Digest and length of an object that was written."""
    assert draft.stored is not None
    return {"sha256": draft.stored.digest, "bytes": draft.stored.byte_count}


def pieces(store: ObjectStore, where: Sequence[Span]) -> Iterator[Piece]:
    """Samples and solutions of spans, in order."""
    for span in where:
        key = TAIL if span.part == TAIL_PART else part_key(span.part)
        with store.fetched(key) as path:
            yield from open_part(path).rows(span.first, span.last)


def _facts_key(number: int) -> str:
    return f"{WORK}/parts/{number:06d}.json"


def _partition_key(number: int) -> str:
    return f"{WORK}/partitions/{number:06d}.json"


def read_json(store: ObjectStore, key: str) -> Any:
    """The content of a JSON object; None if there is none, or it is not whole."""
    if not store.exists(key):
        return None
    try:
        return json.loads(store.read_bytes(key))
    except ValueError:
        return None


def _whole(store: ObjectStore, key: str, byte_count: int) -> bool:
    """Whether an object is as long as it was; a remote store keeps whole objects only."""
    path = store.local_path(key)
    if path is None:
        return True
    return path.is_file() and path.stat().st_size == byte_count
