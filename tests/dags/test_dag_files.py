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


def test_scenario_generation_validates_before_it_registers(dags):
    dag = dags["scenario_generation"]
    steps = ["plan", "chunks", "solve", "cut", "groups", "write", "finish"]
    after = ["finish", "validate", "summarise", "register"]
    assert set(itertools.pairwise(steps)) | set(itertools.pairwise(after)) <= edges(dag)
    assert {task.task_id for task in dag.tasks} == {*steps, *after}
    with_assets = [task.task_id for task in dag.tasks if task.outlets]
    assert with_assets == ["register"]
    assert dag.get_task("register").trigger_rule == "all_success"


def test_chunks_and_groups_are_mapped(dags):
    dag = dags["scenario_generation"]
    for name, argument in (("solve", "chunk"), ("write", "group")):
        assert set(dag.get_task(name).op_kwargs_expand_input.value) == {argument}


def test_the_form_has_the_configuration_s_keys_defaults_and_bounds(dags):
    from lascopf_scenarios import FIELDS, MARK

    from data_engineering.scenarios.config import Config

    left_out = {
        ("network", "network_dir"),
        ("network", "reader"),
        *(("settings", key) for key in ("num_processes", "data_dir", "overwrite")),
        *(("settings", key) for key in ("pf_fast", "dcpf_fast", "pf_solver")),
    }
    schema = Config.model_json_schema()
    params = dags["scenario_generation"].params
    offered = {tuple(name.split(MARK)) for name in params if MARK in name}
    known = set()
    for block in FIELDS:
        properties = schema["$defs"][schema["properties"][block]["$ref"].split("/")[-1]]
        for key, wanted in properties["properties"].items():
            known.add((block, key))
            if (block, key) in left_out:
                continue
            param = params.get_param(f"{block}{MARK}{key}")
            if (block, key) != ("network", "name"):
                assert param.value == wanted["default"], key
            if wanted.get("enum") is not None:
                assert param.schema["enum"] == wanted["enum"], key
            for bound in ("minimum", "maximum", "exclusiveMinimum"):
                bounds = wanted if "anyOf" not in wanted else wanted["anyOf"][0]
                assert param.schema.get(bound) == bounds.get(bound), key
    assert offered == known - left_out


def test_the_form_offers_every_profile(dags):
    from lascopf_scenarios import PROFILES

    from data_engineering.scenarios.profiles import profile_names

    assert sorted(PROFILES) == sorted(profile_names())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("load__sigma", 1.5),
        ("load__scenarios", 0),
        ("settings__mode", "dc"),
        ("topology_perturbation__elements", []),
        ("topology_perturbation__elements", ["bus"]),
        ("settings__seed", -1),
        ("load__scenarios", "many"),
    ],
)
def test_a_wrong_field_is_refused_by_the_form(dags, name, value):
    from airflow.sdk.exceptions import ParamValidationError

    param = dags["scenario_generation"].params.get_param(name)
    assert param.resolve() == param.value
    with pytest.raises(ParamValidationError):
        param.resolve(value)


def test_realtime_stream_is_one_task_for_a_second_would_be_a_second_process(dags):
    assert [task.task_id for task in dags["realtime_stream"].tasks] == ["react"]


@pytest.mark.parametrize(
    "name", ["daily_ingest", "model_execution", "scenario_generation", "realtime_stream"]
)
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
