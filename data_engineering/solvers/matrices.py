"""Network matrices from a `Grid`, in per unit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix, csr_matrix

from data_engineering.model.grid import Grid

Complexes = npt.NDArray[np.complex128]


class BranchAdmittances(NamedTuple):
    """The four entries of every branch's two-port, shape (branches,), p.u.; 0 out of service."""

    ff: Complexes
    ft: Complexes
    tf: Complexes
    tt: Complexes


def branch_admittances(grid: Grid) -> BranchAdmittances:
    """Pi model with the transformer at the from end (MATPOWER User's Manual, section 3.2)."""
    branches = grid.branches
    impedance = branches.r_pu.astype(np.complex128) + 1j * branches.x_pu
    series: Complexes = np.asarray(branches.in_service / impedance, dtype=np.complex128)
    charging = 0.5j * branches.b_pu * branches.in_service
    angle = np.deg2rad(branches.shift_deg).astype(np.complex128)
    ratio: Complexes = np.asarray(branches.tap * np.exp(1j * angle), dtype=np.complex128)
    tt: Complexes = series + charging
    return BranchAdmittances(tt / branches.tap**2, -series / ratio.conj(), -series / ratio, tt)


def bus_admittance(grid: Grid) -> csr_matrix:
    """Bus admittance matrix with shunts, shape (buses, buses), p.u."""
    y, branches, count = branch_admittances(grid), grid.branches, len(grid.buses)
    start, end, bus = branches.from_bus, branches.to_bus, np.arange(count)
    shunt = (grid.buses.gs_mw + 1j * grid.buses.bs_mvar) / grid.base_mva
    values = np.concatenate([y.ff, y.ft, y.tf, y.tt, shunt])
    rows = np.concatenate([start, start, end, end, bus])
    columns = np.concatenate([start, end, start, end, bus])
    return coo_matrix((values, (rows, columns)), (count, count)).tocsr()


def branch_flows(grid: Grid, voltage: Complexes) -> tuple[Complexes, Complexes]:
    """Power into every branch at its from and to end, shape (..., branches), MVA."""
    y, branches = branch_admittances(grid), grid.branches
    start, end = voltage[..., branches.from_bus], voltage[..., branches.to_bus]
    into_from = start * np.conj(y.ff * start + y.ft * end) * grid.base_mva
    into_to = end * np.conj(y.tf * start + y.tt * end) * grid.base_mva
    return into_from, into_to


def bus_injections(grid: Grid, voltage: Complexes) -> Complexes:
    """Power that the network takes from every bus, shunts included, shape (..., buses), MVA."""
    into_from, into_to = branch_flows(grid, voltage)
    shunt = (grid.buses.gs_mw - 1j * grid.buses.bs_mvar) * np.abs(voltage) ** 2
    taken: Complexes = shunt.astype(np.complex128)
    np.add.at(taken.T, grid.branches.from_bus, into_from.T)
    np.add.at(taken.T, grid.branches.to_bus, into_to.T)
    return taken
