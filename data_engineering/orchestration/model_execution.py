"""One day of a grid case: commit, dispatch, verify, store.

The execution's id follows from what was asked, so the same request rewrites the same rows. Steps
hand each other parquet in the object store; results reach SQL in one transaction, after the checks.
"""

from __future__ import annotations

import json
import logging
import math
import uuid
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import date, datetime
from typing import Any

import pandas as pd

from data_engineering.model.errors import BadInput, ChecksFailed, NoRows, NotSolved, UnknownCase
from data_engineering.model.problem import Commitment, Options, Periods, SolveRequest
from data_engineering.model.tables import (
    LOAD_FORECASTS,
    RENEWABLE_FORECASTS,
    RESERVE_REQUIREMENTS,
)
from data_engineering.model.time import Window
from data_engineering.orchestration.artifacts import register
from data_engineering.orchestration.solver_choice import JULIA, SOLVERS, chosen_method, solve_by
from data_engineering.orchestration.steps import Facts, Progress
from data_engineering.runtime import Runtime
from data_engineering.solvers.ac_check import verify_ac
from data_engineering.solvers.ac_outages import verify_outages
from data_engineering.solvers.commitment import commit as find_commitment
from data_engineering.solvers.commitment import fixed
from data_engineering.solvers.outage_factors import outages_of
from data_engineering.solvers.result_checks import check_results
from data_engineering.storage import metadata, timeseries
from data_engineering.storage.topology import read_topology
from data_engineering.transformation.grid_document import grid_from_document
from data_engineering.transformation.horizon import periods_from_frames
from data_engineering.transformation.powersystems_builder import powersystems_tables

log = logging.getLogger(__name__)

ROLE = "optimizer"
CASES = ("rts_gmlc",)
COMMITMENTS = ("uc", "on", "relaxed")
KINDS = ("lascopf", "dcopf")
OUTAGES = ("n-1", "none")
IDENTITY = uuid.UUID("6f1d3a52-4a0e-5b7e-9d0c-3c1f0a6d2b11")
"""Namespace of execution ids; fixed for ever, since ids follow from it."""
TRIGGERS = {"scheduled": "SCHEDULED", "backfill": "SCHEDULED", "asset_triggered": "EVENT"}
"""What caused a run, by Airflow's type of it; any other type was started by hand."""
CURRENT_TOPOLOGY = """
    SELECT topology_id FROM network_topology
    WHERE case_name = :case AND valid_from <= :start
      AND (valid_until IS NULL OR valid_until > :start)
"""


def plan(
    runtime: Runtime, day: date, wanted: Mapping[str, Any], origin: Mapping[str, str]
) -> Facts:
    """Fix what is solved: grid version, horizon, options, and the id that follows from them.

    Args:
        runtime: open stores.
        day: first day of the horizon.
        wanted: case, kind, method, outages, horizon (hours), commitment, solver.
        origin: run_type and run_id of the Airflow run.

    Raises:
        UnknownCase, BadInput: a value is not one of those known.
        NoRows: no grid of the case is valid at the start.
    """
    _check_wanted(wanted)
    settings, start = runtime.settings, Window.of_day(day).start
    found = metadata.query(
        runtime.metadata, CURRENT_TOPOLOGY, {"case": wanted["case"], "start": start}
    )
    if found.empty:
        where = f"case {wanted['case']} at {start.isoformat()}"
        raise NoRows("network_topology", where, f"run `lascopf ingest --day {day}` first")
    asked = {
        "case": wanted["case"],
        "start": start.isoformat(),
        "horizon": int(wanted["horizon"]),
        "lookahead": settings.commitment_lookahead_hours,
        "kind": wanted["kind"],
        "method": chosen_method(wanted["solver"], wanted["kind"], wanted["method"]),
        "outages": wanted["outages"] if wanted["kind"] == "lascopf" else "none",
        "commitment": wanted["commitment"],
        "gap": settings.commitment_gap,
        "solver": wanted["solver"],
    }
    identity = uuid.uuid5(IDENTITY, json.dumps(asked, sort_keys=True))
    return {
        **asked,
        "day": day.isoformat(),
        "topology_id": int(found["topology_id"].iloc[0]),
        "execution_id": str(identity),
        "triggered_by": TRIGGERS.get(origin.get("run_type", ""), "MANUAL"),
        "run_id": origin.get("run_id"),
    }


