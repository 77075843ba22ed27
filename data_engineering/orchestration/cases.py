"""A CASE to a sound grid and to a file: rooms that are strangers, brought together."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from data_engineering.ingestion.case_files import CaseKind, CaseSource, read_case
from data_engineering.model.errors import BadInput
from data_engineering.model.grid import Grid
from data_engineering.model.problem import Outage, Periods
from data_engineering.settings import Settings, get_settings
from data_engineering.transformation.converters import grid_from_rts_gmlc
from data_engineering.transformation.grid_checks import check_grid
from data_engineering.transformation.grid_document import grid_from_document, grid_to_document
from data_engineering.transformation.legacy_tables import (
    grid_from_legacy,
    legacy_outages,
    legacy_periods,
)
from data_engineering.transformation.matpower import grid_from_matpower
from data_engineering.transformation.matpower_write import grid_to_matpower
from data_engineering.transformation.pandapower_nets import (
    grid_from_pandapower,
    grid_to_pandapower,
    net_from_json,
)


@dataclass(frozen=True, eq=False)
class LoadedCase:
    """A case that was read and found sound.

    Attributes:
        periods: intervals that the source itself gives; None where it gives none.
        outages: outages that the source itself lists; None where it lists none.
    """

    grid: Grid
    kind: CaseKind
    periods: Periods | None = None
    outages: tuple[Outage, ...] | None = None


def load_case(
    case: str, settings: Settings | None = None, *, negative_reactance: bool = False
) -> LoadedCase:
    """The grid of a case, with the intervals and outages that its source gives.

    The published cases of PGLib keep their negative reactances (series capacitors and equivalents
    of three-winding transformers); other cases may not have any unless it is said that they are
    meant.

    Args:
        case: as `ingestion.case_files.read_case` takes it.
        settings: None for those of the environment.
        negative_reactance: branches may have one.

    Raises:
        UnknownCase, SourceFileMissing, SourceFileBroken, BadInput: there is no such case, it
            cannot be read, or its grid has a fault; one line that names the element.
    """
    settings = settings or get_settings()
    source = read_case(case, settings.rts_gmlc_folder)
    loaded = _loaded(source)
    check_grid(loaded.grid, negative_reactance=source.published or negative_reactance)
    return loaded


def _loaded(source: CaseSource) -> LoadedCase:
    content, name = source.content, source.name
    if source.kind == "rts_gmlc":
        return LoadedCase(grid_from_rts_gmlc(content, name), source.kind)
    if source.kind == "matpower":
        return LoadedCase(grid_from_matpower(content, name), source.kind)
    if source.kind == "pandapower":
        return LoadedCase(grid_from_pandapower(net_from_json(content), name), source.kind)
    if source.kind == "system_data":
        return LoadedCase(grid_from_document(content), source.kind)
    grid = grid_from_legacy(content, name.removeprefix("legacy-"))
    periods, outages = legacy_periods(content, grid), legacy_outages(content, grid)
    return LoadedCase(grid, source.kind, periods, outages)


FORMS = {".m": "matpower", ".json": "system_data"}
"""What a file is written as, by the ending of its name, unless it is said."""


def write_case(grid: Grid, path: Path, form: str | None = None) -> str:
    """Write a grid to a file, whole or not at all.

    Args:
        grid: a sound grid.
        path: file to write.
        form: matpower, pandapower or system_data; None: by the file's ending.

    Returns:
        The form that was written.

    Raises:
        BadInput: there is no such form, or the ending says none.
    """
    chosen = form or FORMS.get(path.suffix)
    if chosen == "matpower":
        text = grid_to_matpower(grid)
    elif chosen == "system_data":
        text = json.dumps(grid_to_document(grid))
    elif chosen == "pandapower":
        import pandapower

        text = pandapower.to_json(grid_to_pandapower(grid))
    else:
        field, value = ("form", form) if form else ("file", path.name)
        raise BadInput(field, value, "use matpower (.m), pandapower or system_data (.json)")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text)
    partial.rename(path)
    return chosen
