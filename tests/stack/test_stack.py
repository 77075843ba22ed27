"""The whole stack: a day through Airflow, the stream through Kafka, several workers, and kills.

The tests build on each other's rows and stand in the order in which they run; the last one takes
the stack down and looks for what is left.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pandas as pd
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from running_stack import CHECKOUT, Stack, docker, follow, hostnames, until

from data_engineering.ingestion.stream_publish import KafkaPublisher
from data_engineering.model.errors import DatabaseRefused, ObjectStoreRefused
from data_engineering.orchestration import trigger
from data_engineering.settings import Settings
from data_engineering.storage.database import open_engine
from data_engineering.storage.metadata import query
from data_engineering.storage.objects import open_store

DAY = "2020-07-06"
pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(1500)]

ROOT_AT_START = {"timescaledb", "postgres", "volumes"}
"""The databases give their volume to their own user, and become it; one service does so for all."""


def test_containers_are_guarded(stack: Stack) -> None:
    secrets = [
        value
        for name, value in stack.values.items()
        if name.endswith(("_PASSWORD", "_KEY", "_SECRET"))
    ]
    assert len(secrets) == 12
    for one in stack.containers():
        service = one["Config"]["Labels"]["com.docker.compose.service"]
        text, host = json.dumps(one), one["HostConfig"]
        assert not any(secret in text for secret in secrets), f"{service} shows a secret"
        assert host["CapDrop"] == ["ALL"], service
        assert "no-new-privileges:true" in host["SecurityOpt"], service
        assert host["Memory"] > 0, service
        assert host["PidsLimit"] > 0, service
        assert host["LogConfig"]["Config"]["max-size"] == "10m", service
        user = one["Config"]["User"].split(":")[0]
        assert user not in ("", "0", "root") or service in ROOT_AT_START, service
        for published in (host["PortBindings"] or {}).values():
            assert {port["HostIp"] for port in published} == {"127.0.0.1"}, service


def test_logins_may_what_they_need_and_no_more(stack: Stack) -> None:
    reader = ("lascopf_reader", "READER_DB_PASSWORD")
    engine = open_engine(stack.url("metadata", *reader))
    assert query(engine, "SELECT count(*) AS n FROM lascopf_executions")["n"][0] >= 0
    with pytest.raises(DatabaseRefused, match="permission denied"), engine.begin() as session:
        session.exec_driver_sql("DELETE FROM lascopf_executions")
    engine.dispose()
    for login in (reader, ("lascopf_worker", "WORKER_DB_PASSWORD")):
        engine = open_engine(stack.url("airflow", *login))
        with pytest.raises(DatabaseRefused, match="permission denied for database"):
            query(engine, "SELECT 1")
        engine.dispose()
    elsewhere = open_store(
        "s3://elsewhere",
        endpoint=f"http://127.0.0.1:{stack.port('MINIO')}",
        access_key="lascopf",
        secret_key=stack.values["S3_SECRET_KEY"],
    )
    with pytest.raises(ObjectStoreRefused):
        elsewhere.write_bytes("a", b"a")


def test_a_day_from_its_source_to_its_dispatch(stack: Stack) -> None:
    airflow = stack.airflow()
    for dag in ("daily_ingest", "model_execution", "scenario_generation"):
        airflow.await_dag(dag, 120.0)
        airflow.unpause(dag)
    assert airflow.import_errors() == {}
    run = airflow.trigger("daily_ingest", {"day": DAY}, DAY)
    assert set(follow(airflow, run).values()) == {"success"}
    solved = trigger.await_caused(airflow, run, "model_execution", seconds=120.0)
    assert set(follow(airflow, solved).values()) == {"success"}
    # 80 measured units and 3 areas every 5 minutes; 158 units, 73 buses and 121 branches for a day.
    assert rows(stack, "timeseries", "power_measurements") == 80 * 288
    assert rows(stack, "timeseries", "load_measurements") == 3 * 288
    assert rows(stack, "metadata", "generator_dispatch") == 158 * 24
    found = stack.query("metadata", "SELECT * FROM lascopf_executions")
    assert found["airflow_run_id"].tolist() == [solved.run_id]
    costs = stack.query("metadata", COST)["usd"][0]
    assert costs == pytest.approx(found["objective_value"][0], rel=1e-9)  # rounding of sums


COST = """
    SELECT sum(production_cost_usd + start_cost_usd + penalty_usd) AS usd FROM interval_results
