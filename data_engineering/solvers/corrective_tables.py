"""The result of the corrective method: the roots' tables, and what the chains add to them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from data_engineering.model.grid import Floats
from data_engineering.model.problem import SolveResult, Status
from data_engineering.solvers.corrective_chains import Chains
from data_engineering.solvers.corrective_costs import share_of_interval
from data_engineering.solvers.corrective_heat import Heat
from data_engineering.solvers.lascopf_tables import (
    CAUSE_USD_PER_MWH,
    Round,
    Screened,
    result_of,
)
from data_engineering.solvers.live_program import Answer
from data_engineering.solvers.security_program import SecurityProgram

PRICED = 1e-6
"""USD/MWh below which a limit does not count as binding."""


def corrective_result(
    program: SecurityProgram,
    chains: Chains,
    heat: Heat,
    answer: Answer,
    screened: Screened,
    history: list[Round],
    status: Status,
) -> SolveResult:
    """The roots as the production method has them; flows of the chains at their limits besides."""
    result = result_of(program, answer, screened, history, status)
    notes = (*result.notes, *_notes(chains))
    if not len(history) or answer.status != "optimal":
        return replace(result, notes=notes)
    rows = _chain_rows(chains, heat, answer)
    tables = dict(result.tables)
    for name, more in (("branch_flow_results", rows), ("price_causes", _causes(chains, answer))):
        both = [frame for frame in (tables[name], more) if len(frame)]
        tables[name] = pd.concat(both, ignore_index=True) if both else tables[name]
    penalty, cost = _penalties(chains, heat, answer), _costs(chains, answer)
    reported = program.request.periods.reported
    intervals = tables["interval_results"].copy()
    intervals["penalty_usd"] += (penalty + cost)[:reported]
    tables["interval_results"] = intervals
    residuals = {
        **result.residuals,
        "chains": float(len(chains.chains)),
        "chain_overload_mw": float(rows["violation_mw"].max()) if len(rows) else 0.0,
        "chain_shed_mw": _shed(chains, answer),
        "restoration_cost_usd": float(cost[:reported].sum()),
    }
    return replace(
        result,
        objective=result.objective + float((penalty + cost)[:reported].sum()),
        tables=tables,
        residuals=residuals,
        notes=notes,
    )


def _chain_rows(chains: Chains, heat: Heat, answer: Answer) -> pd.DataFrame:
    """Rows of flows in chains; one for each flow, the worst where it has several limits."""
    rows = pd.DataFrame([*_limit_rows(chains, answer), *_heat_rows(heat, answer)])
    if not len(rows):
        return rows
    worst = rows.sort_values("violation_mw", ascending=False, kind="stable")
    return worst.drop_duplicates(["time_interval", "contingency_id", "branch_id"]).sort_index()


def _notes(chains: Chains) -> tuple[str, ...]:
    restoration = chains.program.request.options.restoration
    notes = [f"{len(chains.chains)} chains after outages need a redispatch of their own"]
    if restoration.weight > 0.0:
        notes.append("penalty_usd holds the weighted production cost of the chains too")
    if restoration.secure_intervals and chains.steps:
        counts = [chains.states.second(n)[1] for n in range(len(chains.states.outages))]
        split = sum(int((~each).sum()) for each in counts) - len(counts)
        if split > 0:
            notes.append(f"{split} second outages left out: they split the network")
    return tuple(notes)


def _row(
    chains: Chains, interval: int, label: str, branch: int, values: dict[str, object]
) -> dict[str, object]:
    grid, periods = chains.program.request.grid, chains.program.request.periods
    return {
        "time_interval": interval + 1,
        "interval_start": pd.Timestamp(periods.starts()[interval]),
        "contingency_id": label,
        "branch_id": str(grid.branches.id[branch]),
        "from_bus_id": str(grid.buses.id[grid.branches.from_bus[branch]]),
        "to_bus_id": str(grid.buses.id[grid.branches.to_bus[branch]]),
        **values,
        "binding": True,
        "ac_flow_mva": np.nan,
        "ac_loading_percent": np.nan,
    }


def _limit_rows(chains: Chains, answer: Answer) -> list[dict[str, object]]:
    """Flows of chains that are at their limit or beyond it, of the reported intervals."""
    periods, found = chains.program.request.periods, []
    for limit in chains.limits:
        chain = chains.chains[limit.chain]
        price = abs(float(answer.duals[limit.row])) / periods.hours
        excess = max(float(answer.values[limit.slack]), 0.0)
        if chain.interval >= periods.reported or not (price > PRICED or excess > 0.0):
            continue
        flow = limit.limit_mw + excess
        values: dict[str, object] = {
            "flow_mw": flow if limit.upper else -flow,
            "rating_mw": limit.limit_mw,
            "loading_percent": flow / limit.limit_mw * 100.0,
            "shadow_price": price,
            "violation_mw": excess,
        }
        label = chains.label(chain, limit.step, limit.second)
        found.append(_row(chains, chain.interval, label, limit.branch, values))
    return found


def _heat_rows(heat: Heat, answer: Answer) -> list[dict[str, object]]:
    """Flows of lines that reach their temperature, at the step after which they do."""
    chains, found = heat.chains, []
    periods = chains.program.request.periods
    for line in heat.lines:
        chain = chains.chains[line.chain]
        rate = float(chains.program.request.grid.branches.rate_a_mva[line.branch])
        price = np.abs(answer.duals[line.rows]) / periods.hours * 2.0 / rate
        excess = np.maximum(answer.values[line.slack], 0.0) * rate / 2.0
        for step in np.flatnonzero((price > PRICED) | (excess > 0.0)).tolist():
            if chain.interval >= periods.reported:
                continue
            flow = float(answer.values[line.flow[step + 1]])
            # What the line could carry in this step without getting too hot.
            allowed = max(abs(flow) - float(excess[step]), 0.0)
            values: dict[str, object] = {
                "flow_mw": flow,
                "rating_mw": allowed,
                "loading_percent": abs(flow) / rate * 100.0,
                "shadow_price": float(price[step]),
                "violation_mw": abs(flow) - allowed,
            }
            label = chains.label(chain, step)
            found.append(_row(chains, chain.interval, label, line.branch, values))
    return found


def _causes(chains: Chains, answer: Answer) -> pd.DataFrame:
    """The part of each bus's price that each limit of a chain makes."""
    program = chains.program
    request, demand = program.request, program.resources.demand_mw
    starts, frames = pd.DatetimeIndex(request.periods.starts()), []
    for part in chains.parts:
        dual = float(answer.duals[part.row]) / request.periods.hours
        if abs(dual) <= PRICED or part.interval >= request.periods.reported:
            continue
        weight = demand[part.interval] / demand[part.interval].sum()
        price = dual * part.at_bus
        price -= price @ weight
        large = np.flatnonzero(np.abs(price) > CAUSE_USD_PER_MWH)
        frame = pd.DataFrame({"bus_id": request.grid.buses.id[large], "lmp_part": price[large]})
        frame["time_interval"] = part.interval + 1
        frame["interval_start"] = starts[part.interval]
        frame["branch_id"] = str(request.grid.branches.id[part.branch])
        frame["contingency_id"] = part.label
        frames.append(frame)
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _penalties(chains: Chains, heat: Heat, answer: Answer) -> Floats:
    """Cost of what the chains break, by root interval, USD."""
    program, values = chains.program, answer.values
    penalties, hours = program.request.options.penalties, program.request.periods.hours
    found = np.zeros(program.request.periods.count)
    for limit in chains.limits:
        excess = max(float(values[limit.slack]), 0.0)
        found[chains.chains[limit.chain].interval] += excess * penalties.outage_overload * hours
    for line in heat.lines:
        rate = program.request.grid.branches.rate_a_mva[line.branch]
        excess = float(np.maximum(values[line.slack], 0.0).sum()) * rate / 2.0
        found[chains.chains[line.chain].interval] += excess * penalties.outage_overload * hours
    for chain in chains.chains:
        shed = np.maximum(values[chain.shed], 0.0).sum() * penalties.load_shed
        spill = np.maximum(values[chain.spill], 0.0).sum() * penalties.over_generation
        found[chain.interval] += (shed + spill) * hours
    return found


def _costs(chains: Chains, answer: Answer) -> Floats:
    """Weighted production cost of the chains, by root interval, USD."""
    found = np.zeros(chains.program.request.periods.count)
    for chain, gap in zip(chains.chains, chains.curvature(answer), strict=True):
        known = answer.values[chain.cost].sum() * share_of_interval(chains.program)
        found[chain.interval] += float(known + gap.sum())
    return found


def _shed(chains: Chains, answer: Answer) -> float:
    """The most that a chain sheds in one of its intervals, MW."""
    return max(
        (float(answer.values[chain.shed].sum(axis=1).max(initial=0.0)) for chain in chains.chains),
        default=0.0,
    )
