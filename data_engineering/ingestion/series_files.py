"""RTS-GMLC's time-series files: cut a window out of one, and read the cut.

The files are sorted by time, so a cut is found by bisection over the mapped bytes: a file of a
hundred thousand lines costs some twenty look-ups and the lines of the window. A cut is text: for
each file and day one section, which is a title line that says where its rows begin, the file's
header, and the rows exactly as they stand in the file:

    # WIND/REAL_TIME_wind.csv line 53858
    Year,Month,Day,Period,309_WIND_1,317_WIND_1,303_WIND_1,122_WIND_1
    2020,7,6,1,68.8,119.5,105.4,176.9
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from data_engineering.ingestion.rts_gmlc import DATA_YEAR, REINSTALL, data_day, to_number
from data_engineering.model.errors import (
    BadInput,
    DayOutsideData,
    SourceFileBroken,
    SourceFileMissing,
)
from data_engineering.model.time import Window

DAY = timedelta(days=1)
Key = tuple[int, ...]
REINGEST = "ingest the day again"


@dataclass(frozen=True)
class SeriesFile:
    """A file below `timeseries_data_files`.

    Attributes:
        path: relative to that folder.
        periods: intervals in a day, 24 or 288.
        a_row_is_a_day: rows are days and columns are periods; else rows are periods and columns
            are elements.
    """

    path: str
    periods: int
    a_row_is_a_day: bool = False

    @property
    def key_names(self) -> tuple[str, ...]:
        """The leading columns, which say what time a row is for."""
        return (
            ("Year", "Month", "Day") if self.a_row_is_a_day else ("Year", "Month", "Day", "Period")
        )


@dataclass(frozen=True)
class Part:
    """What a window takes of one day: periods `first` up to, not including, `stop`, from 0."""

    day: date
    first: int
    stop: int

    def keys(self, file: SeriesFile) -> list[Key]:
        """The keys of the rows that hold the part, in order."""
        there = data_day(self.day)
        day = (there.year, there.month, there.day)
        if file.a_row_is_a_day:
            return [day]
        return [(*day, period + 1) for period in range(self.first, self.stop)]


def parts(window: Window, periods: int) -> list[Part]:
    """The days of a window with the periods that start in it.

    Raises:
        BadInput: no period starts in the window.
    """
    found, step = [], DAY / periods
    midnight = window.start.replace(hour=0, minute=0, second=0, microsecond=0)
    while midnight < window.end:
        first = max(0, math.ceil((window.start - midnight) / step))
        stop = min(periods, math.ceil((window.end - midnight) / step))
        if first < stop:
            found.append(Part(midnight.date(), first, stop))
        midnight += DAY
    if not found:
        raise BadInput("window", f"{window.start} to {window.end}", f"include a start of {step}")
    return found


def cut(folder: Path, file: SeriesFile, window: Window, elements: Sequence[str]) -> bytes:
    """The sections of one file that hold a window; the same call gives the same bytes.

    Args:
        folder: the RTS-GMLC folder.
        file: which file.
        window: which intervals: those that start in it.
        elements: names that the header must have, each once, in any order.

    Raises:
        SourceFileMissing: the file is not there.
        SourceFileBroken: the header has other columns, or rows of the window are missing or cut.
        DayOutsideData: the file ends before, or begins after, a day of the window.
    """
    path = folder / "timeseries_data_files" / file.path
    try:
        with path.open("rb") as stream, closing(_map(stream.fileno(), path)) as data:
            reader = _Reader(path, file, data)
            reader.check_header(elements)
            return b"".join(reader.section(part) for part in parts(window, file.periods))
    except FileNotFoundError:
        raise SourceFileMissing(path, REINSTALL) from None


def cut_all(
    folder: Path, files: Mapping[SeriesFile, Sequence[str]], windows: Sequence[Window]
) -> bytes:
    """The sections of several files (with the elements of each) for several windows.

    Raises:
        SourceFileMissing, SourceFileBroken, DayOutsideData: as `cut`.
    """
    return b"".join(
        cut(folder, file, window, elements)
        for window in windows
        for file, elements in files.items()
    )


def _map(descriptor: int, path: Path) -> mmap.mmap:
    try:
        return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    except ValueError:
        raise SourceFileBroken(path, "it is empty", REINSTALL) from None


class _Reader:
    """Finds rows in the mapped bytes of one sorted file."""

    def __init__(self, path: Path, file: SeriesFile, data: mmap.mmap) -> None:
        self.path, self.file, self.data = path, file, data
        self.body = self._next(0)
        self.header = _fields(data[: self.body])

    def check_header(self, elements: Sequence[str]) -> None:
        count = len(self.file.key_names)
        if tuple(self.header[:count]) != self.file.key_names:
            wanted = ",".join(self.file.key_names)
            raise self._broken(f"line 1 must begin with {wanted}")
        missing = sorted(set(elements) - set(self.header[count:]))
        unknown = sorted(set(self.header[count:]) - set(elements))
        if missing:
            raise self._broken(f"column {missing[0]!r} is missing")
        if unknown or len(self.header) - count != len(elements):
            raise self._broken(f"columns {unknown or 'given twice'} are not known")

    def section(self, part: Part) -> bytes:
        keys = part.keys(self.file)
        begin = self._first_at_or_after(keys[0])
        end = self._first_at_or_after((*keys[-1][:-1], keys[-1][-1] + 1))
        rows = self.data[begin:end]
        found = rows.count(b"\n") + (not rows.endswith(b"\n") and bool(rows))
        if not found:
            raise self._absent(part)
        if found != len(keys):
            raise self._broken(
                f"it has {found} of {len(keys)} rows of {data_day(part.day).isoformat()} "
                f"from line {self._line(begin)}"
            )
        if not rows.endswith(b"\n"):
            raise self._cut_short()
        title = f"# {self.file.path} line {self._line(begin)}\n".encode()
        return title + self.data[: self.body] + rows

    def _absent(self, part: Part) -> Exception:
        """Why a day is not in the file: it was cut, has a hole, or covers other days."""
        if self.body >= len(self.data):
            return self._broken("it has no rows")
        last_begin = self._begin(len(self.data) - 1)
        first, last = self._key(self.body), self._key(last_begin)
        if self.data[-1:] != b"\n" or not (
            self.file.a_row_is_a_day or last[3] == self.file.periods
        ):
            return self._cut_short()
        first_day, last_day, asked = date(*first[:3]), date(*last[:3]), data_day(part.day)
        if first_day <= asked <= last_day:
            return self._broken(f"it has no rows of {asked.isoformat()}")
        where = f"{self.path} (a run date stands for the same month and day of {DATA_YEAR})"
        return DayOutsideData(asked, first_day, last_day, where)

    def _cut_short(self) -> SourceFileBroken:
        line = self._line(self._begin(len(self.data) - 1))
        return self._broken(f"it ends within line {line}, or within the day of that line")

    def _broken(self, fact: str) -> SourceFileBroken:
        return SourceFileBroken(self.path, fact, REINSTALL)

    def _first_at_or_after(self, key: Key) -> int:
        """Where the first row begins whose key is `key` or later."""
        low, high = self.body, len(self.data)
        while low < high:
            begin = self._begin((low + high) // 2)
            if self._key(begin) < key:
                low = self._next(begin)
            else:
                high = begin
        return low

    def _begin(self, position: int) -> int:
        """Where the line begins that holds the byte at `position`."""
        return self.data.rfind(b"\n", 0, position) + 1

    def _next(self, position: int) -> int:
        """Where the line begins that follows the one that holds the byte at `position`."""
        found = self.data.find(b"\n", position)
        return len(self.data) if found < 0 else found + 1

    def _line(self, position: int) -> int:
        return self.data[:position].count(b"\n") + 1

    def _key(self, begin: int) -> Key:
        names = self.file.key_names
        key = _whole_numbers(_fields(self.data[begin : self._next(begin)])[: len(names)])
        if len(key) != len(names):
            raise self._broken(f"line {self._line(begin)} does not begin with {','.join(names)}")
        return key


def _fields(line: bytes) -> list[str]:
    """The fields of a line; the files quote names at most, and no name holds a comma."""
    text = line.decode("utf-8", errors="replace").strip().lstrip("\ufeff")
    return [field.strip().strip('"') for field in text.split(",")]


def _whole_numbers(fields: Sequence[str]) -> Key:
    """The fields as numbers; none when one is not a whole number."""
    try:
        return tuple(int(field) for field in fields)
    except ValueError:
        return ()


@dataclass(frozen=True)
class Section:
    """A section of a cut: the rows of one file and day."""

    path: str
    line: int
    header: list[str]
    rows: list[list[str]]


def sections(raw: bytes) -> list[Section]:
    """Split a cut into its sections.

    Raises:
        SourceFileBroken: the bytes are not sections.
    """
    found: list[Section] = []
    for number, line in enumerate(raw.splitlines(), start=1):
        if line.startswith(b"# "):
            path, _, start = line[2:].decode("utf-8", errors="replace").rpartition(" line ")
            if not start.isdecimal():
                raise SourceFileBroken("raw bytes", f"line {number} is no title", REINGEST)
            found.append(Section(path, int(start), [], []))
        elif not found:
            raise SourceFileBroken("raw bytes", f"line {number} is no title", REINGEST)
        elif not found[-1].header:
            found[-1].header.extend(_fields(line))
        else:
            found[-1].rows.append(_fields(line))
    return found


def read(section: Section, file: SeriesFile, part: Part) -> pd.DataFrame:
    """The values of a section: index `time` (UTC, start of the interval), a column per element.

    A row that is a day becomes the single column `value`.

    Raises:
        SourceFileBroken: rows are missing, out of order or have too few fields, or a field is not
            a number; says the file, the line and the field.
    """
    keys, count = part.keys(file), len(file.key_names)
    if section.path != file.path or len(section.rows) != len(keys):
        fact = f"{len(section.rows)} rows of {section.path} where {len(keys)} are due"
        raise SourceFileBroken(file.path, fact, REINGEST)
    values = []
    for line, (key, row) in enumerate(zip(keys, section.rows, strict=True), start=section.line):
        if len(row) != len(section.header):
            fact = f"line {line} has {len(row)} fields where the header has {len(section.header)}"
            raise SourceFileBroken(file.path, fact, REINSTALL)
        if _whole_numbers(row[:count]) != key:
            fact = f"line {line} is for {row[:count]} where {list(key)} is due"
            raise SourceFileBroken(file.path, fact, REINSTALL)
        named = zip(row[count:], section.header[count:], strict=True)
        values.append([to_number(text, file.path, line, name) for text, name in named])
    step = DAY / file.periods
    midnight = pd.Timestamp(datetime.combine(part.day, datetime.min.time()), tz="UTC")
    times = [midnight + period * step for period in range(part.first, part.stop)]
    index = pd.DatetimeIndex(times, name="time")
    if file.a_row_is_a_day:
        return pd.DataFrame({"value": values[0][part.first : part.stop]}, index=index)
    return pd.DataFrame(np.array(values), index=index, columns=section.header[count:])


def read_all(
    raw: bytes, files: Iterable[SeriesFile], windows: Sequence[Window]
) -> list[dict[SeriesFile, pd.DataFrame]]:
    """What `cut_all` cut: for each window, the values of each file.

    Raises:
        SourceFileBroken: as `read`, or the bytes hold other sections than the windows need.
    """
    wanted = [
        (number, file, part)
        for number, window in enumerate(windows)
        for file in files
        for part in parts(window, file.periods)
    ]
    found = sections(raw)
    if len(found) != len(wanted):
        fact = f"{len(found)} sections where the window has {len(wanted)}"
        raise SourceFileBroken("raw bytes", fact, REINGEST)
    frames: list[dict[SeriesFile, list[pd.DataFrame]]] = [{} for _ in windows]
    for (number, file, part), section in zip(wanted, found, strict=True):
        frames[number].setdefault(file, []).append(read(section, file, part))
    return [{file: pd.concat(days) for file, days in window.items()} for window in frames]


def unpivot(wide: pd.DataFrame, element: str, value: str) -> pd.DataFrame:
    """A row for each time and element, times first: columns time, `element` and `value`."""
    return pd.DataFrame(
        {
            "time": wide.index.repeat(wide.shape[1]),
            element: np.tile(wide.columns.to_numpy(dtype=object), len(wide)),
            value: wide.to_numpy(dtype=float).ravel(),
        }
    )
