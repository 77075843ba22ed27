"""RTS-GMLC source tables to a `Grid`.

The source's own description is https://github.com/GridMod/RTS-GMLC; PGLib-UC's rts_gmlc instances,
made by others from the same tables, are the oracle of the costs.
"""

from __future__ import annotations

from collections.abc import Mapping

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
from data_engineering.transformation.grid_checks import check_grid

BASE_MVA = 100.0
STORED = ("STORAGE", "CSP")
BUS_KINDS = {"PQ": PQ, "PV": PV, "Ref": REF}
NOT_GIVEN_H = 9_000.0
"""Start times at or above this mark categories that the source does not give (nuclear)."""
MWH_PER_GWH = 1_000.0


def grid_from_rts_gmlc(tables: Mapping[str, pd.DataFrame], case_name: str = "rts_gmlc") -> Grid:
    """The grid of RTS-GMLC's source tables, every unit and the DC line included.

    Args:
        tables: frames by name (bus, branch, gen, storage, dc_branch), columns as in the files.
        case_name: name of the case.

    Raises:
        BadInput: an element refers to an unknown bus or breaks a rule of `check_grid`.
    """
    bus = tables["bus"]
    index = {str(number): row for row, number in enumerate(bus["Bus ID"])}
    unit_types = tables["gen"]["Unit Type"]
    stored = unit_types.isin(STORED)
    grid = Grid(
        case_name=case_name,
        base_mva=BASE_MVA,
        buses=_buses(bus),
        branches=_branches(tables["branch"], index),
        generators=_generators(tables["gen"][~stored], index),
        loads=_loads(bus),
        storages=_storages(tables["gen"][stored], tables["storage"], index),
        dc_lines=_dc_lines(tables["dc_branch"], index),
    )
    check_grid(grid)
    return grid


def _texts(values: pd.Series) -> Texts:
    return values.astype(str).to_numpy(dtype=np.str_)


def _floats(values: pd.Series) -> Floats:
    return values.to_numpy(dtype=np.float64, copy=True)


def _positions(numbers: pd.Series, index: Mapping[str, int], field: str) -> Ints:
    try:
        return np.array([index[str(number)] for number in numbers], dtype=np.int64)
    except KeyError as unknown:
        raise BadInput(field, unknown.args[0], "name a bus of bus.csv") from None


def _buses(bus: pd.DataFrame) -> Buses:
    count = len(bus)
    return Buses(
        id=_texts(bus["Bus ID"]),
        name=_texts(bus["Bus Name"]),
        kind=np.array([BUS_KINDS[kind] for kind in bus["Bus Type"]], dtype=np.int64),
        base_kv=_floats(bus["BaseKV"]),
        vm_pu=_floats(bus["V Mag"]),
        va_deg=_floats(bus["V Angle"]),
        vm_min_pu=np.full(count, 0.95),
        vm_max_pu=np.full(count, 1.05),
        gs_mw=_floats(bus["MW Shunt G"]),
        bs_mvar=_floats(bus["MVAR Shunt B"]),
        area=np.array([f"area_{area}" for area in bus["Area"]], dtype=np.str_),
        zone=_texts(bus["Zone"]),
        latitude_deg=_floats(bus["lat"]),
        longitude_deg=_floats(bus["lng"]),
    )


def _branches(branch: pd.DataFrame, index: Mapping[str, int]) -> Branches:
    count = len(branch)
    ratio = _floats(branch["Tr Ratio"])
    return Branches(
        id=_texts(branch["UID"]),
        from_bus=_positions(branch["From Bus"], index, "branch.From Bus"),
        to_bus=_positions(branch["To Bus"], index, "branch.To Bus"),
        r_pu=_floats(branch["R"]),
        x_pu=_floats(branch["X"]),
        b_pu=_floats(branch["B"]),
        tap=np.where(ratio == 0.0, 1.0, ratio),
        shift_deg=np.zeros(count),
        rate_a_mva=_floats(branch["Cont Rating"]),
        rate_b_mva=_floats(branch["LTE Rating"]),
        rate_c_mva=_floats(branch["STE Rating"]),
        angle_min_deg=np.full(count, -np.inf),
        angle_max_deg=np.full(count, np.inf),
        in_service=np.ones(count, dtype=np.bool_),
        outages_per_year=_floats(branch["Perm OutRate"]),
        outage_hours=_floats(branch["Duration"]),
    )


def _generators(gen: pd.DataFrame, index: Mapping[str, int]) -> Generators:
    count = len(gen)
    cost_mw, cost_usd = _production_costs(gen)
    start_after, start_cost = _start_costs(gen)
    return Generators(
        id=_texts(gen["GEN UID"]),
        bus=_positions(gen["Bus ID"], index, "gen.Bus ID"),
        kind=_texts(gen["Unit Type"].replace({"ROR": "HYDRO"})),
        fuel=_texts(gen["Fuel"]),
        p_mw=_floats(gen["MW Inj"]),
        q_mvar=_floats(gen["MVAR Inj"]),
        vm_pu=_floats(gen["V Setpoint p.u."]),
        p_min_mw=_floats(gen["PMin MW"]),
        p_max_mw=_floats(gen["PMax MW"]),
        q_min_mvar=_floats(gen["QMin MVAR"]),
        q_max_mvar=_floats(gen["QMax MVAR"]),
        in_service=np.ones(count, dtype=np.bool_),
        ramp_mw_per_min=_floats(gen["Ramp Rate MW/Min"]),
        min_up_h=_floats(gen["Min Up Time Hr"]),
        min_down_h=_floats(gen["Min Down Time Hr"]),
        start_after_h=start_after,
        start_cost_usd=start_cost,
        cost_mw=cost_mw,
        cost_usd_per_h=cost_usd,
        cost_c2=np.zeros(count),
        cost_c1=np.zeros(count),
        cost_c0=np.zeros(count),
        outage_rate=_floats(gen["FOR"]),
    )


