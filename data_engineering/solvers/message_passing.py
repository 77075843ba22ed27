"""DC dispatch of one interval by proximal message passing between devices and nets.

Units, loads and branches are devices; each of their terminals holds a power and an angle. A net (a
bus) makes the powers of its terminals sum to zero and their angles equal. Every round each device
finds its nearest best answer to what its nets say, and each net averages. Source: Kraning, Chu,
Lavaei and Boyd, Dynamic Network Energy Management via Proximal Message Passing, Foundations and
Trends in Optimization 1 (2013).

Powers are in p.u. on 100 MVA, positive into the device; costs in units of the greatest marginal
cost, so that the dual residual is relative to that price.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from data_engineering.model.grid import Floats, Ints

PRIMAL, DUAL = 1e-4, 1e-3
"""Largest 2-norms of the residuals over all terminals at the end, p.u."""
TELL_EVERY = 500
BALANCE_EVERY, BALANCE_UNTIL, RATIO = 50, 4_000, 5.0
"""The step follows the residuals every so many rounds, for so long, when they differ so much."""


ANGLE_SHARE = 0.1
"""Weight of angles by that of the flows they drive; found by trial on PGLib cases."""


@dataclass(frozen=True, eq=False)
class Units:
    """Units as devices of one terminal; g of them, cost in pieces or quadratic.

    Attributes:
        bus: shape (g,).
        low, high: output, shape (g,), p.u.
        start, width, slope: pieces of the costs, shape (g, K); slope per p.u.
        half: curvature; 0 for a cost in pieces, shape (g,).
    """

    bus: Ints
    low: Floats
    high: Floats
    start: Floats
    width: Floats
    slope: Floats
    half: Floats

    def nearest(self, wish: Floats, step: float) -> Floats:
        """Outputs of least `cost(P) + step / 2 (P - wish)^2`."""
        top = self.start + self.width
        # A unit with a quadratic cost has one piece, from its least to its greatest output.
        free = (step * wish[:, None] - self.slope) / (step + self.half[:, None])
        choices = np.clip(free, self.start, top)
        risen = np.cumsum(self.slope * self.width, axis=1) - self.slope * self.width
        cost = risen + self.slope * (choices - self.start)
        cost += 0.5 * self.half[:, None] * (choices**2 - self.start**2)
        value = cost + 0.5 * step * (choices - wish[:, None]) ** 2
        value[:, 1:][self.width[:, 1:] <= 0.0] = np.inf
        best = np.argmin(value, axis=1)
        return np.asarray(np.clip(choices[np.arange(len(wish)), best], self.low, self.high))


@dataclass(frozen=True, eq=False)
class Wires:
    """Branches as devices of two terminals: `flow = slope (angle_from - angle_to) + shift`, p.u."""

    from_bus: Ints
    to_bus: Ints
    slope: Floats
    shift: Floats
    rate: Floats

    def nearest(
        self, power: Floats, angle: Floats, step: float, turn: float
    ) -> tuple[Floats, Floats, Floats]:
        """Flows and angles at both ends nearest to wishes, shape (2, L), and the limits' prices.

        `step` weighs powers and `turn` angles.
        """
        mean, apart = angle.mean(axis=0), angle[0] - angle[1]
        by_angle = turn / (2.0 * self.slope**2)
        aim = step * (power[0] - power[1]) + by_angle * (self.shift + self.slope * apart)
        whole = 2.0 * step + by_angle
        free = aim / whole
        flow = np.clip(free, -self.rate, self.rate)
        half = (flow - self.shift) / self.slope / 2.0
        return flow, np.stack([mean + half, mean - half]), whole * (free - flow)


@dataclass(frozen=True, eq=False)
class Agreement:
    """Where the messages came to rest.

    Attributes:
        power: of the units, shape (g,); flow: shape (L,); p.u.
        price: of one p.u. more at each bus, shape (n,); limit: of each rating, shape (L,),
            positive where the flow is at its upper limit.
        history: primal and dual residual of every round, shape (rounds, 2).
        imbalance: what the devices at each bus leave over, shape (n,), p.u.
    """

    power: Floats
    flow: Floats
    price: Floats
    limit: Floats
    history: Floats
    imbalance: Floats
    converged: bool


@dataclass(frozen=True, eq=False)
class Interval:
    """One interval: units, loads (bus, demand in p.u., price of not serving it) and branches."""

    units: Units
    load_bus: Ints
    demand: Floats
    shed_price: float
    wires: Wires
    buses: int


class Exchange:
    """Devices and nets between two rounds; prices and pulls are in units of the step.

    Terminals are in the order units, loads, from ends, to ends.
    """

    def __init__(self, interval: Interval) -> None:
        units, wires = interval.units, interval.wires
        self.interval, self.step = interval, 1.0
        parts = (units.bus, interval.load_bus, wires.from_bus, wires.to_bus)
        self.bus = np.concatenate(parts)
        self.parts = np.cumsum([len(part) for part in parts])[:-1]
        self.count = np.bincount(self.bus, minlength=interval.buses).astype(np.float64)
        slope = wires.slope if len(wires.slope) else np.ones(1)
        self.ratio = ANGLE_SHARE * float(np.median(slope**2))
        self.power, self.pull = np.zeros(len(self.bus)), np.zeros(len(self.bus))
        self.price, self.angle = np.zeros(interval.buses), np.zeros(interval.buses)
        self.left = np.zeros(interval.buses)
        self.limit = np.zeros(len(wires.slope))

    def round(self) -> tuple[float, float]:
        """Every device, then every net, once; the primal and the dual residual."""
        bus, interval = self.bus, self.interval
        wish = self.power - (self.left + self.price)[bus]
        turned = self.angle[bus] - self.pull
        made, served, *ends = np.split(wish, self.parts)
        made = interval.units.nearest(-made, self.step)
        most = interval.demand
        served = np.clip(served + interval.shed_price / self.step, np.minimum(most, 0.0), most)
        flow, at_ends, self.limit = interval.wires.nearest(
            np.stack(ends),
            np.stack(np.split(turned, self.parts)[2:]),
            self.step,
            self.step * self.ratio,
        )
        now = np.concatenate([-made, served, flow, -flow])
        held = np.concatenate([turned[: self.parts[1]], at_ends.ravel()])
        left, angle = self._mean(now), self._mean(held)
        apart = held - angle[bus]
        self.price += left
        self.pull += apart
        moved = now - left[bus] - self.power + self.left[bus]
        turn = (angle - self.angle)[bus]
        self.power, self.angle, self.left = now, angle, left
        return self._size(left[bus], apart), self.step * self._size(moved, turn)

    def rescale(self, change: float) -> None:
        """Another step; prices in USD stay."""
        self.step *= change
        self.price /= change
        self.pull /= change

    def _mean(self, values: Floats) -> Floats:
        total = np.bincount(self.bus, values, len(self.count))
        return np.asarray(total / np.maximum(self.count, 1.0))

    def _size(self, power: Floats, angle: Floats) -> float:
        """2-norm of powers and of angles, which weigh as the flows they drive."""
        return float(np.sqrt(power @ power + self.ratio * (angle @ angle)))


def pass_messages(
    interval: Interval, most: int, progress: Callable[[str], None] | None = None
) -> Agreement:
    """Exchange messages until devices and nets agree, or `most` rounds are over."""
    exchange, history = Exchange(interval), []
    for number in range(1, most + 1):
        primal, dual = exchange.round()
        history.append((primal, dual))
        if primal <= PRIMAL and dual <= DUAL:
            break
        if progress is not None and number % TELL_EVERY == 0:
            progress(f"round {number}: residuals {primal:.2e} and {dual:.2e} p.u.")
        if number % BALANCE_EVERY == 0 and number <= BALANCE_UNTIL:
            if primal > RATIO * dual:
                exchange.rescale(2.0)
            elif dual > RATIO * primal:
                exchange.rescale(0.5)
    made, _, flow, _ = np.split(exchange.power, exchange.parts)
    return Agreement(
        power=-made,
        flow=flow,
        price=exchange.step * exchange.price,
        limit=exchange.limit,
        history=np.array(history),
        imbalance=exchange.left * exchange.count,
        converged=primal <= PRIMAL and dual <= DUAL,
    )
