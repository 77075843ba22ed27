"""Datasets in folders: small configurations, workers without processes, and comparisons."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from data_engineering.model.grid import Grid
from data_engineering.model.samples import Kernel
from data_engineering.orchestration import scenario_parts, scenario_plan
from data_engineering.orchestration.scenario_plan import Plan, Run, open_run
from data_engineering.scenarios.case import prepare
from data_engineering.scenarios.config import Config, config_from
from data_engineering.storage.objects import open_store

MEASURED = ("runtime_data.parquet", "solver_log", "tail.arrow")
"""What holds measured seconds, and so is not the same twice."""
TIMES = ("started_at", "finished_at")


def small_config(folder: Path, **blocks: Mapping[str, Any]) -> Config:
    """14 load scenarios of 20 variants at 14 buses, unless `blocks` say otherwise."""
    values: dict[str, dict[str, Any]] = {
        "network": {"name": "case14_ieee"},
        "load": {"scenarios": 14},
        "topology_perturbation": {"type": "random", "k": 2, "n_topology_variants": 20},
        "settings": {"data_dir": str(folder), "seed": 7, "large_chunk_size": 3},
    }
    for name, block in blocks.items():
        values[name] = {**values.get(name, {}), **block}
    return config_from(values, "the test")


def contents(folder: Path) -> dict[str, bytes | Any]:
    """Every file of a dataset that is the same whenever it is made."""
    found: dict[str, bytes | Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_dir() or name.startswith(MEASURED) or name.endswith(".log"):
            continue
        found[name] = path.read_bytes()
    manifest = json.loads(found.pop("manifest.json"))
    for run in manifest["runs"]:
        for name in TIMES:
            assert run.pop(name)
        for name in ("data_dir", "num_processes", "large_chunk_size", "overwrite"):
            run["config"]["settings"].pop(name)
    found["manifest.json"] = manifest
    return found


@cache
def kernel_of(digest: str, settings: str) -> Kernel:
    """Kernels take a second to build and answer each sample for itself: one serves all tests."""
    return scenario_parts.build_kernel(_opened[digest])


_opened: dict[str, Run] = {}


@cache
def _factor_of(case: str, load: str) -> float:
    return scenario_plan.largest_factor_of(_opened[case])


def search_factor_here(plan: Plan, grid: Grid, say: object) -> float:
    """Does the work of `scenario_plan.search_factor` in this process, once for each demand."""
    case = prepare(grid)
    config = config_from(plan.config, "the plan")
    _opened[case.digest] = Run(None, plan, config, case, None)  # type: ignore[arg-type]
    settings = {**plan.config["load"], "iterations": plan.config["settings"]["max_iter"]}
    return _factor_of(case.digest, json.dumps(settings))


class WorkersHere:
    """Does the work of `scenario_workers.Workers` in this process, one task at a time."""

    def __init__(self, store: Mapping[str, Any], count: int, logs: Path | None = None) -> None:
        self._store = open_store(store["url"], **store["access"])
        self._task: Any = None
        self._counts: list[dict[str, Any]] = []

    def __enter__(self) -> WorkersHere:
        self._run = open_run(self._store)
        self.run = self._run.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._run.__exit__(None, None, None)

    @property
    def idle(self) -> bool:
        return self._task is None

    @property
    def busy(self) -> bool:
        return self._task is not None

    def give(self, task: Any) -> None:
        self._task = task

    def next(self, seconds: float) -> dict[str, Any]:
        task, self._task = self._task, None
        if "part" in task:
            settings = json.dumps(self.run.plan.config["settings"], sort_keys=True)
            _opened[self.run.case.digest] = self.run
            kernel = kernel_of(self.run.case.digest, settings)
            scenario_parts.solve_part(self.run, task["part"], kernel)
        else:
            where = [scenario_parts.Span(*span) for span in task["spans"]]
            scenario_parts.write_partition(self.run, task["partition"], where)
        return {"done": task, "memory_mb": 1.0}
