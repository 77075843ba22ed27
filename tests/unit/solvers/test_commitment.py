"""The commitment against trying every on/off pattern."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import linprog

from data_engineering.model.problem import Penalties
from data_engineering.solvers.commitment import commit_units
from data_engineering.solvers.units import System, ThermalUnits

PENALTIES = Penalties()


def units_of(**changes) -> ThermalUnits:
    units = ThermalUnits(
        p_min_mw=np.array([40.0, 10.0]),
        p_max_mw=np.array([100.0, 60.0]),
        ramp_up_mw=np.array([30.0, 60.0]),
        ramp_down_mw=np.array([30.0, 60.0]),
        start_ramp_mw=np.array([40.0, 10.0]),
        stop_ramp_mw=np.array([40.0, 10.0]),
        reserve_max_mw=np.array([20.0, 30.0]),
        min_up=np.array([3, 1]),
        min_down=np.array([2, 1]),
        cost_mw=np.array([[40.0, 70.0, 100.0], [10.0, 30.0, 60.0]]),
        cost_usd=np.array([[800.0, 1_300.0, 1_950.0], [450.0, 1_150.0, 2_350.0]]),
        start_after=np.array([[2, 3, 5], [1, 2, 3]]),
        start_cost_usd=np.array([[300.0, 500.0, 900.0], [20.0, 30.0, 40.0]]),
        must_run=np.zeros(2, dtype=bool),
        on=np.array([True, False]),
        since=np.array([1, 1]),
        p_mw=np.array([60.0, 0.0]),
    )
    return replace(units, **changes)


def system_of(demand, up=0.0, down=0.0) -> System:
    demand = np.array(demand, dtype=float)
    count, none = len(demand), np.zeros(0)
    return System(
        demand,
        np.full(count, up),
        np.full(count, down),
        np.zeros((count, 1)),
        np.full((count, 1), 15.0),
        none, none, none, none, none, none, none, none,
        np.zeros((count, 0)),
        1.0,
    )  # fmt: skip


def start_cost(units: ThermalUnits, unit: int, pattern: tuple[int, ...], t: int) -> float:
    """By definition: the category of the hours off before interval t."""
    off, k = 0, t - 1
    while k >= 0 and not pattern[k]:
        off, k = off + 1, k - 1
    if k < 0 and not units.on[unit]:
        off += int(units.since[unit])
    category = int((units.start_after[unit] <= off).sum()) - 1
    return float(units.start_cost_usd[unit, category])


def allowed(units: ThermalUnits, unit: int, pattern: tuple[int, ...]) -> bool:
    """Minimum times, the state before the first interval included."""
    runs = [[bool(units.on[unit]), int(units.since[unit])]]
    for state in pattern:
        if bool(state) == runs[-1][0]:
            runs[-1][1] += 1
        else:
            least = units.min_up[unit] if runs[-1][0] else units.min_down[unit]
            if runs[-1][1] < least:
                return False
            runs.append([bool(state), 1])
    return True


def cheapest(units: ThermalUnits, system: System, patterns) -> float:
    """Dispatch of given states as a linear program of another form: outputs, not segments."""
    count, number = len(system.demand_mw), len(units)
    names = [(kind, t, g) for t in range(count) for g in range(number) for kind in "pcud"]
    names += [(kind, t, 0) for t in range(count) for kind in ("free", "shed", "over", "su", "sd")]
    at = {name: k for k, name in enumerate(names)}
    cost, bounds = np.zeros(len(names)), [(0.0, None)] * len(names)
    rows, limits, equal, right = [], [], [], []

    def row(terms, limit):
        rows.append([terms.get(name, 0.0) for name in names])
        limits.append(limit)

    fixed = 0.0
    for t in range(count):
        bounds[at["free", t, 0]] = (0.0, float(system.free_max_mw[t, 0]))
        cost[at["shed", t, 0]] = PENALTIES.load_shed
        cost[at["over", t, 0]] = PENALTIES.over_generation
        cost[at["su", t, 0]] = cost[at["sd", t, 0]] = PENALTIES.reserve_shortfall
        balance = {("p", t, g): 1.0 for g in range(number)}
        balance |= {("free", t, 0): 1.0, ("shed", t, 0): 1.0, ("over", t, 0): -1.0}
        equal.append([balance.get(name, 0.0) for name in names])
        right.append(system.demand_mw[t])
        row(
            {("u", t, g): -1.0 for g in range(number)} | {("su", t, 0): -1.0},
            -system.reserve_up_mw[t],
        )
        row(
            {("d", t, g): -1.0 for g in range(number)} | {("sd", t, 0): -1.0},
            -system.reserve_down_mw[t],
        )
        for g in range(number):
            pattern = patterns[g]
            before = bool(units.on[g]) if t == 0 else bool(pattern[t - 1])
            cost[at["c", t, g]] = 1.0
            if not pattern[t]:
                for kind in "pcud":
                    bounds[at[kind, t, g]] = (0.0, 0.0)
                continue
            low, high = units.p_min_mw[g], units.p_max_mw[g]
            if not before:
                fixed += start_cost(units, g, pattern, t)
                high = min(high, units.start_ramp_mw[g])
            if t + 1 < count and not pattern[t + 1]:
                high = min(high, units.stop_ramp_mw[g])
            row({("p", t, g): 1.0, ("u", t, g): 1.0}, high)
            row({("p", t, g): -1.0, ("d", t, g): 1.0}, -low)
            for kind in "ud":
                bounds[at[kind, t, g]] = (0.0, float(units.reserve_max_mw[g]))
            x, y = units.cost_mw[g], units.cost_usd[g]
            for k in range(len(x) - 1):
                slope = (y[k + 1] - y[k]) / (x[k + 1] - x[k])
                row({("c", t, g): -1.0, ("p", t, g): slope}, slope * x[k] - y[k])
            if before and t > 0:
                row(
                    {("p", t, g): 1.0, ("u", t, g): 1.0, ("p", t - 1, g): -1.0}, units.ramp_up_mw[g]
                )
                row({("p", t, g): -1.0, ("p", t - 1, g): 1.0}, units.ramp_down_mw[g])
            elif before:
                row({("p", t, g): 1.0, ("u", t, g): 1.0}, units.p_mw[g] + units.ramp_up_mw[g])
                row({("p", t, g): -1.0}, units.ramp_down_mw[g] - units.p_mw[g])
    found = linprog(cost, rows, limits, equal, right, bounds)
    return found.fun + fixed if found.success else np.inf


@pytest.mark.parametrize(
    ("demand", "up", "down", "changes"),
    [
        ([70, 120, 150, 60, 50], 10.0, 5.0, {}),
        ([50, 20, 15, 90, 130], 0.0, 0.0, {"since": np.array([4, 1])}),
        ([30, 30, 30, 30, 30], 5.0, 0.0, {"since": np.array([1, 5])}),
        ([150, 160, 40, 150, 20], 20.0, 10.0, {"min_up": np.array([1, 2])}),
        ([10, 10, 120, 140, 60], 0.0, 0.0,
         {"on": np.array([False, True]), "since": np.array([3, 2]), "p_mw": np.array([0.0, 20.0])}),
    ],
)  # fmt: skip
def test_the_commitment_is_the_best_of_all_patterns(demand, up, down, changes):
    units, system = units_of(**changes), system_of(demand, up, down)
    result = commit_units(
        units, system, penalties=PENALTIES, relative_gap=0.0, time_limit_seconds=60.0
    )
    patterns = [
        [p for p in itertools.product((0, 1), repeat=5) if allowed(units, g, p)] for g in range(2)
    ]
    best = min(cheapest(units, system, pair) for pair in itertools.product(*patterns))
    assert result.status == "optimal"
    assert result.objective == pytest.approx(best, rel=1e-7)
    for g in range(2):
        assert tuple(result.on[:, g].astype(int)) in patterns[g]


def test_a_start_costs_by_the_time_off():
    """Unit 0 was off for 3 intervals: at once it is a warm start, after two more a cold one."""
    units = units_of(on=np.array([False, True]), since=np.array([3, 2]), p_mw=np.array([0.0, 20.0]))
    for demand, t, cost in (([70, 120, 120], 0, 500.0), ([10, 10, 120], 2, 900.0)):
        result = commit_units(
            units,
            system_of(demand),
            penalties=PENALTIES,
            relative_gap=0.0,
            time_limit_seconds=60.0,
        )
        assert result.start[:, 0].tolist() == [k == t for k in range(3)]
        assert result.start_cost_usd[t, 0] == pytest.approx(cost, abs=1e-6)