def _production_costs(gen: pd.DataFrame) -> tuple[Floats, Floats]:
    """Breakpoints of the piecewise cost, each (units, 4); NaN where fuel costs nothing.

    Heat input is the average heat rate (BTU/kWh) times output at the first point and grows by the
    incremental heat rates between points. Where no incremental rate is given (0) the average one
    applies, as PGLib-UC reads it.
    """
    points = range(4)
    share = gen[[f"Output_pct_{k}" for k in points]].to_numpy(dtype=np.float64)
    output = share * _floats(gen["PMax MW"])[:, None]
    average = _floats(gen["HR_avg_0"])
    steps = gen[[f"HR_incr_{k}" for k in points if k]].to_numpy(dtype=np.float64)
    steps = np.where(steps == 0.0, average[:, None], steps)
    heat = np.cumsum(
        np.column_stack([average * output[:, 0], steps * np.diff(output, axis=1)]), axis=1
    )
    price = _floats(gen["Fuel Price $/MMBTU"])
    cost = heat / 1_000.0 * price[:, None] + output * _floats(gen["VOM"])[:, None]
    free = price == 0.0
    output[free], cost[free] = np.nan, np.nan
    return output, cost


def _start_costs(gen: pd.DataFrame) -> tuple[Floats, Floats]:
    """Hours off and start costs, each (units, 3), for hot, warm and cold starts."""
    kinds = ("Hot", "Warm", "Cold")
    after = gen[[f"Start Time {kind} Hr" for kind in kinds]].to_numpy(dtype=np.float64)
    heat = gen[[f"Start Heat {kind} MBTU" for kind in kinds]].to_numpy(dtype=np.float64)
    cold_only = after[:, 0] >= NOT_GIVEN_H
    heat[cold_only] = heat[cold_only, 2:3]
    after[cold_only] = 0.0
    other = _floats(gen["Non Fuel Start Cost $"]) + _floats(gen["Non Fuel Shutdown Cost $"])
    cost = heat * _floats(gen["Fuel Price $/MMBTU"])[:, None] + other[:, None]
    return after, cost


def _loads(bus: pd.DataFrame) -> Loads:
    loaded = np.flatnonzero(_floats(bus["MW Load"]) != 0.0)
    return Loads(
        id=np.array([f"load_{bus['Bus ID'].iloc[row]}" for row in loaded], dtype=np.str_),
        bus=loaded.astype(np.int64),
        p_mw=_floats(bus["MW Load"])[loaded],
        q_mvar=_floats(bus["MVAR Load"])[loaded],
        in_service=np.ones(len(loaded), dtype=np.bool_),
    )


def _storages(gen: pd.DataFrame, storage: pd.DataFrame, index: Mapping[str, int]) -> Storages:
    """Storage units and the solar tower.

    Round-trip losses are shared between charging and discharging. The tower's store takes the
    natural inflow and gives it back as electricity one to one: the source's heat rates of it are
    1.0 within 6 %. A stop always follows a start, so both costs stand in the start.
    """
    heads = storage[storage["position"] == "head"].set_index("GEN UID").loc[gen["GEN UID"]]
    round_trip = _floats(gen["Storage Roundtrip Efficiency"]) / 100.0
    one_way = np.sqrt(np.where(round_trip == 0.0, 1.0, round_trip))
    return Storages(
        id=_texts(gen["GEN UID"]),
        bus=_positions(gen["Bus ID"], index, "gen.Bus ID"),
        kind=_texts(gen["Unit Type"]),
        charge_max_mw=_floats(gen["Pump Load MW"]),
        discharge_max_mw=_floats(gen["PMax MW"]),
        discharge_min_mw=_floats(gen["PMin MW"]),
        start_cost_usd=_floats(gen["Non Fuel Start Cost $"])
        + _floats(gen["Non Fuel Shutdown Cost $"]),
        energy_max_mwh=_floats(heads["Max Volume GWh"]) * MWH_PER_GWH,
        energy_initial_mwh=_floats(heads["Initial Volume GWh"]) * MWH_PER_GWH,
        charge_efficiency=one_way,
        discharge_efficiency=one_way.copy(),
        q_min_mvar=_floats(gen["QMin MVAR"]),
        q_max_mvar=_floats(gen["QMax MVAR"]),
        vm_pu=_floats(gen["V Setpoint p.u."]),
        in_service=np.ones(len(gen), dtype=np.bool_),
    )


def _dc_lines(dc_branch: pd.DataFrame, index: Mapping[str, int]) -> DcLines:
    """DC lines, free within their power rating and without losses (0.2 % at full flow)."""
    count = len(dc_branch)
    rating = _floats(dc_branch["MW Load"])
    return DcLines(
        id=_texts(dc_branch["UID"]),
        from_bus=_positions(dc_branch["From Bus"], index, "dc_branch.From Bus"),
        to_bus=_positions(dc_branch["To Bus"], index, "dc_branch.To Bus"),
        p_mw=np.zeros(count),
        p_min_mw=-rating,
        p_max_mw=rating,
        loss_fixed_mw=np.zeros(count),
        loss_share=np.zeros(count),
        in_service=np.ones(count, dtype=np.bool_),
    )
