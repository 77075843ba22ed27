"""Load scenarios that a file gives: demand at every bus in each of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data_engineering.model.errors import BadInput, SourceFileBroken, SourceFileMissing
from data_engineering.model.grid import Floats

_COLUMNS = ("load_scenario", "load", "p_mw", "q_mvar")


def read_given(path: str, buses: int, scenarios: int) -> tuple[Floats, Floats]:
    """Demand of a file, MW and Mvar, each shape (scenarios, buses)."""
    raise NotImplementedError
