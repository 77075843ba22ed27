"""What goes to standard output is valid JSON, whatever a database or NumPy put into it."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import numpy as np
import pandas as pd
import pytest

from data_engineering.cli.output import Output, plain, print_table

UUID_TEXT = "6f1d3a52-4a0e-5b7e-9d0c-3c1f0a6d2b11"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (np.int64(3), 3),
        (np.bool_(False), False),
        (np.float64("nan"), None),
        (float("inf"), None),
        (Decimal("1.5"), 1.5),
        (pd.Timestamp("2020-07-06", tz="UTC"), "2020-07-06T00:00:00+00:00"),
        (datetime(2020, 7, 6, tzinfo=UTC), "2020-07-06T00:00:00+00:00"),
        (date(2020, 7, 6), "2020-07-06"),
        (UUID(UUID_TEXT), UUID_TEXT),
        (Path("/a/b"), "/a/b"),
        ({1: (2, {"x": Decimal("0")})}, {"1": [2, {"x": 0.0}]}),
    ],
)
def test_values_become_plain(value, expected):
    found = plain(value)
    assert found == expected
    assert type(found) is type(expected)


def test_a_result_is_one_object_with_its_status(capsys):
    Output(as_json=True).done({"a": float("nan")}, ["for people"])
    said = capsys.readouterr()
    assert json.loads(said.out) == {"status": "ok", "a": None}
    assert said.err == ""


def test_for_people_the_result_is_lines(capsys):
    Output(as_json=False).done({"a": 1}, ["for people"])
    assert capsys.readouterr().out == "for people\n"


def test_progress_goes_to_standard_error(capsys):
    output = Output(as_json=True)
    with output.working("begin"):
        output.progress("middle")
    said = capsys.readouterr()
    assert said.out == ""
    assert [line.split("s  ")[1] for line in said.err.splitlines()] == ["begin", "middle"]


def test_a_table_that_is_piped_is_whole(capsys):
    print_table("", ["name", "value"], [("x" * 300, 1234.5), ("[bold]y", None), ("", -1e-9)])
    said = capsys.readouterr().out
    assert "x" * 300 in said
    assert "1,234.50" in said
    assert "[bold]y" in said
    assert "-0.00" not in said
