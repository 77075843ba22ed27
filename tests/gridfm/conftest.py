"""Datasets that the platform makes, and the programs of the gridfm ecosystem that read them.

These tests run in an environment of their own (`make test-gridfm`). In the platform's environment
gridfm-graphkit is not installed, and nothing here is collected.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import sys
import types
from pathlib import Path

import pytest

INSTALLED = importlib.util.find_spec("gridfm_graphkit") is not None
collect_ignore_glob = [] if INSTALLED else ["test_*.py"]


def _not_called(*_: object, **__: object) -> None:
    raise AssertionError("the loader needs torch-scatter after all; install it")


if INSTALLED:
    sys.path.insert(0, str(Path(__file__).parents[1]))  # for planted_faults
    os.environ["MPLBACKEND"] = "Agg"
    os.environ["PYTHON_JULIAPKG_OFFLINE"] = "yes"
    # Only the models of gridfm-graphkit call torch-scatter, which is built from source for minutes;
    # its package imports them with the loader.
    scatter = types.ModuleType("torch_scatter")
    for name in ("scatter", "scatter_add", "scatter_mean", "scatter_max"):
        setattr(scatter, name, _not_called)
    sys.modules["torch_scatter"] = scatter


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is fetched, neither Julia nor anything else."""

    def refuse(self: socket.socket, address: object) -> None:
        raise AssertionError(f"a connection to {address} was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> object:
    """Makes datasets by the platform's command line, each once; gives the raw folder."""
    from made_datasets import maker

    base = tmp_path_factory.getbasetemp()
    # Workers have folders of their own, below one that they share.
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "datasets"
    shared.mkdir(exist_ok=True)
    return maker(shared)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home of the platform for its other commands."""
    return tmp_path_factory.mktemp("home")
