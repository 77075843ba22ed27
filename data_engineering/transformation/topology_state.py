"""Which elements are open: confirmed by agreeing scans, and what that makes of a grid.

A scan is one report of an element's status for one time. A change counts when so many scans in a
row, each of a later time than the one before, say the same. Bad scans and those older than the
newest one count for nothing; the same scan again is not another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from data_engineering.model.grid import ISOLATED, REF, Flags, Grid, Ints, Texts
from data_engineering.model.islands import islands
from data_engineering.model.snapshot import GOOD, NEVER_NS, Topology, nanoseconds
from data_engineering.model.stream import ElementKind, StatusChange

Key = tuple[ElementKind, str]
Part = Literal["branch", "generator", "bus"]


@dataclass(frozen=True)
class Status:
    """What is known of one element.

    Attributes:
        closed: as confirmed; None until scans have confirmed anything.
        seen_closed: as the newest scan says.
        scans: how many in a row have said so.
        time_ns: of the newest scan.
        available_ns: when that was known.
    """

    closed: bool | None
    seen_closed: bool
    scans: int
    time_ns: int
    available_ns: int


@dataclass(frozen=True, eq=False)
class Statuses:
    """The status of every element that was ever reported."""

    case_name: str
    elements: Mapping[Key, Status] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Scanned:
    """What a batch of scans made of the statuses.

    Attributes:
        confirmed: elements whose confirmed status is another than before, or is the first one.
        unconfirmed: elements that changed in their newest scan and wait for another.
        late: scans older than the newest one of their element.
        bad: scans that are not good.
        newest_ns: when the newest scan that counts was known.
    """

    statuses: Statuses
    confirmed: tuple[Key, ...] = ()
    unconfirmed: tuple[Key, ...] = ()
    late: int = 0
    bad: int = 0
    newest_ns: int = NEVER_NS


def scan(statuses: Statuses, changes: Iterable[StatusChange], confirm_scans: int) -> Scanned:
    """The statuses after the scans of their case, taken in the order of their times.

    Args:
        statuses: what was known.
        changes: scans; those of other cases are left out.
        confirm_scans: agreeing scans that confirm a status.
    """
    mine = [change for change in changes if change.case_name == statuses.case_name]
    if not mine:
        return Scanned(statuses)
    elements, late, bad, newest_ns = dict(statuses.elements), 0, 0, NEVER_NS
    for change in sorted(mine, key=lambda each: (each.time, each.available_at)):
        key: Key = (change.element, change.element_id)
        old = elements.get(key)
        if change.quality != GOOD:
            bad += 1
        elif old is not None and nanoseconds(change.time) < old.time_ns:
            late += 1
        else:
            elements[key] = _seen(old, change, confirm_scans)
            newest_ns = max(newest_ns, nanoseconds(change.available_at))
    touched = sorted({(change.element, change.element_id) for change in mine})
    return Scanned(
        replace(statuses, elements=elements),
        tuple(key for key in touched if _changed(statuses.elements.get(key), elements.get(key))),
        tuple(key for key in touched if _waits(statuses.elements.get(key), elements.get(key))),
        late,
        bad,
        newest_ns,
    )


def _seen(old: Status | None, change: StatusChange, confirm_scans: int) -> Status:
    time_ns, available_ns = nanoseconds(change.time), nanoseconds(change.available_at)
    scans = 1
    if old is not None and time_ns == old.time_ns:
        if available_ns <= old.available_ns or change.closed == old.seen_closed:
            return old
    elif old is not None and change.closed == old.seen_closed:
        scans = old.scans + 1
    closed = None if old is None else old.closed
    if scans >= confirm_scans:
        closed = change.closed
    return Status(closed, change.closed, min(scans, confirm_scans), time_ns, available_ns)


def _changed(old: Status | None, new: Status | None) -> bool:
    return new is not None and new.closed != (None if old is None else old.closed)


def _waits(old: Status | None, new: Status | None) -> bool:
    """Whether the newest scan is the first one that disagrees with what is confirmed."""
    if new is None or new.seen_closed == (new.closed is not False):
        return False
    return old is None or old.seen_closed != new.seen_closed


@dataclass(frozen=True, eq=False)
class ElementIndex:
    """Where the elements of a grid stand: kind by id, and which are out of service in the case.

    A breaker is named like the element that it connects, or like it with `@` and more, such as
    `A1@101` for the one of branch A1 at bus 101.
    """

    kinds: Mapping[str, Part]
    out: frozenset[tuple[Part, str]]

    def target(self, key: Key) -> tuple[Part, str] | None:
        """The element that opens with this one; None where the grid has none."""
        kind, name = key
        if kind == "breaker":
            name = name if name in self.kinds else name.rpartition("@")[0]
            found = self.kinds.get(name)
            return None if found is None else (found, name)
        return (kind, name)


def element_index(grid: Grid) -> ElementIndex:
    """The index of a grid; DC lines count as branches and storages as generators."""
    parts: tuple[tuple[Part, Texts, Flags], ...] = (
        ("bus", grid.buses.id, grid.buses.kind != ISOLATED),
        ("generator", grid.storages.id, grid.storages.in_service),
        ("generator", grid.generators.id, grid.generators.in_service),
        ("branch", grid.dc_lines.id, grid.dc_lines.in_service),
        ("branch", grid.branches.id, grid.branches.in_service),
    )
    kinds = {str(name): kind for kind, names, _ in parts for name in names}
    out = {(kind, str(name)) for kind, names, on in parts for name in names[~on]}
    return ElementIndex(kinds, frozenset(out))


def topology_of(statuses: Statuses, index: ElementIndex) -> Topology:
    """What is confirmed to be other than in the case.

    An element is open while it or any of its breakers is confirmed open, and closed again when all
    that were reported are confirmed closed.
    """
    closed: dict[tuple[Part, str], bool] = {}
    for key, status in statuses.elements.items():
        target = index.target(key)
        if status.closed is not None and target is not None:
            closed[target] = closed.get(target, True) and status.closed

    def names(kind: Part, *, opened: bool) -> frozenset[str]:
        return frozenset(
            name
            for (its_kind, name), is_closed in closed.items()
            if its_kind == kind and is_closed != opened and opened != ((kind, name) in index.out)
        )

    return Topology(
        branches=names("branch", opened=True),
        generators=names("generator", opened=True),
        buses=names("bus", opened=True),
        closed_branches=names("branch", opened=False),
        closed_generators=names("generator", opened=False),
    )


def apply_topology(grid: Grid, topology: Topology) -> Grid:
    """The grid as it is connected: what is open is out of service, with all at a dead bus.

    Islands that come to be get references of their own. A topology that changes nothing gives the
    same grid.
    """
    if topology == Topology():
        return grid
    buses, branches, lines = grid.buses, grid.branches, grid.dc_lines
    dead = np.isin(buses.id, _texts(topology.buses))
    opened, closed = _texts(topology.branches), _texts(topology.closed_branches)
    units, stores = grid.generators, grid.storages
    lost, back = _texts(topology.generators), _texts(topology.closed_generators)

    def in_service(part: Any, ends: tuple[Ints, ...], out: Texts, new: Texts) -> Any:
        on = (part.in_service | np.isin(part.id, new)) & ~np.isin(part.id, out)
        for end in ends:
            on = on & ~dead[end]
        return part if (on == part.in_service).all() else replace(part, in_service=on)

    changed = replace(
        grid,
        branches=in_service(branches, (branches.from_bus, branches.to_bus), opened, closed),
        dc_lines=in_service(lines, (lines.from_bus, lines.to_bus), opened, closed),
        generators=in_service(units, (units.bus,), lost, back),
        storages=in_service(stores, (stores.bus,), lost, back),
        loads=in_service(grid.loads, (grid.loads.bus,), _texts(()), _texts(())),
    )
    return _with_references(changed, dead)


def _texts(names: Iterable[str]) -> Texts:
    return np.array(sorted(names), dtype=np.str_)


def _with_references(grid: Grid, dead: Flags) -> Grid:
    """Every live island without a reference gets its bus of the greatest capability as one."""
    kind = np.where(dead, ISOLATED, grid.buses.kind)
    live: Flags = kind != ISOLATED
    island = islands(grid, live=live)
    lacks = live & ~np.isin(island, island[kind == REF])
    units, capability = grid.generators, np.zeros(len(kind))
    np.add.at(capability, units.bus, np.where(units.in_service, units.p_max_mw, 0.0))
    for number in np.unique(island[lacks]):
        kind[np.argmax(np.where(live & (island == number), capability, -1.0))] = REF
    if (kind == grid.buses.kind).all():
        return grid
    return replace(grid, buses=replace(grid.buses, kind=kind))


def statuses_to_document(statuses: Statuses) -> dict[str, Any]:
    """The statuses as JSON values; `statuses_from_document` gives back equal ones."""
    elements = [[*key, *vars(status).values()] for key, status in statuses.elements.items()]
    return {"case_name": statuses.case_name, "elements": elements}


def statuses_from_document(document: Mapping[str, Any]) -> Statuses:
    """The statuses that `statuses_to_document` wrote."""
    elements: dict[Key, Status] = {
        (kind, name): Status(*rest) for kind, name, *rest in document["elements"]
    }
    return Statuses(document["case_name"], elements)
