"""`lascopf exchange export | import | status | clean`: bundles for solvers that are not Python."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from data_engineering.cli.data_commands import lines
from data_engineering.cli.errors import log_to_file
from data_engineering.cli.output import EPILOG, Json, Output, print_table
from data_engineering.cli.solve_command import CaseName, Horizon, Kind, Outages, SolveDay, States
from data_engineering.settings import get_settings

exchange = typer.Typer(help="Requests and results of solvers that are not Python.", epilog=EPILOG)
Bundle = Annotated[Path, typer.Argument(help="Folder of the bundle; results/ is in it.")]


@exchange.command("export", epilog=EPILOG)
def export(
    case: CaseName,
    folder: Annotated[Path, typer.Argument(help="New folder to write.")],
    kind: Annotated[Kind, typer.Option(help="lascopf, scopf or dcopf.")] = Kind.lascopf,
    method: Annotated[str, typer.Option(help="app or joint.")] = "default",
    day: SolveDay = None,
    horizon: Horizon = None,
    commitment: States = None,
    outages: Outages = None,
    hdf5: Annotated[bool, typer.Option("--hdf5", help="Write bundle.h5 too.")] = False,
    json: Json = False,
) -> None:
    """Write a case as an exchange bundle, from its source files."""
    from data_engineering.model.time import parse_day
    from data_engineering.orchestration.case_solve import Wanted
    from data_engineering.orchestration.exchange_files import export_case

    log_to_file()
    output = Output(as_json=json)
    wanted = Wanted(
        case=case or get_settings().case_name,
        kind=kind.value,
        method=method,
        day=None if day is None else parse_day(day, "--day"),
        horizon=horizon,
        commitment=commitment,
        outages=outages,
        solver="julia",
    )
    with output.working(f"exporting {wanted.case}"):
        facts = export_case(wanted, folder, output.progress, hdf5=hdf5)
    output.done(facts, lines(facts))


@exchange.command("import", epilog=EPILOG)
def import_(
    folder: Bundle,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the result tables, as parquet; replaced.")
    ] = None,
    json: Json = False,
) -> None:
    """Check the results in a bundle, and write them as tables; exit code 3 when refused."""
    from data_engineering.orchestration.exchange_files import import_results

    log_to_file()
    output = Output(as_json=json)
    with output.working(f"reading {folder}"):
        facts = import_results(folder, out)
    output.done(facts, lines(facts))
    raise typer.Exit(0 if facts["status"] in ("optimal", "feasible") else 5)


@exchange.command("status", epilog=EPILOG)
def status(json: Json = False) -> None:
    """Solvers that are alive, and what is in the queue."""
    from data_engineering.orchestration.exchange_client import queue_of

    queue = queue_of(get_settings())
    queue.open()
    facts: dict[str, Any] = {"folder": str(queue.root), **queue.overview()}
    if not json:
        for title, rows in (("Solvers alive", facts["solvers"]), ("Requests", facts["requests"])):
            columns = list(dict.fromkeys(name for row in rows for name in row))
            if rows:
                print_table(title, columns, ([row.get(name) for name in columns] for row in rows))
    Output(as_json=json).done(facts, _summary(facts))


@exchange.command("clean", epilog=EPILOG)
def clean(
    days: Annotated[
        float | None,
        typer.Option(min=0.0, help="Age of what is removed; none: LASCOPF_EXCHANGE_KEEP_DAYS."),
    ] = None,
    json: Json = False,
) -> None:
    """Remove old entries of the queue; what a solver works on stays."""
    from data_engineering.orchestration.exchange_client import queue_of

    settings = get_settings()
    queue = queue_of(settings)
    queue.open()
    removed = queue.clean(settings.exchange_keep_days if days is None else days)
    facts = {"folder": str(queue.root), "removed": removed}
    Output(as_json=json).done(facts, lines(facts))


def _summary(facts: dict[str, Any]) -> Iterable[str]:
    counts = {name: len(facts[name]) for name in ("solvers", "requests")}
    return lines({"folder": facts["folder"], **counts})
