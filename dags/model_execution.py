"""model_execution: commit, dispatch, verify and report one day of a grid case.

Runs for each day that daily_ingest has published (the partition), and by hand with parameters.
"""

from airflow.sdk import DAG, Param, PartitionedAssetTimetable, task
from lascopf_dags import DAY, DEFAULT_ARGS, INGESTED_DAY, day, run

with DAG(
    "model_execution",
    schedule=PartitionedAssetTimetable(assets=INGESTED_DAY),
    catchup=False,
    max_active_runs=2,
    params={
        "day": DAY,
        "case": Param("rts_gmlc", type="string", enum=["rts_gmlc"], description="Grid case"),
        "horizon": Param(24, type="integer", minimum=1, maximum=24, description="Hours to solve"),
        "commitment": Param(
            "uc",
            type="string",
            enum=["uc", "on", "relaxed"],
            description="Which units run: by unit commitment, all, or all with minima dropped",
        ),
        "kind": Param(
            "lascopf",
            type="string",
            enum=["lascopf", "dcopf"],
            description="Secure against outages and looking ahead, or the intact network alone",
        ),
        "method": Param(
            "default",
            type="string",
            enum=[
                "default",
                "constraint_generation",
                "extensive",
                "corrective",
                "decomposed",
                "app",
                "joint",
            ],
            description="Solution method; default is constraint generation, app for solver julia",
        ),
        "outages": Param(
            "n-1",
            type="string",
            enum=["n-1", "none"],
            description="Outages to be secure against: of every branch, or none",
        ),
        "solver": Param(
            "highs",
            type="string",
            enum=["highs", "julia"],
            description="The embedded solvers, or the Julia solver behind the exchange queue",
        ),
    },
    default_args=DEFAULT_ARGS,
    tags=["solve"],
    doc_md=__doc__,
):

    @task
    def plan(**context) -> dict:
        params, dag_run = context["params"], context["dag_run"]
        wanted = {name: value for name, value in params.items() if name != "day"}
        origin = {"run_type": dag_run.run_type.value, "run_id": dag_run.run_id}
        return run("orchestration.model_execution", "plan", context, day(context), wanted, origin)

    @task
    def commit(spec: dict, **context) -> dict:
        return run("orchestration.model_execution", "commit", context, spec)

    @task
    def dispatch(spec: dict, **context) -> dict:
        return run("orchestration.model_execution", "dispatch", context, spec)

    @task
    def verify(spec: dict, **context) -> dict:
        return run("orchestration.model_execution", "verify", context, spec)

    @task
    def report(spec: dict, **context) -> dict:
        return run("serving.publish", "report", context, spec)

    spec = plan()
    commit(spec) >> dispatch(spec) >> verify(spec) >> report(spec)
