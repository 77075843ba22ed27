"""A `SolveRequest` as the files of an exchange bundle (docs/EXCHANGE.md); equals give equals."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from data_engineering.model.errors import BadInput
from data_engineering.model.exchange import FORMAT, METHODS, VERSION
from data_engineering.model.grid import Elements, Flags, Floats, Grid, Ints
from data_engineering.model.problem import Commitment, Outage, Periods, SolveRequest
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
from data_engineering.transformation.exchange_csv import csv_text, flags, numbers, wide_text
from data_engineering.transformation.matpower_write import grid_to_matpower
from data_engineering.transformation.powersystems_builder import powersystems_tables

KINDS = ("lascopf", "scopf", "dcopf")
SEPARATOR = ";"
"""Between the ids of elements that are lost together."""


def bundle_files(request: SolveRequest, thermal: Flags, reserve_minutes: float) -> dict[str, str]:
    """All files of the bundle by name, manifest.json included.

    Args:
        request: a dispatch whose states are given or all on.
        thermal: generators that have states, reserve, cost and ramps, shape (generators,).
        reserve_minutes: time within which reserve must be reached.

    Raises:
        BadInput: the request is no dispatch, its states are to be found, or a value or an id has
            no place in the format.
    """
    _check_request(request)
    grid, periods = request.grid, request.periods
    bus_numbers = numbers_of_buses(grid)
    powersystems, notes = _powersystems(grid, periods)
    files = {
        "options.json": _json(_options(request, reserve_minutes)),
        "bus.csv": csv_text(_buses(grid, bus_numbers)),
        "branch.csv": csv_text(_plain(grid.branches, BRANCH, bus_numbers)),
        "gen.csv": csv_text(_generators(grid, periods, thermal, bus_numbers)),
        "dc_branch.csv": csv_text(_plain(grid.dc_lines, DC_BRANCH, bus_numbers)),
        "storage.csv": csv_text(_storages(grid, periods, bus_numbers)),
        "load.csv": csv_text(_plain(grid.loads, LOAD, bus_numbers)),
        "contingencies.csv": csv_text(_contingencies(request.outages)),
        **_series(grid, periods),
        **({} if request.commitment is None else _states(grid, request.commitment)),
        "matpower/case.m": grid_to_matpower(grid),
        **powersystems,
    }
    return {**files, "manifest.json": _json(_manifest(request, files, notes))}


def request_id_of(digests: Mapping[str, str]) -> str:
    """The id that follows from the names and SHA-256 digests of all files but the manifest."""
    lines = "".join(f"{name} {digests[name]}\n" for name in sorted(digests))
    return hashlib.sha256(lines.encode()).hexdigest()[:32]


def numbers_of_buses(grid: Grid) -> Ints:
    """The ids of the buses where they are whole numbers, else 1 to n."""
    ids = grid.buses.id.tolist()
    if all(re.fullmatch(r"[1-9][0-9]{0,14}", name) for name in ids):
        return np.array(ids, dtype=np.int64)
    return np.arange(1, len(ids) + 1)


def _check_request(request: SolveRequest) -> None:
    if request.kind not in KINDS:
        raise BadInput("kind", request.kind, f"use one of {', '.join(KINDS)}")
    if request.options.method not in METHODS:
        raise BadInput("method", request.options.method, f"use one of {', '.join(METHODS)}")
    if request.commitment is None and request.options.commitment != "on":
        remedy = "give the request a commitment, or use `on`"
        raise BadInput("options.commitment", request.options.commitment, remedy)


def _manifest(
    request: SolveRequest, files: Mapping[str, str], notes: list[str]
) -> dict[str, object]:
    content = {name: text.encode() for name, text in sorted(files.items())}
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}
    return {
        "format": FORMAT,
        "version": VERSION,
        "request_id": request_id_of(digests),
        "case_name": request.grid.case_name,
        "kind": request.kind,
        "files": {
            name: {"sha256": digests[name], "bytes": len(data)} for name, data in content.items()
        },
        "notes": notes,
    }


def _options(request: SolveRequest, reserve_minutes: float) -> dict[str, object]:
    options, periods = request.options, request.periods
    steps = asdict(options.decomposition)
    names = ("alpha", "beta", "gamma", "tolerance", "max_iterations")
    return {
        "kind": request.kind,
        "method": options.method,
        "case_name": request.grid.case_name,
        "base_mva": request.grid.base_mva,
        "start": periods.start.isoformat(),
        "minutes": periods.minutes,
        "intervals": periods.count,
        "reported": periods.reported,
        "commitment": "on" if request.commitment is None else "given",
        "tolerance": options.tolerance,
        "time_limit_seconds": options.time_limit_seconds,
        "reserve_minutes": reserve_minutes,
        "penalties": asdict(options.penalties),
        "decomposition": {name: steps[name] for name in names},
    }


def _buses(grid: Grid, bus_numbers: Ints) -> dict[str, list[str]]:
    buses, loads = grid.buses, grid.loads
    on = loads.in_service
    found = {"Bus ID": [str(number) for number in bus_numbers.tolist()]}
    found |= _plain(buses, BUS, bus_numbers)
    found["Bus Type"] = [BUS_TYPES[kind] for kind in buses.kind.tolist()]
    for name, values in (("MW Load", loads.p_mw), ("MVAR Load", loads.q_mvar)):
        total = np.bincount(loads.bus[on], values[on], len(buses)).astype(np.float64)
        found[name] = numbers(name, total, buses.id.tolist(), np.nan)
    return found


def _generators(
    grid: Grid, periods: Periods, thermal: Flags, bus_numbers: Ints
) -> dict[str, list[str]]:
    units = grid.generators
    ids = units.id.tolist()
    before = np.full(len(units), np.nan) if periods.before_mw is None else periods.before_mw
    found = _plain(units, GENERATOR, bus_numbers)
    found["Thermal"] = flags(thermal)
    found["Must Take"] = flags(periods.must_take)
    found["Before MW"] = numbers("Before MW", before, ids, np.nan)
    for point in range(units.cost_mw.shape[1]):
        for head, values in ((COST_MW, units.cost_mw), (COST_USD, units.cost_usd_per_h)):
            name = f"{head} {point}"
            found[name] = numbers(name, values[:, point], ids, np.nan)
    return found


def _storages(grid: Grid, periods: Periods, bus_numbers: Ints) -> dict[str, list[str]]:
    stores, asked = grid.storages, periods.energy_end_mwh
    end = stores.energy_initial_mwh if asked is None else asked
    found = _plain(stores, STORAGE, bus_numbers)
    found["Energy End MWh"] = numbers("Energy End MWh", end, stores.id.tolist(), None)
    return found


def _plain(
    elements: Elements, columns: tuple[Column, ...], bus_numbers: Ints
) -> dict[str, list[str]]:
    """The words of a part's columns."""
    ids = elements.id.tolist()  # type: ignore[attr-defined]
    found: dict[str, list[str]] = {}
    for column in columns:
        values: Any = getattr(elements, column.field)
        if column.kind == "text":
            found[column.name] = values.tolist()
        elif column.kind == "flag":
            found[column.name] = flags(values)
        elif column.kind == "bus":
            found[column.name] = [str(number) for number in bus_numbers[values].tolist()]
        else:
            one: Floats = values if column.place is None else values[:, column.place]
            found[column.name] = numbers(column.name, one, ids, column.missing)
    return found


