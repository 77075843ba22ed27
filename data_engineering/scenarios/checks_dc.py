"""Checks of the DC results.

The DC model: a branch has the susceptance x / (r^2 + x^2), without tap and shift; shunt
conductance at 1 per unit counts as demand; a power flow holds the active power of all generators
but the slack's. Flows are computed from the stored angles, so only rounding may be seen; angles
are stored to about 1e-14 of 180 degrees. Balances and limits hold as closely as the solver of
linear programs keeps its rows, 1e-7 per unit; the bounds allow ten times as much.
"""

from __future__ import annotations

import numpy as np

from data_engineering.model.grid import Flags
from data_engineering.scenarios.checks_network import (
    BALANCE_PU,
    FLOW_PU,
    LOADING_SHARE,
    POWER_LIMIT_PU,
    SUM_MW,
    check_angles,
    outside,
)
from data_engineering.scenarios.checks_view import View, wrapped

DC_ANGLE_LIMIT_DEG = 1e-4


def check_missing(view: View) -> None:
    """A sample has all DC results or none; out of service, 0 may stand for none."""
    part = view.part
    for log, columns, names, needed in (
        (view.bus, part.bus, ("Va_dc", "Pg_dc"), np.ones_like(part.bus["Va_dc"], np.bool_)),
        (view.gen, part.gen, ("p_mw_dc",), view.unit_on),
        (view.branch, part.branch, ("pf_dc", "pt_dc"), view.branch_on),
    ):
        for name in names:
            missing = np.isnan(columns[name])
            _note(view, log.table, name, missing, needed)
    missing = np.isnan(part.runtime["dc"])[:, None]
    _note(view, "runtime_data", "dc", missing, np.ones_like(missing))


def _note(view: View, table: str, name: str, missing: Flags, needed: Flags) -> None:
    log = {"bus_data": view.bus, "gen_data": view.gen, "branch_data": view.branch}.get(table)
    log = view.sample(table) if log is None else log
    solved = _mostly_solved(view)[:, None]
    wrong = np.where(solved, missing, ~missing & needed)
    if not wrong.any():
        return
    if table == "runtime_data":
        wrong, missing = wrong[:, 0], missing[:, 0]
    log.wrong(
        "dc_missing",
        name,
        wrong,
        np.where(missing, "missing", "a number"),
        "missing in all rows and columns of a sample, or in none",
    )


def _mostly_solved(view: View) -> Flags:
    """Samples most of whose angles and flows are numbers: the few others are wrong, shape (S,)."""
    angles = np.isnan(view.part.bus["Va_dc"]).mean(axis=1)
    flows = np.isnan(view.part.branch["pf_dc"]).mean(axis=1)
    mostly: Flags = angles + flows < 1
    return mostly


def check_dc_flows(view: View) -> None:
    """Flows are those of the stored angles; at the other end the same, negative."""
    branch, base = view.part.branch, view.rules.base_mva
    angle = view.part.bus["Va_dc"]
    across = np.deg2rad(wrapped(angle[:, view.from_bus] - angle[:, view.to_bus]))
    square = branch["r"] ** 2 + branch["x"] ** 2
    susceptance = branch["x"] / np.where(square > 0, square, 1)
    expected = np.where(view.branch_on, susceptance * across * base, 0.0)
    for name, flow in (("pf_dc", expected), ("pt_dc", -expected)):
        wrong = np.abs(branch[name] - flow) > FLOW_PU * base
        view.branch.wrong("dc_flow", name, wrong & view.branch_on, branch[name], flow)
        off = ~view.branch_on & ~np.isnan(branch[name]) & (branch[name] != 0)
        view.branch.wrong("branch_off", name, off, branch[name], "0")


def check_dc_balance(view: View) -> None:
    """At every bus, what comes in goes out."""
    bus, branch, base = view.part.bus, view.part.branch, view.rules.base_mva
    rest = bus["Pg_dc"] - bus["Pd"] - bus["GS"] * base
    rest = rest - view.into_branches(branch["pf_dc"], branch["pt_dc"])
    wrong = np.abs(rest) > BALANCE_PU * base
    view.bus.wrong("dc_balance", "Pg_dc - Pd", wrong, rest, f"0 within {BALANCE_PU * base:g}")


def check_dc_generation(view: View) -> None:
    """Generation of a bus is that of its generators; a power flow holds all but the slack's."""
    gen, bus = view.part.gen, view.part.bus
    total = view.from_units(gen["p_mw_dc"])
    wrong = np.abs(bus["Pg_dc"] - total) > SUM_MW
    view.bus.wrong("dc_generation", "Pg_dc", wrong, bus["Pg_dc"], total)
    off = ~view.unit_on & ~np.isnan(gen["p_mw_dc"]) & (gen["p_mw_dc"] != 0)
    view.gen.wrong("unit_off", "p_mw_dc", off, gen["p_mw_dc"], "0")
    if view.rules.mode == "pf":
        held = view.unit_on & (gen["is_slack_gen"] == 0)
        moved = held & (np.abs(gen["p_mw_dc"] - gen["p_mw"]) > SUM_MW)
        view.gen.wrong("dc_dispatch", "p_mw_dc", moved, gen["p_mw_dc"], gen["p_mw"])


def check_dc_limits(view: View) -> None:
    """Optimal results keep the limits of generators, ratings and angles."""
    if view.rules.mode != "opf":
        return
    slack = POWER_LIMIT_PU * view.rules.base_mva
    outside(view, "dc_limits", "p_mw_dc", view.unit_on, slack)
    branch = view.part.branch
    rate, flow = branch["rate_a"], np.abs(branch["pf_dc"])
    over = view.branch_on & (rate > 0) & (flow > rate * (1 + LOADING_SHARE) + slack)
    view.branch.wrong("dc_limits", "pf_dc", over, flow, rate)
    check_angles(view, "dc_limits", "Va_dc", DC_ANGLE_LIMIT_DEG)
