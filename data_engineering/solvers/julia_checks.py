"""What `result_checks` does not look at, since the embedded programs keep it by construction."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from data_engineering.model.exchange import Answer, AnswerFacts
from data_engineering.model.grid import Floats
from data_engineering.model.problem import SolveRequest
from data_engineering.solvers.dc_network import DcNetwork
from data_engineering.solvers.dispatch_tables import DispatchArrays, bus_imbalance
from data_engineering.solvers.outage_factors import OutageFactors
from data_engineering.solvers.resources import least_energy_at_end
from data_engineering.solvers.result_checks import TOLERANCE_MW, TOLERANCE_USD
from data_engineering.solvers.units import thermal_rows, thermal_units

FLOW_MW = 1e-3
"""Between a stated flow and ours: each bus may be off balance by 1e-4 MW, and that adds up."""
STUB = (
    "it is the present stub of PowerLASCOPF.jl: an objective without a dispatch; "
    "use LascopfSolver (julia/README.md)"
)


def stub_fact(request: SolveRequest, facts: AnswerFacts, answer: Answer | None) -> str:
    """Why an answer is none, as PowerLASCOPF.jl's `execute_simulation` gives it; else nothing.

    Its objective is a random number, its residuals are zeros and its dispatch is empty.
    """
    if facts.status not in ("optimal", "feasible") or any(facts.residuals.values()):
        return ""
    nothing = answer is None or not (answer.power.any() or answer.discharge.any())
    return STUB if nothing and request.periods.load_mw.any() else ""


def unit_faults(request: SolveRequest, answer: Answer, arrays: DispatchArrays) -> Iterator[str]:
    """Runs begin and end at the minimum; reserve, stores and free units within their limits."""
    grid, periods, rows = request.grid, request.periods, thermal_rows(request.grid)
    units = thermal_units(grid, periods.hours)
    on = arrays.on[:, rows]
    ends = np.zeros(on.shape, dtype=np.bool_)
    ends[1:] |= on[1:] & ~on[:-1]
    ends[:-1] |= on[:-1] & ~on[1:]
    yield from _worst("output above the minimum where a run begins or ends", arrays.above * ends)
    others = np.setdiff1d(np.arange(len(grid.generators)), rows)
    for name, held in (("upward", answer.reserve_up), ("downward", answer.reserve_down)):
        yield from _worst(f"{name} reserve below zero", -held)
        yield from _worst(f"{name} reserve of units without states", held[:, others])
    most = units.reserve_max_mw * on
    yield from _worst("upward reserve above its limit", answer.reserve_up[:, rows] - most)
    yield from _worst("downward reserve above its limit", answer.reserve_down[:, rows] - most)
    missing = periods.reserve_down_mw - answer.reserve_down.sum(axis=1) - answer.down_short
    yield from _worst("downward reserve missing", missing)
    out = ~grid.generators.in_service
    yield from _worst("output of units out of service", np.abs(answer.power[:, out]))
    for name in ("shed", "over", "up_short", "down_short"):
        yield from _worst(f"{name} below zero", -getattr(answer, name))
    yield from _store_faults(request, answer)


def _store_faults(request: SolveRequest, answer: Answer) -> Iterator[str]:
    stores, commitment = request.grid.storages, request.commitment
    charge, discharge = answer.charge, answer.discharge
    yield from _worst("charge or discharge below zero", np.maximum(-charge, -discharge))
    yield from _worst("charging above the limit", charge - stores.charge_max_mw * stores.in_service)
    most = stores.discharge_max_mw * stores.in_service
    yield from _worst("discharging above the limit", discharge - most)
    yield from _worst("a store that charges and gives at once", np.minimum(charge, discharge))
    if len(answer.energy):
        kept = least_energy_at_end(request.grid, request.periods)
        yield from _worst("energy below what is asked at the end", kept - answer.energy[-1], "MWh")
    yield from _worst("energy below zero", -answer.energy, "MWh")
    if commitment is None:
        return
    gives = commitment.discharging
    yield from _worst("charging while the store gives", charge * gives)
    yield from _worst("giving while the store charges", discharge * ~gives)
    low = stores.discharge_min_mw * (gives & stores.in_service)
    yield from _worst("discharging below the minimum", low - discharge)


def network_faults(
    request: SolveRequest,
    answer: Answer,
    arrays: DispatchArrays,
    network: DcNetwork,
    factors: OutageFactors,
) -> Iterator[str]:
    """Flows are those that the injections drive, and every excess after an outage is stated."""
    grid, lines = request.grid, request.grid.dc_lines
    # What is given at each bus: the balance without the stated flows of branches.
    injection = bus_imbalance(grid, replace(arrays, flow=np.zeros_like(answer.flow)))
    flow = network.flows(network.angles(injection))
    yield from _worst(
        "flow other than its injections drive", np.abs(flow - answer.flow), "MW", FLOW_MW
    )
    low = lines.p_min_mw * lines.in_service - answer.dc_flow
    high = answer.dc_flow - lines.p_max_mw * lines.in_service
    yield from _worst("DC line beyond its limits", np.maximum(low, high))
    stated = {
        (int(t), int(c), int(line)): float(excess)
        for t, c, line, excess in zip(
            answer.outages.interval,
            answer.outages.outage,
            answer.outages.branch,
            answer.outages.excess_mw,
            strict=True,
        )
    }
    worst = 0.0
    for pairs in factors.beyond(flow, answer.power, arrays.on, FLOW_MW):
        line, limit = factors.monitored[pairs.row], factors.limit_mw[pairs.row]
        excess = np.abs(pairs.flow_mw) - limit
        for t, c, at, over in zip(pairs.interval, pairs.outage, line, excess, strict=True):
            worst = max(worst, float(over) - stated.get((int(t), int(c), int(at)), 0.0))
    yield from _worst("excess after an outage that is not stated", np.array([worst]), "MW", FLOW_MW)


def bound_faults(facts: AnswerFacts, total: float) -> Iterator[str]:
    """No dispatch costs less than a lower bound."""
    if facts.bound > total + TOLERANCE_USD * max(abs(total), 1.0):
        yield f"bound {facts.bound:.4f} USD above the cost {total:.4f} USD of its own dispatch"


def _worst(
    name: str, excess: Floats, unit: str = "MW", tolerance: float = TOLERANCE_MW
) -> Iterator[str]:
    """A line when the largest excess over a limit is above the tolerance."""
    worst = float(np.max(excess, initial=0.0))
    if not worst <= tolerance:
        yield f"{name}: {worst:.6f} {unit}"
