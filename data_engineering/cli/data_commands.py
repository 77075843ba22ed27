"""`lascopf ingest | validate | solve | report`: the pipelines' steps without Airflow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer

from data_engineering.cli.errors import log_to_file
from data_engineering.cli.output import Json, Output
from data_engineering.model.time import parse_day
from data_engineering.settings import get_settings

Day = Annotated[str, typer.Option(help="Day to work on, as YYYY-MM-DD (UTC).")]
Case = Annotated[str | None, typer.Option(help="Grid case; none: LASCOPF_CASE_NAME.")]
Horizon = Annotated[int, typer.Option(min=1, max=24, help="Hours to solve.")]


class Commitment(StrEnum):
    """Which units run."""

    uc = "uc"
    on = "on"
    relaxed = "relaxed"


How = Annotated[
    Commitment,
    typer.Option(help="Units that run: by unit commitment, all, or all with minima dropped."),
]


def ingest(day: Day, json: Json = False) -> None:
    """Ingest a day: raw bytes, checks, core tables; the same day twice leaves the same rows."""
    from data_engineering.orchestration.daily_ingest import ingest_day
    from data_engineering.runtime import open_runtime

    log_to_file()
    asked, output = parse_day(day, "--day"), Output(as_json=json)
    with output.working(f"ingesting {day}"), open_runtime() as runtime:
        facts = ingest_day(runtime, asked, output.progress)
    output.done(facts, _lines(facts))


def validate(
    checkpoint: Annotated[
        str, typer.Argument(help="Name, such as power_measurements_checkpoint (one per table).")
    ],
    day: Day,
    json: Json = False,
) -> None:
    """Run a checkpoint on a day's raw rows; exit code 3 when it fails."""
    from data_engineering.orchestration.daily_ingest import validate_day
    from data_engineering.runtime import open_runtime

    log_to_file()
    asked, output = parse_day(day, "--day"), Output(as_json=json)
    with output.working(f"checking {day}"), open_runtime() as runtime:
        facts = validate_day(runtime, checkpoint, asked)
    output.done(facts, _lines(facts))
    raise typer.Exit(0 if facts.get("passed", True) else 3)


def solve(
    day: Day,
    case: Case = None,
    horizon: Horizon = 24,
    commitment: How = Commitment.uc,
    json: Json = False,
) -> None:
    """Commit, dispatch, verify and store a day that was ingested, and write its report."""
    from data_engineering.orchestration.model_execution import solve_day
    from data_engineering.runtime import open_runtime
    from data_engineering.serving.publish import report as write_report

    log_to_file()
    asked, output = parse_day(day, "--day"), Output(as_json=json)
    name = case or get_settings().case_name
    with output.working(f"solving {name} on {day}"), open_runtime() as runtime:
        facts = solve_day(runtime, name, asked, horizon, commitment.value, output.progress)
        output.progress("report")
        spec = {"case": name, "day": day, "execution_id": facts["execution_id"]}
        facts["report"] = write_report(runtime, spec)["report"]
    output.done(facts, _lines(facts))


def report(day: Day, case: Case = None, json: Json = False) -> None:
    """Write the report of a day's newest execution again, from the stored results."""
    from data_engineering.runtime import open_runtime
    from data_engineering.serving.publish import report as write_report

    log_to_file()
    asked, output = parse_day(day, "--day"), Output(as_json=json)
    name = case or get_settings().case_name
    with output.working(f"reporting {name} on {day}"), open_runtime() as runtime:
        facts = write_report(runtime, {"case": name, "day": asked.isoformat()})
    output.done(facts, _lines(facts))


def _lines(facts: Mapping[str, Any]) -> Iterable[str]:
    width = max((len(name) for name in facts), default=0)
    return (f"{name:<{width}}  {value}" for name, value in facts.items())