"""
DISPATCH = "SELECT sum(active_power) AS mw FROM generator_dispatch"


def rows(stack: Stack, store: str, table: str) -> int:
    return int(stack.query(store, f"SELECT count(*) AS n FROM {table}")["n"][0])


def test_the_parquet_in_the_object_store_holds_the_rows(stack: Stack) -> None:
    objects = stack.objects()
    keys = [key for key in objects.list() if key.endswith("generator_dispatch.parquet")]
    assert len(keys) == 1
    frame = pq.read_table(io.BytesIO(objects.read_bytes(keys[0]))).to_pandas()
    assert len(frame) == 158 * 24
    stored = stack.query("metadata", DISPATCH)["mw"][0]
    assert frame["active_power"].sum() == pytest.approx(stored, rel=1e-12)  # another order


def test_the_stream_is_stored_and_dispatched(stack: Stack) -> None:
    """An hour with garbage: dead letters as the feed's own truth says, and a request's dispatch."""
    truth = stack.folder / "truth.jsonl"
    environment = {name: value for name, value in os.environ.items() if "LASCOPF" not in name}
    environment |= {
        "LASCOPF_HOME": str(stack.folder / "home"),
        "LASCOPF_KAFKA_BOOTSTRAP": f"localhost:{stack.port('KAFKA')}",
    }
    window = ["--from", f"{DAY}T14:00", "--until", f"{DAY}T15:00", "--faults", "garbage"]
    command = [sys.executable, "-m", "data_engineering.cli", "stream", "replay", "--to", "kafka"]
    subprocess.run(
        [*command, *window, "--truth", str(truth)], check=True, env=environment, cwd=CHECKOUT
    )
    wanted = [json.loads(line) for line in truth.read_text().splitlines()]
    letters = sum(line["kind"] == "letter" for line in wanted)
    assert letters > 0

    until(lambda: rows(stack, "timeseries", "stream_dead_letters") == letters, 120.0, "letters")
    # The replay's readings are those of the ingested day: the same keys, none doubled.
    assert rows(stack, "timeseries", "power_measurements") == 80 * 288
    config = {"horizon_start": f"{DAY}T15:00:00Z", "open_branches": ["A27"]}
    request = {"request_id": "what-if", "config": config}
    with KafkaPublisher(Settings(kafka_bootstrap=environment["LASCOPF_KAFKA_BOOTSTRAP"])) as told:
        told.send("lascopf_requests", b"what-if", json.dumps(request).encode())
        told.flush()
    found = until(lambda: stack.query("metadata", ASKED).to_dict("records"), 240.0, "a dispatch")
    assert [one["status"] for one in found] == ["optimal"]
    # 158 units, 12 intervals of 5 minutes.
    assert found[0]["rows"] == 158 * 12


ASKED = """
    SELECT e.convergence_status AS status, count(*) AS rows FROM lascopf_executions e
    JOIN generator_dispatch d USING (execution_id)
    WHERE e.triggered_by = 'API' GROUP BY e.execution_id, 1
"""


def test_three_workers_share_a_mapped_task(stack: Stack) -> None:
    scale(stack, 3)
    airflow = stack.airflow()
    until(lambda: len(healthy(stack, "airflow-worker")) == 3, 240.0, "three workers", 3.0)
    conf = {
        "network__name": "case14_ieee",
        "load__scenarios": 60,
        "settings__seed": 7,
        "settings__large_chunk_size": 5,
        "settings__include_dc_res": False,
    }
    run = airflow.trigger("scenario_generation", conf)
    states = follow(airflow, run)
    assert set(states.values()) == {"success"}
    hosts = hostnames(airflow, run, "solve")
    assert len(hosts) == 12
    assert len(set(hosts)) >= 2, hosts
    workers = {one["Config"]["Hostname"] for one in stack.of_service("airflow-worker")}
    assert set(hosts) <= workers
    scale(stack, 1)


def scale(stack: Stack, workers: int) -> None:
    many = ("--scale", f"airflow-worker={workers}", "airflow-worker")
    stack.compose("up", "--detach", "--no-build", "--no-recreate", *many)


def healthy(stack: Stack, service: str) -> list[str]:
    return [
        one["Name"]
        for one in stack.of_service(service)
        if one["State"]["Health"]["Status"] == "healthy"
    ]


RELAXED = {"day": DAY, "commitment": "relaxed"}  # the same program each time, without a search


@pytest.fixture(scope="module")
def undisturbed(stack: Stack) -> dict[str, pd.DataFrame]:
    """Every row after an execution that nothing disturbed."""
    airflow = stack.airflow()
    assert set(follow(airflow, airflow.trigger("model_execution", RELAXED)).values()) == {"success"}
    return stack.content()


@pytest.mark.parametrize(
    ("victim", "task"),
    [
        ("airflow-worker", "dispatch"),
        ("postgres", "dispatch"),
        ("timescaledb", "plan"),
        ("redis", "commit"),
        ("airflow-scheduler", "verify"),
    ],
)
def test_a_kill_loses_and_doubles_nothing(
    stack: Stack, undisturbed: dict[str, pd.DataFrame], victim: str, task: str
) -> None:
    airflow = stack.airflow()
    run = airflow.trigger("model_execution", RELAXED)
    until(
        lambda: airflow.tasks(run.dag_id, run.run_id).get(task) in ("running", "success"),
        120.0,
        f"{task} to run",
        0.2,
    )
    stack.kill(victim)
    states = follow(airflow, run)
    assert set(states.values()) == {"success"}
    after = stack.content()
    for name, frame in undisturbed.items():
        pd.testing.assert_frame_equal(after[name], frame, obj=name)


SOLVED = """
    SELECT e.execution_id, e.convergence_status AS status, e.objective_value AS usd, e.solver
    FROM lascopf_executions e WHERE e.airflow_run_id = :run
