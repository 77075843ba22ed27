"""RTS-GMLC's time-series files: read what was cut out of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from data_engineering.ingestion.rts_gmlc import REINSTALL, to_number
from data_engineering.ingestion.series_files import (
    DAY,
    Part,
    SeriesFile,
    fields_of,
    parts,
    whole_numbers,
)
from data_engineering.model.errors import SourceFileBroken
from data_engineering.model.time import Window

REINGEST = "ingest the day again"


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
            found[-1].header.extend(fields_of(line))
        else:
            found[-1].rows.append(fields_of(line))
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
        if whole_numbers(row[:count]) != key:
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
