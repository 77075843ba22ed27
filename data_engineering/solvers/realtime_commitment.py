"""Which units run in the next minutes: the plan, as far as the present lets it be kept.

A plan of hours meets units that are not where it has them. A unit that stands still starts an
interval later; one that is too high to stop runs on until its ramp has brought it to its minimum;
a state that would not last its minimum time is not taken up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from data_engineering.model.grid import Flags, Floats, Grid, Ints
from data_engineering.model.problem import Commitment, Periods, SolveRequest
from data_engineering.solvers.units import thermal_rows

QUICK = ("CT",)
"""Kinds that start within minutes."""
RUNNING_SHARE = 0.5
"""Of its minimum: a unit that gives less than this stands still, what it gives is noise."""
SLACK_MWH = 1e-6


@dataclass(frozen=True, eq=False)
class Plan:
    """What an earlier solve has for the intervals, shape (T, elements); NaN where it says nothing.

    Attributes:
        on: units that run, only where `known`.
        known: intervals that the plan covers, shape (T,).
        start_cost_usd: of the starts that it has.
        store_mw: net output of the stores.
        energy_end_mwh: of the stores at the end of the last interval, shape (storages,).
    """

    on: Flags
    known: Flags
    start_cost_usd: Floats
    store_mw: Floats
    energy_end_mwh: Floats


def running_now(grid: Grid, measured_mw: Floats) -> tuple[Flags, Flags]:
    """Which units are known to run, and which are known to stand still, shape (generators,)."""
    units = grid.generators
    known = np.isfinite(measured_mw) & units.in_service
    least = np.maximum(RUNNING_SHARE * units.p_min_mw, 0.01 * units.p_max_mw)
    runs: Flags = known & (np.nan_to_num(measured_mw) >= least)
    return runs, known & ~runs


def realised_dispatch(grid: Grid, measured_mw: Floats) -> Floats:
    """The dispatch before the first interval as a solve takes it, shape (generators,), MW.

    A reading a little outside a running unit's limits is at the limit; a unit that stands still
    gives nothing; what is not known is NaN.
    """
    runs, still = running_now(grid, measured_mw)
    units = grid.generators
    inside = np.clip(measured_mw, units.p_min_mw, units.p_max_mw)
    found: Floats = np.where(runs, inside, np.where(still, 0.0, np.nan))
    return found


def reachable_commitment(
    grid: Grid, plan: Plan, before_mw: Floats, periods: Periods
) -> Commitment | None:
    """The plan's states where the present lets them be reached; None where it says nothing.

    Args:
        grid: with what is open out of service, stores with their present energy.
        plan: of the intervals.
        before_mw: of `realised_dispatch`.
        periods: the intervals.
    """
    runs, still = running_now(grid, before_mw)
    thermal = thermal_rows(grid)
    if not plan.known.any() and not (runs | still)[thermal].all():
        return None
    planned = _held(plan)
    on = np.tile(grid.generators.in_service, (periods.count, 1))
    cost = np.zeros(on.shape)
    for row in thermal:
        wanted = planned[:, row] if plan.known.any() else np.full(periods.count, runs[row])
        state = None if not (runs[row] or still[row]) else bool(runs[row])
        on[:, row] = _states(grid, row, wanted, state, before_mw[row], periods)
        cost[:, row] = _start_cost(grid, row, on[:, row], state, plan.start_cost_usd[:, row])
    discharging = _directions(grid, plan.store_mw, periods)
    return Commitment(on, discharging, cost, np.zeros(discharging.shape))


def reachable_energy(grid: Grid, discharging: Flags, asked_mwh: Floats, periods: Periods) -> Floats:
    """The energy asked of the stores at the end, or all that they can have by then, MWh."""
    stores = grid.storages
    wanted = np.where(np.isfinite(asked_mwh), asked_mwh, stores.energy_initial_mwh)
    held = stores.energy_initial_mwh.copy()
    for gives, inflow in zip(discharging & stores.in_service, periods.inflow_mw, strict=True):
        taken = np.where(stores.in_service & ~gives, stores.charge_max_mw, 0.0)
        given = np.where(gives, stores.discharge_min_mw / stores.discharge_efficiency, 0.0)
        gained = (taken * stores.charge_efficiency + inflow - given) * periods.hours
        held = np.minimum(held + gained, stores.energy_max_mwh)
    found: Floats = np.maximum(np.minimum(wanted, held - SLACK_MWH), 0.0)
    return found


def relieved(request: SolveRequest, missing_mw: float, lead: int) -> tuple[SolveRequest, list[str]]:
    """The request with quick units started and the stores' energy free, and what was started.

    Args:
        request: with a commitment.
        missing_mw: power that was missing.
        lead: intervals until a unit that is started now runs.
    """
    commitment, grid = request.commitment, request.grid
    assert commitment is not None
    on, cost = commitment.on.copy(), commitment.start_cost_usd.copy()
    started = []
    for row in _quick(grid, on, lead):
        if missing_mw <= 0.0:
            break
        begun = lead + int(np.argmin(on[lead:, row]))
        on[lead:, row] = True
        cost[lead:, row] = 0.0
        cost[begun, row] = grid.generators.start_cost_usd[row, 0]
        missing_mw -= float(grid.generators.p_max_mw[row])
        started.append(str(grid.generators.id[row]))
    giving = commitment.discharging | (grid.storages.discharge_min_mw == 0.0)
    changed = replace(commitment, on=on, start_cost_usd=cost, discharging=giving)
    nothing = np.zeros(len(grid.storages))
    periods = replace(request.periods, energy_end_mwh=nothing)
    return replace(request, commitment=changed, periods=periods), started


def _quick(grid: Grid, on: Flags, lead: int) -> list[int]:
    """Units that can be started, cheapest at full output first."""
    units = grid.generators
    idle = ~on[:lead].any(axis=0) & ~on[lead:].all(axis=0)
    rows = np.flatnonzero(units.in_service & np.isin(units.kind, QUICK) & idle)
    return sorted(rows.tolist(), key=lambda row: (_full_cost(grid, row), units.id[row]))


def _full_cost(grid: Grid, row: int) -> float:
    """Cost of a MWh at full output, USD."""
    units = grid.generators
    most = max(float(units.p_max_mw[row]), 1e-9)
    points = units.cost_usd_per_h[row]
    if np.isfinite(points).any():
        return float(np.nanmax(points)) / most
    terms = [units.cost_c2[row], units.cost_c1[row], units.cost_c0[row]]
    return float(np.polyval(terms, most)) / most


def _held(plan: Plan) -> Flags:
    """The plan's states, in intervals that it does not cover those of the nearest that it does."""
    covered = np.flatnonzero(plan.known)
    if not len(covered):
        return plan.on
    places = np.arange(len(plan.known))
    after = np.clip(np.searchsorted(covered, places, side="right") - 1, 0, None)
    found: Flags = plan.on[covered[after]]
    return found


