"""DC optimal power flow of one grid for many loads: arrays in, arrays out, the basis kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from data_engineering.model.grid import Flags, Floats, Grid, Ints
from data_engineering.model.problem import Options, Outage, Periods, SolveRequest
from data_engineering.solvers.dc_network import dc_network
from data_engineering.solvers.lascopf import (
    CURVED_SHARE,
    VIOLATION_MW,
    generate,
    screen_flows,
    unit_power,
)
from data_engineering.solvers.outage_factors import outage_factors
from data_engineering.solvers.security_build import security_program
from data_engineering.solvers.security_program import INTACT, SecurityProgram

CHUNK = 64
"""Rows whose answers are checked together."""


@dataclass(frozen=True, eq=False)
class DcOpfBatch:
    """S answers; rows that were not solved are NaN.

    Attributes:
        solved: shape (S,).
        objective: USD of an hour, violations included, shape (S,).
        power_mw: shape (S, generators).
        flow_mw: of the intact network, shape (S, branches).
        price: shape (S, buses), USD/MWh.
        rounds: of constraint generation, shape (S,).
    """

    solved: np.ndarray[tuple[int], np.dtype[np.bool_]]
    objective: Floats
    power_mw: Floats
    flow_mw: Floats
    price: Floats
    rounds: Ints


def solve_batch(
    grid: Grid,
    load_mw: Floats,
    *,
    outages: tuple[Outage, ...] = (),
    options: Options | None = None,
) -> DcOpfBatch:
    """The least-cost dispatch of one hour for every row of loads, secure against `outages`.

    Limits and prices that mattered to one row are in the program when the next is solved, and its
    basis is where the next begins. Units are all on. Answers do not depend on the order of the
    rows but where several dispatches cost the same.

    Args:
        grid: the case.
        load_mw: shape (S, loads), MW.
        outages: none for the plain DC-OPF.
        options: penalties and tolerance; None for the defaults.
    """
    given = options or Options(commitment="on")
    request = SolveRequest("scopf", grid, _hour(grid, load_mw[:1]), outages, given)
    network = dc_network(grid)
    program = security_program(request, network, outage_factors(grid, network, outages), None)
    batch = _empty(grid, len(load_mw))
    for first in range(0, len(load_mw), CHUNK):
        rows = np.arange(first, min(first + CHUNK, len(load_mw)))
        _known_limits(program, load_mw, rows, batch)
        for row in rows[~batch.solved[rows]]:
            _all_limits(program, load_mw[row], int(row), batch)
    return batch


def _empty(grid: Grid, count: int) -> DcOpfBatch:
    return DcOpfBatch(
        solved=np.zeros(count, dtype=np.bool_),
        objective=np.full(count, np.nan),
        power_mw=np.full((count, len(grid.generators)), np.nan),
        flow_mw=np.full((count, len(grid.branches)), np.nan),
        price=np.full((count, len(grid.buses)), np.nan),
        rounds=np.zeros(count, dtype=np.int64),
    )


def _all_limits(program: SecurityProgram, load_mw: Floats, row: int, batch: DcOpfBatch) -> None:
    """One row by constraint generation, which leaves its limits in the program."""
    program.set_load(load_mw[None])
    found = generate(program)
    batch.rounds[row] = len(found.history)
    if found.status == "optimal":
        batch.solved[row], batch.objective[row] = True, found.history[-1].objective
        batch.power_mw[row] = unit_power(program, found.answer)[0]
        batch.flow_mw[row] = found.screened.flow[0]
        batch.price[row] = program.prices(found.answer)[0]


def _known_limits(program: SecurityProgram, load_mw: Floats, rows: Ints, batch: DcOpfBatch) -> None:
    """Rows with the limits that are in the program; those that break no other are solved.

    Only the run of HiGHS is one by one: demands before and checks after are of all rows at once.
    """
    program.set_load(load_mw[rows[:1]])
    fixed, numbers, right = program.right_sides(load_mw[rows])
    answers = []
    for k in range(len(rows)):
        program.live.bound_rows(numbers, right[k], right[k])
        answers.append(program.live.run(program.request.options.time_limit_seconds))
    values = np.stack([each.values for each in answers])
    columns = [part.columns[0] for part in program.resources.injections]
    injection = program.with_given(fixed, [values[:, block] for block in columns])
    flow = program.network.flows(program.network.angles(injection))
    price = program.prices_of(np.stack([each.duals for each in answers]))
    power = _power(program, values)
    objective = np.array([each.objective for each in answers]) + program.constant_usd
    gap = _curvature(program, values)
    sound = np.array([each.status == "optimal" for each in answers])
    sound &= _within_limits(program, flow, power) & _without_slack(program, values, price)
    sound &= gap <= program.request.options.tolerance / CURVED_SHARE * np.abs(objective)
    kept = rows[sound]
    batch.solved[kept], batch.rounds[kept] = True, 1
    batch.objective[kept] = (objective + gap)[sound]
    batch.power_mw[kept], batch.flow_mw[kept] = power[sound], flow[sound]
    batch.price[kept] = price[sound]


def _power(program: SecurityProgram, values: Floats) -> Floats:
    """Output of every unit, shape (S, units), MW."""
    resources = program.resources
    power = np.zeros((len(values), len(program.request.grid.generators)))
    power[:, resources.thermal] = resources.units.p_min_mw * resources.share(values[0])
    power[:, resources.thermal] += values[:, resources.above[0]]
    power[:, resources.free_units] = values[:, resources.free[0]]
    return power


def _curvature(program: SecurityProgram, values: Floats) -> Floats:
    """How far quadratic costs are above their tangents, shape (S,), USD."""
    resources = program.resources
    which = resources.quadratic.units
    power = resources.units.p_min_mw[which] + values[:, resources.above[0, which]]
    running = resources.share(values[0])[0, which]
    gap = (resources.quadratic.at(power) - values[:, resources.curved[0]]) * running
    total: Floats = np.maximum(gap, 0.0).sum(axis=1)
    return total


def _without_slack(program: SecurityProgram, values: Floats, price: Floats) -> Flags:
    """Rows in which nothing is shed or spilled and no price asks for it, shape (S,)."""
    penalties = program.request.options.penalties
    used = (values[:, program.slack_columns()] > VIOLATION_MW).any(axis=1)
    high, low = price >= penalties.load_shed, price <= -penalties.over_generation
    return np.asarray(~(used | (high | low).any(axis=1)), dtype=np.bool_)


def _within_limits(program: SecurityProgram, flow: Floats, power: Floats) -> Flags:
    """Rows whose flows break no limit, or only limits that the program knows, shape (S,)."""
    branches = program.request.grid.branches
    rate = np.where(branches.in_service, branches.rate_a_mva, np.inf) + VIOLATION_MW
    over = np.abs(flow) > rate
    over[:, program.limits.branch[program.limits.outage == INTACT]] = False
    sound: Flags = np.asarray(~over.any(axis=1), dtype=np.bool_)
    if program.request.outages:
        for row in np.flatnonzero(sound):
            one = slice(row, row + 1)
            sound[row] = not screen_flows(program, flow[one], flow[one], power[one]).new.any()
    return sound


def _hour(grid: Grid, load_mw: Floats) -> Periods:
    units = grid.generators
    return Periods(
        start=datetime(2020, 1, 1, tzinfo=UTC),
        minutes=60,
        load_mw=load_mw,
        available_mw=units.p_max_mw[None],
        must_take=np.zeros(len(units), dtype=np.bool_),
        inflow_mw=np.zeros((1, len(grid.storages))),
        reserve_up_mw=np.zeros(1),
        reserve_down_mw=np.zeros(1),
        reported=1,
    )
