"""A look-ahead dispatch whose horizon moves on by one interval at a time.

The program stays in HiGHS with its basis and all limits, tangents and slacks that were found. Its
intervals are slots in a ring: the slot of the interval that is over takes the new one's data, and
what links intervals is switched on and off by bounds. So a move is a change of bounds and a few
steps of the simplex method, and its optimum is that of a program made anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from data_engineering.model.grid import Flags, Grid
from data_engineering.model.problem import Commitment, Periods, SolveRequest
from data_engineering.solvers.dc_network import dc_network
from data_engineering.solvers.interval_links import Links
from data_engineering.solvers.lascopf import Solved, generate
from data_engineering.solvers.outage_factors import outage_factors
from data_engineering.solvers.program_renewal import in_time_order, renew
from data_engineering.solvers.result_rows import AT_LIMIT_MW
from data_engineering.solvers.security_build import security_program
from data_engineering.solvers.security_program import SecurityProgram

MOST_GROWTH = 3
"""Times as many rows as after the first solve, at which the program is made anew."""


class RollingHorizon:
    """The dispatch of a horizon, solved again each time that it moves on.

    Grid, outages, options, number and length of the intervals stay; the stores' energy and all else
    may change with each move, forecasts of intervals that were known included.

    Attributes:
        rebuilt: how many times a move could not keep the program.
    """

    def __init__(self, request: SolveRequest) -> None:
        self.rebuilt = 0
        self._request, self._rows = request, 0
        self._program = _program(request)

    def solve(self, progress: Callable[[str], None] | None = None) -> Solved:
        """Solve the present request.

        Returns:
            The answer with its intervals in the order of time, as `result_of` takes it.
        """
        program = self._program
        solved = generate(program, progress)
        if _directions(self._request) is None and solved.status == "optimal":
            # As without rolling: a store keeps the direction of its net power.
            values, resources = solved.answer.values, program.resources
            charge, discharge = values[resources.charge], values[resources.discharge]
            if (np.minimum(charge, discharge) > AT_LIMIT_MW).any():
                renew(program, program.request, discharge > charge, program.links)
                solved = generate(program, progress)
        self._rows = self._rows or program.live.rows
        order, interval = program.links.order, program.links.interval
        screened = solved.screened
        return replace(
            solved,
            program=in_time_order(program, self._request),
            screened=replace(
                screened,
                theta=screened.theta[order],
                flow=screened.flow[order],
                interval=interval[screened.interval],
            ),
        )

    def roll(self, request: SolveRequest, progress: Callable[[str], None] | None = None) -> Solved:
        """Solve `request`, whose interval t is interval t + 1 of the request before.

        The realised dispatch and the stores' energy before it are those that `request` gives. A
        request that the program does not fit is solved from the beginning.
        """
        old = self._program.links
        if self._fits(request):
            links = replace(old, first=(old.first + 1) % old.count)
            asked = _in_slots(request, links)
            self._request = request
            renew(self._program, asked, _directions(asked), links)
            self._program.live.prepare_move(self._hardly_moved(request))
        else:
            self.rebuilt += 1
            self._request, self._rows = request, 0
            self._program = _program(request)
        return self.solve(progress)

    def _hardly_moved(self, request: SolveRequest) -> bool:
        """Whether the primal simplex method has the shorter way to the next optimum.

        The stores' energy at the beginning has a price, which the dual method would have to work
        down from wherever a bound lets that energy jump. It has the shorter way all the same if
        more bounds changed than one interval has.
        """
        live, count = self._program.live, request.periods.count
        few = live.changes * count <= live.columns + live.rows
        return few and bool(request.grid.storages.in_service.any())

    def _fits(self, request: SolveRequest) -> bool:
        """Whether a request is the one before but for bounds."""
        old, program = self._request, self._program
        asked = [
            (each.reserve_up_mw.any(), each.reserve_down_mw.any())
            for each in (old.periods, request.periods)
        ]
        same = all(
            getattr(old.periods, name) == getattr(request.periods, name)
            for name in ("count", "minutes")
        )
        return (
            same
            and request.outages == old.outages
            and request.options == old.options
            and _same_elements(request.grid, old.grid)
            and (request.commitment is None) == (old.commitment is None)
            # Reserve that is not asked for has no columns.
            and all(had or not wants for had, wants in zip(*asked, strict=True))
            and program.live.rows <= MOST_GROWTH * self._rows
        )


def _program(request: SolveRequest) -> SecurityProgram:
    network = dc_network(request.grid)
    factors = outage_factors(request.grid, network, request.outages)
    links = Links(request.periods.count, ring=True)
    return security_program(request, network, factors, _directions(request), links)


def _directions(request: SolveRequest) -> Flags | None:
    return None if request.commitment is None else request.commitment.discharging


def _in_slots(request: SolveRequest, links: Links) -> SolveRequest:
    """A request with its intervals in the order of the slots."""
    periods: Periods = _taken(
        request.periods,
        links,
        ("load_mw", "available_mw", "inflow_mw", "reserve_up_mw", "reserve_down_mw"),
    )
    commitment: Commitment | None = request.commitment
    if commitment is not None:
        names = ("on", "discharging", "start_cost_usd", "store_start_cost_usd")
        commitment = _taken(commitment, links, names)
    return replace(request, periods=periods, commitment=commitment)


def _taken(given: Any, links: Links, names: tuple[str, ...]) -> Any:
    interval = links.interval
    return replace(given, **{name: getattr(given, name)[interval] for name in names})


def _same_elements(one: Grid, other: Grid) -> bool:
    """Whether two grids share all arrays but the stores' energy, as edits of a grid do."""
    if one is other:
        return True
    if one.base_mva != other.base_mva:
        return False
    for part in ("buses", "branches", "generators", "loads", "storages", "dc_lines"):
        here, there = vars(getattr(one, part)), vars(getattr(other, part))
        if any(here[name] is not there[name] for name in here if name != "energy_initial_mwh"):
            return False
    return True
