from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_engineering.ingestion.rts_gmlc import (
    bus_of,
    data_day,
    read_source_tables,
    source_folder,
    unit_ids,
)
from data_engineering.model.errors import BadInput, SourceFileBroken, SourceFileMissing


@given(st.dates(date(1900, 1, 1), date(2199, 12, 31)))
def test_a_run_date_stands_for_its_month_and_day_in_2020(day: date) -> None:
    there = data_day(day)
    assert (there.year, there.month, there.day) == (2020, day.month, day.day)


@pytest.mark.parametrize("day", [date(1, 1, 1), date(1899, 12, 31), date(2200, 1, 1)])
def test_far_away_years_are_refused(day: date) -> None:
    with pytest.raises(BadInput, match="1900-01-01 to 2199-12-31"):
        data_day(day)


def test_the_wheel_holds_the_published_grid(folder: Path) -> None:
    tables = read_source_tables(folder)
    # Figures of the RTS-GMLC paper: 73 buses, 158 units, 8,550 MW peak of the three areas.
    assert len(tables["bus"]) == 73
    assert len(tables["gen"]) == 158
    assert len(tables["branch"]) == 120
    assert tables["bus"]["MW Load"].sum() == 8550.0
    assert set(tables) == {"bus", "branch", "gen", "storage", "dc_branch", "timeseries_pointers"}


def test_ids_of_units_begin_with_their_bus(folder: Path) -> None:
    units = read_source_tables(folder)["gen"]
    assert list(units["GEN UID"].map(bus_of)) == list(units["Bus ID"].astype(str))


def test_units_are_found_by_type(folder: Path) -> None:
    assert unit_ids(folder, ["CSP"]) == ["212_CSP_1"]
    # 19 of type HYDRO and one of type ROR share the hydro series.
    assert len(unit_ids(folder, ["HYDRO", "ROR"])) == 20


def test_a_folder_without_the_series_is_refused(tmp_path: Path) -> None:
    (tmp_path / "SourceData").mkdir()
    with pytest.raises(SourceFileMissing, match="timeseries_data_files is missing"):
        source_folder(tmp_path)


def test_a_missing_table_is_named(damaged: Path) -> None:
    (damaged / "SourceData" / "branch.csv").unlink()
    with pytest.raises(SourceFileMissing, match=r"branch\.csv is missing"):
        read_source_tables(damaged)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_a_line_cut_short_is_named(damaged: Path) -> None:
    path = damaged / "SourceData" / "bus.csv"
    path.write_text(path.read_text()[:-30])
    with pytest.raises(SourceFileBroken, match=r"line 74 has \d+ fields where the header has 15"):
        read_source_tables(damaged)


def test_a_word_where_a_number_is_due_is_named(damaged: Path) -> None:
    edit(damaged / "SourceData" / "bus.csv", "Adams,138.0,PV,97.0", "Adams,138.0,PV,many")
    with pytest.raises(SourceFileBroken, match="line 3, field 'MW Load': 'many' is not a number"):
        read_source_tables(damaged)


@pytest.mark.parametrize("value", ["nan", "inf", ""])
def test_what_floats_accept_but_no_grid_has_is_refused(damaged: Path, value: str) -> None:
    edit(damaged / "SourceData" / "bus.csv", "Adams,138.0,PV,97.0", f"Adams,138.0,PV,{value}")
    with pytest.raises(SourceFileBroken, match="line 3, field 'MW Load'"):
        read_source_tables(damaged)


def test_a_missing_column_is_named(damaged: Path) -> None:
    edit(damaged / "SourceData" / "gen.csv", "PMax MW", "Peak")
    with pytest.raises(SourceFileBroken, match="column 'PMax MW' is missing"):
        read_source_tables(damaged)


def test_a_table_cut_between_two_lines_is_noticed(damaged: Path) -> None:
    path = damaged / "SourceData" / "gen.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:100]))
    with pytest.raises(SourceFileBroken, match=r"gen\.csv is broken: it lacks .*storage\.csv"):
        read_source_tables(damaged)


def test_a_table_of_other_bytes_is_refused(damaged: Path) -> None:
    (damaged / "SourceData" / "bus.csv").write_bytes(b"Bus ID,\xff\xfe")
    with pytest.raises(SourceFileBroken, match="not UTF-8"):
        read_source_tables(damaged)
