"""AC-OPF of every interval of a request, each on its own.

Ramps, reserves, outages and stores tie intervals or states together; they belong to the look-ahead
methods and count nothing here.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csc_matrix, diags
from scipy.sparse.linalg import splu

from data_engineering.model.grid import ISOLATED, REF, Flags, Floats, Grid
from data_engineering.model.problem import SolveRequest, SolveResult, Status
from data_engineering.solvers.ac_opf_bounds import UnitState
from data_engineering.solvers.ac_opf_model import AcOpfModel, AcOpfSolution, bus_loads
from data_engineering.solvers.ac_tables import AcArrays, ac_mismatch, ac_tables, reactive_demand
from data_engineering.solvers.matrices import Complexes, branch_flows, bus_admittance
from data_engineering.solvers.units import thermal_rows


def solve_ac_opf(request: SolveRequest) -> SolveResult:
    """The cheapest AC dispatch of every interval.

    Reactive demand follows active demand at each load's own power factor. Units run as the
    commitment says; without one all in service do, from nothing on where options.commitment is
    `relaxed`. Every interval starts from the optimum of the
    one before.

    Args:
        request: kind `opf`; the grid is checked.

    Returns:
        `optimal` when every interval is; otherwise `infeasible` or `not_converged`, with the
        intervals named in the notes and rows for those that have an optimum.

    Raises:
        BadInput: limits of a voltage, a unit or a DC line cross.
    """
    import casadi

    grid, periods = request.grid, request.periods
    model = AcOpfModel(grid, time_limit_seconds=request.options.time_limit_seconds)
    demand = bus_loads(grid, periods.load_mw, reactive_demand(grid, periods.load_mw))
    states = [_units(request, t) for t in range(periods.reported)]
    found: list[AcOpfSolution] = []
    start: AcOpfSolution | None = None
    for t, state in enumerate(states):
        found.append(model.solve(demand[0][t], demand[1][t], None, start, state))
        start = found[-1] if found[-1].status == "optimal" else start
    arrays = _arrays(request, found, states, demand)
    status = _status(found)
    return SolveResult(
        status=status,
        objective=float(arrays.cost.sum()) if status == "optimal" else float("nan"),
        tables=ac_tables(request, arrays),
        residuals=_residuals(grid, states, arrays),
        solver="ipopt",
        version=f"casadi {casadi.CasadiMeta.version()}",
        seconds=sum(one.seconds for one in found),
        iterations=sum(one.iterations for one in found),
        notes=_notes(request, found),
    )


def _units(request: SolveRequest, interval: int) -> UnitState:
    """Units of one interval; weather limits those that are not committed, must-take ones fully."""
    grid, periods = request.grid, request.periods
    units, own = grid.generators, UnitState.of(grid)
    on = units.in_service
    if request.commitment is not None:
        on = on & request.commitment.on[interval]
    thermal = np.zeros(len(units), dtype=np.bool_)
    thermal[thermal_rows(grid)] = True
    most = np.where(thermal, units.p_max_mw, periods.available_mw[interval])
    least = np.where(thermal, units.p_min_mw, np.minimum(units.p_min_mw, most))
    if request.commitment is None and request.options.commitment == "relaxed":
        least = np.minimum(least, 0.0)
    return UnitState(on, np.where(periods.must_take, most, least), most, own.cost)


def _status(found: list[AcOpfSolution]) -> Status:
    kinds = {one.status for one in found}
    if "infeasible" in kinds:
        return "infeasible"
    return "not_converged" if "not_converged" in kinds else "optimal"


def _arrays(
    request: SolveRequest,
    found: list[AcOpfSolution],
    states: list[UnitState],
    demand: tuple[Floats, Floats],
) -> AcArrays:
    grid, hours = request.grid, request.periods.hours
    count = len(found)
    voltage = np.stack([one.voltage for one in found])
    price = np.stack([one.price for one in found])
    energy, loss = prices_by_cause(grid, voltage, price)
    arrays = AcArrays(
        power=np.stack([one.p_mw for one in found]),
        reactive=np.stack([one.q_mvar for one in found]),
        on=np.stack([state.on for state in states]),
        voltage=voltage,
        cost=np.stack([one.cost_usd_per_h for one in found]) * hours,
        load_mw=demand[0][:count],
        load_mvar=demand[1][:count],
        price=price,
        price_energy=energy,
        price_congestion=price - energy - loss,
        price_loss=loss,
        shadow=np.stack([one.shadow for one in found]),
        dc_flow=np.stack([one.dc_mw for one in found]),
        store_power=np.zeros((count, len(grid.storages))),
        slack_change_mw=np.full(count, np.nan),
        converged=np.array([one.status == "optimal" for one in found]),
        iterations=np.array([one.iterations for one in found], dtype=np.int64),
        seconds=np.array([one.seconds for one in found]),
        primal_residual=np.zeros(count),
        stage="opf",
    )
    wrong = np.abs(ac_mismatch(grid, arrays))[:, grid.buses.kind != ISOLATED]
    arrays.primal_residual[:] = wrong.max(axis=1) / grid.base_mva
    return arrays


def prices_by_cause(grid: Grid, voltage: Complexes, price: Floats) -> tuple[Floats, Floats]:
    """Energy and loss part of prices, shape (T, buses), USD/MWh; what is left is congestion.

    The energy part is the price at the first reference bus. The loss part is what a megawatt at a
    bus costs more than there because of active losses alone: with magnitudes held, prices w that
    no change of an angle can gain from satisfy `(dP/dtheta)^T w = 0` at every other bus (Schweppe
    et al., Spot Pricing of Electricity, 1988). The rest is the price of branch and angle limits
    and of voltage and reactive power.
    """
    held = np.isin(grid.buses.kind, (REF, ISOLATED))
    first = int(np.flatnonzero(grid.buses.kind == REF)[0])
    free, known = np.flatnonzero(~held), np.flatnonzero(held)
    admittance = bus_admittance(grid)
    lossy = price.copy()
    for t in range(len(price)):
        turned = _active_by_angle(admittance, voltage[t]).T.tocsc()
        at_known = np.nan_to_num(price[t, known])
        rest = -(turned[free][:, known] @ at_known)
        matrix = turned[free][:, free].tocsc()
        try:
            lossy[t, free] = splu(matrix).solve(rest)
        except RuntimeError:  # SuperLU's word for an island without a reference
            lossy[t, free] = np.nan
    energy = np.broadcast_to(price[:, [first]], price.shape)
    return energy, lossy - energy


def _active_by_angle(admittance: csc_matrix, voltage: Complexes) -> csc_matrix:
    """Derivative of active injections by angles (MATPOWER Technical Note 2)."""
    at, current = diags(voltage), admittance @ voltage
    return (1j * at @ (diags(current) - admittance @ at).conj()).real


def _residuals(grid: Grid, states: list[UnitState], arrays: AcArrays) -> dict[str, float]:
    """Largest violation of each kind in the intervals with an optimum."""
    kept, live = np.flatnonzero(arrays.converged), grid.buses.kind != ISOLATED
    if not len(kept):
        return {}
    wrong = ac_mismatch(grid, arrays)[kept][:, live]
    flows = branch_flows(grid, arrays.voltage[kept])
    size = np.maximum(np.abs(flows[0]), np.abs(flows[1]))
    magnitude = np.abs(arrays.voltage[kept])[:, live]
    units = grid.generators
    low = np.stack([np.where(states[t].on, states[t].p_min_mw, 0.0) for t in kept])
    high = np.stack([np.where(states[t].on, states[t].p_max_mw, 0.0) for t in kept])
    on = arrays.on[kept]
    return {
        "balance_mw": float(np.abs(wrong.real).max()),
        "balance_mvar": float(np.abs(wrong.imag).max()),
        "branch_overload_mva": _beyond(size, -np.inf, grid.branches.rate_a_mva),
        "angle_deg": _angle_excess(grid, arrays.voltage[kept]),
        "voltage_pu": _beyond(magnitude, grid.buses.vm_min_pu[live], grid.buses.vm_max_pu[live]),
        "generator_mw": _beyond(arrays.power[kept], low, high),
        "generator_mvar": _beyond(
            arrays.reactive[kept], on * units.q_min_mvar, on * units.q_max_mvar
        ),
    }


def _beyond(values: Floats, low: Floats | float, high: Floats | float) -> float:
    """How far the worst value is outside its limits."""
    return float(np.maximum(values - high, low - values).max(initial=0.0))


def _angle_excess(grid: Grid, voltage: Complexes) -> float:
    branches = grid.branches
    across = voltage[:, branches.from_bus] * voltage[:, branches.to_bus].conj()
    angle = np.rad2deg(np.angle(across))[:, branches.in_service]
    used: Flags = branches.in_service
    return _beyond(angle, branches.angle_min_deg[used], branches.angle_max_deg[used])


def _notes(request: SolveRequest, found: list[AcOpfSolution]) -> tuple[str, ...]:
    grid, periods = request.grid, request.periods
    notes = [
        f"interval {t + 1} is {one.status}: {one.message}; "
        f"at least {one.missing_mva:.4g} MW and Mvar are missing or too much"
        for t, one in enumerate(found)
        if one.status != "optimal"
    ]
    if periods.reported > 1:
        notes.append("each interval is solved on its own: ramps count nothing")
    if grid.storages.in_service.any():
        notes.append("stores stand idle: they belong to the look-ahead")
    if request.outages:
        notes.append("outages count nothing in an AC-OPF of the intact network")
    if max(periods.reserve_up_mw.max(), periods.reserve_down_mw.max()) > 0.0:
        notes.append("reserves count nothing in an AC-OPF")
    return tuple(notes)
