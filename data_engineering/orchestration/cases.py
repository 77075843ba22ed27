"""A CASE to a sound grid: ingestion finds and reads it, transformation makes the grid."""

from __future__ import annotations

from dataclasses import dataclass

from data_engineering.ingestion.case_files import CaseKind, CaseSource, read_case
from data_engineering.model.grid import Grid
from data_engineering.model.problem import Outage, Periods
from data_engineering.settings import Settings, get_settings
from data_engineering.transformation.converters import grid_from_rts_gmlc
from data_engineering.transformation.grid_checks import check_grid
from data_engineering.transformation.grid_document import grid_from_document
from data_engineering.transformation.legacy_tables import (
    grid_from_legacy,
    legacy_outages,
    legacy_periods,
)
from data_engineering.transformation.matpower import grid_from_matpower
from data_engineering.transformation.pandapower_nets import grid_from_pandapower, net_from_json


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


def load_case(case: str, settings: Settings | None = None) -> LoadedCase:
    """The grid of a case, with the intervals and outages that its source gives.

    The published cases of PGLib keep their negative reactances (series capacitors and equivalents
    of three-winding transformers); other cases may not have any.

    Args:
        case: as `ingestion.case_files.read_case` takes it.
        settings: None for those of the environment.

    Raises:
        UnknownCase, SourceFileMissing, SourceFileBroken, BadInput: there is no such case, it
            cannot be read, or its grid has a fault; one line that names the element.
    """
    settings = settings or get_settings()
    source = read_case(case, settings.rts_gmlc_folder)
    loaded = _loaded(source)
    check_grid(loaded.grid, negative_reactance=source.published)
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
