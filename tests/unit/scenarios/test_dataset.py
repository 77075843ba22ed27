"""Files of a dataset: what is read back from partitions, load scenarios and the bus mapping."""

from __future__ import annotations

import errno
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from typing import IO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_engineering.model.samples import Samples, Solutions
from data_engineering.scenarios import contract, dataset, load_tables
from data_engineering.scenarios.case import prepare
from data_engineering.scenarios.dataset import write_bus_mapping, write_tables
from data_engineering.scenarios.expand import expansion
from data_engineering.scenarios.load_tables import load_page, shown, write_loads
from data_engineering.scenarios.parts import open_part, together, write_part
from tests.scenario_samples import samples_of, solutions_of
from tests.solve_cases import pglib

CASE = prepare(pglib("case14_ieee"))
Piece = tuple[Samples, Solutions]


def pieces(count: int, variants: int = 20, seed: int = 0) -> list[Piece]:
    """Solved samples, some at a time."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(-(-count // variants)):
        given = samples_of(CASE.grid, number, min(variants, count - number * variants), rng)
        made.append((given, solutions_of(given, rng)))
    return made


def written(number: int, samples: list[Piece], *, dc: bool = True) -> dict[str, bytes]:
    files: dict[str, bytes] = {}

    @contextmanager
    def output(name: str) -> Iterator[IO[bytes]]:
        stream = io.BytesIO()
        yield stream
        files[name] = stream.getvalue()

    total = sum(len(given) for given, _ in samples)
    assert write_tables(CASE, number, iter(samples), output, dc=dc) == total
    return files


def frame(data: bytes) -> pd.DataFrame:
    return pd.read_parquet(io.BytesIO(data))


@pytest.mark.parametrize("dc", [True, False])
@pytest.mark.parametrize("group_bytes", [1, 100_000, dataset.GROUP_BYTES])
def test_what_is_read_is_what_was_expanded(
    dc: bool, group_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset, "GROUP_BYTES", group_bytes)
    samples = pieces(47)
    files = written(3, samples, dc=dc)
    expected = expansion(CASE).tables(*together(samples), 600, dc=dc)
    assert sorted(files) == sorted(contract.TABLES)
    for name, data in files.items():
        read = frame(data)
        assert list(read) == list(contract.columns(name, dc))
        for column, values in expected[name].items():
            assert read[column].dtype == contract.column_type(column)
            assert read[column].to_numpy().tobytes() == values.tobytes(), (name, column)


def test_files_have_the_schema_of_the_contract() -> None:
    for name, data in written(0, pieces(5)).items():
        file = pq.ParquetFile(io.BytesIO(data))
        assert file.schema_arrow.equals(contract.schema(name, dc=True))
        chunk = file.metadata.row_group(0).column(0)
        assert chunk.compression == "ZSTD"
        assert (chunk.statistics.min, chunk.statistics.max) == (0, 4)


def test_the_contract_is_that_of_the_gridfm_ecosystem() -> None:
    """The types that are not float64, and the files as Hive partitions, by the design."""
    whole = {"bus": "scenario load_scenario_idx bus", "gen": "scenario load_scenario_idx idx bus"}
    whole["branch"] = "scenario load_scenario_idx idx from_bus to_bus"
    whole["y_bus"] = "scenario load_scenario_idx index1 index2"
    whole["runtime"] = "scenario load_scenario_idx"
    flags = {"bus": "PQ PV REF", "gen": "in_service is_slack_gen", "branch": "br_status"}
    for name in contract.TABLES:
        schema = contract.schema(name, dc=True)
        kinds = {kind: [f.name for f in schema if f.type == kind] for kind in set(schema.types)}
        table = name.removesuffix("_data")
        assert kinds.pop(pa.int64()) == whole[table].split()
        assert kinds.pop(pa.int8(), []) == flags.get(table, "").split()
        assert set(kinds) == {pa.float64()}
    file = contract.partition_file("bus_data", 12)
    assert re.fullmatch(r"bus_data\.parquet/scenario_partition=12/[\w-]+\.parquet", file)
    assert [contract.partitions(n) for n in (0, 1, 199, 200, 201, 400, 401)] == [
        0, 1, 1, 1, 2, 2, 3,
    ]  # fmt: skip


def test_partitions_hold_200_scenarios(monkeypatch: pytest.MonkeyPatch) -> None:
    """What 201 samples of a part give: partition 0 to scenario 199, partition 1 with 200 alone."""
    stream = io.BytesIO()
    write_part(stream, pieces(201, variants=9))
    part = open_part(pa.py_buffer(stream.getvalue()))
    first = frame(written(0, list(part.rows(0, 200)))["runtime_data"])
    last = frame(written(1, list(part.rows(200, 400)))["runtime_data"])
    assert first["scenario"].tolist() == list(range(200))
    assert last["scenario"].tolist() == [200]
    assert first["load_scenario_idx"].tolist() == [row // 9 for row in range(200)]
    assert frame(written(0, list(part.rows(0, 199)))["runtime_data"])["scenario"].max() == 198


@pytest.mark.parametrize("count", [0, 201])
def test_other_numbers_of_samples_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match="samples for partition 4"):
        written(4, pieces(count))


def test_the_same_samples_give_the_same_bytes_however_they_are_cut() -> None:
    whole = together(pieces(200, variants=50))
    once = written(2, [whole])
    assert written(2, [whole]) == once
    for cuts in ([0, 1, 7, 60, 61, 199, 200], [0, 100, 200]):
        cut = [(whole[0].rows(slice(a, b)), whole[1].rows(slice(a, b))) for a, b in pairwise(cuts)]
        assert written(2, cut) == once


def test_costs_and_impedances_of_each_sample_are_kept() -> None:
    rng = np.random.default_rng(4)
    (given, found), *_ = pieces(20)
    given = replace(
        given,
        cost=given.cost * rng.uniform(0.5, 1.5, given.cost.shape),
        r_pu=given.r_pu * rng.uniform(0.5, 1.5, given.r_pu.shape),
    )
    files = written(0, [(given, found)])
    gen, branch = frame(files["gen_data"]), frame(files["branch_data"])
    assert gen["cp1_eur_per_mw"].to_numpy().tobytes() == given.cost[:, :, 1].tobytes()
    assert branch["r"].to_numpy().tobytes() == given.r_pu.tobytes()


class Full(io.BytesIO):
    """A stream to a disk that is full after some bytes."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def write(self, data: object, /) -> int:
        self.room -= len(memoryview(data))  # type: ignore[arg-type]
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)  # type: ignore[arg-type]


