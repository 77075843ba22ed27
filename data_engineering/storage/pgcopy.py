"""PostgreSQL's binary COPY format, written with NumPy for whole columns at once.

Format: https://www.postgresql.org/docs/current/sql-copy.html (binary format). A row is a 16-bit
field count, then each field as a 32-bit length (-1 for null) and its bytes, all big-endian.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from data_engineering.model.columns import Dtype, Table

_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TRAILER = b"\xff\xff"
_TEXT_OID = 25
_NOTHING = pa.scalar(b"", pa.large_binary())
_EPOCH_MICROSECONDS = 946_684_800_000_000  # 2000-01-01, from which PostgreSQL counts, since 1970
_EPOCH_DAYS = 10_957

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Field:
    """One column: the length of each value (0 for null), nulls, and all values end to end."""

    lengths: Ints
    null: npt.NDArray[np.bool_]
    content: Bytes


def encode(table: Table, rows: pa.Table, batch_rows: int = 50_000) -> Iterator[bytes | pa.Buffer]:
    """The rows as a binary COPY stream, in pieces.

    Args:
        table: declaration that says the SQL type of each column.
        rows: written columns of the table, as `frames.to_arrow` gives them.
        batch_rows: rows laid out at once; memory is about 1 KB for each.
    """
    yield _HEADER
    for start in range(0, rows.num_rows, batch_rows):
        batch = rows.slice(start, batch_rows)
        columns = (batch.column(c.name).combine_chunks() for c in table.written)
        fields = [
            _ENCODERS[c.dtype](array.chunk(0) if isinstance(array, pa.ChunkedArray) else array)
            for c, array in zip(table.written, columns, strict=True)
        ]
        yield _lay_out(fields)
    yield _TRAILER


def _lay_out(fields: list[_Field]) -> pa.Buffer:
    """Rows as pieces joined end to end: fields of one width are a piece, each other field is one.

    Arrow joins pieces in one pass and lets other threads run meanwhile.
    """
    rows = len(fields[0].null)
    block: list[tuple[str, npt.NDArray[np.generic] | int]] = [(">i2", len(fields))]
    pieces: list[pa.Array] = []
    for field in fields:
        if field.null.all():
            block.append((">i4", -1))
        elif not field.null.any() and field.lengths.min() == field.lengths.max() > 0:
            width = int(field.lengths[0])
            block += [(">i4", width), (f"V{width}", field.content.view(f"V{width}"))]
        else:
            block.append((">i4", np.where(field.null, -1, field.lengths)))
            pieces += [_block(block, rows), _binary(field.lengths, field.content)]
            block = []
    if block:
        pieces.append(_block(block, rows))
    joined = pieces[0] if len(pieces) == 1 else pc.binary_join_element_wise(*pieces, _NOTHING)
    return joined.buffers()[2]


def _block(parts: list[tuple[str, npt.NDArray[np.generic] | int]], rows: int) -> pa.Array:
    """Bytes of one width for each row: `parts` are types, and values of all rows or of each."""
    out = np.empty(rows, dtype=[(f"p{place}", kind) for place, (kind, _) in enumerate(parts)])
    for place, (_, values) in enumerate(parts):
        out[f"p{place}"] = values
    width = np.full(rows, out.dtype.itemsize, dtype=np.int64)
    return _binary(width, out.view(np.uint8))


def _binary(lengths: Ints, content: Bytes) -> pa.Array:
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(content)]
    return pa.Array.from_buffers(pa.large_binary(), len(lengths), buffers)


def _big_endian(values: npt.NDArray[np.generic], dtype: str) -> Bytes:
    width = np.dtype(dtype).itemsize
    return np.ascontiguousarray(values, dtype=dtype).view(np.uint8).reshape(len(values), width)


def _nulls(array: pa.Array) -> npt.NDArray[np.bool_]:
    return np.asarray(array.is_null().to_numpy(zero_copy_only=False))


def _fixed(array: pa.Array, values: npt.NDArray[np.generic], dtype: str) -> _Field:
    null = _nulls(array)
    width = np.dtype(dtype).itemsize
    content = _big_endian(values[~null], dtype).reshape(-1)
    return _Field(np.where(null, 0, width).astype(np.int64), null, content)


def _float(array: pa.Array) -> _Field:
    return _fixed(array, array.fill_null(0.0).to_numpy(), ">f8")


def _integer(array: pa.Array) -> _Field:
    return _fixed(array, array.fill_null(0).to_numpy(), ">i4")


def _bigint(array: pa.Array) -> _Field:
    return _fixed(array, array.fill_null(0).to_numpy(), ">i8")


def _boolean(array: pa.Array) -> _Field:
    return _fixed(array, array.fill_null(False).to_numpy(zero_copy_only=False), "u1")


def _timestamp(array: pa.Array) -> _Field:
    microseconds = array.cast(pa.int64()).fill_null(0).to_numpy()
    return _fixed(array, microseconds - _EPOCH_MICROSECONDS, ">i8")


def _date(array: pa.Array) -> _Field:
    days = array.cast(pa.int32()).fill_null(0).to_numpy()
    return _fixed(array, days - _EPOCH_DAYS, ">i4")


def _ragged(array: pa.Array, pieces: pa.Array) -> _Field:
    """A field from arrow's binary values: offsets into one buffer, which is read in place."""
    null = _nulls(array)
    filled = pieces.fill_null(b"").cast(pa.large_binary())
    _, offsets_buffer, data_buffer = filled.buffers()
    offsets = np.frombuffer(offsets_buffer, dtype=np.int64)[
        filled.offset : filled.offset + len(filled) + 1
    ]
    data = np.frombuffer(data_buffer, dtype=np.uint8) if data_buffer else np.empty(0, np.uint8)
    return _Field(np.diff(offsets), null, data[offsets[0] : offsets[-1]])


def _text(array: pa.Array) -> _Field:
    return _ragged(array, array.cast(pa.binary()))


def _jsonb(array: pa.Array) -> _Field:
    # A jsonb value begins with the version of its encoding, 1.
    pieces = [None if text is None else b"\x01" + text.encode() for text in array.to_pylist()]
    return _ragged(array, pa.array(pieces, pa.binary()))


def _uuid(array: pa.Array) -> _Field:
    encoded = array.dictionary_encode()
    known = [uuid.UUID(text).bytes for text in encoded.dictionary.to_pylist()]
    pieces = pa.array(known, pa.binary()).take(encoded.indices)
    return _ragged(array, pieces)


def _texts(array: pa.Array) -> _Field:
    pieces = [None if texts is None else _text_array(texts) for texts in array.to_pylist()]
    return _ragged(array, pa.array(pieces, pa.binary()))


def _text_array(texts: list[str]) -> bytes:
    """Dimensions, has-nulls flag, element type; for one dimension its length and lower bound."""
    words = np.array([1, 0, _TEXT_OID, len(texts), 1] if texts else [0, 0, _TEXT_OID], ">i4")
    parts = [words.tobytes()]
    for text in texts:
        content = text.encode()
        parts += [len(content).to_bytes(4, "big"), content]
    return b"".join(parts)


_ENCODERS: dict[Dtype, Callable[[pa.Array], _Field]] = {
    "text": _text,
    "float": _float,
    "integer": _integer,
    "bigint": _bigint,
    "boolean": _boolean,
    "timestamp": _timestamp,
    "date": _date,
    "uuid": _uuid,
    "json": _jsonb,
    "texts": _texts,
}
