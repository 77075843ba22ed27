"""A grid as a pandapower net of the same power flow.

Branches between equal voltages without a tap or shift are lines, others transformers whose rated
voltages make the tap, with their charging in shunts. The first running unit of a bus that holds
its voltage is an external grid or a generator, all other units are static generators.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from data_engineering.model.grid import ISOLATED, PV, REF, Flags, Floats, Grid, Ints
from data_engineering.transformation.pandapower_tables import UNLIMITED

FREQUENCY_HZ = 60.0
Rows = dict[str, dict[str, int]]
"""By part of the grid: its row of each element of the net, named `line-3`."""


def write_net(grid: Grid) -> tuple[Any, Rows]:
    """The net, and which of its elements stands for which of the grid."""
    import pandapower

    net = pandapower.create_empty_network(
        name=grid.case_name, f_hz=FREQUENCY_HZ, sn_mva=grid.base_mva
    )
    rows: Rows = {"buses": {str(row): row for row in range(len(grid.buses))}}
    _write_buses(pandapower, net, grid)
    rows["branches"] = _write_branches(pandapower, net, grid)
    rows["generators"] = _write_units(pandapower, net, grid)
    rows["loads"] = _write_loads(pandapower, net, grid)
    rows["storages"] = _write_storages(pandapower, net, grid)
    rows["dc_lines"] = _write_dc_lines(pandapower, net, grid)
    return net, rows


def _named(table: str, rows: Ints) -> dict[str, int]:
    return {f"{table}-{index}": row for index, row in enumerate(rows.tolist())}


def _kv(grid: Grid) -> Floats:
    """Base voltages; 1 kV where a case gives none."""
    return np.where(grid.buses.base_kv > 0.0, grid.buses.base_kv, 1.0)


def _write_buses(pandapower: Any, net: Any, grid: Grid) -> None:
    buses = grid.buses
    pandapower.create_buses(
        net,
        len(buses),
        vn_kv=_kv(grid),
        name=buses.name.tolist(),
        zone=buses.zone.tolist(),
        in_service=buses.kind != ISOLATED,
        min_vm_pu=buses.vm_min_pu,
        max_vm_pu=buses.vm_max_pu,
    )
    shunted = np.flatnonzero((buses.gs_mw != 0.0) | (buses.bs_mvar != 0.0))
    if len(shunted):
        pandapower.create_shunts(
            net,
            shunted,
            q_mvar=-buses.bs_mvar[shunted],
            p_mw=buses.gs_mw[shunted],
            vn_kv=_kv(grid)[shunted],
        )


def _write_branches(pandapower: Any, net: Any, grid: Grid) -> dict[str, int]:
    branches, kv = grid.branches, _kv(grid)
    equal = np.isclose(kv[branches.from_bus], kv[branches.to_bus], rtol=1e-9, atol=0.0)
    plain = (branches.tap == 1.0) & (branches.shift_deg == 0.0) & equal
    lines, trafos = np.flatnonzero(plain), np.flatnonzero(~plain)
    if len(lines):
        _write_lines(pandapower, net, grid, lines)
    if len(trafos):
        _write_trafos(pandapower, net, grid, trafos)
        _write_charging(pandapower, net, grid, trafos)
    return _named("line", lines) | _named("trafo", trafos)


def _write_lines(pandapower: Any, net: Any, grid: Grid, rows: Ints) -> None:
    branches, kv = grid.branches, _kv(grid)[grid.branches.from_bus[rows]]
    ohm = kv**2 / grid.base_mva
    rating = branches.rate_a_mva[rows]
    current = np.where(np.isinf(rating), UNLIMITED, rating / (np.sqrt(3.0) * kv))
    pandapower.create_lines_from_parameters(
        net,
        branches.from_bus[rows],
        branches.to_bus[rows],
        length_km=1.0,
        r_ohm_per_km=branches.r_pu[rows] * ohm,
        x_ohm_per_km=branches.x_pu[rows] * ohm,
        c_nf_per_km=branches.b_pu[rows] / ohm / (2e-9 * np.pi * FREQUENCY_HZ),
        max_i_ka=current,
        name=branches.id[rows].tolist(),
        in_service=branches.in_service[rows],
        max_loading_percent=100.0,
    )


def _write_trafos(pandapower: Any, net: Any, grid: Grid, rows: Ints) -> None:
    """Transformers; those of pandapower do not charge, so charging stands in shunts at the ends."""
    branches, kv = grid.branches, _kv(grid)
    series = branches.r_pu[rows] + 1j * branches.x_pu[rows]
    rating = branches.rate_a_mva[rows]
    size = np.where(np.isinf(rating) | (rating <= 0.0), UNLIMITED, rating)
    percent = 100.0 * size / grid.base_mva
    pandapower.create_transformers_from_parameters(
        net,
        branches.from_bus[rows],
        branches.to_bus[rows],
        sn_mva=size,
        vn_hv_kv=kv[branches.from_bus[rows]] * branches.tap[rows],
        vn_lv_kv=kv[branches.to_bus[rows]],
        vkr_percent=series.real * percent,
        vk_percent=np.where(series.imag < 0.0, -1.0, 1.0) * np.abs(series) * percent,
        pfe_kw=0.0,
        i0_percent=0.0,
        shift_degree=branches.shift_deg[rows],
        name=branches.id[rows].tolist(),
        in_service=branches.in_service[rows],
        max_loading_percent=100.0,
    )


def _write_charging(pandapower: Any, net: Any, grid: Grid, trafos: Ints) -> None:
    branches = grid.branches
    rows = trafos[(branches.b_pu[trafos] != 0.0) & branches.in_service[trafos]]
    half = 0.5 * branches.b_pu[rows] * grid.base_mva
    for end, mvar in (("from", half / branches.tap[rows] ** 2), ("to", half)):
        if len(rows):
            bus = getattr(branches, f"{end}_bus")[rows]
            names = [f"{name} charging, {end} end" for name in branches.id[rows].tolist()]
            pandapower.create_shunts(net, bus, q_mvar=-mvar, vn_kv=_kv(grid)[bus], name=names)


def _holders(grid: Grid) -> tuple[Flags, Flags]:
    """Units that are external grids, and those that are generators, shape (units,) each.

    Without a unit at the reference, the first bus that can hold its voltage takes its place.
    """
    units, kind = grid.generators, grid.buses.kind
    first = np.zeros(len(units), dtype=np.bool_)
    running = np.flatnonzero(units.in_service)
    first[running[np.unique(units.bus[running], return_index=True)[1]]] = True
    outside = first & (kind[units.bus] == REF)
    held = first & (kind[units.bus] == PV)
    if not outside.any() and held.any():
        outside[np.flatnonzero(held)[np.argmin(units.bus[held])]] = True
    return outside, held & ~outside


def _write_units(pandapower: Any, net: Any, grid: Grid) -> dict[str, int]:
    units = grid.generators
    outside, held = _holders(grid)
    rest = np.flatnonzero(~outside & ~held)
    named = _write_outside(pandapower, net, grid, np.flatnonzero(outside))
    rows = np.flatnonzero(held)
    if len(rows):
        pandapower.create_gens(
            net,
            units.bus[rows],
            p_mw=units.p_mw[rows],
            vm_pu=units.vm_pu[rows],
            name=units.id[rows].tolist(),
            type=units.kind[rows].tolist(),
            controllable=True,
            **_limits(units, rows),
        )
    if len(rest):
        pandapower.create_sgens(
            net,
            units.bus[rest],
            p_mw=units.p_mw[rest],
            q_mvar=units.q_mvar[rest],
            name=units.id[rest].tolist(),
            in_service=units.in_service[rest],
            controllable=True,
            **_limits(units, rest),
        )
        net.sgen["type"] = units.kind[rest].astype(object)
    named |= _named("gen", rows) | _named("sgen", rest)
    _write_costs(net, grid, named)
    return named


def _write_outside(pandapower: Any, net: Any, grid: Grid, rows: Ints) -> dict[str, int]:
    units = grid.generators
    for row in rows.tolist():
        pandapower.create_ext_grid(
            net,
            units.bus[row],
            vm_pu=units.vm_pu[row],
            va_degree=grid.buses.va_deg[units.bus[row]],
            name=str(units.id[row]),
            **_limits(units, row),
        )
    return _named("ext_grid", rows)


def _limits(units: Any, rows: Any) -> dict[str, Any]:
    return {
        "min_p_mw": units.p_min_mw[rows],
        "max_p_mw": units.p_max_mw[rows],
        "min_q_mvar": units.q_min_mvar[rows],
        "max_q_mvar": units.q_max_mvar[rows],
    }


def _write_costs(net: Any, grid: Grid, named: Mapping[str, int]) -> None:
    units = grid.generators
    squares, areas = [], []
    for name, row in named.items():
        table, _, index = name.rpartition("-")
        given = np.isfinite(units.cost_mw[row])
        if given.any():
            mw, usd = units.cost_mw[row][given], units.cost_usd_per_h[row][given]
            slopes = np.diff(usd) / np.diff(mw)
            points = [list(each) for each in zip(mw[:-1], mw[1:], slopes, strict=True)]
            areas.append(("p", int(index), table, np.array(points).tolist()))
        else:
            cost = (units.cost_c0[row], units.cost_c1[row], units.cost_c2[row])
            squares.append((int(index), table, *cost, 0.0, 0.0, 0.0))
    names = ["element", "et", "cp0_eur", "cp1_eur_per_mw", "cp2_eur_per_mw2"]
    names += ["cq0_eur", "cq1_eur_per_mvar", "cq2_eur_per_mvar2"]
    if squares:
        net["poly_cost"] = pd.DataFrame(squares, columns=names)
    if areas:
        net["pwl_cost"] = pd.DataFrame(areas, columns=["power_type", "element", "et", "points"])


def _write_loads(pandapower: Any, net: Any, grid: Grid) -> dict[str, int]:
    loads = grid.loads
    if len(loads):
        pandapower.create_loads(
            net,
            loads.bus,
            p_mw=loads.p_mw,
            q_mvar=loads.q_mvar,
            name=loads.id.tolist(),
            in_service=loads.in_service,
        )
    return _named("load", np.arange(len(loads)))


def _write_storages(pandapower: Any, net: Any, grid: Grid) -> dict[str, int]:
    stores = grid.storages
    if len(stores):
        most = stores.energy_max_mwh
        share = np.divide(
            stores.energy_initial_mwh, most, out=np.zeros(len(stores)), where=most > 0
        )
        pandapower.create_storages(
            net,
            stores.bus,
            p_mw=0.0,
            max_e_mwh=most,
            soc_percent=100.0 * share,
            min_p_mw=-stores.discharge_max_mw,
            max_p_mw=stores.charge_max_mw,
            min_q_mvar=stores.q_min_mvar,
            max_q_mvar=stores.q_max_mvar,
            name=stores.id.tolist(),
            in_service=stores.in_service,
            controllable=True,
        )
    return _named("storage", np.arange(len(stores)))


def _write_dc_lines(pandapower: Any, net: Any, grid: Grid) -> dict[str, int]:
    """DC lines; pandapower's hold the voltages at their ends, at the grid's set points."""
    lines, voltage = grid.dc_lines, grid.buses.vm_pu.copy()
    outside, held = _holders(grid)
    voltage[grid.generators.bus[outside | held]] = grid.generators.vm_pu[outside | held]
    for row in range(len(lines)):
        pandapower.create_dcline(
            net,
            lines.from_bus[row],
            lines.to_bus[row],
            p_mw=lines.p_mw[row],
            loss_percent=100.0 * lines.loss_share[row],
            loss_mw=lines.loss_fixed_mw[row],
            vm_from_pu=voltage[lines.from_bus[row]],
            vm_to_pu=voltage[lines.to_bus[row]],
            max_p_mw=lines.p_max_mw[row],
            name=str(lines.id[row]),
            in_service=bool(lines.in_service[row]),
        )
    return _named("dcline", np.arange(len(lines)))