def _check_wanted(wanted: Mapping[str, Any]) -> None:
    if wanted["case"] not in CASES:
        raise UnknownCase(wanted["case"], CASES)
    for field, known in (
        ("kind", KINDS),
        ("outages", OUTAGES),
        ("commitment", COMMITMENTS),
        ("solver", SOLVERS),
    ):
        if wanted[field] not in known:
            raise BadInput(field, wanted[field], f"use one of {', '.join(known)}")
    if wanted["solver"] == JULIA and wanted["commitment"] == "relaxed":
        raise BadInput("commitment", "relaxed", f"for solver {JULIA} use uc or on")
    if not 1 <= int(wanted["horizon"]) <= 24:
        raise BadInput("horizon", wanted["horizon"], "give 1 to 24 hours")


def commit(runtime: Runtime, spec: Facts, progress: Progress | None = None) -> Facts:
    """Find which units run, and keep it in the object store.

    Raises:
        NoRows: forecasts of the horizon are missing.
        NotSolved: no commitment was found within the time limit.
    """
    if spec["commitment"] != "uc":
        return {"execution_id": spec["execution_id"], "rows": 0}
    request = _request(runtime, spec)
    result = find_commitment(request, progress)
    if result.status not in ("optimal", "feasible"):
        remedy = "look for the hours with too little capacity, or use commitment `relaxed`"
        raise NotSolved("unit commitment", spec["case"], result.status, remedy)
    if result.relative_gap > spec["gap"]:
        gap = 100.0 * result.relative_gap
        log.warning("the time limit ended the commitment at a gap of %.2f %%", gap)
    found = fixed(request, result)
    for name, frame in _commitment_frames(request, found).items():
        runtime.objects.write_parquet(_key(spec, name), frame)
    runtime.objects.write_parquet(_key(spec, "commitment_history"), result.history)
    facts = {"gap": result.relative_gap, "status": result.status}
    runtime.objects.write_bytes(_key(spec, "commitment", "json"), json.dumps(facts).encode())
    return {
        "execution_id": spec["execution_id"],
        "objective": result.objective,
        "gap": result.relative_gap,
        "seconds": result.seconds,
    }


def dispatch(runtime: Runtime, spec: Facts, progress: Progress | None = None) -> Facts:
    """Dispatch and price the horizon with the commitment that was found, secure against outages.

    Raises:
        NotSolved: the program has no solution, which its slacks exclude for sound data.
        SolverAbsent, SolverLate, SolverCrashed, AnswerRefused: of the Julia solver.
    """
    request = request_of(runtime, spec)
    result = solve_by(spec["solver"], request, runtime.settings, progress)
    if result.status not in ("optimal", "feasible"):
        raise NotSolved(spec["kind"], spec["case"], result.status, "check the grid and forecasts")
    if result.status == "feasible":
        log.warning("the dispatch ended before it was optimal; its residuals say how far it is")
    for name, frame in result.tables.items():
        runtime.objects.write_parquet(_key(spec, name), frame)
    summary = {
        "status": result.status,
        "objective": result.objective,
        "seconds": result.seconds,
        "solver": result.solver,
        "version": result.version,
        "residuals": dict(result.residuals),
        "iterations": result.iterations,
        "notes": list(result.notes),
    }
    runtime.objects.write_bytes(_key(spec, "dispatch", "json"), json.dumps(summary).encode())
    return {"execution_id": spec["execution_id"], **summary}


