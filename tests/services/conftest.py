"""What tests with a broker need."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from stream_world import World, new_world


def pytest_configure(config: pytest.Config) -> None:
    """kafka-python leaves some of its sockets to the garbage collector, even after the tests."""
    if "LASCOPF_TEST_KAFKA" in os.environ:
        config.addinivalue_line("filterwarnings", "ignore:unclosed <socket:ResourceWarning")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with new_world(tmp_path) as made:
        yield made
