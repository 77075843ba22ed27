"""The files of an exchange bundle as the `SolveRequest` that they were written from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from data_engineering.model.errors import BadInput
from data_engineering.model.exchange import FORMAT, METHODS, VERSION
from data_engineering.model.grid import (
    Branches,
    Buses,
    DcLines,
    Floats,
    Generators,
    Grid,
    Loads,
    Storages,
)
from data_engineering.model.problem import (
    Commitment,
    Decomposition,
    Options,
    Outage,
    Penalties,
    Periods,
    SolveRequest,
)
from data_engineering.transformation.exchange_bundle import KINDS, SEPARATOR, request_id_of
from data_engineering.transformation.exchange_columns import (
    BRANCH,
    BUS,
    BUS_TYPES,
    COST_MW,
    COST_USD,
    DC_BRANCH,
    GENERATOR,
    LOAD,
    STORAGE,
    Column,
)
from data_engineering.transformation.exchange_csv import CsvTable

LEAST_POINTS = 2
"""Columns of cost points that a grid has at least."""


def request_from_files(files: Mapping[str, bytes]) -> SolveRequest:
    """Read a bundle.

    Args:
        files: all files of the folder by name, such as `series/load.csv`.

    Raises:
        BadInput: a file is missing or not the one of the manifest, or a value is wrong; the line
            names file, row, column, value and remedy.
    """
    check_manifest(files)
    options = _document(files, "options.json")
    buses, bus_rows = _buses(_table(files, "bus.csv"))
    generators = _table(files, "gen.csv")
    storages = _table(files, "storage.csv")
    grid = Grid(
        case_name=str(_value(options, "case_name", str)),
        base_mva=_number(options, "base_mva"),
        buses=buses,
        branches=Branches(**_plain(_table(files, "branch.csv"), BRANCH, bus_rows)),
        generators=Generators(**_generators(generators, bus_rows)),
        loads=Loads(**_plain(_table(files, "load.csv"), LOAD, bus_rows)),
        storages=Storages(**_plain(storages, STORAGE, bus_rows)),
        dc_lines=DcLines(**_plain(_table(files, "dc_branch.csv"), DC_BRANCH, bus_rows)),
    )
    kind = _one_of(options, "kind", KINDS)
    periods = _periods(files, grid, options, generators, storages)
    return SolveRequest(
        kind=kind,  # type: ignore[arg-type]
        grid=grid,
        periods=periods,
        outages=_outages(_table(files, "contingencies.csv"), grid),
        options=_options(options),
        commitment=_commitment(files, grid, options, periods.count),
    )


def check_manifest(files: Mapping[str, bytes]) -> str:
    """Hold every file to the manifest; the request's id.

    Raises:
        BadInput: a file is missing, changed or not named, or the id does not follow from them.
    """
    manifest = _document(files, "manifest.json")
    if (manifest.get("format"), manifest.get("version")) != (FORMAT, VERSION):
        given = f"{manifest.get('format')} {manifest.get('version')}"
        raise BadInput("manifest.json format", given, f"give {FORMAT} {VERSION}")
    listed = _value(manifest, "files", dict, "manifest.json")
    others = set(files) - {"manifest.json"}
    for name in sorted(others ^ set(listed)):
        remedy = "write the folder and its manifest together"
        raise BadInput("manifest.json files", name, remedy)
    digests = {name: hashlib.sha256(files[name]).hexdigest() for name in sorted(others)}
    for name, digest in digests.items():
        if listed[name].get("sha256") != digest:
            raise BadInput(f"{name} sha256", digest, "the file was changed; export it again")
    if manifest.get("request_id") != request_id_of(digests):
        remedy = f"the files give {request_id_of(digests)}; export them again"
        raise BadInput("manifest.json request_id", manifest.get("request_id"), remedy)
    return str(manifest["request_id"])


def _table(files: Mapping[str, bytes], name: str) -> CsvTable:
    return CsvTable.read(name, _text(files, name))


def _text(files: Mapping[str, bytes], name: str) -> str:
    if name not in files:
        raise BadInput("bundle", name, "the file is missing; export it again")
    try:
        return files[name].decode()
    except UnicodeDecodeError as wrong:
        raise BadInput(name, str(wrong), "write it in UTF-8") from None


def _document(files: Mapping[str, bytes], name: str) -> dict[str, Any]:
    try:
        document = json.loads(_text(files, name))
    except json.JSONDecodeError as wrong:
        raise BadInput(name, str(wrong), "write it as JSON") from None
    if not isinstance(document, dict):
        raise BadInput(name, type(document).__name__, "give a JSON object")
    return document


def _value(
    document: Mapping[str, Any],
    name: str,
    kind: type | tuple[type, ...],
    file: str = "options.json",
) -> Any:
    value = document.get(name)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise BadInput(f"{file} {name}", value, "give a value of the kind that the format names")
    return value


def _number(document: Mapping[str, Any], name: str) -> float:
    return float(_value(document, name, (int, float)))


def _one_of(document: Mapping[str, Any], name: str, known: tuple[str, ...]) -> str:
    value = document.get(name)
    if value not in known:
        raise BadInput(f"options.json {name}", value, f"use one of {', '.join(known)}")
    return str(value)


def _plain(
    table: CsvTable, columns: tuple[Column, ...], bus_rows: dict[str, int]
) -> dict[str, Any]:
    """Arrays by the fields of a grid's part."""
    found: dict[str, Any] = {}
    several: dict[str, list[Floats]] = {}
    for column in columns:
        if column.kind == "text":
            found[column.field] = table.names(column.name)
        elif column.kind == "flag":
            found[column.field] = table.flags(column.name)
        elif column.kind == "bus":
            found[column.field] = table.one_of(column.name, bus_rows)
        elif column.place is None:
            found[column.field] = table.floats(column.name, column.missing)
        else:
            several.setdefault(column.field, []).append(table.floats(column.name, column.missing))
    return found | {field: np.column_stack(values) for field, values in several.items()}


