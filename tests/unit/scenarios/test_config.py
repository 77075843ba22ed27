"""Configurations: defaults, every misuse in one line, and what the digest counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from data_engineering.model.errors import BadInput, SourceFileBroken, SourceFileMissing
from data_engineering.scenarios.config import Config, config_from, read_config

# gridfm-datakit 1.1.0's published default, key by key, in its own spelling.
GRIDFM_DEFAULT = """
network:
  name: "case24_ieee_rts"
  source: "pglib"
  network_dir: "scripts/grids"
load:
  generator: "agg_load_profile"
  agg_profile: "default"
  scenarios: 10000
  sigma: 0.2
  change_reactive_power: true
  global_range: 0.4
  max_scaling_factor: 4.0
  step_size: 0.1
  start_scaling_factor: 1.0
topology_perturbation:
  type: "random"
  k: 1
  n_topology_variants: 20
  elements: [branch, gen]
generation_perturbation:
  type: "cost_permutation"
  sigma: 1.0
admittance_perturbation:
  type: "random_perturbation"
  sigma: 0.2
settings:
  num_processes: 16
  data_dir: "./data_out"
  large_chunk_size: 1000
  overwrite: true
  mode: "pf"
  include_dc_res: true
  enable_solver_logs: true
  pf_fast: true
  dcpf_fast: true
  opf_formulation: "polar"
  max_iter: 200
  seed: null
