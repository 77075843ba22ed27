"""The dispatch with the network's limits added only where a solution breaks them.

The program begins with units, stores, DC lines, reserves and one balance per island and interval.
Three kinds of rows and columns join it as they are needed, each found by pricing or screening, so
that the end is the optimum of the whole problem:

- flow limits, of the intact network and after outages, in terms of flow columns;
- load shedding and spilling at a bus whose price passes their penalty;
- tangents of quadratic costs.

The page docs/MODEL.md has the equations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix

from data_engineering.model.grid import Flags, Floats, Ints
from data_engineering.model.problem import SolveRequest
from data_engineering.solvers.dc_network import DcNetwork
from data_engineering.solvers.grown_rows import INTACT, Limits, Tangents
from data_engineering.solvers.interval_links import Links
from data_engineering.solvers.linear import LinearProgram
from data_engineering.solvers.live_program import Answer, LiveProgram
from data_engineering.solvers.outage_factors import OutageFactors
from data_engineering.solvers.resources import (
    Resources,
    bus_demand,
    tangent,
)

__all__ = ["INTACT", "Limits", "SecurityProgram"]

NEGLIGIBLE = 1e-9
"""HiGHS drops coefficients of this size and below."""


@dataclass(eq=False)
class SecurityProgram:
    """A dispatch of T intervals on n buses in HiGHS.

    Attributes:
        balance: rows, shape (T, islands).
        all_shed, reference_over: columns that keep every island solvable, shape (T, islands): load
            shed everywhere in one proportion, and power spilled at the reference.
        shed, over: columns of single buses, shape (T, n); -1 where there is none.
        flow, flow_row: shape (T, L); -1 where there is none.
        spread: whether `all_shed` has given way to the buses' own columns, shape (T, islands).
        member: 1 where a bus is in an island, shape (n, islands).
        load_share: how proportional shedding is spread over the buses, shape (n, islands).
        constant_usd: cost that no column carries: of minima and starts that are given.
        shift_angle: angles that phase shifters alone cause, shape (n,), radians.
        shift_flow: what they drive through each branch, shape (L,), MW.
        limits, tangents: what was added.
        links: which interval follows which; in a ring all first axes are the slots.
        transfers: MW on a branch per MW at each bus, by branch.
    """

    request: SolveRequest
    network: DcNetwork
    factors: OutageFactors
    program: LinearProgram
    resources: Resources
    live: LiveProgram
    balance: Ints
    all_shed: Ints
    reference_over: Ints
    shed: Ints
    over: Ints
    flow: Ints
    flow_row: Ints
    spread: Flags
    member: csr_matrix
    load_share: Floats
    constant_usd: float
    shift_angle: Floats
    shift_flow: Floats
    links: Links
    limits: Limits = field(default_factory=Limits.none)
    tangents: Tangents = field(default_factory=Tangents.none)
    transfers: dict[int, Floats] = field(default_factory=dict)

    def add_flows(self, interval: Ints, branch: Ints) -> None:
        """Columns for the flows of some branches in some intervals, where there are none yet."""
        pairs = np.unique(np.stack([interval, branch]), axis=1)
        t, line = pairs[:, self.flow[pairs[0], pairs[1]] < 0]
        if not len(t):
            return
        infinite = np.full(len(t), np.inf)
        nothing = coo_matrix((self.live.rows, len(t))).tocsc()
        columns = self.live.add_columns(np.zeros(len(t)), -infinite, infinite, nothing)
        used, place = np.unique(line, return_inverse=True)
        transfer = self.transfer(used)
        fixed = (transfer[place] * self.resources.fixed_mw[t]).sum(axis=1) + self.shift_flow[line]
        rows, where, values = [np.arange(len(t))], [columns], [np.ones(len(t))]
        for part in self.resources.injections:
            given = -transfer[:, part.bus] * part.factor
            rows.append(np.repeat(np.arange(len(t)), len(part.bus)))
            where.append(part.columns[t].ravel())
            values.append(given[place].ravel())
        spread = transfer @ self.load_share
        islands = spread.shape[1]
        rows.append(np.repeat(np.arange(len(t)), islands))
        where.append(self.all_shed[t].ravel())
        values.append(-spread[place].ravel())
        for block, sign in ((self.shed, -1.0), (self.over, 1.0)):
            row, bus = np.nonzero(block[t] >= 0)
            rows.append(row)
            where.append(block[t[row], bus])
            values.append(sign * transfer[place[row], bus])
        entries = _csr(rows, where, values, (len(t), self.live.columns))
        self.flow[t, line] = columns
        self.flow_row[t, line] = self.live.add_rows(fixed, fixed, entries)

    def transfer(self, branches: Ints) -> Floats:
        """Transfer factors of some branches, shape (len(branches), n)."""
        missing = np.array([b for b in branches if int(b) not in self.transfers], dtype=np.int64)
        if len(missing):
            found = self.network.bus_transfers(missing)
            self.transfers.update(zip(missing.tolist(), found, strict=True))
        kept = [self.transfers[int(b)] for b in branches]
        return np.array(kept).reshape(len(branches), len(self.network.island))

    def add_limits(self, interval: Ints, branch: Ints, outage: Ints, upper: Flags) -> None:
        """Limits of flows after outages (`INTACT` for none), each with a slack of its own."""
        grid, periods = self.request.grid, self.request.periods
        penalties = self.request.options.penalties
        count, intact = len(interval), outage == INTACT
        rate = np.where(intact, grid.branches.rate_a_mva[branch], grid.branches.rate_b_mva[branch])
        cost = np.where(intact, penalties.branch_overload, penalties.outage_overload)
        rows, where, values, given = self._post_flows(interval, branch, outage)
        empty = coo_matrix((self.live.rows, count)).tocsc()
        slack = self.live.add_columns(
            cost * periods.hours, np.zeros(count), np.full(count, np.inf), empty
        )
        rows.append(np.arange(count))
        where.append(slack)
        values.append(np.where(upper, -1.0, 1.0))
        entries = _csr(rows, where, values, (count, self.live.columns))
        low = np.where(upper, -np.inf, -rate - given)
        high = np.where(upper, rate - given, np.inf)
        row = self.live.add_rows(low, high, entries)
        self.limits = self.limits.with_more(Limits(interval, branch, outage, upper, row, slack))

    def _post_flows(
        self, interval: Ints, branch: Ints, outage: Ints
    ) -> tuple[list[Ints], list[Ints], list[Floats], Floats]:
        """Entries of flows after outages: row numbers, columns, factors; and what is fixed."""
        resources = self.resources
        place = np.full(len(self.network.from_bus), -1)
        place[self.factors.monitored] = np.arange(len(self.factors.monitored))
        single, lost_branch, factor = self.factors.branch_sources(outage, place[branch])
        sources: list[tuple[int, Ints, Floats, Ints, Floats]] = []
        for k in np.flatnonzero((outage != INTACT) & ~single):
            on = self.running(int(interval[k]))
            found = self.factors.sources(int(outage[k]), int(place[branch[k]]), on)
            sources.append((int(k), *found))
        lost = [np.stack([np.full(len(b), interval[k]), b]) for k, b, *_ in sources]
        lost.append(np.stack([interval, lost_branch])[:, single])
        needed = np.concatenate([np.stack([interval, branch]), *lost], axis=1)
        self.add_flows(needed[0], needed[1])
        rows = [np.arange(len(interval)), np.flatnonzero(single)]
        where = [self.flow[interval, branch], self.flow[interval, lost_branch][single]]
        values, given = [np.ones(len(interval)), factor[single]], np.zeros(len(interval))
        unit_column, minimum = self._unit_columns()
        for n, branches, by_branch, units, by_unit in sources:
            t = interval[n]
            rows.append(np.full(len(branches) + len(units), n))
            where.append(np.concatenate([self.flow[t, branches], unit_column[t, units]]))
            values.append(np.concatenate([by_branch, by_unit]))
            if resources.on is None:
                given[n] = (by_unit * minimum[units] * self.running(int(t))[units]).sum()
                continue
            thermal = np.searchsorted(resources.thermal, units)
            committed = np.isin(units, resources.thermal)
            rows.append(np.full(int(committed.sum()), n))
            where.append(resources.on[t, thermal[committed]])
            values.append((by_unit * minimum[units])[committed])
        return rows, where, values, given

    def _unit_columns(self) -> tuple[Ints, Floats]:
        """The column of each unit's output, shape (T, units), and what it gives besides."""
        units = self.request.grid.generators
        columns = np.zeros((self.request.periods.count, len(units)), dtype=np.int64)
        columns[:, self.resources.thermal] = self.resources.above
        columns[:, self.resources.free_units] = self.resources.free
        minimum = np.zeros(len(units))
        minimum[self.resources.thermal] = self.resources.units.p_min_mw
        return columns, minimum

    def running(self, interval: int) -> Flags:
        """Units of the grid that run in an interval, shape (units,)."""
        on = self.request.grid.generators.in_service.copy()
        if self.resources.state is not None:
            on[self.resources.thermal] = self.resources.state[interval]
        return on

    def all_running(self) -> Flags:
        """Units of the grid that run, shape (T, units)."""
        on = np.tile(self.request.grid.generators.in_service, (self.request.periods.count, 1))
        if self.resources.state is not None:
            on[:, self.resources.thermal] = self.resources.state
        return on

    def add_sheds(self, interval: Ints, bus: Ints) -> None:
        """Columns for load shed at single buses."""
        load = np.maximum(self.resources.demand_mw[interval, bus], 0.0)
        cost = self.request.options.penalties.load_shed
        self.shed[interval, bus] = self._add_at_buses(interval, bus, cost, load, 1.0)

    def add_overs(self, interval: Ints, bus: Ints) -> None:
        """Columns for power spilled at single buses."""
        cost = self.request.options.penalties.over_generation
        most = np.full(len(bus), np.inf)
        self.over[interval, bus] = self._add_at_buses(interval, bus, cost, most, -1.0)

    def _add_at_buses(
        self, interval: Ints, bus: Ints, cost: float, most: Floats, sign: float
    ) -> Ints:
        count = len(interval)
        rows, where = [self.balance[interval, self.network.island[bus]]], [np.arange(count)]
        values = [np.full(count, sign)]
        for k in range(count):
            branches = np.flatnonzero(self.flow_row[interval[k]] >= 0)
            rows.append(self.flow_row[interval[k], branches])
            where.append(np.full(len(branches), k))
            values.append(-sign * self.transfer(branches)[:, bus[k]])
        entries = _csr(rows, where, values, (self.live.rows, count)).tocsc()
        price = np.full(count, cost * self.request.periods.hours)
        return self.live.add_columns(price, np.zeros(count), most, entries)

    def spread_shed(self, interval: Ints, island: Ints) -> None:
        """Let the buses of some islands shed one by one instead of in proportion."""
        loaded = self.resources.demand_mw[interval] > 0.0
        wanted = loaded & (self.network.island == island[:, None]) & (self.shed[interval] < 0)
        which, bus = np.nonzero(wanted)
        if len(which):
            self.add_sheds(interval[which], bus)
        self.spread[interval, island] = True
        zero = np.zeros(len(interval))
        self.live.bound_columns(self.all_shed[interval, island], zero, zero)

    def add_tangents(self, interval: Ints, curved: Ints, power_mw: Floats) -> None:
        """Tangents of quadratic costs at some outputs."""
        resources, which = self.resources, self.resources.quadratic.units[curved]
        every = np.zeros((len(curved), len(resources.quadratic.units)))
        every[np.arange(len(curved)), curved] = power_mw
        slope, base = (
            values[np.arange(len(curved)), curved]
            for values in tangent(resources.quadratic, resources.units, every)
        )
        row = np.arange(len(curved))
        rows, where = (
            [row, row],
            [
                resources.curved[interval, curved],
                resources.above[interval, which],
            ],
        )
        values, low = [np.ones(len(curved)), -slope], base
        if resources.on is not None:
            rows.append(row)
            where.append(resources.on[interval, which])
            values.append(-base)
            low = np.zeros(len(curved))
        elif resources.state is not None:
            low = base * resources.state[interval, which]
        entries = _csr(rows, where, values, (len(curved), self.live.columns))
        numbers = self.live.add_rows(low, np.full(len(curved), np.inf), entries)
        self.tangents = self.tangents.with_more(Tangents(interval, curved, base, numbers))

    def set_load(self, load_mw: Floats) -> None:
        """Give every load another demand, shape (T, loads), MW; the basis stays."""
        request = self.request
        periods = replace(request.periods, load_mw=load_mw)
        demand = bus_demand(request.grid, periods)
        fixed = self.resources.fixed_mw + self.resources.demand_mw - demand
        self.request = replace(request, periods=periods)
        self.resources = replace(self.resources, fixed_mw=fixed, demand_mw=demand)
        loaded = np.maximum(demand, 0.0)
        needed = -(fixed @ self.member).ravel()
        self.live.bound_rows(self.balance.ravel(), needed, needed)
        most = (loaded @ self.member).ravel()
        self.live.bound_columns(self.all_shed.ravel(), np.zeros(most.size), most)
        self.bound_grown()

    def bound_grown(self) -> None:
        """Bounds of the flows and slacks that were added, for what is fixed now."""
        fixed, loaded = self.resources.fixed_mw, np.maximum(self.resources.demand_mw, 0.0)
        t, island = np.nonzero(self.spread)
        if len(t):
            self.spread_shed(t, island)
        t, bus = np.nonzero(self.shed >= 0)
        if len(t):
            self.live.bound_columns(self.shed[t, bus], np.zeros(len(t)), loaded[t, bus])
        t, branch = np.nonzero(self.flow_row >= 0)
        if len(t):
            right = self.network.flows(self.network.angles(fixed))[t, branch]
            self.live.bound_rows(self.flow_row[t, branch], right, right)

    def right_sides(self, load_mw: Floats) -> tuple[Floats, Ints, Floats]:
        """What loads fix in a program of one interval, for many rows of loads at once.

        Args:
            load_mw: shape (S, loads), MW.

        Returns:
            The injections that no column moves, shape (S, n); the rows of the program that
            depend on them, shape (R,); and their right-hand sides, shape (S, R).
        """
        periods = replace(self.request.periods, load_mw=load_mw)
        fixed = self.resources.fixed_mw + self.resources.demand_mw
        fixed = fixed - bus_demand(self.request.grid, periods)
        branch = np.flatnonzero(self.flow_row[0] >= 0)
        through = fixed @ self.transfer(branch).T + self.shift_flow[branch]
        rows = np.concatenate([self.balance[0], self.flow_row[0, branch]])
        return fixed, rows, np.concatenate([-(fixed @ self.member), through], axis=1)

    def injection(self, answer: Answer) -> Floats:
        """Net injection of every bus, shape (T, n), MW."""
        shed, over = self.slacks(answer)
        given = [answer.values[part.columns] for part in self.resources.injections]
        return self.with_given(self.resources.fixed_mw, given) + shed - over

    def with_given(self, fixed_mw: Floats, given: Sequence[Floats]) -> Floats:
        """Injections, shape (S, n), of what is fixed and what the blocks give, (S, k) each."""
        net = fixed_mw.copy()
        for part, values in zip(self.resources.injections, given, strict=True):
            np.add.at(net.T, part.bus, (values * part.factor).T)
        return net

    def slack_columns(self) -> Ints:
        """All columns for shedding and spilling."""
        blocks = (self.all_shed, self.reference_over, self.shed, self.over)
        columns = np.concatenate([block.ravel() for block in blocks])
        return columns[columns >= 0]

    def slacks(self, answer: Answer) -> tuple[Floats, Floats]:
        """Load shed and power spilled at every bus, shape (T, n) each, MW."""
        shed = answer.values[self.all_shed] @ self.load_share.T
        over = np.zeros_like(shed)
        over[:, self.network.reference] += answer.values[self.reference_over]
        for block, at in ((self.shed, shed), (self.over, over)):
            t, bus = np.nonzero(block >= 0)
            at[t, bus] += answer.values[block[t, bus]]
        return np.maximum(shed, 0.0), np.maximum(over, 0.0)

    def prices(self, answer: Answer) -> Floats:
        """Cost of one more MW at every bus in every interval, shape (T, n), USD."""
        network = self.network
        price: Floats = answer.duals[self.balance][:, network.island]
        known = self.flow_row >= 0
        if not known.any():
            return price
        # Duals of flows times transfer factors, by one solve with the network's symmetric matrix.
        through = np.zeros(self.flow_row.shape)
        through[known] = answer.duals[self.flow_row[known]]
        through *= network.slope
        ends = zip(price, through, strict=True)
        at_bus = [
            np.bincount(network.from_bus, each, len(row))
            - np.bincount(network.to_bus, each, len(row))
            for row, each in ends
        ]
        return price - (network.angles(np.array(at_bus)) - self.shift_angle)

    def prices_of(self, duals: Floats) -> Floats:
        """`prices` of a program of one interval for many answers, shape (S, n), USD."""
        branches = np.flatnonzero(self.flow_row[0] >= 0)
        price: Floats = duals[:, self.balance[0]][:, self.network.island]
        return price - duals[:, self.flow_row[0, branches]] @ self.transfer(branches)


def _csr(
    rows: list[Ints], columns: list[Ints], values: list[Floats], shape: tuple[int, int]
) -> csr_matrix:
    kept = np.abs(value := np.concatenate(values)) > NEGLIGIBLE
    place = (np.concatenate(rows)[kept], np.concatenate(columns)[kept])
    return coo_matrix((value[kept], place), shape).tocsr()
