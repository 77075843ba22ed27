"""Tables of the Julia solver's answer that the embedded methods make from their own programs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from data_engineering.model.errors import BadInput
from data_engineering.model.exchange import Answer, OutageRows
from data_engineering.model.grid import Flags, Floats, Ints
from data_engineering.model.problem import SolveRequest
from data_engineering.solvers import result_rows
from data_engineering.solvers.dc_network import dc_network
from data_engineering.solvers.outage_factors import outage_factors
from data_engineering.solvers.resources import bus_demand, given_commitment
from data_engineering.solvers.result_rows import BASE
from data_engineering.solvers.units import thermal_rows

CAUSE_USD_PER_MWH = 0.005
"""Parts of a price below this are not listed, as in the embedded methods."""
BINDING_USD = 1e-6
"""A limit with a lower shadow price does not bind."""
INTACT = -1
CAUSES = (
    "time_interval",
    "interval_start",
    "bus_id",
    "branch_id",
    "contingency_id",
    "lmp_part",
)


def running(request: SolveRequest) -> Flags:
    """Units that run, shape (T, units); those without states run while in service.

    Raises:
        BadInput: the request's states are to be found.
    """
    commitment = given_commitment(request)
    if commitment is None:
        raise BadInput("options.commitment", request.options.commitment, "use a given one, or on")
    on = np.tile(request.grid.generators.in_service, (request.periods.count, 1))
    rows = thermal_rows(request.grid)
    on[:, rows] = commitment.on[:, rows]
    return on


def outage_rows(request: SolveRequest, rows: OutageRows) -> pd.DataFrame:
    """Rows of `branch_flow_results` about limits after outages, of the reported intervals."""
    kept = (rows.interval < request.periods.reported) & (
        (rows.shadow_price > BINDING_USD) | (rows.excess_mw > 0.0)
    )
    return result_rows.outage_rows(
        request,
        rows.interval[kept],
        rows.outage[kept],
        rows.branch[kept],
        rows.flow_mw[kept],
        rows.shadow_price[kept],
        np.maximum(rows.excess_mw[kept], 0.0),
    )


def history_rows(history: Mapping[str, Floats]) -> pd.DataFrame:
    """`convergence_history` of the outer iterations; residuals in p.u. on 100 MVA."""
    objective, bound = history["Objective"], history["Bound"]
    return pd.DataFrame(
        {
            "stage": "agents",
            "iteration": history["Iteration"].astype(np.int64),
            "objective_value": objective,
            "best_bound": bound,
            "relative_gap": np.abs(objective - bound) / np.maximum(np.abs(objective), 1.0),
            "primal_residual": history["Disagreement"],
            "dual_residual": history["Movement"],
            "elapsed_seconds": history["Seconds"],
        }
    )


def price_parts(request: SolveRequest, answer: Answer) -> pd.DataFrame:
    """The part of each bus's price that each binding limit makes, from the shadow prices.

    One MWh more at a bus moves the flow on a branch by minus its transfer factor; a limit that
    binds in the flow's direction makes that cost its shadow price. Relative to the load-weighted
    mean, as the energy part of the price is.
    """
    t, branch, outage, signed = _binding(request, answer)
    demand = bus_demand(request.grid, request.periods)
    weight = demand / demand.sum(axis=1, keepdims=True)
    names = np.array([*(each.id for each in request.outages), BASE], dtype=np.str_)
    starts = pd.DatetimeIndex(request.periods.starts())
    transfers = _transfers(request, t, branch, outage)
    ids, frames = request.grid.buses, []
    for k, at_bus in enumerate(transfers):
        part = -signed[k] * at_bus
        part -= part @ weight[t[k]]
        large = np.flatnonzero(np.abs(part) > CAUSE_USD_PER_MWH)
        columns = (
            int(t[k]) + 1,
            starts[t[k]],
            ids.id[large],
            str(request.grid.branches.id[branch[k]]),
            str(names[outage[k]]),
            part[large],
        )
        frames.append(pd.DataFrame(dict(zip(CAUSES, columns, strict=True))))
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=list(CAUSES))


def _binding(request: SolveRequest, answer: Answer) -> tuple[Ints, Ints, Ints, Floats]:
    """Interval, branch, outage and shadow price, signed as the flow, of limits that bind."""
    rows, reported = answer.outages, request.periods.reported
    t, branch = np.nonzero(answer.shadow[:reported] > BINDING_USD)
    after = np.flatnonzero((rows.shadow_price > BINDING_USD) & (rows.interval < reported))
    intact = answer.shadow[t, branch] * np.sign(answer.flow[t, branch])
    return (
        np.concatenate([t, rows.interval[after]]),
        np.concatenate([branch, rows.branch[after]]),
        np.concatenate([np.full(len(t), INTACT), rows.outage[after]]),
        np.concatenate([intact, rows.shadow_price[after] * np.sign(rows.flow_mw[after])]),
    )


def _transfers(request: SolveRequest, t: Ints, branch: Ints, outage: Ints) -> list[Floats]:
    """MW on each flow, after its outage, per MW put in at each bus; shape (buses,) each."""
    network = dc_network(request.grid)
    factors = outage_factors(request.grid, network, request.outages)
    place = np.full(len(request.grid.branches), -1)
    place[factors.monitored] = np.arange(len(factors.monitored))
    on = running(request)
    found = []
    for k in range(len(t)):
        at_bus = network.bus_transfers(branch[k : k + 1])[0]
        if outage[k] != INTACT:
            row = int(place[branch[k]])
            lost, by_branch, *_ = factors.sources(int(outage[k]), row, on[t[k]])
            if len(lost):
                at_bus = at_bus + by_branch @ network.bus_transfers(lost)
        found.append(at_bus)
    return found
