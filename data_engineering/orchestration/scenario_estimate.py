"""How many samples a configuration gives, how long they take and how large they are."""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from data_engineering.orchestration.scenario_finish import check_solved
from data_engineering.orchestration.scenario_parts import (
    PartFacts,
    part_facts,
    partition_files,
    spans,
)
from data_engineering.orchestration.scenario_plan import (
    Plan,
    Say,
    plan_run,
    read_grid,
    write_plan,
)
from data_engineering.orchestration.scenario_progress import duration
from data_engineering.orchestration.scenario_runs import Asked
from data_engineering.orchestration.scenario_workers import Workers
from data_engineering.scenarios.config import Config
from data_engineering.scenarios.contract import PARTITION
from data_engineering.storage.objects import ObjectStore, open_store

_ENOUGH_SECONDS, _ENOUGH_SAMPLES = 10.0, PARTITION
_MOST_PARTS = 50


def estimate(config: Config, asked: Asked, say: Say = lambda _: None) -> dict[str, Any]:
    """Measure a few samples of a configuration; nothing is written where its dataset would be.

    Returns:
        `samples`; `samples_are`, `exact` or `at most` that; `processes`; `seconds` and `time` with
        them, `bytes` on disk, `memory_mb` of all processes; and what was measured: `probed`
        samples, `failed` among them, `seconds_per_sample` of one process.

    Raises:
        BadInput: the case cannot be used.
        NotSolved: no probe has a solution.
    """
    grid = read_grid(config)
    plan = plan_run(config, grid, seed=asked.seed_of(config), say=say)
    probe = replace(plan, count=min(plan.count, _MOST_PARTS), per_part=1)
    with tempfile.TemporaryDirectory(prefix="lascopf-probe-") as folder:
        store = open_store(Path(folder).as_uri())
        write_plan(store, probe, grid)
        say("measuring some samples")
        with Workers({"url": Path(folder).as_uri(), "access": {}}, 1) as worker:
            parts, per_sample = _solve(store, worker, probe)
            check_solved(probe, parts)
            writing, byte_count, memory = _write(store, worker, probe, parts)
    solved, probed = sum(part.solved for part in parts), sum(part.samples for part in parts)
    processes = asked.processes_of(config)
    seconds = plan.samples * (per_sample + writing) / processes
    return {
        "folder": str(config.folder.expanduser().absolute()),
        "samples": plan.samples,
        "samples_are": _exactness(config),
        "load_scenarios": plan.count,
        "processes": processes,
        "seconds": seconds,
        "time": duration(seconds),
        "bytes": round(plan.samples * solved / probed * byte_count),
        "memory_mb": memory * processes,
        "probed": probed,
        "failed": probed - solved,
        "seconds_per_sample": per_sample + writing,
        "upper_factor": plan.factor,
    }


def _exactness(config: Config) -> str:
    return "at most" if config.topology_perturbation.type == "random" else "exact"


def _solve(store: ObjectStore, worker: Workers, plan: Plan) -> tuple[list[PartFacts], float]:
    """Solve until it is known how long a sample takes.

    The first part, for which the solvers are built, does not count where there are others.
    """
    parts: list[PartFacts] = []
    seconds: list[float] = []
    for number in range(plan.parts):
        began = time.monotonic()
        worker.carry_out({"part": number})
        seconds.append(time.monotonic() - began)
        facts = part_facts(store, number)
        assert facts is not None
        parts.append(facts)
        enough = sum(part.samples for part in parts) >= _ENOUGH_SAMPLES
        if len(parts) > 1 and (enough or sum(seconds) > _ENOUGH_SECONDS):
            break
    counted = slice(1, None) if len(parts) > 1 else slice(None)
    samples = sum(part.samples for part in parts[counted])
    return parts, sum(seconds[counted]) / samples


def _write(
    store: ObjectStore, worker: Workers, plan: Plan, parts: list[PartFacts]
) -> tuple[float, float, float]:
    """Seconds and bytes of a written sample, and the worker's memory in MB."""
    where = spans(plan, [part.solved for part in parts], 0)
    samples = sum(span.last - span.first for span in where)
    task = {"partition": 0, "spans": [list(asdict(span).values()) for span in where]}
    began = time.monotonic()
    memory = float(worker.carry_out(task)["memory_mb"])
    seconds = time.monotonic() - began
    files = partition_files(store, plan, 0)
    assert files is not None
    return seconds / samples, sum(facts["bytes"] for facts in files.values()) / samples, memory
