"""Statistics of datasets against hand calculations, and coverage against known distributions."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from planted_faults import BUS, GEN, TIMES, add, edit, everywhere, without
from scenario_datasets import configuration, write_dataset

from data_engineering.model.errors import BadInput, SourceFileBroken
from data_engineering.scenarios.coverage import (
    Counts,
    Coverage,
    Feature,
    FeatureCoverage,
    compare,
    entropy,
    places,
    read_coverage,
)
from data_engineering.scenarios.slices import Slice
from data_engineering.scenarios.statistics import sample_metrics, write_statistics


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """240 samples of case 14 in two partitions, with their statistics."""
    folder = tmp_path_factory.mktemp("large")
    assert write_dataset(folder, configuration(scenarios=60)) == 240
    write_statistics(folder, n_partitions=0)
    return folder


def two_buses(**dc: float) -> Slice:
    """A generator, a lossless line of x = 0.1 p.u. and a load, made by hand.

    sin(angle) is 0.1, so that 1 p.u. flows; each end takes (1 - cos(angle)) / x of Q.
    """
    angle = float(np.rad2deg(np.arcsin(0.1)))
    q = float((1 - np.sqrt(1 - 0.1**2)) / 0.1) * 100
    bus = {
        "scenario": [[0, 0]], "bus": [[0, 1]], "Pd": [[0.0, 99.0]], "Qd": [[0.0, -q]],
        "Pg": [[100.0, 0.0]], "Qg": [[q + 2.0, 0.0]], "Vm": [[1.0, 1.0]],
        "Va": [[0.0, -angle]], "GS": [[0.0, 0.01]], "BS": [[0.0, 0.0]],
        "Va_dc": [[0.0, np.rad2deg(-0.1)]], "Pg_dc": [[100.0, 0.0]],
    }  # fmt: skip
    gen = {"in_service": [[1, 0]]}
    branch = {
        "from_bus": [[0]], "to_bus": [[1]], "br_status": [[1]], "rate_a": [[80.0]],
        "pf": [[100.0]], "qf": [[q]], "pt": [[-100.0]], "qt": [[q]],
        **{f"Y{ends}_r": [[0.0]] for ends in ("ff", "ft", "tf", "tt")},
        "Yff_i": [[-10.0]], "Ytt_i": [[-10.0]], "Yft_i": [[10.0]], "Ytf_i": [[10.0]],
    }  # fmt: skip
    for name, value in dc.items():
        bus[name] = [[value, value]]
    return Slice(
        scenario=np.array([0]),
        bus={name: np.array(values) for name, values in bus.items()},
        gen={name: np.array(values) for name, values in gen.items()},
        branch={name: np.array(values) for name, values in branch.items()},
        y_bus={},
        runtime={"ac": np.array([0.25]), "dc": np.array([0.5])},
    )


def test_metrics_of_two_buses_are_those_by_hand() -> None:
    found = {name: values[0] for name, values in sample_metrics(two_buses(), 100.0).items()}
    assert (found["n_generators"], found["n_branches"], found["n_overloads"]) == (1, 1, 1)
    q = (1 - np.sqrt(0.99)) / 0.1 * 100
    assert found["max_loading"] == pytest.approx(np.hypot(100, q) / 80, rel=1e-12)
    # 2 Mvar too many at bus 0; the shunt of 1 MW makes good for the demand of 99 MW.
    assert found["p_balance_error_ac_max"] == pytest.approx(0, abs=1e-9)
    assert found["q_balance_error_ac_max"] == pytest.approx(2, abs=1e-9)
    assert found["q_balance_error_ac_mean"] == pytest.approx(1, abs=1e-9)
    # At the angle of the DC solution the AC network takes 100 MW sin(0.1) / 0.1.
    off = 100 - 1000 * np.sin(0.1)
    assert found["p_balance_error_dc_max"] == pytest.approx(off, abs=1e-9)
    assert found["p_balance_error_dc_mean"] == pytest.approx(off, abs=1e-9)
    assert (found["runtime_data_ac_ms"], found["runtime_data_dc_ms"]) == (250, 500)


def test_without_a_dc_solution_its_metrics_are_missing() -> None:
    found = sample_metrics(two_buses(Va_dc=np.nan, Pg_dc=np.nan), 100.0)
    for name in ("max", "mean"):
        assert np.isnan(found[f"p_balance_error_dc_{name}"]).all()
    assert np.isnan(found["bus_idx_max_p_balance_error_dc_per_scenario"]).all()
    assert found["p_balance_error_ac_max"] == pytest.approx(0, abs=1e-9)


def test_one_row_of_statistics_is_written_for_each_sample(large: Path) -> None:
    table = pq.read_table(large / "stats.parquet")
    assert table["scenario"].to_pylist() == list(range(240))
    assert sorted(set(table["scenario_partition"].to_pylist())) == [0, 1]
    loading = np.array(table["max_loading"])
    assert (np.array(table["n_overloads"]) > 0).tolist() == (loading > 1.01).tolist()
    # A power flow of case 14 ends with 1e-8 p.u., 1e-6 MW, left over at most.
    assert np.array(table["p_balance_error_ac_max"]).max() < 1e-6


def test_a_changed_value_shows_in_its_metrics_alone(large: Path, tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    write_dataset(folder, configuration(scenarios=2))
    before = write_statistics(folder).metrics
    edit(folder, BUS, add("Pd", -3.0, element=4))
    edit(folder, TIMES, everywhere("ac", 0.5))
    after = write_statistics(folder).metrics
    assert after["p_balance_error_ac_max"][1] == pytest.approx(3.0, abs=1e-6)
    assert after["p_balance_error_ac_mean"][1] == pytest.approx(3.0 / 14, abs=1e-6)
    assert after["runtime_data_ac_ms"].tolist() == [500.0] * 8
    for name in ("q_balance_error_ac_max", "max_loading", "n_branches"):
        assert after[name].tolist() == before[name].tolist()


def test_the_page_holds_all_it_needs(large: Path) -> None:
    text = (large / "stats_plot.html").read_text()
    assert "Plotly" in text
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=", text)
    figures = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', text)
    assert len(figures) == 15
    counted = [json.loads(figure)["data"][0]["y"] for figure in figures[:4]]
    assert [sum(counts) for counts in counted] == [240] * 4
    assert (large / "stats_plot.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_dataset_gives_the_same_files(large: Path) -> None:
    names = ("stats_plot.png", "stats_plot.html", "coverage.parquet", "coverage.json")
    before = [(large / name).read_bytes() for name in names]
    write_statistics(large, n_partitions=0)
    assert [(large / name).read_bytes() for name in names] == before


def test_only_chosen_partitions_are_looked_at(large: Path) -> None:
    found = write_statistics(large, n_partitions=1)
    assert len(found.partitions) == 1
    assert len(found.metrics["scenario"]) in (40, 200)
    write_statistics(large, n_partitions=0)


def test_rows_that_cannot_be_shared_are_told(tmp_path: Path) -> None:
    write_dataset(tmp_path, configuration(scenarios=2))
    edit(tmp_path, GEN, lambda c: [c.__setitem__(name, c[name][1:]) for name in list(c)])
    with pytest.raises(BadInput, match="gen_data of partition 0: '39 rows' is not usable"):
        write_statistics(tmp_path)


def test_a_column_that_is_missing_is_told(tmp_path: Path) -> None:
    write_dataset(tmp_path, configuration(scenarios=1))
    edit(tmp_path, GEN, without("in_service"))
    with pytest.raises(BadInput, match="gen_data of partition 0: 'no column in_service'"):
        write_statistics(tmp_path)


def test_a_file_that_is_not_whole_is_told(tmp_path: Path) -> None:
    write_dataset(tmp_path, configuration(scenarios=1))
    (path,) = tmp_path.glob("branch_data.parquet/*/*")
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(SourceFileBroken, match=r"is broken: .*; check the dataset"):
        write_statistics(tmp_path)


ONE = Feature("bus_data", "Vm", "p.u.", 0.0, 1.0, 10, lambda part, base: (part, part))  # type: ignore[arg-type,return-value]


def coverage_of(values: np.ndarray) -> float:
    """The entropy of one element."""
    counted = np.ones(values.shape, dtype=np.bool_)
    bins = np.bincount(places(values, counted, ONE), minlength=10 * values.shape[1])
    return float(entropy(bins.reshape(-1, 10))[0])


def test_even_values_cover_all_and_a_constant_nothing() -> None:
    assert coverage_of((np.arange(1000)[:, None] + 0.5) / 1000) == pytest.approx(1, abs=1e-12)
    assert coverage_of(np.full((1000, 1), 0.3)) == 0


def test_halves_cover_the_logarithm_of_two() -> None:
    values = np.repeat([[0.05], [0.95]], 50, axis=0)
    assert coverage_of(values) == pytest.approx(np.log(2) / np.log(10), abs=1e-12)
    # Shares of 1/2, 1/4, 1/4: 1.5 bits.
    values = np.array([[0.05], [0.05], [0.15], [0.25]])
    assert coverage_of(values) == pytest.approx(1.5 * np.log(2) / np.log(10), abs=1e-12)


def test_values_outside_count_in_the_last_bins() -> None:
    values = np.array([[-5.0], [0.0], [1.0], [7.0]])
    counted = np.ones((4, 1), dtype=np.bool_)
    assert places(values, counted, ONE).tolist() == [0, 0, 9, 9]


def test_values_that_do_not_count_are_left_out() -> None:
    values = np.array([[0.1, np.nan], [0.2, 0.3]])
    counted = np.array([[True, True], [False, True]])
    assert places(values, counted, ONE).tolist() == [1, 13]


def test_coverage_of_a_dataset_tells_what_varies(large: Path) -> None:
    found = read_coverage(large)
    # Case 14 has 11 loads; nothing perturbs costs and impedances.
    assert found.of("bus_data", "Pd").elements == 11
    assert found.of("bus_data", "Pd").mean > 0.1
    assert found.of("gen_data", "cp1_eur_per_mw").greatest == 0
    assert found.of("branch_data", "x").greatest == 0
    assert found.of("branch_data", "x").pooled > 0.3
    assert 0 < found.of("branch_data", "br_status").mean < 0.7
    told = {
        (row["table"], row["feature"]) for row in json.loads((large / "coverage.json").read_text())
    }
    assert told == {(one.table, one.feature) for one in found.features}


def test_a_wider_dataset_gains_coverage(tmp_path: Path) -> None:
    ways = {"narrow": (0.01, 0.05), "wide": (0.3, 0.6)}
    for name, (sigma, spread) in ways.items():
        load = {"scenarios": 40, "sigma": sigma, "global_range": spread}
        config = configuration(load=load, topology_perturbation={"type": "none"})
        write_dataset(tmp_path / name, config)
        write_statistics(tmp_path / name)
    narrow, wide = (read_coverage(tmp_path / name) for name in ways)
    gained = {(one.table, one.feature): one.gained for one in compare(narrow, wide)}
    for feature in (("bus_data", "Pd"), ("bus_data", "Va"), ("branch_data", "pf")):
        assert gained[feature] > 0.05
    assert gained["branch_data", "br_status"] == 0


def test_features_in_other_bins_are_not_compared() -> None:
    row = FeatureCoverage("bus_data", "Vm", "p.u.", 0.8, 1.2, 80, 10, 1, 0.5, 0.5, 0.5, 0.5)
    other = FeatureCoverage("bus_data", "Vm", "p.u.", 0.8, 1.2, 40, 10, 1, 0.5, 0.5, 0.5, 0.5)
    assert compare(Coverage((row,)), Coverage((other,))) == ()
    assert compare(Coverage((row,)), Coverage((row,)))[0].gained == 0


def test_coverage_that_was_not_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="write its statistics first"):
        read_coverage(tmp_path)


def test_without_samples_nothing_is_covered() -> None:
    found = Counts(dc=True).coverage()
    assert all(one.elements == 0 and np.isnan(one.mean) for one in found.features)
