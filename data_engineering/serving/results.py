"""One execution and everything stored about it, read from the metadata database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

import pandas as pd
from sqlalchemy.engine import Engine

from data_engineering.model.columns import Table
from data_engineering.model.errors import BadInput, NoRows
from data_engineering.model.tables import (
    BRANCH_FLOW_RESULTS,
    BUS_RESULTS,
    CONVERGENCE_HISTORY,
    DATA_QUALITY_METRICS,
    GENERATOR_DISPATCH,
    INTERVAL_RESULTS,
    LASCOPF_EXECUTIONS,
    REJECTED_ROWS,
)
from data_engineering.model.time import Window
from data_engineering.storage.metadata import query, read_topology

RESULTS = (
    GENERATOR_DISPATCH,
    BUS_RESULTS,
    BRANCH_FLOW_RESULTS,
    INTERVAL_RESULTS,
    CONVERGENCE_HISTORY,
)
BY_ID = "AND e.execution_id = CAST(:execution_id AS uuid)"
BY_DAY = "AND e.horizon_start >= :start AND e.horizon_start < :end"


@dataclass(frozen=True, eq=False)
class ExecutionTables:
    """An execution with its results, the quality of its data and its grid.

    Attributes:
        execution: the columns of `lascopf_executions`, and `topology_digest` and
            `topology_version` of the grid that was solved.
        tables: result frames by table name, in the order of their keys.
        quality: `data_quality_metrics` of the case and the horizon's first day.
        rejected: `rejected_rows` of the same batches.
        topology: the grid document; empty where the execution names no topology.
    """

    execution: Mapping[str, Any]
    tables: Mapping[str, pd.DataFrame]
    quality: pd.DataFrame
    rejected: pd.DataFrame
    topology: Mapping[str, Any]


def load_execution(
    engine: Engine, case_name: str, day: date | None = None, execution_id: str | None = None
) -> ExecutionTables:
    """Read an execution: the one with `execution_id`, else the newest of `day`, else the newest.

    Args:
        engine: the metadata database.
        case_name: grid case.
        day: UTC day in which the horizon starts; not looked at where an id is given.
        execution_id: the execution.

    Raises:
        BadInput: `execution_id` is not a UUID.
        NoRows: no such execution is stored.
        DatabaseUnavailable, DatabaseRefused, DatabaseBusy: the server says so.
    """
    execution = _find_execution(engine, case_name, day, execution_id)
    ours = {"execution_id": execution["execution_id"]}
    batch = {"case_name": case_name, "day": execution["horizon_start"].date()}
    topology_id = execution["topology_id"]
    return ExecutionTables(
        execution=execution,
        tables={table.name: _rows(engine, table, ours) for table in RESULTS},
        quality=_rows(engine, DATA_QUALITY_METRICS, batch),
        rejected=_rows(engine, REJECTED_ROWS, batch),
        topology={} if topology_id is None else read_topology(engine, topology_id),
    )


def _find_execution(
    engine: Engine, case_name: str, day: date | None, execution_id: str | None
) -> dict[str, Any]:
    parameters: dict[str, Any] = {"case_name": case_name}
    condition, where = "", f"case {case_name}"
    if execution_id is not None:
        condition, where = BY_ID, f"{where} and execution {execution_id}"
        parameters["execution_id"] = _identity(execution_id)
    elif day is not None:
        window = Window.of_day(day)
        condition, where = BY_DAY, f"{where} on {day.isoformat()}"
        parameters |= {"start": window.start, "end": window.end}
    columns = ", ".join(f"e.{name}" for name in LASCOPF_EXECUTIONS.names)
    found = query(
        engine,
        # Only declared names and the conditions above are put together; values are bound.
        f"SELECT {columns}, t.digest AS topology_digest, t.version AS topology_version "  # noqa: S608
        "FROM lascopf_executions e LEFT JOIN network_topology t USING (topology_id) "
        f"WHERE e.case_name = :case_name {condition} "
        "ORDER BY e.execution_time DESC, e.execution_id LIMIT 1",
        parameters,
    )
    if found.empty:
        remedy = f"solve it with `lascopf solve --day {day or 'YYYY-MM-DD'}`"
        raise NoRows(LASCOPF_EXECUTIONS.name, where, remedy)
    return {str(name): _plain(value) for name, value in found.iloc[0].items()}


def _identity(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise BadInput("execution_id", text, "give the UUID of an execution") from None


def _rows(engine: Engine, table: Table, where: Mapping[str, Any]) -> pd.DataFrame:
    """The written columns of the rows that match, in their declared types and sorted by key."""
    columns = ", ".join(
        f"CAST({column.name} AS text) AS {column.name}" if column.dtype == "json" else column.name
        for column in table.written
    )
    condition = " AND ".join(f"{name} = {_bound(table, name)}" for name in where)
    statement = f"SELECT {columns} FROM {table.name} WHERE {condition} ORDER BY "  # noqa: S608
    return table.typed(query(engine, statement + ", ".join(table.key), where))


def _bound(table: Table, name: str) -> str:
    return f"CAST(:{name} AS uuid)" if table.column(name).dtype == "uuid" else f":{name}"


def _plain(value: Any) -> Any:
    """Missing values as None, NumPy's numbers as Python's, times in UTC."""
    if isinstance(value, pd.Timestamp):
        return value.tz_convert("UTC")
    if not isinstance(value, Mapping) and pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value