def _buses(table: CsvTable) -> tuple[Buses, dict[str, int]]:
    """The buses, and the row of each by its number."""
    kinds = {word: kind for kind, word in BUS_TYPES.items()}
    plain = _plain(table, BUS, {})
    table.wholes("Bus ID")
    rows = {word: row for row, word in enumerate(table.texts("Bus ID"))}
    if len(rows) < table.count:
        raise BadInput("bus.csv Bus ID", table.count, "give every bus a number of its own")
    return Buses(kind=table.one_of("Bus Type", kinds), **plain), rows


def _generators(table: CsvTable, bus_rows: dict[str, int]) -> dict[str, Any]:
    found = _plain(table, GENERATOR, bus_rows)
    points = sum(name.startswith(f"{COST_MW} ") for name in table.columns)
    count = max(points, LEAST_POINTS)
    for head, field in ((COST_MW, "cost_mw"), (COST_USD, "cost_usd_per_h")):
        values = np.full((table.count, count), np.nan)
        for point in range(points):
            values[:, point] = table.floats(f"{head} {point}", np.nan)
        found[field] = values
    return found


def _periods(
    files: Mapping[str, bytes],
    grid: Grid,
    options: Mapping[str, Any],
    generators: CsvTable,
    storages: CsvTable,
) -> Periods:
    count = int(_value(options, "intervals", int))
    reserve = _table(files, "series/reserve.csv").wide(np.array(["Up MW", "Down MW"]), count)
    before = generators.floats("Before MW", np.nan)
    return Periods(
        start=_start(options),
        minutes=int(_value(options, "minutes", int)),
        load_mw=_table(files, "series/load.csv").wide(grid.loads.id, count),
        available_mw=_table(files, "series/available.csv").wide(grid.generators.id, count),
        must_take=generators.flags("Must Take"),
        inflow_mw=_table(files, "series/inflow.csv").wide(grid.storages.id, count),
        reserve_up_mw=reserve[:, 0],
        reserve_down_mw=reserve[:, 1],
        reported=int(_value(options, "reported", int)),
        before_mw=None if np.isnan(before).all() else before,
        energy_end_mwh=storages.floats("Energy End MWh"),
    )


def _start(options: Mapping[str, Any]) -> datetime:
    text = str(_value(options, "start", str))
    try:
        start = datetime.fromisoformat(text)
    except ValueError:
        start = datetime.min  # noqa: DTZ901 - refused below, as it has no zone
    if start.utcoffset() != timedelta(0):
        raise BadInput("options.json start", text, "give an instant of ISO 8601 in UTC")
    return start


def _outages(table: CsvTable, grid: Grid) -> tuple[Outage, ...]:
    found = []
    columns = [table.texts(name) for name in ("UID", "Branches", "Generators")]
    for uid, branches, units in zip(*columns, strict=True):
        outage = Outage(uid, _ids(branches), _ids(units))
        for names, known in (
            (outage.branches, grid.branches.id),
            (outage.generators, grid.generators.id),
        ):
            unknown = set(names) - set(known.tolist())
            if unknown:
                raise BadInput(
                    f"contingencies.csv {uid}", min(unknown), "name elements of the grid"
                )
        found.append(outage)
    return tuple(found)


def _ids(joined: str) -> tuple[str, ...]:
    return tuple(joined.split(SEPARATOR)) if joined else ()


def _options(document: Mapping[str, Any]) -> Options:
    penalties, steps = (
        {name: _number(part, name) for name in part}
        for part in (_value(document, key, dict) for key in ("penalties", "decomposition"))
    )
    steps["max_iterations"] = int(steps.get("max_iterations", 0))
    try:
        return Options(
            method=_one_of(document, "method", METHODS),
            commitment=_one_of(document, "commitment", ("given", "on")),  # type: ignore[arg-type]
            tolerance=_number(document, "tolerance"),
            time_limit_seconds=_number(document, "time_limit_seconds"),
            penalties=Penalties(**penalties),
            decomposition=Decomposition(**steps),  # type: ignore[arg-type]
        )
    except TypeError as wrong:
        raise BadInput("options.json", str(wrong), "use the keys of the format") from None


def _commitment(
    files: Mapping[str, bytes], grid: Grid, options: Mapping[str, Any], count: int
) -> Commitment | None:
    if options["commitment"] == "on":
        return None
    units, stores = grid.generators.id, grid.storages.id
    return Commitment(
        on=_flags(_table(files, "commitment/on.csv"), units, count),
        discharging=_flags(_table(files, "commitment/discharging.csv"), stores, count),
        start_cost_usd=_table(files, "commitment/start_cost.csv").wide(units, count),
        store_start_cost_usd=_table(files, "commitment/store_start_cost.csv").wide(stores, count),
    )


def _flags(table: CsvTable, ids: Any, count: int) -> Any:
    values = table.wide(ids, count)
    for uid in ids.tolist():
        table.flags(uid)
    return values > 0.0
