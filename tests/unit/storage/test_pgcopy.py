"""The binary COPY encoder against a reader written from PostgreSQL's description of the format."""

from __future__ import annotations

import json
import struct
import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_engineering.model.columns import Column, Table
from data_engineering.storage.frames import to_arrow
from data_engineering.storage.pgcopy import encode

TABLE = Table(
    "everything",
    "metadata",
    "One column of each type.",
    (
        Column("number", "integer", nullable=False),
        Column("name", "text"),
        Column("value", "float"),
        Column("flag", "boolean"),
        Column("at", "timestamp"),
        Column("day", "date"),
        Column("identity", "uuid"),
        Column("document", "json"),
        Column("names", "texts"),
    ),
    ("number",),
)


def read_field(stream: bytes, place: int) -> tuple[bytes | None, int]:
    (length,) = struct.unpack_from("!i", stream, place)
    if length == -1:
        return None, place + 4
    return stream[place + 4 : place + 4 + length], place + 4 + length


def read_text_array(content: bytes) -> list[str]:
    dimensions, has_null, oid = struct.unpack_from("!iii", content)
    assert (has_null, oid) == (0, 25)
    if dimensions == 0:
        assert len(content) == 12
        return []
    count, lower = struct.unpack_from("!ii", content, 12)
    assert (dimensions, lower) == (1, 1)
    place, texts = 20, []
    for _ in range(count):
        text, place = read_field(content, place)
        assert text is not None
        texts.append(text.decode())
    assert place == len(content)
    return texts


def read_json(content: bytes) -> Any:
    assert content[0] == 1
    return json.loads(content[1:])


READERS = {
    "number": lambda b: struct.unpack("!i", b)[0],
    "name": lambda b: b.decode(),
    "value": lambda b: struct.unpack("!d", b)[0],
    "flag": lambda b: {b"\0": False, b"\1": True}[b],
    "at": lambda b: (
        datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=struct.unpack("!q", b)[0])
    ),
    "day": lambda b: date(2000, 1, 1) + timedelta(days=struct.unpack("!i", b)[0]),
    "identity": lambda b: uuid.UUID(bytes=b),
    "document": read_json,
    "names": read_text_array,
}


def decode(stream: bytes) -> list[dict[str, Any]]:
    assert stream[:11] == b"PGCOPY\n\xff\r\n\0"
    assert struct.unpack_from("!ii", stream, 11) == (0, 0)
    place, rows = 19, []
    while True:
        (count,) = struct.unpack_from("!h", stream, place)
        place += 2
        if count == -1:
            assert place == len(stream)
            return rows
        assert count == len(READERS)
        row = {}
        for name, read in READERS.items():
            content, place = read_field(stream, place)
            row[name] = None if content is None else read(content)
        rows.append(row)


# Text as PostgreSQL can keep it: any character but NUL; surrogates are no characters.
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
TIMES = st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
JSON = st.dictionaries(TEXT, st.none() | st.integers() | TEXT | st.lists(st.booleans()), max_size=3)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.none() | TEXT,
            "value": st.none() | st.floats(allow_nan=False, allow_infinity=False),
            "flag": st.none() | st.booleans(),
            "at": st.none() | TIMES,
            "day": st.none() | st.dates(),
            "identity": st.none() | st.uuids(),
            "document": st.none() | JSON,
            "names": st.none() | st.lists(TEXT, max_size=3),
        }
    ),
    min_size=1,
    max_size=20,
)


@given(rows=ROWS, batch_rows=st.integers(1, 7))
@settings(max_examples=200, deadline=None)
def test_every_value_arrives_as_it_was(rows: list[dict[str, Any]], batch_rows: int) -> None:
    rows = [{"number": number} | row for number, row in enumerate(rows)]
    frame = pd.DataFrame(rows, dtype=object)
    stream = b"".join(encode(TABLE, to_arrow(TABLE, frame), batch_rows))
    assert decode(stream) == rows


def test_no_rows_are_an_empty_stream() -> None:
    frame = pd.DataFrame({column.name: [] for column in TABLE.columns})
    assert decode(b"".join(encode(TABLE, to_arrow(TABLE, frame)))) == []


@pytest.mark.parametrize("number", [-(2**31) + 1, 2**31 - 1])
def test_integers_to_their_limits(number: int) -> None:
    row = dict.fromkeys(TABLE.names) | {"number": number}
    stream = b"".join(encode(TABLE, to_arrow(TABLE, pd.DataFrame([row], dtype=object))))
    assert decode(stream) == [row]
