"""The intervals of a dispatch and the outages as scenarios of a power flow; see `ac_outages`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import ISOLATED, REF, Flags, Floats, Grid
from data_engineering.model.problem import Outage
from data_engineering.solvers.ac_check import State, by_interval, states_of
from data_engineering.solvers.matrices import Complexes, bus_injections
from data_engineering.solvers.power_flow_scenarios import Scenarios, incidence

AT_LIMIT_MVAR = 1e-3
"""Reactive power this close to the end of a bus's range is at it."""


@dataclass(frozen=True, eq=False)
class Lost:
    """What outages take away, shapes (outages, branches) and (outages, generators)."""

    id: list[str]
    branches: Flags
    units: Flags

    def part(self, rows: slice) -> Lost:
        """Some of the outages."""
        return Lost(self.id[rows], self.branches[rows], self.units[rows])


@dataclass(frozen=True, eq=False)
class Interval:
    """One interval of the dispatch with its intact AC solution.

    Attributes:
        number: from 1.
        voltage: shape (buses,), p.u.
        net_mw, load_mw: of the buses as in `bus_results`, shape (buses,).
        unit_mw, unit_mvar, unit_on: of the generators, shape (generators,).
    """

    number: int
    start: pd.Timestamp
    state: State
    voltage: Complexes
    net_mw: Floats
    load_mw: Floats
    unit_mw: Floats
    unit_mvar: Floats
    unit_on: Flags


def lost_by(grid: Grid, outages: Sequence[Outage]) -> Lost:
    """Outages by rows of the grid.

    Raises:
        BadInput: an outage names an element that the grid has not.
    """
    found = {}
    for part, ids in (("branches", grid.branches.id), ("generators", grid.generators.id)):
        place = {name: row for row, name in enumerate(ids.tolist())}
        found[part] = np.zeros((len(outages), len(ids)), dtype=np.bool_)
        for row, outage in enumerate(outages):
            for name in getattr(outage, part):
                if name not in place:
                    remedy = "name elements of the grid"
                    raise BadInput(f"outage {outage.id}.{part}", name, remedy)
                found[part][row, place[name]] = True
    return Lost([outage.id for outage in outages], found["branches"], found["generators"])


def solved_intervals(grid: Grid, intact: Mapping[str, pd.DataFrame]) -> Iterator[Interval]:
    """The intervals that have an intact AC solution.

    Args:
        grid: the case.
        intact: the rows of the result tables about the intact network.
    """
    buses, units, count = intact["bus_results"], intact["generator_dispatch"], len(grid.generators)
    magnitude = by_interval(buses, "voltage_magnitude")
    angle = np.deg2rad(by_interval(buses, "voltage_angle"))
    net, load = by_interval(buses, "net_injection_mw"), by_interval(buses, "load_mw")
    power = by_interval(units, "active_power")[:, :count]
    reactive = by_interval(units, "reactive_power")[:, :count]
    on = by_interval(units, "commitment_status")[:, :count].astype(np.bool_)
    numbers = intact["interval_results"]["time_interval"].to_numpy()
    starts = pd.DatetimeIndex(intact["interval_results"]["interval_start"])
    for t, state in enumerate(states_of(grid, intact)):
        voltage = magnitude[t] * np.exp(1j * angle[t])
        if not np.isnan(voltage).any():
            at_units = power[t], reactive[t], on[t]
            place = int(numbers[t]), starts[t]
            yield Interval(*place, state, voltage, net[t], load[t], *at_units)


def scenarios_after(grid: Grid, at: Interval, lost: Lost) -> Scenarios:
    """One interval after each outage."""
    units, count, reference = grid.generators, len(lost.id), _reference(grid)
    holds, given = _roles(grid, at)
    on = at.unit_on & ~lost.units
    ranged = on & (units.q_max_mvar > units.q_min_mvar)
    held = holds & ((ranged @ incidence(units.bus, len(grid.buses))) > 0)
    held[:, reference] = True
    power = np.empty((count, len(grid.buses)), dtype=np.complex128)
    power.real, power.imag = at.state.injection_mw, given
    unit_mw = np.broadcast_to(at.unit_mw, on.shape)
    if lost.units.any():
        unit_mw = np.where(on, at.unit_mw + _taken_over(grid, at, lost), 0.0)
        moved = (unit_mw - at.unit_mw) @ incidence(units.bus, len(grid.buses))
        # A lost unit at a bus that gives a limit takes its own limit with it.
        limited = ~holds[units.bus] & lost.units
        gone = (limited * at.unit_mvar) @ incidence(units.bus, len(grid.buses))
        power += moved - 1j * gone
    return Scenarios(
        grid=grid,
        power=power,
        branch_on=grid.branches.in_service & ~lost.branches,
        unit_on=on,
        unit_mw=unit_mw,
        held=held,
        set_point_pu=np.abs(at.voltage)[None],
        reference=reference,
        angle_deg=float(np.rad2deg(np.angle(at.voltage[reference]))),
        capability_mw=None,
        live=grid.buses.kind != ISOLATED,
    )


def _reference(grid: Grid) -> int:
    return int(np.flatnonzero(grid.buses.kind == REF)[0])


def _roles(grid: Grid, at: Interval) -> tuple[Flags, Floats]:
    """Which buses hold their voltage, and the reactive power that is given, Mvar."""
    state = at.state
    made = bus_injections(grid, at.voltage).imag + state.load_mvar
    low, high = state.q_min_mvar, state.q_max_mvar
    distance = np.minimum(np.abs(made - low), np.abs(made - high))
    limited = state.controlled & (distance < AT_LIMIT_MVAR)
    limited[_reference(grid)] = False
    given: Floats = np.where(limited, made, 0.0) - state.load_mvar
    return state.controlled & ~limited, given


def _taken_over(grid: Grid, at: Interval, lost: Lost) -> Floats:
    """What each unit adds, shape (outages, generators), MW; nothing where none is left."""
    able = (at.unit_on & ~lost.units) * np.maximum(grid.generators.p_max_mw, 0.0)
    total = able.sum(axis=1, keepdims=True)
    share = np.divide(able, total, out=np.zeros_like(able), where=total > 0.0)
    gone = ((at.unit_on & lost.units) * at.unit_mw).sum(axis=1, keepdims=True)
    taken: Floats = gone * share
    return taken
