"""Checkpoints: run the suite of a table on a batch, sort its rows, record what was found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from data_engineering.model.columns import Table
from data_engineering.model.errors import BadInput
from data_engineering.model.tables import TABLES
from data_engineering.settings import Quality
from data_engineering.validation.contexts import docs_page, open_context
from data_engineering.validation.expectations import shape_expectations, suite_for, suite_name
from data_engineering.validation.outcomes import (
    Batch,
    CheckOutcome,
    failures,
    metric_of,
    metric_rows,
    reasons_of,
    rejected_rows,
    rejection_metric,
)
from data_engineering.validation.quality_checks import FACTS, References, with_facts
from data_engineering.validation.schemas import column_faults, type_faults

__all__ = [
    "CHECKPOINTS",
    "Batch",
    "CheckOutcome",
    "docs_page",
    "open_context",
    "rejected_rows",
    "run_checkpoint",
    "table_of",
]

CHECKPOINTS: Mapping[str, Table] = {
    f"{table.name}_checkpoint": table
    for table in TABLES.values()
    if table.store == "timeseries" and table.time
}


def table_of(name: str) -> Table:
    """The table that a checkpoint checks.

    Raises:
        BadInput: there is no such checkpoint.
    """
    try:
        return CHECKPOINTS[name]
    except KeyError:
        raise BadInput("checkpoint", name, f"use one of {', '.join(CHECKPOINTS)}") from None


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
    `thresholds.rejected_share` fails. A frame that has other columns or types than declared, or
    no rows, fails before its values are looked at.

    Args:
        context: of `open_context`.
        name: one of `CHECKPOINTS`.
        frame: the batch, in the order in which its rows came.
        batch: which batch it is.
        thresholds: the limits.
        references: what the batch is held against.

    Raises:
        BadInput: there is no such checkpoint.
    """
    table = table_of(name)
    frame = frame.reset_index(drop=True)
    wrong_types = type_faults(table, frame)
    faults = [*column_faults(table, frame), *wrong_types]
    if frame.empty:
        faults.append("the batch has no rows")
    if faults:
        checked = frame.assign(**{fact: float("nan") for fact in FACTS})
        checked["fact_type_faults"] = float(len(wrong_types))
        results = _run(context, name, table, checked, shape_expectations(table))
        return _refused(table, frame, batch, results, faults)
    checked = with_facts(table, frame, references)
    suite = suite_for(table, thresholds, batch.case_name)
    results = _run(context, name, table, checked, suite)
    return _sorted(table, frame, batch, results, thresholds)


def _refused(
    table: Table, frame: pd.DataFrame, batch: Batch, results: list[Any], faults: list[str]
) -> CheckOutcome:
    """The outcome of a frame whose values cannot be looked at."""
    return CheckOutcome(
        passed=False,
        accepted=frame.iloc[:0],
        rejected=rejected_rows(table, frame, batch, {}),
        metrics=metric_rows(table, batch, [metric_of(result, len(frame)) for result in results]),
        failed=tuple(f"{table.name}: {fault}" for fault in faults),
    )


def _sorted(
    table: Table, frame: pd.DataFrame, batch: Batch, results: list[Any], thresholds: Quality
) -> CheckOutcome:
    """The outcome of a frame whose rows were checked: accepted and rejected rows."""
    reasons = reasons_of(results, frame)
    metrics = [metric_of(result, len(frame)) for result in results]
    metrics.append(rejection_metric(len(reasons), len(frame), thresholds.rejected_share))
    failed = failures(table, metrics)
    return CheckOutcome(
        passed=not failed,
        accepted=frame.drop(index=list(reasons)).reset_index(drop=True),
        rejected=rejected_rows(table, frame, batch, reasons),
        metrics=metric_rows(table, batch, metrics),
        failed=failed,
    )


def _run(
    context: Any, name: str, table: Table, checked: pd.DataFrame, expectations: list[Any]
) -> list[Any]:
    """Run the suite through a checkpoint; one result for each expectation."""
    import great_expectations as gx

    source = context.data_sources.add_or_update_pandas(table.name)
    definition = source.add_dataframe_asset("batch").add_batch_definition_whole_dataframe("day")
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
