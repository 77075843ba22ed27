"""One AC-OPF model of a grid, solved again and again as loads, outages, limits and costs change.

The model is PGLib's (polar voltages, apparent power limits at both ends, angle differences), with
piecewise costs and DC lines besides. Shunts are demand, stores stand idle.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from data_engineering.model.grid import Flags, Floats, Grid
from data_engineering.model.problem import Status
from data_engineering.solvers.ac_opf_bounds import Numbers, UnitState, numbers, unit_costs
from data_engineering.solvers.ac_opf_ipopt import Point
from data_engineering.solvers.ac_opf_layout import Layout, Side, layout_of
from data_engineering.solvers.ac_opf_problem import (
    Attempt,
    Effort,
    Problem,
    broken_limits,
    near_limits,
)
from data_engineering.solvers.matrices import Complexes


@dataclass(frozen=True, eq=False)
class AcOpfSolution:
    """An answer; without an optimum the arrays say where the solver stood.

    Attributes:
        status: `optimal` (locally: the problem is not convex), `infeasible` where the
            buses cannot be balanced within the limits (locally as well), else `not_converged`.
        objective: USD/h; NaN without an optimum.
        vm_pu, va_deg: shape (buses,).
        p_mw, q_mvar: of the units, shape (units,).
        cost_usd_per_h: of the units, shape (units,).
        dc_mw: flow into the from end of each DC line, shape (dc lines,).
        price, price_q: of active and reactive power, shape (buses,), USD/MWh and USD/Mvarh; NaN
            at isolated buses.
        shadow: saving by one MVA more of each branch's rating, shape (branches,), USD/MVAh.
        missing_mva: where there is no optimum, the least sum of MW and Mvar, missing and surplus,
            that was found to balance every bus; else 0.
        point: what a warm start needs.
    """

    status: Status
    objective: float
    vm_pu: Floats
    va_deg: Floats
    p_mw: Floats
    q_mvar: Floats
    cost_usd_per_h: Floats
    dc_mw: Floats
    price: Floats
    price_q: Floats
    shadow: Floats
    iterations: int
    seconds: float
    message: str
    missing_mva: float
    point: Point

    @property
    def voltage(self) -> Complexes:
        """Complex voltages, p.u."""
        angle = np.deg2rad(self.va_deg).astype(np.complex128)
        turned: Complexes = np.asarray(self.vm_pu * np.exp(1j * angle), dtype=np.complex128)
        return turned


class AcOpfModel:
    """The AC-OPF of one grid; building it takes about half as long as a solve.

    The first solve has all rows. From the second on those limits are left out that no optimum has
    come near; an answer that would break one of them is corrected with all rows, and limits that
    came near are put back.
    """

    def __init__(
        self,
        grid: Grid,
        *,
        time_limit_seconds: float = 300.0,
        max_iterations: int = 500,
        patience: int | None = None,
    ) -> None:
        """Build the equations.

        Args:
            grid: the case, checked; its loads are only the default of `solve`.
            time_limit_seconds: CPU time of each run of Ipopt; after so long no other run begins.
            max_iterations: of each run of Ipopt; some of them have a lower limit of their own.
            patience: iterations of a run from the middle after which it is asked first whether
                there is a solution; for use where many problems have none.
        """
        self.grid = grid
        self.layout: Layout = layout_of(grid)
        self.units = UnitState.of(grid)
        self._effort = Effort(time_limit_seconds, max_iterations, patience)
        self._full = Problem(self.layout, None, self._effort)
        self._lean: Problem | None = None
        self._near: Flags | None = None
        self._builds = self._misses = 0
        self._frozen = False

    def freeze(self) -> None:
        """Leave out from now on what the optima so far did not come near, and learn no more.

        What a solve gives then depends on what is asked of it alone, to the last bit.
        """
        if self._near is not None:
            self._lean = Problem(self.layout, self._near, self._effort)
        self._frozen = True

    @property
    def near(self) -> Flags | None:
        """Limit rows that some optimum came near, see `limit_rows`; None before the first."""
        return self._near

    def solve(
        self,
        load_p_mw: Floats,
        load_q_mvar: Floats,
        status: Flags | None = None,
        start: AcOpfSolution | None = None,
        units: UnitState | None = None,
        sides: tuple[Side, Side] | None = None,
    ) -> AcOpfSolution:
        """The cheapest dispatch.

        Args:
            load_p_mw: active demand at every bus, shape (buses,).
            load_q_mvar: reactive demand at every bus, shape (buses,).
            status: branches in service, shape (branches,); None: as in the grid.
            start: an optimum of this model from which to start, primal and dual.
            units: state of the units; None: the grid's.
            sides: admittances of the branches; None: the grid's.

        Raises:
            BadInput: limits of a voltage, a unit, a DC line or an angle cross.
        """
        began = time.perf_counter()
        used = self.grid.branches.in_service if status is None else status
        state = self.units if units is None else units
        given = numbers(self.layout, load_p_mw, load_q_mvar, used, state, sides)
        tried, spent = self._attempt(given, None if start is None else start.point)
        return self._solution(tried, state, spent, time.perf_counter() - began)

    def _attempt(self, given: Numbers, start: Point | None) -> tuple[Attempt, int]:
        """With few rows if that is enough, else with all; and all iterations that were spent."""
        spent = 0
        lean = self._lean_problem()
        if lean is not None:
            tried = lean.attempt(given, start)
            spent = tried.iterations
            if tried.status == "infeasible":
                return tried, spent
            if tried.status == "optimal":
                values = self._full.values(given, tried.point.x)
                if not broken_limits(self.layout, given, values).any():
                    return tried, spent
                start = tried.point
            self._misses += 1
        tried = self._full.attempt(given, start)
        if tried.status == "optimal" and not self._frozen:
            near = near_limits(self.layout, given, self._full.values(given, tried.point.x))
            self._near = near if self._near is None else self._near | near
        return tried, spent + tried.iterations

    def _lean_problem(self) -> Problem | None:
        """Built after the first optimum, and anew ever more seldom as misses add limits."""
        if self._near is not None and self._misses >= self._builds and not self._frozen:
            self._lean = Problem(self.layout, self._near, self._effort)
            self._builds, self._misses = self._builds + 1, 0
        return self._lean

    def _solution(
        self, tried: Attempt, units: UnitState, spent: int, seconds: float
    ) -> AcOpfSolution:
        layout, base, found = self.layout, self.grid.base_mva, tried.point
        p_mw = found.x[layout.p_columns] * base
        count, half = layout.buses, layout.balances // 2
        prices = np.full((2, count), np.nan)
        prices[:, layout.live] = -found.lam_g[: layout.balances].reshape(2, half) / base
        limits = found.lam_g[layout.balances : layout.first_pair].reshape(2, -1).sum(axis=0)
        shadow = np.zeros(len(self.grid.branches))
        # The limit is (flow/rating)^2 <= 1, so its multiplier is per relative squared flow.
        shadow[layout.limited] = 2.0 * limits / self.grid.branches.rate_a_mva[layout.limited]
        return AcOpfSolution(
            status=tried.status,
            objective=found.f if tried.status == "optimal" else float("nan"),
            vm_pu=found.x[count : 2 * count],
            va_deg=np.rad2deg(found.x[:count]),
            p_mw=p_mw,
            q_mvar=found.x[layout.q_columns] * base,
            cost_usd_per_h=unit_costs(layout, units, p_mw),
            dc_mw=found.x[layout.dc_columns] * base,
            price=prices[0],
            price_q=prices[1],
            shadow=shadow,
            iterations=spent,
            seconds=seconds,
            message=found.message,
            missing_mva=tried.missing * base,
            point=found,
        )


def bus_loads(grid: Grid, p_mw: Floats, q_mvar: Floats) -> tuple[Floats, Floats]:
    """Demand at every bus, shape (..., buses), from that of the loads, shape (..., loads).

    Loads out of service count nothing.
    """
    shape = (*p_mw.shape[:-1], len(grid.buses))
    totals = np.zeros(shape), np.zeros(shape)
    for total, given in zip(totals, (p_mw, q_mvar), strict=True):
        np.add.at(total.T, grid.loads.bus, (given * grid.loads.in_service).T)
    return totals
