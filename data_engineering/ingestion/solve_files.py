"""Files that a user gives with a solve: outages, and which units run."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from data_engineering.model.errors import BadInput, SourceFileBroken, SourceFileMissing
from data_engineering.model.grid import Flags, Grid
from data_engineering.model.problem import Outage


def read_outages(path: Path) -> tuple[Outage, ...]:
    """Outages from a CSV file with columns id, branches, generators.

    Several elements of one outage are parted by semicolons; either column may be empty.

    Raises:
        SourceFileMissing: there is no such file.
        SourceFileBroken: it lacks a column, or a row has no element; the line is said.
        BadInput: an id is not unique.
    """
    frame = _read(path)
    missing = sorted({"id", "branches", "generators"} - set(frame.columns))
    if missing:
        raise SourceFileBroken(path, f"no column {missing[0]}", "give id,branches,generators")
    outages = []
    rows = frame[["id", "branches", "generators"]].to_numpy(dtype=str).tolist()
    for line, (name, *elements) in enumerate(rows, start=2):
        branches, generators = map(_names, elements)
        if not branches and not generators:
            raise SourceFileBroken(path, f"line {line}: outage {name} has no element", "name one")
        outages.append(Outage(name, branches, generators))
    ids = frame["id"]
    if ids.duplicated().any():
        raise BadInput("outage id", ids[ids.duplicated()].iloc[0], "give each outage its own id")
    return tuple(outages)


def read_states(path: Path, grid: Grid, count: int) -> Flags:
    """Which units run, from a CSV file with a column of 0 and 1 for each unit that is named.

    Units that are not named run while they are in service.

    Args:
        path: one row for each interval.
        grid: the case.
        count: T.

    Returns:
        Flags of shape (T, generators).

    Raises:
        SourceFileMissing: there is no such file.
        SourceFileBroken: it has another number of rows, or a value that is not 0 or 1.
        BadInput: a column is not a unit of the grid.
    """
    frame, units = _read(path), grid.generators
    unknown = sorted(set(frame.columns) - set(units.id.tolist()))
    if unknown:
        raise BadInput(f"{path}: column", unknown[0], "name units of the grid")
    if len(frame) != count:
        remedy = f"give {count} rows, one for each interval"
        raise SourceFileBroken(path, f"{len(frame)} rows", remedy)
    wrong = ~frame.isin(["0", "1"])
    for line, column in zip(*wrong.to_numpy().nonzero(), strict=True):
        said = f"line {line + 2}: {frame.columns[column]} is {frame.iat[line, column]!r}"
        raise SourceFileBroken(path, said, "give 0 or 1")
    on = units.in_service & (frame.reindex(columns=units.id).fillna("1") == "1").to_numpy()
    flags: Flags = on
    return flags


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise SourceFileMissing(path, "give the path of a CSV file")
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise SourceFileBroken(path, str(error), "give a CSV file with a header") from None


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(";") if name.strip())
