"""Scenario datasets by many workers that share the object store: one function for each task.

A dataset's keys follow from its configuration, grid and seed, so that the same request finds what
earlier ones made. Every function may run again: what is there is not made twice.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data_engineering.model.errors import BadInput, ChecksFailed
from data_engineering.orchestration import scenario_finish
from data_engineering.orchestration.scenario_folder import end_work
from data_engineering.orchestration.scenario_parts import (
    PartFacts,
    part_facts,
    partition_files,
    partition_numbers,
    read_json,
    spans,
    write_partition,
)
from data_engineering.orchestration.scenario_plan import (
    PLAN,
    WORK,
    Plan,
    open_run,
    plan_run,
    read_grid,
    read_plan,
    write_plan,
)
from data_engineering.orchestration.scenario_target import MANIFEST, check_unfinished
from data_engineering.orchestration.scenario_workers import Workers
from data_engineering.orchestration.steps import Facts
from data_engineering.runtime import Runtime
from data_engineering.scenarios.case import prepare
from data_engineering.scenarios.config import Config, config_from, read_config
from data_engineering.settings import Settings
from data_engineering.storage import metadata
from data_engineering.storage.objects import ObjectStore, Stored

ROLE = "optimizer"
MARK = "__"
MOST_TASKS = 1000
"""Copies of a mapped task; Airflow's default bound is 1024."""
_TASKS, _TASK_SAMPLES, _TASK_PARTITIONS = 32, 1000, 10
_SOLVED = f"{WORK}/solved.json"
_SEED_DIGITS = 7


def plan(runtime: Runtime, params: Mapping[str, Any], run_id: str) -> Facts:
    """Fix what is made and where; a run of the same dataset that has not ended is gone on with.

    Args:
        runtime: open stores.
        params: fields `block__key` of a configuration, or all of it in `yaml`; `n_partitions`.
        run_id: of the Airflow run; the seed follows from it where none is given.

    Raises:
        BadInput: a parameter is wrong, or the case cannot be used.
    """
    config = _config(params)
    grid = read_grid(config)
    case_digest, seed = prepare(grid).digest, config.settings.seed
    if seed is None:
        seed = int(hashlib.sha256(run_id.encode()).hexdigest()[:_SEED_DIGITS], 16)
    identity = hashlib.sha256(f"{config.digest} {case_digest} {seed}".encode()).hexdigest()
    key = f"scenarios/{config.network.name}/{identity[:16]}/raw"
    store = runtime.objects.below(key)
    spec = {
        "key": key,
        "case": config.network.name,
        "seed": seed,
        "n_partitions": int(params.get("n_partitions", 100)),
    }
    if store.exists(MANIFEST):
        return {**spec, "chunks": 1}
    made = read_plan(store)
    if made is None:
        made = plan_run(config, grid, seed=seed)
        write_plan(store, made, grid)
    else:
        check_unfinished(store, made, config, seed, case_digest)
    return {**spec, "chunks": _chunks(made), "samples": made.samples}


def _config(params: Mapping[str, Any]) -> Config:
    if params.get("yaml"):
        with tempfile.TemporaryDirectory(prefix="lascopf-") as folder:
            path = Path(folder) / "parameter-yaml"
            path.write_text(str(params["yaml"]))
            return read_config(path)
    blocks: dict[str, dict[str, Any]] = {}
    for name, value in params.items():
        block, mark, key = name.partition(MARK)
        if mark:
            blocks.setdefault(block, {})[key] = value
    return config_from(blocks, "parameters")


