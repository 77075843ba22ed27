"""Results of the exchange written from an embedded solve, for tests without Julia."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data_engineering.model.problem import SolveRequest, SolveResult
from data_engineering.orchestration.exchange_client import request_files
from data_engineering.solvers.solve import solve
from data_engineering.transformation.exchange_bundle import numbers_of_buses


def solved(request: SolveRequest) -> SolveResult:
    """The embedded answer of all intervals, look-ahead included."""
    options = replace(request.options, method="default")
    whole = replace(request.periods, reported=request.periods.count)
    return solve(replace(request, options=options, periods=whole))


def result_files(request: SolveRequest, result: SolveResult, **facts: Any) -> dict[str, bytes]:
    """The results folder that says what `result` says; `facts` change result.json."""
    manifest = request_files(request)["manifest.json"].encode()
    frames = _frames(request, result) if result.tables else {}
    files = {
        name: frame.to_csv(index=False, na_rep="NA", lineterminator="\n").encode()
        for name, frame in frames.items()
    }
    costs = _interval_costs(result) if result.tables else np.zeros(0)
    document = {
        "format": "lascopf-result",
        "version": 1,
        "request_id": json.loads(manifest)["request_id"],
        "manifest_sha256": hashlib.sha256(manifest).hexdigest(),
        "status": result.status,
        "objective": costs[: request.periods.reported].sum() if len(costs) else None,
        "bound": None,
        "total": costs.sum() if len(costs) else None,
        "solver": "embedded",
        "solver_version": "1",
        "julia_version": "0",
        "threads": 1,
        "seconds": 0.5,
        "iterations": 3,
        "residuals": {"disagreement_pu": 1e-5},
        "notes": [],
        "left_out": _left_out(result),
        "files": {name: listed(content) for name, content in files.items()},
        **facts,
    }
    return {**files, "result.json": json.dumps(document).encode()}


def listed(content: bytes) -> dict[str, Any]:
    """What result.json says of a file."""
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def changed(files: dict[str, bytes], name: str, column: str, row: int, value: float) -> dict:
    """The same folder with one value changed, digests kept true."""
    lines = files[name].decode().splitlines()
    place = lines[0].split(",").index(column)
    words = lines[row + 1].split(",")
    words[place] = repr(value)
    lines[row + 1] = ",".join(words)
    content = ("\n".join(lines) + "\n").encode()
    document = json.loads(files["result.json"])
    document["files"][name] = listed(content)
    return {**files, name: content, "result.json": json.dumps(document).encode()}


def put_done(root: Path, request: SolveRequest, files: dict[str, bytes]) -> Path:
    """A finished entry of the queue."""
    written = request_files(request)
    folder = root / "done" / json.loads(written["manifest.json"])["request_id"]
    for name, content in written.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    (folder / "results").mkdir()
    for name, content in files.items():
        (folder / "results" / name).write_bytes(content)
    return folder


def _interval_costs(result: SolveResult) -> np.ndarray:
    names = ["production_cost_usd", "start_cost_usd", "penalty_usd"]
    return result.tables["interval_results"][names].to_numpy().sum(axis=1)


def _left_out(result: SolveResult) -> list[str]:
    heads = [note for note in result.notes if note.startswith("outages left out")]
    return heads[0].partition(": ")[2].split(", ") if heads else []


def _frames(request: SolveRequest, result: SolveResult) -> dict[str, pd.DataFrame]:
    grid, tables = request.grid, result.tables
    dispatch, flows = tables["generator_dispatch"], tables["branch_flow_results"]
    base = flows[flows["contingency_id"] == "base"]
    buses = tables["bus_results"].copy()
    numbers = dict(zip(grid.buses.id, numbers_of_buses(grid), strict=True))
    units = dispatch[dispatch["generator_id"].isin(grid.generators.id)]
    stores = dispatch[dispatch["generator_id"].isin(grid.storages.id)]
    of_branch = base["branch_id"].isin(grid.branches.id)
    intervals = tables["interval_results"]
    down = units.groupby("time_interval")["reserve_down_mw"].sum().to_numpy()
    return {
        "generators.csv": _table(
            units,
            ("generator_id", "GEN UID"),
            ("active_power", "MW"),
            ("reserve_up_mw", "Reserve Up MW"),
            ("reserve_down_mw", "Reserve Down MW"),
        ),
        "stores.csv": _table(
            stores.assign(
                charge=np.maximum(-stores["active_power"], 0.0),
                discharge=np.maximum(stores["active_power"], 0.0),
            ),
            ("generator_id", "UID"),
            ("charge", "Charge MW"),
            ("discharge", "Discharge MW"),
            ("stored_energy_mwh", "Energy MWh"),
        ),
        "buses.csv": _table(
            buses.assign(
                number=[numbers[name] for name in buses["bus_id"]],
                angle=np.deg2rad(buses["voltage_angle"]),
            ),
            ("number", "Bus ID"),
            ("angle", "Angle"),
            ("load_shed_mw", "Shed MW"),
            ("over_generation_mw", "Over MW"),
            ("lmp_total", "Price"),
        ),
        "branches.csv": _table(
            base[of_branch],
            ("branch_id", "UID"),
            ("flow_mw", "MW"),
            ("violation_mw", "Overload MW"),
            ("shadow_price", "Shadow Price"),
        ),
        "dc_branches.csv": _table(base[~of_branch], ("branch_id", "UID"), ("flow_mw", "MW")),
        "system.csv": _table(
            intervals.assign(
                down=np.maximum(request.periods.reserve_down_mw - down, 0.0),
                cost=_interval_costs(result),
            ),
            ("reserve_shortfall_mw", "Up Short MW"),
            ("down", "Down Short MW"),
            ("reserve_price", "Reserve Price"),
            ("cost", "Cost"),
        ),
        "outages.csv": _table(
            flows[flows["contingency_id"] != "base"],
            ("contingency_id", "Outage"),
            ("branch_id", "UID"),
            ("flow_mw", "MW"),
            ("violation_mw", "Excess MW"),
            ("shadow_price", "Shadow Price"),
        ),
        "history.csv": _history(tables["convergence_history"]),
    }


def _table(frame: pd.DataFrame, *columns: tuple[str, str]) -> pd.DataFrame:
    names = {"time_interval": "Interval", **dict(columns)}
    return frame[list(names)].rename(columns=names)


def _history(history: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "Iteration": history["iteration"],
            "Objective": history["objective_value"],
            "Bound": history["best_bound"],
            "Disagreement": history["primal_residual"],
            "Movement": history["dual_residual"],
            "Violation MW": 0.0,
            "Seconds": history["elapsed_seconds"],
        }
    )
