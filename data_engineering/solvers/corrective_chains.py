"""Chains: what the units do after an outage, interval by interval, from the root's dispatch on.

A chain's flows are those of the root after the outage plus what its units have changed since, so
that all that happens in the root (loads, stores, DC lines, shedding) stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_matrix, csc_matrix, csr_matrix

from data_engineering.model.grid import Floats, Ints
from data_engineering.solvers.corrective_costs import add_costs, add_lines, share_of_interval
from data_engineering.solvers.corrective_states import AfterOutage, States
from data_engineering.solvers.live_program import Answer
from data_engineering.solvers.resources import tangent
from data_engineering.solvers.security_program import NEGLIGIBLE, SecurityProgram

NO_SECOND = -1
"""The second outage of a limit that holds before any."""


@dataclass(frozen=True, eq=False)
class Chain:
    """What follows one outage in one root interval; K intervals, u units that take part.

    Attributes:
        interval, number: of the root, and of the outage among the states.
        units: rows of the grid's generators, shape (u,).
        root: columns of their outputs in the root, shape (u,).
        power: columns of their outputs, shape (K, u); above the minimum as in the root.
        lost: columns of the lost units' outputs in the root; lost_base: what they give besides.
        shed, spill: columns, shape (K, islands).
        thermal: which of the units are committed ones, by place among them; -1 for others.
        cost: columns of their production costs, shape (K, u'); of none where they do not count.
    """

    interval: int
    number: int
    units: Ints
    root: Ints
    power: Ints
    lost: Ints
    lost_bus: Ints
    lost_base: Floats
    shed: Ints
    spill: Ints
    thermal: Ints
    cost: Ints


class ChainLimit(NamedTuple):
    """A limit in the program: flow `branch` of interval `step` (from 1) of a chain."""

    chain: int
    step: int
    branch: int
    second: int
    upper: bool
    row: int
    slack: int
    limit_mw: float


@dataclass(frozen=True, eq=False)
class FlowPart:
    """A row in which a flow stands, and what a MW put in at each bus moves in it, shape (n,)."""

    interval: int
    branch: int
    label: str
    row: int
    at_bus: Floats


@dataclass(eq=False)
class Chains:
    """All chains of a program; `second_rate` holds after a second outage, shape (L,), MW."""

    program: SecurityProgram
    states: States
    second_rate: Floats
    chains: list[Chain] = field(default_factory=list)
    place: dict[tuple[int, int], int] = field(default_factory=dict)
    limits: list[ChainLimit] = field(default_factory=list)
    known: set[tuple[int, int, int, int, bool]] = field(default_factory=set)
    parts: list[FlowPart] = field(default_factory=list)

    @property
    def steps(self) -> int:
        """K, intervals of a chain."""
        restoration = self.program.request.options.restoration
        return restoration.redispatch_intervals + restoration.secure_intervals

    def add(self, interval: int, number: int) -> None:
        """A chain: columns, balances and ramps."""
        program, request = self.program, self.program.request
        resources, units = program.resources, request.grid.generators
        state, running = self.states.outages[number], program.running(interval)
        lost = state.units[running[state.units]]
        running[state.units] = False
        part = np.flatnonzero(running)
        column, base = unit_columns(program)
        power, shed, spill = self._blocks(interval, part)
        thermal = np.full(len(units), -1)
        thermal[resources.thermal] = np.arange(len(resources.thermal))
        priced = (thermal[part] >= 0) & (request.options.restoration.weight > 0.0)
        chain = Chain(
            interval=interval,
            number=number,
            units=part,
            root=column[interval, part],
            power=power,
            lost=column[interval, lost],
            lost_bus=units.bus[lost],
            lost_base=base[lost],
            shed=shed,
            spill=spill,
            thermal=thermal[part],
            cost=add_costs(program, power[:, priced], thermal[part][priced]),
        )
        self._balances(chain, program.network.island[units.bus[part]])
        self._ramps(chain)
        self.place[interval, number] = len(self.chains)
        self.chains.append(chain)

    def _blocks(self, interval: int, part: Ints) -> tuple[Ints, Ints, Ints]:
        """Columns of outputs, shedding and spilling."""
        program, request = self.program, self.program.request
        prices, hours = request.options.penalties, request.periods.hours
        islands = resources_islands(program)
        loaded = np.maximum(program.resources.demand_mw[interval], 0.0)
        most: Floats = np.bincount(program.network.island, loaded, islands).astype(np.float64)
        none, endless = np.zeros(islands), np.full(islands, np.inf)
        return (
            self._columns(0.0, *self._bounds(interval, part)),
            self._columns(prices.load_shed * hours, none, most),
            self._columns(prices.over_generation * hours, none, endless),
        )

    def _ramps(self, chain: Chain) -> None:
        """Changes from one interval to the next; where a unit's range is wider than its ramp."""
        live, request = self.program.live, self.program.request
        reach = request.grid.generators.ramp_mw_per_min[chain.units]
        reach = reach * request.options.restoration.minutes
        low, high = self._bounds(chain.interval, chain.units)
        slow = np.flatnonzero(reach < high - low)
        before = np.vstack([chain.root, chain.power[:-1]])[: self.steps, slow]
        pairs = np.stack([chain.power[:, slow], before], axis=-1)
        signs = np.broadcast_to([1.0, -1.0], pairs.shape).ravel()
        count = pairs.size // 2
        starts = np.arange(0, 2 * count + 1, 2)
        entries = csr_matrix((signs, pairs.ravel(), starts), (count, live.columns))
        most = np.tile(reach[slow], self.steps)
        live.add_rows(-most, most, entries)

    def _bounds(self, interval: int, part: Ints) -> tuple[Floats, Floats]:
        """Outputs that units may have in a chain, above the minima where the root has them so."""
        request, resources = self.program.request, self.program.resources
        periods, units = request.periods, request.grid.generators
        low, high = np.zeros(len(units)), periods.available_mw[interval].copy()
        low[periods.must_take] = high[periods.must_take]
        low[resources.thermal] = 0.0
        high[resources.thermal] = resources.units.p_max_mw - resources.units.p_min_mw
        return low[part], high[part]

    def _columns(self, cost: float, low: Floats, high: Floats) -> Ints:
        live, steps = self.program.live, self.steps
        count = steps * len(low)
        added = live.add_columns(
            np.full(count, cost),
            np.tile(low, steps),
            np.tile(high, steps),
            csc_matrix((live.rows, count)),
        )
        return added.reshape(steps, len(low))

    def _balances(self, chain: Chain, island: Ints) -> None:
        """What the units change makes up for the lost ones, in each island and interval."""
        live, islands = self.program.live, resources_islands(self.program)
        lost, each = self.program.network.island[chain.lost_bus], np.arange(islands)
        rows = np.concatenate([island, island, lost, each, each])
        signs = np.array([1.0, -1.0, -1.0, 1.0, -1.0])
        values = signs.repeat([len(island), len(island), len(lost), islands, islands])
        needed: Floats = np.bincount(lost, chain.lost_base, islands).astype(np.float64)
        for power, shed, spill in zip(chain.power, chain.shed, chain.spill, strict=True):
            where = np.concatenate([power, chain.root, chain.lost, shed, spill])
            entries = coo_matrix((values, (rows, where)), (islands, live.columns)).tocsr()
            live.add_rows(needed, needed, entries)

    def label(self, chain: Chain, step: int, second: int = NO_SECOND) -> str:
        """The contingency of the results: outage, minutes since, and what is lost next."""
        request = self.program.request
        minutes = step * request.options.restoration.minutes
        first = request.outages[self.states.outages[chain.number].outage].id
        if second == NO_SECOND:
            return f"{first} +{minutes:g} min"
        return f"{first} +{minutes:g} min, {request.outages[self.states.second_outages[second]].id}"

    def flow_entries(
        self, chain: Chain, step: int, branch: int, second: int = NO_SECOND
    ) -> tuple[Ints, Floats, float, Floats]:
        """Columns and factors of a flow, what is fixed in it, and what each bus moves.

        Step 0 is right after the outage, with the root's dispatch.
        """
        program, state = self.program, self.states.outages[chain.number]
        lost, factors = state.branches, state.factors
        if second != NO_SECOND:
            lost, factors = self.states.both(chain.number, second)
        named = np.append(branch, lost)
        program.add_flows(np.full(len(named), chain.interval), named)
        by_flow = np.append(1.0, factors[branch])
        at_bus: Floats = by_flow @ program.transfer(named)
        where, values = [program.flow[chain.interval, named]], [by_flow]
        fixed = 0.0
        if step:
            by_unit = at_bus[program.request.grid.generators.bus[chain.units]]
            gone = at_bus[chain.lost_bus]
            where += [chain.power[step - 1], chain.root, chain.lost]
            values += [by_unit, -by_unit, -gone]
            fixed = -float(gone @ chain.lost_base)
            where += [chain.shed[step - 1], chain.spill[step - 1]]
            values += [at_bus @ program.load_share, -at_bus[program.network.reference]]
        elif len(state.units):
            by_unit = self._taken_over(chain.interval, state)
            column, base = unit_columns(program)
            on = program.running(chain.interval)[state.units]
            where.append(column[chain.interval, state.units[on]])
            values.append(by_unit[branch, on])
            fixed = float(by_unit[branch, on] @ base[state.units[on]])
        return np.concatenate(where), np.concatenate(values), fixed, at_bus

    def _taken_over(self, interval: int, state: AfterOutage) -> Floats:
        """What lost units' outputs do to the flows at once, when the others take them over."""
        left = self.program.running(interval)
        left[state.units] = False  # units that are lost together take over nothing
        found = self.program.factors.by_unit(left, state.units)
        return np.asarray(np.nan_to_num(found + state.factors @ found[state.branches]))

    def limit(
        self, number: int, step: int, branch: int, upper: bool, rate: float, second: int
    ) -> bool:
        """A limit of one flow of a chain, with a slack; whether it is new."""
        key = (number, step, branch, second, upper)
        if key in self.known:
            return False
        self.known.add(key)
        program, live, chain = self.program, self.program.live, self.chains[number]
        where, values, fixed, at_bus = self.flow_entries(chain, step, branch, second)
        penalty = program.request.options.penalties.outage_overload * program.request.periods.hours
        nothing = csc_matrix((live.rows, 1))
        slack = live.add_columns(np.array([penalty]), np.zeros(1), np.array([np.inf]), nothing)
        entries = one_row(
            np.append(where, slack), np.append(values, -1.0 if upper else 1.0), live.columns
        )
        low, high = (-np.inf, rate - fixed) if upper else (-rate - fixed, np.inf)
        row = int(live.add_rows(np.array([low]), np.array([high]), entries)[0])
        self.limits.append(
            ChainLimit(number, step, branch, second, upper, row, int(slack[0]), rate)
        )
        label = self.label(chain, step, second)
        self.parts.append(FlowPart(chain.interval, branch, label, row, at_bus))
        return True

    def at_once(self, chain: Chain, root: Floats, answer: Answer) -> Floats:
        """Flows right after the outage, shape (L,), from the root's in the intact network."""
        state = self.states.outages[chain.number]
        after = state.flows(root)
        if len(state.units):
            on = self.program.running(chain.interval)[state.units]
            power = np.zeros(len(state.units))
            power[on] = answer.values[chain.lost] + chain.lost_base
            after = after + self._taken_over(chain.interval, state) @ power
        return after

    def curvature(self, answer: Answer) -> list[Floats]:
        """How far quadratic costs are above their tangents, of each chain, weighted, USD."""
        quadratic, units = self.program.resources.quadratic, self.program.resources.units
        found = []
        for chain in self.chains:
            power, cost, place = self._curved(chain)
            at = answer.values[power] + units.p_min_mw[quadratic.units[place]]
            true = (quadratic.c2[place] * at + quadratic.c1[place]) * at + quadratic.c0[place]
            gap = np.maximum(true - answer.values[cost], 0.0)
            found.append(gap * share_of_interval(self.program))
        return found

    def add_tangents(self, answer: Answer, gaps: list[Floats]) -> None:
        """Touch the quadratic costs of the chains where they are far from their tangents."""
        quadratic, units = self.program.resources.quadratic, self.program.resources.units
        # Chains that joined since the answer have no gap yet.
        for chain, gap in zip(self.chains, gaps, strict=False):
            power, cost, place = self._curved(chain)
            k, unit = np.nonzero(gap > 0.0)
            at = np.zeros((len(k), len(quadratic.units)))
            each = np.arange(len(k))
            output = answer.values[power[k, unit]]
            at[each, place[unit]] = output + units.p_min_mw[quadratic.units[place[unit]]]
            slope, base = tangent(quadratic, units, at)
            place_of = (each, place[unit])
            add_lines(self.program, cost[k, unit], power[k, unit], slope[place_of], base[place_of])

    def _curved(self, chain: Chain) -> tuple[Ints, Ints, Ints]:
        """Of units with quadratic costs that count: outputs, costs, and which they are."""
        which = self.program.resources.quadratic.units
        committed = chain.thermal >= 0
        curved = np.isin(chain.thermal[committed], which)
        if not chain.cost.size:
            curved = np.zeros_like(curved)
        power = chain.power[:, committed][:, curved]
        cost = chain.cost[:, curved] if chain.cost.size else power
        return power, cost, np.searchsorted(which, chain.thermal[committed][curved])

    def injections(self, chain: Chain, root: Floats, answer: Answer) -> Floats:
        """Net injection in every interval of a chain, shape (K, n), MW, from the root's."""
        program, values = self.program, answer.values
        net = np.tile(root, (self.steps, 1))
        bus = program.request.grid.generators.bus[chain.units]
        np.add.at(net.T, bus, (values[chain.power] - values[chain.root]).T)
        np.add.at(net.T, chain.lost_bus, -(values[chain.lost] + chain.lost_base)[:, None])
        net += values[chain.shed] @ program.load_share.T
        np.add.at(net.T, program.network.reference, -values[chain.spill].T)
        return net


def unit_columns(program: SecurityProgram) -> tuple[Ints, Floats]:
    """The column of each unit's output, shape (T, units), and what it gives besides."""
    resources, units = program.resources, program.request.grid.generators
    columns = np.zeros((program.request.periods.count, len(units)), dtype=np.int64)
    columns[:, resources.thermal] = resources.above
    columns[:, resources.free_units] = resources.free
    minimum = np.zeros(len(units))
    minimum[resources.thermal] = resources.units.p_min_mw
    return columns, minimum


def resources_islands(program: SecurityProgram) -> int:
    """Number of islands of the intact network."""
    return int(program.load_share.shape[1])


def one_row(columns: Ints, values: Floats, width: int) -> csr_matrix:
    """One row of a program; factors that the solver would drop are left out."""
    kept = np.abs(values) > NEGLIGIBLE
    at = np.zeros(int(kept.sum()), dtype=np.int64)
    return coo_matrix((values[kept], (at, columns[kept])), (1, width)).tocsr()
