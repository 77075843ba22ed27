"""Checks of the AC results against the network: admittances, flows, balances, limits.

Tolerances follow from how the values come to be. Admittances, the entries of the bus admittance
matrix and flows are computed from stored columns in double precision, so only rounding may be
seen; it grows with the admittance of short lines. Balances hold as well as the solver ended,
which is within 1e-6 per unit, 1e-4 MW on 100 MVA; the bound allows ten times as much. Limits are
kept as closely as an interior point method keeps them; the bounds stay within those of
gridfm-datakit.
"""

from __future__ import annotations

import numpy as np

from data_engineering.model.grid import Flags
from data_engineering.scenarios.checks_view import Complexes, View, wrapped

ADMITTANCE_PU = 1e-9
ADMITTANCE_SHARE = 1e-12
FLOW_PU = 1e-7
BALANCE_PU = 1e-5
SUM_MW = 1e-6
POWER_LIMIT_PU = 1e-5
LOADING_SHARE = 1e-4
VOLTAGE_LIMIT_PU = 1e-6
ANGLE_LIMIT_DEG = 1e-6
LEAST_IMPEDANCE_PU = 1e-10


def check_admittances(view: View) -> None:
    """Stored admittances are those of r, x, b, tap and shift; 0 where a branch is out."""
    columns = view.part.branch
    impedance = columns["r"] + 1j * columns["x"]
    short = np.abs(impedance) < LEAST_IMPEDANCE_PU
    view.branch.wrong(
        "short_branches", "x", view.branch_on & short, columns["x"], "other than 0 beside r = 0"
    )
    on = view.branch_on & ~short & (columns["tap"] != 0)
    series = 1 / np.where(on, impedance, 1)
    tap = np.where(on, columns["tap"], 1) * np.exp(1j * np.deg2rad(columns["shift"]))
    own = series + 0.5j * columns["b"]
    expected = {
        "ff": own / np.abs(tap) ** 2,
        "ft": -series / np.conj(tap),
        "tf": -series / tap,
        "tt": own,
    }
    for ends, stored in view.admittance.items():
        bound = ADMITTANCE_PU + ADMITTANCE_SHARE * np.abs(expected[ends])
        wrong = on & (np.abs(stored - expected[ends]) > bound)
        view.branch.wrong("branch_admittance", f"Y{ends}", wrong, stored, expected[ends])
    for name, values in columns.items():
        if name[0] == "Y" or name in ("pf", "qf", "pt", "qt"):
            view.branch.wrong("branch_off", name, ~view.branch_on & (values != 0), values, "0")


def check_flows(view: View) -> None:
    """Stored flows are those of the stored voltages and admittances, in MW and Mvar."""
    bus, columns, base = view.part.bus, view.part.branch, view.rules.base_mva
    voltage: Complexes = bus["Vm"] * np.exp(1j * np.deg2rad(bus["Va"]))
    at_from, at_to = voltage[:, view.from_bus], voltage[:, view.to_bus]
    y = view.admittance
    into_from = at_from * np.conj(y["ff"] * at_from + y["ft"] * at_to) * base
    into_to = at_to * np.conj(y["tt"] * at_to + y["tf"] * at_from) * base
    for name, expected in (
        ("pf", into_from.real),
        ("qf", into_from.imag),
        ("pt", into_to.real),
        ("qt", into_to.imag),
    ):
        wrong = view.branch_on & (np.abs(columns[name] - expected) > FLOW_PU * base)
        view.branch.wrong("branch_flow", name, wrong, columns[name], expected)


def check_balance(view: View) -> None:
    """At every bus, what comes in goes out: active and reactive power, shunts included."""
    bus, branch, base = view.part.bus, view.part.branch, view.rules.base_mva
    square = bus["Vm"] ** 2 * base
    active = bus["Pg"] - bus["Pd"] - bus["GS"] * square
    active = active - view.into_branches(branch["pf"], branch["pt"])
    reactive = bus["Qg"] - bus["Qd"] + bus["BS"] * square
    reactive = reactive - view.into_branches(branch["qf"], branch["qt"])
    for check, name, rest in (
        ("active_balance", "Pg - Pd", active),
        ("reactive_balance", "Qg - Qd", reactive),
    ):
        wrong = np.abs(rest) > BALANCE_PU * base
        view.bus.wrong(check, name, wrong, rest, f"0 within {BALANCE_PU * base:g}")


def check_generation(view: View) -> None:
    """Generation of a bus is that of its generators; 0 of those out of service."""
    gen, bus = view.part.gen, view.part.bus
    pairs = [("Pg", "p_mw"), ("Qg", "q_mvar")]
    for at_bus, of_unit in pairs:
        total = view.from_units(gen[of_unit])
        wrong = np.abs(bus[at_bus] - total) > SUM_MW
        view.bus.wrong("bus_generation", at_bus, wrong, bus[at_bus], total)
        off = ~view.unit_on & (gen[of_unit] != 0)
        view.gen.wrong("unit_off", of_unit, off, gen[of_unit], "0")


def check_limits(view: View) -> None:
    """Optimal results keep all limits; those of a power flow keep active power but the slack's."""
    gen, slack = view.part.gen, POWER_LIMIT_PU * view.rules.base_mva
    optimal = view.rules.mode == "opf"
    held = view.unit_on if optimal else view.unit_on & (gen["is_slack_gen"] == 0)
    outside(view, "unit_limits", "p_mw", held, slack)
    if not optimal:
        return
    outside(view, "unit_limits", "q_mvar", view.unit_on, slack)
    bus, branch = view.part.bus, view.part.branch
    vm = bus["Vm"]
    for bound, wrong in (
        (bus["min_vm_pu"], vm < bus["min_vm_pu"] - VOLTAGE_LIMIT_PU),
        (bus["max_vm_pu"], vm > bus["max_vm_pu"] + VOLTAGE_LIMIT_PU),
    ):
        view.bus.wrong("voltage_limits", "Vm", wrong, vm, bound)
    rate = branch["rate_a"]
    flow = np.maximum(np.hypot(branch["pf"], branch["qf"]), np.hypot(branch["pt"], branch["qt"]))
    over = view.branch_on & (rate > 0) & (flow > rate * (1 + LOADING_SHARE) + slack)
    view.branch.wrong("loading", "rate_a", over, flow, rate)
    check_angles(view, "angle_difference", "Va", ANGLE_LIMIT_DEG)


def outside(view: View, check: str, name: str, chosen: Flags, slack: float) -> None:
    """Note chosen generators whose output is not within its limits."""
    gen = view.part.gen
    kind = "q_mvar" if name == "q_mvar" else "p_mw"
    low, high, value = gen[f"min_{kind}"], gen[f"max_{kind}"], gen[name]
    view.gen.wrong(check, name, chosen & (value < low - slack), value, low)
    view.gen.wrong(check, name, chosen & (value > high + slack), value, high)


def check_angles(view: View, check: str, name: str, slack: float) -> None:
    """Note branches in service across which the angle is not within its limits."""
    angle, branch = view.part.bus[name], view.part.branch
    across = wrapped(angle[:, view.from_bus] - angle[:, view.to_bus])
    low, high = branch["ang_min"], branch["ang_max"]
    view.branch.wrong(check, name, view.branch_on & (across < low - slack), across, low)
    view.branch.wrong(check, name, view.branch_on & (across > high + slack), across, high)
