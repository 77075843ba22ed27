"""Checks between samples: what never changes, and what the configuration lets vary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from data_engineering.model.grid import Floats, Ints
from data_engineering.scenarios.checks_log import TableLog
from data_engineering.scenarios.checks_view import View
from data_engineering.scenarios.slices import Columns

COSTS = ("cp0_eur", "cp1_eur_per_mw", "cp2_eur_per_mw2")
CONSTANT = {
    "bus_data": ("vn_kv", "min_vm_pu", "max_vm_pu", "GS", "BS", "REF"),
    "gen_data": ("bus", "min_p_mw", "max_p_mw", "min_q_mvar", "max_q_mvar"),
    "branch_data": ("from_bus", "to_bus", "b", "tap", "shift", "ang_min", "ang_max", "rate_a"),
}
"""Columns that nothing perturbs."""
HELD_MW = 1e-6
HELD_PU = 1e-9
"""Of what a power flow holds: copied from one solution, so only rounding may be seen."""
DEMAND_MW = 1e-9
"""Between demand and load table, which hold the same numbers."""
SHARE = 1e-12
"""Rounding of a factor that was multiplied in and is divided out again."""
REFERENCE_DEG = 1e-6


def check_constants(view: View) -> None:
    """Parameters that nothing perturbs are those of the first sample, to the bit."""
    reference = {
        "bus_data": view.reference.bus,
        "gen_data": view.reference.gen,
        "branch_data": view.reference.branch,
    }
    for log, columns in view.tables():
        for name in CONSTANT[log.table]:
            values, first = columns[name], reference[log.table][name]
            differs = (values != first) & ~(_nan(values) | _nan(first))
            log.wrong("constants", name, differs, values, np.broadcast_to(first, values.shape))
    at = np.flatnonzero(view.reference.bus["REF"] == 1)[:1]
    for name in ("Va", "Va_dc"):
        if name in view.part.bus and len(at):
            angle, first = view.part.bus[name][:, at], view.reference.bus[name][at]
            turned = np.abs(angle - first) > REFERENCE_DEG
            log = TableLog(view.log, "bus_data", view.part.scenario, ("bus", at))
            log.wrong("reference_angle", name, turned, angle, np.broadcast_to(first, angle.shape))


def _nan(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    missing: npt.NDArray[np.bool_] = values != values
    return missing


def check_costs(view: View) -> None:
    """Costs are there, and are those of the first sample as far as the configuration says.

    Permuted costs are the same rows in another order; perturbed ones keep their sign and stay
    within what two factors of the range can make of each other. Units without a variable cost
    keep theirs.
    """
    rules, log = view.rules, view.gen
    given = {name: view.part.gen[name] for name in COSTS}
    first = {name: np.asarray(view.reference.gen[name]) for name in COSTS}
    variable = (given[COSTS[1]] != 0) | (given[COSTS[2]] != 0)
    none = ~variable.any(axis=1)
    view.sample("gen_data").wrong(
        "costs", "cp1_eur_per_mw", none, none.astype(np.int64) * 0, "not 0 of every generator"
    )
    fixed = (first[COSTS[1]] == 0) & (first[COSTS[2]] == 0)
    free = np.zeros_like(fixed) if rules.known and rules.costs == "none" else ~fixed
    for name, values in given.items():
        if rules.known and rules.costs == "cost_perturbation":
            bad = _beyond(values, first[name], rules.cost_sigma) & free
        else:
            bad = np.zeros(values.shape, dtype=np.bool_)
        bad |= (values != first[name]) & ~free & ~_nan(values)
        log.wrong("costs", name, bad, values, np.broadcast_to(first[name], values.shape))
    if rules.known and rules.costs == "cost_permutation":
        _permuted(view, free, given, first)


def _beyond(values: Floats, first: Floats, sigma: float) -> npt.NDArray[np.bool_]:
    """Values that no two factors within 1 +- sigma make of the first."""
    low, high = max(0.0, 1 - sigma), 1 + sigma
    ratio = values / np.where(first == 0, 1, first)
    least = low / high * (1 - SHARE)
    bad = (first != 0) & ((ratio < least) | ((ratio == 0) & (low > 0)))
    if low > 0:
        bad |= (first != 0) & (ratio > high / low * (1 + SHARE))
    else:
        bad |= (first != 0) & (values == 0)
    bad |= (first == 0) & (values != 0)
    beyond: npt.NDArray[np.bool_] = bad & ~_nan(values)
    return beyond


def _permuted(
    view: View,
    free: npt.NDArray[np.bool_],
    given: Mapping[str, Floats],
    first: Mapping[str, Floats],
) -> None:
    """Rows of the free units are those of the first sample, each as often."""
    rows = _marks(*(values[:, free] for values in given.values()))
    known = _marks(*(values[free] for values in first.values()))
    unknown = ~np.isin(rows, known)
    ids = np.asarray(view.reference.gen["idx"])[free]
    log = TableLog(view.log, "gen_data", view.part.scenario, ("gen", ids))
    value = given[COSTS[1]][:, free]
    log.wrong("costs", COSTS[1], unknown, value, "with its row, that of some generator")
    same = np.all(np.sort(rows, axis=1) == np.sort(known), axis=1)
    twice = ~same & ~unknown.any(axis=1)
    view.sample("gen_data").wrong(
        "costs", COSTS[1], twice, twice, "rows of all generators, each as often as they have it"
    )


def _marks(*columns: Floats) -> npt.NDArray[np.uint64]:
    """One number for the bits of a row; equal rows have equal ones."""
    mark = np.zeros(columns[0].shape, dtype=np.uint64)
    for k, values in enumerate(columns):
        bits = np.ascontiguousarray(values + 0.0).view(np.uint64)
        mark = (mark ^ bits) * np.uint64(0x9E3779B97F4A7C15 + 2 * k)
        mark ^= mark >> np.uint64(29)
    return mark


def check_impedances(view: View) -> None:
    """Impedances are those of the first sample as far as the configuration says."""
    rules = view.rules
    for name in ("r", "x"):
        values, first = view.part.branch[name], np.asarray(view.reference.branch[name])
        if rules.known and rules.admittances == "none":
            bad = (values != first) & ~_nan(values)
        elif rules.known:
            bad = _beyond(values, first, rules.admittance_sigma)
        else:
            continue
        view.branch.wrong("impedances", name, bad, values, np.broadcast_to(first, values.shape))


def check_outages(view: View) -> None:
    """No more is out of service than the configuration says, and only what it names."""
    rules = view.rules
    if not rules.known:
        return
    missing = np.zeros(len(view.part), dtype=np.int64)
    for kind, log, on, ever in (
        ("gen", view.gen, view.unit_on, view.reference.gen_on),
        ("branch", view.branch, view.branch_on, view.reference.branch_on),
    ):
        name = "in_service" if kind == "gen" else "br_status"
        if rules.topology == "none" or kind not in rules.elements:
            log.wrong("outages", name, on != ever, on, np.broadcast_to(ever, on.shape))
        else:
            missing += (ever & ~on).sum(axis=1)
    allowed = 0 if rules.topology == "none" else rules.outages
    view.sample("branch_data").wrong(
        "outages", "br_status", missing > allowed, missing, f"at most {allowed} out of service"
    )


@dataclass
class Variants:
    """What the samples of the load scenario at hand had so far, from slice to slice.

    Attributes:
        load_scenario: which; None before the first.
        first: columns of its first sample.
        held: held output and voltages seen so far; NaN where none was.
        seen: outages seen so far, as bits.
    """

    load_scenario: int | None = None
    first: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    held: dict[str, Floats] = field(default_factory=dict)
    seen: set[bytes] = field(default_factory=set)

    def check(self, view: View) -> None:
        """Check the samples of a slice against the earlier ones of their load scenario."""
        of = view.part.bus["load_scenario_idx"][:, 0]
        for rows in _runs(of):
            if of[rows.start] != self.load_scenario:
                self._begin(view, int(of[rows.start]), rows.start)
            self._outages(view, rows)
            if rows.stop - rows.start > 1 or rows.start == 0 or rows.stop == len(of):
                self._shared(view, rows)
                if view.rules.mode == "pf":
                    self._held(view, rows)

    def _begin(self, view: View, load_scenario: int, row: int) -> None:
        part = view.part
        self.load_scenario, self.seen, self.held = load_scenario, set(), {}
        wanted: tuple[tuple[Columns, tuple[str, ...]], ...] = ((part.bus, ("Pd", "Qd")),)
        if view.rules.mode == "pf":
            wanted += ((part.gen, COSTS), (part.branch, ("r", "x")))
        self.first = {name: c[name][row].copy() for c, names in wanted for name in names}

    def _outages(self, view: View, rows: slice) -> None:
        """No two samples of a load scenario have the same out of service."""
        bits = np.packbits(np.hstack([view.unit_on[rows], view.branch_on[rows]]), axis=1)
        for k, state in enumerate(bits):
            code = state.tobytes()
            if code in self.seen:
                view.log.one(
                    "variants",
                    "the same in service as in an earlier sample of the load scenario",
                    "different",
                    table="branch_data",
                    column="br_status",
                    scenario=int(view.part.scenario[rows.start + k]),
                )
            self.seen.add(code)

    def _shared(self, view: View, rows: slice) -> None:
        """Samples of a load scenario share its demand; in a power flow costs and impedances."""
        for name, first in self.first.items():
            log, columns, check = view.bus, view.part.bus, "demand"
            if name in COSTS:
                log, columns, check = view.gen, view.part.gen, "costs"
            elif name in ("r", "x"):
                log, columns, check = view.branch, view.part.branch, "impedances"
            values = columns[name]
            differs = np.zeros(values.shape, dtype=np.bool_)
            differs[rows] = (values[rows] != first) & ~(_nan(values[rows]) | _nan(first))
            log.wrong(check, name, differs, values, np.broadcast_to(first, values.shape))

    def _held(self, view: View, rows: slice) -> None:
        """A power flow holds active power but the slack's, and voltages where generators are."""
        part = view.part
        running = view.unit_on & (part.gen["is_slack_gen"] == 0)
        self._keeps(view.gen, "held_power", "p_mw", part.gen["p_mw"], running, rows, HELD_MW)
        holding = (part.bus["PV"] == 1) | (part.bus["REF"] == 1)
        self._keeps(view.bus, "held_voltage", "Vm", part.bus["Vm"], holding, rows, HELD_PU)

    def _keeps(
        self,
        log: TableLog,
        check: str,
        name: str,
        values: Floats,
        chosen: npt.NDArray[np.bool_],
        rows: slice,
        slack: float,
    ) -> None:
        some, on = values[rows], chosen[rows]
        first = some[on.argmax(axis=0), np.arange(some.shape[1])]
        first = np.where(on.any(axis=0), first, np.nan)
        before = self.held.get(name, first)
        held = np.where(np.isnan(before), first, before)
        self.held[name] = held
        moved = np.zeros(values.shape, dtype=np.bool_)
        moved[rows] = on & (np.abs(some - held) > slack)
        log.wrong(check, name, moved, values, np.broadcast_to(held, values.shape))


