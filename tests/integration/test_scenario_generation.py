"""The tasks of scenario_generation, on a folder and on S3: the same dataset as one machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from scenario_folders import contents, search_factor_here, small_config

from data_engineering.model.errors import BadInput, ChecksFailed, NotSolved
from data_engineering.orchestration import scenario_generation as tasks
from data_engineering.orchestration import scenario_plan
from data_engineering.orchestration.scenario_runs import generate
from data_engineering.runtime import Runtime, open_runtime
from data_engineering.settings import Settings
from data_engineering.storage.metadata import query
from data_engineering.storage.objects import ObjectStore

pytestmark = [pytest.mark.integration, pytest.mark.slow]

PARAMS = {
    "network__name": "case14_ieee",
    "load__scenarios": 14,
    "topology_perturbation__type": "random",
    "topology_perturbation__k": 2,
    "topology_perturbation__n_topology_variants": 20,
    "settings__seed": 7,
    "settings__large_chunk_size": 3,
    "n_partitions": 0,
    "yaml": None,
}

IN_ONE_TASK = {**PARAMS, "settings__large_chunk_size": 1000}


@pytest.fixture(params=["folder", "s3"])
def settings(request: pytest.FixtureRequest, store_settings: Settings) -> Iterator[Settings]:
    if request.param == "folder":
        yield store_settings
        return
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    bucket = f"datasets-{port}"  # the servers of a process keep their buckets in one place
    keys = {"s3_access_key": "test", "s3_secret_key": "test"}
    endpoint = f"http://{host}:{port}"
    boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    ).create_bucket(Bucket=bucket)
    values = {"objects_url": f"s3://{bucket}/some/prefix", "s3_endpoint": endpoint, **keys}
    yield Settings(**{**store_settings.model_dump(exclude=set(keys)), **values})
    server.stop()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The dataset of one machine."""
    config = small_config(tmp_path_factory.mktemp("alone"))
    generate(config)
    return contents(config.folder)


@pytest.fixture
def searched_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest demand is found once and in this process, for tests of something else."""
    monkeypatch.setattr(scenario_plan, "search_factor", search_factor_here)


def run_all(runtime: Runtime, params: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Every task in the order of the DAG, what crosses between them as XCom has it."""

    def crossed(facts: dict[str, Any]) -> dict[str, Any]:
        text = json.dumps(facts)
        assert len(text) < 1000
        found: dict[str, Any] = json.loads(text)
        return found

    spec = crossed(tasks.plan(runtime, params, "manual__1"))
    for chunk in reversed(range(spec["chunks"])):
        crossed(tasks.solve(runtime, spec, chunk))
    facts = crossed(tasks.cut(runtime, spec))
    for group in reversed(range(facts["groups"])):
        crossed(tasks.write(runtime, spec, facts["groups"], group))
    for task in (tasks.finish, tasks.validate, tasks.summarise):
        crossed(task(runtime, spec))
    return spec, crossed(tasks.register(runtime, spec))


def downloaded(store: ObjectStore, folder: Path) -> Path:
    for key in store.list():
        if not key.startswith(("stats", "feature_plots", "coverage")):
            path = folder / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(store.read_bytes(key))
    return folder


def test_workers_that_share_a_store_make_the_dataset_of_one_machine(
    settings: Settings, tmp_path: Path, alone: dict[str, Any]
) -> None:
    with open_runtime(settings, role=tasks.ROLE) as runtime:
        spec, facts = run_all(runtime, PARAMS)
        store = runtime.objects.below(spec["key"])
        made = contents(downloaded(store, tmp_path / "made"))
        assert made == alone
        assert store.list(".work") == []
        root = store.local_path("manifest.json")
        assert root is None or not (root.parent / ".work").exists()
        assert {"stats_plot.png", "stats_plot.html"} <= set(store.list("stats_plot"))
        assert store.list("stats.parquet")
        assert store.list("feature_plots/")
        manifest = store.write_bytes("manifest.json", store.read_bytes("manifest.json"))
        rows = query(
            runtime.metadata, "SELECT uri, digest, case_name FROM artifacts WHERE kind = 'dataset'"
        )
        assert rows.to_dict("records") == [
            {"uri": manifest.uri, "digest": manifest.digest, "case_name": "case14_ieee"}
        ]
        assert facts["scenarios"] == made["manifest.json"]["scenarios"]
        before = store.read_bytes("runtime_data.parquet/scenario_partition=0/part-0.parquet")
        run_all(runtime, PARAMS)  # all of it again
        after = store.read_bytes("runtime_data.parquet/scenario_partition=0/part-0.parquet")
        assert after == before  # measured seconds would differ if it had been made again