def verify(runtime: Runtime, spec: Facts) -> Facts:
    """AC power flow of every interval, independent checks, then the results into SQL.

    Raises:
        ChecksFailed: a result breaks a law that it must keep; nothing is stored.
    """
    request = request_of(runtime, spec)
    summary = json.loads(runtime.objects.read_bytes(_key(spec, "dispatch", "json")))
    tables = {
        name: runtime.objects.read_parquet(_key(spec, name))
        for name in (
            "generator_dispatch",
            "bus_results",
            "branch_flow_results",
            "interval_results",
            "price_causes",
            "convergence_history",
        )
        if runtime.objects.exists(_key(spec, name))
    }
    faults = check_results(request, tables, summary["objective"])
    if faults:
        subject = f"dispatch {spec['execution_id']} of {spec['case']}"
        raise ChecksFailed(subject, faults, "report this: the solver's answer is not sound")
    tables = verify_outages(request.grid, verify_ac(request.grid, tables), request.outages)
    if spec["commitment"] == "uc":
        history = runtime.objects.read_parquet(_key(spec, "commitment_history"))
        tables["convergence_history"] = _joined(history, tables["convergence_history"])
        summary["commitment"] = json.loads(
            runtime.objects.read_bytes(_key(spec, "commitment", "json"))
        )
    keyed = {
        name: frame.assign(execution_id=spec["execution_id"], case_name=spec["case"])
        if name != "convergence_history"
        else frame.assign(execution_id=spec["execution_id"])
        for name, frame in tables.items()
    }
    metadata.replace_results(runtime.metadata, _execution(runtime, spec, request, summary), keyed)
    for name, frame in keyed.items():
        stored = runtime.objects.write_parquet(_key(spec, name), frame)
        register(runtime, stored, "results", request.periods.start.date(), spec["execution_id"])
    exported = _export_powersystems(runtime, spec, request)
    converged = tables["interval_results"]["ac_converged"]
    return {
        "execution_id": spec["execution_id"],
        "rows": sum(len(frame) for frame in keyed.values()),
        "ac_converged_intervals": int(converged.sum()),
        "powersystems": exported,
    }


def solve_day(
    runtime: Runtime,
    day: date,
    wanted: Mapping[str, Any],
    progress: Progress,
) -> Facts:
    """The whole model execution of a day without Airflow; `wanted` as `plan` takes it."""
    progress("plan")
    spec = plan(runtime, day, wanted, {})
    progress("commit units")
    committed = commit(runtime, spec, progress)
    progress("dispatch")
    dispatched = dispatch(runtime, spec, progress)
    progress("verify by AC power flow")
    verified = verify(runtime, spec)
    return {
        "case": spec["case"],
        "kind": spec["kind"],
        "method": spec["method"],
        "status": dispatched["status"],
        "objective": dispatched["objective"],
        "iterations": dispatched["iterations"],
        "notes": dispatched["notes"],
        "commitment_gap": committed.get("gap"),
        "seconds": dispatched["seconds"] + committed.get("seconds", 0.0),
        "residuals": dispatched["residuals"],
        **verified,
        "results": runtime.objects.uri(_key(spec, "generator_dispatch")).rpartition("/")[0],
    }


def _export_powersystems(runtime: Runtime, spec: Facts, request: SolveRequest) -> str:
    """Write the day as PowerSystems.jl's tables, for Sienna users; where they are."""
    folder = f"powersystems/{spec['case']}/{spec['day']}"
    for name, content in powersystems_tables(request.grid, request.periods).items():
        text = content if isinstance(content, str) else content.to_csv(index=False)
        stored = runtime.objects.write_bytes(f"{folder}/{name}", text.encode())
        register(runtime, stored, "powersystems", request.periods.start.date())
    return runtime.objects.uri(folder)


def request_of(runtime: Runtime, spec: Facts) -> SolveRequest:
    """The problem of a spec with the states that `commit` has found."""
    return _with_commitment(runtime, spec, _request(runtime, spec))


def _request(runtime: Runtime, spec: Facts) -> SolveRequest:
    """The problem of a spec, from the stored grid and what was known when its horizon began."""
    grid = grid_from_document(read_topology(runtime.metadata, spec["topology_id"]))
    settings = runtime.settings
    options = Options(
        method=spec["method"],
        commitment=spec["commitment"],
        relative_gap=spec["gap"],
        time_limit_seconds=settings.commitment_time_limit_seconds,
    )
    start = datetime.fromisoformat(spec["start"])
    outages = outages_of(grid) if spec["outages"] == "n-1" else ()
    return SolveRequest(spec["kind"], grid, _periods(runtime, spec, grid, start), outages, options)


