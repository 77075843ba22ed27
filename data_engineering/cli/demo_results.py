"""What the demo shows at its end: tables of the run, and where everything is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from data_engineering.cli.output import Output
from data_engineering.model.time import parse_day
from data_engineering.settings import Settings

if TYPE_CHECKING:
    from data_engineering.orchestration.airflow_config import Credentials
    from data_engineering.orchestration.trigger import Run


def show_results(settings: Settings, run: Run, login: Credentials, output: Output) -> None:
    """Print the tables of a finished run and where its files, databases and pages are."""
    from data_engineering.runtime import open_runtime, store_urls
    from data_engineering.serving import summary
    from data_engineering.serving.publish import report_key
    from data_engineering.serving.results import load_execution
    from data_engineering.storage.database import redact

    day = parse_day(run.day or "")
    with open_runtime(settings) as runtime:
        found = load_execution(runtime.metadata, settings.case_name, day)
        key = report_key(settings.case_name, day, str(found.execution["execution_id"]))
        report = runtime.objects.local_path(key) or runtime.objects.uri(key)
    tables = {
        "Hourly cost": summary.hourly_cost(found.tables),
        "Dispatch by fuel": summary.dispatch_by_fuel(found.tables),
        "Price range": summary.price_range(found.tables),
        "Branches at or near their limits": summary.binding_branches(found.tables),
        "How far the DC answer is from AC": summary.ac_check(found.tables),
        "Data quality": summary.data_quality(found.quality, found.rejected),
    }
    for title, frame in tables.items():
        output.table(title, frame)
    urls = store_urls(settings)
    where: dict[str, Any] = {
        "objective": found.execution["objective_value"],
        "results": found.execution["results_path"],
        "report": report,
        "timeseries": redact(urls.timeseries),
        "metadata": redact(urls.metadata),
        "airflow": login.url,
        "user": login.user,
        "password": login.password,
    }
    labels = {
        "objective": "Cost of the day, USD",
        "results": "Parquet",
        "report": "Report",
        "timeseries": "SQL, time series",
        "metadata": "SQL, results",
        "airflow": "Airflow",
        "user": "  user",
        "password": "  password",
    }
    frames = {title: frame.to_dict(orient="records") for title, frame in tables.items()}
    facts = {"run_id": run.run_id, "day": run.day, **where, "tables": frames}
    shown = {**where, "objective": f"{where['objective']:,.2f}"}
    lines = [f"{labels[name]:<22}{value}" for name, value in shown.items()]
    output.done(facts, ["", *lines])
