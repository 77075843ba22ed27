"""The answer of the Julia solver as a `SolveResult`: recomputed, checked, and refused if unsound.

Nothing of an answer is believed that can be worked out here: costs are those of the request's own
curves, flows after outages are screened by our own factors, and every law of `result_checks` is
held over the whole horizon, look-ahead included.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from data_engineering.model.errors import AnswerRefused, BadInput
from data_engineering.model.exchange import METHODS, Answer, AnswerFacts
from data_engineering.model.grid import Flags, Floats, Grid
from data_engineering.model.problem import SolveRequest, SolveResult, Status
from data_engineering.solvers.dc_network import dc_network
from data_engineering.solvers.dispatch_tables import DispatchArrays, tables_of
from data_engineering.solvers.julia_checks import (
    bound_faults,
    network_faults,
    stub_fact,
    unit_faults,
)
from data_engineering.solvers.julia_tables import history_rows, outage_rows, price_parts, running
from data_engineering.solvers.outage_factors import outage_factors
from data_engineering.solvers.resources import bus_demand
from data_engineering.solvers.result_checks import TOLERANCE_USD, check_results
from data_engineering.solvers.result_rows import notes_of
from data_engineering.solvers.units import (
    NOT_THERMAL,
    quadratic_costs,
    thermal_rows,
    thermal_units,
)

SHOWN = 8
"""Faults that a refusal names."""
SOLVED = ("optimal", "feasible")
GAP = 1e-3
"""An answer this far from its own bound is called feasible, not optimal."""


def julia_method(method: str) -> str:
    """The method of the exchange that is asked for.

    Raises:
        BadInput: the Julia solver has no such method.
    """
    if method == "default":
        return METHODS[0]
    if method not in METHODS:
        raise BadInput("method", method, f"for solver julia use one of {', '.join(METHODS)}")
    return method


def has_states(grid: Grid) -> Flags:
    """Generators that have states, reserve, cost and ramps, shape (generators,)."""
    flags: Flags = ~np.isin(grid.generators.kind, NOT_THERMAL)
    return flags


def result_of_answer(
    request: SolveRequest, facts: AnswerFacts, answer: Answer | None
) -> SolveResult:
    """The result of a request that the Julia solver answered.

    Args:
        request: what was asked.
        facts: how it was answered.
        answer: the tables; None without a solution.

    Raises:
        AnswerRefused: the answer breaks a law, its objective is not the cost of its dispatch, or
            it is no answer at all.
    """
    if fact := stub_fact(request, facts, answer):
        raise AnswerRefused(facts.request_id, fact)
    notes = (*notes_of(facts.left_out), *facts.notes, _maker(facts))
    if facts.status not in SOLVED:
        return _result(facts, SolveResult(facts.status, np.nan, {}, {}, "", "", 0.0), notes)
    if answer is None:
        raise AnswerRefused(facts.request_id, f"status {facts.status}, but it has no tables")
    arrays = arrays_of(request, answer)
    units = thermal_units(request.grid, request.periods.hours)
    whole = replace(request.periods, reported=request.periods.count)
    everything = tables_of(replace(request, periods=whole), units, arrays)
    found = tables_of(request, units, arrays)
    _check(request, facts, answer, arrays, everything, found.objective)
    residuals = {**found.residuals, **_more_residuals(request, facts, answer, everything.objective)}
    far = residuals.get("relative_gap", 0.0) > GAP
    status: Status = "feasible" if far else facts.status
    found = replace(found, tables=_tables(request, answer, found), residuals=residuals)
    return _result(facts, replace(found, status=status), notes)


def _more_residuals(
    request: SolveRequest, facts: AnswerFacts, answer: Answer, total: float
) -> dict[str, float]:
    """What the tables of the intact network do not say; `total` is the cost of all intervals."""
    reported = answer.outages.interval < request.periods.reported
    found = {"outage_overload_mw": float(answer.outages.excess_mw[reported].max(initial=0.0))}
    if np.isfinite(facts.bound):
        found["relative_gap"] = max((total - facts.bound) / max(abs(total), 1.0), 0.0)
    return found


def arrays_of(request: SolveRequest, answer: Answer) -> DispatchArrays:
    """An answer as the arrays that all tables are made from; costs are worked out here."""
    grid, periods = request.grid, request.periods
    rows, units = thermal_rows(grid), thermal_units(grid, periods.hours)
    on, commitment = running(request), request.commitment
    none = np.zeros(answer.energy.shape)
    cost = np.zeros(answer.power.shape)
    cost[:, rows] = _cost(request, answer.power[:, rows], on[:, rows])
    penalty = np.zeros(periods.count)
    np.add.at(penalty, answer.outages.interval, np.maximum(answer.outages.excess_mw, 0.0))
    rate = np.where(grid.branches.in_service, grid.branches.rate_a_mva, np.inf)
    return DispatchArrays(
        power=answer.power,
        on=on,
        above=answer.power[:, rows] - units.p_min_mw * on[:, rows],
        cost=cost,
        start_cost=np.zeros(on.shape) if commitment is None else commitment.start_cost_usd,
        reserve_up=answer.reserve_up,
        reserve_down=answer.reserve_down,
        charge=answer.charge,
        discharge=answer.discharge,
        energy=answer.energy,
        store_start_cost=none if commitment is None else commitment.store_start_cost_usd,
        angle=answer.angle,
        flow=answer.flow,
        dc_flow=answer.dc_flow,
        demand=bus_demand(grid, periods),
        shed=answer.shed,
        over=answer.over,
        overload=np.maximum(np.abs(answer.flow) - rate, 0.0),
        up_short=answer.up_short,
        down_short=answer.down_short,
        price=answer.price,
        shadow=answer.shadow,
        reserve_price=answer.reserve_price,
        outage_penalty=penalty * request.options.penalties.outage_overload * periods.hours,
    )


def _cost(request: SolveRequest, power: Floats, on: Flags) -> Floats:
    """Production cost of the units with states by the request's own curves, shape (T, n), USD."""
    units = thermal_units(request.grid, request.periods.hours)
    cost = np.zeros(power.shape)
    for column in range(len(units)):
        mw, usd = units.cost_mw[column], units.cost_usd[column]
        cost[:, column] = np.interp(power[:, column], mw, usd)
    quadratic = quadratic_costs(request.grid, request.periods.hours)
    cost[:, quadratic.units] = quadratic.at(power[:, quadratic.units])
    return np.where(on, cost, 0.0)


