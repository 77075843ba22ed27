"""Tables of the published PowerLASCOPF (`GenN`, `TranN`, `LoadN`) to a `Grid`, intervals, outages.

The tables describe an active-power problem: impedances are p.u. on 100 MVA, powers MW, ramps MW
from one interval to the next, costs USD per hour, loads negative. They give no voltages, reactive
power or dates. An interval is an hour here, so that a cost per hour is the cost of an interval.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np
import pandas as pd

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import (
    PQ,
    PV,
    REF,
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
from data_engineering.model.problem import Outage, Periods
from data_engineering.transformation.grid_parts import no_elements

BASE_MVA = 100.0
MINUTES = 60
START = datetime(2020, 1, 1, tzinfo=UTC)
"""Stands for the date that the tables do not give."""
_INTERVAL = re.compile(r"Interval-(\d+)_Load")


def grid_from_legacy(tables: Mapping[str, pd.DataFrame], size: str) -> Grid:
    """The grid of one size; its loads are those of the first interval.

    Ids as of a MATPOWER case: a bus has its number, `gen-1`, `branch-1`, `load-7`. The bus of the
    first unit is the reference. A unit's ramp is the smaller of its two.

    Args:
        tables: frames gen, tran, load with the columns of the files; nodes are texts.
        size: the number in the files' names, which names the case.

    Raises:
        BadInput: the tables give no loads.
    """
    gen, tran, load = tables["gen"], tables["tran"], tables["load"]
    nodes = pd.concat([tran["fromNode"], tran["toNode"], gen["connNode"], load["ConnNode"]])
    ids = np.array(sorted(set(nodes), key=lambda name: (len(name), name)), dtype=np.str_)
    index = {name: row for row, name in enumerate(ids.tolist())}
    unit_buses = _rows(gen["connNode"], index)
    return Grid(
        case_name=f"legacy-{size}",
        base_mva=BASE_MVA,
        buses=_buses(ids, unit_buses),
        branches=_branches(tran, index),
        generators=_generators(gen, unit_buses),
        loads=_loads(load, index),
        storages=no_elements(Storages),
        dc_lines=no_elements(DcLines),
    )


def _rows(nodes: pd.Series, index: Mapping[str, int]) -> Ints:
    return np.array([index[node] for node in nodes], dtype=np.int64)


def _floats(values: pd.Series) -> Floats:
    return values.to_numpy(dtype=np.float64, copy=True)


def _ids(prefix: str, count: int) -> Texts:
    return np.array([f"{prefix}-{row}" for row in range(1, count + 1)], dtype=np.str_)


def _buses(ids: Texts, unit_buses: Ints) -> Buses:
    count = len(ids)
    kind = np.full(count, PQ)
    kind[unit_buses] = PV
    kind[unit_buses[:1]] = REF
    same = np.full(count, "1", dtype=np.str_)
    return Buses(
        id=ids,
        name=ids.copy(),
        kind=kind,
        base_kv=np.ones(count),
        vm_pu=np.ones(count),
        va_deg=np.zeros(count),
        vm_min_pu=np.full(count, 0.9),
        vm_max_pu=np.full(count, 1.1),
        gs_mw=np.zeros(count),
        bs_mvar=np.zeros(count),
        area=same,
        zone=same.copy(),
        latitude_deg=np.full(count, np.nan),
        longitude_deg=np.full(count, np.nan),
    )


def _branches(tran: pd.DataFrame, index: Mapping[str, int]) -> Branches:
    count = len(tran)
    capacity = _floats(tran["Capacity"])
    return Branches(
        id=_ids("branch", count),
        from_bus=_rows(tran["fromNode"], index),
        to_bus=_rows(tran["toNode"], index),
        r_pu=_floats(tran["Resistance"]),
        x_pu=_floats(tran["Reactance"]),
        b_pu=np.zeros(count),
        tap=np.ones(count),
        shift_deg=np.zeros(count),
        rate_a_mva=capacity,
        rate_b_mva=capacity.copy(),
        rate_c_mva=capacity.copy(),
        angle_min_deg=np.full(count, -np.inf),
        angle_max_deg=np.full(count, np.inf),
        in_service=np.ones(count, dtype=np.bool_),
        outages_per_year=np.zeros(count),
        outage_hours=np.zeros(count),
    )


def _generators(gen: pd.DataFrame, buses: Ints) -> Generators:
    count = len(gen)
    ramp = np.minimum(_floats(gen["RgMax"]), -_floats(gen["RgMin"]))
    unknown = np.full(count, "", dtype=np.str_)
    return Generators(
        id=_ids("gen", count),
        bus=buses,
        kind=unknown,
        fuel=unknown.copy(),
        p_mw=_floats(gen["PgPrev"]),
        q_mvar=np.zeros(count),
        vm_pu=np.ones(count),
        p_min_mw=_floats(gen["PgMin"]),
        p_max_mw=_floats(gen["PgMax"]),
        q_min_mvar=np.full(count, -np.inf),
        q_max_mvar=np.full(count, np.inf),
        in_service=np.ones(count, dtype=np.bool_),
        ramp_mw_per_min=ramp / MINUTES,
        min_up_h=np.zeros(count),
        min_down_h=np.zeros(count),
        start_after_h=np.zeros((count, 3)),
        start_cost_usd=np.zeros((count, 3)),
        cost_mw=np.full((count, 2), np.nan),
        cost_usd_per_h=np.full((count, 2), np.nan),
        cost_c2=_floats(gen["c2"]),
        cost_c1=_floats(gen["c1"]),
        cost_c0=_floats(gen["c0"]),
        outage_rate=np.zeros(count),
    )


def _intervals(load: pd.DataFrame) -> list[str]:
    """Names of the columns of the intervals, in their order."""
    columns = [str(name) for name in load]
    numbers = {int(found[1]): name for name in columns if (found := _INTERVAL.fullmatch(name))}
    if not numbers:
        raise BadInput("load table", columns, "give a column Interval-1_Load")
    return [numbers[number] for number in sorted(numbers)]


def _loads(load: pd.DataFrame, index: Mapping[str, int]) -> Loads:
    return Loads(
        id=np.array([f"load-{node}" for node in load["ConnNode"]], dtype=np.str_),
        bus=_rows(load["ConnNode"], index),
        p_mw=-_floats(load[_intervals(load)[0]]),
        q_mvar=np.zeros(len(load)),
        in_service=np.ones(len(load), dtype=np.bool_),
    )


def legacy_periods(tables: Mapping[str, pd.DataFrame], grid: Grid) -> Periods:
    """The intervals of the load table, hourly, after the previous output that the units have.

    Args:
        tables: those of `grid_from_legacy`.
        grid: its answer.

    Raises:
        BadInput: the tables give no loads.
    """
    load = tables["load"]
    columns = _intervals(load)
    count = len(columns)
    return Periods(
        start=START,
        minutes=MINUTES,
        load_mw=-load[columns].to_numpy(dtype=np.float64).T,
        available_mw=np.tile(grid.generators.p_max_mw, (count, 1)),
        must_take=np.zeros(len(grid.generators), dtype=np.bool_),
        inflow_mw=np.zeros((count, 0)),
        reserve_up_mw=np.zeros(count),
        reserve_down_mw=np.zeros(count),
        reported=count,
        before_mw=_floats(tables["gen"]["PgPrev"]),
    )


def legacy_outages(tables: Mapping[str, pd.DataFrame], grid: Grid) -> tuple[Outage, ...]:
    """The single outages of the branches that the tables mark as contingencies.

    Args:
        tables: those of `grid_from_legacy`.
        grid: its answer.
    """
    marked = tables["tran"]["ContingencyMarked"].to_numpy(dtype=np.float64) != 0.0
    return tuple(Outage(name, branches=(name,)) for name in grid.branches.id[marked].tolist())
