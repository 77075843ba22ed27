"""The plan of a run: everything that decides its data, fixed and kept before anything is solved."""

from __future__ import annotations

import json
import platform
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from data_engineering.model.errors import BadInput, ObjectStoreRefused
from data_engineering.model.grid import Grid
from data_engineering.orchestration.scenario_workers import Workers
from data_engineering.scenarios.case import ScenarioCase, prepare
from data_engineering.scenarios.config import Config, config_from
from data_engineering.scenarios.contract import PARTITION
from data_engineering.scenarios.sampler import Sampler, sampler_of
from data_engineering.storage.objects import ObjectStore, open_store
from data_engineering.transformation.grid_document import grid_from_document, grid_to_document

WORK = ".work"
PLAN, CASE, LOADS = f"{WORK}/plan.json", f"{WORK}/case.json", f"{WORK}/loads"
FORMAT = 1
SEEDS = 2**31
_PACKAGES = ("lascopf-platform", "numpy", "scipy", "pyarrow", "casadi", "lightsim2grid", "piqp")
_PART_NUMBERS = 40_000
_PART_SAMPLES = (40, 400)

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What a run makes.

    Attributes:
        config: the whole configuration, as values.
        determining: the dotted keys of it that determine the data.
        digest: SHA-256 of these.
        seed: the seed of all random numbers.
        factor: upper factor of the demand; None where the load generator has none.
        case_digest: SHA-256 of the prepared grid.
        first: number of the first load scenario.
        count: load scenarios.
        samples: samples, or a bound where failed draws may make them fewer.
        per_part: load scenarios in a part; the last may have fewer.
        solved_before: samples of the finished dataset that the run adds to.
        versions: of the packages that the data may depend on.
        started_at: when the run began, UTC.
    """

    config: Mapping[str, Any]
    determining: Mapping[str, Any]
    digest: str
    seed: int
    factor: float | None
    case_digest: str
    first: int
    count: int
    samples: int
    per_part: int
    solved_before: int
    versions: Mapping[str, str]
    started_at: str

    @property
    def parts(self) -> int:
        """How many parts are solved."""
        return -(-self.count // self.per_part)

    @property
    def appends(self) -> bool:
        """Whether the run adds to a finished dataset."""
        return self.first > 0

    @property
    def tail(self) -> int:
        """Samples of the dataset's last partition, which the run completes."""
        return self.solved_before % PARTITION

    def load_scenarios(self, part: int) -> range:
        """Numbers of the load scenarios of a part."""
        start = self.first + part * self.per_part
        return range(start, min(start + self.per_part, self.first + self.count))


@dataclass(frozen=True, eq=False)
class Run:
    """A plan with what it is carried out with; opened in every process that works on it."""

    store: ObjectStore
    plan: Plan
    config: Config
    case: ScenarioCase
    sampler: Sampler


@dataclass(frozen=True)
class Before:
    """What a finished dataset has that a run adds to: load scenarios, samples, upper factor."""

    load_scenarios: int = 0
    samples: int = 0
    factor: float | None = None


NOTHING = Before()


def read_grid(config: Config) -> Grid:
    """The grid that a configuration names.

    Raises:
        LascopfError: as `cases.load_case`.
    """
    from data_engineering.orchestration.cases import load_case

    name = config.network.name
    case = f"pglib/{name}" if config.network.source == "pglib" else str(config.network_file)
    # Research cases have series capacitors and equivalents of transformers.
    return load_case(case, negative_reactance=True).grid