def test_a_task_that_runs_again_makes_nothing_twice(settings: Settings, tmp_path: Path) -> None:
    with open_runtime(settings, role=tasks.ROLE) as runtime:
        spec = tasks.plan(runtime, PARAMS, "manual__1")
        assert tasks.plan(runtime, PARAMS, "manual__1") == spec
        store = runtime.objects.below(spec["key"])
        facts = tasks.solve(runtime, spec, 0)
        parts = {key: store.read_bytes(key) for key in store.list(".work/parts")}
        assert tasks.solve(runtime, spec, 0) == facts
        assert {key: store.read_bytes(key) for key in store.list(".work/parts")} == parts
        with pytest.raises(BadInput, match="clear the task solve"):
            tasks.cut(runtime, spec)


@pytest.mark.usefixtures("searched_here")
def test_without_a_seed_it_follows_from_the_run(store_settings: Settings) -> None:
    with open_runtime(store_settings, role=tasks.ROLE) as runtime:
        params = {**PARAMS, "settings__seed": None}
        one = tasks.plan(runtime, params, "manual__1")
        assert tasks.plan(runtime, params, "manual__1") == one
        assert tasks.plan(runtime, params, "manual__2")["key"] != one["key"]


@pytest.mark.usefixtures("searched_here")
def test_a_configuration_as_text_is_that_of_the_fields(store_settings: Settings) -> None:
    text = small_config(Path("elsewhere")).as_yaml()
    with open_runtime(store_settings, role=tasks.ROLE) as runtime:
        by_fields = tasks.plan(runtime, PARAMS, "manual__1")
        assert tasks.plan(runtime, {"yaml": text, "n_partitions": 0}, "manual__1") == by_fields
        wrong = text.replace("scenarios:", "scenarioss:")
        with pytest.raises(BadInput, match=r"'scenarioss'.*did you mean load.scenarios"):
            tasks.plan(runtime, {"yaml": wrong}, "manual__1")


@pytest.mark.usefixtures("searched_here")
def test_a_dataset_that_fails_its_checks_is_not_registered(store_settings: Settings) -> None:
    import pyarrow.parquet as pq

    with open_runtime(store_settings, role=tasks.ROLE) as runtime:
        spec = tasks.plan(runtime, IN_ONE_TASK, "manual__1")
        tasks.solve(runtime, spec, 0)
        facts = tasks.cut(runtime, spec)
        for group in range(facts["groups"]):
            tasks.write(runtime, spec, facts["groups"], group)
        tasks.finish(runtime, spec)
        key = f"{spec['key']}/bus_data.parquet/scenario_partition=0/part-0.parquet"
        path = runtime.objects.local_path(key)
        assert path is not None
        table = pq.read_table(path, partitioning=None)
        at = table.schema.get_field_index("Qd")
        pq.write_table(table.set_column(at, "Qd", pq.read_table(path)["Pd"]), path)
        with pytest.raises(ChecksFailed, match="balance"):
            tasks.validate(runtime, spec)


def test_when_all_fail_no_partition_is_planned(store_settings: Settings) -> None:
    params = {**IN_ONE_TASK, "load__generator": "powergraph", "settings__max_iter": 1}
    with open_runtime(store_settings, role=tasks.ROLE) as runtime:
        spec = tasks.plan(runtime, params, "manual__1")
        tasks.solve(runtime, spec, 0)
        with pytest.raises(NotSolved, match="every sample"):
            tasks.cut(runtime, spec)


@pytest.mark.parametrize(("count", "size"), [(10_000, 1000), (200_000, 1), (3, 1000)])
def test_tasks_are_never_more_than_airflow_maps(count: int, size: int) -> None:
    import dataclasses

    from data_engineering.orchestration.scenario_plan import Plan

    values = {field.name: None for field in dataclasses.fields(Plan)}
    config = {"settings": {"large_chunk_size": size}}
    plan = Plan(**{**values, "count": count, "per_part": 1, "samples": count, "config": config})  # type: ignore[arg-type]
    assert 1 <= tasks._chunks(plan) <= min(count, 1000)
