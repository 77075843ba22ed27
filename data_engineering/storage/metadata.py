"""The metadata database: topology, executions and their results, quality, artifacts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any
from uuid import UUID

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from data_engineering.model.columns import Table
from data_engineering.model.errors import BadInput
from data_engineering.model.tables import (
    ARTIFACTS,
    BRANCH_FLOW_RESULTS,
    BUS_RESULTS,
    CONVERGENCE_HISTORY,
    GENERATOR_DISPATCH,
    INTERVAL_RESULTS,
    LASCOPF_EXECUTIONS,
    PRICE_CAUSES,
)
from data_engineering.storage import rows
from data_engineering.storage.database import driver_cursor
from data_engineering.storage.frames import to_arrow
from data_engineering.storage.topology import read_topology, register_topology

__all__ = [
    "query",
    "read_topology",
    "register_artifact",
    "register_topology",
    "replace_batch",
    "replace_results",
    "write",
]

RESULTS = (
    GENERATOR_DISPATCH,
    BUS_RESULTS,
    BRANCH_FLOW_RESULTS,
    INTERVAL_RESULTS,
    PRICE_CAUSES,
    CONVERGENCE_HISTORY,
)


def write(engine: Engine, table: Table, frame: pd.DataFrame) -> int:
    """Write rows; a row with a known key replaces it. All are written, or none.

    Args:
        engine: the metadata database.
        table: a table of that database, with a key that writers give.
        frame: its written columns; see `frames.to_arrow`.

    Returns:
        Rows written.

    Raises:
        BadInput: the frame is not one of the table, or a row breaks a constraint.
        DatabaseUnavailable, DatabaseRefused, DatabaseBusy, DiskFull: the server says so.
    """
    content = to_arrow(_ours(table), frame)
    with driver_cursor(engine) as cursor:
        rows.upsert(cursor, table, content)
    return int(content.num_rows)


def replace_batch(
    engine: Engine, table: Table, frame: pd.DataFrame, where: Mapping[str, Any]
) -> int:
    """Put `frame` in the place of the rows that match `where`, in one transaction.

    Args:
        engine: the metadata database.
        table: a table of that database.
        frame: the new rows, all of which match `where`; may be empty.
        where: values of columns, such as case, table and day.

    Returns:
        Rows written.

    Raises:
        BadInput: as `write`, or a row does not match `where`.
    """
    content = to_arrow(_ours(table), frame)
    for name, value in where.items():
        if name in content.column_names:
            found = content[name].unique().to_pylist()
            strange = sorted({str(given) for given in found} - {str(value)})
            if strange:
                raise BadInput(f"{table.name}.{name}", strange, f"give rows of {value} only")
    with driver_cursor(engine) as cursor:
        rows.delete(cursor, table, where)
        rows.upsert(cursor, table, content)
    return int(content.num_rows)


def replace_results(
    engine: Engine, execution: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]
) -> None:
    """Write an execution and its results, in the place of earlier ones of the same id.

    One transaction: either all is as given, or all as before. Result tables that are not given
    are left without rows of this execution.

    Args:
        engine: the metadata database.
        execution: the columns of `lascopf_executions`.
        tables: frames by table name, each with the execution's `execution_id`.

    Raises:
        BadInput: a frame is not one of its table, or belongs to another execution.
    """
    known = {table.name: table for table in RESULTS}
    unknown = sorted(set(tables) - set(known))
    if unknown:
        raise BadInput("results", unknown, f"give tables among {', '.join(known)}")
    identity = str(execution.get("execution_id"))
    row = to_arrow(LASCOPF_EXECUTIONS, pd.DataFrame([dict(execution)], dtype=object))
    contents = {name: to_arrow(known[name], frame) for name, frame in tables.items()}
    for name, content in contents.items():
        strange = sorted(set(content["execution_id"].unique().to_pylist()) - {identity})
        if strange:
            raise BadInput(f"{name}.execution_id", strange, f"give rows of {identity} only")
    with driver_cursor(engine) as cursor:
        rows.upsert(cursor, LASCOPF_EXECUTIONS, row)  # also keeps other writers of it waiting
        for table in RESULTS:
            rows.delete(cursor, table, {"execution_id": identity})
            if table.name in contents:
                rows.insert(cursor, table, contents[table.name])


def register_artifact(
    engine: Engine,
    *,
    uri: str,
    kind: str,
    case_name: str,
    content_digest: str,
    byte_count: int,
    execution_id: str | None = None,
    day: date | None = None,
) -> None:
    """Record a file that the platform made; a file written again replaces its record.

    Args:
        engine: the metadata database.
        uri: where it is.
        kind: raw, processed, results, report, data_docs, powersystems or dataset.
        case_name: grid case.
        content_digest: SHA-256 of its bytes.
        byte_count: its length.
        execution_id: the execution that made it, which must be written already.
        day: the day it is about.
    """
    row = {
        "uri": uri,
        "kind": kind,
        "case_name": case_name,
        "execution_id": execution_id,
        "day": day,
        "byte_count": byte_count,
        "digest": content_digest,
    }
    write(engine, ARTIFACTS, pd.DataFrame([row], dtype=object))


def query(
    engine: Engine, statement: str, parameters: Mapping[str, Any] | None = None
) -> pd.DataFrame:
    """The rows of a query as a frame; `parameters` stand in it as `:name`. UUIDs are text.

    Raises:
        BadInput: the statement is wrong, or gives no rows to read.
        DatabaseUnavailable, DatabaseRefused, DatabaseBusy: the server says so.
    """
    with engine.begin() as connection:
        result = connection.execute(sa.text(statement), dict(parameters or {}))
        if not result.returns_rows:
            raise BadInput("query", statement, "give one that returns rows")
        found = [[_plain(value) for value in row] for row in result]
        return pd.DataFrame(found, columns=list(result.keys()))


def _plain(value: Any) -> Any:
    """UUIDs as text, as everywhere in the platform's frames."""
    return str(value) if isinstance(value, UUID) else value


def _ours(table: Table) -> Table:
    if table.store != "metadata" or set(table.key) & set(table.generated):
        raise BadInput("table", table.name, "give a table of the metadata database with a key")
    return table
