"""A horizon that rolls on against the same horizon solved from the beginning, again and again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from rts_day import rts_grid, rts_periods
from solve_cases import pglib, request

from data_engineering.model.grid import Floats, Grid, Storages
from data_engineering.model.problem import Commitment, Options, SolveRequest
from data_engineering.solvers.commitment import commit, fixed
from data_engineering.solvers.lascopf import Solved, solve_lascopf, unit_power
from data_engineering.solvers.lascopf_tables import result_of
from data_engineering.solvers.outage_factors import outages_of
from data_engineering.solvers.result_checks import check_results
from data_engineering.solvers.rolling import RollingHorizon

LINEAR = 1e-9
"""Two linear programs with one optimum differ by rounding alone."""
QUADRATIC = 1e-6
"""Tangents end within the tolerance."""


def ramping(grid: Grid, quadratic: bool = False, ramp: float = 0.002, rating: float = 0.8) -> Grid:
    """Ramps of a share per minute, ratings that bind after outages."""
    units, branches = grid.generators, grid.branches
    return replace(
        grid,
        generators=replace(
            units,
            ramp_mw_per_min=units.p_max_mw * ramp,
            cost_c2=units.cost_c2 if quadratic else np.zeros(len(units)),
        ),
        branches=replace(branches, rate_b_mva=branches.rate_a_mva * rating),
    )


def storing(grid: Grid) -> Grid:
    """Two stores, one of which loses a fifth of what it takes."""
    two = np.ones(2)
    stores = Storages(
        id=np.array(["battery", "pumped"]),
        bus=np.array([3, 14]),
        kind=np.array(["STORAGE", "STORAGE"]),
        charge_max_mw=100.0 * two,
        discharge_max_mw=np.array([100.0, 150.0]),
        discharge_min_mw=0.0 * two,
        start_cost_usd=0.0 * two,
        energy_max_mwh=np.array([200.0, 600.0]),
        energy_initial_mwh=np.array([50.0, 300.0]),
        charge_efficiency=np.array([1.0, 0.8]),
        discharge_efficiency=1.0 * two,
        q_min_mvar=0.0 * two,
        q_max_mvar=0.0 * two,
        vm_pu=1.0 * two,
        in_service=np.ones(2, dtype=bool),
    )
    return replace(grid, storages=stores)


def varied(asked: SolveRequest, rng: np.random.Generator, move: int) -> SolveRequest:
    """Other loads and capabilities in all intervals."""
    periods = asked.periods
    shape = (periods.count, 1)
    waves = 0.8 + 0.15 * np.sin((np.arange(periods.count) + move) / 2.0)
    load = periods.load_mw[:1] * waves[:, None] * rng.uniform(0.97, 1.03, periods.load_mw.shape)
    return replace(
        asked,
        periods=replace(
            periods,
            start=periods.start + timedelta(hours=move),
            load_mw=load,
            available_mw=periods.available_mw * rng.uniform(0.9, 1.0, shape),
        ),
    )


def realised(asked: SolveRequest, solved: Solved) -> SolveRequest:
    """A request that begins from the first interval of an answer."""
    before = unit_power(solved.program, solved.answer)[0]
    held = solved.answer.values[solved.program.resources.energy[0]]
    stores = asked.grid.storages
    energy = np.clip(held, 0.0, stores.energy_max_mwh)
    grid = replace(asked.grid, storages=replace(stores, energy_initial_mwh=energy))
    return replace(asked, grid=grid, periods=replace(asked.periods, before_mw=before))


def moves(asked: SolveRequest, count: int, seed: int) -> Iterator[tuple[SolveRequest, Solved]]:
    """Requests, each from the answer before, and the rolled answers."""
    rng = np.random.default_rng(seed)
    present = varied(asked, rng, 0)
    horizon = RollingHorizon(present)
    solved = horizon.solve()
    for move in range(1, count + 1):
        present = realised(varied(asked, rng, move), solved)
        solved = horizon.roll(present)
        yield present, solved
    # Tangents of many moves fill the program until it is made anew.
    assert horizon.rebuilt <= count // 10


def cost(solved: Solved) -> float:
    assert solved.status == "optimal"
    return solved.history[-1].objective


@pytest.mark.parametrize(
    ("quadratic", "tolerance"), [(False, LINEAR), (True, QUADRATIC)], ids=["linear", "quadratic"]
)
def test_thirty_moves_equal_thirty_cold_solutions(quadratic, tolerance):
    """Four slots: the ring is wrapped more than seven times."""
    grid = ramping(pglib("case24_ieee_rts"), quadratic)
    asked = request(grid, "lascopf", (1.0,) * 4, outages_of(grid))
    for present, solved in moves(asked, 30, seed=1):
        cold = solve_lascopf(present)
        history = cold.tables["convergence_history"]["objective_value"]
        assert cost(solved) == pytest.approx(history.iloc[-1], rel=tolerance)


def test_tables_of_a_rolled_answer_keep_all_laws_in_the_order_of_time():
    grid = storing(ramping(pglib("case24_ieee_rts")))
    asked = request(grid, "lascopf", (1.0,) * 5, outages_of(grid))
    for present, solved in moves(asked, 8, seed=2):
        result = result_of(
            solved.program, solved.answer, solved.screened, solved.history, solved.status
        )
        cold = solve_lascopf(present)
        assert check_results(present, result.tables, result.objective) == []
        assert result.objective == pytest.approx(cold.objective, rel=LINEAR)
        here, there = (each.tables["interval_results"] for each in (result, cold))
        assert (here["interval_start"] == there["interval_start"]).all()
        assert here["load_mw"].to_numpy() == pytest.approx(there["load_mw"].to_numpy())


@pytest.mark.parametrize("given", [False, True], ids=["open", "given directions"])
def test_stores_take_over_what_the_first_interval_left(given):
    grid = storing(ramping(pglib("case24_ieee_rts")))
    asked = request(grid, "lascopf", (1.0,) * 6, outages_of(grid))
    if given:
        shape = (6, len(grid.generators))
        # By turns, so that the directions of an interval change with each move.
        asked = replace(
            asked,
            commitment=Commitment(
                on=np.ones(shape, dtype=bool),
                discharging=np.arange(6)[:, None] % 2 == np.arange(2),
                start_cost_usd=np.zeros(shape),
                store_start_cost_usd=np.zeros((6, 2)),
            ),
        )
    energies = []
    for present, solved in moves(asked, 15, seed=3):
        history = solve_lascopf(present).tables["convergence_history"]["objective_value"]
        assert cost(solved) == pytest.approx(history.iloc[-1], rel=LINEAR)
        energies.append(present.grid.storages.energy_initial_mwh)
    assert np.ptp(energies, axis=0).max() > 1.0  # the stores are used


def test_other_units_that_run_and_losses_of_units():
    """What a lost unit's power moves to depends on the units that run: such limits are renewed.

    A unit that stops must reach its minimum before, so ramps are wide here.
    """
    grid = ramping(pglib("case24_ieee_rts"), ramp=0.02, rating=0.65)
    outages = (*outages_of(grid), *outages_of(grid, units=True))
    asked = request(grid, "lascopf", (0.9,) * 4, outages)
    rng = np.random.default_rng(4)
    horizon, solved = None, None
    for move in range(14):
        present = varied(asked, rng, move)
        if solved is not None:
            present = realised(present, solved)
        present = replace(present, commitment=some_on(grid, 4, rng))
        if horizon is None:
            horizon = RollingHorizon(present)
            solved = horizon.solve()
        else:
            solved = horizon.roll(present)
        history = solve_lascopf(present).tables["convergence_history"]["objective_value"]
        assert cost(solved) == pytest.approx(history.iloc[-1], rel=LINEAR)
    assert horizon.rebuilt == 0
    limits = solved.program.limits
    of_units = np.array([bool(outage.generators) for outage in outages])
    assert of_units[limits.outage[limits.outage >= 0]].any()  # losses of units matter


def some_on(grid: Grid, count: int, rng: np.random.Generator) -> Commitment:
    """All units but a few, others from interval to interval."""
    on = rng.random((count, len(grid.generators))) > 0.1
    nothing: Floats = np.zeros(on.shape)
    stores = np.zeros((count, len(grid.storages)))
    return Commitment(on, stores > 0.0, nothing, stores)


def test_a_day_of_rts_gmlc_with_reserve_and_stores():
    grid, count = rts_grid(), 6
    periods = rts_periods(date(2020, 7, 6), 24)
    whole = SolveRequest("lascopf", grid, periods, (), Options(relative_gap=0.05))
    known = fixed(whole, commit(whole))
    outages = outages_of(grid)
    horizon, solved = None, None
    for first in range(10):
        part = slice(first, first + count)
        present = SolveRequest(
            "lascopf",
            grid,
            replace(
                periods,
                start=periods.start + timedelta(hours=first),
                reported=count,
                **{name: getattr(periods, name)[part] for name in PER_INTERVAL},
            ),
            outages,
            whole.options,
            Commitment(*(getattr(known, name)[part] for name in vars(known))),
        )
        if horizon is None:
            horizon = RollingHorizon(present)
            solved = horizon.solve()
            continue
        present = realised(present, solved)
        solved = horizon.roll(present)
        history = solve_lascopf(present).tables["convergence_history"]["objective_value"]
        assert cost(solved) == pytest.approx(history.iloc[-1], rel=LINEAR)
    assert horizon.rebuilt == 0


PER_INTERVAL = ("load_mw", "available_mw", "inflow_mw", "reserve_up_mw", "reserve_down_mw")


def test_what_does_not_fit_is_solved_from_the_beginning():
    grid = ramping(pglib("case24_ieee_rts"))
    asked = request(grid, "lascopf", (0.9, 1.0, 0.9), outages_of(grid))
    horizon = RollingHorizon(asked)
    first = cost(horizon.solve())
    longer = request(grid, "lascopf", (0.9, 1.0, 0.9, 0.8), asked.outages)
    reserve = replace(longer, periods=replace(longer.periods, reserve_up_mw=np.full(4, 100.0)))
    cheaper = replace(longer, grid=pglib("case24_ieee_rts"))
    for rebuilt, other in enumerate((longer, reserve, cheaper), start=1):
        history = solve_lascopf(other).tables["convergence_history"]["objective_value"]
        assert cost(horizon.roll(other)) == pytest.approx(history.iloc[-1], rel=QUADRATIC)
        assert horizon.rebuilt == rebuilt
    assert cost(horizon.roll(asked)) == pytest.approx(first, rel=LINEAR)


def test_one_interval_rolls_too():
    grid = ramping(pglib("case24_ieee_rts"))
    asked = request(grid, "lascopf", (1.0,), outages_of(grid))
    for present, solved in moves(asked, 4, seed=5):
        assert cost(solved) == pytest.approx(solve_lascopf(present).objective, rel=LINEAR)


def test_load_shed_in_one_interval_is_not_left_to_the_next_in_its_slot():
    grid = ramping(pglib("case24_ieee_rts"))
    asked = request(grid, "lascopf", (1.0,) * 3)
    horizon = RollingHorizon(asked)
    horizon.solve()
    for move in range(1, 8):
        much = asked.periods.load_mw * np.where(np.arange(3) + move == 4, 1.3, 1.0)[:, None]
        present = replace(asked, periods=replace(asked.periods, load_mw=much))
        cold = solve_lascopf(present)
        assert cost(horizon.roll(present)) == pytest.approx(cold.objective, rel=LINEAR)
