"""`lascopf exchange` and `lascopf solve --solver julia` as people use them."""

from __future__ import annotations

import json
import os
import time

import pytest


def test_export_and_status(lascopf, tmp_path):
    said = lascopf(
        *("exchange", "export", "pglib/case14_ieee", str(tmp_path / "b"), "--horizon", "2"),
        "--json",
    )
    assert said.code == 0
    assert said.document["intervals"] == 2
    assert (tmp_path / "b" / "manifest.json").is_file()
    again = lascopf("exchange", "export", "pglib/case14_ieee", str(tmp_path / "b"))
    assert again.code == 2
    assert "give a new one" in again.err


def test_status_shows_solvers_that_are_alive_and_requests(lascopf, tmp_path):
    queue = tmp_path / "home" / "exchange"
    assert lascopf("exchange", "status", "--json").document["solvers"] == []
    (queue / "solvers" / "w1.json").write_text(json.dumps({"state": "idle", "version": "0.1"}))
    folder = queue / "incoming" / "0123"
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps({"case_name": "a case", "kind": "lascopf"}))
    document = lascopf("exchange", "status", "--json").document
    assert [(each["worker"], each["state"]) for each in document["solvers"]] == [("w1", "idle")]
    (row,) = document["requests"]
    assert (row["request"], row["state"], row["case_name"]) == ("0123", "incoming", "a case")
    shown = lascopf("exchange", "status")
    assert "a case" in shown.out
    assert "Solvers alive" in shown.out
    old = time.time() - 10 * 86_400.0
    os.utime(folder, (old, old))
    assert lascopf("exchange", "clean", "--json").document["removed"] == 1
    assert not folder.exists()


def test_an_import_without_results_is_bad_input(lascopf, tmp_path):
    said = lascopf("exchange", "import", str(tmp_path))
    assert said.code == 2
    assert "give the folder of a bundle that a solver answered" in said.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--kind", "pf"), "for solver julia use one of lascopf, scopf, dcopf"),
        (("--method", "extensive"), "for solver julia use one of app, joint"),
        (("--commitment", "relaxed"), "give the request a commitment, or use `on`"),
    ],
)
def test_what_the_julia_solver_cannot_is_one_line(lascopf, options, said):
    done = lascopf("solve", "pglib/case5_pjm", "--solver", "julia", *options)
    assert done.code == 2
    assert said in done.err
