"""A running Julia solver on a queue of these tests; skipped without Julia and Docker.

`LASCOPF_TEST_JULIA` chooses it: the path of a `julia`, or `docker:IMAGE`. Without it `julia` of the
PATH, else the image `julia:1.11`. The package is copied, since Julia writes beside its sources.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from data_engineering.orchestration.exchange_queue import Queue
from data_engineering.settings import Settings

PACKAGE = Path(__file__).parents[2] / "julia"
IMAGE = "docker:julia:1.11"
START_SECONDS = 600.0
"""Julia compiles the package at the first start."""


@dataclass(frozen=True)
class Julia:
    """How Julia is run on the package: `folder` is seen by it under the same path."""

    command: tuple[str, ...]
    container: str | None
    folder: Path

    def arguments(self, *words: str) -> list[str]:
        return [*self.command, f"--project={self.folder / 'julia'}", *words]


def _chosen() -> str | None:
    given = os.environ.get("LASCOPF_TEST_JULIA") or shutil.which("julia")
    if given or shutil.which("docker") is None:
        return given
    image = IMAGE.removeprefix("docker:")
    found = subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False)
    return IMAGE if found.returncode == 0 else None


@pytest.fixture(scope="session")
def julia(tmp_path_factory: pytest.TempPathFactory) -> Julia:
    chosen = _chosen()
    if chosen is None:
        pytest.skip("no julia on the PATH and no image julia:1.11; set LASCOPF_TEST_JULIA")
    folder = tmp_path_factory.mktemp("julia")
    shutil.copytree(PACKAGE, folder / "julia")
    if not chosen.startswith("docker:"):
        return Julia((chosen,), None, folder)
    name = f"lascopf-test-julia-{uuid.uuid4().hex[:8]}"
    user = f"{os.getuid()}:{os.getgid()}"
    depot = f"JULIA_DEPOT_PATH={folder / 'depot'}:"
    words = ("run", "--rm", "--init", "--network=none", "--user", user, "--env", "HOME=/tmp")
    place = ("--env", depot, "--volume", f"{folder}:{folder}", "--workdir", str(folder / "julia"))
    image = chosen.removeprefix("docker:")
    return Julia(("docker", *words, *place, "--name", name, image, "julia"), name, folder)


@pytest.fixture(scope="session")
def julia_settings(julia: Julia) -> Iterator[Settings]:
    """Settings whose queue a solver works on."""
    settings = Settings(home=julia.folder, exchange_wait_seconds=900.0)
    queue = Queue(julia.folder / "exchange")
    queue.open()
    log = julia.folder / "serve.log"
    serve = julia.folder / "julia" / "bin" / "serve.jl"
    with log.open("wb") as file:
        words = julia.arguments(str(serve), str(queue.root))
        process = subprocess.Popen(words, stdout=file, stderr=subprocess.STDOUT)
        try:
            _wait_for_life(queue, process, log)
            yield settings
        finally:
            if julia.container is not None:
                stop = ["docker", "stop", "--time", "5", julia.container]
                subprocess.run(stop, capture_output=True, check=False)
            process.terminate()
            process.wait(60)


def _wait_for_life(queue: Queue, process: subprocess.Popen[bytes], log: Path) -> None:
    limit = time.monotonic() + START_SECONDS
    while not queue.solvers():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < limit, log.read_text()
        time.sleep(0.2)
