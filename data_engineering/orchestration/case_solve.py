"""Solve a case straight from its files: no database, no Airflow; tables go to a folder.

What the case itself does not say is taken from RTS-GMLC: the shape of a day's load. A case of one
instant then has its own loads in the day's highest hour.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from data_engineering.ingestion import rts_gmlc
from data_engineering.ingestion.case_files import RTS_GMLC
from data_engineering.ingestion.solve_files import read_outages, read_states
from data_engineering.ingestion.sources import SOURCES
from data_engineering.model.errors import BadInput, NotSolved
from data_engineering.model.grid import Floats, Grid
from data_engineering.model.problem import (
    Commitment,
    Options,
    Outage,
    Periods,
    SolveRequest,
    SolveResult,
)
from data_engineering.model.time import Window
from data_engineering.orchestration.cases import LoadedCase, load_case
from data_engineering.orchestration.solver_choice import EMBEDDED, chosen_method, solve_by
from data_engineering.orchestration.steps import Facts, Progress
from data_engineering.settings import Settings, get_settings
from data_engineering.solvers.ac_check import verify_ac
from data_engineering.solvers.ac_outages import verify_outages
from data_engineering.solvers.commitment import commit, fixed
from data_engineering.solvers.outage_factors import outages_of
from data_engineering.solvers.result_checks import check_results
from data_engineering.transformation.grid_checks import check_periods
from data_engineering.transformation.horizon import periods_from_frames, periods_from_grid

SECURE = ("scopf", "lascopf")
DISPATCHES = ("dcopf", *SECURE)
SHAPE_DAY = date(2020, 7, 6)
"""The day whose load shape is used where none is asked for."""
VIOLATED_MW = 1e-4
"""Excess above which a limit is counted as violated; below it is the solver's rounding."""


@dataclass(frozen=True)
class Wanted:
    """What is asked for.

    Attributes:
        horizon: hours; None: those of the case, else 24 for lascopf and 1 for others.
        commitment: uc, on, relaxed, or the path of a file; None: uc for rts_gmlc, else on.
        outages: none, n-1, n-1-units, or the path of a file; None: those of the case, else n-1
            for scopf and lascopf.
        verify: check dispatches by AC power flow, after outages too.
        negative_reactance: branches of a case that is not published may have one.
        solver: highs or julia.
        options: method, commitment and gap are set by the others.
    """

    case: str
    kind: str
    method: str = "default"
    day: date | None = None
    horizon: int | None = None
    commitment: str | None = None
    outages: str | None = None
    verify: bool = True
    negative_reactance: bool = False
    solver: str = EMBEDDED
    options: Options = field(default_factory=Options)


def solve_case(
    wanted: Wanted, out: Path | None, progress: Progress, settings: Settings | None = None
) -> Facts:
    """Read, check, solve and verify; write the tables as parquet.

    Args:
        wanted: what is asked for.
        out: folder for the tables; it is replaced as a whole. None: nothing is written.
        progress: called with a line of text as the work goes on.
        settings: None for those of the environment.

    Raises:
        UnknownCase, SourceFileMissing, SourceFileBroken, BadInput: the case or an option is at
            fault; one line that names it.
    """
    settings = settings or get_settings()
    request = request_of(wanted, settings, progress)
    method = request.options.method
    progress(f"solve {wanted.kind} by {method}")
    result = solve_by(wanted.solver, request, settings, progress)
    tables = dict(result.tables)
    faults: list[str] = []
    if wanted.kind in DISPATCHES and result.tables:
        faults = check_results(request, tables, result.objective)
        if wanted.verify:
            progress("verify by AC power flow")
            tables = verify_ac(request.grid, tables)
            tables = verify_outages(request.grid, tables, request.outages)
    if out is not None:
        write_tables(out, tables)
    return _facts(wanted, method, request, replace(result, tables=tables), faults, out)


def request_of(wanted: Wanted, settings: Settings, progress: Progress) -> SolveRequest:
    """The request, read from the case's files and checked; its units are committed.

    Raises:
        LascopfError: as `solve_case`.
    """
    method = chosen_method(wanted.solver, wanted.kind, wanted.method)
    progress(f"read {wanted.case}")
    loaded = load_case(wanted.case, settings, negative_reactance=wanted.negative_reactance)
    return _request(wanted, loaded, method, settings, progress)


def _request(
    wanted: Wanted, loaded: LoadedCase, method: str, settings: Settings, progress: Progress
) -> SolveRequest:
    grid = loaded.grid
    periods = _periods(wanted, loaded, settings)
    choice = wanted.commitment or ("uc" if wanted.case == RTS_GMLC else "on")
    given = choice not in ("uc", "on", "relaxed")
    check_periods(grid, periods, commitment="given" if given else choice)  # type: ignore[arg-type]
    options = replace(
        wanted.options,
        method=method,
        commitment="given" if given else choice,  # type: ignore[arg-type]
        relative_gap=settings.commitment_gap,
    )
    outages = _outages(wanted, loaded)
    request = SolveRequest(wanted.kind, grid, periods, outages, options)  # type: ignore[arg-type]
    if wanted.kind not in DISPATCHES:
        return request
    if given:
        on = read_states(Path(choice), grid, periods.count)
        return replace(request, commitment=_given(on, grid))
    if choice == "uc":
        progress("commit units")
        found = commit(request, progress)
        if found.status not in ("optimal", "feasible"):
            raise NotSolved(
                "unit commitment", wanted.case, found.status, "try --commitment relaxed"
            )
        return replace(request, commitment=fixed(request, found))
    return request


