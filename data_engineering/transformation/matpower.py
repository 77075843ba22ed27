"""MATPOWER case files (format 2) to a `Grid`.

The format is that of the MATPOWER User's Manual, appendix B. Tables `grid.PART.FIELD`, which
`matpower_write` adds where the standard tables cannot hold a value, replace what the standard
tables say.
"""

from __future__ import annotations

import logging

import numpy as np

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import (
    Branches,
    Buses,
    DcLines,
    Floats,
    Generators,
    Grid,
    Ints,
    Loads,
    Storages,
    Texts,
)
from data_engineering.transformation.grid_parts import no_elements
from data_engineering.transformation.matpower_columns import COLUMNS, EXACT, FULL_TURN_DEG, LEAST
from data_engineering.transformation.matpower_conversions import converted
from data_engineering.transformation.matpower_costs import cost_columns
from data_engineering.transformation.matpower_exact import with_exact
from data_engineering.transformation.matpower_text import Statements, Table, fault, read_statements

_LOG = logging.getLogger(__name__)

_NOT_UNDERSTOOD = ("busdc", "convdc", "branchdc", "storage", "switch", "A", "if")
"""Tables of extensions that change the problem."""
_KNOWN = {"version", "baseMVA", "areas", "bus_name", "gentype", "genfuel", "dclinecost", *COLUMNS}


def grid_from_matpower(text: str, case_name: str) -> Grid:
    """The grid of a MATPOWER case.

    Ids: a bus has its number, others the row in their table (`gen-1`, `branch-1`, `dcline-1`),
    a load its bus (`load-7`). A rating of 0 is no limit, an unknown ramp no limit, a tap of 0 a
    line. Ramps are MW per minute (RAMP_AGC, else those of 10 or 30 minutes). A start costs what
    the start and the later stop cost. DC lines keep their active power; the reactive power and
    voltages of their converters, capability curves and participation factors are not read.

    Args:
        text: the whole .m file.
        case_name: name of the case, also in errors.

    Raises:
        BadInput: the file is not a case of format 2, computes its values, or one is wrong; says
            line and column.
    """
    case = read_statements(text, case_name, COLUMNS, LEAST)
    _check_statements(case)
    base_mva = _base_mva(case)
    case = converted(case, text, base_mva)
    bus = case.tables["bus"]
    numbers = _bus_numbers(bus)
    grid = Grid(
        case_name=case_name,
        base_mva=base_mva,
        buses=_buses(case, bus, numbers),
        branches=_branches(case.tables["branch"], numbers),
        generators=_generators(case, numbers),
        loads=_loads(bus, numbers),
        storages=no_elements(Storages),
        dc_lines=_dc_lines(case, numbers),
    )
    return with_exact(grid, case, lambda table, column: _positions(table, column, numbers))


def _check_statements(case: Statements) -> None:
    version = case.values.get("version", "2")
    if version != "2":
        line = case.lines["version"]
        raise fault(case.case_name, line, "version", version, "give a case of format 2")
    for name in ("bus", "gen", "branch"):
        if name not in case.tables:
            raise BadInput(f"{case.case_name}: {name}", "missing", f"give the table mpc.{name}")
    for name in _NOT_UNDERSTOOD:
        if name in case.lines:
            remedy = "take the table away; it is not part of a standard case"
            raise fault(case.case_name, case.lines[name], name, "a table", remedy)
    ignored = [name for name in case.lines if name not in _KNOWN and not name.startswith(EXACT)]
    if ignored:
        _LOG.info("%s: not read: %s", case.case_name, ", ".join(ignored))


def _base_mva(case: Statements) -> float:
    given = case.values.get("baseMVA")
    if given is None:
        raise BadInput(f"{case.case_name}: baseMVA", "missing", "give mpc.baseMVA in MVA")
    try:
        return float(given)
    except ValueError:
        line = case.lines["baseMVA"]
        raise fault(case.case_name, line, "baseMVA", given, "give a number") from None


def _bus_numbers(bus: Table) -> Ints:
    numbers = bus["bus_i"]
    whole = np.isfinite(numbers) & (numbers > 0) & (numbers == np.round(numbers))
    bus.refuse(~whole, "bus_i", "give a positive whole number")
    first = np.unique(numbers, return_index=True)[1]
    again = np.ones(len(numbers), dtype=np.bool_)
    again[first] = False
    bus.refuse(again, "bus_i", "give each bus a number of its own")
    return numbers.astype(np.int64)


def _positions(table: Table, column: str, numbers: Ints) -> Ints:
    """Rows of the buses that a column names."""
    order = np.argsort(numbers)
    places = np.searchsorted(numbers[order], table[column])
    rows = order[np.minimum(places, len(order) - 1)]
    table.refuse(numbers[rows] != table[column], column, "name a bus of mpc.bus")
    return rows


def _texts(case: Statements, name: str, count: int, missing: Texts) -> Texts:
    given = case.texts.get(name)
    if given is None:
        return missing
    if len(given) != count:
        line = case.lines[name]
        raise fault(case.case_name, line, name, f"{len(given)} texts", f"give {count} texts")
    return np.array(given, dtype=np.str_)