def _chunks(plan: Plan) -> int:
    """So many that workers are busy, so few that Airflow can map them."""
    size = int(plan.config["settings"]["large_chunk_size"])
    wanted = max(-(-plan.count // size), min(_TASKS, -(-plan.samples // _TASK_SAMPLES)))
    return min(plan.parts, wanted, MOST_TASKS)


def solve(runtime: Runtime, spec: Facts, chunk: int) -> Facts:
    """Solve the parts of a chunk that are not solved yet.

    Raises:
        ProcessFailed: the process that solves has ended.
    """
    store = runtime.objects.below(spec["key"])
    plan = read_plan(store)
    if plan is None or store.exists(MANIFEST):
        return {"rows": 0}
    chunks = spec["chunks"]
    parts = range(chunk * plan.parts // chunks, (chunk + 1) * plan.parts // chunks)
    missing = [number for number in parts if part_facts(store, number) is None]
    if missing:
        _solve(store, plan, missing, runtime.settings, chunk)
    found = [facts for number in parts if (facts := part_facts(store, number)) is not None]
    return {
        "rows": sum(facts.samples for facts in found),
        "failed": sum(facts.samples - facts.solved for facts in found),
    }


def _solve(
    store: ObjectStore, plan: Plan, parts: list[int], settings: Settings, chunk: int
) -> None:
    """In a process of its own, whose libraries use one thread: so every machine finds the same."""
    where = {"url": _url(store), "access": {} if store.local else _access(settings)}
    with tempfile.TemporaryDirectory(prefix="lascopf-") as folder:
        logs = Path(folder) if plan.config["settings"]["enable_solver_logs"] else None
        with Workers(where, 1, logs) as worker:
            for number in parts:
                worker.carry_out({"part": number})
        for path in sorted(Path(folder).iterdir()):
            store.write_bytes(f"solver_log/chunk-{chunk:04d}-{path.name}", path.read_bytes())


def _url(store: ObjectStore) -> str:
    return Path(store.root).as_uri() if store.local else f"s3://{store.root}"


def _access(settings: Settings) -> dict[str, str | None]:
    keys = (settings.s3_access_key, settings.s3_secret_key)
    access_key, secret_key = (None if key is None else key.get_secret_value() for key in keys)
    return {
        "endpoint": settings.s3_endpoint,
        "access_key": access_key,
        "secret_key": secret_key,
        "region": settings.s3_region,
    }


def cut(runtime: Runtime, spec: Facts) -> Facts:
    """Find which samples make which partition.

    Raises:
        NotSolved: every sample has failed.
        BadInput: a part is missing.
    """
    store = runtime.objects.below(spec["key"])
    plan = read_plan(store)
    if plan is None or store.exists(MANIFEST):
        return {"groups": 1, "partitions": 0}
    parts = _parts(store, plan)
    scenario_finish.check_solved(plan, parts)
    solved = [part.solved for part in parts]
    store.write_bytes(_SOLVED, json.dumps(solved).encode())
    count = len(partition_numbers(plan, solved, complete=True))
    groups = min(count, max(-(-count // _TASK_PARTITIONS), min(count, _TASKS)), MOST_TASKS)
    return {"groups": groups, "partitions": count, "rows": sum(solved)}


def _parts(store: ObjectStore, plan: Plan) -> list[PartFacts]:
    found = []
    for number in range(plan.parts):
        facts = part_facts(store, number)
        if facts is None:
            remedy = "clear the task solve, then run this one again"
            raise BadInput(f"{store.uri(WORK)}: part", number, remedy)
        found.append(facts)
    return found


def write(runtime: Runtime, spec: Facts, groups: int, group: int) -> Facts:
    """Write the partitions of a group that are not written yet."""
    store = runtime.objects.below(spec["key"])
    plan = read_plan(store)
    if plan is None or store.exists(MANIFEST):
        return {"rows": 0}
    solved = read_json(store, _SOLVED)
    numbers = partition_numbers(plan, solved, complete=True)
    mine = numbers[group * len(numbers) // groups : (group + 1) * len(numbers) // groups]
    rows = 0
    with open_run(store) as run:
        for number in mine:
            where = spans(plan, solved, number)
            rows += sum(span.last - span.first for span in where)
            if partition_files(store, plan, number) is None:
                write_partition(run, number, where)
    return {"rows": rows, "partitions": len(mine)}


def finish(runtime: Runtime, spec: Facts) -> Facts:
    """Write what tells of the whole dataset, the manifest last; then take away the run's files.

    Raises:
        BadInput: a partition is missing.
    """
    store = runtime.objects.below(spec["key"])
    plan = read_plan(store)
    if plan is not None and not store.exists(MANIFEST):
        parts = _parts(store, plan)
        files: dict[str, Any] = {}
        for number in partition_numbers(plan, [p.solved for p in parts], complete=True):
            found = partition_files(store, plan, number)
            if found is None:
                remedy = "clear the task write, then run this one again"
                raise BadInput(f"{store.uri(WORK)}: partition", number, remedy)
            files |= found
        with open_run(store) as run:
            scenario_finish.finish(run, parts, files)
    if store.local:
        end_work(Path(store.root))
    else:
        store.delete([key for key in store.list(f"{WORK}/") if key != PLAN])
        store.delete([PLAN])
    manifest = read_json(store, MANIFEST)
    return {
        "rows": manifest["scenarios"],
        "load_scenarios": manifest["load_scenarios"],
        "partitions": manifest["partitions"],
        "failed": manifest["failed"],
    }


def validate(runtime: Runtime, spec: Facts) -> Facts:
    """Check the dataset against the laws that it must keep.

    Raises:
        ChecksFailed: it breaks one; nothing later in the run may use it.
    """
    from data_engineering.scenarios.checks import check_dataset

    store = runtime.objects.below(spec["key"])
    base_mva = read_json(store, MANIFEST)["case"]["base_mva"]
    with _folder(store) as folder:
        findings = check_dataset(folder, n_partitions=spec["n_partitions"], sn_mva=base_mva)
    if not findings.passed:
        found = [f"{name} ({count} times)" for name, count in findings.counts.items()]
        first = str(findings.found[0])
        raise ChecksFailed(f"dataset {store.uri(MANIFEST)}", found, f"the first: {first}")
    return {"rows": findings.scenarios, "partitions": len(findings.partitions)}


def summarise(runtime: Runtime, spec: Facts) -> Facts:
    """Write the dataset's statistics and plots beside it."""
    from data_engineering.scenarios.plots import write_plots
    from data_engineering.scenarios.statistics import write_statistics

    store = runtime.objects.below(spec["key"])
    base_mva = read_json(store, MANIFEST)["case"]["base_mva"]
    with _folder(store) as folder:
        how = {"n_partitions": spec["n_partitions"], "sn_mva": base_mva}
        made = [
            *write_statistics(folder, **how).files,
            *write_plots(folder, folder / "feature_plots", **how),
        ]
        files = [each for path in made for each in (path, *path.rglob("*")) if each.is_file()]
        if not store.local:
            for path in files:
                store.write_bytes(path.relative_to(folder).as_posix(), path.read_bytes())
    return {"files": len(files)}


def register(runtime: Runtime, spec: Facts) -> Facts:
    """Record the dataset, by its manifest, and its page of statistics among the artifacts."""
    store = runtime.objects.below(spec["key"])
    manifest = read_json(store, MANIFEST)
    for name, kind in ((MANIFEST, "dataset"), ("stats_plot.html", "report")):
        if store.exists(name):
            _register(runtime, _stored(store, name), kind, spec["case"])
    return {
        "dataset": store.uri(MANIFEST),
        "case": spec["case"],
        "mode": manifest["mode"],
        "seed": spec["seed"],
        "scenarios": manifest["scenarios"],
        "failed": manifest["failed"],
    }


def _register(runtime: Runtime, stored: Stored, kind: str, case: str) -> None:
    metadata.register_artifact(
        runtime.metadata,
        uri=stored.uri,
        kind=kind,
        case_name=case,
        content_digest=stored.digest,
        byte_count=stored.byte_count,
    )


def _stored(store: ObjectStore, key: str) -> Stored:
    data = store.read_bytes(key)
    return Stored(store.uri(key), hashlib.sha256(data).hexdigest(), len(data))


@contextmanager
def _folder(store: ObjectStore) -> Iterator[Path]:
    """The dataset as a folder: itself in a local store, a passing copy of a remote one."""
    manifest = store.local_path(MANIFEST)
    if manifest is not None:
        yield manifest.parent
        return
    with tempfile.TemporaryDirectory(prefix="lascopf-") as name:
        folder = Path(name) / "raw"
        for key in store.list():
            target = folder / key
            target.parent.mkdir(parents=True, exist_ok=True)
            with store.fetched(key) as path:
                path.replace(target)
        yield folder
