"""Faults to be planted in datasets, each with the checks that must find it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

Columns = dict[str, Any]
Change = Callable[[Columns], None]


def edit(folder: Path, table: str, change: Change, number: int = 0) -> None:
    """Rewrite one partition of a table with changed columns."""
    (path,) = (folder / f"{table}.parquet" / f"scenario_partition={number}").glob("*.parquet")
    columns = read(path)
    change(columns)
    pq.write_table(pa.table(columns), path)


def read(path: Path) -> Columns:
    """The columns of a file, to be written to."""
    table = pq.ParquetFile(path).read()
    return {name: table[name].to_numpy().copy() for name in table.column_names}


def at(columns: Columns, sample: int, element: int) -> int:
    """The row of an element of a sample."""
    return int(np.flatnonzero(columns["scenario"] == sample)[element])


def put(name: str, value: float, *, sample: int = 1, element: int = 0) -> Change:
    """Set one value."""

    def change(columns: Columns) -> None:
        columns[name][at(columns, sample, element)] = value

    return change


def add(name: str, value: float, *, sample: int = 1, element: int = 0) -> Change:
    """Add to one value."""

    def change(columns: Columns) -> None:
        columns[name][at(columns, sample, element)] += value

    return change


def everywhere(name: str, value: float, element: int | None = None) -> Change:
    """Set the value in all samples, of one element or of all."""

    def change(columns: Columns) -> None:
        if element is None:
            columns[name][:] = value
        else:
            rows = [at(columns, s, element) for s in np.unique(columns["scenario"])]
            columns[name][rows] = value

    return change


def all_of(*changes: Change) -> Change:
    """One change after another."""

    def change(columns: Columns) -> None:
        for each in changes:
            each(columns)

    return change


def as_type(name: str, kind: str) -> Change:
    """Give a column another type."""

    def change(columns: Columns) -> None:
        columns[name] = columns[name].astype(kind)

    return change


def without(name: str) -> Change:
    """Leave a column out."""

    def change(columns: Columns) -> None:
        del columns[name]

    return change


def add_first(name: str, value: float) -> Change:
    """Add to the first value of a column."""

    def change(columns: Columns) -> None:
        columns[name][0] += value

    return change


def rows(chosen: Callable[[Columns], Any]) -> Change:
    """Keep, repeat or reorder rows."""

    def change(columns: Columns) -> None:
        kept = chosen(columns)
        for name in columns:
            columns[name] = columns[name][kept]

    return change


def off(name: str, column: str, value: float) -> Change:
    """Set a value of the first element that is out of service."""

    def change(columns: Columns) -> None:
        columns[column][int(np.flatnonzero(columns[name] == 0)[0])] = value

    return change


def swapped(columns: Columns) -> Any:
    """The rows with the first two of sample 1 in each other's place."""
    order = np.arange(len(columns["scenario"]))
    first, second = at(columns, 1, 0), at(columns, 1, 1)
    order[[first, second]] = second, first
    return order


def turned_types(columns: Columns) -> None:
    """Make the first PV bus of sample 1 a second reference."""
    pv = int(np.flatnonzero((columns["scenario"] == 1) & (columns["PV"] == 1))[0])
    columns["PV"][pv], columns["REF"][pv] = 0, 1


def no_reference(columns: Columns) -> None:
    """Make the reference of sample 1 a PV bus."""
    ref = int(np.flatnonzero((columns["scenario"] == 1) & (columns["REF"] == 1))[0])
    columns["PV"][ref], columns["REF"][ref] = 1, 0


def pq_as_pv(columns: Columns) -> None:
    """Make a PQ bus of sample 1 a PV bus."""
    bus = int(np.flatnonzero((columns["scenario"] == 1) & (columns["PQ"] == 1))[0])
    columns["PQ"][bus], columns["PV"][bus] = 0, 1


def pv_as_pq(columns: Columns) -> None:
    """Make a PV bus of sample 1 a PQ bus."""
    bus = int(np.flatnonzero((columns["scenario"] == 1) & (columns["PV"] == 1))[0])
    columns["PV"][bus], columns["PQ"][bus] = 0, 1


def zeroed_costs(columns: Columns) -> None:
    """Set all costs of sample 1 to 0."""
    for name in ("cp0_eur", "cp1_eur_per_mw", "cp2_eur_per_mw2"):
        columns[name][columns["scenario"] == 1] = 0


