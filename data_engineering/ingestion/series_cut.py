"""RTS-GMLC's time-series files: cut a window out of them.

The files are sorted by time, so a cut is found by bisection over the mapped bytes: a file of a
hundred thousand lines costs some twenty look-ups and the lines of the window. A cut is text: for
each file and day one section, which is a title line that says where its rows begin, the file's
header, and the rows exactly as they stand in the file:

    # WIND/REAL_TIME_wind.csv line 53858
    Year,Month,Day,Period,309_WIND_1,317_WIND_1,303_WIND_1,122_WIND_1
    2020,7,6,1,68.8,119.5,105.4,176.9
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import date
from pathlib import Path

from data_engineering.ingestion.rts_gmlc import DATA_YEAR, REINSTALL, data_day
from data_engineering.ingestion.series_files import (
    Key,
    Part,
    SeriesFile,
    fields_of,
    parts,
    whole_numbers,
)
from data_engineering.model.errors import DayOutsideData, SourceFileBroken, SourceFileMissing
from data_engineering.model.time import Window


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
        self.header = fields_of(data[: self.body])

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
        key = whole_numbers(fields_of(self.data[begin : self._next(begin)])[: len(names)])
        if len(key) != len(names):
            raise self._broken(f"line {self._line(begin)} does not begin with {','.join(names)}")
        return key