def _check(
    request: SolveRequest,
    facts: AnswerFacts,
    answer: Answer,
    arrays: DispatchArrays,
    everything: SolveResult,
    objective: float,
) -> None:
    """Refuse an answer that breaks a law anywhere in the horizon."""
    whole = replace(request.periods, reported=request.periods.count)
    network = dc_network(request.grid)
    factors = outage_factors(request.grid, network, request.outages)
    none = np.zeros(len(request.grid.generators))
    # Whether the states themselves keep their minimum times is the request's affair.
    units = replace(request.grid.generators, min_up_h=none, min_down_h=none)
    free = replace(request, periods=whole, grid=replace(request.grid, generators=units))
    faults = [
        *check_results(free, everything.tables, everything.objective),
        *unit_faults(request, answer, arrays),
        *network_faults(request, answer, arrays, network, factors),
        *bound_faults(facts, everything.objective),
    ]
    if sorted(facts.left_out) != sorted(factors.left_out):
        faults.append(f"outages left out: {list(facts.left_out)}, not {list(factors.left_out)}")
    for name, stated, cost in (
        ("objective", facts.objective, objective),
        ("total", facts.total, everything.objective),
    ):
        if not abs(stated - cost) <= TOLERANCE_USD * max(abs(cost), 1.0):
            faults.append(f"{name} {stated:.4f} USD, but its dispatch costs {cost:.4f} USD")
    if faults:
        more = f" (and {len(faults) - SHOWN} more)" if len(faults) > SHOWN else ""
        raise AnswerRefused(facts.request_id, "; ".join(faults[:SHOWN]) + more)


def _tables(request: SolveRequest, answer: Answer, found: SolveResult) -> dict[str, pd.DataFrame]:
    outages = outage_rows(request, answer.outages)
    flows = [frame for frame in (found.tables["branch_flow_results"], outages) if len(frame)]
    return {
        **found.tables,
        "branch_flow_results": pd.concat(flows, ignore_index=True),
        "convergence_history": history_rows(answer.history),
        "price_causes": price_parts(request, answer),
    }


def _maker(facts: AnswerFacts) -> str:
    return f"solved by {facts.solver} in Julia {facts.julia_version}, {facts.threads} thread(s)"


def _result(facts: AnswerFacts, found: SolveResult, notes: tuple[str, ...]) -> SolveResult:
    return replace(
        found,
        residuals={**facts.residuals, **found.residuals},
        solver=facts.solver,
        version=facts.solver_version,
        seconds=facts.seconds,
        iterations=facts.iterations,
        notes=notes,
    )