def off_diagonal(columns: Columns) -> None:
    """Change an entry of the admittance matrix off its diagonal, and its mirror image."""
    place = (columns["scenario"] == 1) & (columns["index1"] + columns["index2"] == 1)
    columns["B"][place & (columns["index1"] != columns["index2"])] += 0.01


def diagonal(columns: Columns) -> None:
    """Change an entry on the diagonal."""
    place = (columns["scenario"] == 1) & (columns["index1"] == 2) & (columns["index2"] == 2)
    columns["G"][place] += 0.01


def isolated(columns: Columns) -> None:
    """Take every branch at bus 7 of case 14 out of service in sample 1: there is one."""
    ends = (columns["from_bus"] == 7) | (columns["to_bus"] == 7)
    columns["br_status"][ends & (columns["scenario"] == 1)] = 0


def permuted_twice(columns: Columns) -> None:
    """Give one generator of sample 1 the costs of another one."""
    first, second = at(columns, 1, 0), at(columns, 1, 1)
    for name in ("cp0_eur", "cp1_eur_per_mw", "cp2_eur_per_mw2"):
        columns[name][first] = columns[name][second]


@dataclass(frozen=True)
class Fault:
    """A fault in one table of a dataset of case 14.

    Attributes:
        name: what is planted.
        mode: of the dataset.
        table: where.
        change: how.
        found_by: names of the checks that find something, and no others do.
    """

    name: str
    mode: str
    table: str
    change: Change
    found_by: frozenset[str]


def _fault(name: str, mode: str, table: str, change: Change, *found_by: str) -> Fault:
    return Fault(name, mode, table, change, frozenset(found_by))


BUS, GEN, BRANCH, MATRIX, TIMES = (
    "bus_data",
    "gen_data",
    "branch_data",
    "y_bus_data",
    "runtime_data",
)
NAN, INF = float("nan"), float("inf")

