"""Parts give back what was written, to the bit, from any solved sample to any other."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from data_engineering.model.errors import SourceFileBroken
from data_engineering.model.samples import Samples, Solutions, unsolved
from data_engineering.scenarios import parts
from data_engineering.scenarios.case import prepare
from data_engineering.scenarios.parts import open_part, together, write_part
from tests.scenario_samples import same, samples_of, solutions_of
from tests.solve_cases import pglib

Piece = tuple[Samples, Solutions]
GRID = prepare(pglib("case14_ieee")).grid


def solved_only(pieces: list[Piece]) -> Piece:
    given, found = together(pieces)
    rows = np.flatnonzero(found.solved)
    return given.rows(rows), found.rows(rows)


def with_failures(piece: Piece, failed: list[int], reason: str) -> Piece:
    """The piece with some samples unsolved, though their DC problem had a solution."""
    given, found = piece
    nothing = unsolved(len(given), len(GRID.buses), len(GRID.generators), reason)
    lost = np.isin(np.arange(len(given)), failed)
    columns = {
        name: np.where(lost if value.ndim == 1 else lost[:, None], getattr(nothing, name), value)
        for name, value in vars(found).items()
        if not name.startswith("dc_")
    }
    return given, replace(found, **columns)


@pytest.fixture(scope="module")
def pieces() -> list[Piece]:
    """Five load scenarios: whole, with a failure first and inside, all failed, other impedances."""
    rng = np.random.default_rng(1)
    made = []
    for number, variants in enumerate((20, 1, 7, 20, 13)):
        given = samples_of(GRID, number, variants, rng)
        made.append((given, solutions_of(given, rng)))
    made[2] = with_failures(made[2], [0, 3], "pf: no convergence")
    made[3] = with_failures(made[3], list(range(20)), "base opf: infeasible")
    given, found = made[4]
    scale = rng.uniform(0.8, 1.2, given.r_pu.shape)
    scale[7] = scale[6]
    given = replace(given, r_pu=given.r_pu * scale, x_pu=given.x_pu * scale)
    dc = found.dc_va_deg.copy(), found.dc_p_mw.copy()
    for values in dc:
        values[5] = np.nan  # the DC problem of this sample has no solution
    made[4] = given, replace(found, dc_va_deg=dc[0], dc_p_mw=dc[1])
    return made


def written(pieces: list[Piece]) -> bytes:
    stream = io.BytesIO()
    write_part(stream, pieces)
    return stream.getvalue()


@pytest.mark.parametrize("batch_bytes", [1, 10_000, parts.BATCH_BYTES])
def test_any_range_of_solved_samples_comes_back(
    pieces: list[Piece], batch_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "BATCH_BYTES", batch_bytes)
    part = open_part(pa.py_buffer(written(pieces)))
    given, found = solved_only(pieces)
    assert part.solved == len(given) == 20 + 1 + 5 + 13
    for first, last in [(0, 39), (0, 1), (19, 22), (20, 21), (21, 26), (23, 39), (30, 99)]:
        rows = slice(first, last)
        back = together(list(part.rows(first, last)))
        assert same(back[0], given.rows(rows)), (first, last)
        assert same(back[1], found.rows(rows)), (first, last)
    assert not list(part.rows(39, 50))
    assert not list(part.rows(7, 7))


def test_failures_are_rows_with_their_reason_and_outages(pieces: list[Piece]) -> None:
    stream = io.BytesIO()
    counts = write_part(stream, pieces)
    part = open_part(pa.py_buffer(stream.getvalue()))
    expected = {"base opf: infeasible": 20, "pf: no convergence": 2}
    assert counts == part.counts() == (61, 39, expected)
    rows = part.failures().to_pylist()
    assert [(row["load_scenario_idx"], row["variant"]) for row in rows] == [
        (2, 0),
        (2, 3),
        *((3, variant) for variant in range(20)),
    ]
    assert {(row["stage"], row["reason"]) for row in rows} == {
        ("pf", "no convergence"),
        ("base opf", "infeasible"),
    }
    for row in rows:
        given = pieces[row["load_scenario_idx"]][0]
        on = given.branch_on[row["variant"]], given.unit_on[row["variant"]]
        assert row["branches_out"] == np.flatnonzero(~on[0]).tolist()
        assert row["generators_out"] == np.flatnonzero(~on[1]).tolist()


def test_a_file_is_read_as_a_buffer_is(pieces: list[Piece], tmp_path: Path) -> None:
    data = written(pieces)
    path = tmp_path / "part.arrow"
    path.write_bytes(data)
    for one, other in zip(
        open_part(path).rows(3, 30), open_part(pa.py_buffer(data)).rows(3, 30), strict=True
    ):
        assert same(one[0], other[0])
        assert same(one[1], other[1])


def test_the_same_pieces_give_the_same_bytes(pieces: list[Piece]) -> None:
    assert written(pieces) == written(pieces)


def test_what_samples_share_is_written_once() -> None:
    """Twenty more variants of a load scenario take what is their own, and little beside."""
    rng = np.random.default_rng(2)
    sizes = []
    for variants in (100, 200):
        given = samples_of(GRID, 0, variants, rng)
        sizes.append(len(written([(given, solutions_of(given, rng))])))
    buses, units, branches = len(GRID.buses), len(GRID.generators), len(GRID.branches)
    own = 8 * (3 * buses + 3 * units) + -(-branches // 8) + -(-units // 8)
    # besides: number, variant, two times, 13 offsets of 8 bytes, the text's offset, flag bits
    assert (sizes[1] - sizes[0]) / 100 < own + 4 * 8 + 13 * 8 + 4 + 4


def test_pieces_are_taken_one_by_one() -> None:
    """Many pieces are never held together: a batch is written before the next piece is asked."""
    rng = np.random.default_rng(3)
    grid = prepare(pglib("case118_ieee")).grid
    stream = io.BytesIO()
    sizes: list[int] = []

    def stream_of() -> object:
        for number in range(40):
            sizes.append(len(stream.getvalue()))
            given = samples_of(grid, number, 50, rng)
            yield given, solutions_of(given, rng)

    write_part(stream, stream_of())  # type: ignore[arg-type]
    assert max(after - before for before, after in pairwise(sizes)) < 1.5 * parts.BATCH_BYTES
    assert list(accumulate(sizes, max))[-1] > parts.BATCH_BYTES


def test_what_is_not_a_part_is_named(tmp_path: Path) -> None:
    for name, data in (("empty", b""), ("torn", b"ARROW1\0\0 and no more"), ("text", b"x" * 99)):
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(SourceFileBroken, match=f"{name}.*take it away"):
            open_part(path)
    other = pa.BufferOutputStream()
    with pa.ipc.new_file(other, pa.schema([("x", pa.int64())])):
        pass
    with pytest.raises(SourceFileBroken, match="not a part of this version"):
        open_part(other.getvalue())


def test_a_part_without_pieces_is_refused() -> None:
    with pytest.raises(ValueError, match="one sample at least"):
        write_part(io.BytesIO(), [])
