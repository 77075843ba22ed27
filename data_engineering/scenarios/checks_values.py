"""Checks of single values: numbers, flags, indices, types of buses, ratings, limits."""

from __future__ import annotations

import numpy as np

from data_engineering.model.grid import Floats
from data_engineering.scenarios.checks_view import View
from data_engineering.scenarios.contract import DC_COLUMNS, FLAG, FLOAT, column_type

OWN_CHECKS = ("vn_kv", "rate_a")
"""Columns whose infinities other checks find."""


def check_numbers(view: View) -> None:
    """Every number is finite; those of the DC results may be missing."""
    for log, columns in view.tables():
        for name, values in columns.items():
            if column_type(name) != FLOAT or name in OWN_CHECKS:
                continue
            bad = np.isinf(values) if name in DC_COLUMNS[log.table] else ~np.isfinite(values)
            log.wrong("numbers", name, bad, values, "a finite number")
    for name in ("G", "B"):
        values = view.part.y_bus[name]
        for row in np.flatnonzero(~np.isfinite(values)):
            view.log.one(
                "numbers",
                values[row],
                "a finite number",
                table="y_bus_data",
                column=name,
                scenario=int(view.part.y_bus["scenario"][row]),
                element=f"entry {view.part.y_bus['index1'][row]}, {view.part.y_bus['index2'][row]}",
            )


def check_flags(view: View) -> None:
    """Flags are 0 or 1."""
    for log, columns in view.tables():
        for name, values in columns.items():
            if column_type(name) == FLAG:
                log.wrong("flags", name, (values != 0) & (values != 1), values, "0 or 1")


def check_indices(view: View) -> None:
    """Elements are at buses that there are."""
    inside = f"from 0 to {view.buses - 1}"
    for log, columns, names in (
        (view.gen, view.part.gen, ("bus",)),
        (view.branch, view.part.branch, ("from_bus", "to_bus")),
    ):
        for name in names:
            values = columns[name]
            log.wrong("indices", name, (values < 0) | (values >= view.buses), values, inside)


def check_bus_types(view: View) -> None:
    """A bus is PQ, PV or REF; the type fits its generators; one bus is REF.

    PV and REF hold a voltage, which takes a generator in service; a bus with one holds it.
    """
    bus = view.part.bus
    kinds = bus["PQ"].astype(np.int64) + bus["PV"] + bus["REF"]
    view.bus.wrong("bus_type", "PQ + PV + REF", kinds != 1, kinds, "1: one type")
    references = bus["REF"].sum(axis=1, dtype=np.int64)
    view.sample("bus_data").wrong(
        "reference_bus", "REF", references != 1, references, "1: one reference"
    )
    running = view.from_units(view.unit_on.astype(np.float64))
    for name in ("PV", "REF"):
        alone = (bus[name] == 1) & (running == 0)
        view.bus.wrong("bus_units", name, alone, running, "at least 1 generator in service")
    unheld = (bus["PQ"] == 1) & (kinds == 1) & (running > 0)
    view.bus.wrong("bus_units", "PQ", unheld, running, "0 generators in service")
    gen = view.part.gen
    at_reference = bus["REF"][:, np.asarray(view.reference.gen["bus"])]
    flagged = gen["is_slack_gen"]
    view.gen.wrong(
        "slack_units", "is_slack_gen", (flagged != 0) != (at_reference != 0), flagged, at_reference
    )


def check_ratings(view: View) -> None:
    """Nominal voltages and ratings are positive and finite, tap ratios positive."""
    for log, check, name, values in (
        (view.bus, "base_voltage", "vn_kv", view.part.bus["vn_kv"]),
        (view.branch, "ratings", "rate_a", view.part.branch["rate_a"]),
        (view.branch, "taps", "tap", view.part.branch["tap"]),
    ):
        good = (values > 0) & np.isfinite(values)
        if name == "tap":
            good |= ~np.isfinite(values)
        log.wrong(check, name, ~good, values, "above 0, finite")


def check_ranges(view: View) -> None:
    """Lower limits are not above upper ones; angles lie where they should; voltages above 0."""
    for log, columns, low, high in (
        (view.bus, view.part.bus, "min_vm_pu", "max_vm_pu"),
        (view.gen, view.part.gen, "min_p_mw", "max_p_mw"),
        (view.gen, view.part.gen, "min_q_mvar", "max_q_mvar"),
        (view.branch, view.part.branch, "ang_min", "ang_max"),
    ):
        lower, upper = columns[low], columns[high]
        log.wrong("limit_order", low, lower > upper, lower, upper)
    _angles(view)
    for name in ("Vm", "min_vm_pu", "max_vm_pu"):
        values = view.part.bus[name]
        bound = "0 or above" if name == "min_vm_pu" else "above 0"
        bad = values < 0 if name == "min_vm_pu" else values <= 0
        view.bus.wrong("voltage_sign", name, bad, values, bound)


def _angles(view: View) -> None:
    branch = view.part.branch
    for name in ("Va", "Va_dc"):
        if name in view.part.bus:
            values: Floats = view.part.bus[name]
            outside = (values < -180) | (values >= 180)
            view.bus.wrong("angle_range", name, outside, values, "in [-180, 180)")
    for name in ("ang_min", "ang_max"):
        values = branch[name]
        view.branch.wrong(
            "angle_limits", name, np.abs(values) >= 90, values, "between -90 and 90, both outside"
        )
    unset = (branch["ang_min"] == 0) & (branch["ang_max"] == 0)
    view.branch.wrong("angle_limits", "ang_max", unset, branch["ang_max"], "other than 0 with 0")
    shift = branch["shift"]
    view.branch.wrong("shifts", "shift", np.abs(shift) > 180, shift, "in [-180, 180]")


def check_runtimes(view: View) -> None:
    """Solving took no negative time."""
    log = view.sample("runtime_data")
    for name in ("ac", "dc"):
        if name in view.part.runtime:
            values = view.part.runtime[name]
            good = (values >= 0) & np.isfinite(values)
            if name == "dc":
                good |= np.isnan(values)
            log.wrong("runtimes", name, ~good, values, "0 s or more")
