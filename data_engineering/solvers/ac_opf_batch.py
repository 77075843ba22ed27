"""Many AC-OPFs of one grid: arrays in, arrays out, first axis the scenario.

The model is built once, and every scenario starts from an optimum of the grid as it stands, primal
and dual. A faster kernel can take the place of the loop without touching a caller.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import Flags, Floats, Grid, Ints, Texts
from data_engineering.solvers.ac_opf_bounds import UnitState
from data_engineering.solvers.ac_opf_model import AcOpfModel, AcOpfSolution, bus_loads


@dataclass(frozen=True, eq=False)
class AcOpfBatch:
    """Answers of S scenarios; NaN where a scenario has no optimum.

    Attributes:
        status: `optimal`, `infeasible` or `not_converged`, shape (S,).
        objective: USD/h, shape (S,).
        vm_pu, va_deg: shape (S, buses).
        p_mw, q_mvar: shape (S, generators).
        price: of active power, shape (S, buses), USD/MWh.
        iterations: shape (S,).
        seconds: wall time, shape (S,).
    """

    status: Texts
    objective: Floats
    vm_pu: Floats
    va_deg: Floats
    p_mw: Floats
    q_mvar: Floats
    price: Floats
    iterations: Ints
    seconds: Floats


def solve_batch(
    grid: Grid,
    load_p_mw: Floats,
    load_q_mvar: Floats,
    *,
    branch_status: Flags | None = None,
    generator_cost: Floats | None = None,
    start: AcOpfSolution | None = None,
    model: AcOpfModel | None = None,
) -> AcOpfBatch:
    """Solve an AC-OPF for every scenario.

    Args:
        grid: the case.
        load_p_mw: active demand of the grid's loads, shape (S, loads).
        load_q_mvar: reactive demand of the grid's loads, shape (S, loads).
        branch_status: branches in service, shape (S, branches); None: as in the grid.
        generator_cost: c2, c1, c0, shape (S, generators, 3); of units with a piecewise cost it
            counts nothing. None: as in the grid.
        start: an optimum of `model` from which to start; None: that of the grid's own loads.
        model: built from this grid before; None: it is built here.

    Raises:
        BadInput: an array has another shape than it should, holds NaN, or limits of the grid cross.
    """
    _check_shapes(grid, load_p_mw, load_q_mvar, branch_status, generator_cost)
    ready = AcOpfModel(grid) if model is None else model
    if start is None:
        own = ready.solve(*bus_loads(grid, grid.loads.p_mw, grid.loads.q_mvar))
        start = own if own.status == "optimal" else None
    demand_p, demand_q = bus_loads(grid, load_p_mw, load_q_mvar)
    found = []
    for s in range(len(load_p_mw)):
        status = None if branch_status is None else branch_status[s]
        units = UnitState.of(grid)
        if generator_cost is not None:
            units = replace(units, cost=generator_cost[s])
        found.append(ready.solve(demand_p[s], demand_q[s], status, start, units))
    return _stacked(grid, found)


def _check_shapes(
    grid: Grid, load_p_mw: Floats, load_q_mvar: Floats, status: Flags | None, cost: Floats | None
) -> None:
    count = len(load_p_mw)
    _check("load_p_mw", load_p_mw, (count, len(grid.loads)))
    _check("load_q_mvar", load_q_mvar, (count, len(grid.loads)))
    if status is not None:
        _check("branch_status", status, (count, len(grid.branches)))
    if cost is not None:
        _check("generator_cost", cost, (count, len(grid.generators), 3))


def _check(name: str, values: npt.NDArray[np.generic], shape: tuple[int, ...]) -> None:
    if values.shape != shape:
        raise BadInput(name, values.shape, f"give the shape {shape}")
    if np.isnan(values).any():
        where = tuple(int(k) for k in np.argwhere(np.isnan(values))[0])
        raise BadInput(f"{name}{list(where)}", "NaN", "give a number")


def _stacked(grid: Grid, found: list[AcOpfSolution]) -> AcOpfBatch:
    optimal = np.array([one.status == "optimal" for one in found], dtype=np.bool_)

    def column(name: str, width: int) -> Floats:
        values = np.array([getattr(one, name) for one in found]).reshape(len(found), width)
        return np.where(optimal[:, None], values, np.nan)

    return AcOpfBatch(
        status=np.array([one.status for one in found], dtype=np.str_),
        objective=np.array([one.objective for one in found]),
        vm_pu=column("vm_pu", len(grid.buses)),
        va_deg=column("va_deg", len(grid.buses)),
        p_mw=column("p_mw", len(grid.generators)),
        q_mvar=column("q_mvar", len(grid.generators)),
        price=column("price", len(grid.buses)),
        iterations=np.array([one.iterations for one in found], dtype=np.int64),
        seconds=np.array([one.seconds for one in found]),
    )
