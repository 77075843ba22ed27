from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_engineering.ingestion.rts_gmlc import source_folder, unit_ids
from data_engineering.ingestion.series_cut import cut
from data_engineering.ingestion.series_files import SeriesFile, parts
from data_engineering.ingestion.series_read import read, sections
from data_engineering.model.errors import (
    BadInput,
    DayOutsideData,
    SourceFileBroken,
    SourceFileMissing,
)
from data_engineering.model.time import Window

WIND = SeriesFile("WIND/DAY_AHEAD_wind.csv", 24)
LOAD = SeriesFile("Load/REAL_TIME_regional_Load.csv", 288)
REG_UP = SeriesFile("Reserves/DAY_AHEAD_regional_Reg_Up.csv", 24, a_row_is_a_day=True)
AREAS = ("1", "2", "3")
HOURS = tuple(str(hour) for hour in range(1, 25))
SIXTH = Window.of_day(date(2020, 7, 6))


def values(folder: Path, file: SeriesFile, window: Window, names: tuple[str, ...]) -> pd.DataFrame:
    raw = cut(folder, file, window, names)
    due = parts(window, file.periods)
    return pd.concat(
        [read(section, file, part) for section, part in zip(sections(raw), due, strict=True)]
    )


def whole_year(folder: Path, file: SeriesFile) -> pd.DataFrame:
    """The oracle: pandas reads the whole file and makes the times from its key."""
    frame = pd.read_csv(folder / "timeseries_data_files" / file.path)
    days = pd.to_datetime(frame[["Year", "Month", "Day"]]).dt.tz_localize("UTC")
    frame.index = pd.DatetimeIndex(
        days + (frame["Period"] - 1) * pd.Timedelta(days=1) / file.periods, name="time"
    )
    return frame.drop(columns=["Year", "Month", "Day", "Period"])


@pytest.fixture(scope="module")
def wind_units(folder: Path) -> tuple[str, ...]:
    return tuple(unit_ids(folder, ["WIND"]))


@settings(max_examples=60, deadline=None)
@given(
    start=st.datetimes(datetime(2020, 1, 1), datetime(2020, 12, 30)),  # noqa: DTZ001 - made UTC
    hours=st.integers(1, 90),
)
def test_a_cut_is_what_the_whole_file_has_in_the_window(start: datetime, hours: int) -> None:
    folder = source_folder(None)
    begin = start.replace(tzinfo=UTC)
    window = Window(begin, min(begin + timedelta(hours=hours), datetime(2021, 1, 1, tzinfo=UTC)))
    year = whole_year(folder, WIND)
    expected = year[(year.index >= window.start) & (year.index < window.end)]
    if expected.empty:
        return
    found = values(folder, WIND, window, tuple(unit_ids(folder, ["WIND"])))
    pd.testing.assert_frame_equal(
        found, expected.astype(float), check_names=False, check_freq=False, check_index_type=False
    )


def test_five_minutes_of_a_large_file(folder: Path) -> None:
    window = Window(datetime(2020, 7, 6, 6, 2, tzinfo=UTC), datetime(2020, 7, 6, 6, 7, tzinfo=UTC))
    found = values(folder, LOAD, window, AREAS)
    assert list(found.index) == [pd.Timestamp("2020-07-06 06:05", tz="UTC")]
    np.testing.assert_array_equal(found, whole_year(folder, LOAD).loc[found.index])


def test_a_window_without_an_interval_is_refused() -> None:
    noon = datetime(2020, 7, 6, 12, 1, tzinfo=UTC)
    with pytest.raises(BadInput, match="include a start of 0:05:00"):
        parts(Window(noon, noon + timedelta(minutes=3)), 288)


def test_after_december_comes_the_january_of_the_same_data(
    folder: Path, wind_units: tuple[str, ...]
) -> None:
    found = values(folder, WIND, Window.of_day(date(2021, 12, 31), days=2), wind_units)
    year = whole_year(folder, WIND)
    np.testing.assert_array_equal(found, pd.concat([year.iloc[-24:], year.iloc[:24]]))
    assert found.index[0] == pd.Timestamp("2021-12-31", tz="UTC")
    assert found.index[-1] == pd.Timestamp("2022-01-01 23:00", tz="UTC")


