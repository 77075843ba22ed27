"""`lascopf ingest | validate | report`: the pipelines' steps without Airflow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer

from data_engineering.cli.errors import log_to_file
from data_engineering.cli.output import Json, Output
from data_engineering.model.time import parse_day
from data_engineering.settings import get_settings

Day = Annotated[str, typer.Option(help="Day to work on, as YYYY-MM-DD (UTC).")]
Case = Annotated[str | None, typer.Option(help="Grid case; none: LASCOPF_CASE_NAME.")]


def ingest(day: Day, json: Json = False) -> None:
    """Ingest a day: raw bytes, checks, core tables; the same day twice leaves the same rows."""
    from data_engineering.orchestration.daily_ingest import ingest_day
    from data_engineering.runtime import open_runtime

    log_to_file()
    asked, output = parse_day(day, "--day"), Output(as_json=json)
    with output.working(f"ingesting {day}"), open_runtime() as runtime:
        facts = ingest_day(runtime, asked, output.progress)
    output.done(facts, lines(facts))


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
    output.done(facts, lines(facts))
    raise typer.Exit(0 if facts.get("passed", True) else 3)


def report(day: Day, case: Case = None, json: Json = False) -> None:
    """Write the report of a day's newest execution again, from the stored results."""
    from data_engineering.runtime import open_runtime
    from data_engineering.serving.publish import report as write_report

    log_to_file()
    asked, output = parse_day(day, "--day"), Output(as_json=json)
    name = case or get_settings().case_name
    with output.working(f"reporting {name} on {day}"), open_runtime() as runtime:
        facts = write_report(runtime, {"case": name, "day": asked.isoformat()})
    output.done(facts, lines(facts))


def lines(facts: Mapping[str, Any]) -> Iterable[str]:
    """Facts for people, one a line."""
    width = max((len(name) for name in facts), default=0)
    return (f"{name:<{width}}  {value}" for name, value in facts.items())