def _given(on: np.ndarray[tuple[int, int], np.dtype[np.bool_]], grid: Grid) -> Commitment:
    """States from a file; starts are not priced, stores may go either way."""
    stores = (len(on), len(grid.storages))
    return Commitment(on, np.ones(stores, dtype=np.bool_), np.zeros(on.shape), np.zeros(stores))


def _periods(wanted: Wanted, loaded: LoadedCase, settings: Settings) -> Periods:
    if loaded.periods is not None:
        return _first(loaded.periods, wanted.horizon)
    count = wanted.horizon or (24 if wanted.kind == "lascopf" else 1)
    timed = wanted.day is not None or wanted.kind == "lascopf"
    if loaded.kind == "rts_gmlc" and timed:
        return _source_periods(wanted.day or SHAPE_DAY, loaded.grid, count, settings)
    start = datetime.combine(wanted.day or SHAPE_DAY, datetime.min.time(), UTC)
    factors = np.ones(1)
    if count > 1 or timed:
        factors = _load_shape(wanted.day or SHAPE_DAY, count, settings)
    return periods_from_grid(loaded.grid, factors, start=start)


def _first(periods: Periods, count: int | None) -> Periods:
    if count is None:
        return periods
    if count > periods.count:
        raise BadInput("horizon", count, f"the case has {periods.count} intervals")
    return replace(
        periods,
        load_mw=periods.load_mw[:count],
        available_mw=periods.available_mw[:count],
        inflow_mw=periods.inflow_mw[:count],
        reserve_up_mw=periods.reserve_up_mw[:count],
        reserve_down_mw=periods.reserve_down_mw[:count],
        reported=count,
    )


def _frames(day: date, settings: Settings, *names: str) -> list[pd.DataFrame]:
    folder, window = rts_gmlc.source_folder(settings.rts_gmlc_folder), Window.of_day(day)
    return [SOURCES[name].read(folder, window, RTS_GMLC) for name in names]


def _source_periods(day: date, grid: Grid, count: int, settings: Settings) -> Periods:
    loads, renewables, reserves = _frames(
        day, settings, "forecast_load", "forecast_renewable", "market_reserves"
    )
    # Reserves are asked for the day itself only.
    return periods_from_frames(
        grid,
        loads,
        renewables,
        reserves,
        start=Window.of_day(day).start,
        reported=count,
        count=count,
    )


def _load_shape(day: date, count: int, settings: Settings) -> Floats:
    """RTS-GMLC's load of a day, hour by hour, as a share of the day's highest."""
    (loads,) = _frames(day, settings, "forecast_load")
    total = loads.groupby("target_time")["forecasted_load_mw"].sum().sort_index().to_numpy()
    if count > len(total):
        raise BadInput("horizon", count, f"give at most {len(total)} hours")
    shape: Floats = total[:count] / total[:24].max()
    return shape


def _outages(wanted: Wanted, loaded: LoadedCase) -> tuple[Outage, ...]:
    if wanted.kind not in SECURE:
        if wanted.outages not in (None, "none"):
            raise BadInput("outages", wanted.outages, f"use --kind {' or '.join(SECURE)}")
        return ()
    if wanted.outages is None and loaded.outages is not None:
        return loaded.outages
    if wanted.outages in (None, "n-1"):
        return outages_of(loaded.grid)
    if wanted.outages == "n-1-units":
        return (*outages_of(loaded.grid), *outages_of(loaded.grid, units=True))
    return () if wanted.outages == "none" else read_outages(Path(str(wanted.outages)))


def write_tables(out: Path, tables: Mapping[str, pd.DataFrame]) -> None:
    """All tables or none: to a folder beside, which then takes the place of the old one.

    Raises:
        BadInput: the folder holds anything but earlier tables.
    """
    partial = out.with_name(out.name + ".partial")
    if out.exists() and not (out.is_dir() and all(p.suffix == ".parquet" for p in out.iterdir())):
        raise BadInput("--out", out, "give a new folder, or one that holds only earlier tables")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name, frame in tables.items():
        frame.to_parquet(partial / f"{name}.parquet", index=False)
    if out.exists():
        shutil.rmtree(out)
    partial.rename(out)


def _facts(
    wanted: Wanted,
    method: str,
    request: SolveRequest,
    result: SolveResult,
    faults: list[str],
    out: Path | None,
) -> Facts:
    return {
        "case": wanted.case,
        "kind": wanted.kind,
        "method": method,
        "status": result.status,
        "objective": result.objective,
        "iterations": result.iterations,
        "seconds": result.seconds,
        "solver": f"{result.solver} {result.version}",
        "buses": len(request.grid.buses),
        "intervals": request.periods.reported,
        "outages": len(request.outages),
        "residuals": dict(result.residuals),
        "violations": _violations(result.tables),
        "faults": faults,
        "notes": list(result.notes),
        "tables": {name: len(frame) for name, frame in result.tables.items()},
        "out": None if out is None else str(out),
    }


def _violations(tables: Mapping[str, pd.DataFrame]) -> dict[str, int]:
    """How many results are beyond a limit, by kind."""
    if "branch_flow_results" not in tables:
        return {}
    flows, buses = tables["branch_flow_results"], tables["bus_results"]
    base, over = flows["contingency_id"] == "base", flows["violation_mw"] > VIOLATED_MW
    hot = flows["ac_loading_percent"] > 100.0 + 1e-6
    return {
        "branch_overloads": int((base & over).sum()),
        "outage_overloads": int((~base & over).sum()),
        "buses_with_load_shed": int((buses["load_shed_mw"] > VIOLATED_MW).sum()),
        "buses_with_over_generation": int((buses["over_generation_mw"] > VIOLATED_MW).sum()),
        "ac_overloads": int((base & hot).sum()),
        "ac_outage_overloads": int((~base & hot).sum()),
    }
