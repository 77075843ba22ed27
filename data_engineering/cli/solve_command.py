"""`lascopf solve | convert`: power flow, OPF and LASCOPF of a case; a case in other forms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from data_engineering.cli.data_commands import lines
from data_engineering.cli.errors import log_to_file
from data_engineering.cli.output import Json, Output
from data_engineering.model.errors import BadInput
from data_engineering.model.time import parse_day
from data_engineering.settings import get_settings

STORED = ("rts_gmlc",)
STORED_KINDS = ("lascopf", "dcopf")
SHOWN = 10
"""Notes that are shown to people; --json has all."""


class Solver(StrEnum):
    """Who solves."""

    highs = "highs"
    julia = "julia"


class Kind(StrEnum):
    """What is solved."""

    pf = "pf"
    dcpf = "dcpf"
    opf = "opf"
    dcopf = "dcopf"
    scopf = "scopf"
    lascopf = "lascopf"


CaseName = Annotated[
    str | None,
    typer.Argument(
        metavar="CASE",
        help="rts_gmlc, pglib/NAME (pglib/case118_ieee, pglib/case118_ieee__api), a .m file, a "
        "pandapower or system_data .json, a folder of RTS-GMLC tables, or a folder of "
        "PowerLASCOPF tables with the size behind it (FOLDER/14). None: LASCOPF_CASE_NAME.",
    ),
]
WhichKind = Annotated[
    Kind,
    typer.Option(
        help="AC or DC power flow; AC or DC optimal power flow; DC secure against outages; the "
        "same over a horizon with ramps, stores and reserves."
    ),
]
Method = Annotated[
    str,
    typer.Option(
        help="constraint_generation, extensive, corrective or decomposed; app or joint by the "
        "Julia solver; see docs."
    ),
]
WhichSolver = Annotated[
    Solver,
    typer.Option(
        help="highs: the embedded solvers. julia: the one that works on the exchange queue "
        "(LASCOPF_EXCHANGE_FOLDER), for dcopf, scopf and lascopf."
    ),
]
SolveDay = Annotated[
    str | None,
    typer.Option(
        help="Day, as YYYY-MM-DD (UTC). With rts_gmlc and without --out the day that was ingested "
        "is solved, stored in SQL and reported. Other cases follow RTS-GMLC's load shape of it."
    ),
]
Horizon = Annotated[
    int | None,
    typer.Option(
        "--horizon",
        "--intervals",
        min=1,
        max=48,
        help="Hours to solve. None: all that the case has, 24 for lascopf, else 1.",
    ),
]
States = Annotated[
    str | None,
    typer.Option(
        "--commitment",
        help="Units that run: uc, on, relaxed (minima dropped), or a CSV FILE of 0 and 1 with a "
        "column for each unit. None: uc for rts_gmlc, else on.",
    ),
]
Outages = Annotated[
    str | None,
    typer.Option(
        help="none, n-1 (branches), n-1-units (units too), or a CSV FILE with id,branches,"
        "generators. None: those of the case, else n-1, for scopf and lascopf."
    ),
]
Out = Annotated[
    Path | None, typer.Option(help="Folder for the result tables, as parquet; replaced as a whole.")
]
Verify = Annotated[
    bool, typer.Option(help="Check a dispatch by AC power flow, intact and after every outage.")
]

Negative = Annotated[
    bool,
    typer.Option(
        "--negative-reactance",
        help="Branches may have one: series capacitors, equivalents of transformers.",
    ),
]


def solve(
    case: CaseName = None,
    kind: WhichKind = Kind.lascopf,
    method: Method = "default",
    solver: WhichSolver = Solver.highs,
    day: SolveDay = None,
    horizon: Horizon = None,
    commitment: States = None,
    outages: Outages = None,
    out: Out = None,
    verify: Verify = True,
    negative_reactance: Negative = False,
    reactive_limits: Annotated[
        bool, typer.Option("--reactive-limits", help="pf: units give up their voltage at a limit.")
    ] = False,
    distributed_slack: Annotated[
        bool, typer.Option("--distributed-slack", help="pf: all units share what is missing.")
    ] = False,
    workers: Annotated[
        int, typer.Option(min=1, max=64, help="Processes of the decomposed method.")
    ] = 1,
    time_limit: Annotated[float, typer.Option(min=1.0, help="Seconds.")] = 300.0,
    json: Json = False,
) -> None:
    """Solve a case: power flow, optimal power flow, or look-ahead secure dispatch."""
    log_to_file()
    name, output = case or get_settings().case_name, Output(as_json=json)
    asked = None if day is None else parse_day(day, "--day")
    if asked is not None and out is None and name in STORED:
        _stored(output, name, asked, kind, method, solver, horizon, commitment, outages)
        return
    from data_engineering.model.problem import Decomposition, Options
    from data_engineering.orchestration.case_solve import Wanted, solve_case

    wanted = Wanted(
        case=name,
        kind=kind.value,
        method=method,
        day=asked,
        horizon=horizon,
        commitment=commitment,
        outages=outages,
        verify=verify,
        negative_reactance=negative_reactance,
        solver=solver.value,
        options=Options(
            time_limit_seconds=time_limit,
            reactive_limits=reactive_limits,
            distributed_slack=distributed_slack,
            decomposition=Decomposition(workers=workers),
        ),
    )
    with output.working(f"solving {name}"):
        facts = solve_case(wanted, out, output.progress)
    output.done(facts, _summary(facts))
    if facts["faults"]:
        raise typer.Exit(3)
    raise typer.Exit(0 if facts["status"] in ("optimal", "feasible") else 5)


def convert(
    case: Annotated[str, typer.Argument(metavar="CASE", help="As of `lascopf solve`.")],
    file: Annotated[Path, typer.Argument(help="File to write: .m, or .json.")],
    form: Annotated[
        str | None,
        typer.Option(help="matpower, pandapower or system_data. None: by the file's ending."),
    ] = None,
    negative_reactance: Negative = False,
    json: Json = False,
) -> None:
    """Write a case as a MATPOWER file, a pandapower net or a system_data document, without loss."""
    log_to_file()
    from data_engineering.orchestration.cases import load_case, write_case

    output = Output(as_json=json)
    with output.working(f"reading {case}"):
        grid = load_case(case, negative_reactance=negative_reactance).grid
        written = write_case(grid, file, form)
    facts = {"case": case, "form": written, "file": str(file), "buses": len(grid.buses)}
    output.done(facts, lines(facts))


def _stored(
    output: Output,
    case: str,
    day: Any,
    kind: Kind,
    method: str,
    solver: Solver,
    horizon: int | None,
    commitment: str | None,
    outages: str | None,
) -> None:
    """Commit, dispatch, verify and store a day that was ingested, and write its report."""
    if kind.value not in STORED_KINDS:
        remedy = f"use {' or '.join(STORED_KINDS)}, or give --out to solve from the source files"
        raise BadInput("--kind", kind.value, remedy)
    from data_engineering.orchestration.model_execution import solve_day
    from data_engineering.runtime import open_runtime
    from data_engineering.serving.publish import report as write_report

    wanted = {
        "case": case,
        "kind": kind.value,
        "method": method,
        "outages": outages or "n-1",
        "horizon": horizon or 24,
        "commitment": commitment or "uc",
        "solver": solver.value,
    }
    with output.working(f"solving {case} on {day}"), open_runtime() as runtime:
        facts = solve_day(runtime, day, wanted, output.progress)
        output.progress("report")
        spec = {"case": case, "day": day.isoformat(), "execution_id": facts["execution_id"]}
        facts["report"] = write_report(runtime, spec)["report"]
    output.done(facts, lines(facts))


def _summary(facts: Mapping[str, Any]) -> Iterable[str]:
    """The facts for people: nested ones flattened, empty ones left out."""
    flat: dict[str, Any] = {}
    for name, value in facts.items():
        if isinstance(value, Mapping):
            flat |= {
                f"{name}.{key}": item for key, item in value.items() if name != "violations" or item
            }
        elif isinstance(value, list):
            flat |= {f"{name}.{number}": item for number, item in enumerate(value[:SHOWN], start=1)}
            if len(value) > SHOWN:
                flat[f"{name}.more"] = len(value) - SHOWN
        elif value is not None:
            flat[name] = value
    return lines({name: _shown(value) for name, value in flat.items()})


def _shown(value: Any) -> str:
    """Large numbers to the cent, small ones to what they are worth."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.2f}" if abs(value) >= 100.0 else f"{value:.4g}"