def _states(
    grid: Grid, row: int, wanted: Flags, state: bool | None, before_mw: float, periods: Periods
) -> Flags:
    """States of one unit that can be reached from its present one, shape (T,)."""
    units, found = grid.generators, wanted.copy()
    if state is None:
        return found
    if not state:
        found[0] = False
    else:
        step = units.ramp_mw_per_min[row] * periods.minutes
        above = max(before_mw - units.p_min_mw[row], 0.0)
        needed = periods.count if step <= 0.0 else int(np.ceil(above / step - 1e-9))
        found[: max(needed, 1)] = True
    return _lasting(found, state, (units.min_up_h[row], units.min_down_h[row]), periods.hours)


def _lasting(states: Flags, state: bool, least: tuple[float, float], hours: float) -> Flags:
    """States without those that begin and end within the horizon too soon."""
    found = states.copy()
    path = np.concatenate([[state], found])
    changes: Ints = np.flatnonzero(np.diff(path.astype(np.int64)))
    for begin, end in pairwise(changes.tolist()):
        up = bool(found[begin])
        if (end - begin) * hours < least[0 if up else 1] - 1e-9:
            found[begin:end] = not up
            # Joined with what was before, the next state may be short as well.
            return _lasting(found, state, least, hours)
    return found


def _start_cost(grid: Grid, row: int, on: Flags, state: bool | None, planned_usd: Floats) -> Floats:
    """Cost of each start: what the plan has for it, else that of a hot start."""
    before = np.concatenate([[on[0] if state is None else state], on[:-1]])
    known = float(np.nan_to_num(planned_usd).max(initial=0.0))
    usd = known if known > 0.0 else float(grid.generators.start_cost_usd[row, 0])
    cost: Floats = (on & ~before) * usd
    return cost


def _directions(grid: Grid, planned_mw: Floats, periods: Periods) -> Flags:
    """Whether each store may give, shape (T, storages).

    A store with a least output gives where the plan has it and its energy lasts; one without may
    give wherever the plan does not charge it.
    """
    stores, net = grid.storages, np.nan_to_num(planned_mw)
    least = stores.discharge_min_mw
    wanted = np.where(least > 0.0, net > SLACK_MWH, net > -SLACK_MWH)
    held, lasts = stores.energy_initial_mwh.copy(), np.ones(len(stores), dtype=np.bool_)
    for gives, inflow in zip(wanted, periods.inflow_mw, strict=True):
        drawn = np.where(gives, least / stores.discharge_efficiency, 0.0)
        after = held + (inflow - drawn) * periods.hours
        lasts &= ~gives | (after >= SLACK_MWH) | (least == 0.0)
        gives &= lasts
        gained = (inflow - np.where(gives, drawn, 0.0)) * periods.hours
        held = np.clip(held + gained, 0.0, stores.energy_max_mwh)
    return wanted
