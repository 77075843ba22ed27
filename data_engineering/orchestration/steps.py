"""A step: one function of a pipeline, run with open stores and a row in the journal."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import pandas as pd

from data_engineering.model.errors import BadInput, LascopfError
from data_engineering.model.tables import PIPELINE_EXECUTION_LOGS
from data_engineering.model.time import parse_day
from data_engineering.runtime import Runtime, open_runtime
from data_engineering.storage import metadata

log = logging.getLogger(__name__)

Facts = dict[str, Any]
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Step:
    """Which try of which task this is; the key of its journal row."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    try_number: int

    @classmethod
    def from_context(cls, context: Mapping[str, Any]) -> Step:
        """The step of a running Airflow task, from its context."""
        task = context["ti"]
        index = -1 if task.map_index is None else task.map_index
        return cls(task.dag_id, task.run_id, task.task_id, index, task.try_number)


def asked_day(context: Mapping[str, Any]) -> date:
    """The day that a DAG run is for: its parameter `day`, else its partition.

    Raises:
        BadInput: the run has neither.
    """
    day = (context.get("params") or {}).get("day") or context["dag_run"].partition_key
    if not day:
        raise BadInput("day", day, "trigger the run with a day such as 2020-07-06")
    return parse_day(str(day))


def asked_key(context: Mapping[str, Any]) -> str | None:
    """The idempotency key of the decision that a DAG run is for: its parameter `key`.

    Raises:
        BadInput: it is no key.
    """
    key = (context.get("params") or {}).get("key") or None
    if key is not None and not (isinstance(key, str) and re.fullmatch("[0-9a-f]{64}", key)):
        raise BadInput("key", key, "give the idempotency key of a fire, 64 hexadecimal digits")
    return key


def run_step(step: Step, role: str, function: Callable[..., Facts], *args: Any) -> Facts:
    """Run `function(runtime, *args)` as the database role `role` and journal the try.

    A foreseeable error is logged as one line; Airflow's retry policy then decides by its class.
    """
    started = datetime.now(UTC)
    with open_runtime(role=role) as runtime:
        try:
            facts = function(runtime, *args)
        except LascopfError as error:
            log.error("%s", error)
            _journal(runtime, step, started, "failed", None, str(error))
            raise
        _journal(runtime, step, started, "success", facts.get("rows"), None)
    return facts


def _journal(
    runtime: Runtime,
    step: Step,
    started: datetime,
    status: str,
    rows: int | None,
    message: str | None,
) -> None:
    row = {
        "dag_id": step.dag_id,
        "run_id": step.run_id,
        "task_id": step.task_id,
        "map_index": step.map_index,
        "try_number": step.try_number,
        "status": status,
        "started_at": started,
        "ended_at": datetime.now(UTC),
        "row_count": rows,
        "message": message,
    }
    try:
        metadata.write(runtime.metadata, PIPELINE_EXECUTION_LOGS, pd.DataFrame([row]))
    except LascopfError as error:
        # The journal must not turn a finished task into a failed one, nor hide why one failed.
        log.warning("the journal row of %s was not written: %s", step.task_id, error)
