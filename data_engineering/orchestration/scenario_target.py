"""What stands in a dataset's folder, and what a run may do with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from data_engineering.model.errors import BadInput
from data_engineering.orchestration.scenario_parts import read_json
from data_engineering.orchestration.scenario_plan import Plan, read_plan, versions
from data_engineering.scenarios.config import Config
from data_engineering.storage.objects import ObjectStore

MANIFEST = "manifest.json"

_SHOWN = 5


@dataclass(frozen=True)
class Target:
    """What stands in a folder.

    Attributes:
        plan: of a run that has not ended.
        manifest: of the dataset that was finished last.
    """

    plan: Plan | None
    manifest: Mapping[str, Any] | None

    @property
    def written(self) -> bool:
        """Whether the run's dataset is whole, and only the run's own files are left over."""
        if self.plan is None or self.manifest is None:
            return False
        return bool(self.manifest["load_scenarios"] >= self.plan.first + self.plan.count)


def look(store: ObjectStore) -> Target:
    """What stands in a folder."""
    return Target(read_plan(store), read_json(store, MANIFEST))


def check_unfinished(
    store: ObjectStore, plan: Plan, config: Config, seed: int | None, case_digest: str
) -> None:
    """See that an unfinished run is the one that is asked for.

    Raises:
        BadInput: it is another one; the keys that differ are named.
    """
    differing = _differing(plan.determining, config, plan.case_digest, case_digest)
    if seed is not None and seed != plan.seed:
        differing.append(f"settings.seed ({plan.seed} there, {seed} here)")
    _refuse(store, "an unfinished dataset of another configuration", differing)
    current = versions()
    changed = [
        f"{name} ({old} there, {current.get(name)} here)"
        for name, old in plan.versions.items()
        if current.get(name) != old
    ]
    _refuse(store, "an unfinished dataset of other versions", changed)


def check_finished(
    store: ObjectStore,
    manifest: Mapping[str, Any],
    config: Config,
    seed: int | None,
    case_digest: str,
) -> None:
    """See that a finished dataset is the one that is asked for, or that can be added to.

    Raises:
        BadInput: it is another one; the keys that differ are named.
    """
    last = manifest["runs"][-1]
    differing = _differing(last["determining"], config, manifest["case"]["digest"], case_digest)
    if not config.settings.overwrite:  # more load scenarios, of any seed
        differing = [line for line in differing if not line.startswith("load.scenarios ")]
    elif seed is not None and seed != last["seed"]:
        differing.append(f"settings.seed ({last['seed']} there, {seed} here)")
    _refuse(store, "a dataset of another configuration", differing)


def _differing(
    there: Mapping[str, Any], config: Config, case_there: str, case_here: str
) -> list[str]:
    here = config.determining()
    keys = sorted({*there, *here})
    lines = [
        f"{key} ({_shown(there.get(key))} there, {_shown(here.get(key))} here)"
        for key in keys
        if _plain(there.get(key)) != _plain(here.get(key))
    ]
    if not lines and case_there != case_here:
        lines.append("network (the grid has changed)")
    return lines


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _shown(value: object) -> str:
    text = "unused" if value is None else str(_plain(value))
    return text if len(text) <= 40 else text[:37] + "..."


def _refuse(store: ObjectStore, what: str, differing: list[str]) -> None:
    if not differing:
        return
    more = f" and {len(differing) - _SHOWN} more" if len(differing) > _SHOWN else ""
    named = ", ".join(differing[:_SHOWN]) + more
    remedy = "give another settings.data_dir, or replace the dataset by --replace"
    raise BadInput("target folder", store.root, f"it holds {what}: {named}; {remedy}")