def test_common_years_have_no_29_february(folder: Path, wind_units: tuple[str, ...]) -> None:
    found = values(folder, WIND, Window.of_day(date(2021, 2, 28), days=2), wind_units)
    year = whole_year(folder, WIND)
    np.testing.assert_array_equal(found.iloc[24:], year.loc["2020-03-01"])
    leap = values(folder, WIND, Window.of_day(date(2024, 2, 29)), wind_units)
    np.testing.assert_array_equal(leap, year.loc["2020-02-29"])


def test_rows_that_are_days_become_hours(folder: Path) -> None:
    found = values(folder, REG_UP, SIXTH, HOURS)["value"]
    table = pd.read_csv(folder / "timeseries_data_files" / REG_UP.path)
    row = table[(table["Month"] == 7) & (table["Day"] == 6)]
    np.testing.assert_array_equal(found, row[list(HOURS)].to_numpy()[0])
    late = Window(datetime(2020, 7, 6, 22, tzinfo=UTC), datetime(2020, 7, 7, tzinfo=UTC))
    np.testing.assert_array_equal(values(folder, REG_UP, late, HOURS)["value"], found.iloc[-2:])


def test_a_section_says_where_its_rows_stand_and_holds_them_unchanged(folder: Path) -> None:
    raw = cut(folder, LOAD, SIXTH, AREAS)
    assert raw == cut(folder, LOAD, SIXTH, AREAS)
    title, header, *rows = raw.splitlines()
    lines = (folder / "timeseries_data_files" / LOAD.path).read_bytes().splitlines()
    assert header == lines[0]
    first = int(title.split()[-1])
    assert title == f"# {LOAD.path} line {first}".encode()
    assert rows == lines[first - 1 : first - 1 + 288]


def rewrite(damaged: Path, change: Callable[[list[str]], list[str]]) -> None:
    path = damaged / "timeseries_data_files" / LOAD.path
    path.write_text("".join(change(path.read_text().splitlines(keepends=True))))


# The small folder holds 4 to 8 July: line 1 is the header, 6 July begins at line 2 + 2 * 288 = 578.
def test_a_missing_file_is_named(damaged: Path) -> None:
    (damaged / "timeseries_data_files" / LOAD.path).unlink()
    with pytest.raises(SourceFileMissing, match=r"REAL_TIME_regional_Load\.csv is missing"):
        cut(damaged, LOAD, SIXTH, AREAS)


def test_a_file_cut_within_a_line_is_refused(damaged: Path) -> None:
    rewrite(damaged, lambda lines: [*lines[:700], lines[700][:20]])
    with pytest.raises(SourceFileBroken, match="has 124 of 288 rows of 2020-07-06 from line 578"):
        cut(damaged, LOAD, SIXTH, AREAS)
    with pytest.raises(SourceFileBroken, match="ends within line 701"):
        cut(damaged, LOAD, Window.of_day(date(2020, 7, 7)), AREAS)


def test_a_last_line_without_an_end_is_taken_for_cut(damaged: Path) -> None:
    """All its fields are there, but who knows whether the last number lost a digit."""
    rewrite(damaged, lambda lines: [*lines[:864], lines[864].rstrip("\n")[:-3]])
    with pytest.raises(SourceFileBroken, match="ends within line 865"):
        cut(damaged, LOAD, SIXTH, AREAS)


def test_a_file_that_ends_within_a_day_is_refused(damaged: Path) -> None:
    rewrite(damaged, lambda lines: lines[:600])
    with pytest.raises(SourceFileBroken, match="has 23 of 288 rows of 2020-07-06 from line 578"):
        cut(damaged, LOAD, SIXTH, AREAS)
    with pytest.raises(SourceFileBroken, match="within the day of that line"):
        cut(damaged, LOAD, Window.of_day(date(2020, 7, 7)), AREAS)


