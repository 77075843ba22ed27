"""scenario_generation: a dataset of solved power flows or OPFs, made by all workers.

Runs by hand or by the API; the parameters are the keys of a configuration. The same configuration
and seed give the same dataset, which is not made twice; a run that failed goes on when it is
cleared. Load scenarios are solved in chunks, then partitions are written in groups, each by a task
of its own; the object store is all that workers share.
"""

from datetime import timedelta

from airflow.sdk import DAG, task
from lascopf_dags import DEFAULT_ARGS, SCENARIO_DATASET, run
from lascopf_scenarios import scenario_params

MODULE = "orchestration.scenario_generation"
LONG = {"execution_timeout": timedelta(hours=24)}

with DAG(
    "scenario_generation",
    schedule=None,
    catchup=False,
    max_active_runs=2,
    params=scenario_params(),
    default_args=DEFAULT_ARGS,
    tags=["scenarios"],
    doc_md=__doc__,
):

    @task
    def plan(**context) -> dict:
        return run(MODULE, "plan", context, dict(context["params"]), context["run_id"])

    @task
    def chunks(spec: dict) -> list:
        return list(range(spec["chunks"]))

    @task(**LONG)
    def solve(spec: dict, chunk: int, **context) -> dict:
        return run(MODULE, "solve", context, spec, chunk)

    @task
    def cut(spec: dict, **context) -> dict:
        return run(MODULE, "cut", context, spec)

    @task
    def groups(facts: dict) -> list:
        return list(range(facts["groups"]))

    @task(**LONG)
    def write(spec: dict, facts: dict, group: int, **context) -> dict:
        return run(MODULE, "write", context, spec, facts["groups"], group)

    @task(**LONG)
    def finish(spec: dict, **context) -> dict:
        return run(MODULE, "finish", context, spec)

    @task(**LONG)
    def validate(spec: dict, **context) -> dict:
        return run(MODULE, "validate", context, spec)

    @task(**LONG)
    def summarise(spec: dict, **context) -> dict:
        return run(MODULE, "summarise", context, spec)

    @task(outlets=[SCENARIO_DATASET])
    def register(spec: dict, *, outlet_events, **context) -> dict:
        facts = run(MODULE, "register", context, spec)
        outlet_events[SCENARIO_DATASET].extra = facts
        return facts

    spec = plan()
    parts = cut(spec)
    solve.partial(spec=spec).expand(chunk=chunks(spec)) >> parts
    written = write.partial(spec=spec, facts=parts).expand(group=groups(parts))
    written >> finish(spec) >> validate(spec) >> summarise(spec) >> register(spec)
