"""Plots of features: shapes of known distributions, and the files that are written."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from scenario_datasets import configuration, write_dataset

from data_engineering.model.errors import BadInput
from data_engineering.scenarios import distributions
from data_engineering.scenarios.distributions import FEATURES, read_distributions, shape
from data_engineering.scenarios.plots import write_plots


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """240 samples of case 14 in two partitions."""
    folder = tmp_path_factory.mktemp("dataset")
    assert write_dataset(folder, configuration(scenarios=60)) == 240
    return folder


def test_a_shape_has_the_quartiles_and_the_density_of_its_values() -> None:
    values = np.random.default_rng(1).normal(3.0, 2.0, 5000)
    found = shape(7, values)
    assert (found.bus, found.count) == (7, 5000)
    # Quartiles of a normal distribution are 0.6745 deviations away; the standard error of one of
    # 5000 samples is 1.36 deviations by the root of 5000, 0.04 here: four of them.
    assert found.quantiles[1:4] == pytest.approx([3 - 1.349, 3, 3 + 1.349], abs=0.16)
    assert found.mean == pytest.approx(3, abs=0.12)
    expected = np.exp(-(((found.along - 3) / 2) ** 2) / 2)
    # Smoothing by n^-0.2 = 0.18 deviations makes it 2 % wider; the rest is chance.
    assert np.abs(found.density - expected).max() < 0.08
    assert found.density.max() == 1


def test_two_values_give_two_hills() -> None:
    found = shape(0, np.repeat([0.0, 1.0], 200))
    middle = found.density[len(found.density) // 2]
    assert found.density[0] > 0.95
    assert found.density[-1] > 0.95
    assert middle < 0.5


def test_one_value_and_none_have_no_density() -> None:
    constant = shape(0, np.full(10, 5.0))
    assert constant.along.tolist() == [5.0]
    assert constant.quantiles.tolist() == [5.0] * 5
    assert shape(0, np.full(10, np.nan)).count == 0


def test_a_picture_of_each_feature_and_a_page_are_written(dataset: Path, tmp_path: Path) -> None:
    files = write_plots(dataset, tmp_path / "plots", n_partitions=0)
    names = [f"distribution_{feature}.png" for feature in FEATURES]
    assert [path.name for path in files] == [*names, "distributions.html"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in files[:-1])
    text = files[-1].read_text()
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=", text)
    figures = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', text)
    assert len(figures) == len(FEATURES)
    means = json.loads(figures[0])["data"][-1]
    # The 11 buses with load.
    assert len(means["y"]) == 11


def test_without_dc_results_there_are_no_plots_of_them(tmp_path: Path) -> None:
    config = configuration(scenarios=1, settings={"mode": "pf", "include_dc_res": False})
    write_dataset(tmp_path / "raw", config)
    files = write_plots(tmp_path / "raw", tmp_path / "plots")
    assert len(files) == 10
    assert not any("dc" in path.name for path in files)


def test_few_samples_and_buses_are_drawn_and_always_the_same(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributions, "SAMPLES", 50)
    monkeypatch.setattr(distributions, "BUSES", 5)
    first, again = (read_distributions(dataset, n_partitions=0) for _ in range(2))
    assert (first.samples, first.of, first.buses) == (50, 240, 14)
    for name, shapes in first.shapes.items():
        # Of case 14, two buses have generators with active power.
        assert len(shapes) == (2 if name in ("Pg", "Pg_dc") else 5)
        assert [one.bus for one in again.shapes[name]] == [one.bus for one in shapes]
        assert [one.mean for one in again.shapes[name]] == [one.mean for one in shapes]


def test_powers_are_per_unit(dataset: Path) -> None:
    one = read_distributions(dataset, sn_mva=100.0)
    ten = read_distributions(dataset, sn_mva=10.0)
    for name, share in (("Pd", 10.0), ("Qg", 10.0), ("Vm", 1.0)):
        expected = [shape.mean * share for shape in one.shapes[name]]
        assert [shape.mean for shape in ten.shapes[name]] == pytest.approx(expected, rel=1e-12)


def test_a_folder_without_a_dataset_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="give the raw folder of a dataset"):
        write_plots(tmp_path, tmp_path / "plots")
