"""Samples and solutions as rows of the tables of a dataset.

Everything follows from voltages and outputs: branch flows from the two-port of each branch in the
sample, the admittance matrix from the same two-ports and the shunts, DC flows from the DC angles.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from data_engineering.model.grid import PV, REF, Floats, Grid, Ints
from data_engineering.model.samples import Samples, Solutions
from data_engineering.scenarios import contract
from data_engineering.scenarios.case import ScenarioCase
from data_engineering.scenarios.flows import TwoPorts, branch_flows, dc_flows, two_ports, wrapped

Columns = dict[str, npt.NDArray[Any]]
"""Columns of one table by name, all of one length."""


@dataclass(frozen=True, eq=False)
class Sums:
    """Which terms are summed to which places.

    Attributes:
        order: terms in the order of their places, shape (terms,).
        begin: where the terms of each place begin in that order, shape (places,).
        place: the places that have terms, ascending, shape (places,).
    """

    order: Ints
    begin: Ints
    place: Ints

    def of(self, terms: Floats) -> Floats:
        """The sums, shape (samples, places), of terms of shape (samples, terms)."""
        sums: Floats = np.add.reduceat(np.take(terms, self.order, axis=1), self.begin, axis=1)
        return sums


def sums_to(places: Ints) -> Sums:
    """Sums of the terms that have the same place."""
    order = np.argsort(places, kind="stable")
    place, begin = np.unique(places[order], return_index=True)
    return Sums(order, begin, place)


@dataclass(frozen=True, eq=False)
class Expansion:
    """The tables of a case, from any samples of it.

    Attributes:
        grid: of the prepared case.
        reference: its reference bus.
        at_buses: sums of generators.
        entries: sums of branch and shunt admittances to entries of the admittance matrix, which
            are numbered by rows.
    """

    grid: Grid
    reference: int
    at_buses: Sums
    entries: Sums

    @property
    def bytes_per_sample(self) -> int:
        """Room that the rows of one sample take in all tables, about."""
        rows = {"buses": 19, "generators": 16, "branches": 29}
        values = sum(len(getattr(self.grid, part)) * width for part, width in rows.items())
        return 8 * (values + 6 * len(self.entries.place))

    def tables(
        self, samples: Samples, solutions: Solutions, first: int, *, dc: bool
    ) -> dict[str, Columns]:
        """Columns of all tables for solved samples whose scenarios are `first` and on.

        A sample whose DC angles or outputs are not all known has NaN in all its DC columns, but
        for elements out of service, which have 0.
        """
        numbers = np.arange(first, first + len(samples), dtype=np.int64)
        keys = {"scenario": numbers, "load_scenario_idx": samples.load_scenario}
        unknown = np.isnan(solutions.dc_va_deg).any(axis=1)
        unknown |= (np.isnan(solutions.dc_p_mw) & samples.unit_on).any(axis=1)
        unknown |= np.isnan(solutions.dc_seconds)
        dc_p_mw = np.where(unknown[:, None], np.nan, solutions.dc_p_mw)
        solutions = replace(
            solutions,
            dc_va_deg=np.where(unknown[:, None], np.nan, solutions.dc_va_deg),
            dc_p_mw=np.where(samples.unit_on, dc_p_mw, 0.0),
            dc_seconds=np.where(unknown, np.nan, solutions.dc_seconds),
        )
        ports = two_ports(self.grid, samples)
        found = {
            "bus_data": self._buses(samples, solutions),
            "gen_data": self._generators(samples, solutions),
            "branch_data": self._branches(samples, solutions, ports),
            "runtime_data": {"ac": solutions.seconds, "dc": solutions.dc_seconds},
        }
        tables = {name: _flat(keys, columns) for name, columns in found.items()}
        tables["y_bus_data"] = self._admittances(keys, ports)
        return {
            name: {column: tables[name][column] for column in contract.columns(name, dc)}
            for name in contract.TABLES
        }

    def _buses(self, samples: Samples, solutions: Solutions) -> Columns:
        buses, base = self.grid.buses, self.grid.base_mva
        running = self._at_buses(samples.unit_on.astype(np.float64)) > 0.0
        pv = (buses.kind == PV) & running
        ref = buses.kind == REF
        dc_p_mw = self._at_buses(solutions.dc_p_mw)
        dc_p_mw[np.isnan(solutions.dc_va_deg[:, 0])] = np.nan
        return {
            "bus": np.arange(len(buses)),
            "Pd": samples.load_p_mw,
            "Qd": samples.load_q_mvar,
            "Pg": self._at_buses(np.where(samples.unit_on, solutions.p_mw, 0.0)),
            "Qg": self._at_buses(np.where(samples.unit_on, solutions.q_mvar, 0.0)),
            "Vm": solutions.vm_pu,
            "Va": wrapped(solutions.va_deg),
            "PQ": (~pv & ~ref).view(np.int8),
            "PV": pv.view(np.int8),
            "REF": ref.view(np.int8),
            "vn_kv": buses.base_kv,
            "min_vm_pu": buses.vm_min_pu,
            "max_vm_pu": buses.vm_max_pu,
            "GS": buses.gs_mw / base,
            "BS": buses.bs_mvar / base,
            "Va_dc": wrapped(solutions.dc_va_deg),
            "Pg_dc": dc_p_mw,
        }

    def _at_buses(self, values: Floats) -> Floats:
        """Sums over the generators of each bus, shape (samples, buses)."""
        summed = np.zeros((len(values), len(self.grid.buses)))
        summed[:, self.at_buses.place] = self.at_buses.of(values)
        return summed

    def _generators(self, samples: Samples, solutions: Solutions) -> Columns:
        units, on = self.grid.generators, samples.unit_on
        return {
            "idx": np.arange(len(units)),
            "bus": units.bus,
            "p_mw": np.where(on, solutions.p_mw, 0.0),
            "q_mvar": np.where(on, solutions.q_mvar, 0.0),
            "min_p_mw": units.p_min_mw,
            "max_p_mw": units.p_max_mw,
            "min_q_mvar": units.q_min_mvar,
            "max_q_mvar": units.q_max_mvar,
            "cp0_eur": samples.cost[:, :, 2],
            "cp1_eur_per_mw": samples.cost[:, :, 1],
            "cp2_eur_per_mw2": samples.cost[:, :, 0],
            "in_service": on.view(np.int8),
            "is_slack_gen": (units.bus == self.reference).view(np.int8),
            "p_mw_dc": solutions.dc_p_mw,
        }

    def _branches(self, samples: Samples, solutions: Solutions, ports: TwoPorts) -> Columns:
        branches = self.grid.branches
        va_deg = wrapped(solutions.va_deg)
        flows = branch_flows(self.grid, ports, solutions.vm_pu, va_deg)
        pf_dc = dc_flows(self.grid, samples, solutions.dc_va_deg)
        return {
            "idx": np.arange(len(branches)),
            "from_bus": branches.from_bus,
            "to_bus": branches.to_bus,
            **dict(zip(("pf", "qf", "pt", "qt"), flows, strict=True)),
            "r": samples.r_pu,
            "x": samples.x_pu,
            "b": branches.b_pu,
            **ports._asdict(),
            "tap": branches.tap,
            "shift": branches.shift_deg,
            "ang_min": branches.angle_min_deg,
            "ang_max": branches.angle_max_deg,
            "rate_a": branches.rate_a_mva,
            "br_status": samples.branch_on.view(np.int8),
            "pf_dc": pf_dc,
            "pt_dc": 0.0 - pf_dc,
        }

    def _admittances(self, keys: Columns, ports: TwoPorts) -> Columns:
        """Entries that are not 0, by rows and columns."""
        count, base = len(self.grid.buses), self.grid.base_mva
        shape = (len(ports.Yff_r), count)
        shunts = self.grid.buses.gs_mw / base, self.grid.buses.bs_mvar / base
        parts = (ports[0::2], ports[1::2])
        g, b = (
            self.entries.of(np.concatenate([*part, np.broadcast_to(shunt, shape)], axis=1))
            for part, shunt in zip(parts, shunts, strict=True)
        )
        there = (g != 0.0) | (b != 0.0)
        sample, entry = np.nonzero(there)
        place = self.entries.place[entry]
        return {
            "scenario": keys["scenario"][sample],
            "load_scenario_idx": keys["load_scenario_idx"][sample],
            "index1": place // count,
            "index2": place % count,
            "G": g[there],
            "B": b[there],
        }


def expansion(case: ScenarioCase) -> Expansion:
    """What the tables of a case have in common, made once."""
    grid = case.grid
    start, end, bus = grid.branches.from_bus, grid.branches.to_bus, np.arange(len(grid.buses))
    row = np.concatenate([start, start, end, end, bus])
    column = np.concatenate([start, end, start, end, bus])
    reference = int(np.flatnonzero(grid.buses.kind == REF)[0])
    entries = sums_to(row * len(bus) + column)
    return Expansion(grid, reference, sums_to(grid.generators.bus), entries)


def _flat(keys: Columns, columns: Columns) -> Columns:
    """Columns of all samples, one sample after another."""
    count = len(keys["scenario"])
    length = len(next(iter(columns.values())))

    def flat(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.tile(values, count) if values.ndim == 1 else values.reshape(-1)

    if "ac" in columns:
        return keys | columns
    keys = {name: np.repeat(values, length) for name, values in keys.items()}
    return keys | {name: flat(values) for name, values in columns.items()}
