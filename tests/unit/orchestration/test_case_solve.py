"""Cases solved from their files: every kind and method, the tables, and what is asked wrongly."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from data_engineering.model.errors import BadInput, SourceFileMissing
from data_engineering.model.tables import TABLES
from data_engineering.orchestration.case_solve import Wanted, solve_case
from data_engineering.settings import Settings
from data_engineering.solvers.solve import METHODS, method_of

pytestmark = pytest.mark.filterwarnings("default:::pyomo")
CASE = "pglib/case5_pjm"
STORED_LATER = {"execution_id", "case_name", "result_id"}


def quietly(_: str) -> None:
    """Nobody looks on."""


@pytest.fixture
def solve(tmp_path: Path):
    settings = Settings(home=tmp_path / "home")
    return lambda wanted, out=None: solve_case(wanted, out, quietly, settings)


@pytest.mark.parametrize(
    ("kind", "objective"),
    [
        # AC-OPF of PGLib's own table; the DC optimum is that of several programs.
        ("opf", 17_552.0),
        ("dcopf", 17_479.897),
    ],
)
def test_the_known_optimum_of_a_kind(solve, kind, objective):
    facts = solve(Wanted(CASE, kind))
    assert facts["status"] == "optimal"
    assert facts["objective"] == pytest.approx(objective, rel=1e-4)
    assert facts["faults"] == []


@pytest.mark.parametrize(
    "method", ["constraint_generation", "extensive", "corrective", "decomposed"]
)
def test_every_method_answers_with_the_declared_tables(solve, method, tmp_path):
    facts = solve(Wanted(CASE, "lascopf", method, horizon=2), tmp_path / "out")
    assert facts["status"] == "optimal"
    assert facts["faults"] == []
    written = {path.stem: pd.read_parquet(path) for path in (tmp_path / "out").iterdir()}
    assert {name: len(frame) for name, frame in written.items()} == facts["tables"]
    for name, frame in written.items():
        declared = {column.name for column in TABLES[name].columns} - STORED_LATER
        assert set(frame.columns) == declared, name
    assert (written["interval_results"]["outages_checked"] == 6).all()


def test_the_methods_agree_where_no_outage_is_corrected(solve):
    """Without outages the corrective method has nothing to correct, and all are one problem."""
    costs = [
        solve(Wanted(CASE, "lascopf", method, horizon=3, outages="none"))["objective"]
        for method in METHODS["lascopf"]
    ]
    assert costs == pytest.approx([costs[0]] * len(costs), rel=2e-6)


def test_a_case_of_one_instant_follows_the_load_shape_of_a_day(solve):
    facts = solve(Wanted(CASE, "dcopf", day=date(2020, 7, 6), horizon=24), None)
    peak = solve(Wanted(CASE, "dcopf"))
    assert facts["intervals"] == 24
    # The peak hour has the case's own loads, every other hour less.
    assert peak["objective"] < facts["objective"] < 24 * peak["objective"]


def test_units_are_committed_where_no_ramps_are_known(solve):
    """Turning units off in the night costs no more than keeping all on, by more than the gap."""
    asked = {"case": "pglib/case24_ieee_rts", "kind": "dcopf", "horizon": 8, "verify": False}
    kept = solve(Wanted(**asked, day=date(2020, 1, 27), commitment="on"))
    chosen = solve(Wanted(**asked, day=date(2020, 1, 27), commitment="uc"))
    assert chosen["faults"] == kept["faults"] == []
    assert chosen["objective"] < 0.95 * kept["objective"]


def test_the_folder_of_tables_is_replaced_as_a_whole(solve, tmp_path):
    out = tmp_path / "out"
    solve(Wanted(CASE, "dcopf"), out)
    solve(Wanted(CASE, "opf"), out)
    names = {path.name for path in out.iterdir()}
    assert "price_causes.parquet" not in names
    assert not list(tmp_path.glob("*.partial"))
    (out / "mine.txt").write_text("keep")
    with pytest.raises(BadInput, match="--out"):
        solve(Wanted(CASE, "dcopf"), out)
    assert (out / "mine.txt").read_text() == "keep"


def test_outages_of_units_and_from_a_file(solve, tmp_path):
    assert solve(Wanted(CASE, "scopf", outages="n-1-units", verify=False))["outages"] == 11
    path = tmp_path / "outages.csv"
    path.write_text("id,branches,generators\nboth,branch-1;branch-2,gen-1\n")
    assert solve(Wanted(CASE, "scopf", outages=str(path)))["outages"] == 1


@pytest.mark.parametrize(
    ("wanted", "error", "words"),
    [
        (Wanted(CASE, "opf", outages="n-1"), BadInput, "outages"),
        (Wanted(CASE, "lascopf", "newton"), BadInput, "decomposed"),
        (Wanted(CASE, "scopf", outages="gone.csv"), SourceFileMissing, "gone"),
        (Wanted(CASE, "lascopf", horizon=49), BadInput, "at most 48"),
    ],
)
def test_what_is_asked_wrongly_is_one_line(solve, wanted, error, words):
    with pytest.raises(error, match=words) as raised:
        solve(wanted)
    assert "\n" not in str(raised.value)


def test_an_unknown_kind_names_the_known_ones():
    with pytest.raises(BadInput, match="lascopf"):
        method_of("ac")
