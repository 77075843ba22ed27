"""What solvers that are not Python answer: the result of an exchange bundle (docs/EXCHANGE.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from data_engineering.model.grid import Floats, Ints
from data_engineering.model.problem import Status

FORMAT, RESULT_FORMAT, VERSION = "lascopf-exchange", "lascopf-result", 1
METHODS = ("app", "joint")
"""Decomposed over intervals, or all intervals in one program; the first is the usual one."""


@dataclass(frozen=True, eq=False)
class AnswerFacts:
    """result.json: how a request was answered.

    Attributes:
        objective: USD of the reported intervals; `total` and `bound` of all. NaN: not known.
        residuals: by name, in their units.
        left_out: outages that split the network.
    """

    request_id: str
    status: Status
    objective: float
    bound: float
    total: float
    solver: str
    solver_version: str
    julia_version: str
    threads: int
    seconds: float
    iterations: int
    residuals: Mapping[str, float]
    notes: tuple[str, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class OutageRows:
    """Limits after outages that bind or are broken, one row each.

    Attributes:
        interval, outage, branch: positions, from 0; shape (rows,).
        flow_mw, excess_mw: MW; shadow_price: USD/MWh.
    """

    interval: Ints
    outage: Ints
    branch: Ints
    flow_mw: Floats
    excess_mw: Floats
    shadow_price: Floats


@dataclass(frozen=True, eq=False)
class Answer:
    """The tables of a result as arrays, first axis the interval (T, look-ahead included).

    Powers in MW, energies in MWh, angles in radians, prices in USD/MWh, `cost_usd` in USD of the
    interval with its penalties. `history` has a column for each of history.csv.
    """

    power: Floats
    reserve_up: Floats
    reserve_down: Floats
    charge: Floats
    discharge: Floats
    energy: Floats
    angle: Floats
    shed: Floats
    over: Floats
    price: Floats
    flow: Floats
    overload: Floats
    shadow: Floats
    dc_flow: Floats
    up_short: Floats
    down_short: Floats
    reserve_price: Floats
    cost_usd: Floats
    outages: OutageRows
    history: Mapping[str, Floats]
