"""Rows of declared tables: written by binary COPY, read by COPY as CSV, both in bulk."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv
from psycopg2 import sql

from data_engineering.model.columns import ARROW, Column, Table
from data_engineering.model.errors import BadInput
from data_engineering.storage.pgcopy import encode


def upsert(cursor: Any, table: Table, rows: pa.Table) -> None:
    """Write rows; one with a known key replaces it, and one that is equal already is left alone."""
    if rows.num_rows == 0:
        return
    target, staging = sql.Identifier(table.name), sql.Identifier(f"staging_{table.name}")
    names = _names(table)
    # The staging table takes its types from the target and is gone with the transaction.
    cursor.execute(
        sql.SQL(
            "CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA"
        ).format(staging, names, target)
    )
    copy(cursor, staging, table, rows)
    cursor.execute(_upsert_statement(table, target, staging))
    cursor.execute(sql.SQL("DROP TABLE {}").format(staging))


def insert(cursor: Any, table: Table, rows: pa.Table) -> None:
    """Write rows whose keys are not there yet."""
    copy(cursor, sql.Identifier(table.name), table, rows)


def delete(cursor: Any, table: Table, where: Mapping[str, Any]) -> None:
    """Delete the rows whose columns have the given values.

    Raises:
        BadInput: `where` is empty or names a column that the table has not.
    """
    unknown = sorted(set(where) - set(table.names))
    if unknown or not where:
        raise BadInput(f"{table.name} where", unknown, f"name some of {', '.join(table.names)}")
    tests = [sql.SQL("{} = %s").format(sql.Identifier(name)) for name in where]
    statement = sql.SQL("DELETE FROM {} WHERE {}").format(
        sql.Identifier(table.name), sql.SQL(" AND ").join(tests)
    )
    cursor.execute(statement, list(where.values()))


def select(
    cursor: Any, table: Table, condition: sql.Composable, values: Sequence[Any]
) -> pd.DataFrame:
    """The rows that meet a condition, sorted by key.

    Timestamps are `datetime64[ns, UTC]`; JSON documents are text; an integer column with nulls
    is float, a boolean one object.
    """
    statement = sql.SQL("COPY (SELECT {} FROM {} WHERE {} ORDER BY {}) TO STDOUT (FORMAT csv)")
    columns = sql.SQL(", ").join(_as_csv(column) for column in table.columns)
    order = sql.SQL(", ").join(
        sql.SQL('{} COLLATE "C"').format(sql.Identifier(name))
        if table.column(name).dtype == "text"
        else sql.Identifier(name)
        for name in table.key
    )
    text = statement.format(columns, sql.Identifier(table.name), condition, order)
    sink = io.BytesIO()
    cursor.copy_expert(cursor.mogrify(text, list(values)).decode(), sink)
    return _from_csv(table, sink.getvalue())


def _names(table: Table) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(column.name) for column in table.written)


def copy(cursor: Any, target: sql.Identifier, table: Table, rows: pa.Table) -> None:
    """Write rows into `target`, which has the written columns of `table`, by binary COPY."""
    copy_pieces(cursor, target, table, encode(table, rows))


def copy_pieces(
    cursor: Any, target: sql.Identifier, table: Table, pieces: Iterable[bytes | pa.Buffer]
) -> None:
    """Write rows as `encode` gives them; see `copy`."""
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(target, _names(table))
    cursor.copy_expert(statement, _Stream(iter(pieces)), size=1 << 20)


class _Stream(io.RawIOBase):
    """Pieces of bytes as the file that the driver wants to read."""

    def __init__(self, pieces: Iterator[bytes | pa.Buffer]) -> None:
        self._pieces, self._rest = pieces, memoryview(b"")

    def read(self, size: int = -1) -> bytes:
        if not self._rest:
            self._rest = memoryview(next(self._pieces, b""))
        taken, self._rest = self._rest[:size], self._rest[size:]
        return bytes(taken)


def _upsert_statement(
    table: Table, target: sql.Identifier, staging: sql.Identifier
) -> sql.Composed:
    others = [column.name for column in table.written if column.name not in table.key]
    changes: list[sql.Composable] = [
        sql.SQL("{0} = EXCLUDED.{0}").format(sql.Identifier(name)) for name in others
    ]
    if "recorded_at" in table.generated:
        changes.append(sql.SQL("recorded_at = DEFAULT"))
    old = sql.SQL(", ").join(sql.SQL("{}.{}").format(target, sql.Identifier(n)) for n in others)
    new = sql.SQL(", ").join(sql.SQL("EXCLUDED.{}").format(sql.Identifier(n)) for n in others)
    return sql.SQL(
        "INSERT INTO {target} ({names}) SELECT {names} FROM {staging} ON CONFLICT ({key}) "
        "DO UPDATE SET {changes} WHERE ({old}) IS DISTINCT FROM ({new})"
    ).format(
        target=target,
        names=_names(table),
        staging=staging,
        key=sql.SQL(", ").join(map(sql.Identifier, table.key)),
        changes=sql.SQL(", ").join(changes),
        old=old,
        new=new,
    )


def _as_csv(column: Column) -> sql.Composed:
    """The column in a form that arrow's CSV reader takes without loss."""
    name = sql.Identifier(column.name)
    if column.dtype == "timestamp":
        return sql.SQL("(extract(epoch FROM {}) * 1000000)::bigint").format(name)
    if column.dtype == "texts":
        return sql.SQL("to_json({})").format(name)
    return sql.SQL("{}").format(name)


def _from_csv(table: Table, content: bytes) -> pd.DataFrame:
    if not content:
        schema = pa.schema([pa.field(c.name, ARROW[c.dtype]) for c in table.columns])
        empty: pd.DataFrame = schema.empty_table().to_pandas(coerce_temporal_nanoseconds=True)
        return empty
    read_as = {"timestamp": pa.int64(), "texts": pa.string()}
    options = pa.csv.ConvertOptions(
        column_types={c.name: read_as.get(c.dtype, ARROW[c.dtype]) for c in table.columns},
        null_values=[""],
        true_values=["t"],
        false_values=["f"],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    rows = pa.csv.read_csv(
        io.BytesIO(content),
        read_options=pa.csv.ReadOptions(column_names=list(table.names)),
        parse_options=pa.csv.ParseOptions(newlines_in_values=True),
        convert_options=options,
    )
    for position, column in enumerate(table.columns):
        if column.dtype == "timestamp":
            cast = rows.column(position).cast(ARROW["timestamp"])
            rows = rows.set_column(position, column.name, cast)
    frame: pd.DataFrame = rows.to_pandas(coerce_temporal_nanoseconds=True, date_as_object=True)
    for column in table.columns:
        if column.dtype == "texts":
            frame[column.name] = frame[column.name].map(json.loads, na_action="ignore")
    return frame