"""


def test_a_killed_julia_solver_is_asked_again(stack: Stack, services: list[str]) -> None:
    """Six hours by the Julia solver, which dies over them, equal those of the embedded one."""
    if "julia-solver" not in services:
        pytest.skip("there is no image of the Julia solver: make images")
    airflow, few = stack.airflow(), {"day": DAY, "horizon": 6}
    run = airflow.trigger("model_execution", few | {"solver": "julia"})
    name = stack.of_service("julia-solver")[0]["Name"].lstrip("/")
    working = ("exec", name, "sh", "-c", "ls /exchange/working /exchange/done | grep -v :")
    until(lambda: docker(*working, check=False).stdout.strip(), 300.0, "a request at work", 0.2)
    stack.kill("julia-solver")
    assert set(follow(airflow, run).values()) == {"success"}
    again = airflow.trigger("model_execution", few)
    assert set(follow(airflow, again).values()) == {"success"}
    julia, ours = (stack.query("metadata", SOLVED, run=one.run_id).iloc[0] for one in (run, again))
    assert "julia" in julia["solver"].lower()
    # The accuracy to which the two solvers are held against each other (tests of the exchange).
    assert julia["usd"] == pytest.approx(ours["usd"], rel=1e-4)
    count = "SELECT count(*) AS n FROM generator_dispatch WHERE execution_id = :id"
    for one in (julia, ours):
        assert stack.query("metadata", count, id=one["execution_id"])["n"][0] == 158 * 6


def test_the_next_start_finds_everything_made(stack: Stack) -> None:
    done = stack.compose("run", "--rm", "--no-deps", "-T", "platform-init").stderr
    assert "database airflow: is there" in done
    assert "bucket lascopf: is there" in done
    assert done.count("nothing to do") == 5  # migrations and logins of two databases, topics


def test_a_volume_of_an_older_schema_is_brought_forward_and_a_newer_one_refused(
    stack: Stack,
) -> None:
    engine = open_engine(stack.url("metadata"))
    name = {"name": "metadata/0007_reoptimization.sql"}
    with engine.begin() as session:
        session.execute(sa.text("DROP TABLE reoptimization_events, reoptimization_state"))
        session.execute(sa.text("DELETE FROM schema_migrations WHERE name = :name"), name)
    start = ("run", "--rm", "--no-deps", "-T", "platform-init")
    assert f"migrations of metadata: {name['name']}" in stack.compose(*start).stderr
    assert rows(stack, "metadata", "reoptimization_events") == 0
    with engine.begin() as session:
        session.execute(sa.text("INSERT INTO schema_migrations VALUES ('metadata/9999.sql', 'x')"))
    engine.dispose()
    done = stack.compose(*start, check=False)
    assert done.returncode == 6
    assert "metadata/9999.sql" in done.stderr


def test_down_leaves_nothing(stack: Stack) -> None:
    project = stack.project
    stack.compose("down", "--volumes", "--remove-orphans", "--timeout", "20")
    label = f"label=com.docker.compose.project={project}"
    for kind in (("ps", "--all"), ("volume", "ls"), ("network", "ls")):
        assert docker(*kind, "--quiet", "--filter", label).stdout == "", kind
