"""What the tables hold of a stream, and the lock that one of those who react to it holds."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from data_engineering.model.columns import Table
from data_engineering.model.errors import LascopfError
from data_engineering.model.stream import Committed, StatusChange
from data_engineering.model.tables import (
    BRANCH_MEASUREMENTS,
    LOAD_MEASUREMENTS,
    POWER_MEASUREMENTS,
    TOPOLOGY_CHANGES,
)
from data_engineering.model.time import Window
from data_engineering.storage import timeseries
from data_engineering.storage.frames import to_arrow
from data_engineering.storage.metadata import query

MEASURED = (POWER_MEASUREMENTS, LOAD_MEASUREMENTS, BRANCH_MEASUREMENTS)
_NEWEST = """
    SELECT max({column}) AS newest FROM {table} WHERE case_name = :case AND {column} <= :told
"""


def newest_streamed(engine: Engine, case_name: str) -> datetime | None:
    """The newest time of a reading or change of a case that a stream can have brought.

    A day that was ingested as a whole has readings that the stream has not come to.

    Returns:
        None where no stream has stored a message, or the case has no rows.
    """
    told = query(engine, "SELECT max(newest_row_at) AS newest FROM stream_offsets")["newest"][0]
    if told is None or pd.isna(told):
        return None
    found = []
    for table in (*MEASURED, TOPOLOGY_CHANGES):
        text = _NEWEST.format(column=table.time, table=table.name)
        found.append(query(engine, text, {"case": case_name, "told": told})["newest"].iloc[0])
    times = [time for time in found if time is not None and not pd.isna(time)]
    return max(times).astimezone(UTC) if times else None


def read_committed(
    engine: Engine, case_name: str, since: datetime, changes_since: datetime, until: datetime
) -> Committed:
    """What the tables hold of a case, as if it had been committed just now.

    Args:
        engine: the time-series database.
        case_name: grid case.
        since: readings of earlier times are left out.
        changes_since: changes of earlier times are left out.
        until: the newest time of a reading or change that counts.
    """
    readings = {table.name: _rows(engine, table, case_name, since, until) for table in MEASURED}
    changes = _rows(engine, TOPOLOGY_CHANGES, case_name, changes_since, until)
    return Committed(
        readings={name: rows for name, rows in readings.items() if rows.num_rows},
        changes=tuple(_change(row) for row in changes.to_pylist()),
        requests=(),
        at=datetime.now(UTC),
    )


class Leadership:
    """A name that one process at a time holds, by a lock of its database session.

    The lock is gone when the process or its session is.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine, self._name = engine, name
        self._session: Connection | None = None

    def held(self) -> bool:
        """Whether the name is ours; it is taken where nobody has it."""
        try:
            if self._session is not None:
                self._session.execute(sa.text("SELECT 1"))
                self._session.commit()
                return True
            session = self._engine.connect()
            text = sa.text("SELECT pg_try_advisory_lock(hashtext('stream'), hashtext(:name))")
            mine = bool(session.execute(text, {"name": self._name}).scalar())
            session.commit()
        except LascopfError:
            self.release()
            return False
        if mine:
            self._session = session
        else:
            session.close()
        return mine

    def release(self) -> None:
        """Give the name back."""
        session, self._session = self._session, None
        if session is None:
            return
        if not session.invalidated:
            # At once: the server may take a while to see that a session has ended.
            with suppress(LascopfError):
                text = sa.text("SELECT pg_advisory_unlock(hashtext('stream'), hashtext(:name))")
                session.execute(text, {"name": self._name})
                session.commit()
        # Closing alone would put the session, a lock that may be left and all, back into the pool.
        session.invalidate()
        session.close()


def _rows(
    engine: Engine, table: Table, case_name: str, since: datetime, until: datetime
) -> pa.Table:
    window = Window(min(since, until), until + timedelta(microseconds=1))  # `until` belongs to it
    return to_arrow(table, timeseries.read(engine, table, window, case_name=case_name))


def _change(row: Mapping[str, Any]) -> StatusChange:
    return StatusChange(
        time=row["time"],
        case_name=row["case_name"],
        element=row["element"],
        element_id=row["element_id"],
        closed=row["closed"],
        quality=row["measurement_quality"],
        available_at=row["available_at"],
        source=row["source"],
    )
