"""`lascopf demo`: the main job from an empty folder to priced dispatch in SQL."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

from data_engineering.cli.database_commands import migrate_stores
from data_engineering.cli.demo_results import show_results
from data_engineering.cli.errors import log_to_file
from data_engineering.cli.output import Json, Output
from data_engineering.cli.stack_commands import stay
from data_engineering.model.time import parse_day
from data_engineering.settings import get_settings

if TYPE_CHECKING:
    from data_engineering.orchestration.airflow_config import Credentials
    from data_engineering.orchestration.trigger import Airflow, Run

INGEST, SOLVE = "daily_ingest", "model_execution"


def demo(
    once: Annotated[bool, typer.Option("--once", help="End by itself, leave no process.")] = False,
    day: Annotated[str, typer.Option(help="Day of the data, as YYYY-MM-DD.")] = "2020-07-06",
    json: Json = False,
) -> None:
    """Ingest a day of RTS-GMLC and solve it under Airflow, then show what came out.

    Started again after it was interrupted, it goes on with the unfinished run. Stays up until
    Ctrl-C unless --once is given; a stack that ran before is used and left running.
    """
    from data_engineering.orchestration import stack
    from data_engineering.orchestration.airflow_config import credentials

    log_to_file()
    settings, output = get_settings(), Output(as_json=json)
    asked = parse_day(day, "--day")
    with output.working("starting"):
        hold = stack.attach(settings, output.progress)
    with hold:
        started = time.monotonic()
        with output.working("migrating"):
            migrate_stores(settings)
            login = credentials(settings)
            run = run_day(login, asked.isoformat(), output, hold.check)
        output.note(f"{INGEST} and {SOLVE} of {day} took {time.monotonic() - started:.1f} s")
        show_results(settings, run, login, output)
        if not once:
            output.note("up until Ctrl-C")
            stay(hold)


def run_day(login: Credentials, day: str, output: Output, check: Callable[[], None]) -> Run:
    """Ingest and solve a day under Airflow, going on with runs that are unfinished.

    Returns:
        The finished run of model_execution.

    Raises:
        RunFailed: one of the runs failed.
    """
    from data_engineering.orchestration import trigger

    airflow = trigger.log_in(login.url, login.user, login.password)
    output.progress("waiting for Airflow to read the DAGs")
    for dag_id in (INGEST, SOLVE):
        airflow.await_dag(dag_id)
        airflow.unpause(dag_id)
    show = TaskDisplay(output).show
    solving = _unfinished(airflow, SOLVE, day)
    if solving is None:
        ingesting = _unfinished(airflow, INGEST, day)
        if ingesting is None:
            ingesting = airflow.trigger(INGEST, {"day": day})
        else:
            output.note(f"going on with {ingesting.run_id}")
        ingested = trigger.follow(airflow, ingesting, show, check)
        output.progress(f"waiting for {SOLVE} to start from the asset")
        solving = trigger.await_caused(airflow, ingested, SOLVE, check)
    else:
        output.note(f"going on with {solving.run_id}")
    return trigger.follow(airflow, solving, show, check)


def _unfinished(airflow: Airflow, dag_id: str, day: str) -> Run | None:
    return next((run for run in airflow.unfinished(dag_id) if run.day == day), None)


@dataclass
class TaskDisplay:
    """Says when a task changes its state; the turning wheel has the whole run."""

    output: Output
    told: dict[str, str] = field(default_factory=dict)

    def show(self, run: Run, tasks: dict[str, str]) -> None:
        """Show what is new since the last look."""
        for name, state in tasks.items():
            key = f"{run.dag_id}.{name}"
            if state not in ("waiting", "scheduled", "queued") and self.told.get(key) != state:
                self.told[key] = state
                if state != "running":
                    self.output.note(f"{key} {state}")
        ended = sum(state == "success" for state in tasks.values())
        running = [name for name, state in tasks.items() if state == "running"]
        line = f"{run.dag_id} {run.state}: {ended}/{len(tasks)} tasks {' '.join(running)}"
        if self.told.get(run.run_id) != line:
            self.told[run.run_id] = line
            self.output.progress(line)