FAULTS = [
    # What gridfm-datakit's own validator does not see.
    _fault(
        "reactive imbalance", "pf", BUS, add("Qd", 1.0), "demand", "reactive_balance"
    ),
    _fault("off-diagonal entry of Y", "pf", MATRIX, off_diagonal, "y_bus"),
    _fault("DC flow", "pf", BRANCH, add("pf_dc", 1.0), "dc_flow", "dc_balance"),
    _fault(
        "DC flow of both ends",
        "pf",
        BRANCH,
        all_of(add("pf_dc", 1.0), add("pt_dc", -1.0)),
        "dc_flow",
        "dc_balance",
    ),
    _fault("DC angle", "pf", BUS, add("Va_dc", 1.0, element=3), "dc_flow"),
    _fault("zeroed costs of a sample", "pf", GEN, zeroed_costs, "costs"),
    _fault(
        "zeroed costs",
        "opf",
        GEN,
        all_of(everywhere("cp1_eur_per_mw", 0), everywhere("cp2_eur_per_mw2", 0)),
        "costs",
    ),
    _fault("zero rating", "pf", BRANCH, everywhere("rate_a", 0, 2), "ratings"),
    _fault("negative rating", "pf", BRANCH, everywhere("rate_a", -5, 2), "ratings"),
    _fault("infinite rating", "pf", BRANCH, everywhere("rate_a", INF, 2), "ratings"),
    _fault("NaN rating", "pf", BRANCH, put("rate_a", NAN), "ratings"),
    _fault("negative vn_kv", "pf", BUS, everywhere("vn_kv", -1), "base_voltage"),
    _fault("vn_kv of 0", "pf", BUS, put("vn_kv", 0), "base_voltage", "constants"),
    _fault(
        "two references", "pf", BUS, turned_types, "reference_bus", "slack_units", "constants"
    ),
    _fault(
        "no reference", "pf", BUS, no_reference, "reference_bus", "slack_units", "constants"
    ),
    _fault("bus without a type", "pf", BUS, put("PQ", 0, element=3), "bus_type"),
    _fault("bus of two types", "pf", BUS, put("PV", 1, element=3), "bus_type", "bus_units"),
    # What it sees as well.
    _fault("PV bus without a generator", "pf", BUS, pq_as_pv, "bus_units"),
    _fault("PQ bus with a generator", "pf", BUS, pv_as_pq, "bus_units"),
    _fault(
        "active imbalance", "opf", BUS, add("Pd", 1.0), "demand", "active_balance", "dc_balance"
    ),
    _fault("diagonal entry of Y", "opf", MATRIX, diagonal, "y_bus"),
    _fault("flow", "pf", BRANCH, add("pf", 1.0), "branch_flow", "active_balance"),
    _fault("reactive flow", "pf", BRANCH, add("qt", 1.0), "branch_flow", "reactive_balance"),
    _fault("reactance", "pf", BRANCH, add("x", 0.01), "impedances", "branch_admittance", "dc_flow"),
    _fault("admittance", "pf", BRANCH, add("Yft_r", 1e-6), "branch_admittance", "y_bus",
           "branch_flow"),
    _fault("generation of a bus", "pf", BUS, add("Qg", 1.0), "bus_generation", "reactive_balance"),
    _fault("generation of a unit", "opf", GEN, add("q_mvar", 0.01), "bus_generation"),
    _fault(
        "DC generation of a bus", "opf", BUS, add("Pg_dc", 1.0), "dc_generation", "dc_balance"
    ),
    _fault("rating below the flow", "opf", BRANCH, everywhere("rate_a", 0.1, 0), "loading",
           "dc_limits"),
    _fault("power above its limit", "opf", GEN, everywhere("max_p_mw", 1.0, 0), "unit_limits",
           "dc_limits"),
    _fault("power of a held unit", "pf", GEN,
        all_of(everywhere("min_p_mw", -9, 1), everywhere("max_p_mw", -1, 1)), "unit_limits",
    ),
    _fault(
        "reactive power below its limit", "opf", GEN, everywhere("min_q_mvar", 200.0, 0),
        "unit_limits", "limit_order",
    ),
    _fault("voltage above its limit", "opf", BUS, everywhere("max_vm_pu", 0.97, 0),
           "voltage_limits"),
    _fault("voltage below its limit", "opf", BUS, everywhere("min_vm_pu", 1.055, 3),
           "voltage_limits"),
    _fault(
        "angle across a branch", "opf", BRANCH, everywhere("ang_max", 0.01, 0),
        "angle_difference", "dc_limits",
    ),
    _fault("NaN", "pf", BUS, put("Pd", NAN), "numbers"),
    _fault("NaN in Y", "pf", MATRIX, put("G", NAN), "numbers"),
    _fault("DC results of a bus missing", "pf", BUS, put("Va_dc", NAN), "dc_missing"),
    _fault("a DC flow missing", "opf", BRANCH, put("pt_dc", NAN, element=2), "dc_missing"),
    _fault("a DC output missing", "opf", GEN, put("p_mw_dc", NAN), "dc_missing"),
    _fault("DC time missing", "opf", TIMES, put("dc", NAN), "dc_missing"),
    _fault("infinite DC angle", "pf", BUS, put("Va_dc", INF, element=3), "numbers",
           "angle_range"),
    _fault("flow of a branch that is out", "pf", BRANCH, off("br_status", "pf", 1.0),
           "branch_off", "active_balance"),
    _fault("admittance of a branch that is out", "pf", BRANCH, off("br_status", "Ytt_i", 1e-3),
           "branch_off", "y_bus"),
    _fault("DC flow of a branch that is out", "pf", BRANCH, off("br_status", "pf_dc", 1.0),
           "branch_off", "dc_balance"),
    _fault("output of a generator that is out", "pf", GEN, off("in_service", "p_mw", 1.0),
           "unit_off", "bus_generation"),
    _fault("DC output of a generator that is out", "pf", GEN, off("in_service", "p_mw_dc", 1.0),
           "unit_off", "dc_generation"),
    _fault("tap 0", "pf", BRANCH, everywhere("tap", 0, 0), "taps"),
    _fault("branch without an impedance", "pf", BRANCH,
           all_of(everywhere("r", 0, 2), everywhere("x", 0, 2)), "short_branches", "dc_flow"),
    _fault("generator at a bus that is not there", "pf", GEN, put("bus", 99), "indices",
           "constants"),
    _fault("DC dispatch of a held unit", "pf", GEN, add("p_mw_dc", 1.0, element=1), "dc_dispatch",
           "dc_generation"),
    # Values that nothing else holds.
    _fault("flag of 2", "pf", GEN, put("is_slack_gen", 2), "flags"),
    _fault("slack flag", "pf", GEN, put("is_slack_gen", 1, element=2), "slack_units"),
    _fault("no slack flag", "opf", GEN, put("is_slack_gen", 0), "slack_units"),
    _fault("shift of a full turn", "pf", BRANCH, everywhere("shift", 360, 0), "shifts"),
    _fault("limits crossed", "pf", GEN, everywhere("min_q_mvar", 999, 1), "limit_order"),
    _fault("angle of 180", "pf", BUS, put("Va", 180.0, element=3), "angle_range", "branch_flow"),
    _fault("angle limit of 90", "pf", BRANCH, everywhere("ang_max", 90), "angle_limits"),
    _fault(
        "angle limits of 0", "pf", BRANCH,
        all_of(everywhere("ang_max", 0), everywhere("ang_min", 0)), "angle_limits",
    ),
    _fault("negative voltage", "pf", BUS, put("Vm", -1.0, element=3), "voltage_sign",
           "branch_flow"),
    _fault("negative run time", "pf", TIMES, put("ac", -1.0), "runtimes"),
    _fault("infinite run time", "pf", TIMES, put("ac", INF), "runtimes"),
    # What varies though nothing perturbs it.
    _fault("vn_kv of one sample", "pf", BUS, add("vn_kv", 1.0), "constants"),
    _fault("limit of one sample", "opf", GEN, add("max_p_mw", 1.0), "constants"),
    _fault("shunt of one sample", "pf", BUS, add("BS", 0.01, element=8), "constants", "y_bus",
           "reactive_balance"),
    _fault("end of a branch", "pf", BRANCH, put("to_bus", 5), "constants"),
    _fault("cost of one sample", "opf", GEN, add("cp1_eur_per_mw", 1.0), "costs"),
    _fault("reference angle", "pf", BUS, put("Va", 1.0), "reference_angle", "branch_flow"),
    _fault("network in two parts", "pf", BRANCH, isolated, "connection", "branch_off"),
    _fault("held power", "pf", GEN, add("p_mw", 1.0, element=1), "held_power", "bus_generation",
           "dc_dispatch"),
    _fault("held voltage", "pf", BUS, add("Vm", 1e-3, element=0), "held_voltage", "branch_flow"),
    # Numbers of samples and rows.
    _fault("load scenario of one bus", "pf", BUS, put("load_scenario_idx", 1, element=2),
           "load_scenario"),
    _fault("load scenario of an entry", "pf", MATRIX, put("load_scenario_idx", 2),
           "load_scenario"),
    _fault("load scenario of a time", "pf", TIMES, put("load_scenario_idx", 2), "load_scenario"),
    _fault("buses out of order", "pf", BUS, rows(swapped), "row_order"),
    _fault("branches out of order", "pf", BRANCH, rows(swapped), "row_order"),
    _fault("a bus missing", "pf", BUS, rows(lambda c: np.arange(1, len(c["bus"]))), "rows"),
    _fault(
        "a generator twice", "pf", GEN,
        rows(lambda c: np.r_[0, 0, 2 : len(c["bus"])]), "row_order",
    ),
    _fault("an entry missing", "pf", MATRIX, rows(lambda c: np.arange(1, len(c["G"]))), "y_bus"),
    _fault("an entry twice", "pf", MATRIX, rows(lambda c: np.r_[0, 0 : len(c["G"])]), "y_bus"),
    _fault("an entry of 0", "pf", MATRIX, put("G", 0.0), "y_bus"),
    _fault("a time missing", "pf", TIMES, rows(lambda c: np.arange(1, len(c["ac"]))), "rows"),
    _fault("a gap in the samples", "pf", BUS, lambda c: c.update(scenario=c["scenario"] + 1),
           "scenario_ids"),
    _fault("samples out of order", "pf", BUS, rows(lambda c: np.arange(len(c["bus"]))[::-1]),
           "row_order"),
    # Columns.
    _fault("float32", "pf", BUS, as_type("Vm", "float32"), "columns"),
    _fault("int32", "pf", GEN, as_type("idx", "int32"), "columns"),
    _fault("flag as int64", "pf", BRANCH, as_type("br_status", "int64"), "columns"),
    _fault("no column", "pf", BRANCH, without("shift"), "columns"),
    _fault("DC column missing", "opf", GEN, without("p_mw_dc"), "columns"),
    _fault(
        "another column", "pf", TIMES, lambda c: c.update(other=c["ac"].copy()), "columns"
    ),
]  # fmt: skip
