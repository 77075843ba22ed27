"""Scenarios of a power flow as arrays per bus: what is injected, who holds a voltage, who is out.

The reference holds its voltage and takes what is missing. Where it has no unit that runs in any
scenario the first bus that holds its voltage takes its place, as MATPOWER's `bustypes` has it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from scipy.sparse import csr_matrix

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import ISOLATED, PV, REF, Flags, Floats, Grid, Ints
from data_engineering.solvers.matrices import Complexes

Column = TypeVar("Column", Floats, Flags)


@dataclass(frozen=True, eq=False)
class Scenarios:
    """S scenarios of one grid; arrays with first axis 1 are the same in all of them.

    Attributes:
        power: given injections, shape (S, buses), MVA; units that hold a voltage give no
            reactive power here.
        branch_on: shape (S or 1, branches).
        unit_on: shape (S or 1, generators).
        unit_mw: set points of the units, 0 where off, shape (S or 1, generators).
        held: buses that hold their voltage, the reference among them, shape (S or 1, buses).
        set_point_pu: their voltages; 1 elsewhere, shape (S or 1, buses).
        reference: the bus that holds its angle.
        angle_deg: that angle.
        capability_mw: by which units share what is missing, shape (generators,); None gives it
            all to the reference.
        live: buses that are not isolated, shape (buses,).
        limit_mvar: what buses give that hold a reactive limit instead of their voltage, beside
            `power`; NaN at the others, shape (S, buses). None: no limits are held.
    """

    grid: Grid
    power: Complexes
    branch_on: Flags
    unit_on: Flags
    unit_mw: Floats
    held: Flags
    set_point_pu: Floats
    reference: int
    angle_deg: float
    capability_mw: Floats | None
    live: Flags
    limit_mvar: Floats | None = None

    def __len__(self) -> int:
        return len(self.power)

    @property
    def ever_on(self) -> Flags:
        """Branches that are in service in some scenario, shape (branches,)."""
        ever: Flags = np.any(self.branch_on, axis=0)
        return ever

    @property
    def ever_held(self) -> Flags:
        """Buses that hold their voltage in some scenario, shape (buses,)."""
        ever: Flags = np.any(self.held, axis=0)
        return ever

    def slack_share(self) -> Floats:
        """Of each bus in what is missing, shape (S or 1, buses); each row sums to 1."""
        count = len(self.grid.buses)
        if self.capability_mw is None:
            share = np.zeros((1, count))
            share[0, self.reference] = 1.0
            return share
        able = (self.unit_on * self.capability_mw) @ incidence(self.grid.generators.bus, count)
        shared: Floats = able / able.sum(axis=1, keepdims=True)
        return shared

    def unit_share(self) -> Floats:
        """Of each unit in what is missing, shape (S or 1, generators).

        A single reference's part is shared by the capability of the units that run there.
        """
        units = self.grid.generators
        able = self.capability_mw
        if able is None:
            limit = np.where(np.isfinite(units.p_max_mw), np.maximum(units.p_max_mw, 1e-6), 1.0)
            able = limit * (units.bus == self.reference)
        running = self.unit_on * able
        total = running.sum(axis=1, keepdims=True)
        share: Floats = np.divide(running, total, out=np.zeros_like(running), where=total > 0.0)
        return share

    def subset(self, rows: Ints) -> Scenarios:
        """Some of the scenarios."""
        names = ("power", "branch_on", "unit_on", "unit_mw", "held", "set_point_pu")
        arrays = {name: getattr(self, name) for name in names}
        return replace(
            self, **{name: a[rows] if len(a) == len(self) else a for name, a in arrays.items()}
        )


def scenarios_of(
    grid: Grid,
    load_p_mw: Floats,
    load_q_mvar: Floats,
    *,
    branch_status: Flags | None = None,
    generator_p_mw: Floats | None = None,
    generator_status: Flags | None = None,
    generator_vm_pu: Floats | None = None,
    dc_flow_mw: Floats | None = None,
    store_p_mw: Floats | None = None,
    distributed_slack: bool = False,
) -> Scenarios:
    """The scenarios of arrays, each of shape (elements,) or (S, elements); see `solve_batch`.

    Raises:
        BadInput: the arrays have different numbers of scenarios or wrong lengths.
    """
    units, live = grid.generators, grid.buses.kind != ISOLATED
    count = _count(load_p_mw, load_q_mvar, branch_status, generator_p_mw, generator_status,
                   generator_vm_pu, dc_flow_mw, store_p_mw)  # fmt: skip
    on = _rows("generator_status", generator_status, units.in_service) & live[units.bus]
    unit_mw = _rows("generator_p_mw", generator_p_mw, units.p_mw) * on
    reference = _reference(grid, on.any(axis=0))
    may_hold = np.isin(grid.buses.kind, (PV, REF))
    may_hold[reference] = True
    holds, at_bus = on & may_hold[units.bus], incidence(units.bus, len(grid.buses))
    held = (holds @ at_bus) > 0
    held[:, reference] = True
    load = _demand(grid, load_p_mw, load_q_mvar)
    power = np.empty((count, len(grid.buses)), dtype=np.complex128)
    power.real = unit_mw @ at_bus - load[0] + _store_and_dc(grid, store_p_mw, dc_flow_mw)
    power.imag = np.where(on & ~holds, units.q_mvar, 0.0) @ at_bus - load[1]
    power[:, ~live] = 0.0
    ends = live[grid.branches.from_bus] & live[grid.branches.to_bus]
    return Scenarios(
        grid=grid,
        power=power,
        branch_on=ends & _rows("branch_status", branch_status, grid.branches.in_service),
        unit_on=on,
        unit_mw=unit_mw,
        held=held,
        set_point_pu=_set_points(grid, generator_vm_pu, on, may_hold, reference),
        reference=reference,
        angle_deg=float(grid.buses.va_deg[reference]),
        capability_mw=_capability(grid, holds.any(axis=0)) if distributed_slack else None,
        live=live,
    )


def _demand(grid: Grid, p_mw: Floats, q_mvar: Floats) -> tuple[Floats, Floats]:
    """Demand of the loads in service at each bus, shape (S or 1, buses), MW and Mvar."""
    loads, at_bus = grid.loads, incidence(grid.loads.bus, len(grid.buses))
    active: Floats = (_rows("load_p_mw", p_mw, loads.p_mw) * loads.in_service) @ at_bus
    reactive: Floats = (_rows("load_q_mvar", q_mvar, loads.q_mvar) * loads.in_service) @ at_bus
    return active, reactive


def _capability(grid: Grid, holds: Flags) -> Floats:
    """Greatest outputs of the units that hold a voltage, shape (generators,), MW."""
    greatest = grid.generators.p_max_mw
    able: Floats = np.where(holds & np.isfinite(greatest), np.maximum(greatest, 0.0), 0.0)
    if not able.any():
        raise BadInput("distributed_slack", "no unit", "give a unit with p_max_mw at a PV bus")
    return able


def _count(*given: Floats | Flags | None) -> int:
    counts = {len(values) for values in given if values is not None and values.ndim == 2}
    counts -= {1}
    if len(counts) > 1:
        raise BadInput("scenarios", sorted(counts), "give every array the same number of rows")
    return counts.pop() if counts else 1


def _rows(field: str, given: Column | None, default: Column) -> Column:
    """An array of shape (S or 1, elements) of the default's type."""
    values = np.atleast_2d(default if given is None else given).astype(default.dtype, copy=False)
    if values.shape[1] != len(default):
        raise BadInput(field, values.shape, f"give {len(default)} columns, one for each element")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        row, column = (int(k[0]) for k in np.nonzero(~np.isfinite(values)))
        raise BadInput(f"{field}[{row}, {column}]", float(values[row, column]), "give a number")
    return values