"""


def made(**blocks: Any) -> Config:
    return config_from({"network": {"name": "case14_ieee"}, **blocks}, "here")


def written(folder: Path, text: str) -> Path:
    path = folder / "c.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_default_file_of_gridfm_datakit_is_read(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, GRIDFM_DEFAULT))
    assert config.network.name == "case24_ieee_rts"
    assert config.topology_perturbation.type == "random"
    assert config.topology_perturbation.elements == ("branch", "gen")
    assert config.settings.seed is None
    assert config.folder == Path("data_out/case24_ieee_rts/raw")


def test_defaults_are_those_of_the_format() -> None:
    config = made()
    load, settings = config.load, config.settings
    assert (load.generator, load.agg_profile, load.scenarios) == (
        "agg_load_profile", "default", 10_000,
    )  # fmt: skip
    assert (load.sigma, load.global_range, load.max_scaling_factor) == (0.2, 0.4, 4.0)
    assert (load.step_size, load.start_scaling_factor) == (0.1, 1.0)
    assert load.change_reactive_power
    topology = config.topology_perturbation
    assert (topology.type, topology.k, topology.n_topology_variants) == ("none", 1, 20)
    assert topology.outage_count_probabilities is None
    assert (config.generation_perturbation.type, config.generation_perturbation.sigma) == (
        "none", 1.0,
    )  # fmt: skip
    assert (config.admittance_perturbation.type, config.admittance_perturbation.sigma) == (
        "none", 0.2,
    )  # fmt: skip
    assert (settings.num_processes, settings.large_chunk_size, settings.max_iter) == (
        16, 1000, 200,
    )  # fmt: skip
    assert (settings.mode, settings.opf_formulation, settings.seed) == ("pf", "polar", None)
    flags = (settings.overwrite, settings.include_dc_res, settings.enable_solver_logs)
    assert all((*flags, settings.pf_fast, settings.dcpf_fast))


def test_keys_that_do_not_apply_are_accepted() -> None:
    config = made(
        load={"generator": "powergraph", "sigma": 0.1, "max_scaling_factor": 0.5},
        topology_perturbation={"type": "none", "k": 0, "outage_count_probabilities": [0.3]},
        generation_perturbation={"type": "none", "sigma": 0.5},
        settings={"seed": "", "pf_solver": "powermodel"},
    )
    assert config.load.generator == "powergraph"
    assert config.settings.seed is None
    assert config_from({"network": {"name": "a", "reader": "native"}, "load": None}, "x").load


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([0.25, 0.5, 0.25], (0.25, 0.5, 0.25)),
        ({0: 0.25, 2: 0.75}, (0.25, 0.0, 0.75)),
        ({"1": 1.0}, (0.0, 1.0, 0.0)),
        ([0, 1, 0], (0.0, 1.0, 0.0)),
        ([1 / 3, 1 / 3, 1 / 3], (1 / 3, 1 / 3, 1 / 3)),
        (None, None),
    ],
)
def test_outage_probabilities_as_list_and_mapping(given: Any, expected: Any) -> None:
    block = {"type": "random", "k": 2, "outage_count_probabilities": given}
    config = made(topology_perturbation=block)
    assert config.topology_perturbation.outage_count_probabilities == expected


RANDOM = {"type": "random", "k": 2}
# One key of one block, its value, and what is said after "is not usable; ".
VALUES: list[tuple[str, Any, str]] = [
    ("load.scenarios", "10", "it is a text; write the number without quotes"),
    ("load.scenarios", True, "give a whole number, such as 10"),
    ("load.scenarios", 10.0, "give a whole number, such as 10"),
    ("load.scenarios", 0, "give a number of at least 1"),
    ("load.sigma", False, "give a number, such as 0.2"),
    ("load.sigma", "1e-1", "it is a text; write the number without quotes (YAML: 1.0e-3, with"),
    ("load.sigma", -0.1, "give a number of at least 0"),
    ("load.sigma", 1.1, "give a number of at most 1"),
    ("load.sigma", float("nan"), "give a finite number"),
    ("load.step_size", 0, "give a number above 0"),
    ("load.global_range", 1.5, "give a number of at most 1"),
    ("load.change_reactive_power", 1, "give true or false"),
    ("load.max_scaling_factor", 0.5, "give at least start_scaling_factor, 1"),
    ("load.agg_profile", "ercot", "give one of: default, ercot_load_act_hr_2024_coast, ercot_"),
    ("load.generator", "agg", "give one of: 'agg_load_profile', 'powergraph', 'precomputed_pro"),
    ("topology_perturbation.k", -1, "give a number of at least 0"),
    ("topology_perturbation.n_topology_variants", 0, "give a number of at least 1"),
    ("topology_perturbation.elements", [], "give branch, gen or both, each once"),
    ("topology_perturbation.elements", ["gen", "gen"], "give branch, gen or both, each once"),
    ("topology_perturbation.elements", "branch", "give a list"),
    ("generation_perturbation.sigma", -1, "give a number of at least 0"),
    ("admittance_perturbation.type", "random", "give one of: 'none', 'random_perturbation'"),
    ("settings.num_processes", 0, "give a number of at least 1"),
    ("settings.large_chunk_size", -5, "give a number of at least 1"),
    ("settings.max_iter", 0, "give a number of at least 1"),
    ("settings.seed", -1, "give a number of at least 0"),
    ("settings.seed", 1.5, "give a whole number, such as 10"),
    ("settings.mode", "secure", "give one of: 'pf', 'opf'"),
    ("settings.data_dir", "", "give a text that is not empty"),
    ("settings.pf_solver", "powsybl", "not offered: one solver serves every case"),
    ("network.reader", "powsybl", "not offered: files are read natively"),
    ("network.name", "../a", "give a name of letters"),
    ("network.source", "pandapower", "give one of: 'pglib', 'file'"),
]
# Outage probabilities of k = 2, and what is said.
PROBABILITIES: list[tuple[Any, str]] = [
    ([0.5, 0.25, 0.2], "[0.5, 0.25, 0.2] is not usable; the sum is 0.95; make it 1"),
    ([0.5, 0.5], "[0.5, 0.5] is not usable; give 3 probabilities, of 0 to k = 2 outages"),
    ({3: 1.0}, "[0.0, 0.0, 0.0, 1.0] is not usable; give 3 probabilities"),
    ([1.5, -0.5, 0], "[1.5, -0.5, 0] is not usable; 1.5 is not a probability"),
    ([True, 0, 0], "[True, 0, 0] is not usable; True is not a number"),
    ({"one": 1.0}, "{'one': 1.0} is not usable; 'one' is not a count of outages"),
    ("even", "'even' is not usable; give a list"),
]
# Whole blocks, and what is said.
BLOCKS: list[tuple[dict[str, Any], str]] = [
    ({"network": {}}, "network.name: None is not usable; the key is missing"),
    ({"netwrok": {"name": "a"}}, "'netwrok' is not usable; the block is not known; did you mean"),
    ({"load": {"scenarois": 3}}, "load: 'scenarois' is not usable; the key is not known; did you"),
    ({"load": {"scenarois": 3}}, "did you mean load.scenarios?"),
    ({"load": {"seed": 3}}, "load: 'seed' is not usable; the key is not known here; did you"),
    ({"load": {"seed": 3}}, "did you mean settings.seed?"),
    ({"num_processes": 3}, "did you mean settings.num_processes?"),
    ({"dynamic": {}}, "'dynamic' is not usable; the block is not known; there are: network, load"),
    ({"settings": {"no_stats": True}}, "settings: 'no_stats' is not usable; the key is not known"),
    ({"load": {"generator": "precomputed_profile"}}, "load.scenario_file: None is not usable"),
    ({"load": [1]}, "load: [1] is not usable; give a block of keys"),
    ({"topology_perturbation": {"type": "random", "k": 0}}, "k: 0 is not usable; give 1 or more"),
    ({"topology_perturbation": {"elements": ["line"]}}, "give one of: 'branch', 'gen'"),
]


def refusal(**blocks: Any) -> str:
    with pytest.raises(BadInput) as caught:
        made(**blocks)
    line = str(caught.value)
    assert "\n" not in line
    return line


@pytest.mark.parametrize(("key", "value", "remedy"), VALUES)
def test_a_wrong_value_is_one_line_that_names_key_value_and_remedy(
    key: str, value: Any, remedy: str
) -> None:
    block, _, name = key.partition(".")
    given = {"name": "case14_ieee"} if block == "network" else {}
    line = refusal(**{block: {**given, name: value}})
    assert line.startswith(f"here: {key}: {value!r} is not usable; {remedy}")


@pytest.mark.parametrize(("given", "remedy"), PROBABILITIES)
def test_wrong_outage_probabilities_are_refused(given: Any, remedy: str) -> None:
    line = refusal(topology_perturbation={**RANDOM, "outage_count_probabilities": given})
    key = "topology_perturbation.outage_count_probabilities"
    assert line.startswith(f"here: {key}: {remedy}")


@pytest.mark.parametrize(("blocks", "remedy"), BLOCKS)
def test_a_wrong_block_or_key_is_told(blocks: dict[str, Any], remedy: str) -> None:
    assert remedy in refusal(**blocks)


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("- a\n- b\n", "holds a list, not blocks"),
        ("", "holds nothing, not blocks"),
        ("network: {name: a\n", "line 2: expected"),
        ("network:\n  name: a\n  name: b\n", "line 3: key 'name' stands twice"),
        ("network: {name: a}\nload: {}\nnetwork: {name: b}\n", "key 'network' stands twice"),
        ("network: !!python/object/apply:os.getcwd []\n", "could not determine a constructor"),
        ("network: {name: a}\n---\nload: {}\n", "line 2: but found another document"),
    ],
)
def test_a_file_that_is_not_a_configuration(tmp_path: Path, text: str, fact: str) -> None:
    with pytest.raises(SourceFileBroken) as caught:
        read_config(written(tmp_path, text))
    assert fact in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(SourceFileMissing, match="give the path of a YAML file"):
        read_config(tmp_path)
    path = tmp_path / "c.yaml"
    path.write_bytes(b"network: \xff\xfe")
    with pytest.raises(SourceFileBroken, match="not UTF-8"):
        read_config(path)


def test_yaml_gives_the_same_configuration_again(tmp_path: Path) -> None:
    config = made(
        topology_perturbation={**RANDOM, "outage_count_probabilities": {0: 0.1, 2: 0.9}},
        settings={"seed": 2**70, "mode": "opf"},
    )
    assert read_config(written(tmp_path, config.as_yaml())) == config


def test_the_digest_counts_what_determines_the_data() -> None:
    base = made(topology_perturbation={"type": "random"}).digest
    same = [
        {"settings": {"num_processes": 1, "data_dir": "/tmp", "large_chunk_size": 5}},
        {"settings": {"overwrite": False, "enable_solver_logs": False, "seed": 3}},
        {"settings": {"pf_fast": False, "dcpf_fast": False}},
        {"generation_perturbation": {"type": "none", "sigma": 0.3}},
        {"network": {"name": "case14_ieee", "network_dir": "elsewhere"}},
    ]
    other = [
        {"load": {"sigma": 0.1}},
        {"load": {"scenarios": 10}},
        {"topology_perturbation": {"type": "random", "elements": ["branch"]}},
        {"generation_perturbation": {"type": "cost_permutation"}},
        {"settings": {"mode": "opf"}},
        {"settings": {"include_dc_res": False}},
        {"network": {"name": "case24_ieee_rts"}},
    ]
    topology = {"topology_perturbation": {"type": "random"}}
    assert {made(**{**topology, **blocks}).digest for blocks in same} == {base}
    others = {made(**{**topology, **blocks}).digest for blocks in other}
    assert len(others) == len(other)
    assert base not in others


def test_the_digest_counts_the_content_of_a_file_of_load_scenarios(tmp_path: Path) -> None:
    path, moved = tmp_path / "a.csv", tmp_path / "b.csv"
    path.write_text("load_scenario,load,p_mw,q_mvar\n0,0,1,1\n")
    moved.write_bytes(path.read_bytes())
    load = {"generator": "precomputed_profile", "scenario_file": str(path), "scenarios": 1}
    digest = made(load=load).digest
    assert made(load={**load, "scenario_file": str(moved)}).digest == digest
    path.write_text("load_scenario,load,p_mw,q_mvar\n0,0,1,2\n")
    assert made(load=load).digest != digest
    path.unlink()
    with pytest.raises(SourceFileMissing):
        made(load=load).digest  # noqa: B018
