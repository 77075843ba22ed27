"""Other data for a program that stays in HiGHS, and its answer in the order of time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from data_engineering.model.grid import Flags
from data_engineering.model.problem import SolveRequest
from data_engineering.solvers.interval_links import Links
from data_engineering.solvers.linear import LinearProgram
from data_engineering.solvers.resources import add_resources
from data_engineering.solvers.security_build import add_balances, given_cost
from data_engineering.solvers.security_program import SecurityProgram


def renew(
    program: SecurityProgram, request: SolveRequest, directions: Flags | None, links: Links
) -> None:
    """Give the program other data of the same shape by its bounds alone; the basis stays.

    Limits whose factors depend on units that run are forgotten where others run now.

    Args:
        program: changes.
        request: of the same grid, outages and options, intervals in the order of the slots.
        directions: as in `security_program`.
        links: of the slots, which may begin elsewhere.
    """
    bounds, before = LinearProgram(bounds_only=True), program.all_running()
    resources = add_resources(bounds, request, directions, links, program.resources)
    add_balances(bounds, request, resources, program.network, program.member)
    program.live.bound_columns(
        np.arange(bounds.columns), np.concatenate(bounds.lower), np.concatenate(bounds.upper)
    )
    program.live.bound_rows(
        np.arange(bounds.row_count),
        np.concatenate(bounds.row_lower),
        np.concatenate(bounds.row_upper),
    )
    program.request, program.resources, program.links = request, resources, links
    program.constant_usd = given_cost(request, resources)
    program.bound_grown()
    if resources.state is not None and len(program.tangents.row):
        units = resources.quadratic.units[program.tangents.curved]
        low = program.tangents.base * resources.state[program.tangents.interval, units]
        program.live.bound_rows(program.tangents.row, low, np.full(len(low), np.inf))
    _forget(program, np.asarray((before != program.all_running()).any(axis=1)))


def _forget(program: SecurityProgram, touched: Flags) -> None:
    """Switch off the limits after losses of units in some intervals, flags of shape (T,)."""
    of_units = np.array([bool(outage.generators) for outage in program.request.outages] + [False])
    gone = touched[program.limits.interval] & of_units[program.limits.outage]
    if gone.any():
        endless = np.full(int(gone.sum()), np.inf)
        program.live.bound_rows(program.limits.row[gone], -endless, endless)
        program.limits = program.limits.where(~gone)


def in_time_order(program: SecurityProgram, request: SolveRequest) -> SecurityProgram:
    """A copy whose first axes are the intervals of a ring in their order in time.

    Args:
        program: in the order of its slots.
        request: what the program was given, in the order of time.
    """
    order = program.links.order
    names = ("balance", "all_shed", "reference_over", "shed", "over", "flow", "flow_row")
    return replace(
        program,
        request=request,
        resources=program.resources.taken(order),
        spread=program.spread[order],
        links=Links(program.links.count),
        limits=program.limits._replace(interval=program.links.interval[program.limits.interval]),
        tangents=program.tangents._replace(
            interval=program.links.interval[program.tangents.interval]
        ),
        **{name: getattr(program, name)[order] for name in names},
    )