@pytest.mark.parametrize("full", [*contract.TABLES, None])
def test_an_error_reaches_those_who_opened_the_files(
    full: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a disk is full or a solution cannot be read: no file is taken for whole."""
    monkeypatch.setattr(dataset, "GROUP_BYTES", 1)
    failed = []

    @contextmanager
    def output(name: str) -> Iterator[IO[bytes]]:
        try:
            yield Full(2_000 if name == full else 10_000_000)
        except OSError:
            failed.append(name)
            raise

    def read() -> Iterator[Piece]:
        yield from pieces(60)
        raise OSError(errno.EIO, "the part cannot be read")

    with pytest.raises(OSError, match="No space left" if full else "cannot be read"):
        write_tables(CASE, 0, read(), output, dc=True)
    assert sorted(failed) == sorted(contract.TABLES)


def test_the_bus_mapping_has_the_original_ids() -> None:
    stream = io.BytesIO()
    write_bus_mapping(stream, prepare(pglib("case1354_pegase")))
    read = frame(stream.getvalue())
    assert read["bus"].tolist() == list(range(1354))
    assert read["id"].tolist()[:3] == ["3", "4", "10"]


def demands(count: int, buses: int, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    return [(rng.uniform(0, 90, buses), rng.uniform(-9, 9, buses)) for _ in range(count)]


@pytest.mark.parametrize("group_rows", [1, 40, load_tables.GROUP_ROWS])
def test_load_scenarios_are_rows_in_order_and_can_be_added(
    group_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_tables, "GROUP_ROWS", group_rows)
    drawn = demands(9, 14)
    first, whole = io.BytesIO(), io.BytesIO()
    assert write_loads(first, iter(drawn[:5])) == 70
    rows = write_loads(whole, iter(drawn[5:]), first=5, earlier=io.BytesIO(first.getvalue()))
    read = frame(whole.getvalue())
    assert rows == len(read) == 9 * 14
    assert [str(kind) for kind in read.dtypes] == ["int64", "int64", "float64", "float64"]
    assert read["load_scenario"].tolist() == [n for n in range(9) for _ in range(14)]
    assert read["load"].tolist() == list(range(14)) * 9
    for column, place in (("p_mw", 0), ("q_mvar", 1)):
        expected = np.concatenate([each[place] for each in drawn])
        assert read[column].to_numpy().tobytes() == expected.tobytes()


def test_few_demands_are_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_tables, "GROUP_ROWS", 50)
    stream, sizes = io.BytesIO(), []

    def drawn() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for each in demands(40, 10):
            sizes.append(stream.tell())
            yield each

    write_loads(stream, drawn())
    grown = np.flatnonzero(np.diff(sizes))
    assert (np.diff(grown) == 5).all()  # after every 5 scenarios of 10 buses


@pytest.mark.parametrize(
    ("count", "buses", "points"), [(1, 14, 1), (100, 100, 100), (10_000, 14, 2_000)]
)
def test_a_page_shows_a_bounded_number_of_values(count: int, buses: int, points: int) -> None:
    numbers = shown(count, buses)
    assert len(numbers) == points
    assert numbers[0] == 0
    assert numbers[-1] < count
    assert len(np.unique(np.diff(numbers))) <= 1
    assert len(shown(200_000, 100)) * 200 <= load_tables.SHOWN_VALUES


def test_the_page_of_load_scenarios_stands_alone() -> None:
    drawn = demands(30, 14)
    for p_mw, q_mvar in drawn:
        p_mw[6] = q_mvar[6] = 0.0
    asked: list[int] = []

    def demand(number: int) -> tuple[np.ndarray, np.ndarray]:
        asked.append(number)
        return drawn[number - 7]

    page = load_page(demand, 30, CASE.bus_ids, first=7)
    assert page is not None
    assert asked == list(range(7, 37))
    assert "30 load scenarios" in page
    assert [f'"bus {number}"' in page for number in range(1, 15)] == [
        number != 7 for number in range(1, 15)
    ]  # what has no demand has no line
    assert not re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="?http', page)
    assert page == load_page(demand, 30, CASE.bus_ids, first=7)
    assert load_page(demand, 30, np.array([str(n) for n in range(101)])) is None
