"""Our grids as pandapower nets with the same equations, for comparisons.

`pandapower.converter.from_ppc` changes some models: it takes the charging of a transformer as a
magnetising one whatever its sign, puts the tap on the side of the higher voltage, and puts
impedances that are out of service back into it. So what is given to it has none of these: one base
voltage for all buses (per-unit values do not depend on it), charging of transformers as shunts at
their buses, which is the same two-port, and nothing that is out of service.
"""

from __future__ import annotations

import logging
import warnings
from typing import Any

import numpy as np

from data_engineering.model.grid import REF, Floats, Grid

PV = 2


def pandapower_net(grid: Grid, reference: int) -> Any:
    """The net of a grid; numbers of buses and loads are the grid's rows.

    Args:
        grid: without stores and DC lines.
        reference: row of the bus that becomes the external grid.
    """
    from pandapower.converter.pypower import from_ppc
    from pandapower.create import create_loads

    logging.getLogger("pandapower").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandapower's own
        net = from_ppc(_ppc(grid, reference), validate_conversion=False)
    loads = grid.loads
    create_loads(net, loads.bus, loads.p_mw, loads.q_mvar, in_service=loads.in_service)
    return net


def branch_elements(grid: Grid, net: Any) -> list[tuple[str, int]]:
    """Table and index in the net of each branch in service, in the grid's order."""
    found = net._from_ppc_lookups["branch"]
    return list(zip(found["element_type"], found["element"].astype(int), strict=True))


def voltages(net: Any) -> Floats:
    """Complex voltages in the order of the grid's buses."""
    found = net.res_bus.sort_index()
    return found.vm_pu.to_numpy() * np.exp(1j * np.deg2rad(found.va_degree.to_numpy()))


def solve(net: Any, **options: Any) -> None:
    """pandapower's own Newton method, not lightsim2grid's, which it takes where that is there."""
    import pandapower

    settings = {
        "calculate_voltage_angles": True,
        "trafo_model": "pi",
        "tolerance_mva": 1e-10,
        "max_iteration": 30,
        "numba": False,
        "lightsim2grid": False,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pandapower.runpp(net, **(settings | options))


def _ppc(grid: Grid, reference: int) -> dict[str, Any]:
    buses, branches, units = grid.buses, grid.branches, grid.generators
    count, on = len(buses), branches.in_service
    trafo = (branches.tap != 1.0) | (branches.shift_deg != 0.0)
    susceptance, half = buses.bs_mvar.copy(), branches.b_pu / 2.0 * grid.base_mva
    moved = trafo & on
    np.add.at(susceptance, branches.from_bus[moved], (half / branches.tap**2)[moved])
    np.add.at(susceptance, branches.to_bus[moved], half[moved])
    kind = np.where(buses.kind == REF, PV, buses.kind)
    kind[reference] = REF
    none, one, number = np.zeros(count), np.ones(count), np.arange(count)
    bus = [number, kind, none, none, buses.gs_mw, susceptance, one, buses.vm_pu,
           buses.va_deg, one, one, buses.vm_max_pu, buses.vm_min_pu]  # fmt: skip
    base = np.full(len(units), grid.base_mva)
    unit = [units.bus, units.p_mw, units.q_mvar, units.q_max_mvar, units.q_min_mvar, units.vm_pu,
            base, units.in_service, units.p_max_mw, units.p_min_mw]  # fmt: skip
    unit += [np.zeros(len(units))] * 11
    rate = np.full(len(branches), grid.base_mva)
    wide = np.full(len(branches), 360.0)
    branch = [branches.from_bus, branches.to_bus, branches.r_pu, branches.x_pu,
              np.where(trafo, 0.0, branches.b_pu), rate, rate, rate,
              np.where(trafo, branches.tap, 0.0), branches.shift_deg, on, -wide, wide]  # fmt: skip
    return {
        "baseMVA": grid.base_mva,
        "version": "2",
        "bus": np.column_stack(bus),
        "gen": np.column_stack(unit)[units.in_service],
        "branch": np.column_stack(branch)[on],
    }
