"""What a DC dispatch is worth after each outage: an AC power flow of every one in every interval.

The intact AC solution is where each begins. A bus holds the voltage that it has there; one whose
units are at a reactive limit there goes on giving that limit. The output of a lost unit is taken
over by the units that run, in proportion to their capability, as the secure dispatch has it, and
the reference takes the change of the losses. After an outage the long-term emergency ratings
(B) and the voltage limits of the buses apply.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from data_engineering.model.grid import ISOLATED, Flags, Floats, Grid, Texts
from data_engineering.model.problem import Outage
from data_engineering.solvers.ac_check import intact_rows
from data_engineering.solvers.ac_outage_scenarios import (
    Interval,
    Lost,
    lost_by,
    scenarios_after,
    solved_intervals,
)
from data_engineering.solvers.matrices import Complexes, branch_flows
from data_engineering.solvers.power_flow_batch import ISLANDED, BatchOptions, solve_scenarios
from data_engineering.solvers.result_rows import AT_LIMIT_MW, line_columns, stacked

BLOCK = 512
"""Outages that are solved together, which bounds the memory."""
OUTSIDE_PU = 1e-4
"""A voltage this much beyond a limit is outside it; set points may stand on their limits."""
WORSE_PU = 0.01
STAGE = "ac outage "
FLOW_KEY = ["time_interval", "contingency_id", "branch_id"]
COUNTS = ("outages_checked", "outages_islanding", "outages_not_converged", "outage_violations")


@dataclass(frozen=True, eq=False)
class Part:
    """What some outages of one interval do; the frames hold what is beyond a limit."""

    interval: int
    flows: pd.DataFrame
    voltages: pd.DataFrame
    unsolved: list[str]
    checked: int
    islanding: int
    violations: int
    worst_id: str | None
    worst_percent: float


def verify_outages(
    grid: Grid, tables: Mapping[str, pd.DataFrame], outages: Sequence[Outage]
) -> dict[str, pd.DataFrame]:
    """The result tables with what AC power flow finds after each outage.

    Flows above rating B and voltages that leave their limits are added to `branch_flow_results`
    and `bus_results` under the name of the outage; where the dispatch has such a row already its
    AC columns are filled. A bus that is outside its limits in the intact network counts only where
    the outage makes it worse by 0.01 p.u. `interval_results` counts all of them. An outage without
    a solution is a row of `convergence_history`: stage "ac outage " and its name, iteration the
    interval. Outages that split the network are counted and not solved; intervals without an
    intact solution are not looked at.

    Args:
        grid: the case.
        tables: of a DC dispatch after `verify_ac`.
        outages: what to look at.

    Raises:
        BadInput: an outage names an element that the grid has not.
    """
    result, lost = dict(tables), lost_by(grid, outages)
    intact = {name: intact_rows(frame) for name, frame in tables.items()}
    known = _known(grid, lost, tables["branch_flow_results"])
    parts = [
        _part(grid, at, lost.part(rows), known.get(at.number, known[0])[rows])
        for at in solved_intervals(grid, intact)
        for rows in _blocks(len(lost.id))
    ]
    if parts:
        flows = stacked([part.flows for part in parts])
        result["branch_flow_results"] = _with_flows(tables["branch_flow_results"], flows)
        voltages = [part.voltages for part in parts]
        result["bus_results"] = stacked([tables["bus_results"], *voltages])
        history = tables["convergence_history"]
        result["convergence_history"] = stacked([history, _unsolved_rows(history, parts)])
        result["interval_results"] = _with_counts(tables["interval_results"], parts)
    return result


def _blocks(count: int) -> list[slice]:
    return [slice(first, first + BLOCK) for first in range(0, count, BLOCK)]


def _known(grid: Grid, lost: Lost, flows: pd.DataFrame) -> dict[int, Flags]:
    """By interval the outages and branches that have a row, shape (outages, branches); 0: none."""
    rows = flows[flows["contingency_id"].isin(lost.id) & flows["branch_id"].isin(grid.branches.id)]
    outage = pd.Index(lost.id).get_indexer(pd.Index(rows["contingency_id"]))
    branch = pd.Index(grid.branches.id).get_indexer(pd.Index(rows["branch_id"]))
    interval = rows["time_interval"].to_numpy()
    pairs = {0: np.zeros(lost.branches.shape, dtype=np.bool_)}
    for number in np.unique(interval):
        pairs[int(number)] = pairs[0].copy()
        of_it = interval == number
        pairs[int(number)][outage[of_it], branch[of_it]] = True
    return pairs


def _part(grid: Grid, at: Interval, lost: Lost, known: Flags) -> Part:
    scenarios = scenarios_after(grid, at, lost)
    batch = solve_scenarios(scenarios, BatchOptions(), start=at.voltage)
    solved, islanded, every = batch.converged, batch.reason == ISLANDED, np.array(lost.id)
    names, voltage = every[solved], batch.voltage[solved]
    into_from, into_to = branch_flows(grid, voltage)
    on, rating = scenarios.branch_on[solved], grid.branches.rate_b_mva
    size = np.maximum(np.abs(into_from), np.abs(into_to)) * on
    over = size > rating + AT_LIMIT_MW
    outside = _brought_outside(grid, at.voltage, voltage)
    net = at.net_mw + scenarios.power[solved].real - at.state.injection_mw
    loading = (size / rating).max(axis=1, initial=0.0) * 100.0
    worst = int(loading.argmax()) if len(loading) else None
    return Part(
        interval=at.number,
        flows=_flow_rows(grid, at, names, over | known[solved], into_from.real * on, size),
        voltages=_voltage_rows(grid, at, names, outside, voltage, net),
        unsolved=every[~solved & ~islanded].tolist(),
        checked=len(every),
        islanding=int(islanded.sum()),
        violations=int(over.sum() + outside.sum()),
        worst_id=None if worst is None else str(names[worst]),
        worst_percent=np.nan if worst is None else float(loading[worst]),
    )


def _brought_outside(grid: Grid, intact: Complexes, voltage: Complexes) -> Flags:
    """Voltages that outages take outside their limits, shape (outages, buses).

    One that is outside in the intact network is said there; here only if it gets worse by more
    than `WORSE_PU`.
    """
    live = grid.buses.kind != ISOLATED
    beyond, before = (_beyond(grid, np.abs(values)) for values in (voltage, intact))
    brought: Flags = (beyond > OUTSIDE_PU) & live
    brought &= (before <= OUTSIDE_PU) | (beyond > before + WORSE_PU)
    return brought


def _beyond(grid: Grid, magnitude: Floats) -> Floats:
    excess: Floats = np.maximum(magnitude - grid.buses.vm_max_pu, grid.buses.vm_min_pu - magnitude)
    return excess


def _flow_rows(
    grid: Grid, at: Interval, names: Texts, wanted: Flags, active_mw: Floats, size: Floats
) -> pd.DataFrame:
    row, branch = np.nonzero(wanted)
    rating = grid.branches.rate_b_mva[branch]
    rating = np.where(np.isfinite(rating), rating, np.nan)
    active, nothing = active_mw[row, branch], np.zeros(len(row))
    named = {name: np.asarray(v)[branch] for name, v in line_columns(grid, grid.branches).items()}
    return pd.DataFrame(
        {
            "time_interval": np.full(len(row), at.number),
            "interval_start": pd.DatetimeIndex([at.start] * len(row), tz="UTC"),
            **named,
            "contingency_id": names[row],
            "flow_mw": active,
            "rating_mw": rating,
            "loading_percent": np.abs(active) / rating * 100.0,
            "shadow_price": nothing * np.nan,
            "binding": nothing.astype(np.bool_),
            "violation_mw": nothing,
            "ac_flow_mva": size[row, branch],
            "ac_loading_percent": size[row, branch] / rating * 100.0,
        }
    )


def _voltage_rows(
    grid: Grid, at: Interval, names: Texts, outside: Flags, voltage: Complexes, net_mw: Floats
) -> pd.DataFrame:
    row, bus = np.nonzero(outside)
    nothing, found = np.zeros(len(row)), voltage[row, bus]
    prices = ("lmp_energy", "lmp_congestion", "lmp_loss", "lmp_total")
    return pd.DataFrame(
        {
            "time_interval": np.full(len(row), at.number),
            "interval_start": pd.DatetimeIndex([at.start] * len(row), tz="UTC"),
            "contingency_id": names[row],
            "bus_id": grid.buses.id[bus],
            "voltage_magnitude": np.abs(found),
            "voltage_angle": np.rad2deg(np.angle(found)),
            "net_injection_mw": net_mw[row, bus],
            "load_mw": at.load_mw[bus],
            "load_shed_mw": nothing,
            "over_generation_mw": nothing,
            **dict.fromkeys(prices, nothing * np.nan),
        }
    )


def _with_flows(table: pd.DataFrame, flows: pd.DataFrame) -> pd.DataFrame:
    """The AC columns of rows that are there, and the rows that are not."""
    old, new = pd.MultiIndex.from_frame(table[FLOW_KEY]), pd.MultiIndex.from_frame(flows[FLOW_KEY])
    place = new.get_indexer(old)
    changed = table.copy()
    for column in ("ac_flow_mva", "ac_loading_percent"):
        given = np.append(flows[column].to_numpy(), np.nan)[place]
        changed[column] = np.where(place >= 0, given, table[column].to_numpy())
    return stacked([changed, flows[~new.isin(old)]])


def _unsolved_rows(history: pd.DataFrame, parts: Sequence[Part]) -> pd.DataFrame:
    pairs = [(name, part.interval) for part in parts for name in part.unsolved]
    frame = pd.DataFrame(np.nan, index=range(len(pairs)), columns=history.columns, dtype=float)
    frame["stage"] = [STAGE + name for name, _ in pairs]
    return frame.assign(iteration=np.array([number for _, number in pairs], dtype=np.int64))


def _with_counts(table: pd.DataFrame, parts: Sequence[Part]) -> pd.DataFrame:
    """Counts of the intervals that were looked at; the others keep what they have."""
    changed = table.set_index("time_interval")
    for number in dict.fromkeys(part.interval for part in parts):
        mine = [part for part in parts if part.interval == number]
        sums = (
            sum(part.checked for part in mine),
            sum(part.islanding for part in mine),
            sum(len(part.unsolved) for part in mine),
            sum(part.violations for part in mine),
        )
        changed.loc[number, list(COUNTS)] = sums
        worst = max(mine, key=lambda part: np.nan_to_num(part.worst_percent, nan=-1.0))
        changed.loc[number, "worst_outage_id"] = worst.worst_id
        changed.loc[number, "worst_outage_loading_percent"] = worst.worst_percent
    return changed.reset_index()[list(table.columns)]
