"""Makes datasets by the platform's command line, which has an environment of its own."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
LASCOPF = Path(os.environ.get("LASCOPF", ROOT / ".venv" / "bin" / "lascopf"))
CASES = ("case14_ieee", "case24_ieee_rts", "case30_ieee", "case57_ieee", "case118_ieee")
LOAD_SCENARIOS = {"case14_ieee": 65}
"""More than one partition of the first case; 14 load scenarios of the others."""
VARIANTS = 4
Make = Callable[..., Path]


def lascopf(home: Path, *arguments: str) -> None:
    """Run the platform's command line, in its own environment."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHON_JULIAPKG_OFFLINE")
    }
    done = subprocess.run(
        [LASCOPF, *arguments],
        env=environment | {"LASCOPF_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


CONFIGURATION = """
network: {{name: {case}}}
load: {{scenarios: {scenarios}, sigma: 0.1}}
topology_perturbation: {{type: random, k: 2, n_topology_variants: {variants}}}
generation_perturbation: {{type: {costs}}}
admittance_perturbation: {{type: {admittances}}}
settings: {{mode: {mode}, data_dir: {folder}, num_processes: 2, seed: 7, large_chunk_size: 5}}
"""


def maker(shared: Path) -> Make:
    """What makes datasets, each once for all processes that share a folder."""

    def dataset(
        case: str, mode: str, *, scenarios: int | None = None, perturbed: bool = True
    ) -> Path:
        count = scenarios or LOAD_SCENARIOS.get(case, 14)
        folder = shared / f"{case}-{mode}-{count}-{'perturbed' if perturbed else 'plain'}"
        folder.mkdir(exist_ok=True)
        raw = folder / case / "raw"
        with (folder / "lock").open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if not (raw / "manifest.json").exists():  # the last file that is written
                config = folder / "config.yaml"
                config.write_text(
                    CONFIGURATION.format(
                        case=case,
                        mode=mode,
                        scenarios=count,
                        variants=VARIANTS,
                        costs="cost_permutation" if perturbed else "none",
                        admittances="random_perturbation" if perturbed else "none",
                        folder=folder,
                    )
                )
                lascopf(folder / "home", "scenarios", "generate", str(config))
        return raw

    return dataset
