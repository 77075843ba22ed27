"""Every planted fault is found, by the checks that are meant to find it and by no other."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from planted_faults import (
    BRANCH,
    FAULTS,
    GEN,
    Change,
    Fault,
    add,
    edit,
    permuted_twice,
    put,
    read,
)
from planted_file_faults import FOLDER_FAULTS, FolderFault
from scenario_datasets import configuration, write_dataset

from data_engineering.scenarios.checks import check_dataset
from data_engineering.scenarios.checks_list import CHECKS
from data_engineering.scenarios.contract import FLAG, FLOAT, TABLES, column_type, columns

PERTURBED = {
    "costs permuted": {
        "generation_perturbation": {"type": "cost_permutation"},
        "admittance_perturbation": {"type": "random_perturbation", "sigma": 0.2},
    },
    "costs perturbed": {"generation_perturbation": {"type": "cost_perturbation", "sigma": 0.5}},
    "costs perturbed by all": {"generation_perturbation": {"type": "cost_perturbation"}},
}


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Datasets of case 14: one for each mode, and in opf mode one for each perturbation."""
    folders = {}
    for mode in ("pf", "opf"):
        folders[mode] = tmp_path_factory.mktemp(mode)
        assert write_dataset(folders[mode], configuration(mode=mode)) == 12
    for name, blocks in PERTURBED.items():
        folders[name] = tmp_path_factory.mktemp("perturbed")
        assert write_dataset(folders[name], configuration(mode="opf", **blocks)) > 8
    return folders


@pytest.mark.parametrize("name", ["pf", "opf", *PERTURBED])
def test_nothing_is_found_in_a_clean_dataset(datasets: dict[str, Path], name: str) -> None:
    findings = check_dataset(datasets[name])
    assert findings.found == ()
    assert findings.passed
    assert findings.mode == ("pf" if name == "pf" else "opf")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.name} ({fault.mode})")
def test_a_planted_fault_is_found(datasets: dict[str, Path], tmp_path: Path, fault: Fault) -> None:
    folder = tmp_path / "raw"
    shutil.copytree(datasets[fault.mode], folder)
    edit(folder, fault.table, fault.change)
    findings = check_dataset(folder)
    assert set(findings.counts) == fault.found_by, "\n".join(map(str, findings.found))


@pytest.mark.parametrize("fault", FOLDER_FAULTS, ids=lambda fault: fault.name)
def test_a_fault_of_the_files_is_found(
    datasets: dict[str, Path], tmp_path: Path, fault: FolderFault
) -> None:
    folder = tmp_path / "raw"
    shutil.copytree(datasets["pf"], folder)
    fault.change(folder)
    findings = check_dataset(folder)
    assert set(findings.counts) == fault.found_by, "\n".join(map(str, findings.found))


@pytest.mark.parametrize(
    ("name", "table", "change", "found_by"),
    [
        ("costs permuted", GEN, permuted_twice, {"costs"}),
        ("costs permuted", GEN, add("cp1_eur_per_mw", 1.0), {"costs"}),
        ("costs perturbed", GEN, put("cp1_eur_per_mw", 100.0), {"costs"}),
        ("costs perturbed", GEN, put("cp1_eur_per_mw", -1.0), {"costs"}),
        ("costs perturbed", GEN, put("cp2_eur_per_mw2", 1.0), {"costs"}),
        ("costs perturbed by all", GEN, put("cp1_eur_per_mw", 0.0), {"costs"}),
        ("costs perturbed by all", GEN, put("cp1_eur_per_mw", -1.0), {"costs"}),
        (
            "costs permuted",
            BRANCH,
            put("x", 0.5),
            {"impedances", "branch_admittance", "dc_flow"},
        ),
        ("costs perturbed", BRANCH, add("r", 1e-12), {"impedances"}),
    ],
)
def test_more_than_the_configured_perturbation_is_found(
    datasets: dict[str, Path],
    tmp_path: Path,
    name: str,
    table: str,
    change: Change,
    found_by: set[str],
) -> None:
    folder = tmp_path / "raw"
    shutil.copytree(datasets[name], folder)
    edit(folder, table, change)
    findings = check_dataset(folder)
    assert set(findings.counts) == found_by, "\n".join(map(str, findings.found))


@pytest.mark.parametrize("mode", ["pf", "opf"])
def test_no_column_can_change_unseen(datasets: dict[str, Path], tmp_path: Path, mode: str) -> None:
    """A thousandth more of any value but a run time is found, at every element of a sample."""
    unseen = []
    for table in TABLES:
        if table == "runtime_data":
            continue
        (path,) = (datasets[mode] / f"{table}.parquet").glob("*/*.parquet")
        values = read(path)
        for name in columns(table, dc=True):
            folder = tmp_path / "raw"
            shutil.copytree(datasets[mode], folder)
            rows = range(3) if table == "y_bus_data" else range((values["scenario"] == 1).sum())
            element = sorted(rows)[-2]
            row = int((values["scenario"] == 0).sum()) + element
            edit(folder, table, add(name, _step(name, values[name][row]), element=element))
            if check_dataset(folder).passed:
                unseen.append(f"{table}.{name}")
            shutil.rmtree(folder)
    assert unseen == []


def _step(name: str, value: float) -> float:
    if column_type(name) == FLOAT:
        return 1e-3 * (1 + abs(value))
    return 1 - 2 * value if column_type(name) == FLAG else 1


def test_every_check_is_planted() -> None:
    planted = [fault.found_by for fault in (*FAULTS, *FOLDER_FAULTS)]
    assert set().union(*planted) == set(CHECKS)
