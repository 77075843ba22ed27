"""A secure dispatch as frames of the declared result tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from data_engineering.model.grid import Flags, Floats, Ints
from data_engineering.model.problem import SolveResult, Status
from data_engineering.solvers.dispatch_tables import DispatchArrays, tables_of
from data_engineering.solvers.live_program import Answer
from data_engineering.solvers.resources import given_commitment
from data_engineering.solvers.result_rows import notes_of, outage_rows
from data_engineering.solvers.security_program import INTACT, SecurityProgram

CAUSE_USD_PER_MWH = 0.005
"""Parts of a price below this are not listed."""


@dataclass(frozen=True)
class Round:
    """One round of the constraint generation."""

    objective: float
    bound: float
    violation_mw: float
    seconds: float


@dataclass(frozen=True, eq=False)
class Screened:
    """Angles and flows of an answer, and the flows that are beyond their limits.

    Attributes:
        theta: shape (T, n), radians; flow: shape (T, L), MW.
        interval, branch, outage, upper, excess_mw: the flows beyond their limits.
        new: those of them that the program has no row for.
    """

    theta: Floats
    flow: Floats
    interval: Ints
    branch: Ints
    outage: Ints
    upper: Flags
    excess_mw: Floats
    new: Flags

    @property
    def worst_mw(self) -> float:
        """The largest excess for which the program has no row."""
        return float(self.excess_mw[self.new].max(initial=0.0))

    @staticmethod
    def nothing(program: SecurityProgram) -> Screened:
        """No answer, no flows."""
        count = program.request.periods.count
        none, nothing = np.zeros(0, dtype=np.int64), np.zeros(0)
        flag = np.zeros(0, dtype=np.bool_)
        theta = np.full((count, len(program.network.island)), np.nan)
        flow = np.full((count, len(program.network.from_bus)), np.nan)
        return Screened(theta, flow, none, none, none, flag, nothing, flag)


def result_of(
    program: SecurityProgram,
    answer: Answer,
    screened: Screened,
    history: list[Round],
    status: Status,
) -> SolveResult:
    """The result; without a solution its tables are empty."""
    request, factors = program.request, program.factors
    notes = (*notes_of(factors.left_out), *_uncovered(program))
    if not len(history) or answer.status != "optimal":
        nothing: Mapping[str, pd.DataFrame] = {}
        seconds = program.live.seconds
        return SolveResult(
            status, np.nan, nothing, {}, "highs", program.live.version, seconds, notes=notes
        )
    arrays = _arrays(program, answer, screened)
    result = tables_of(request, program.resources.units, arrays)
    tables = dict(result.tables)
    outages = _outage_rows(program, answer, screened)
    tables["branch_flow_results"] = pd.concat(
        [tables["branch_flow_results"], outages], ignore_index=True
    )
    tables["convergence_history"] = _history(history)
    tables["price_causes"] = _causes(program, answer)
    residuals = dict(result.residuals)
    residuals["outage_overload_mw"] = float(outages["violation_mw"].max()) if len(outages) else 0.0
    residuals["limit_broken_mw"] = screened.worst_mw
    residuals["relative_gap"] = (history[-1].objective - history[-1].bound) / max(
        abs(history[-1].objective), 1.0
    )
    return replace(
        result,
        status=status,
        tables=tables,
        residuals=residuals,
        version=program.live.version,
        seconds=history[-1].seconds,
        iterations=len(history),
        notes=notes,
    )


def _uncovered(program: SecurityProgram) -> tuple[str, ...]:
    """A note on lost units whose output no other unit of their island could take over."""
    factors, on = program.factors, program.all_running()
    weight = on * factors.capability_mw
    names = []
    for outage, unit in zip(factors.unit_outages, factors.lost_units, strict=True):
        others = factors.unit_island == factors.unit_island[unit]
        others[unit] = False
        if (on[:, unit] & (weight[:, others].sum(axis=1) <= 0.0)).any():
            names.append(program.request.outages[outage].id)
    if not names:
        return ()
    return (f"outages without a unit that takes over, flows kept as they are: {', '.join(names)}",)


def _arrays(program: SecurityProgram, answer: Answer, screened: Screened) -> DispatchArrays:
    """The answer as arrays with the interval as first axis, prices per MWh."""
    request, resources = program.request, program.resources
    grid, periods = request.grid, request.periods
    values, hours, rows = answer.values, request.periods.hours, program.resources.thermal
    shape, stores = (periods.count, len(grid.generators)), (periods.count, len(grid.storages))
    commitment, share = given_commitment(request), program.resources.share(answer.values)
    power, on = np.zeros(shape), np.tile(grid.generators.in_service, (periods.count, 1))
    power[:, rows] = resources.power(values)
    power[:, resources.free_units] = values[resources.free]
    on[:, rows] = share > 1e-6
    cost = np.zeros(shape)
    cost[:, rows] = _production_cost(program, values, share)
    reserve = {name: np.zeros(shape) for name in ("up", "down")}
    for name, block in (("up", resources.up), ("down", resources.down)):
        if block.size:
            reserve[name][:, rows] = values[block]
    shed, over = program.slacks(answer)
    rate = np.where(grid.branches.in_service, grid.branches.rate_a_mva, np.inf)
    excess = np.where(screened.outage == INTACT, 0.0, np.maximum(screened.excess_mw, 0.0))
    penalty = np.zeros(periods.count)
    np.add.at(penalty, screened.interval, excess)
    none = np.zeros(stores)
    return DispatchArrays(
        power=power,
        on=on,
        above=values[resources.above],
        cost=cost,
        start_cost=np.zeros(shape) if commitment is None else commitment.start_cost_usd,
        reserve_up=reserve["up"],
        reserve_down=reserve["down"],
        charge=values[resources.charge],
        discharge=values[resources.discharge],
        energy=values[resources.energy],
        store_start_cost=none if commitment is None else commitment.store_start_cost_usd,
        angle=screened.theta,
        flow=screened.flow,
        dc_flow=values[resources.dc_flow],
        demand=resources.demand_mw,
        shed=shed,
        over=over,
        overload=np.maximum(np.abs(screened.flow) - rate, 0.0),
        up_short=values[resources.up_short],
        down_short=values[resources.down_short],
        price=program.prices(answer) / hours,
        shadow=_shadow(program, answer) / hours,
        reserve_price=np.maximum(answer.duals[resources.up_rows] / hours, 0.0),
        outage_penalty=penalty * request.options.penalties.outage_overload * hours,
    )


def _production_cost(program: SecurityProgram, values: Floats, share: Floats) -> Floats:
    """Cost of the committed units by their own curves, shape (T, n), USD."""
    resources, units = program.resources, program.resources.units
    width, slope = units.pieces()
    each = np.where(share > 1e-9, share, 1.0)
    above = values[resources.above] / each
    start = np.concatenate([np.zeros((len(width), 1)), np.cumsum(width, axis=1)[:, :-1]], axis=1)
    filled = np.clip(above[..., None] - start, 0.0, width)
    cost = (units.cost_usd[:, 0] + (filled * slope).sum(axis=2)) * share
    which = resources.quadratic.units
    power = units.p_min_mw[which] + above[:, which]
    cost[:, which] = resources.quadratic.at(power) * share[:, which]
    return np.asarray(cost)


def _shadow(program: SecurityProgram, answer: Answer) -> Floats:
    """What one MW more of each intact rating saves, shape (T, L), USD."""
    limits = program.limits
    intact = limits.outage == INTACT
    shadow = np.zeros(program.flow.shape)
    place = (limits.interval[intact], limits.branch[intact])
    np.add.at(shadow, place, np.abs(answer.duals[limits.row[intact]]))
    return shadow


def _outage_rows(program: SecurityProgram, answer: Answer, screened: Screened) -> pd.DataFrame:
    """Flows after outages that are at their limit or beyond it, of the reported intervals."""
    request, limits = program.request, program.limits
    grid, hours = request.grid, request.periods.hours
    price = np.abs(answer.duals[limits.row]) / hours
    excess = np.maximum(answer.values[limits.slack], 0.0)
    kept = (limits.outage != INTACT) & (limits.interval < request.periods.reported)
    kept &= (price > 1e-6) | (excess > 0.0)
    t, branch, rate = limits.interval[kept], limits.branch[kept], grid.branches.rate_b_mva
    # A limit that is priced or broken is met exactly, up to its excess.
    flow = np.where(limits.upper[kept], 1.0, -1.0) * (rate[branch] + excess[kept])
    return outage_rows(request, t, limits.outage[kept], branch, flow, price[kept], excess[kept])


def _causes(program: SecurityProgram, answer: Answer) -> pd.DataFrame:
    """The part of each bus's price that each binding limit makes; they sum to lmp_congestion.

    Relative to the load-weighted mean, as the energy part of the price is.
    """
    request, limits, resources = program.request, program.limits, program.resources
    grid, hours = request.grid, request.periods.hours
    dual = answer.duals[limits.row] / hours
    kept = np.flatnonzero((np.abs(dual) > 1e-6) & (limits.interval < request.periods.reported))
    names = np.array([*(outage.id for outage in request.outages), "base"], dtype=np.str_)
    weight = resources.demand_mw / resources.demand_mw.sum(axis=1, keepdims=True)
    place = np.full(len(grid.branches), -1)
    place[program.factors.monitored] = np.arange(len(program.factors.monitored))
    starts = pd.DatetimeIndex(request.periods.starts())
    frames = []
    for k in kept:
        t, branch, outage = limits.interval[k], limits.branch[k], limits.outage[k]
        at_bus = program.transfer(np.array([branch]))[0]
        if outage != INTACT:
            on = program.running(int(t))
            lost, by_branch, *_ = program.factors.sources(int(outage), int(place[branch]), on)
            at_bus = at_bus + by_branch @ program.transfer(lost) if len(lost) else at_bus
        # HiGHS's dual of an upper limit is negative: more demand behind it lowers the price.
        part = dual[k] * at_bus
        part -= part @ weight[t]
        large = np.flatnonzero(np.abs(part) > CAUSE_USD_PER_MWH)
        frames.append(
            pd.DataFrame(
                {
                    "time_interval": int(t) + 1,
                    "interval_start": starts[t],
                    "bus_id": grid.buses.id[large],
                    "branch_id": str(grid.branches.id[branch]),
                    "contingency_id": str(names[outage]),
                    "lmp_part": part[large],
                }
            )
        )
    columns = [
        "time_interval",
        "interval_start",
        "bus_id",
        "branch_id",
        "contingency_id",
        "lmp_part",
    ]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def _history(history: list[Round]) -> pd.DataFrame:
    """Every round; the bound is that of the limits known then."""
    return pd.DataFrame(
        {
            "stage": "dispatch",
            "iteration": np.arange(1, len(history) + 1),
            "objective_value": [each.objective for each in history],
            "best_bound": [each.bound for each in history],
            "relative_gap": [
                (each.objective - each.bound) / max(abs(each.objective), 1.0) for each in history
            ],
            "primal_residual": [each.violation_mw for each in history],
            "dual_residual": np.full(len(history), np.nan),
            "elapsed_seconds": [each.seconds for each in history],
        }
    )
