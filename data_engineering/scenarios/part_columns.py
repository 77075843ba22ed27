"""Samples and solutions as a record batch of a part, and back.

Numbers stand as bytes, so that what a row shares with the row before it (demand, costs,
impedances) is null and takes no room, flags are bits, and numbers of a sample without a solution
are null. The first row of each batch is whole, so that any batch is read alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data_engineering.model.grid import Flags, Floats, Ints, Texts
from data_engineering.model.samples import Samples, Solutions
from data_engineering.scenarios.contract import failures_schema

FORMAT = b"1"
SIZES = ("buses", "branches", "generators")
FOUND = {
    "vm_pu": "buses",
    "va_deg": "buses",
    "p_mw": "generators",
    "q_mvar": "generators",
    "dc_va_deg": "buses",
    "dc_p_mw": "generators",
}
"""Numbers of a solution, and how many there are."""

_FLAGS = {"branch_on": "branches", "unit_on": "generators"}
_GIVEN = {
    "load_p_mw": "buses",
    "load_q_mvar": "buses",
    "cost": "generators",
    "r_pu": "branches",
    "x_pu": "branches",
}
_COST_TERMS = 3

_Values = npt.NDArray[Any]


def part_schema(given: Samples) -> pa.Schema:
    """The schema of a part whose samples are like these; the sizes stand in its metadata."""
    sizes = (given.load_p_mw.shape[1], given.branch_on.shape[1], given.unit_on.shape[1])
    about = {"part": FORMAT} | {k: str(v) for k, v in zip(SIZES, sizes, strict=True)}
    kinds = {
        "load_scenario": pa.int64(),
        "variant": pa.int64(),
        "solved": pa.bool_(),
        "reason": pa.string(),
        "seconds": pa.float64(),
        "dc_seconds": pa.float64(),
    }
    kinds |= dict.fromkeys((*_FLAGS, *_GIVEN, *FOUND), pa.large_binary())
    return pa.schema(list(kinds.items()), metadata=about)


def packed(given: Samples, found: Solutions, schema: pa.Schema) -> pa.RecordBatch:
    """Samples and what was found of them as a record batch."""
    plain = [
        pa.array(given.load_scenario),
        pa.array(given.variant),
        pa.array(found.solved),
        pa.array(found.reason.tolist(), pa.string()),
        pa.array(found.seconds),
        pa.array(found.dc_seconds),
    ]
    bits = [np.packbits(getattr(given, name), axis=1) for name in _FLAGS]
    numbers = [getattr(given, name).reshape(len(given), -1) for name in _GIVEN]
    shared = [_bytes(values, _changes(values)) for values in (*bits, *numbers)]
    solutions = [getattr(found, name) for name in FOUND]
    own = [_bytes(each, found.solved & ~np.isnan(each).all(axis=1)) for each in solutions]
    return pa.record_batch(plain + shared + own, schema=schema)


def solved(batch: pa.RecordBatch) -> Flags:
    """Which samples have a solution."""
    flags: Flags = _plain(batch, "solved")
    return flags


def reasons(batch: pa.RecordBatch) -> Texts:
    """Why samples have no solution."""
    return np.array(batch.column("reason").to_pylist(), dtype=np.str_)


def samples_of(batch: pa.RecordBatch, chosen: Ints, sizes: Mapping[str, int]) -> Samples:
    """Some samples of a batch; arrays may be views of it."""
    columns: dict[str, Any] = {
        name: _flags(batch, name, sizes[size], chosen) for name, size in _FLAGS.items()
    }
    widths = {name: sizes[size] for name, size in _GIVEN.items()}
    widths["cost"] *= _COST_TERMS
    for name, width in widths.items():
        columns[name] = _shared(batch, name, np.float64, width, chosen)
    columns["cost"] = columns["cost"].reshape(len(chosen), -1, _COST_TERMS)
    return Samples(
        load_scenario=_plain(batch, "load_scenario")[chosen],
        variant=_plain(batch, "variant")[chosen],
        **columns,
    )


def solutions_of(batch: pa.RecordBatch, chosen: Ints, sizes: Mapping[str, int]) -> Solutions:
    """Solutions of some solved samples that follow each other; arrays may be views."""
    numbers = {name: _own(batch, name, sizes[size], chosen) for name, size in FOUND.items()}
    return Solutions(
        solved=solved(batch)[chosen],
        reason=reasons(batch)[chosen],
        seconds=_plain(batch, "seconds")[chosen],
        dc_seconds=_plain(batch, "dc_seconds")[chosen],
        **numbers,
    )


def failures_of(batch: pa.RecordBatch, sizes: Mapping[str, int]) -> pa.Table:
    """Samples of a batch without a solution, as rows of `failures.parquet`."""
    chosen = np.flatnonzero(~solved(batch))
    texts = [text.partition(": ") for text in reasons(batch)[chosen].tolist()]
    columns = [
        pa.array(_plain(batch, "load_scenario")[chosen]),
        pa.array(_plain(batch, "variant")[chosen]),
        pa.array([stage for stage, _, _ in texts], pa.string()),
        pa.array([cause for _, _, cause in texts], pa.string()),
    ]
    out = [_rows_out(_flags(batch, name, sizes[size], chosen)) for name, size in _FLAGS.items()]
    return pa.Table.from_arrays(columns + out, schema=failures_schema())


def _changes(values: _Values) -> Flags:
    """Rows that differ from the row before by a bit, and the first."""
    new = np.ones(len(values), dtype=np.bool_)
    if values.strides[0] == 0:
        new[1:] = False
    else:
        whole = np.ascontiguousarray(values)
        bits = whole.view(np.uint64) if whole.dtype == np.float64 else whole
        new[1:] = (bits[1:] != bits[:-1]).any(axis=1)
    return new


def _bytes(values: _Values, kept: Flags) -> pa.Array:
    """The bytes of the kept rows; null the others."""
    width = values.shape[1] * values.itemsize
    offsets = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum(kept * width, out=offsets[1:])
    data = np.ascontiguousarray(values if kept.all() else values[kept])
    valid = np.packbits(kept, bitorder="little")
    buffers = [pa.py_buffer(part) for part in (valid, offsets, data)]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(values), buffers)


def _stored(batch: pa.RecordBatch, name: str, kind: type, width: int) -> tuple[_Values, Flags]:
    """The rows that a column of bytes keeps, and which they are."""
    column = batch.column(name)
    kept: Flags = column.is_valid().to_numpy(zero_copy_only=False)
    count = int(kept.sum())
    if not count * width:
        return np.zeros((count, width), kind), kept
    return np.frombuffer(column.buffers()[2], kind, count * width).reshape(count, width), kept


def _shared(batch: pa.RecordBatch, name: str, kind: type, width: int, chosen: Ints) -> _Values:
    values, kept = _stored(batch, name, kind, width)
    if len(values) == 1:
        return np.broadcast_to(values, (len(chosen), width))
    rows: _Values = values[(np.cumsum(kept) - 1)[chosen]]
    return rows


def _own(batch: pa.RecordBatch, name: str, width: int, chosen: Ints) -> Floats:
    values, kept = _stored(batch, name, np.float64, width)
    place, has = (np.cumsum(kept) - 1)[chosen], kept[chosen]
    if has.all() and len(chosen):  # rows kept are rows solved: those chosen stand together
        return values[place[0] : place[-1] + 1]
    found = np.full((len(chosen), width), np.nan)
    found[has] = values[place[has]]
    return found


def _flags(batch: pa.RecordBatch, name: str, count: int, chosen: Ints) -> Flags:
    bits = _shared(batch, name, np.uint8, -(-count // 8), chosen)
    return np.unpackbits(bits, axis=1, count=count).view(np.bool_)


def _plain(batch: pa.RecordBatch, name: str) -> _Values:
    values: _Values = batch.column(name).to_numpy(zero_copy_only=False)
    return values


def _rows_out(flags: Flags) -> pa.Array:
    """For each sample the columns that are off."""
    offsets = np.zeros(len(flags) + 1, dtype=np.int32)
    np.cumsum((~flags).sum(axis=1), out=offsets[1:])
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.nonzero(~flags)[1]))
