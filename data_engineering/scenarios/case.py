"""The grid of a dataset: one grid in the order and with the conventions of the contract."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import (
    ISOLATED,
    PQ,
    PV,
    REF,
    Branches,
    Buses,
    Elements,
    Floats,
    Generators,
    Grid,
    Ints,
    Loads,
    Texts,
)
from data_engineering.model.islands import islands

_LOG = logging.getLogger(__name__)

WIDEST_ANGLE_DEG = 60.0
"""What stands for an angle limit that does not limit: absent, 0 to 0, or 90 degrees and more."""

_DIGESTED = {
    "buses": (
        "id", "kind", "base_kv", "vm_pu", "va_deg", "vm_min_pu", "vm_max_pu", "gs_mw", "bs_mvar",
    ),
    "branches": (
        "from_bus", "to_bus", "r_pu", "x_pu", "b_pu", "tap", "shift_deg", "rate_a_mva",
        "angle_min_deg", "angle_max_deg", "in_service",
    ),
    "generators": (
        "bus", "p_mw", "q_mvar", "vm_pu", "p_min_mw", "p_max_mw", "q_min_mvar", "q_max_mvar",
        "in_service", "cost_c2", "cost_c1", "cost_c0",
    ),
    "loads": ("p_mw", "q_mvar"),
}  # fmt: skip

_Kind = TypeVar("_Kind", bound=Elements)


@dataclass(frozen=True, eq=False)
class ScenarioCase:
    """A grid that datasets are made of.

    Attributes:
        grid: buses by the dense rank of their original ids, exactly one load at each bus in bus
            order, one reference that has a running generator, angle limits below 90 degrees,
            finite ratings, polynomial costs.
        bus_ids: original ids in the order of the grid's buses, shape (buses,).
        digest: SHA-256 of everything in the grid that a dataset depends on.
    """

    grid: Grid
    bus_ids: Texts
    digest: str


def prepare(grid: Grid) -> ScenarioCase:
    """A grid as datasets need it.

    Buses stand by the rank of their ids (as numbers where all are whole numbers); generators and
    branches keep their order, those out of service too. Loads in service are summed at their bus.
    An angle limit that is absent, 0 to 0 or at least 90 degrees becomes 60. A rating that is
    absent becomes what voltages and angles imply (`implied_rating`). A bus that is not the
    reference is PV where a generator runs and PQ where none does; a reference where none runs, or
    that is missing, becomes the bus of the largest generator that runs. The log tells of both.

    Raises:
        BadInput: the grid has what a dataset cannot hold (islands, two references, piecewise
            costs, DC lines or stores in service); the element is named.
    """
    _check(grid)
    reference = _reference(grid)
    _check_joined(grid, reference)
    ids = grid.buses.id
    whole = all(text.isdecimal() for text in ids.tolist())
    order: Ints = np.argsort(ids.astype(np.int64) if whole else ids, kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    generators = replace(grid.generators, bus=rank[grid.generators.bus])
    buses = _rows(grid.buses, order)
    buses = _with_kinds(buses, generators, int(rank[reference]), grid.case_name)
    branches = replace(
        grid.branches, from_bus=rank[grid.branches.from_bus], to_bus=rank[grid.branches.to_bus]
    )
    prepared = replace(
        grid,
        buses=buses,
        branches=_with_limits(branches, buses, grid),
        generators=generators,
        loads=_bus_loads(grid.loads, buses.id, rank),
        storages=_rows(grid.storages, np.zeros(0, dtype=np.int64)),
        dc_lines=_rows(grid.dc_lines, np.zeros(0, dtype=np.int64)),
    )
    return ScenarioCase(prepared, prepared.buses.id, _digest(prepared))


def implied_rating(branches: Branches, buses: Buses, base_mva: float) -> Floats:
    """The apparent power that a branch cannot exceed within its voltage and angle limits.

    The current in the series impedance is |y| |Vf - Vt|, by the law of cosines at most
    |y| sqrt(Vf^2 + Vt^2 - 2 Vf Vt cos(angle)) with both voltages at their upper limits and the
    angle at the wider of its two; times the higher voltage that is the power. Charging and taps
    are left out, as PowerModels does (calc_thermal_limits), so that datasets agree.

    Args:
        branches: of a grid whose angle limits are finite.
        buses: of the same grid.
        base_mva: base power.

    Returns:
        MVA, shape (branches,).
    """
    start, end = buses.vm_max_pu[branches.from_bus], buses.vm_max_pu[branches.to_bus]
    angle = np.maximum(np.abs(branches.angle_min_deg), np.abs(branches.angle_max_deg))
    square = start**2 + end**2 - 2.0 * start * end * np.cos(np.deg2rad(angle))
    admittance = 1.0 / np.hypot(branches.r_pu, branches.x_pu)
    rating: Floats = admittance * np.maximum(start, end) * np.sqrt(square) * base_mva
    return rating


def _rows(elements: _Kind, chosen: Ints) -> _Kind:
    return replace(
        elements, **{f.name: getattr(elements, f.name)[chosen] for f in fields(elements)}
    )


def _check(grid: Grid) -> None:
    case, buses, generators, branches = grid.case_name, grid.buses, grid.generators, grid.branches
    for name, elements in (("DC line", grid.dc_lines), ("store", grid.storages)):
        for row in np.flatnonzero(elements.in_service)[:1]:
            remedy = f"a dataset holds no {name}s; take it out of service"
            raise BadInput(f"{case}: {name} {elements.id[row]}", "in service", remedy)
    for row in np.flatnonzero(buses.kind == ISOLATED)[:1]:
        remedy = "take isolated buses away with what stands at them"
        raise BadInput(f"{case}: type of bus {buses.id[row]}", ISOLATED, remedy)
    for row in np.flatnonzero(~np.isnan(generators.cost_mw[:, 0]))[:1]:
        remedy = "give a polynomial up to the square"
        raise BadInput(f"{case}: cost of generator {generators.id[row]}", "piecewise", remedy)
    for row in np.flatnonzero((branches.r_pu == 0.0) & (branches.x_pu == 0.0))[:1]:
        remedy = "give it a series resistance or reactance"
        raise BadInput(f"{case}: impedance of branch {branches.id[row]}", 0.0, remedy)


def _reference(grid: Grid) -> int:
    """The reference bus; where none is given or no generator runs there, that of the largest.

    So does PowerModels where none is given; a slack without a generator could balance nothing.
    """
    case, buses, generators = grid.case_name, grid.buses, grid.generators
    given = np.flatnonzero(buses.kind == REF)
    if len(given) > 1:
        found = ", ".join(buses.id[given][:5].tolist())
        raise BadInput(f"{case}: reference buses", found, "give exactly one bus of type 3")
    running = np.flatnonzero(generators.in_service)
    if not len(running):
        raise BadInput(f"{case}: generators", "none in service", "put one in service")
    if len(given) and np.isin(given[0], generators.bus[running]):
        return int(given[0])
    largest = running[np.argmax(generators.p_max_mw[running])]
    chosen = int(generators.bus[largest])
    why = f"none runs at bus {buses.id[given[0]]}" if len(given) else "none was given"
    name, unit = buses.id[chosen], generators.id[largest]
    _LOG.info("%s: the reference is bus %s of generator %s; %s", case, name, unit, why)
    return chosen


def _check_joined(grid: Grid, reference: int) -> None:
    number = islands(grid)
    for row in np.flatnonzero(number != number[reference])[:1]:
        remedy = "join it by a branch in service or take it away"
        cut_off = f"cut off from reference bus {grid.buses.id[reference]}"
        raise BadInput(f"{grid.case_name}: bus {grid.buses.id[row]}", cut_off, remedy)


def _with_kinds(buses: Buses, generators: Generators, reference: int, case: str) -> Buses:
    """Types by the generators that run; the gridfm ecosystem takes no other."""
    running = np.zeros(len(buses), dtype=np.bool_)
    running[generators.bus[generators.in_service]] = True
    kind = np.where(running, PV, PQ).astype(np.int64)
    kind[reference] = REF
    for found, fact in ((PQ, "become PV: a generator runs there"), (PV, "become PQ: none runs")):
        changed = buses.id[(buses.kind == found) & (kind == PQ + PV - found)].tolist()
        if changed:
            named = ", ".join(changed[:5]) + (", ..." if len(changed) > 5 else "")
            _LOG.info("%s: %d buses %s (%s)", case, len(changed), fact, named)
    return replace(buses, kind=kind)


def _with_limits(branches: Branches, buses: Buses, grid: Grid) -> Branches:
    low, high = branches.angle_min_deg, branches.angle_max_deg
    free = (low == 0.0) & (high == 0.0)
    limited = replace(
        branches,
        angle_min_deg=np.where(free | ~(low > -90.0), -WIDEST_ANGLE_DEG, low),
        angle_max_deg=np.where(free | ~(high < 90.0), WIDEST_ANGLE_DEG, high),
    )
    given = np.isfinite(branches.rate_a_mva) & (branches.rate_a_mva > 0.0)
    rating = implied_rating(limited, buses, grid.base_mva)
    rating = np.where(given, branches.rate_a_mva, rating)
    for row in np.flatnonzero(~(np.isfinite(rating) & (rating > 0.0)))[:1]:
        remedy = "give a rating above 0, or buses upper voltage limits above 0"
        raise BadInput(f"{grid.case_name}: rating of branch {branches.id[row]}", "absent", remedy)
    return replace(limited, rate_a_mva=rating)


def _bus_loads(loads: Loads, bus_ids: Texts, rank: Ints) -> Loads:
    def total(demand: Floats) -> Floats:
        summed = np.zeros(len(bus_ids))
        np.add.at(summed, rank[loads.bus], np.where(loads.in_service, demand, 0.0))
        return summed

    return Loads(
        id=np.array([f"load-{name}" for name in bus_ids.tolist()], dtype=np.str_),
        bus=np.arange(len(bus_ids), dtype=np.int64),
        p_mw=total(loads.p_mw),
        q_mvar=total(loads.q_mvar),
        in_service=np.ones(len(bus_ids), dtype=np.bool_),
    )


def _digest(grid: Grid) -> str:
    digest = hashlib.sha256(f"base_mva {grid.base_mva!r}".encode())
    for part, names in _DIGESTED.items():
        for name in names:
            values = getattr(getattr(grid, part), name)
            digest.update(f"\n{part}.{name} {values.shape}\n".encode())
            if values.dtype.kind == "U":
                digest.update("\n".join(values.tolist()).encode())
            else:
                digest.update(values.astype(values.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()
