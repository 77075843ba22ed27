"""realtime_stream: the dispatches that the stream asks for, and the supervision of its service.

`lascopf stream` triggers a run for each decision to dispatch again (parameter `key`), where
LASCOPF_REALTIME__THROUGH=airflow says so. Every five minutes a run without a key looks after the
service: signs of life, lag, the dead-man limit; it restarts one that died on this machine.
"""

from airflow.sdk import DAG, CronTriggerTimetable, Param, task
from lascopf_dags import DEFAULT_ARGS, asked_key, run

with DAG(
    "realtime_stream",
    schedule=CronTriggerTimetable("*/5 * * * *", timezone="UTC"),
    catchup=False,
    max_active_runs=4,  # a dispatch does not wait for a run that supervises; it is alone by a lock
    params={
        "key": Param(
            None,
            type=["null", "string"],
            description="Idempotency key of the decision to serve; empty: supervise",
        )
    },
    default_args=DEFAULT_ARGS,
    tags=["realtime"],
    doc_md=__doc__,
):

    @task
    def react(**context) -> dict:
        key, run_id = asked_key(context), context["run_id"]
        return run("orchestration.realtime_stream", "react", context, key, run_id)

    react()
