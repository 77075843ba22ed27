"""Builds a `SecurityProgram` before any limit of the network is in it."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix

from data_engineering.model.grid import Flags, Ints
from data_engineering.model.problem import SolveRequest
from data_engineering.solvers.dc_network import DcNetwork
from data_engineering.solvers.interval_links import Links
from data_engineering.solvers.linear import LinearProgram
from data_engineering.solvers.live_program import LiveProgram
from data_engineering.solvers.outage_factors import OutageFactors
from data_engineering.solvers.resources import Resources, add_resources, given_commitment
from data_engineering.solvers.security_program import SecurityProgram


def security_program(
    request: SolveRequest,
    network: DcNetwork,
    factors: OutageFactors,
    directions: Flags | None,
    links: Links | None = None,
) -> SecurityProgram:
    """The program before any limit of the network; `directions`, `links` as in `add_resources`."""
    periods, program = request.periods, LinearProgram()
    links = links or Links(periods.count)
    resources = add_resources(program, request, directions, links)
    member = coo_matrix(
        (np.ones(len(network.island)), (np.arange(len(network.island)), network.island))
    ).tocsr()
    all_shed, spill, balance = add_balances(program, request, resources, network, member)
    shift_angle = network.angles(np.zeros(len(network.island)))
    nominal = np.maximum(resources.demand_mw, 0.0).sum(axis=0)
    total = nominal @ member
    share = member.multiply(nominal[:, None]).toarray() / np.where(total > 0.0, total, 1.0)
    nowhere = np.full(resources.demand_mw.shape, -1, dtype=np.int64)
    no_flow = np.full((periods.count, len(network.from_bus)), -1, dtype=np.int64)
    return SecurityProgram(
        request=request,
        network=network,
        factors=factors,
        program=program,
        resources=resources,
        live=LiveProgram(program),
        balance=balance,
        all_shed=all_shed,
        reference_over=spill,
        shed=nowhere,
        over=nowhere.copy(),
        flow=no_flow,
        flow_row=no_flow.copy(),
        spread=np.zeros(balance.shape, dtype=np.bool_),
        member=member,
        load_share=share,
        constant_usd=given_cost(request, resources),
        shift_angle=shift_angle,
        shift_flow=network.flows(shift_angle),
        links=links,
    )


def add_balances(
    program: LinearProgram,
    request: SolveRequest,
    resources: Resources,
    network: DcNetwork,
    member: csr_matrix,
) -> tuple[Ints, Ints, Ints]:
    """Columns of what is shed and spilled, and the balances, of each interval and island."""
    periods, penalties = request.periods, request.options.penalties
    shape = (periods.count, member.shape[1])
    most = np.maximum(resources.demand_mw, 0.0) @ member
    all_shed = program.variables(shape, 0.0, most, penalties.load_shed * periods.hours)
    spill = program.variables(shape, 0.0, np.inf, penalties.over_generation * periods.hours)
    needed = -(resources.fixed_mw @ member)
    balance = program.rows(shape, [(all_shed, 1.0), (spill, -1.0)], needed, needed)
    for part in () if program.bounds_only else resources.injections:
        program.add_entries(balance[:, network.island[part.bus]], part.columns, part.factor)
    return all_shed, spill, balance


def given_cost(request: SolveRequest, resources: Resources) -> float:
    """Cost of minima and starts that a commitment fixes, USD."""
    commitment = given_commitment(request)
    if commitment is None or resources.state is None:
        return 0.0
    least = resources.units.cost_usd[:, 0].copy()
    least[resources.quadratic.units] = 0.0
    starts = commitment.start_cost_usd.sum() + commitment.store_start_cost_usd.sum()
    return float((resources.state * least).sum() + starts)
