"""What a report is written from, in declared types."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from data_engineering.model.columns import Table
from data_engineering.model.tables import (
    BRANCH_FLOW_RESULTS,
    BUS_RESULTS,
    CONVERGENCE_HISTORY,
    DATA_QUALITY_METRICS,
    GENERATOR_DISPATCH,
    INTERVAL_RESULTS,
    REJECTED_ROWS,
)


@dataclass(frozen=True, eq=False)
class Facts:
    """Frames of the declared tables, each sorted by its key; any may be empty."""

    execution: Mapping[str, Any]
    topology: Mapping[str, Any]
    dispatch: pd.DataFrame
    buses: pd.DataFrame
    flows: pd.DataFrame
    intervals: pd.DataFrame
    history: pd.DataFrame
    quality: pd.DataFrame
    rejected: pd.DataFrame

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The results by table name."""
        return {
            GENERATOR_DISPATCH.name: self.dispatch,
            BUS_RESULTS.name: self.buses,
            BRANCH_FLOW_RESULTS.name: self.flows,
            INTERVAL_RESULTS.name: self.intervals,
            CONVERGENCE_HISTORY.name: self.history,
        }

    @property
    def minutes(self) -> int:
        """Length of an interval."""
        return int(self.execution["interval_minutes"])

    @property
    def hours(self) -> float:
        """Length of an interval in hours."""
        return self.minutes / 60.0


def gather(
    execution: Mapping[str, Any],
    tables: Mapping[str, pd.DataFrame],
    quality: pd.DataFrame,
    rejected: pd.DataFrame,
    topology: Mapping[str, Any],
) -> Facts:
    """Bring what was given into declared types and order.

    Raises:
        ValueError: a value does not fit its column's type.
    """

    def rows(table: Table) -> pd.DataFrame:
        return _sorted(table, tables.get(table.name))

    return Facts(
        execution={
            **execution,
            "metadata": _document(execution.get("metadata")),
            "tolerances": _document(execution.get("tolerances")),
        },
        topology=topology,
        dispatch=rows(GENERATOR_DISPATCH),
        buses=rows(BUS_RESULTS),
        flows=rows(BRANCH_FLOW_RESULTS),
        intervals=rows(INTERVAL_RESULTS),
        history=rows(CONVERGENCE_HISTORY),
        quality=_sorted(DATA_QUALITY_METRICS, quality),
        rejected=_sorted(REJECTED_ROWS, rejected),
    )


def _sorted(table: Table, frame: pd.DataFrame | None) -> pd.DataFrame:
    if frame is None or frame.empty:
        nothing: pd.DataFrame = table.arrow_schema().empty_table().to_pandas()
        return nothing
    typed = table.typed(frame)
    return typed.sort_values(list(table.key), kind="stable", ignore_index=True)


def _document(value: Any) -> dict[str, Any]:
    """A JSON column as an object, whether the driver has read it already or not."""
    if isinstance(value, str):
        value = json.loads(value)
    return dict(value or {})
