"""Laws that a dispatch must keep, checked on its frames without the solver's program."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise

import numpy as np
import pandas as pd

from data_engineering.model.grid import Floats, Grid, Ints
from data_engineering.model.problem import SolveRequest
from data_engineering.solvers.result_rows import BASE
from data_engineering.solvers.units import RESERVE_MINUTES, thermal_rows

TOLERANCE_MW = 1e-4
"""HiGHS keeps each row to 1e-7; sums over a thousand of them stay well below this."""
TOLERANCE_USD = 1e-6
"""Relative; sums of the same numbers in another order."""


def check_results(
    request: SolveRequest, tables: Mapping[str, pd.DataFrame], objective: float
) -> list[str]:
    """A line for each law that the result tables break; empty when all are kept.

    Args:
        request: what was asked.
        tables: generator_dispatch, bus_results, branch_flow_results and interval_results.
        objective: the result's, USD.
    """
    checks: tuple[Callable[..., Iterator[str]], ...] = (
        _balances,
        _limits,
        _minima,
        _ramps,
        _minimum_times,
        _reserves,
        _stores,
    )
    faults = [line for check in checks for line in check(request, tables)]
    costs = tables["interval_results"][["production_cost_usd", "start_cost_usd", "penalty_usd"]]
    total = float(costs.to_numpy().sum())
    if abs(total - objective) > TOLERANCE_USD * max(abs(objective), 1.0):
        faults.append(f"costs sum to {total:.2f} USD, the objective is {objective:.2f}")
    return faults


def _wide(tables: Mapping[str, pd.DataFrame], name: str, key: str, column: str) -> pd.DataFrame:
    return tables[name].pivot(index="time_interval", columns=key, values=column)


def _units(tables: Mapping[str, pd.DataFrame], column: str, grid: Grid, rows: Ints) -> Floats:
    wide = _wide(tables, "generator_dispatch", "generator_id", column)
    values: Floats = wide[grid.generators.id[rows]].to_numpy(dtype=np.float64)
    return values


def _worst(name: str, excess: Floats, unit: str = "MW") -> Iterator[str]:
    """A line when the largest excess over a limit is above the tolerance."""
    largest = float(np.max(excess, initial=0.0))
    if largest > TOLERANCE_MW:
        where = np.unravel_index(int(np.argmax(excess)), excess.shape)
        place = f"interval {where[0] + 1}" + (f", element {where[1]}" if len(where) > 1 else "")
        yield f"{name}: {largest:.6g} {unit} too much ({place})"


def _balances(request: SolveRequest, tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """Each bus: generation - demand + shed - spilled = what the lines take away."""
    grid = request.grid
    buses, flows = tables["bus_results"], tables["branch_flow_results"]
    flows = flows[flows["contingency_id"] == BASE]
    made = tables["generator_dispatch"].pivot_table(
        index="time_interval", columns="bus_id", values="active_power", aggfunc="sum"
    )
    made = made.reindex(columns=grid.buses.id, fill_value=0.0)

    def at_bus(column: str) -> pd.DataFrame:
        return buses.pivot(index="time_interval", columns="bus_id", values=column)[grid.buses.id]

    net = made - at_bus("load_mw") + at_bus("load_shed_mw") - at_bus("over_generation_mw")
    share = flows["branch_id"].map(
        dict(zip(grid.dc_lines.id, grid.dc_lines.loss_share, strict=True))
    )
    flows = flows.assign(arriving_mw=flows["flow_mw"] * (1.0 - share.fillna(0.0)))
    arriving = _sum_flows(flows, "to_bus_id", "arriving_mw", grid)
    leaving = _sum_flows(flows, "from_bus_id", "flow_mw", grid) - arriving
    lost = leaving.to_numpy().sum(axis=1)
    yield from _worst("balance of a bus", np.abs((net - leaving).to_numpy()))
    stated = at_bus("net_injection_mw")
    yield from _worst("stated net injection", np.abs((net - stated).to_numpy()))
    yield from _worst("balance of the system", np.abs(net.to_numpy().sum(axis=1) - lost))
    # A negative load gives power; nothing of it can be shed.
    served = np.maximum(at_bus("load_mw").to_numpy(), 0.0)
    yield from _worst("load shed above the load", at_bus("load_shed_mw").to_numpy() - served)


def _sum_flows(flows: pd.DataFrame, end: str, values: str, grid: Grid) -> pd.DataFrame:
    summed = flows.pivot_table(
        index="time_interval", columns=end, values=values, aggfunc="sum", fill_value=0.0
    )
    return summed.reindex(columns=grid.buses.id, fill_value=0.0)


def _limits(request: SolveRequest, tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """Units below what is available, stores and branches within their ratings and slack."""
    units, flows = tables["generator_dispatch"], tables["branch_flow_results"]
    excess = (units["active_power"] - units["available_mw"]).to_numpy()
    yield from _worst("output above what is available", excess)
    grid = request.grid
    power = _units(tables, "active_power", grid, np.arange(len(grid.generators)))
    # Loads that can be dispatched are units with negative limits.
    low = np.minimum(grid.generators.p_min_mw, 0.0)
    yield from _worst("output below zero and the unit's minimum", low - power)
    over = flows["flow_mw"].abs() - flows["rating_mw"].fillna(np.inf) - flows["violation_mw"]
    yield from _worst("flow above the rating and the reported violation", over.to_numpy())


def _minima(request: SolveRequest, tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """No unit between zero and its minimum, unless the states were relaxed to fractions."""
    grid, rows = request.grid, thermal_rows(request.grid)
    if request.options.commitment == "relaxed":
        return
    power = _units(tables, "active_power", grid, rows)
    on = _units(tables, "commitment_status", grid, rows) > 0.5
    below = np.where(on, grid.generators.p_min_mw[rows] - power, np.abs(power))
    yield from _worst("unit between zero and its minimum", below)
    must = request.periods.must_take
    given = _units(tables, "active_power", grid, np.flatnonzero(must))
    asked = request.periods.available_mw[: len(given), must]
    yield from _worst("must-take output not taken", np.abs(given - asked))


def _ramps(request: SolveRequest, tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """Units on in both intervals change by at most their ramp."""
    grid, rows = request.grid, thermal_rows(request.grid)
    if request.options.commitment == "relaxed":
        return
    power = _units(tables, "active_power", grid, rows)
    on = _units(tables, "commitment_status", grid, rows) > 0.5
    limit = grid.generators.ramp_mw_per_min[rows] * request.periods.minutes
    both = on[1:] & on[:-1]
    excess = np.where(both, np.abs(np.diff(power, axis=0)) - limit, 0.0)
    yield from _worst("change above the ramp", excess)
    before = request.periods.before_mw
    if before is not None:
        # A unit that was below its minimum was off, and starts freely.
        known = on[0] & (before[rows] >= grid.generators.p_min_mw[rows] - TOLERANCE_MW)
        first = np.where(known, np.abs(power[0] - before[rows]) - limit, 0.0)
        yield from _worst("change from the realised dispatch above the ramp", first)


def _minimum_times(request: SolveRequest, tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """Runs and pauses that begin and end within the horizon last long enough."""
    grid, rows = request.grid, thermal_rows(request.grid)
    if request.options.commitment == "relaxed":
        return
    on = _units(tables, "commitment_status", grid, rows) > 0.5
    units, hours = grid.generators, request.periods.hours
    for column, row in enumerate(rows):
        changes = np.flatnonzero(np.diff(on[:, column].astype(int))) + 1
        for begin, end in pairwise(changes):
            runs = on[begin, column]
            least = units.min_up_h[row] if runs else units.min_down_h[row]
            lasted = (end - begin) * hours
            if lasted < least - 1e-9:
                yield f"unit {units.id[row]}: {'on' if runs else 'off'} {lasted:g} h < {least:g} h"


def _reserves(request: SolveRequest, tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """Reserve within headroom and ten minutes of ramp, and enough of it."""
    grid, rows, count = request.grid, thermal_rows(request.grid), request.periods.reported
    units = grid.generators
    power = _units(tables, "active_power", grid, rows)
    on = _units(tables, "commitment_status", grid, rows) > 0.5
    reach = np.where(on, units.ramp_mw_per_min[rows] * RESERVE_MINUTES, 0.0)
    up = _units(tables, "reserve_up_mw", grid, rows)
    down = _units(tables, "reserve_down_mw", grid, rows)
    yield from _worst("upward reserve above the ramp", up - reach)
    yield from _worst("upward reserve above the headroom", up + power - units.p_max_mw[rows])
    yield from _worst("downward reserve above the ramp", down - reach)
    if request.options.commitment != "relaxed":
        low = np.where(on, units.p_min_mw[rows], 0.0)
        yield from _worst("downward reserve above the room", down + low - power)
    short = tables["interval_results"]["reserve_shortfall_mw"].to_numpy()
    asked = request.periods.reserve_up_mw[:count]
    yield from _worst("upward reserve missing", asked - up.sum(axis=1) - short)


def _stores(request: SolveRequest, tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """Energy: what is gained less what is given; natural inflow may be spilled."""
    stores, periods = request.grid.storages, request.periods
    if not len(stores):
        return
    frame = tables["generator_dispatch"]
    frame = frame[frame["generator_id"].isin(stores.id)]
    wide = {"generator_dispatch": frame}
    power = _wide(wide, "generator_dispatch", "generator_id", "active_power")[stores.id].to_numpy()
    energy = _wide(wide, "generator_dispatch", "generator_id", "stored_energy_mwh")[stores.id]
    held = energy.to_numpy()
    before = np.vstack([stores.energy_initial_mwh[None], held[:-1]])
    drawn = np.maximum(power, 0.0) / stores.discharge_efficiency
    stored = np.maximum(-power, 0.0) * stores.charge_efficiency
    inflow = periods.inflow_mw[: len(power)]
    spilled = before + (stored + inflow - drawn) * periods.hours - held
    yield from _worst("energy from nowhere", -spilled, "MWh")
    yield from _worst("energy lost beyond inflow", spilled - inflow * periods.hours, "MWh")
    yield from _worst("energy above the store", held - stores.energy_max_mwh, "MWh")
    yield from _worst("charging above the limit", -power - stores.charge_max_mw)