def _ids(prefix: str, count: int) -> Texts:
    return np.array([f"{prefix}-{row}" for row in range(1, count + 1)], dtype=np.str_)


def _buses(case: Statements, bus: Table, numbers: Ints) -> Buses:
    count = len(bus)
    ids = np.array([str(number) for number in numbers.tolist()], dtype=np.str_)
    bus.refuse(~np.isin(bus["type"], (1, 2, 3, 4)), "type", "give 1, 2, 3 or 4")
    return Buses(
        id=ids,
        name=_texts(case, "bus_name", count, ids.copy()),
        kind=bus["type"].astype(np.int64),
        base_kv=bus["baseKV"],
        vm_pu=bus["Vm"],
        va_deg=bus["Va"],
        vm_min_pu=bus["Vmin"],
        vm_max_pu=bus["Vmax"],
        gs_mw=bus["Gs"],
        bs_mvar=bus["Bs"],
        area=_whole_texts(bus["area"]),
        zone=_whole_texts(bus["zone"]),
        latitude_deg=np.full(count, np.nan),
        longitude_deg=np.full(count, np.nan),
    )


def _whole_texts(values: Floats) -> Texts:
    return np.array([f"{value:.15g}" for value in values.tolist()], dtype=np.str_)


def _branches(branch: Table, numbers: Ints) -> Branches:
    count = len(branch)
    tap, low, high = branch["ratio"], branch["angmin"], branch["angmax"]
    free = (low == 0.0) & (high == 0.0)
    ratings = [branch[name] for name in ("rateA", "rateB", "rateC")]
    a, b, c = (np.where(rating == 0.0, np.inf, rating) for rating in ratings)
    return Branches(
        id=_ids("branch", count),
        from_bus=_positions(branch, "fbus", numbers),
        to_bus=_positions(branch, "tbus", numbers),
        r_pu=branch["r"],
        x_pu=branch["x"],
        b_pu=branch["b"],
        tap=np.where(tap == 0.0, 1.0, tap),
        shift_deg=branch["angle"],
        rate_a_mva=a,
        rate_b_mva=b,
        rate_c_mva=c,
        angle_min_deg=np.where(free | (low <= -FULL_TURN_DEG), -np.inf, low),
        angle_max_deg=np.where(free | (high >= FULL_TURN_DEG), np.inf, high),
        in_service=branch["status"] > 0,
        outages_per_year=np.zeros(count),
        outage_hours=np.zeros(count),
    )


def _generators(case: Statements, numbers: Ints) -> Generators:
    gen = case.tables["gen"]
    count = len(gen)
    unknown = np.full(count, "", dtype=np.str_)
    return Generators(
        id=_ids("gen", count),
        bus=_positions(gen, "bus", numbers),
        kind=_texts(case, "gentype", count, unknown),
        fuel=_texts(case, "genfuel", count, unknown.copy()),
        p_mw=gen["Pg"],
        q_mvar=gen["Qg"],
        vm_pu=gen["Vg"],
        p_min_mw=gen["Pmin"],
        p_max_mw=gen["Pmax"],
        q_min_mvar=gen["Qmin"],
        q_max_mvar=gen["Qmax"],
        in_service=gen["status"] > 0,
        ramp_mw_per_min=_ramps(gen),
        min_up_h=np.zeros(count),
        min_down_h=np.zeros(count),
        start_after_h=np.zeros((count, 3)),
        outage_rate=np.zeros(count),
        **cost_columns(case, count),
    )


def _ramps(gen: Table) -> Floats:
    ramp = np.full(len(gen), np.inf)
    for column, minutes in (("ramp_30", 30.0), ("ramp_10", 10.0), ("ramp_agc", 1.0)):
        ramp = np.where(gen[column] > 0.0, gen[column] / minutes, ramp)
    return ramp


def _loads(bus: Table, numbers: Ints) -> Loads:
    rows = np.flatnonzero((bus["Pd"] != 0.0) | (bus["Qd"] != 0.0))
    return Loads(
        id=np.array([f"load-{number}" for number in numbers[rows].tolist()], dtype=np.str_),
        bus=rows,
        p_mw=bus["Pd"][rows],
        q_mvar=bus["Qd"][rows],
        in_service=np.ones(len(rows), dtype=np.bool_),
    )


def _dc_lines(case: Statements, numbers: Ints) -> DcLines:
    if "dcline" not in case.tables:
        return no_elements(DcLines)
    table = case.tables["dcline"]
    costs = case.tables.get("dclinecost")
    if costs is not None and costs.values[:, 4:].any():
        line = case.lines["dclinecost"]
        raise fault(case.case_name, line, "dclinecost", "a cost", "give DC lines no cost")
    return DcLines(
        id=_ids("dcline", len(table)),
        from_bus=_positions(table, "fbus", numbers),
        to_bus=_positions(table, "tbus", numbers),
        p_mw=table["Pf"],
        p_min_mw=table["Pmin"],
        p_max_mw=table["Pmax"],
        loss_fixed_mw=table["loss0"],
        loss_share=table["loss1"],
        in_service=table["status"] > 0,
    )
