"""daily_ingest: one day of SCADA, forecast and market data, checked, into the stores.

A run is for one partition, a day (YYYY-MM-DD). The schedule runs each midnight (UTC) for the day
that has ended; a manual run names its day by the parameter or by the partition key.
"""

from datetime import timedelta

from airflow.sdk import DAG, CronPartitionTimetable, task
from lascopf_dags import DAY, DEFAULT_ARGS, INGESTED_DAY, day, run

DAILY = CronPartitionTimetable(
    "0 0 * * *",
    timezone="UTC",
    run_offset=-1,  # the partition is the day before the run
    key_format="%Y-%m-%d",
    run_immediately=timedelta(0),  # first run at the next midnight, not for a day already gone
)

# Written out, so that parsing this file imports no domain code; a test holds it to the registry.
SOURCES = [
    "scada_generation",
    "scada_load",
    "forecast_renewable",
    "forecast_load",
    "market_reserves",
]

with DAG(
    "daily_ingest",
    schedule=DAILY,
    catchup=False,
    max_active_runs=2,
    params={"day": DAY},
    default_args=DEFAULT_ARGS,
    tags=["ingest"],
    doc_md=__doc__,
):

    @task
    def extract(source: str, **context) -> dict:
        return run("orchestration.daily_ingest", "extract", context, day(context), source)

    @task
    def validate(**context) -> dict:
        return run(
            "orchestration.daily_ingest", "validate", context, day(context), context["run_id"]
        )

    @task
    def transform(**context) -> dict:
        return run("orchestration.daily_ingest", "transform", context, day(context))

    @task(outlets=[INGESTED_DAY])
    def publish(facts: dict, *, outlet_events) -> None:
        outlet_events[INGESTED_DAY].extra = facts
        outlet_events[INGESTED_DAY].add_partitions(facts["day"])

    transformed = transform()
    extract.expand(source=SOURCES) >> validate() >> transformed
    publish(transformed)
