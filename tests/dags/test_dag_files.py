"""The DAG files: what they contain, and that parsing them stays cheap."""

import itertools
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.dags,
    # Airflow's own imports warn; what this repository's files do is asserted below.
    pytest.mark.filterwarnings("default"),
]

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("great_expectations", "pandapower", "numba", "highspy", "pyomo", "plotly", "pandas")


@pytest.fixture(scope="module")
def dags():
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(ROOT / "dags"), load_op_links=False)
    assert bag.import_errors == {}
    return bag.dags


def edges(dag):
    return {(task.task_id, below) for task in dag.tasks for below in task.downstream_task_ids}


def test_every_file_gives_the_dag_of_its_name(dags):
    assert set(dags) == {path.stem for path in (ROOT / "dags").glob("*.py")}


def test_daily_ingest_checks_before_it_transforms_and_publishes_last(dags):
    assert edges(dags["daily_ingest"]) == {
        ("extract", "validate"),
        ("validate", "transform"),
        ("transform", "publish"),
    }


def test_model_execution_commits_dispatches_verifies_reports(dags):
    dag = dags["model_execution"]
    steps = ["plan", "commit", "dispatch", "verify", "report"]
    assert set(itertools.pairwise(steps)) <= edges(dag)
    assert {task.task_id for task in dag.tasks} == set(steps)


def test_extract_is_mapped_over_every_source(dags):
    from data_engineering.ingestion.sources import SOURCES

    mapped = dags["daily_ingest"].get_task("extract")
    assert mapped.op_kwargs_expand_input.value == {"source": list(SOURCES)}


def test_daily_ingest_is_partitioned_by_the_day_before_the_run(dags):
    import pendulum
    from airflow.timetables.trigger import CronPartitionTimetable

    table = dags["daily_ingest"].timetable
    core = CronPartitionTimetable(
        table.expression,
        timezone=table.timezone,
        run_offset=table.run_offset,
        key_format=table.key_format,
    )
    _, key = core._get_partition_info(pendulum.datetime(2020, 7, 7, tz="UTC"))
    assert key == "2020-07-06"


def test_only_a_permanent_error_ends_the_retries(dags):
    from airflow.sdk import RetryAction

    from data_engineering.model.errors import BadInput, DatabaseUnavailable

    for dag in dags.values():
        for task in dag.tasks:
            policy = getattr(task, "retry_policy", None) or task.partial_kwargs["retry_policy"]
            bad = policy.evaluate(BadInput("day", "x", "give a day"), 1, 3)
            down = policy.evaluate(DatabaseUnavailable("here", "refused"), 1, 3)
            assert (bad.action, down.action) == (RetryAction.FAIL, RetryAction.DEFAULT)


def test_realtime_stream_dispatches_one_at_a_time_or_supervises(dags):
    dag = dags["realtime_stream"]
    assert {task.task_id for task in dag.tasks} == {"dispatch", "supervise"}
    assert edges(dag) == set()
    assert dag.get_task("dispatch").max_active_tis_per_dag == 1


@pytest.mark.parametrize(("key", "skipped"), [("0f" * 32, "supervise"), (None, "dispatch")])
def test_a_realtime_run_with_a_key_dispatches_and_one_without_supervises(dags, key, skipped):
    from airflow.sdk.exceptions import AirflowSkipException

    for task in dags["realtime_stream"].tasks:
        check = task._pre_execute_hook
        if task.task_id == skipped:
            with pytest.raises(AirflowSkipException):
                check({"params": {"key": key}})
        else:
            check({"params": {"key": key}})


@pytest.mark.parametrize("name", ["daily_ingest", "model_execution", "realtime_stream"])
def test_parsing_imports_nothing_heavy(name):
    """Airflow itself may import such a module; the DAG file must not add one."""
    code = (
        "import sys, airflow.sdk; from airflow.sdk import *; before = set(sys.modules);"
        f"sys.path[:0] = [{str(ROOT / 'dags')!r}, {str(ROOT / 'plugins')!r}]; import {name};"
        "print(*(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    added = {module.split(".")[0] for module in done.stdout.split()}
    assert added.isdisjoint(HEAVY)
