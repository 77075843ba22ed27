"""Every table's checkpoint takes a clean batch of that table and finds a null key in it."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest
from validation_batches import CASE, DAY, Run, failed_checks

from data_engineering.model.columns import Column, Table
from data_engineering.model.tables import RENEWABLE_FORECASTS, TABLES
from data_engineering.model.time import Window
from data_engineering.validation.checkpoints import CHECKPOINTS
from data_engineering.validation.quality_checks import References

HOURLY = References(Window.of_day(DAY), 60)
PHYSICAL = {"voltage_magnitude": 1.0, "frequency_hz": 60.0}


def value_of(column: Column) -> Any:
    if column.dtype == "float":
        return PHYSICAL.get(column.name, column.minimum if column.minimum is not None else 1.0)
    return {"integer": 0, "boolean": True, "text": column.name}[column.dtype]


def hourly_rows(table: Table) -> pd.DataFrame:
    """One element, 24 hours; what is known is known in time."""
    times = pd.date_range(HOURLY.window.start, periods=24, freq="h").as_unit("us")
    columns: dict[str, Any] = {}
    for column in table.written:
        if column.name == table.time:
            columns[column.name] = times
        elif column.dtype == "timestamp":
            issued = column.name == "forecast_time" or "forecast_time" in table.names
            columns[column.name] = times[0] if issued else times + pd.Timedelta(hours=1)
        else:
            columns[column.name] = CASE if column.name == "case_name" else value_of(column)
    return pd.DataFrame(columns)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_clean_batch_passes_and_a_null_key_is_rejected(run: Run, name: str) -> None:
    table = CHECKPOINTS[name]
    frame = hourly_rows(table)
    outcome = run(frame, table.name, HOURLY)
    assert outcome.failed == ()
    assert failed_checks(outcome) == set()
    assert len(outcome.accepted) == 24
    assert set(outcome.metrics["suite_name"]) == {f"{table.name}_suite"}
    element = next(key for key in table.key if table.column(key).dtype == "text")
    element = element if element != "case_name" else table.key[-1]
    frame.loc[3, element] = None
    damaged = run(frame, table.name, HOURLY)
    assert f"not_null:{element}" in failed_checks(damaged)
    assert len(damaged.accepted) == 23


@pytest.mark.parametrize(
    ("lower", "upper", "check"),
    [(2.0, 3.0, "order:confidence_lower_mw"), (0.0, 0.5, "order:forecasted_power_mw")],
)
def test_a_forecast_outside_its_own_band_is_rejected(
    run: Run, lower: float, upper: float, check: str
) -> None:
    frame = hourly_rows(RENEWABLE_FORECASTS).assign(
        forecasted_power_mw=1.0, confidence_lower_mw=0.5, confidence_upper_mw=1.5
    )
    frame.loc[3, ["confidence_lower_mw", "confidence_upper_mw"]] = [lower, upper]
    outcome = run(frame, RENEWABLE_FORECASTS.name, HOURLY)
    assert failed_checks(outcome) == {check, "batch:rejected_share"}  # 1 of 24 is above 2 %
    assert list(outcome.accepted["target_time"]) == list(frame["target_time"].drop(3))
    assert json.loads(outcome.rejected["row_data"][0])["confidence_lower_mw"] == lower


def test_metrics_and_rejected_rows_are_rows_of_their_tables(run: Run, clean: pd.DataFrame) -> None:
    clean.loc[5, "active_power"] = None
    outcome = run(clean)
    metrics = TABLES["data_quality_metrics"].typed(outcome.metrics)
    rejected = TABLES["rejected_rows"].typed(outcome.rejected)
    assert len(metrics) == len(outcome.metrics)
    assert set(outcome.metrics) == set(metrics)
    assert set(outcome.rejected) == set(rejected)
    assert set(metrics["airflow_run_id"]) == {"manual__1"}
    assert not metrics.duplicated(list(TABLES["data_quality_metrics"].key)).any()