def _runs(values: Ints) -> Iterator[slice]:
    """Stretches of equal values."""
    ends = np.flatnonzero(np.diff(values)) + 1
    starts = [0, *ends.tolist()]
    for start, stop in zip(starts, [*ends.tolist(), len(values)], strict=True):
        yield slice(start, stop)


def check_load_scenarios(view: View, before: int) -> int:
    """Numbers of load scenarios are the same in all tables and never go back.

    Args:
        view: the slice.
        before: number of the sample before it.

    Returns:
        The number of its last sample.
    """
    of = view.part.bus["load_scenario_idx"][:, 0]
    for log, columns in view.tables():
        values = columns["load_scenario_idx"]
        expected = np.broadcast_to(of[:, None], values.shape)
        log.wrong("load_scenario", "load_scenario_idx", values != expected, values, expected)
    y, runtime = view.part.y_bus, view.part.runtime
    expected = of[y["sample"]]
    for row in np.flatnonzero(y["load_scenario_idx"] != expected):
        view.log.one(
            "load_scenario",
            int(y["load_scenario_idx"][row]),
            str(int(expected[row])),
            table="y_bus_data",
            column="load_scenario_idx",
            scenario=int(y["scenario"][row]),
        )
    times = runtime["load_scenario_idx"]
    view.sample("runtime_data").wrong("load_scenario", "load_scenario_idx", times != of, times, of)
    earlier = np.concatenate([[before], of[:-1]])
    back = (of < earlier) | (of < 0)
    view.sample("bus_data").wrong(
        "load_scenario", "load_scenario_idx", back, of, np.maximum(earlier, 0)
    )
    return int(of[-1])
