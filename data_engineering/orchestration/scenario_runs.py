"""Datasets on this machine: planned, solved and written by worker processes, and gone on with."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import Grid
from data_engineering.orchestration.scenario_finish import check_solved, finish, finish_swap
from data_engineering.orchestration.scenario_folder import (
    clear,
    end_work,
    finish_clearing,
    locked,
    strangers,
)
from data_engineering.orchestration.scenario_parts import (
    PartFacts,
    part_facts,
    partition_files,
    partition_numbers,
    spans,
)
from data_engineering.orchestration.scenario_plan import (
    Before,
    Plan,
    Say,
    open_run,
    plan_run,
    read_grid,
    write_plan,
)
from data_engineering.orchestration.scenario_progress import Progress
from data_engineering.orchestration.scenario_target import (
    check_finished,
    check_unfinished,
    look,
)
from data_engineering.orchestration.scenario_workers import Workers
from data_engineering.scenarios.case import prepare
from data_engineering.scenarios.config import Config
from data_engineering.storage.objects import ObjectStore, open_store

_PATIENCE_SECONDS = 0.5


@dataclass(frozen=True)
class Asked:
    """What a person asks for besides the configuration.

    Attributes:
        seed: in the place of the configuration's.
        processes: in the place of the configuration's, which is no more than the processors.
        replace: take away what stands in the folder.
    """

    seed: int | None = None
    processes: int | None = None
    replace: bool = False

    def seed_of(self, config: Config) -> int | None:
        """The seed that is asked for, if one is."""
        return config.settings.seed if self.seed is None else self.seed

    def processes_of(self, config: Config) -> int:
        """Worker processes."""
        if self.processes is not None:
            return self.processes
        return min(config.settings.num_processes, len(os.sched_getaffinity(0)))


def generate(config: Config, asked: Asked = Asked(), say: Say = lambda _: None) -> dict[str, Any]:
    """Make the dataset of a configuration, or go on with it, or add to it.

    Returns:
        The folder, what was done (`made`, `continued`, `appended`, `finished before`) and counts.

    Raises:
        BadInput: the folder holds something else, or the case cannot be used.
        NotSolved: every sample has failed.
        ProcessFailed: a worker process ended.
        DiskFull: no space is left.
    """
    folder = config.folder.expanduser().absolute()
    with locked(folder):
        store = open_store(folder.as_uri())
        finish_clearing(folder)
        finish_swap(store)
        say(f"reading {config.network.name}")
        grid = read_grid(config)
        plan, done = _decide(store, folder, config, asked, grid, say)
        if plan is None:
            end_work(folder)
            return {"folder": str(folder), "done": done, **_counts(look(store).manifest)}
        peak = _carry_out(store, folder, plan, asked.processes_of(config), say)
        say("writing what tells of the whole dataset")
        with open_run(store) as run:
            parts, files = _all_parts(store, plan), _all_files(store, plan)
            manifest = finish(run, parts, files)
        end_work(folder)
    return {"folder": str(folder), "done": done, **_counts(manifest), "worker_memory_mb": peak}


def _decide(
    store: ObjectStore, folder: Path, config: Config, asked: Asked, grid: Grid, say: Say
) -> tuple[Plan | None, str]:
    """The plan to carry out, None where nothing is to be done; and what that is called."""
    seed, target = asked.seed_of(config), look(store)
    foreign = strangers(folder)
    if foreign:
        remedy = "give another settings.data_dir or take them away"
        raise BadInput("target folder", str(folder), f"it holds {', '.join(foreign[:3])}; {remedy}")
    if asked.replace:
        clear(folder)
    elif target.plan is not None:
        check_unfinished(store, target.plan, config, seed, prepare(grid).digest)
        return (None if target.written else target.plan), "continued"
    elif target.manifest is not None:
        check_finished(store, target.manifest, config, seed, prepare(grid).digest)
        if config.settings.overwrite:
            return None, "finished before"
        return _appending(store, target.manifest, config, seed, grid), "appended"
    elif any(path.name.endswith(".parquet") for path in folder.iterdir()):
        remedy = "give another settings.data_dir, or replace the dataset by --replace"
        fact = "it holds tables that another program has written or that lost their manifest.json"
        raise BadInput("target folder", str(folder), f"{fact}; {remedy}")
    plan = plan_run(config, grid, seed=seed, say=say)
    write_plan(store, plan, grid)
    return plan, "made"


def _appending(
    store: ObjectStore, manifest: Mapping[str, Any], config: Config, seed: int | None, grid: Grid
) -> Plan:
    last = manifest["runs"][-1]
    plan = plan_run(
        config,
        grid,
        seed=last["seed"] if seed is None else seed,
        before=Before(manifest["load_scenarios"], manifest["scenarios"], last["upper_factor"]),
    )
    write_plan(store, plan, grid)
    return plan


def _counts(manifest: Any) -> dict[str, Any]:
    names = ("seed", "load_scenarios", "scenarios", "partitions", "failed", "failures")
    return {name: manifest[name] for name in names}


@dataclass
class _Board:
    """What of a run is done, and what can be done next."""

    store: ObjectStore
    plan: Plan
    progress: Progress
    facts: list[PartFacts | None] = field(init=False)
    parts: deque[int] = field(init=False)
    partitions: deque[int] = field(default_factory=deque)
    _next: int = field(init=False)

    def __post_init__(self) -> None:
        self.facts = [part_facts(self.store, number) for number in range(self.plan.parts)]
        self.parts = deque(n for n, facts in enumerate(self.facts) if facts is None)
        for facts in self.facts:
            if facts is not None:
                self.progress.done += facts.samples
                self.progress.failed += facts.samples - facts.solved
        self._next = partition_numbers(self.plan, [], complete=False).start
        self.find_partitions()

    def tasks(self) -> Iterator[dict[str, Any]]:
        """Tasks that can be given now; partitions first, while their samples are in memory."""
        while self.partitions or self.parts:
            if self.partitions:
                number = self.partitions.popleft()
                where = spans(self.plan, self._solved(), number)
                yield {"partition": number, "spans": [list(asdict(s).values()) for s in where]}
            else:
                yield {"part": self.parts.popleft()}

    def note(self, task: dict[str, Any]) -> None:
        """A task is done."""
        if "partition" in task:
            self.progress.partitions += 1
        else:
            self.facts[task["part"]] = part_facts(self.store, task["part"])
            self.find_partitions()

    def find_partitions(self) -> None:
        """Look for partitions whose samples are known by now."""
        solved = self._solved()
        complete = len(solved) == self.plan.parts
        if complete:
            check_solved(self.plan, [facts for facts in self.facts if facts is not None])
        stop = partition_numbers(self.plan, solved, complete=complete).stop
        for number in range(self._next, stop):
            if partition_files(self.store, self.plan, number) is None:
                self.partitions.append(number)
            else:
                self.progress.partitions += 1
        self._next = max(self._next, stop)

    def _solved(self) -> list[int]:
        """Solved samples of the parts that are known without a gap."""
        solved = []
        for facts in self.facts:
            if facts is None:
                break
            solved.append(facts.solved)
        return solved


def _carry_out(store: ObjectStore, folder: Path, plan: Plan, processes: int, say: Say) -> float:
    """Solve and write all that is not there yet; the largest memory of a worker in MB."""
    peak = 0.0
    logs = folder / "solver_log" if plan.config["settings"]["enable_solver_logs"] else None
    if logs is not None:
        logs.mkdir(exist_ok=True)
    with _logging(folder / "tqdm.log", plan) as log:
        board = _Board(store, plan, Progress(plan.samples, say, log))
        tasks = board.tasks()
        wanted = max(1, min(processes, len(board.parts) + len(board.partitions)))
        if not board.parts and not board.partitions:
            return peak
        say(f"starting {wanted} processes")
        with Workers({"url": folder.as_uri(), "access": {}}, wanted, logs) as workers:
            while True:
                while workers.idle and (task := next(tasks, None)) is not None:
                    workers.give(task)
                if not workers.busy:
                    break
                event = workers.next(_PATIENCE_SECONDS)
                if event is not None and "counts" in event:
                    board.progress.count(*event["counts"])
                elif event is not None:
                    peak = max(peak, event["memory_mb"])
                    board.note(event["done"])
                    tasks = board.tasks()
                board.progress.tell()
        log(board.progress.text())
    return peak


@contextmanager
def _logging(path: Path, plan: Plan) -> Iterator[Say]:
    with path.open("a", buffering=1) as stream:
        stream.write(f"\nNew generation started at {plan.started_at}\n")
        yield lambda line: print(line, file=stream)


def _all_parts(store: ObjectStore, plan: Plan) -> list[PartFacts]:
    found = [part_facts(store, number) for number in range(plan.parts)]
    return [facts for facts in found if facts is not None]


def _all_files(store: ObjectStore, plan: Plan) -> dict[str, Any]:
    solved = [facts.solved for facts in _all_parts(store, plan)]
    files: dict[str, Any] = {}
    for number in partition_numbers(plan, solved, complete=True):
        files |= partition_files(store, plan, number) or {}
    return files
