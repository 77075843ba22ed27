"""Bundles for people, and the choice of a solver by command."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from exchange_results import changed, put_done, result_files, solved

from data_engineering.model.errors import AnswerRefused, BadInput, SourceFileMissing
from data_engineering.model.tables import TABLES
from data_engineering.orchestration import exchange_client
from data_engineering.orchestration.case_solve import Wanted, request_of, solve_case
from data_engineering.orchestration.exchange_files import export_case, import_results
from data_engineering.orchestration.exchange_queue import read_folder
from data_engineering.orchestration.solver_choice import chosen_method
from data_engineering.settings import Settings

STORED_LATER = {"execution_id", "case_name", "result_id"}


def quietly(_: str) -> None:
    """Nobody looks on."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
def wanted() -> Wanted:
    return Wanted("pglib/case5_pjm", "lascopf", horizon=2, solver="julia")


def answer_of(wanted: Wanted, settings: Settings):
    asked = request_of(wanted, settings, quietly)
    return asked, result_files(asked, solved(asked))


def put_results(folder: Path, files: dict[str, bytes]) -> None:
    (folder / "results").mkdir()
    for name, content in files.items():
        (folder / "results" / name).write_bytes(content)


def test_a_bundle_is_exported_answered_and_imported(wanted, settings, tmp_path):
    facts = export_case(wanted, tmp_path / "bundle", quietly, settings, hdf5=True)
    asked, files = answer_of(wanted, settings)
    written = {name: text.encode() for name, text in exchange_client.request_files(asked).items()}
    assert read_folder(tmp_path / "bundle", ("bundle.h5",)) == written
    assert (tmp_path / "bundle" / "bundle.h5").is_file()
    put_results(tmp_path / "bundle", files)
    done = import_results(tmp_path / "bundle", tmp_path / "out")
    assert done["status"] == "optimal"
    assert done["objective"] == pytest.approx(solved(asked).objective, rel=1e-9)
    assert (done["case"], facts["intervals"]) == ("case5_pjm", 2)
    frames = {path.stem: pd.read_parquet(path) for path in (tmp_path / "out").iterdir()}
    assert {name: len(frame) for name, frame in frames.items()} == done["tables"]
    for name, frame in frames.items():
        declared = {column.name for column in TABLES[name].columns} - STORED_LATER
        assert set(frame.columns) == declared, name


def test_a_lie_in_an_imported_bundle_is_refused(wanted, settings, tmp_path):
    export_case(wanted, tmp_path / "bundle", quietly, settings)
    put_results(
        tmp_path / "bundle",
        changed(answer_of(wanted, settings)[1], "buses.csv", "Over MW", 0, 3.0),
    )
    with pytest.raises(AnswerRefused, match="balance of a bus"):
        import_results(tmp_path / "bundle", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_wrong_folders(wanted, settings, tmp_path):
    with pytest.raises(SourceFileMissing, match=r"manifest\.json"):
        import_results(tmp_path / "nowhere", None)
    export_case(wanted, tmp_path / "bundle", quietly, settings)
    with pytest.raises(SourceFileMissing, match=r"result\.json"):
        import_results(tmp_path / "bundle", None)
    with pytest.raises(BadInput, match="give a new one"):
        export_case(wanted, tmp_path / "bundle", quietly, settings)


@pytest.mark.parametrize(
    ("solver", "kind", "method", "said"),
    [
        ("julia", "opf", "default", "for solver julia use one of lascopf, scopf, dcopf"),
        ("julia", "lascopf", "corrective", "for solver julia use one of app, joint"),
        ("cplex", "lascopf", "default", "use one of highs, julia"),
        ("highs", "lascopf", "app", "for lascopf use one of"),
    ],
)
def test_what_a_solver_cannot_is_refused(solver, kind, method, said):
    with pytest.raises(BadInput, match=said):
        chosen_method(solver, kind, method)


def test_a_case_is_solved_by_julia_with_its_tables(wanted, settings, tmp_path):
    asked, files = answer_of(wanted, settings)
    put_done(settings.home / "exchange", asked, files)
    facts = solve_case(wanted, tmp_path / "out", quietly, settings)
    assert (facts["method"], facts["solver"], facts["faults"]) == ("app", "embedded 1", [])
    assert facts["objective"] == pytest.approx(solved(asked).objective, rel=1e-9)
    assert facts["notes"][-1] == "solved by embedded in Julia 0, 1 thread(s)"
    # The AC check has looked at it, after outages too.
    intervals = pd.read_parquet(tmp_path / "out" / "interval_results.parquet")
    assert (intervals["outages_checked"] == 6).all()


def test_relaxed_states_have_no_place(wanted, settings):
    relaxed = Wanted(wanted.case, "lascopf", commitment="relaxed", solver="julia")
    with pytest.raises(BadInput, match="give the request a commitment, or use `on`"):
        solve_case(relaxed, None, quietly, settings)
