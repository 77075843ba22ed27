"""What a checkpoint found, as rows of `data_quality_metrics` and `rejected_rows`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd

from data_engineering.model.columns import Table
from data_engineering.validation.expectations import suite_name

REJECTED_SHARE = "batch:rejected_share"


@dataclass(frozen=True)
class CheckOutcome:
    """What a checkpoint found.

    Attributes:
        passed: no batch-level check failed and few enough rows were rejected.
        accepted: the rows to let in.
        rejected: rows of `rejected_rows`.
        metrics: rows of `data_quality_metrics`.
        failed: a line for each failed check of the batch: what was asked, what was found.
    """

    passed: bool
    accepted: pd.DataFrame
    rejected: pd.DataFrame
    metrics: pd.DataFrame
    failed: tuple[str, ...]


@dataclass(frozen=True)
class Batch:
    """Which batch is checked; its fields stand in every row that a checkpoint writes."""

    case_name: str
    day: date
    airflow_run_id: str | None = None


@dataclass(frozen=True)
class Metric:
    """What one check found.

    Attributes:
        name: unique in the suite.
        level: `row` or `batch`.
        success: None where the batch had nothing to evaluate.
        observed: share of rows as expected; for a fact of the batch the fact itself, or the number
            of columns.
    """

    name: str
    level: str
    column: str | None
    success: bool | None
    observed: float
    expected: str
    evaluated_rows: int
    unexpected_rows: int


def metric_of(result: Any, row_count: int) -> Metric:
    """The metric of one expectation's result on a batch of `row_count` rows."""
    meta, found = result.expectation_config.meta, result.result
    unexpected = int(found.get("unexpected_count", 0))
    if "element_count" in found:  # a check of each row
        rows = int(found["element_count"]) - int(found.get("missing_count", 0))
        nothing = rows == 0
        observed = float("nan") if nothing else 1.0 - unexpected / rows
    else:  # a fact of the batch
        rows, value = row_count, found.get("observed_value")
        nothing = value is None
        fact = len(value) if isinstance(value, list) else value
        observed = float("nan") if fact is None else float(fact)
    columns = meta["columns"]
    return Metric(
        name=meta["name"],
        level=meta["level"],
        column=columns[0] if len(columns) == 1 else None,
        success=None if nothing else bool(result.success),
        observed=observed,
        expected=meta["expected"],
        evaluated_rows=0 if nothing else rows,
        unexpected_rows=unexpected,
    )


def rejection_metric(rejected: int, row_count: int, limit: float) -> Metric:
    """Whether few enough rows were rejected."""
    share = rejected / row_count
    return Metric(
        name=REJECTED_SHARE,
        level="batch",
        column=None,
        success=share <= limit,
        observed=share,
        expected=f"{100.0 * limit:.6g} % of rows rejected at most",
        evaluated_rows=row_count,
        unexpected_rows=rejected,
    )


def failures(table: Table, metrics: list[Metric]) -> tuple[str, ...]:
    """A line for each failed check of the batch; of rejections it tells what they were for."""
    causes = ", ".join(
        f"{metric.name} in {metric.unexpected_rows} rows"
        for metric in metrics
        if metric.level == "row" and metric.success is False
    )
    return tuple(
        f"{table.name} {metric.name}: expected {metric.expected}, found {metric.observed:.6g}"
        + (f" ({causes})" if metric.name == REJECTED_SHARE else "")
        for metric in metrics
        if metric.level == "batch" and metric.success is False
    )


def metric_rows(table: Table, batch: Batch, metrics: list[Metric]) -> pd.DataFrame:
    """Rows of `data_quality_metrics`."""
    rows = pd.DataFrame(
        {
            "case_name": batch.case_name,
            "table_name": table.name,
            "day": batch.day,
            "suite_name": suite_name(table),
            "check_name": metric.name,
            "column_name": metric.column,
            "success": metric.success,
            "observed_value": metric.observed,
            "expected": metric.expected,
            "evaluated_rows": metric.evaluated_rows,
            "unexpected_rows": metric.unexpected_rows,
            "airflow_run_id": batch.airflow_run_id,
        }
        for metric in metrics
    )
    rows["success"] = rows["success"].astype("boolean")
    return rows


def reasons_of(results: list[Any], frame: pd.DataFrame) -> dict[int, str]:
    """Why each rejected row is rejected, by its label in `frame`."""
    reasons: dict[int, list[str]] = {}
    for result in results:
        meta = result.expectation_config.meta
        if meta["level"] != "row" or result.success:
            continue
        labels = result.result["unexpected_index_list"]
        for label, values in frame.loc[labels, meta["columns"]].to_dict("index").items():
            found = ", ".join(f"{name} = {_plain(value)}" for name, value in values.items())
            reasons.setdefault(int(label), []).append(f"{found}: {meta['expected']}")
    return {label: "; ".join(texts) for label, texts in sorted(reasons.items())}


def rejected_rows(
    table: Table, frame: pd.DataFrame, batch: Batch, reasons: Mapping[int, str]
) -> pd.DataFrame:
    """Rows of `rejected_rows` for the rows of `frame` whose label `reasons` has.

    Equal rows with equal reasons are one row.
    """
    rows = frame.loc[list(reasons)].to_dict("records") if reasons else []
    texts = [
        json.dumps({name: _plain(value) for name, value in row.items()}, sort_keys=True)
        for row in rows
    ]
    return pd.DataFrame(
        {
            "case_name": batch.case_name,
            "table_name": table.name,
            "day": batch.day,
            "row_digest": [hashlib.sha256(text.encode()).hexdigest() for text in texts],
            "reason": list(reasons.values()),
            "row_data": texts,
        }
    ).drop_duplicates(["row_digest", "reason"], ignore_index=True)


def _plain(value: Any) -> Any:
    """A cell as JSON can hold it; JSON knows no infinity."""
    if pd.isna(value):
        return None
    if hasattr(value, "isoformat"):
        return value.isoformat()
    plain = value.item() if hasattr(value, "item") else value
    return str(plain) if plain in (float("inf"), -float("inf")) else plain