def _contingencies(outages: tuple[Outage, ...]) -> dict[str, list[str]]:
    for outage in outages:
        for name in (*outage.branches, *outage.generators):
            if SEPARATOR in name:
                raise BadInput(f"outage {outage.id}", name, f"give an id without {SEPARATOR}")
    return {
        "UID": [outage.id for outage in outages],
        "Branches": [SEPARATOR.join(outage.branches) for outage in outages],
        "Generators": [SEPARATOR.join(outage.generators) for outage in outages],
    }


def _series(grid: Grid, periods: Periods) -> dict[str, str]:
    reserve = np.column_stack([periods.reserve_up_mw, periods.reserve_down_mw])
    return {
        "series/load.csv": wide_text(periods.load_mw, grid.loads.id.tolist()),
        "series/available.csv": wide_text(periods.available_mw, grid.generators.id.tolist()),
        "series/inflow.csv": wide_text(periods.inflow_mw, grid.storages.id.tolist()),
        "series/reserve.csv": wide_text(reserve, ("Up MW", "Down MW")),
    }


def _states(grid: Grid, commitment: Commitment) -> dict[str, str]:
    units, stores = grid.generators.id.tolist(), grid.storages.id.tolist()
    return {
        "commitment/on.csv": wide_text(commitment.on, units),
        "commitment/start_cost.csv": wide_text(commitment.start_cost_usd, units),
        "commitment/discharging.csv": wide_text(commitment.discharging, stores),
        "commitment/store_start_cost.csv": wide_text(commitment.store_start_cost_usd, stores),
    }


def _powersystems(grid: Grid, periods: Periods) -> tuple[dict[str, str], list[str]]:
    """The tables of PowerSystems.jl, and what of the grid has no place in them."""
    try:
        tables = powersystems_tables(grid, periods)
    except BadInput as error:
        return {}, [f"powersystems/ is left out: {error}"]
    notes = []
    for part, lines in (("branches", grid.branches), ("DC lines", grid.dc_lines)):
        out = lines.id[~lines.in_service].tolist()
        if out:
            notes.append(f"powersystems/ has no {part} out of service: {', '.join(out)}")
    if periods.inflow_mw.any():
        notes.append("powersystems/ has no natural inflow of stores")
    if (grid.dc_lines.loss_fixed_mw != 0.0).any():
        notes.append("powersystems/ has no fixed losses of DC lines")
    files = {}
    for name, content in tables.items():
        text = content if isinstance(content, str) else content.to_csv(index=False)
        files[f"powersystems/{name}"] = text
    return files, notes


def _json(document: Mapping[str, object]) -> str:
    return (
        json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    )
