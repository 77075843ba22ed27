"""Rows and messages of realtime dispatches."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pandas as pd

from data_engineering.model.problem import Penalties, SolveRequest, SolveResult
from data_engineering.orchestration.realtime_inputs import Asked, Problem
from data_engineering.orchestration.steps import Facts
from data_engineering.settings import Settings

SCHEMA_VERSION = 1
METHOD, KIND = "constraint_generation", "lascopf"
DIGITS = 3
"""Of MW in messages."""


def result_message(
    asked: Asked, row: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]
) -> Facts:
    """The message of `lascopf_results`: JSON values; what each unit does from when on, MW.

    Args:
        asked: what was asked for.
        row: of `lascopf_executions`.
        tables: generator_dispatch and interval_results of the execution; empty without results.
    """
    kept = row["metadata"]
    notes = (json.loads(kept) if isinstance(kept, str) else kept)["notes"]
    message: Facts = {
        "schema_version": SCHEMA_VERSION,
        "execution_id": asked.execution_id,
        "request_id": asked.request_id,
        "case_name": asked.case_name,
        "reason": asked.reason,
        "idempotency_key": asked.key,
        "asked_at": asked.now.isoformat(),
        "solved_at": row["execution_time"].isoformat(),
        "horizon_start": asked.start.isoformat(),
        "interval_minutes": int(row["interval_minutes"]),
        "interval_count": int(row["interval_count"]),
        "open_branches": sorted(asked.topology.branches),
        "open_generators": sorted(asked.topology.generators),
        "open_buses": sorted(asked.topology.buses),
        "convergence_status": row["convergence_status"],
        "objective_value": _number(row["objective_value"]),
        "solve_time_seconds": round(float(row["solve_time_seconds"]), 6),
        "notes": list(notes),
    }
    if not tables or tables["generator_dispatch"].empty:
        return message
    units, intervals = tables["generator_dispatch"], tables["interval_results"]
    wide = units.pivot(index="time_interval", columns="generator_id", values="active_power")
    dispatch = {str(name): _rounded(wide[name]) for name in sorted(wide.columns)}
    totals = ("load_mw", "load_shed_mw", "over_generation_mw", "reserve_shortfall_mw")
    by_interval = intervals.sort_values("time_interval")
    return {
        **message,
        "dispatch_mw": dispatch,
        **{name: _rounded(by_interval[name]) for name in totals},
    }


def execution_row(
    asked: Asked, problem: Problem, request: SolveRequest, result: SolveResult
) -> dict[str, Any]:
    """The row of `lascopf_executions` of an answer."""
    kept = {
        "residuals": dict(result.residuals),
        "notes": list(result.notes),
        "reason": asked.reason,
        "idempotency_key": asked.key,
    }
    return {
        **_row(asked, request.periods.minutes, request.periods.reported),
        "topology_id": problem.topology_id,
        "commitment": "relaxed" if request.commitment is None else "plan",
        "outage_count": len(request.outages),
        "penalties": json.dumps(asdict(request.options.penalties)),
        "tolerances": json.dumps({"objective": request.options.tolerance}),
        "solver": result.solver,
        "solver_version": result.version,
        "convergence_status": result.status,
        "objective_value": _number(result.objective),
        "solve_time_seconds": result.seconds,
        "iteration_count": result.iterations,
        "metadata": json.dumps(kept, allow_nan=False),
    }


def failed_row(
    settings: Settings, asked: Asked, problem: Problem | None, error: str, seconds: float
) -> dict[str, Any]:
    """The row of what could not be built or solved."""
    minutes, count = settings.reoptimization.interval_minutes, settings.realtime.intervals
    kept = {"notes": [error], "reason": asked.reason, "idempotency_key": asked.key}
    return {
        **_row(asked, minutes, count),
        "topology_id": None if problem is None else problem.topology_id,
        "commitment": "plan",
        "outage_count": 0 if problem is None else len(problem.request.outages),
        "penalties": json.dumps(asdict(Penalties())),
        "tolerances": json.dumps({}),
        "solver": "highs",
        "solver_version": "",
        "convergence_status": "failed",
        "objective_value": None,
        "solve_time_seconds": seconds,
        "iteration_count": 0,
        "metadata": json.dumps(kept),
    }


def _row(asked: Asked, minutes: int, count: int) -> dict[str, Any]:
    return {
        "execution_id": asked.execution_id,
        "execution_time": pd.Timestamp.now("UTC"),
        "case_name": asked.case_name,
        "kind": KIND,
        "method": METHOD,
        "horizon_start": pd.Timestamp(asked.start),
        "interval_minutes": minutes,
        "interval_count": count,
        "triggered_by": asked.origin,
        "airflow_run_id": asked.run_id,
        "results_path": None,
    }


def summary_of(message: Facts, seconds: float) -> str:
    """One line for the log."""
    shed = sum(message.get("load_shed_mw", ())) / max(message["interval_count"], 1)
    cost = message["objective_value"]
    usd = "no cost" if cost is None else f"{cost:,.2f} USD"
    return (
        f"dispatch {message['execution_id']} ({message['reason']}) from "
        f"{message['horizon_start']}: {message['convergence_status']}, {usd}, "
        f"{shed:.1f} MW not served, {seconds:.2f} s"
    )


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _rounded(values: pd.Series) -> list[float]:
    # Adding zero leaves one kind of zero.
    return [round(float(value), DIGITS) + 0.0 for value in values]