def _reference(grid: Grid, running: Flags) -> int:
    """The reference bus, or who takes its place."""
    has_unit = np.zeros(len(grid.buses), dtype=np.bool_)
    has_unit[grid.generators.bus[running]] = True
    for kind in (REF, PV):
        found = np.flatnonzero((grid.buses.kind == kind) & has_unit)
        if len(found):
            return int(found[0])
    found = np.flatnonzero(grid.buses.kind == REF)
    if not len(found):
        raise BadInput("buses.kind", "no reference bus", "make one bus the reference (3)")
    return int(found[0])


def _set_points(
    grid: Grid, given: Floats | None, unit_on: Flags, may_hold: Flags, reference: int
) -> Floats:
    """Of each bus the voltage of its first unit that runs in some scenario."""
    units = grid.generators
    vm = _rows("generator_vm_pu", given, units.vm_pu)
    set_point = np.ones((len(vm), len(grid.buses)))
    set_point[:, reference] = grid.buses.vm_pu[reference]
    used = np.flatnonzero(unit_on.any(axis=0) & may_hold[units.bus])[::-1]
    set_point[:, units.bus[used]] = vm[:, used]
    return set_point


def _store_and_dc(grid: Grid, store_mw: Floats | None, flow_mw: Floats | None) -> Floats:
    """Net injections of stores and DC lines, shape (S or 1, buses), MW."""
    lines, count = grid.dc_lines, len(grid.buses)
    flow = _rows("dc_flow_mw", flow_mw, lines.p_mw * lines.in_service)
    store = _rows("store_p_mw", store_mw, np.zeros(len(grid.storages)))
    arriving = flow * (1.0 - lines.loss_share) - lines.loss_fixed_mw * lines.in_service
    leaving = flow @ incidence(lines.from_bus, count) - arriving @ incidence(lines.to_bus, count)
    net: Floats = store @ incidence(grid.storages.bus, count) - leaving
    return net


def incidence(bus: Ints, buses: int) -> csr_matrix:
    """1 where an element (row) stands at a bus (column)."""
    return csr_matrix((np.ones(len(bus)), bus, np.arange(len(bus) + 1)), (len(bus), buses))
