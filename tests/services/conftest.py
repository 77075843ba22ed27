"""What tests with a broker need."""

from __future__ import annotations

import os

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """kafka-python leaves some of its sockets to the garbage collector, even after the tests."""
    if "LASCOPF_TEST_KAFKA" in os.environ:
        config.addinivalue_line("filterwarnings", "ignore:unclosed <socket:ResourceWarning")
