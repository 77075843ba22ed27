"""gridfm-datakit accepts the datasets of the platform: validate, stats and plots."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from gridfm_datakit import cli
from gridfm_datakit.utils.utils import get_num_scenarios
from made_datasets import CASES, VARIANTS, Make, lascopf

MODES = ("pf", "opf")
PAIRS = [(case, mode) for case in CASES for mode in MODES]
BLOCKED = """
import socket, sys
def refuse(self, address):
    raise SystemExit(f"a connection to {address} was tried")
socket.socket.connect = refuse
from gridfm_datakit.cli import main
main()
"""


def theirs(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run gridfm-datakit's command line; its exit code."""
    monkeypatch.setattr(sys, "argv", ["gridfm_datakit", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize(("case", "mode"), PAIRS)
def test_its_validator_accepts_every_partition(
    make: Make, monkeypatch: pytest.MonkeyPatch, case: str, mode: str
) -> None:
    raw = make(case, mode)
    assert get_num_scenarios(str(raw)) >= (201 if case == "case14_ieee" else 40)
    assert theirs(monkeypatch, "validate", str(raw), "--n-partitions", "0") == 0


@pytest.mark.parametrize(("case", "mode"), PAIRS)
def test_ours_accepts_them_too(make: Make, home: Path, case: str, mode: str) -> None:
    lascopf(home, "scenarios", "validate", str(make(case, mode)), "--n-partitions", "0")


def test_its_program_runs_without_julia_and_without_a_network(make: Make) -> None:
    """As a program of its own, in which any connection ends it."""
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, "validate", str(make("case14_ieee", "pf"))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Data validation completed successfully" in done.stdout
    assert "juliacall" not in sys.modules


@pytest.mark.parametrize(("case", "mode"), PAIRS)
def test_its_statistics_are_ours(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: Path, case: str, mode: str
) -> None:
    raw = tmp_path / "raw"
    shutil.copytree(make(case, mode), raw)
    lascopf(home, "scenarios", "stats", str(raw), "--n-partitions", "0")
    assert (raw / "stats_plot.html").stat().st_size > 1e6
    ours = pd.read_parquet(raw / "stats.parquet").set_index("scenario").sort_index()
    shutil.rmtree(raw / "stats.parquet")
    (raw / "stats_plot.png").unlink()
    assert theirs(monkeypatch, "stats", str(raw), "--n-partitions", "0") == 0
    assert (raw / "stats_plot.png").is_file()
    expected = pd.read_parquet(raw / "stats.parquet").set_index("scenario").sort_index()
    assert set(expected) - {"scenario_partition"} == set(ours) - {"scenario_partition"}
    assert ours.index.tolist() == expected.index.tolist()
    for name in sorted(set(expected) - {"scenario_partition"}):
        np.testing.assert_allclose(
            ours[name], expected[name].to_numpy(float), rtol=1e-9, atol=1e-9, err_msg=name
        )


@pytest.mark.parametrize(("case", "mode"), PAIRS)
def test_its_plots_are_made(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, case: str, mode: str
) -> None:
    raw = str(make(case, mode))
    assert theirs(monkeypatch, "plots", raw, "--output-dir", str(tmp_path)) == 0
    assert len(list(tmp_path.glob("distribution_*.png"))) == 11


def test_our_plots_have_the_names_of_its(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: Path
) -> None:
    raw = make("case14_ieee", "pf", scenarios=3, perturbed=False)
    folders = tmp_path / "its", tmp_path / "ours"
    assert theirs(monkeypatch, "plots", str(raw), "--output-dir", str(folders[0])) == 0
    lascopf(home, "scenarios", "plots", str(raw), "--output-dir", str(folders[1]))
    its, ours = ({path.name for path in folder.glob("*.png")} for folder in folders)
    assert ours == its
    assert (folders[1] / "distributions.html").is_file()


def test_load_scenarios_are_those_of_the_variants(make: Make) -> None:
    bus = pd.read_parquet(make("case14_ieee", "pf") / "bus_data.parquet")
    per_load = bus.groupby("load_scenario_idx")["scenario"].nunique()
    assert per_load.max() == VARIANTS
