"""Rows with a version: of two with one key the one known later stands, whichever came first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa
from psycopg2 import sql

from data_engineering.model.columns import Table
from data_engineering.storage import rows as plain_rows
from data_engineering.storage.stream_parts import by_series

_QUALITY = "measurement_quality"


def insert(cursor: Any, table: Table, pieces: Iterable[bytes | pa.Buffer]) -> None:
    """Write rows whose keys are new, as `pgcopy.encode` gives them; a third cheaper than `upsert`.

    Raises:
        psycopg2.Error: of code 23505 where a key is known, and of what `upsert` raises.
    """
    plain_rows.copy_pieces(cursor, sql.Identifier(table.name), table, pieces)


def upsert(cursor: Any, table: Table, rows: pa.Table, *, used: bool = False) -> None:
    """Write rows in any order; an older one, or one that is there already, changes nothing.

    Of one `available_at` the better quality stands, then the greater text of the row, so that
    the outcome does not depend on the order.

    Args:
        cursor: in a transaction.
        table: with `available_at` and `measurement_quality`.
        rows: its written columns; a key may be there more than once.
        used: this transaction has written into the table before.
    """
    staging = sql.Identifier(f"stream_staging_{table.name}")
    names = _names([column.name for column in table.written])
    cursor.execute(
        sql.SQL(
            "CREATE TEMPORARY TABLE IF NOT EXISTS {} ON COMMIT DELETE ROWS AS "
            "SELECT {} FROM {} WITH NO DATA"
        ).format(staging, names, sql.Identifier(table.name))
    )
    if used:
        cursor.execute(sql.SQL("TRUNCATE {}").format(staging))
    plain_rows.copy(cursor, staging, table, by_series(table, rows))
    cursor.execute(_statement(table, staging, distinct=_has_repeated_keys(table, rows)))


def _has_repeated_keys(table: Table, rows: pa.Table) -> bool:
    return bool(rows.group_by(list(table.key)).aggregate([]).num_rows < rows.num_rows)


def _statement(table: Table, staging: sql.Identifier, *, distinct: bool) -> sql.Composed:
    names = [column.name for column in table.written]
    target = sql.Identifier(table.name)
    source = sql.SQL("SELECT {} FROM {}").format(_names(names), staging)
    if distinct:
        source = sql.SQL("SELECT DISTINCT ON ({}) {} FROM {} AS s ORDER BY {}, {}").format(
            _names(table.key), _names(names), staging, _names(table.key), _newest_first(names)
        )
    others = [name for name in names if name not in table.key]
    return sql.SQL(
        "INSERT INTO {target} AS t ({names}) {source} ON CONFLICT ({key}) DO UPDATE SET {changes} "
        "WHERE EXCLUDED.available_at > t.available_at "
        "OR EXCLUDED.available_at = t.available_at AND {tie}"
    ).format(
        target=target,
        names=_names(names),
        source=source,
        key=_names(table.key),
        changes=sql.SQL(", ").join(
            sql.SQL("{0} = EXCLUDED.{0}").format(sql.Identifier(name)) for name in others
        ),
        tie=sql.SQL("(-EXCLUDED.{q}, {new}) > (-t.{q}, {old})").format(
            q=sql.Identifier(_QUALITY), new=_text("excluded", names), old=_text("t", names)
        ),
    )


def _newest_first(names: list[str]) -> sql.Composed:
    return sql.SQL("s.available_at DESC, s.{} ASC, {} DESC").format(
        sql.Identifier(_QUALITY), _text("s", names)
    )


def _text(alias: str, names: list[str]) -> sql.Composed:
    """The row as one text, compared by its bytes."""
    fields = sql.SQL(", ").join(
        sql.SQL("{}.{}").format(sql.Identifier(alias), sql.Identifier(name)) for name in names
    )
    return sql.SQL('(ROW({})::text COLLATE "C")').format(fields)


def _names(names: tuple[str, ...] | list[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))
