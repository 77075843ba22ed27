"""An execution and everything about it, read from SQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd
from sqlalchemy.engine import Engine

from data_engineering.model.errors import NoRows
from data_engineering.model.time import Window
from data_engineering.storage.metadata import query
from data_engineering.storage.topology import read_topology

EXECUTION = """
    SELECT * FROM lascopf_executions
    WHERE case_name = :case AND horizon_start >= :start AND horizon_start < :end
      AND (CAST(:id AS uuid) IS NULL OR execution_id = CAST(:id AS uuid))
    ORDER BY execution_time DESC LIMIT 1
"""
TABLES = {
    "generator_dispatch": "time_interval, generator_id",
    "bus_results": "time_interval, bus_id",
    "branch_flow_results": "time_interval, contingency_id, branch_id",
    "interval_results": "time_interval",
    "convergence_history": "stage, iteration",
}
"""Result tables and the order in which their rows are read."""


@dataclass(frozen=True, eq=False)
class ExecutionTables:
    """An execution, its result tables by name, the quality of its day, and its grid."""

    execution: dict[str, Any]
    tables: dict[str, pd.DataFrame]
    quality: pd.DataFrame
    rejected: pd.DataFrame
    topology: dict[str, Any] | None


def load_execution(
    engine: Engine, case_name: str, day: date, execution_id: str | None = None
) -> ExecutionTables:
    """The newest execution whose horizon begins on a day, or the one of that id.

    Args:
        engine: the metadata database.
        case_name: grid case.
        day: first day of the horizon.
        execution_id: None for the newest.

    Raises:
        NoRows: there is none.
    """
    window = Window.of_day(day)
    found = query(
        engine,
        EXECUTION,
        {"case": case_name, "start": window.start, "end": window.end, "id": execution_id},
    )
    if found.empty:
        where = f"case {case_name} on {day.isoformat()}"
        raise NoRows("lascopf_executions", where, f"run `lascopf solve --day {day.isoformat()}`")
    execution: dict[str, Any] = {str(k): v for k, v in found.iloc[0].to_dict().items()}
    identity = {"id": str(execution["execution_id"])}
    tables = {
        name: query(
            engine,
            f"SELECT * FROM {name} WHERE execution_id = CAST(:id AS uuid) ORDER BY {order}",  # noqa: S608 (names of this module)
            identity,
        )
        for name, order in TABLES.items()
    }
    batch = {"case": case_name, "day": day}
    return ExecutionTables(
        execution=execution,
        tables=tables,
        quality=query(
            engine,
            "SELECT * FROM data_quality_metrics WHERE case_name = :case AND day = :day "
            "ORDER BY table_name, check_name",
            batch,
        ),
        rejected=query(
            engine,
            "SELECT table_name, count(*) AS rejected_rows FROM rejected_rows "
            "WHERE case_name = :case AND day = :day GROUP BY table_name ORDER BY table_name",
            batch,
        ),
        topology=_topology(engine, execution),
    )


def _topology(engine: Engine, execution: dict[str, Any]) -> dict[str, Any] | None:
    number = execution["topology_id"]
    return None if pd.isna(number) else read_topology(engine, int(number))
