"""What a CASE may name, how it is found, and one clear error where it is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data_engineering.ingestion.case_files import pglib_names, read_case
from data_engineering.model.errors import (
    BadInput,
    LascopfError,
    SourceFileBroken,
    SourceFileMissing,
    UnknownCase,
)

TABLES = {
    "Gen2": "connNode\tc2\tc1\tc0\tPgMax\tPgMin\tRgMax\tRgMin\tPgPrev\n"
    "1\t0\t10\t0\t99\t0\t5\t-5\t54\n",
    "Tran2": "fromNode\ttoNode\tResistance\tReactance\tContingencyMarked\tCapacity\n"
    "1\t2\t0.001\t0.15\t1\t100\n",
    "Load2": "ConnNode\tInterval-1_Load\tInterval-2_Load\n1\t-30\t-31\n2\t-24\t-25\n\t-54\t-56\n",
}


@pytest.fixture
def legacy(tmp_path):
    for name, text in TABLES.items():
        (tmp_path / f"{name}.csv").write_text(text)
    return tmp_path


def test_a_case_of_pglib_by_its_name():
    assert len(pglib_names()) == 198
    for case in ("pglib/case118_ieee", "pglib/pglib_opf_case118_ieee"):
        source = read_case(case)
        assert (source.kind, source.name, source.published) == ("matpower", "case118_ieee", True)
    for ending in ("__api", "__sad"):
        text = read_case(f"pglib/case118_ieee{ending}").content
        assert f"function mpc = pglib_opf_case118_ieee{ending}" in text


def test_rts_gmlc_by_its_name_and_by_its_folder():
    from data_engineering.ingestion.rts_gmlc import source_folder

    source = read_case("rts_gmlc")
    assert (source.kind, source.name, len(source.content["gen"])) == ("rts_gmlc", "rts_gmlc", 158)
    for folder in (source_folder(None), source_folder(None) / "SourceData"):
        assert read_case(str(folder)).content["gen"].equals(source.content["gen"])


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("pglib/case118", r"use one of: pglib/case118_ieee, pglib/case118_ieee__api"),
        ("pglib/case118_ieeee", r"pglib/case118_ieee"),
        ("rts_gmcl", r"'rts_gmcl'.*rts_gmlc"),
        ("zzz", r"rts_gmlc, .*199 cases"),
    ],
)
def test_an_unknown_name_gives_the_nearest(case, says, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownCase, match=says):
        read_case(case)


def test_files_by_their_content(tmp_path):
    (tmp_path / "a.m").write_bytes("% \xe9t\xe9\nmpc.version = '2';".encode("latin-1"))
    assert read_case(str(tmp_path / "a.m")).content.startswith("% été")
    (tmp_path / "net.json").write_text(json.dumps({"_class": "pandapowerNet"}))
    assert read_case(str(tmp_path / "net.json")).kind == "pandapower"
    (tmp_path / "doc.json").write_text(json.dumps({"format": 1, "case_name": "x"}))
    source = read_case(str(tmp_path / "doc.json"))
    assert (source.kind, source.name) == ("system_data", "x")


def test_legacy_tables_without_their_totals(legacy):
    source = read_case(f"{legacy}/2")
    assert (source.kind, source.name) == ("legacy", "legacy-2")
    assert source.content["load"]["ConnNode"].tolist() == ["1", "2"]
    assert source.content["load"]["Interval-2_Load"].tolist() == [-31.0, -25.0]


@pytest.mark.parametrize(
    ("name", "old", "new", "says"),
    [
        ("Gen2", "\t54", "\tx", r"Gen2.csv is broken: line 2, field 'PgPrev': 'x'"),
        ("Gen2", "\t54", "", r"Gen2.csv is broken: line 2 has 8 fields"),
        ("Tran2", "Reactance", "Impedance", r"Tran2.csv .*'Reactance' is missing"),
        ("Load2", TABLES["Load2"].partition("\n")[2], "", r"Load2.csv .*no rows"),
    ],
)
def test_a_broken_table_is_named_with_line_and_field(legacy, name, old, new, says):
    path = legacy / f"{name}.csv"
    path.write_text(TABLES[name].replace(old, new, 1))
    with pytest.raises(SourceFileBroken, match=says):
        read_case(f"{legacy}/2")


@pytest.mark.parametrize(
    ("case", "error", "says"),
    [
        ("none.m", SourceFileMissing, "none.m is missing; give rts_gmlc"),
        ("no/such/folder", SourceFileMissing, "folder is missing"),
        ("text.txt", BadInput, "text.txt' .*give rts_gmlc"),
        ("empty", BadInput, "empty' .*give rts_gmlc"),
        ("broken.json", SourceFileBroken, "broken.json is broken: it is not JSON: .*line 1"),
        ("other.json", SourceFileBroken, "another kind of JSON"),
        (".", BadInput, "put a size behind it, such as .*/2; there are 2"),
        ("7", SourceFileMissing, "Gen7.csv is missing; give one of the sizes 2"),
    ],
)
def test_one_clear_error(legacy, case, error, says):
    (legacy / "text.txt").write_text("x")
    (legacy / "empty").mkdir()
    (legacy / "broken.json").write_text("{")
    (legacy / "other.json").write_text("[1]")
    with pytest.raises(error, match=says) as caught:
        read_case(str(legacy / case))
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path, monkeypatch):
    path = tmp_path / "a.m"
    path.write_text("")

    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(LascopfError, match=r"a\.m .*Permission denied"):
        read_case(str(path))
