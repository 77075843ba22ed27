"""How checks go over a dataset of several partitions, and what they tell."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from planted_faults import BUS, FAULTS, add, edit, everywhere, put
from scenario_datasets import configuration, write_dataset

from data_engineering.model.errors import BadInput
from data_engineering.scenarios import checks, slices
from data_engineering.scenarios.checks import check_dataset


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """440 samples of case 14 in three partitions."""
    folder = tmp_path_factory.mktemp("large")
    assert write_dataset(folder, configuration(scenarios=110)) == 440
    return folder


@pytest.fixture
def copied(large: Path, tmp_path: Path) -> Path:
    """The same, to be damaged."""
    shutil.copytree(large, tmp_path / "raw")
    return tmp_path / "raw"


def test_all_partitions_are_looked_into_and_progress_is_told(large: Path) -> None:
    told: list[tuple[int, int]] = []
    findings = check_dataset(
        large, n_partitions=0, progress=lambda done, of: told.append((done, of))
    )
    assert findings.passed
    assert (findings.scenarios, findings.partitions, findings.of) == (440, (0, 1, 2), 3)
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_the_same_partitions_are_chosen_each_time(large: Path) -> None:
    first = check_dataset(large, n_partitions=2)
    assert len(first.partitions) == 2
    assert check_dataset(large, n_partitions=2).partitions == first.partitions


def test_processes_find_the_same(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "ALONE", 1)
    edit(copied, BUS, add("Vm", 0.01, sample=205), number=1)
    edit(copied, BUS, add("Vm", 0.01, sample=401), number=2)
    alone = check_dataset(copied, n_partitions=0)
    assert {finding.scenario for finding in alone.found} == {205, 401}
    assert check_dataset(copied, n_partitions=0, processes=2) == alone


def test_slices_of_one_sample_find_the_same(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What spans samples, such as held voltages, is found across slices as well."""
    edit(copied, BUS, add("Vm", 0.01, sample=2))
    edit(copied, BUS, put("load_scenario_idx", 7, sample=9, element=3))
    whole = check_dataset(copied, n_partitions=0)
    assert {"held_voltage", "branch_flow", "load_scenario"} == set(whole.counts)
    monkeypatch.setattr(slices, "SLICE_BYTES", 1)
    alone = check_dataset(copied, n_partitions=0)
    assert alone.counts == whole.counts


def test_findings_are_counted_but_few_are_kept(copied: Path) -> None:
    edit(copied, BUS, everywhere("vn_kv", -1.0))
    findings = check_dataset(copied, n_partitions=0)
    # 14 buses of 200 samples; the first sample, which is the reference, is among them.
    assert findings.counts["base_voltage"] == 14 * 200
    assert findings.counts["constants"] == 14 * 240
    assert sum(finding.check == "base_voltage" for finding in findings.found) == 10
    assert findings.failed == ("base_voltage", "constants")


def test_a_finding_tells_where_what_and_what_should_be(copied: Path) -> None:
    edit(copied, BUS, put("BS", 0.5, sample=203, element=4), number=1)
    told = {str(finding) for finding in check_dataset(copied, n_partitions=0).found}
    assert "constants: bus_data.BS, scenario 203, bus 4: 0.5; should be 0" in told


def test_partitions_of_other_sizes_are_found(copied: Path) -> None:
    """The samples of two partitions in each other's place."""
    for table in copied.glob("*.parquet/scenario_partition=0"):
        other = table.with_name("scenario_partition=1")
        table.rename(table.with_name("kept"))
        other.rename(table)
        table.with_name("kept").rename(other)
    findings = check_dataset(copied, n_partitions=0)
    assert {"scenario_ids", "load_scenario"} == set(findings.counts)


def test_a_missing_last_partition_is_found(copied: Path) -> None:
    for path in copied.glob("*.parquet/scenario_partition=2"):
        shutil.rmtree(path)
    findings = check_dataset(copied, n_partitions=0)
    assert findings.counts == {"scenario_count": 1}
    assert findings.found[0].value == "440"
    assert findings.found[0].bound == "400"


def test_load_scenarios_that_go_back_between_partitions_are_found(copied: Path) -> None:
    edit(copied, BUS, add("load_scenario_idx", -50, sample=200), number=1)
    findings = check_dataset(copied, n_partitions=1)
    assert "load_scenario" in findings.counts
    assert any(finding.element == "partition 1" for finding in findings.found)


def test_the_mode_given_goes_before_that_of_the_file(large: Path) -> None:
    """Of power flows, more than the slack leaves its limits where an optimum may not."""
    findings = check_dataset(large, mode="opf", n_partitions=1)
    assert findings.mode == "opf"
    assert {"dc_limits", "loading", "unit_limits", "voltage_limits"} & set(findings.counts)
    assert "held_power" not in findings.checks


def test_without_a_configuration_the_mode_must_be_given(copied: Path) -> None:
    (copied / "args.log").unlink()
    with pytest.raises(BadInput, match=r"mode: None is not usable; .*give pf or opf"):
        check_dataset(copied)
    findings = check_dataset(copied, mode="pf")
    assert findings.passed
    assert "outages" not in findings.checks


def test_without_dc_results_their_checks_do_not_apply(tmp_path: Path) -> None:
    config = configuration(scenarios=1, settings={"mode": "pf", "include_dc_res": False})
    write_dataset(tmp_path, config)
    findings = check_dataset(tmp_path)
    assert findings.passed
    assert not any(name.startswith("dc_") for name in findings.checks)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"mode": "ac"}, "mode: 'ac' is not usable; give pf or opf"),
        ({"n_partitions": -1}, "n_partitions: -1 is not usable; give 0 for all"),
        ({"processes": 0}, "processes: 0 is not usable; give 1 or more"),
        ({"sn_mva": 0.0}, "sn_mva: 0.0 is not usable; give the base power"),
    ],
)
def test_bad_options_are_told(large: Path, options: dict[str, object], said: str) -> None:
    with pytest.raises(BadInput, match=re.escape(said)):
        check_dataset(large, **options)  # type: ignore[arg-type]


def test_a_folder_without_a_dataset_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="give the raw folder of a dataset"):
        check_dataset(tmp_path)


def test_names_of_faults_are_unique() -> None:
    names = [(fault.name, fault.mode) for fault in FAULTS]
    assert len(set(names)) == len(names)