def plan_run(
    config: Config,
    grid: Grid,
    *,
    seed: int | None = None,
    before: Before = NOTHING,
    say: Say = lambda _: None,
) -> Plan:
    """Decide what a run makes.

    Args:
        config: of the run; its seed is not looked at.
        grid: as `read_grid` gives it.
        seed: of all random numbers; None: it is drawn.
        before: what the dataset has that the run adds to.
        say: takes progress.

    Raises:
        BadInput: the grid cannot be used, or cannot be solved even at the start factor.
    """
    case = prepare(grid)
    chosen = secrets.randbelow(SEEDS) if seed is None else seed
    searched = before.factor is None and config.load.generator == "agg_load_profile"
    known = config.load.start_scaling_factor if searched else before.factor
    sampler = sampler_of(case, config, chosen, known, before.load_scenarios)
    samples = sampler.expected_samples()
    plan = Plan(
        **_of_config(config),
        seed=chosen,
        factor=known,
        case_digest=case.digest,
        first=before.load_scenarios,
        count=sampler.count,
        samples=samples,
        per_part=_per_part(config, len(grid.buses), sampler.count, samples),
        solved_before=before.samples,
        versions=versions(),
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return replace(plan, factor=search_factor(plan, grid, say)) if searched else plan


def _of_config(config: Config) -> dict[str, Any]:
    return {
        "config": config.model_dump(mode="json"),
        "determining": config.determining(),
        "digest": config.digest,
    }


def versions() -> dict[str, str]:
    """Versions of what the data may depend on."""
    return {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES}


def search_factor(plan: Plan, grid: Grid, say: Say) -> float:
    """Search the upper factor in a process of its own.

    The solver swallows signals while it works and takes them for the end of its iterations: here
    it would miss an interrupt and find a factor that is too small.
    """
    say("searching the largest demand that can be served")
    with tempfile.TemporaryDirectory(prefix="lascopf-plan-") as folder:
        url = Path(folder).as_uri()
        write_plan(open_store(url), plan, grid)
        with Workers({"url": url, "access": {}}, 1) as worker:
            return float(worker.carry_out({"factor": True})["factor"])


def largest_factor_of(run: Run) -> float:
    """The upper factor of a run's demand, by solving.

    Raises:
        BadInput: the case cannot be solved even at the start factor.
    """
    from data_engineering.scenarios.loads import largest_factor
    from data_engineering.solvers.sample_kernels import feasible_at

    config = run.config
    solvable = feasible_at(
        run.case.grid,
        change_reactive_power=config.load.change_reactive_power,
        formulation=config.settings.opf_formulation,
        max_iterations=config.settings.max_iter,
    )
    return largest_factor(solvable, config.load)


def _per_part(config: Config, buses: int, count: int, samples: int) -> int:
    """Small enough that a killed run loses little, large enough that files are few."""
    least, most = _PART_SAMPLES
    wanted = min(max(_PART_NUMBERS // buses, least), most)
    return max(1, min(config.settings.large_chunk_size, count, wanted * count // max(samples, 1)))


def write_plan(store: ObjectStore, plan: Plan, grid: Grid) -> None:
    """Keep a plan and its grid; the plan last, since it says that there is a run."""
    if plan.config["load"]["generator"] == "precomputed_profile":
        given = Path(plan.config["load"]["scenario_file"])
        store.write_bytes(LOADS + given.suffix, given.read_bytes())
    store.write_bytes(CASE, json.dumps(grid_to_document(grid)).encode())
    text = json.dumps({"format": FORMAT, **asdict(plan)}, indent=1)
    store.write_bytes(PLAN, text.encode())


def read_plan(store: ObjectStore) -> Plan | None:
    """The plan of an unfinished run, if there is one.

    Raises:
        BadInput: it is of another version of this program.
    """
    if not store.exists(PLAN):
        return None
    values = json.loads(store.read_bytes(PLAN))
    if values.pop("format", None) != FORMAT:
        remedy = "finish the run with the version that began it, or start it again by --replace"
        raise BadInput(store.uri(PLAN), "a plan of another version", remedy)
    return Plan(**values)


@contextmanager
def open_run(store: ObjectStore) -> Iterator[Run]:
    """The unfinished run of a folder, ready to be worked on.

    Raises:
        ObjectStoreRefused: there is none.
        BadInput: it cannot be carried out by this version of the program.
    """
    plan = read_plan(store)
    if plan is None:
        raise ObjectStoreRefused(store.uri(PLAN), "there is no such object", "plan the run first")
    case = prepare(grid_from_document(json.loads(store.read_bytes(CASE))))
    if case.digest != plan.case_digest:
        remedy = "start the run again by --replace"
        raise BadInput(store.uri(CASE), "not the grid that the run was planned with", remedy)
    with ExitStack() as kept:
        values: dict[str, Any] = {**plan.config}
        for key in store.list(LOADS):  # another machine has not the file that was named
            path = kept.enter_context(store.fetched(key))
            values["load"] = {**values["load"], "scenario_file": str(path)}
        config = config_from(values, store.uri(PLAN))
        sampler = sampler_of(case, config, plan.seed, plan.factor, plan.first)
        yield Run(store, plan, config, case, sampler)
