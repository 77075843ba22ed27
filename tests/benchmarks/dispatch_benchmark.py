"""DC-OPF, SCOPF and LASCOPF against pandapower, the extensive form and PyPSA, in one run.

    python tests/benchmarks/dispatch_benchmark.py [dcopf] [scopf] [rts] [large]

Without arguments all four. Ratios are of medians of rounds by turns; what takes minutes runs once.
PyPSA is compared where it is installed (the environment of `make test-oracle`).
"""

from __future__ import annotations

import logging
import resource
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from importlib.util import find_spec
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from outside_models import common_grid, common_request, pypsa_network, whole_outages
from rts_day import rts_grid, rts_periods
from solve_cases import pglib, request

from data_engineering.model.grid import Grid
from data_engineering.solvers.dc_opf_batch import solve_batch
from data_engineering.solvers.lascopf import solve_lascopf
from data_engineering.solvers.lascopf_reference import solve_extensive
from data_engineering.solvers.outage_factors import outages_of
from data_engineering.transformation.pandapower_nets import grid_to_pandapower

ROUNDS, SCENARIOS, HOURS = 5, 640, 24
EVERY = 20
"""One outage in so many for the extensive form, which does not end within minutes with all."""


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def by_turns(*works: Callable[[], object]) -> list[float]:
    """Median seconds of each, run by turns."""
    times = [[seconds(work) for work in works] for _ in range(ROUNDS)]
    return [statistics.median(column) for column in zip(*times, strict=True)]


def tell(what: str, ours: float, other: str = "", theirs: float | None = None) -> None:
    """One line of the table."""
    against = "" if theirs is None else f"  {other} {theirs:.4g} s  ratio {theirs / ours:.1f}"
    print(f"{what:<52} {ours:.4g} s{against}", flush=True)


def dcopf() -> None:
    """Many loads of one grid, warm, against pandapower's DC-OPF of one."""
    import pandapower

    for name in ("case118_ieee", "case300_ieee"):
        grid = pglib(name)
        net = grid_to_pandapower(grid)
        loads = grid.loads.p_mw * np.random.default_rng(0).uniform(
            0.95, 1.05, (SCENARIOS, len(grid.loads))
        )
        solve_batch(grid, loads[:2])

        def ours(grid: Grid = grid, loads: np.ndarray = loads) -> None:
            assert solve_batch(grid, loads).solved.all()

        def theirs(net: object = net) -> None:
            pandapower.rundcopp(net)

        batch, single = by_turns(ours, theirs)
        tell(f"DC-OPF warm, {name}, of {SCENARIOS}", batch / SCENARIOS, "rundcopp", single)
        cost = solve_batch(grid, grid.loads.p_mw[None]).objective[0]
        print(f"  costs of the case's own loads differ by {abs(cost / net.res_cost - 1.0):.1e}")


def scopf() -> None:
    """Outages of one hour against the extensive form, which takes a part of them; all of them."""
    grid = pglib("case300_ieee")
    some = request(grid, outages=outages_of(grid)[::EVERY])
    ours = statistics.median(seconds(lambda: solve_lascopf(some)) for _ in range(ROUNDS))
    what = f"SCOPF, case300_ieee, {len(some.outages)} outages"
    tell(what, ours, "extensive", seconds(lambda: solve_extensive(some)))
    for name in ("case300_ieee", "case2000_goc"):
        asked = request(pglib(name), outages=outages_of(pglib(name)))
        spent = [seconds(lambda asked=asked: solve_lascopf(asked)) for _ in range(ROUNDS)]
        tell(f"SCOPF, {name}, {len(asked.outages)} outages", statistics.median(spent))


def rts() -> None:
    """A day of RTS-GMLC with all outages that do not split the network, against PyPSA."""
    kinds = ("NUCLEAR", "STEAM", "CC", "WIND", "PV", "HYDRO", "RTPV")
    grid = common_grid(rts_grid(), np.isin(rts_grid().generators.kind, kinds))
    asked = common_request(grid, rts_periods(date(2020, 7, 6), HOURS), whole_outages(grid))
    what = f"LASCOPF, RTS-GMLC, {HOURS} h, {len(asked.outages)} outages"
    if find_spec("pypsa") is None:
        tell(what, statistics.median(seconds(lambda: solve_lascopf(asked)) for _ in range(ROUNDS)))
        return
    names = [outage.branches[0] for outage in asked.outages]
    costs = []

    def ours() -> None:
        costs.append(solve_lascopf(asked).objective)

    def theirs() -> None:
        network = pypsa_network(asked)
        network.optimize.optimize_security_constrained(branch_outages=names, solver_name="highs")
        costs.append(network.objective)

    both = by_turns(ours, theirs)
    tell(what, both[0], "PyPSA", both[1])
    print(f"  costs differ by {abs(costs[-1] / costs[-2] - 1.0):.1e}")


def large() -> None:
    """24 hours with ramps and all outages of the larger cases, once each."""
    for name in ("case1354_pegase", "case2000_goc"):
        grid = pglib(name)
        units = grid.generators
        grid = replace(grid, generators=replace(units, ramp_mw_per_min=units.p_max_mw * 0.005))
        shape = tuple(0.8 + 0.2 * np.sin(np.linspace(0.0, 2.0 * np.pi, HOURS)))
        asked = request(grid, "lascopf", shape, outages_of(grid))
        found: list[float] = []

        def work(asked: object = asked, found: list[float] = found) -> None:
            result = solve_lascopf(asked)
            found[:] = [result.residuals["relative_gap"], result.residuals["limit_broken_mw"]]

        spent = seconds(work)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        tell(f"LASCOPF, {name}, {HOURS} h, {len(asked.outages)} outages", spent)
        print(
            f"  gap {found[0]:.1e}, limits broken by {found[1]:.1e} MW, peak memory {peak:.2f} GB"
        )


def main() -> None:
    """Run what is named."""
    warnings.simplefilter("ignore")
    logging.disable()
    parts = {"dcopf": dcopf, "scopf": scopf, "rts": rts, "large": large}
    for name in sys.argv[1:] or parts:
        parts[name]()


if __name__ == "__main__":
    main()
