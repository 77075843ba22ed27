"""Files of outages and states: what they say, and one line for what is wrong with them."""

from __future__ import annotations

import numpy as np
import pytest
from solve_cases import pglib

from data_engineering.ingestion.solve_files import read_outages, read_states
from data_engineering.model.errors import BadInput, SourceFileBroken, SourceFileMissing
from data_engineering.model.problem import Outage


def test_outages_of_several_elements(tmp_path):
    path = tmp_path / "outages.csv"
    path.write_text("id,branches,generators\nstorm,branch-1; branch-2,\nplant,,gen-1;gen-2\n")
    assert read_outages(path) == (
        Outage("storm", ("branch-1", "branch-2")),
        Outage("plant", (), ("gen-1", "gen-2")),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id,branches\na,b\n", "no column generators"),
        ("id,branches,generators\na,b,\nc,,\n", "line 3: outage c has no element"),
        ("", "give a CSV file"),
    ],
)
def test_a_broken_file_of_outages_says_where(tmp_path, text, words):
    path = tmp_path / "outages.csv"
    path.write_text(text)
    with pytest.raises(SourceFileBroken, match=words):
        read_outages(path)


def test_outages_of_one_name_are_refused(tmp_path):
    path = tmp_path / "outages.csv"
    path.write_text("id,branches,generators\na,b,\na,c,\n")
    with pytest.raises(BadInput, match="'a' is not usable"):
        read_outages(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SourceFileMissing, match=r"gone\.csv"):
        read_outages(tmp_path / "gone.csv")


def test_units_that_are_not_named_run(tmp_path):
    path = tmp_path / "states.csv"
    path.write_text("gen-2,gen-5\n0,1\n1,0\n")
    found = read_states(path, pglib("case5_pjm"), 2)
    expected = np.array([[1, 0, 1, 1, 1], [1, 1, 1, 1, 0]], dtype=bool)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("gen-9\n0\n1\n", BadInput, "gen-9"),
        ("gen-1\n0\n", SourceFileBroken, "give 2 rows"),
        ("gen-1,gen-2\n0,1\n1,yes\n", SourceFileBroken, "line 3: gen-2 is 'yes'"),
    ],
)
def test_a_broken_file_of_states_says_where(tmp_path, text, error, words):
    path = tmp_path / "states.csv"
    path.write_text(text)
    with pytest.raises(error, match=words):
        read_states(path, pglib("case5_pjm"), 2)
