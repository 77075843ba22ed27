"""Cases from their names to sound grids."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandapower
import pytest

from data_engineering.model.errors import BadInput
from data_engineering.orchestration.cases import load_case, write_case
from data_engineering.settings import Settings
from data_engineering.transformation.grid_document import grid_to_document
from data_engineering.transformation.matpower_write import grid_to_matpower
from data_engineering.transformation.pandapower_nets import grid_to_pandapower
from tests.rts_day import rts_grid
from tests.unit.transformation.equal_grids import assert_same_grid

LEGACY = Path(__file__).resolve().parents[4] / "shared" / "data" / "powerlascopf-legacy"


def load(case):
    return load_case(str(case), Settings(home=Path("unused")))


def test_names():
    assert_same_grid(load("rts_gmlc").grid, rts_grid())
    loaded = load("pglib/case300_ieee")  # it has a negative reactance
    assert (loaded.kind, loaded.grid.case_name) == ("matpower", "case300_ieee")
    assert (loaded.periods, loaded.outages) == (None, None)
    assert (loaded.grid.branches.x_pu < 0).any()


def test_the_same_grid_from_every_form(tmp_path):
    grid = rts_grid()
    (tmp_path / "rts_gmlc.m").write_text(grid_to_matpower(grid))
    (tmp_path / "rts.json").write_text(json.dumps(grid_to_document(grid)))
    pandapower.to_json(grid_to_pandapower(grid), str(tmp_path / "rts_gmlc.json"))
    kinds = {"rts_gmlc.m": "matpower", "rts.json": "system_data", "rts_gmlc.json": "pandapower"}
    for name, kind in kinds.items():
        loaded = load(tmp_path / name)
        assert loaded.kind == kind
        assert_same_grid(loaded.grid, grid)


def test_a_file_of_ones_own_may_not_have_negative_reactances(tmp_path):
    (tmp_path / "mine.m").write_text(grid_to_matpower(load("pglib/case300_ieee").grid))
    with pytest.raises(BadInput, match=r"branches branch-\d+\.x_pu"):
        load(tmp_path / "mine.m")
    assert load_case(str(tmp_path / "mine.m"), negative_reactance=True).kind == "matpower"


@pytest.mark.parametrize(
    ("name", "form", "kind"),
    [
        ("a.m", None, "matpower"),
        ("a.json", None, "system_data"),
        ("a.json", "pandapower", "pandapower"),
    ],
)
def test_what_is_written_is_read_again(tmp_path, name, form, kind):
    grid = load("pglib/case5_pjm").grid
    assert write_case(grid, tmp_path / "new" / name, form) == kind
    again = load(tmp_path / "new" / name)
    assert again.kind == kind
    named = dataclasses.replace(again.grid, case_name=grid.case_name)
    assert_same_grid(named, grid)
    assert [path.name for path in (tmp_path / "new").iterdir()] == [name]


@pytest.mark.parametrize(("name", "form"), [("a.txt", None), ("a.m", "cim")])
def test_a_form_that_is_not_known_names_those_that_are(tmp_path, name, form):
    with pytest.raises(BadInput, match="matpower"):
        write_case(load("pglib/case5_pjm").grid, tmp_path / name, form)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": 2}, "system_data.format: 2"),
        ({"loads": None}, "system_data: "),
        ({"loads": [7]}, "system_data: "),
        ({"loads": [{"id": "x"}]}, "system_data: 'bus'"),
        ({"generators": [], "storages": [], "dc_lines": []}, "a load and no unit"),
        ({"base_mva": "a lot"}, "system_data: .*a lot"),
    ],
)
def test_a_broken_document_gives_one_error(tmp_path, change, says):
    document = grid_to_document(rts_grid()) | change
    (tmp_path / "x.json").write_text(json.dumps(document))
    with pytest.raises(BadInput, match=says):
        load(tmp_path / "x.json")


@pytest.mark.skipif(not LEGACY.is_dir(), reason="the tables are not here")
def test_legacy_tables_bring_their_intervals_and_outages():
    loaded = load(LEGACY / "14")
    assert loaded.grid.case_name == "legacy-14"
    assert loaded.periods is not None
    assert np.allclose(loaded.periods.load_mw.sum(axis=1), [259.0, 207.0])
    assert len(loaded.outages) == 20
