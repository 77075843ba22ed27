"""Write the report of an execution, and record where it is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from data_engineering.runtime import Runtime
from data_engineering.serving.report import build_report
from data_engineering.serving.results import load_execution
from data_engineering.storage.metadata import register_artifact

ROLE = "optimizer"


def report(runtime: Runtime, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Write the HTML report of an execution from its stored results.

    Args:
        runtime: open stores.
        spec: case, day, and the execution's id; without an id the newest of the day.

    Raises:
        NoRows: there is no such execution.
    """
    day = date.fromisoformat(spec["day"])
    found = load_execution(
        runtime.metadata, spec["case"], day, execution_id=spec.get("execution_id")
    )
    page = build_report(
        found.execution, found.tables, found.quality, found.rejected, found.topology
    )
    execution_id = str(found.execution["execution_id"])
    key = report_key(spec["case"], day, execution_id)
    stored = runtime.objects.write_bytes(key, page.encode())
    register_artifact(
        runtime.metadata,
        uri=stored.uri,
        kind="report",
        case_name=spec["case"],
        content_digest=stored.digest,
        byte_count=stored.byte_count,
        execution_id=execution_id,
        day=day,
    )
    return {"execution_id": execution_id, "report": stored.uri, "bytes": stored.byte_count}


def report_key(case_name: str, day: date, execution_id: str) -> str:
    """Where a report is in the object store."""
    return f"reports/{case_name}/{day.isoformat()}/{execution_id}.html"
