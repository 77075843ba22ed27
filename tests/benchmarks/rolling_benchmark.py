"""The next interval's solution against the first, in one run.

    python tests/benchmarks/rolling_benchmark.py [CASE ...]

CASE is rts_gmlc, rts_gmlc_plain (without stores and reserve, as PyPSA takes it) or a case of PGLib
(without arguments both, case118_ieee and case1354_pegase).
A horizon of 24 hours, secure against the loss of any branch, moves on by one hour, 12 times. Each
time it is solved by the rolled program and, by turns, from the beginning (network and outage
factors, program and all rounds). The medians are told, and the ratio. With `known` the hours that
both horizons share have the same forecasts, as when a day-ahead forecast stands; with `other` all
forecasts are new with every move. The realised dispatch is the first hour of the answer before.
"""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from outside_models import common_grid, common_request, whole_outages
from rts_day import rts_grid, rts_periods
from solve_cases import pglib

from data_engineering.model.problem import Commitment, Options, SolveRequest
from data_engineering.solvers.commitment import commit, fixed
from data_engineering.solvers.lascopf import Solved, unit_power
from data_engineering.solvers.outage_factors import outages_of
from data_engineering.solvers.rolling import RollingHorizon
from data_engineering.transformation.horizon import periods_from_grid

HOURS, MOVES = 24, 12
PER_INTERVAL = ("load_mw", "available_mw", "inflow_mw", "reserve_up_mw", "reserve_down_mw")


def rts_day() -> SolveRequest:
    """A day of RTS-GMLC with the units that a commitment chose."""
    grid = rts_grid()
    periods = rts_periods(date(2020, 7, 6), HOURS)
    options = Options(relative_gap=0.03)
    request = SolveRequest("lascopf", grid, periods, outages_of(grid), options)
    return replace(request, commitment=fixed(request, commit(request)))


def rts_plain() -> SolveRequest:
    """The problem of `dispatch_benchmark` that PyPSA solves too: no stores, no reserve."""
    kinds = ("NUCLEAR", "STEAM", "CC", "WIND", "PV", "HYDRO", "RTPV")
    grid = common_grid(rts_grid(), np.isin(rts_grid().generators.kind, kinds))
    return common_request(grid, rts_periods(date(2020, 7, 6), HOURS), whole_outages(grid))


def pglib_day(name: str) -> SolveRequest:
    """A day of a static case: loads in a wave, ramps of 0.5 % of the capability per minute."""
    grid = pglib(name)
    units = grid.generators
    grid = replace(grid, generators=replace(units, ramp_mw_per_min=units.p_max_mw * 0.005))
    wave = 0.8 + 0.2 * np.sin(np.linspace(0.0, 2.0 * np.pi, HOURS))
    periods = periods_from_grid(grid, wave, start=datetime(2020, 1, 1, tzinfo=UTC))
    options = Options(commitment="on", time_limit_seconds=500.0)
    return SolveRequest("lascopf", grid, periods, outages_of(grid), options)


def moved(day: SolveRequest, move: int, rng: np.random.Generator | None) -> SolveRequest:
    """The day from another hour on, then from its beginning again."""
    hours, periods = (np.arange(HOURS) + move) % HOURS, day.periods
    periods = replace(
        periods,
        start=periods.start + timedelta(hours=move),
        **{name: getattr(periods, name)[hours] for name in PER_INTERVAL},
    )
    if rng is not None:
        load = periods.load_mw * rng.normal(1.0, 0.01, (HOURS, 1))
        periods = replace(periods, load_mw=load)
    commitment = day.commitment
    if commitment is not None:
        commitment = Commitment(*(getattr(commitment, name)[hours] for name in vars(commitment)))
    return replace(day, periods=periods, commitment=commitment)


def realised(request: SolveRequest, solved: Solved) -> SolveRequest:
    """A request that begins where the first hour of an answer ended."""
    stores = request.grid.storages
    held = solved.answer.values[solved.program.resources.energy[0]]
    stores = replace(stores, energy_initial_mwh=np.clip(held, 0.0, stores.energy_max_mwh))
    before = unit_power(solved.program, solved.answer)[0]
    return replace(
        request,
        grid=replace(request.grid, storages=stores),
        periods=replace(request.periods, before_mw=before),
    )


def from_the_beginning(request: SolveRequest) -> tuple[RollingHorizon, Solved, float]:
    begun = time.perf_counter()
    horizon = RollingHorizon(request)
    solved = horizon.solve()
    return horizon, solved, time.perf_counter() - begun


def measure(day: SolveRequest, rng: np.random.Generator | None) -> tuple[float, float, int]:
    """Median seconds of a first solution and of a rolled one, and programs made anew."""
    horizon, solved, _ = from_the_beginning(moved(day, 0, rng))
    first, rolled = [], []
    for move in range(1, MOVES + 1):
        request = realised(moved(day, move, rng), solved)
        cold, seconds = from_the_beginning(request)[1:]
        first.append(seconds)
        begun = time.perf_counter()
        solved = horizon.roll(request)
        rolled.append(time.perf_counter() - begun)
        costs = [each.history[-1].objective for each in (solved, cold)]
        if abs(costs[0] / costs[1] - 1.0) > day.options.tolerance:
            raise ArithmeticError(f"move {move}: {costs[0]:,.2f} instead of {costs[1]:,.2f} USD")
    return statistics.median(first), statistics.median(rolled), horizon.rebuilt


def main(names: list[str]) -> None:
    print(f"{HOURS} hours, every branch outage, medians of {MOVES} moves")
    print("case                forecasts    first ms   rolled ms   ratio")
    for name in names:
        own = {"rts_gmlc": rts_day, "rts_gmlc_plain": rts_plain}
        day = own[name]() if name in own else pglib_day(name)
        for forecasts, rng in (("known", None), ("other", np.random.default_rng(0))):
            first, rolled, rebuilt = measure(day, rng)
            note = f"  {rebuilt} made anew" if rebuilt else ""
            print(
                f"{name:20}{forecasts:9}{first * 1e3:12.1f}{rolled * 1e3:12.1f}"
                f"{first / rolled:8.1f}{note}",
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1:] or ["rts_gmlc", "rts_gmlc_plain", "case118_ieee", "case1354_pegase"])
