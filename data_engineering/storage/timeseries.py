"""The time-series database: rows by time, written in bulk, read by half-open windows."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import pyarrow.compute as pc
from psycopg2 import sql
from sqlalchemy.engine import Engine

from data_engineering.model.columns import Table
from data_engineering.model.errors import BadInput
from data_engineering.model.time import Window
from data_engineering.storage import rows
from data_engineering.storage.database import driver_cursor
from data_engineering.storage.frames import to_arrow


def write(engine: Engine, table: Table, frame: pd.DataFrame) -> int:
    """Write rows; a row with a known key replaces it. All are written, or none.

    The days that the rows need are made first, in a transaction of their own. Of rows with the
    same key in one frame the last stands; NaN is stored as null.

    Args:
        engine: the time-series database.
        table: a table of that database.
        frame: its written columns; see `frames.to_arrow`.

    Returns:
        Rows written.

    Raises:
        BadInput: the frame is not one of the table, or a row breaks a constraint.
        DatabaseUnavailable, DatabaseRefused, DatabaseBusy, DiskFull: the server says so.
    """
    content = to_arrow(table, frame)
    if content.num_rows == 0:
        return 0
    days = pc.unique(pc.floor_temporal(content[_time_column(table)], unit="day"))
    with driver_cursor(engine) as cursor:
        cursor.execute(
            "SELECT ensure_partitions(%s, %s::date[])",
            (table.name, [day.date() for day in days.to_pylist()]),
        )
    with driver_cursor(engine) as cursor:
        rows.upsert(cursor, table, content)
    return int(content.num_rows)


def read(
    engine: Engine, table: Table, window: Window, *, case_name: str, as_of: datetime | None = None
) -> pd.DataFrame:
    """The rows of a case whose time is in a window, sorted by key.

    Args:
        engine: the time-series database.
        table: a table of that database.
        window: half-open, on `table.time`.
        case_name: grid case.
        as_of: leave out rows that were not known then (`available_at` later); it guards against
            looking ahead.

    Returns:
        All columns of the table; timestamps are `datetime64[ns, UTC]`. Empty where there are none.
    """
    tests = [
        sql.SQL("{0} >= %s AND {0} < %s").format(sql.Identifier(_time_column(table))),
        sql.SQL("case_name = %s"),
    ]
    values: list[datetime | str] = [window.start, window.end, case_name]
    if as_of is not None:
        if as_of.tzinfo is None:
            raise BadInput("as_of", as_of, "give a time with a time zone")
        tests.append(sql.SQL("available_at <= %s"))
        values.append(as_of.astimezone(UTC))
    with driver_cursor(engine) as cursor:
        return rows.select(cursor, table, sql.SQL(" AND ").join(tests), values)


def drop_expired(engine: Engine, reference: datetime | None = None) -> list[str]:
    """Drop the days that are older than their table keeps them: 90 days, forecasts 30.

    A day's age counts from its end or from when it was first written, whichever is later, so that
    a replayed old year is kept as long as a new one. TimescaleDB's community edition does the
    same by itself.

    Args:
        engine: the time-series database, as role `migrator`.
        reference: the present; None for the server's.

    Returns:
        Names of the partitions or chunks dropped.
    """
    with driver_cursor(engine) as cursor:
        cursor.execute("SELECT drop_expired(coalesce(%s, now()))", (reference,))
        return [name for (name,) in cursor.fetchall()]


def _time_column(table: Table) -> str:
    if table.store != "timeseries" or table.time is None:
        raise BadInput("table", table.name, "give a table of the time-series database")
    return table.time
