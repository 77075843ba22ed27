"""`lascopf scenarios`: what is refused, in one line with its exit code, and what is said."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from scenario_folders import WorkersHere, search_factor_here

from data_engineering.orchestration import scenario_plan, scenario_runs
from data_engineering.scenarios import load_tables


@pytest.fixture(autouse=True)
def _here(monkeypatch, tmp_path):
    monkeypatch.setattr(scenario_runs, "Workers", WorkersHere)
    monkeypatch.setattr(scenario_plan, "search_factor", search_factor_here)
    monkeypatch.setattr(load_tables, "MOST_BUSES", 0)
    monkeypatch.chdir(tmp_path)


def configuration(**blocks):
    """A file with a small configuration, changed by `blocks`."""
    values = {
        "network": {"name": "case14_ieee"},
        "load": {"scenarios": 3},
        "settings": {"data_dir": "out", "seed": 1},
    }
    for name, block in blocks.items():
        values[name] = {**values.get(name, {}), **block}
    Path("config.yaml").write_text(yaml.safe_dump(values))
    return "config.yaml"


def only_line(said):
    lines = [line for line in said.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert said.err.splitlines()[-1] == lines[0]
    assert said.out == ""
    return lines[0]


WRONG = {
    "misspelt key": ({"load": {"scenarois": 3}}, "did you mean load.scenarios?"),
    "unknown block": ({"laod": {"scenarios": 3}}, "did you mean load?"),
    "wrong type": ({"load": {"sigma": "much"}}, "load.sigma: 'much' is not usable; give a number"),
    "k too large": (
        {"topology_perturbation": {"type": "random", "k": 500}},
        "topology_perturbation.k: 500",
    ),
    "probabilities": (
        {
            "topology_perturbation": {
                "type": "random",
                "k": 1,
                "outage_count_probabilities": [0.5, 0.6],
            }
        },
        "the sum is 1.1; make it 1",
    ),
    "infeasible": (
        {"load": {"start_scaling_factor": 3.0}},
        "load.start_scaling_factor: 3.0 is not usable",
    ),
    "no such case": ({"network": {"name": "case14_iee"}}, "pglib/case14_ieee"),
    "no such file": ({"network": {"source": "file"}}, "scripts/grids/case14_ieee.m is missing"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_configurations_are_one_line(lascopf, name):
    blocks, expected = WRONG[name]
    said = lascopf("scenarios", "generate", configuration(**blocks))
    assert said.code == 2
    assert expected in only_line(said)
    assert sorted(path.name for path in Path().iterdir()) == ["config.yaml", "home"]


def test_a_missing_configuration_is_named(lascopf):
    said = lascopf("scenarios", "generate", "nothing.yaml")
    assert said.code == 2
    assert "nothing.yaml is missing" in only_line(said)


def test_a_folder_of_another_configuration_is_named_with_the_keys(lascopf):
    assert lascopf("scenarios", "generate", configuration()).code == 0
    said = lascopf("scenarios", "generate", configuration(load={"sigma": 0.1}))
    assert said.code == 2
    line = only_line(said)
    assert "load.sigma (0.2 there, 0.1 here)" in line
    assert "--replace" in line


def test_a_data_dir_that_is_a_file_is_refused(lascopf):
    Path("out").write_text("x")
    said = lascopf("scenarios", "generate", configuration())
    assert said.code == 2
    assert "settings.data_dir" in only_line(said)


@pytest.mark.parametrize("command", ["validate", "stats", "plots"])
def test_a_folder_without_a_dataset_is_refused(lascopf, command):
    said = lascopf("scenarios", command, ".")
    assert said.code == 2
    assert "bus_data.parquet" in only_line(said)


def test_generate_validate_and_change(lascopf):
    made = lascopf("scenarios", "generate", configuration(), "--json")
    assert made.code == 0
    assert made.document["status"] == "ok"
    assert made.document["scenarios"] == 3
    folder = Path(made.document["folder"])
    assert folder == Path("out/case14_ieee/raw").absolute()
    for name in (folder, folder.parent):
        checked = lascopf("scenarios", "validate", str(name), "--json", "--processes", "1")
        assert checked.code == 0
        assert checked.document["passed"] is True
    (folder / "n_scenarios.txt").write_text("4")
    checked = lascopf("scenarios", "validate", str(folder), "--processes", "1")
    assert checked.code == 3
    assert "scenario_count" in checked.err.splitlines()[-1]
    checked = lascopf("scenarios", "validate", str(folder), "--processes", "1", "--json")
    assert checked.code == 3
    assert checked.document["passed"] is False


@pytest.mark.slow
def test_statistics_and_plots_are_where_they_are_said_to_be(lascopf):
    lascopf("scenarios", "generate", configuration())
    for command in ("stats", "plots"):
        said = lascopf("scenarios", command, "out/case14_ieee", "--json")
        assert said.code == 0
        assert said.document["files"]
        assert all(Path(path).exists() for path in said.document["files"])
    same = lascopf(
        "scenarios", "stats", "out/case14_ieee", "--compare", "out/case14_ieee", "--json"
    )
    assert {"bus_data", "gen_data", "branch_data"} <= {
        one["table"] for one in same.document["coverage"]
    }
    # A feature without a value in three samples has no coverage: null.
    gained = [one["gained"] for one in same.document["coverage"] if one["gained"] is not None]
    assert set(gained) == {0.0}
    said = lascopf("scenarios", "plots", "out/case14_ieee", "--output-dir", "elsewhere")
    assert all(Path(line).is_relative_to("elsewhere") for line in said.out.splitlines())
    # What was made beside the tables does not keep the dataset from being the same one.
    assert lascopf("scenarios", "generate", configuration(), "--json").document["done"] == (
        "finished before"
    )


def test_init_writes_the_defaults_once(lascopf):
    assert lascopf("scenarios", "init", "mine.yaml").code == 0
    said = lascopf("scenarios", "init", "mine.yaml")
    assert said.code == 2
    assert "--force" in only_line(said)
    assert lascopf("scenarios", "init", "mine.yaml", "--force").code == 0
    sample = Path(__file__).parents[3] / "configs" / "scenarios" / "default.yaml"
    assert Path("mine.yaml").read_text() == sample.read_text()  # whose keys have tests


def test_help_needs_nothing_heavy():
    code = (
        "import sys; from data_engineering.cli.app import app;"
        "print(*[m for m in ('numpy', 'pyarrow', 'casadi', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_json_of_an_error_is_one_object(lascopf):
    said = lascopf("scenarios", "generate", configuration(load={"sigma": 7}), "--json")
    assert json.loads(said.out)["exit_code"] == 2
