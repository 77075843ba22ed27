"""Where the agents of the decomposed method stand, and how the program is cut for them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from data_engineering.model.grid import Flags, Floats, Ints
from data_engineering.model.problem import SolveRequest
from data_engineering.solvers.dc_network import DcNetwork
from data_engineering.solvers.decomposition_agents import (
    Curves,
    Partition,
    RecordedProgram,
    partition,
)
from data_engineering.solvers.live_program import Answer
from data_engineering.solvers.outage_factors import OutageFactors
from data_engineering.solvers.security_build import security_program
from data_engineering.solvers.security_program import SecurityProgram

PER_UNIT_MW = 100.0
"""Steps and tolerance are in p.u. on this base, whatever the grid's."""


@dataclass(frozen=True)
class Iteration:
    """One round of all agents: cost, USD; disagreement and movement, p.u.; seconds."""

    objective: float
    disagreement: float
    movement: float
    seconds: float


@dataclass(eq=False)
class Consensus:
    """Where the agents stand.

    Attributes:
        values: what the owners decided, every column of the whole program.
        beliefs: what the holders believe, one for each link.
        price: of each link's disagreement, USD/p.u.
        duals: of every row, as the agents found them.
        scale: of the steps of the request, as they are now.
    """

    program: SecurityProgram
    recorded: RecordedProgram
    curves: Curves
    values: Floats
    beliefs: Floats
    price: Floats
    duals: Floats
    scale: float = 1.0
    history: list[Iteration] = field(default_factory=list)

    def answer(self) -> Answer:
        """As a solver of the whole program would give it."""
        return Answer("optimal", self.objective(), self.values, self.duals)

    def total_usd(self) -> float:
        """Cost of the owners' decisions."""
        return self.objective() + self.constant_usd()

    def constant_usd(self) -> float:
        """Cost that no column carries: of minima and starts."""
        resources = self.program.resources
        if resources.state is None:
            return self.program.constant_usd
        which = resources.quadratic.units
        least = resources.quadratic.at(resources.units.p_min_mw[which])
        return self.program.constant_usd + float((resources.state[:, which] * least).sum())

    def objective(self) -> float:
        """The same without what no column carries."""
        x = self.values[self.curves.columns]
        curved = (0.5 * self.curves.half * x + self.curves.slope) * x
        straight = np.delete(self.recorded.cost * self.values, self.curves.replaced)
        return float(straight.sum() + curved.sum())


def begin(
    request: SolveRequest, network: DcNetwork, factors: OutageFactors, directions: Flags | None
) -> Consensus:
    """The program, written down instead of given to a solver, and agents that know nothing."""
    program = security_program(request, network, factors, directions)
    recorded = RecordedProgram(program.program)
    program.live = recorded
    values = np.where(np.isfinite(recorded.lower), recorded.lower, 0.0)
    return Consensus(
        program=program,
        recorded=recorded,
        curves=_curves(program),
        values=values,
        beliefs=np.zeros(0),
        price=np.zeros(0),
        duals=np.zeros(recorded.rows),
    )


def _curves(program: SecurityProgram) -> Curves:
    """Quadratic costs of the outputs above the minima, instead of their tangents."""
    resources = program.resources
    quadratic, which = resources.quadratic, resources.quadratic.units
    columns = resources.above[:, which]
    slope = 2.0 * quadratic.c2 * resources.units.p_min_mw[which] + quadratic.c1
    return Curves(
        columns=columns.ravel(),
        half=np.broadcast_to(2.0 * quadratic.c2, columns.shape).ravel(),
        slope=np.broadcast_to(slope, columns.shape).ravel(),
        replaced=resources.curved.ravel(),
    )


def cut(common: Consensus) -> Partition:
    """The agents' programs with all limits that are known by now."""
    program, recorded = common.program, common.recorded
    count = program.request.periods.count
    weight = program.request.options.decomposition.beta * common.scale / PER_UNIT_MW**2
    parts = partition(recorded, _interval(program), count, common.curves, weight)
    for name, size in (("values", recorded.columns), ("duals", recorded.rows)):
        old = getattr(common, name)
        setattr(common, name, np.concatenate([old, np.zeros(size - len(old))]))
    if len(common.beliefs) != len(parts.links.column):
        common.beliefs = common.values[parts.links.column]
        common.price = np.zeros(len(parts.links.column))
    return parts


def _interval(program: SecurityProgram) -> Ints:
    """The interval of every column."""
    found = np.zeros(program.live.columns, dtype=np.int64)
    grown = (program.flow, program.shed, program.over)
    for block in (*program.program.column_blocks, *grown):
        number = np.arange(len(block)).reshape(-1, *[1] * (block.ndim - 1))
        there = block >= 0
        found[block[there]] = np.broadcast_to(number, block.shape)[there]
    found[program.limits.slack] = program.limits.interval
    return found


def start_from_before(common: Consensus, parts: Partition) -> None:
    """All agents begin from the realised dispatch."""
    program, resources = common.program, common.program.resources
    before = program.request.periods.before_mw
    if before is None:
        return
    for columns, power in (
        (resources.above, before[resources.thermal] - resources.units.p_min_mw),
        (resources.free, before[resources.free_units]),
    ):
        known = np.broadcast_to(np.nan_to_num(power), columns.shape)
        low, high = common.recorded.lower[columns], common.recorded.upper[columns]
        common.values[columns] = np.clip(known, low, high)
    first = program.request.grid.storages.energy_initial_mwh
    common.values[resources.energy] = np.broadcast_to(first, resources.energy.shape)
    common.beliefs = common.values[parts.links.column]


def differences(common: Consensus, parts: Partition) -> Floats:
    """What the owners decided less what the holders believe, p.u."""
    differ: Floats = (common.values[parts.links.column] - common.beliefs) / PER_UNIT_MW
    return differ