def _periods(runtime: Runtime, spec: Facts, grid: Any, start: datetime) -> Periods:
    count = spec["horizon"] + spec["lookahead"]
    window = Window.of_day(start.date(), math.ceil(count / 24))
    frames = {}
    for table in (LOAD_FORECASTS, RENEWABLE_FORECASTS, RESERVE_REQUIREMENTS):
        rows = timeseries.read(
            runtime.timeseries, table, window, case_name=spec["case"], as_of=start
        )
        frames[table.name] = _newest(rows)
    reserves = frames[RESERVE_REQUIREMENTS.name]
    return periods_from_frames(
        grid,
        frames[LOAD_FORECASTS.name],
        frames[RENEWABLE_FORECASTS.name],
        reserves[reserves["market"] == "DAY_AHEAD"],
        start=start,
        reported=spec["horizon"],
        count=count,
    )


def _newest(rows: pd.DataFrame) -> pd.DataFrame:
    """Of several forecasts of the same hour and element, the one issued last."""
    if "forecast_time" not in rows:
        return rows
    element = "load_id" if "load_id" in rows else "generator_id"
    newest: pd.DataFrame = rows.sort_values("forecast_time").drop_duplicates(
        ["target_time", element], keep="last"
    )
    return newest


def _commitment_frames(request: SolveRequest, found: Commitment) -> dict[str, pd.DataFrame]:
    units, stores = request.grid.generators.id, request.grid.storages.id
    return {
        "commitment_on": pd.DataFrame(found.on, columns=units),
        "commitment_start_cost": pd.DataFrame(found.start_cost_usd, columns=units),
        "commitment_discharging": pd.DataFrame(found.discharging, columns=stores),
        "commitment_store_start_cost": pd.DataFrame(found.store_start_cost_usd, columns=stores),
    }


def _with_commitment(runtime: Runtime, spec: Facts, request: SolveRequest) -> SolveRequest:
    if spec["commitment"] != "uc":
        return request
    on, start_cost, discharging, store_start = (
        runtime.objects.read_parquet(_key(spec, f"commitment_{name}")).to_numpy()
        for name in ("on", "start_cost", "discharging", "store_start_cost")
    )
    return replace(request, commitment=Commitment(on, discharging, start_cost, store_start))


def _joined(history: pd.DataFrame, last: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([frame for frame in (history, last) if len(frame)], ignore_index=True)


def _execution(
    runtime: Runtime, spec: Facts, request: SolveRequest, summary: Mapping[str, Any]
) -> dict[str, Any]:
    """The row of lascopf_executions; only when it was solved, and how long, differ in a rerun."""
    folder = runtime.objects.uri(_key(spec, "generator_dispatch")).rpartition("/")[0]
    return {
        "execution_id": spec["execution_id"],
        "execution_time": pd.Timestamp.now("UTC"),
        "case_name": spec["case"],
        "topology_id": spec["topology_id"],
        "kind": spec["kind"],
        "method": spec["method"],
        "commitment": spec["commitment"],
        "horizon_start": pd.Timestamp(spec["start"]),
        "interval_minutes": request.periods.minutes,
        "interval_count": request.periods.reported,
        "outage_count": len(request.outages),
        "penalties": json.dumps(asdict(request.options.penalties)),
        "tolerances": json.dumps({"commitment_relative_gap": spec["gap"]}),
        "solver": summary["solver"],
        "solver_version": summary["version"],
        "triggered_by": spec["triggered_by"],
        "airflow_run_id": spec["run_id"],
        "convergence_status": summary["status"],
        "objective_value": summary["objective"],
        "solve_time_seconds": summary["seconds"],
        "iteration_count": summary["iterations"],
        "results_path": folder,
        "metadata": json.dumps(
            {
                "residuals": summary["residuals"],
                "notes": summary["notes"],
                "lookahead_hours": spec["lookahead"],
                "commitment": summary.get("commitment"),
            }
        ),
    }


def _key(spec: Facts, name: str, ending: str = "parquet") -> str:
    return f"results/{spec['case']}/{spec['execution_id']}/{name}.{ending}"
