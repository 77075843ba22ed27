"""RTS-GMLC's time-series files: what is in them, and which rows of them a window takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from data_engineering.ingestion.rts_gmlc import data_day
from data_engineering.model.errors import BadInput
from data_engineering.model.time import Window

DAY = timedelta(days=1)
Key = tuple[int, ...]


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


def fields_of(line: bytes) -> list[str]:
    """The fields of a line; the files quote names at most, and no name holds a comma."""
    text = line.decode("utf-8", errors="replace").strip().lstrip("\ufeff")
    return [field.strip().strip('"') for field in text.split(",")]


def whole_numbers(fields: Sequence[str]) -> Key:
    """The fields as numbers; none when one is not a whole number."""
    try:
        return tuple(int(field) for field in fields)
    except ValueError:
        return ()