def test_a_hole_is_refused(damaged: Path) -> None:
    rewrite(damaged, lambda lines: lines[:600] + lines[601:])
    with pytest.raises(SourceFileBroken, match="has 287 of 288 rows of 2020-07-06"):
        cut(damaged, LOAD, SIXTH, AREAS)
    rewrite(damaged, lambda lines: lines[:577] + lines[864:])
    with pytest.raises(SourceFileBroken, match="has no rows of 2020-07-06"):
        cut(damaged, LOAD, SIXTH, AREAS)


def test_damage_elsewhere_does_not_stop_a_whole_day(damaged: Path) -> None:
    rewrite(damaged, lambda lines: lines[:900])
    assert len(values(damaged, LOAD, SIXTH, AREAS)) == 288


@pytest.mark.parametrize("day", [date(2020, 7, 3), date(2023, 7, 9), date(2021, 1, 1)])
def test_a_day_outside_the_folder_is_said_with_its_range(damaged: Path, day: date) -> None:
    with pytest.raises(DayOutsideData, match="covers 2020-07-04 to 2020-07-08"):
        cut(damaged, LOAD, Window.of_day(day), AREAS)
    with pytest.raises(DayOutsideData, match="covers 2020-07-04 to 2020-07-08"):
        cut(damaged, REG_UP, Window.of_day(day), HOURS)


def test_a_file_without_rows_or_bytes_is_refused(damaged: Path) -> None:
    rewrite(damaged, lambda lines: lines[:1])
    with pytest.raises(SourceFileBroken, match="has no rows"):
        cut(damaged, LOAD, SIXTH, AREAS)
    rewrite(damaged, lambda lines: [])
    with pytest.raises(SourceFileBroken, match="is empty"):
        cut(damaged, LOAD, SIXTH, AREAS)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("Year,Month,Day,Period,1,2\n", "column '3' is missing"),
        ("Year,Month,Day,Period,1,2,3,4\n", r"columns \['4'\] are not known"),
        ("Year,Month,Day,Period,1,2,3,3\n", "given twice"),
        ("Year,Day,Month,Period,1,2,3\n", "line 1 must begin with Year,Month,Day,Period"),
    ],
)
def test_columns_must_be_the_known_elements(damaged: Path, header: str, message: str) -> None:
    rewrite(damaged, lambda lines: [header, *lines[1:]])
    with pytest.raises(SourceFileBroken, match=message):
        cut(damaged, LOAD, SIXTH, AREAS)


def test_a_key_that_is_no_number_is_named(damaged: Path) -> None:
    rewrite(damaged, lambda lines: [lines[0], *("x" + line for line in lines[1:])])
    with pytest.raises(SourceFileBroken, match=r"line \d+ does not begin with Year"):
        cut(damaged, LOAD, SIXTH, AREAS)


@pytest.mark.parametrize("word", ["n/a", "", "nan", "inf"])
def test_a_field_that_is_no_number_is_named(damaged: Path, word: str) -> None:
    def spoil(lines: list[str]) -> list[str]:
        fields = lines[599].split(",")
        return [*lines[:599], ",".join([*fields[:5], word, fields[6]]), *lines[600:]]

    rewrite(damaged, spoil)
    with pytest.raises(SourceFileBroken, match=rf"Load\.csv .*line 600, field '2': '{word}'"):
        values(damaged, LOAD, SIXTH, AREAS)


def test_a_row_with_too_few_fields_or_out_of_order_is_named(damaged: Path) -> None:
    rewrite(damaged, lambda lines: [*lines[:599], "2020,7,6,23,1.0\n", *lines[600:]])
    with pytest.raises(SourceFileBroken, match="line 600 has 5 fields where the header has 7"):
        values(damaged, LOAD, SIXTH, AREAS)
    rewrite(damaged, lambda lines: [*lines[:599], "2020,7,6,25,1,2,3\n", *lines[600:]])
    with pytest.raises(SourceFileBroken, match=r"line 600 is for .*'25'"):
        values(damaged, LOAD, SIXTH, AREAS)


@pytest.mark.parametrize("raw", [b"2020,7,6,1,2,3,4\n", b"# no number\n"])
def test_bytes_that_are_no_sections_are_refused(raw: bytes) -> None:
    with pytest.raises(SourceFileBroken, match="line 1 is no title"):
        sections(raw)
