"""What gridfm-datakit's validator rejects of the planted faults, and what it does not see.

That the platform's own checks find every one of them is tested with the platform.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from gridfm_datakit.cli import validate_data_directory
from made_datasets import Make
from planted_faults import FAULTS, Fault, edit

UNSEEN = frozenset(
    {
        "reactive imbalance",
        "off-diagonal entry of Y",
        "DC flow",
        "DC flow of both ends",
        "DC angle",
        "zeroed costs of a sample",
        "zeroed costs",
        "zero rating",
        "negative rating",
        "infinite rating",
        "negative vn_kv",
        "vn_kv of 0",
        "two references",
        "bus without a type",
        "DC flow of a branch that is out",
        "branch without an impedance",
        "flag of 2",
        "slack flag",
        "no slack flag",
        "shift of a full turn",
        "limits crossed",
        "angle limit of 90",
        "angle limits of 0",
        "negative run time",
        "infinite run time",
        "vn_kv of one sample",
        "limit of one sample",
        "cost of one sample",
        "load scenario of one bus",
        "load scenario of an entry",
        "load scenario of a time",
        "buses out of order",
        "branches out of order",
        "an entry missing",
        "an entry twice",
        "a time missing",
        "samples out of order",
        "float32",
        "int32",
        "flag as int64",
        "another column",
    }
)
"""Faults that it accepts."""


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.name} ({fault.mode})")
def test_its_validator_sees_a_fault_or_not(make: Make, tmp_path: Path, fault: Fault) -> None:
    folder = tmp_path / "raw"
    shutil.copytree(make("case14_ieee", fault.mode, scenarios=3, perturbed=False), folder)
    edit(folder, fault.table, fault.change)
    accepted = validate_data_directory(str(folder), 100.0, 0, None)
    assert accepted == (fault.name in UNSEEN)


@pytest.mark.parametrize("mode", ["pf", "opf"])
def test_without_a_fault_it_accepts(make: Make, mode: str) -> None:
    folder = make("case14_ieee", mode, scenarios=3, perturbed=False)
    assert validate_data_directory(str(folder), 100.0, 0, None)


def test_the_names_are_those_of_faults() -> None:
    assert {fault.name for fault in FAULTS} >= UNSEEN
    assert 0 < len(UNSEEN) < len(FAULTS)
