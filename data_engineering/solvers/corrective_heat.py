"""The temperature of a line after an outage, as rows of the chains' program.

Normalised so that 1 is what the continuous rating A reaches in the end:

    y[k+1] >= e^(-dt/tau) y[k] + (1 - e^(-dt/tau)) (flow[k] / A)^2,    y <= 1

from y[0] = (flow of the intact root / A)^2 on. The squares are columns above their tangents, which
are added where the answers stand.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import coo_matrix, csc_matrix

from data_engineering.model.grid import Floats, Ints
from data_engineering.solvers.corrective_chains import Chains, FlowPart, one_row
from data_engineering.solvers.live_program import Answer

ACCURACY = 1e-6
"""Of a normalised temperature."""


@dataclass(frozen=True, eq=False)
class Heated:
    """One line of one chain: columns of flows and squares, root first, then steps 0, 1, ..."""

    chain: int
    branch: int
    flow: Ints
    square: Ints
    slack: Ints
    rows: Ints


@dataclass(eq=False)
class Heat:
    """All temperatures in a program."""

    chains: Chains
    lines: list[Heated] = field(default_factory=list)
    known: set[tuple[int, int]] = field(default_factory=set)

    @property
    def kept(self) -> float:
        """Share of a temperature that is left after an interval: e^(-dt/tau)."""
        restoration = self.chains.program.request.options.restoration
        return float(np.exp(-restoration.minutes / restoration.thermal_minutes))

    @property
    def steps(self) -> int:
        """Intervals in which temperature is the limit."""
        return self.chains.program.request.options.restoration.redispatch_intervals

    def after(self, squares: Floats) -> Floats:
        """Temperatures after steps 0, 1, ..., from squares of root and steps on the last axis."""
        return np.asarray(squares @ self._response().T)

    def _response(self) -> Floats:
        """y[1..RND] per square of root and steps 0..RND-1, shape (RND, RND + 1)."""
        n, j = np.arange(1, self.steps + 1)[:, None], np.arange(self.steps)
        by_step = np.where(j < n, (1.0 - self.kept) * self.kept ** np.maximum(n - 1 - j, 0), 0.0)
        return np.column_stack([self.kept ** n[:, 0], by_step])

    def add(self, number: int, branch: int) -> bool:
        """Keep one line of one chain at its temperature; whether it was not yet."""
        if (number, branch) in self.known:
            return False
        self.known.add((number, branch))
        chains, program = self.chains, self.chains.program
        live, chain, count = program.live, chains.chains[number], self.steps + 1
        grid, request = program.request.grid, program.request
        rate, hours = float(grid.branches.rate_a_mva[branch]), request.periods.hours
        none = csc_matrix((live.rows, count))
        infinite, zero = np.full(count, np.inf), np.zeros(count)
        flow = live.add_columns(zero, -infinite, infinite, none)
        square = live.add_columns(zero, zero, infinite, none)
        program.add_flows(np.array([chain.interval]), np.array([branch]))
        intact = program.flow[chain.interval, [branch]]
        found = [(intact, np.ones(1), 0.0, program.transfer(np.array([branch]))[0])]
        found += [chains.flow_entries(chain, step, branch) for step in range(self.steps)]
        for column, (where, values, fixed, at_bus) in zip(flow, found, strict=True):
            entries = one_row(np.append(where, column), np.append(values, -1.0), live.columns)
            given = np.array([-fixed])
            row = int(live.add_rows(given, given, entries)[0])
            label = chains.label(chain, 0)
            chains.parts.append(FlowPart(chain.interval, branch, label, row, at_bus))
        # At y = 1 one MW more makes 2 / A of temperature: a slack costs what the overload would.
        price = request.options.penalties.outage_overload * hours * rate / 2.0
        steps = self.steps
        none = csc_matrix((live.rows, steps))
        slack = live.add_columns(
            np.full(steps, price), np.zeros(steps), np.full(steps, np.inf), none
        )
        values = np.column_stack([self._response(), -np.eye(steps)])
        where = np.tile(np.concatenate([square, slack]), (steps, 1))
        at = np.repeat(np.arange(steps), where.shape[1])
        entries = coo_matrix((values.ravel(), (at, where.ravel())), (steps, live.columns)).tocsr()
        rows = live.add_rows(np.full(steps, -np.inf), np.ones(steps), entries)
        self.lines.append(Heated(number, branch, flow, square, slack, rows))
        return True

    def temperatures(self, line: Heated, answer: Answer) -> Floats:
        """y[1..RND] of the flows in an answer."""
        rate = self.chains.program.request.grid.branches.rate_a_mva[line.branch]
        return self.after((answer.values[line.flow] / rate) ** 2)

    def refine(self, answer: Answer, known: int) -> float:
        """Touch the squares of the first `known` lines where they are too low; the worst by MW."""
        worst, live = 0.0, self.chains.program.live
        for line in self.lines[:known]:
            excess = self.temperatures(line, answer) - 1.0 - answer.values[line.slack]
            if excess.max() <= ACCURACY:
                continue
            rate = self.chains.program.request.grid.branches.rate_a_mva[line.branch]
            worst = max(worst, float(excess.max()) * rate / 2.0)
            at = answer.values[line.flow]
            count = len(at)
            row = np.arange(count)
            entries = coo_matrix(
                (
                    np.concatenate([np.ones(count), -2.0 * at / rate**2]),
                    (np.tile(row, 2), np.concatenate([line.square, line.flow])),
                ),
                (count, live.columns),
            ).tocsr()
            live.add_rows(-((at / rate) ** 2), np.full(count, np.inf), entries)
        return worst
