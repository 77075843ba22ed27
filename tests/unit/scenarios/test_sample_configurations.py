"""The configurations in configs/scenarios: they load, say all defaults, and fit their grids."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from solve_cases import pglib

from data_engineering.scenarios.case import prepare
from data_engineering.scenarios.config import Config, config_from, read_config
from data_engineering.scenarios.sampler import sampler_of

ROOT = Path(__file__).parents[3]
PATHS = sorted((ROOT / "configs" / "scenarios").glob("*.yaml"))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_sample_configuration_draws_samples(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    config = read_config(path)
    sampler = sampler_of(prepare(pglib(config.network.name)), config, 1, 1.0)
    samples = next(sampler.samples(sampler.count - 1))
    assert len(samples) > 1
    assert np.isfinite(samples.load_p_mw).all()
    assert path.read_text().startswith("# ")


def test_there_is_one_of_each_kind() -> None:
    assert [path.stem for path in PATHS] == [
        "case118_opf", "case118_pf", "case2000_pf", "default", "ercot", "n_minus_1", "precomputed",
    ]  # fmt: skip


def test_the_default_file_says_the_defaults() -> None:
    """Every key but three types, which the format's own default file turns on."""
    written = read_config(ROOT / "configs" / "scenarios" / "default.yaml")
    turned_on = {
        "topology_perturbation": {"type": "random"},
        "generation_perturbation": {"type": "cost_permutation"},
        "admittance_perturbation": {"type": "random_perturbation"},
    }
    assert config_from({"network": {"name": "case24_ieee_rts"}, **turned_on}, "here") == written
    text = (ROOT / "configs" / "scenarios" / "default.yaml").read_text()
    for block in Config.model_fields.values():
        for key in block.annotation.model_fields:  # type: ignore[union-attr]
            assert f"  {key}: " in text or f"  # {key}: " in text, key


def test_the_big_ones_ask_for_200_000_samples() -> None:
    for stem in ("case118_pf", "case118_opf", "case2000_pf"):
        config = read_config(ROOT / "configs" / "scenarios" / f"{stem}.yaml")
        topology = config.topology_perturbation
        assert config.load.scenarios * topology.n_topology_variants == 200_000
