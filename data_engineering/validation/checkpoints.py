"""Checkpoints: run the suite of a table on a batch, sort its rows, record what was found."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

from data_engineering.model.columns import Table
from data_engineering.model.errors import BadInput
from data_engineering.model.tables import TABLES
from data_engineering.settings import Quality
from data_engineering.validation.expectations import expectations_for, suite_name
from data_engineering.validation.quality_checks import FACTS, References, with_facts
from data_engineering.validation.schemas import schema_faults

CHECKPOINTS: Mapping[str, Table] = {
    f"{table.name}_checkpoint": table for table in TABLES.values() if table.store == "timeseries"
}
DATA_SOURCE = "batches"


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


def table_of(name: str) -> Table:
    """The table that a checkpoint checks.

    Raises:
        BadInput: there is no such checkpoint.
    """
    try:
        return CHECKPOINTS[name]
    except KeyError:
        raise BadInput("checkpoint", name, f"use one of {', '.join(CHECKPOINTS)}") from None


@contextmanager
def open_context(folder: Path) -> Iterator[Any]:
    """A Great Expectations context whose Data Docs are in `folder` when the block ends.

    It is built beside and put in place at the end, so that readers see whole Data Docs and
    running a batch again does not add to them.
    """
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx

    partial = folder.with_name(f".{folder.name}-{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        context = gx.get_context(mode="file", project_root_dir=str(partial))
        context.variables.progress_bars = {"globally": False}
        yield context
        context.build_data_docs()
        shutil.rmtree(folder, ignore_errors=True)
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def docs_page(folder: Path) -> Path:
    """The first page of the Data Docs that `open_context(folder)` wrote."""
    return folder / "gx/uncommitted/data_docs/local_site/index.html"


def run_checkpoint(
    context: Any,
    name: str,
    frame: pd.DataFrame,
    batch: Batch,
    thresholds: Quality,
    references: References,
) -> CheckOutcome:
    """Check a batch.

    Rows that fail a row-level check are rejected; a batch with more of them than
    `thresholds.rejected_share` fails.

    Args:
        context: of `open_context`.
        name: one of `CHECKPOINTS`.
        frame: the batch, columns as declared.
        batch: which batch it is.
        thresholds: the limits.
        references: what the batch is held against.

    Raises:
        BadInput: there is no such checkpoint.
    """
    table = table_of(name)
    faults = schema_faults(table, frame)
    if frame.empty:
        faults.append("the batch has no rows")
    if faults:
        return _refused(table, frame, batch, faults)
    frame = frame.reset_index(drop=True)
    checked = with_facts(table, frame, references)
    tolerance = 1.0 + thresholds.capability_tolerance
    checked["fact_capability_mw"] *= tolerance
    results = _run(context, name, table, checked, expectations_for(table, thresholds))
    reasons = _reasons(results, checked)
    refused = rejected_rows(table, frame, batch, reasons)
    share = len(reasons) / len(frame)
    metrics = [_metric(result) for result in results]
    metrics.append(
        {
            "check_name": "batch:rejected_share",
            "column_name": None,
            "success": share <= thresholds.rejected_share,
            "observed_value": share,
            "expected": f"rejected rows at most {thresholds.rejected_share:.0%}",
            "evaluated_rows": len(frame),
            "unexpected_rows": len(reasons),
            "level": "batch",
        }
    )
    failed = tuple(
        f"{table.name} {row['check_name']}: expected {row['expected']}, "
        f"found {row['observed_value']:.6g}"
        for row in metrics
        if row["level"] == "batch" and row["success"] is False
    )
    return CheckOutcome(
        passed=not failed,
        accepted=frame.drop(index=list(reasons)).reset_index(drop=True),
        rejected=refused,
        metrics=_metrics_frame(table, batch, metrics),
        failed=failed,
    )


def _run(
    context: Any, name: str, table: Table, checked: pd.DataFrame, expectations: list[Any]
) -> list[Any]:
    """Run the suite through a checkpoint; one result for each expectation, in order."""
    import great_expectations as gx

    source = context.data_sources.add_or_update_pandas(f"{DATA_SOURCE}_{table.name}")
    definition = source.add_dataframe_asset(table.name).add_batch_definition_whole_dataframe("day")
    suite = gx.ExpectationSuite(name=suite_name(table), expectations=expectations)
    validation = gx.ValidationDefinition(
        name=table.name, data=definition, suite=context.suites.add_or_update(suite)
    )
    checkpoint = context.checkpoints.add_or_update(
        gx.Checkpoint(
            name=name,
            validation_definitions=[context.validation_definitions.add_or_update(validation)],
            result_format={"result_format": "COMPLETE"},
        )
    )
    outcome = checkpoint.run(batch_parameters={"dataframe": checked})
    (result,) = outcome.run_results.values()
    return list(result.results)


def _reasons(results: list[Any], checked: pd.DataFrame) -> dict[int, str]:
    """Why each rejected row is rejected, by its position."""
    reasons: dict[int, list[str]] = {}
    for result in results:
        meta = result.expectation_config.meta
        if meta["level"] != "row" or result.success:
            continue
        options = result.expectation_config.kwargs
        column = options.get("column_B") or options["column"]
        for row in result.result["unexpected_index_list"]:
            found = "" if column in FACTS else f", found {checked.at[row, column]!r}"
            reasons.setdefault(row, []).append(f"expected {meta['expected']}{found}")
    return {row: "; ".join(sorted(texts)) for row, texts in sorted(reasons.items())}


def _metric(result: Any) -> dict[str, Any]:
    meta, options, found = (
        result.expectation_config.meta,
        result.expectation_config.kwargs,
        result.result,
    )
    rows = int(found.get("element_count", 0)) - int(found.get("missing_count", 0))
    unexpected = int(found.get("unexpected_count", 0))
    if "observed_value" in found:  # a fact of the batch
        value = found["observed_value"]
        nothing = value is None
        observed = float("nan") if nothing else float(value)
    else:
        nothing = rows == 0
        observed = float("nan") if nothing else 1.0 - unexpected / rows
    return {
        "check_name": meta["name"],
        "column_name": options.get("column_B") or options["column"],
        "success": None if nothing else bool(result.success),
        "observed_value": observed,
        "expected": meta["expected"],
        "evaluated_rows": rows,
        "unexpected_rows": unexpected,
        "level": meta["level"],
    }


def _metrics_frame(table: Table, batch: Batch, metrics: list[dict[str, Any]]) -> pd.DataFrame:
    frame = pd.DataFrame(metrics).drop(columns="level")
    frame["success"] = frame["success"].astype("boolean")
    return frame.assign(
        case_name=batch.case_name,
        table_name=table.name,
        day=batch.day,
        suite_name=suite_name(table),
        airflow_run_id=batch.airflow_run_id,
    )


def rejected_rows(
    table: Table, frame: pd.DataFrame, batch: Batch, reasons: Mapping[int, str]
) -> pd.DataFrame:
    """Rows of `rejected_rows` for the rows of `frame` whose index `reasons` has."""
    texts = [
        json.dumps(json.loads(line), sort_keys=True)
        for line in frame.loc[list(reasons)]
        .to_json(orient="records", lines=True, date_format="iso", date_unit="us")
        .splitlines()
        if line
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


def _refused(table: Table, frame: pd.DataFrame, batch: Batch, faults: list[str]) -> CheckOutcome:
    """The outcome of a frame that is not one of the table: no value of it was looked at."""
    metric = {
        "check_name": "declared_columns",
        "column_name": None,
        "success": False,
        "observed_value": float(len(faults)),
        "expected": "the declared columns and types, and at least one row",
        "evaluated_rows": len(frame),
        "unexpected_rows": len(frame),
        "level": "batch",
    }
    return CheckOutcome(
        passed=False,
        accepted=frame.iloc[:0],
        rejected=rejected_rows(table, frame, batch, {}),
        metrics=_metrics_frame(table, batch, [metric]),
        failed=tuple(f"{table.name}: {fault}" for fault in faults),
    )
