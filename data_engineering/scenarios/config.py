"""A scenario configuration, from YAML or from values: checked, told by one line, and digested."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError

from data_engineering.model.errors import SourceFileBroken, SourceFileMissing
from data_engineering.scenarios.config_blocks import (
    AdmittanceBlock,
    Block,
    GenerationBlock,
    LoadBlock,
    NetworkBlock,
    SettingsBlock,
    TopologyBlock,
)
from data_engineering.scenarios.config_errors import UNKNOWN, bad_input

USED: Mapping[str, Mapping[str, Sequence[str]]] = {
    "network": {"pglib": (), "file": ("network_dir", "file")},
    "load": {
        "agg_load_profile": (
            "agg_profile",
            "scenarios",
            "sigma",
            "change_reactive_power",
            "global_range",
            "max_scaling_factor",
            "step_size",
            "start_scaling_factor",
        ),
        "powergraph": ("agg_profile", "scenarios"),
        "precomputed_profile": ("scenario_file", "scenarios"),
    },
    "topology_perturbation": {
        "none": (),
        "n_minus_k": ("k",),
        "random": ("k", "n_topology_variants", "elements", "outage_count_probabilities"),
    },
    "generation_perturbation": {
        "none": (),
        "cost_permutation": (),
        "cost_perturbation": ("sigma",),
    },
    "admittance_perturbation": {"none": (), "random_perturbation": ("sigma",)},
}
"""Keys of each block that have an effect under each choice of its `CHOICE`."""
CHOICE: Mapping[str, str] = {
    "network": "source",
    "load": "generator",
    "topology_perturbation": "type",
    "generation_perturbation": "type",
    "admittance_perturbation": "type",
}
"""The key of each block that decides which of the others have an effect."""
_PLACES = ("network_dir", "file", "scenario_file")
_SETTINGS_OF_DATA = ("mode", "include_dc_res", "max_iter", "opf_formulation")


class Config(Block):
    """A whole configuration; blocks and keys have the names that they have in YAML."""

    network: NetworkBlock
    load: LoadBlock = Field(default_factory=LoadBlock)
    topology_perturbation: TopologyBlock = Field(default_factory=TopologyBlock)
    generation_perturbation: GenerationBlock = Field(default_factory=GenerationBlock)
    admittance_perturbation: AdmittanceBlock = Field(default_factory=AdmittanceBlock)
    settings: SettingsBlock = Field(default_factory=SettingsBlock)

    @property
    def folder(self) -> Path:
        """Where the dataset is written."""
        return Path(self.settings.data_dir) / self.network.name / "raw"

    @property
    def network_file(self) -> Path:
        """The file of the grid, if `network.source` is `file`."""
        file, folder = self.network.file, self.network.network_dir
        return Path(file) if file is not None else Path(folder) / f"{self.network.name}.m"

    def determining(self) -> dict[str, Any]:
        """Dotted keys and values that determine the data, without the seed.

        Keys without effect under the chosen types are left out, and so is where the grid's file
        stands: the digest of the case tells its content. Of a file of load scenarios, its content
        counts.

        Raises:
            SourceFileMissing: there is no such file of load scenarios.
        """
        dumped = self.model_dump(mode="json")
        values: dict[str, Any] = {"network.name": self.network.name}
        for block, choice in CHOICE.items():
            keys = dumped[block]
            for key in (choice, *USED[block][keys[choice]]):
                if key not in _PLACES:
                    values[f"{block}.{key}"] = keys[key]
        if self.load.generator == "precomputed_profile":
            values["load.scenario_file"] = _content_digest(Path(self.load.scenario_file or ""))
        for key in _SETTINGS_OF_DATA:
            values[f"settings.{key}"] = getattr(self.settings, key)
        return values

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what determines the data; neither seed nor case is part of it."""
        text = json.dumps(self.determining(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def as_yaml(self) -> str:
        """All keys, as `read_config` takes them."""
        values = self.model_dump(mode="json")
        text: str = yaml.safe_dump(values, sort_keys=False, default_flow_style=None, width=100)
        return text


def read_config(path: Path) -> Config:
    """A configuration from a YAML file.

    Raises:
        SourceFileMissing: there is no such file.
        SourceFileBroken: it is not YAML, not a mapping, or has a key twice.
        BadInput: a key or a value is wrong; said with its dotted key and what to do.
    """
    if not path.is_file():
        raise SourceFileMissing(path, "give the path of a YAML file")
    try:
        values = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=_UniqueKeys)  # noqa: S506
    except UnicodeDecodeError:
        raise SourceFileBroken(path, "it is not UTF-8 text", "give a YAML file") from None
    except OSError as error:
        fact = f"it cannot be read ({error.strerror})"
        raise SourceFileBroken(path, fact, "let this user read it") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SourceFileBroken(path, _yaml_fact(error), "correct the YAML") from None
    if not isinstance(values, dict):
        fact = f"it holds {_kind(values)}, not blocks of keys"
        raise SourceFileBroken(path, fact, "write blocks such as `network:` with keys below")
    return config_from(values, str(path))


def config_from(values: Mapping[str, Any], where: str) -> Config:
    """A configuration from blocks of keys.

    Args:
        values: blocks by name; a block may be None, which is a block without keys.
        where: what the values come from, to tell a person.

    Raises:
        BadInput: a key or a value is wrong; said with its dotted key and what to do.
    """
    try:
        return Config.model_validate({k: {} if v is None else v for k, v in values.items()})
    except ValidationError as error:
        # A key that is not known explains a missing one, so it is told first.
        found = sorted(error.errors(include_url=False), key=lambda e: e["type"] not in UNKNOWN)
        blocks = {name: field.annotation for name, field in Config.model_fields.items()}
        raise bad_input(found[0], where, blocks) from None


class _UniqueKeys(yaml.SafeLoader):
    """Plain values only; a key may stand once."""


def _unique_mapping(loader: _UniqueKeys, node: yaml.MappingNode) -> dict[Any, Any]:
    seen = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key.value!r} stands twice", key.start_mark
                )
            seen.add(key.value)
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


_UniqueKeys.add_constructor("tag:yaml.org,2002:map", _unique_mapping)


def _yaml_fact(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    return f"line {mark.line + 1}: {problem}" if mark is not None else str(problem)


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"


def _content_digest(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        raise SourceFileMissing(path, "correct load.scenario_file") from None
