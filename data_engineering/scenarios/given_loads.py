"""Load scenarios that a file gives: demand at every bus in each of them.

The columns are those of gridfm-datakit's precomputed profiles and of the load scenario tables
that datasets hold: load_scenario (from 0), load (row of the bus, from 0), p_mw, q_mvar. Each pair
of the first two has exactly one row; the order of rows and further columns do not matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from data_engineering.model.errors import BadInput, SourceFileBroken, SourceFileMissing
from data_engineering.model.grid import Flags, Floats, Ints

COLUMNS = ("load_scenario", "load", "p_mw", "q_mvar")
_FILE = "load.scenario_file"
# A row of CSV is at least `0,0,0,0` and the end of its line.
_ROW_BYTES = 8


def read_given(path: Path, buses: int, scenarios: int) -> tuple[Floats, Floats]:
    """Demand of a .csv or .parquet file, MW and Mvar, each shape (scenarios, buses).

    Raises:
        SourceFileMissing: there is no such file.
        SourceFileBroken: the file cannot be read as what its name says.
        BadInput: a column or row is missing, stands twice, names no bus, or is not a number.
    """
    if not path.is_file():
        raise SourceFileMissing(path, f"correct {_FILE}")
    if path.suffix == ".csv" and path.stat().st_size < _ROW_BYTES * buses * scenarios:
        remedy = f"{path} is too short for as many; give the number of load scenarios in it"
        raise BadInput("load.scenarios", scenarios, remedy)
    demand = np.full((2, scenarios, buses), np.nan)
    given = np.zeros((scenarios, buses), dtype=np.bool_)
    first_row = 0
    for rows in _blocks(path):
        _check_rows(path, rows, first_row, given)
        at = (rows[0].astype(np.int64), rows[1].astype(np.int64))
        demand[0][at], demand[1][at] = rows[2], rows[3]
        first_row += rows.shape[1]
    if not given.all():
        raise _row_missing(path, given)
    return demand[0], demand[1]


def _blocks(path: Path) -> Iterator[Floats]:
    """The four columns, block by block, each shape (4, rows); an empty field is NaN."""
    from pyarrow import ArrowException

    readers = {".csv": _csv_blocks, ".parquet": _parquet_blocks}
    if path.suffix not in readers:
        raise BadInput(_FILE, str(path), "give a .csv or .parquet file")
    try:
        for batch in readers[path.suffix](path):
            yield np.array([batch.column(name).to_numpy(zero_copy_only=False) for name in COLUMNS])
    except ArrowException as error:
        if path.suffix == ".csv":
            _find_bad_field(path)
        fact = str(error).splitlines()[0]
        raise SourceFileBroken(path, fact, f"correct the file or {_FILE}") from None


def _csv_blocks(path: Path) -> Iterator[Any]:
    from pyarrow import csv, float64

    with path.open("rb") as stream:
        header = stream.readline().decode("utf-8-sig", "replace")
    _check_columns(path, [name.strip().strip('"') for name in header.split(",")])
    numbers = csv.ConvertOptions(
        column_types=dict.fromkeys(COLUMNS, float64()), include_columns=list(COLUMNS)
    )
    with csv.open_csv(path, convert_options=numbers) as reader:
        yield from reader


def _parquet_blocks(path: Path) -> Iterator[Any]:
    from pyarrow import float64, parquet, schema

    numbers = schema([(name, float64()) for name in COLUMNS])
    with parquet.ParquetFile(path) as file:
        _check_columns(path, file.schema_arrow.names)
        for batch in file.iter_batches(columns=list(COLUMNS)):
            yield batch.select(list(COLUMNS)).cast(numbers)


def _check_columns(path: Path, names: list[str]) -> None:
    for column in COLUMNS:
        if column not in names:
            remedy = f"{path} has no column {column}; give {', '.join(COLUMNS)}"
            raise BadInput(_FILE, str(path), remedy)


def _check_rows(path: Path, rows: Floats, first_row: int, given: Flags) -> None:
    """Whether rows are usable and new; marks them as given."""
    scenarios, buses = given.shape
    for values, column, count in zip(rows[:2], COLUMNS, (scenarios, buses), strict=False):
        # NaN fails every comparison.
        usable = (values >= 0) & (values < count) & (values == np.floor(values))
        hint = "; load.scenarios says how many there are" if column == "load_scenario" else ""
        _refuse(path, first_row, values, usable, f"{column} is 0 to {count - 1}{hint}")
    for values, column in zip(rows[2:], COLUMNS[2:], strict=True):
        _refuse(path, first_row, values, np.isfinite(values), f"give {column} as a finite number")
    pair: Ints = rows[0].astype(np.int64) * buses + rows[1].astype(np.int64)
    new = ~given.ravel()[pair]
    first_of_pair = np.zeros(len(pair), dtype=np.bool_)
    first_of_pair[np.unique(pair, return_index=True)[1]] = True
    remedy = "its pair of load_scenario and load stands above; give each pair once"
    _refuse(path, first_row, rows[1], new & first_of_pair, remedy)
    given.ravel()[pair] = True


def _refuse(path: Path, first_row: int, values: Floats, usable: Flags, remedy: str) -> None:
    if not usable.all():
        row = int(np.argmin(usable))
        value = values[row].item()
        shown = int(value) if value.is_integer() else value
        raise BadInput(f"{path} row {first_row + row + 1}", shown, remedy)


def _row_missing(path: Path, given: Flags) -> BadInput:
    scenario, bus = np.argwhere(~given)[0].tolist()
    if not given[scenario:].any():
        remedy = f"{path} has {scenario} load scenarios; give as many"
        return BadInput("load.scenarios", len(given), remedy)
    remedy = f"add the row of load_scenario {scenario}, load {bus}"
    return BadInput(_FILE, str(path), remedy)


def _find_bad_field(path: Path) -> None:
    """Tell the first field that is not a number, if that is what is wrong."""
    import csv

    with path.open(newline="", encoding="utf-8-sig", errors="replace") as stream:
        for row, fields in enumerate(csv.DictReader(stream), start=1):
            for column in COLUMNS:
                text = fields.get(column)
                try:
                    float(text or "nan")
                except ValueError:
                    remedy = f"give {column} as a number"
                    raise BadInput(f"{path} row {row}", text, remedy) from None
