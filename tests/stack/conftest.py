"""One stack for all tests of this folder that need a running one; it ends with the session."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator

import pytest
from running_stack import Stack, docker, lay_out, no_engine, until

IMAGE = os.environ.get("LASCOPF_AIRFLOW_IMAGE", "lascopf-airflow:local")
SERVICES = (
    "timescaledb",
    "postgres",
    "redis",
    "minio",
    "kafka",
    "airflow-apiserver",
    "airflow-scheduler",
    "airflow-dag-processor",
    "airflow-triggerer",
    "airflow-worker",
    "stream",
    "julia-solver",
)
JULIA_IMAGE = os.environ.get("LASCOPF_JULIA_IMAGE", "lascopf-julia:local")
START_SECONDS = 900.0  # a minute on a machine that has nothing else to do


def pytest_configure(config: pytest.Config) -> None:
    """kafka-python leaves some of its sockets to the garbage collector, even after the tests."""
    config.addinivalue_line("filterwarnings", "ignore:unclosed <socket:ResourceWarning")


def built(image: str) -> bool:
    return docker("image", "inspect", image, check=False).returncode == 0


@pytest.fixture(scope="session")
def engine() -> None:
    """Skips where there is no Docker engine or no image."""
    if no_engine():
        pytest.skip("no Docker engine with compose")
    if not built(IMAGE):
        pytest.skip(f"there is no image {IMAGE}: make images")


@pytest.fixture(scope="session")
def services() -> list[str]:
    """What can be started: all services, the Julia solver where it was built."""
    return [name for name in SERVICES if name != "julia-solver" or built(JULIA_IMAGE)]


@pytest.fixture(scope="session")
def stack(
    engine: None, services: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """A stack whose services are all healthy; readings tell its time, for a feed of the past."""
    folder = tmp_path_factory.mktemp("stack") / "checkout"
    project = f"lascopf-test-{secrets.token_hex(4)}"
    made = Stack(lay_out(folder, project, STREAM_CLOCK="event", WORKER_CONCURRENCY=2))
    try:
        made.compose("up", "--detach", "--no-build", *services)
        until(lambda: waiting(made, services) == [], START_SECONDS, "all services healthy", 2.0)
        yield made
    finally:
        made.compose("down", "--volumes", "--remove-orphans", "--timeout", "20", check=False)


def waiting(stack: Stack, services: list[str]) -> list[str]:
    """The services that are not healthy yet."""
    return [
        name
        for name in services
        if not (found := stack.of_service(name))
        or any(one["State"].get("Health", {}).get("Status") != "healthy" for one in found)
    ]
