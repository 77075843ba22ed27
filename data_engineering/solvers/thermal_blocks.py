"""The blocks of committed units in a dispatch: outputs, costs, reserves, runs and ramps."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from data_engineering.model.grid import Flags, Floats, Ints
from data_engineering.model.problem import Periods
from data_engineering.solvers.interval_links import Links
from data_engineering.solvers.linear import LinearProgram, Term
from data_engineering.solvers.units import QuadraticCosts, ThermalUnits

ROUNDING_MW = 1e-6
"""What an output may be off by, as a solver left it."""
FIRST_TANGENTS = 5
"""Points of a quadratic cost at which it is touched before the first solve."""


class Pieces(NamedTuple):
    """How the costs above the minima are made of straight pieces.

    Attributes:
        slope: of the units whose cost is one straight line, 0 of others, shape (n,).
        units: those of several pieces, shape (m,).
        owner, width, rise: of all their pieces that have width: place of the unit in `units`, MW,
            USD/MW.
    """

    slope: Floats
    units: Ints
    owner: Ints
    width: Floats
    rise: Floats


def add_thermal(
    program: LinearProgram,
    periods: Periods,
    units: ThermalUnits,
    quadratic: QuadraticCosts,
    pieces: Pieces,
    state: Flags | None,
    links: Links,
    rows: Ints,
) -> dict[str, Ints]:
    """Committed units: cost above the minimum, reserves, limits of runs, ramps.

    Args:
        program: gets the blocks.
        periods: intervals in the order of the slots.
        units: what is committed; its costs are `quadratic` or `pieces`.
        quadratic: of `units`.
        pieces: of `units`.
        state: which of them run, shape (T, n); None where that is a fraction to be found.
        links: of the slots.
        rows: of the units among the grid's generators.

    Returns:
        Column numbers by the names of `Resources`.
    """
    shape = (periods.count, len(units))
    span = units.p_max_mw - units.p_min_mw
    blocks: dict[str, Ints] = {}
    if state is None:
        base = units.cost_usd[:, 0].copy()
        base[quadratic.units] = 0.0
        blocks["on"] = program.variables(shape, 0.0, 1.0, base)
    running = np.ones(shape) if state is None else state.astype(np.float64)
    room = span * running if state is None else _room(units, state, links)
    low, high = np.zeros(shape), room.copy()
    if periods.before_mw is not None:
        low[links.first], high[links.first] = _after(
            periods.before_mw[rows], units, room[links.first], running[links.first] > 0.0
        )
    above = program.variables(shape, low, high, pieces.slope)
    owner = pieces.units[pieces.owner]
    size = pieces.width * running[:, owner]
    segments = program.variables(size.shape, 0.0, size, pieces.rise)
    if segments.size:
        parts = above[:, pieces.units]
        whole = program.rows(parts.shape, [(parts, 1.0)], 0.0, 0.0)
        program.add_entries(whole[:, pieces.owner], segments, -1.0)
    blocks |= {"above": above, "segments": segments}
    blocks["curved"] = _curved(program, periods, units, quadratic, blocks, running)
    blocks |= _held(program, periods, units, above, running, room)
    if state is None:
        _fractions(program, units, blocks, owner, pieces.width, span)
    _ramps(program, units, span, above, blocks["up"], links)
    return blocks


def cost_pieces(units: ThermalUnits, quadratic: QuadraticCosts) -> Pieces:
    """How the costs of units are made of straight pieces."""
    width, slope = units.pieces()
    straight = (np.delete(width, 0, axis=1) == 0.0).all(axis=1)
    straight[quadratic.units] = False
    several = np.setdiff1d(np.flatnonzero(~straight), quadratic.units)
    owner, piece = np.nonzero(width[several] > 0.0)
    place = several[owner], piece
    return Pieces(np.where(straight, slope[:, 0], 0.0), several, owner, width[place], slope[place])


def _curved(
    program: LinearProgram,
    periods: Periods,
    units: ThermalUnits,
    quadratic: QuadraticCosts,
    blocks: dict[str, Ints],
    running: Floats,
) -> Ints:
    """Costs of quadratic units, above the tangents at a few outputs."""
    which = quadratic.units
    cost = program.variables((periods.count, len(which)), -np.inf, np.inf, 1.0)
    if not len(which):
        return cost
    for share in np.linspace(0.0, 1.0, FIRST_TANGENTS):
        at = units.p_min_mw[which] + share * (units.p_max_mw - units.p_min_mw)[which]
        slope, base = tangent(quadratic, units, at)
        terms: list[Term] = [(cost, 1.0), (blocks["above"][:, which], -slope)]
        lower = base * running[:, which]
        if "on" in blocks:
            terms.append((blocks["on"][:, which], -base))
            lower = np.zeros_like(lower)
        program.rows(cost.shape, terms, lower, np.inf)
    return cost


def tangent(
    quadratic: QuadraticCosts, units: ThermalUnits, power_mw: Floats
) -> tuple[Floats, Floats]:
    """Slope of the tangents at some outputs, and their height at the units' minima."""
    slope: Floats = 2.0 * quadratic.c2 * power_mw + quadratic.c1
    base: Floats = quadratic.at(power_mw) - slope * (power_mw - units.p_min_mw[quadratic.units])
    return slope, base


def _held(
    program: LinearProgram,
    periods: Periods,
    units: ThermalUnits,
    above: Ints,
    running: Floats,
    room: Floats,
) -> dict[str, Ints]:
    """Reserve of running units, where any is asked for."""
    blocks: dict[str, Ints] = {}
    for name, asked in (("up", periods.reserve_up_mw), ("down", periods.reserve_down_mw)):
        wanted = bool(asked.any())
        shape = (periods.count, len(units) if wanted else 0)
        most = units.reserve_max_mw * running if wanted else 0.0
        held = program.variables(shape, 0.0, most)
        if wanted and name == "up":
            program.rows(shape, [(above, 1.0), (held, 1.0)], -np.inf, room)
        elif wanted:
            program.rows(shape, [(held, 1.0), (above, -1.0)], -np.inf, 0.0)
        blocks[name] = held
    return blocks


def _fractions(
    program: LinearProgram,
    units: ThermalUnits,
    blocks: dict[str, Ints],
    unit: Ints,
    most: Floats,
    span: Floats,
) -> None:
    """Limits of units whose state is a fraction."""
    on, above, segments = blocks["on"], blocks["above"], blocks["segments"]
    up = [(blocks["up"], 1.0)] if blocks["up"].size else []
    program.rows(above.shape, [(above, 1.0), (on, -span), *up], -np.inf, 0.0)
    if segments.size:
        limit = [(segments, 1.0), (on[:, unit], -most)]
        program.rows(segments.shape, limit, -np.inf, 0.0)
    for held in (blocks["up"], blocks["down"]):
        if held.size:
            reach = [(held, 1.0), (on, -units.reserve_max_mw)]
            program.rows(held.shape, reach, -np.inf, 0.0)


def _ramps(
    program: LinearProgram, units: ThermalUnits, span: Floats, above: Ints, up: Ints, links: Links
) -> None:
    """Changes from one interval to the next; a ramp as wide as the unit's range never binds."""
    slow = np.flatnonzero(units.ramp_up_mw < span)
    before, after = above[links.earlier], above[links.later]
    rise: list[Term] = [(after[:, slow], 1.0), (before[:, slow], -1.0)]
    if up.size:
        rise.append((up[links.later][:, slow], 1.0))
    most = links.where_on(units.ramp_up_mw[slow], span[slow])
    program.rows(after[:, slow].shape, rise, -np.inf, most)
    slow = np.flatnonzero(units.ramp_down_mw < span)
    fall: list[Term] = [(before[:, slow], 1.0), (after[:, slow], -1.0)]
    most = links.where_on(units.ramp_down_mw[slow], span[slow])
    program.rows(after[:, slow].shape, fall, -np.inf, most)


def _after(
    before_mw: Floats, units: ThermalUnits, room: Floats, running: Flags
) -> tuple[Floats, Floats]:
    """Outputs above the minima that the ramps from the realised dispatch leave, shape (n,) each.

    A unit that was below its minimum was off: it starts, or is stopped, freely.
    """
    bound = np.isfinite(before_mw) & (before_mw >= units.p_min_mw - ROUNDING_MW) & running
    # To nine digits: HiGHS warns of bounds that are all but zero.
    level = np.where(bound, np.maximum(np.round(before_mw - units.p_min_mw, 9), 0.0), 0.0)
    low = np.where(bound, np.maximum(level - units.ramp_down_mw, 0.0), 0.0)
    high = np.where(bound, np.minimum(room, level + units.ramp_up_mw), room)
    # Bounds that cross by rounding are one number.
    return np.where(low - high <= ROUNDING_MW, np.minimum(low, high), low), high


def _room(units: ThermalUnits, on: Flags, links: Links) -> Floats:
    """Greatest output above the minimum, shape (T, n): less where a run begins or ends."""
    span = units.p_max_mw - units.p_min_mw
    room = np.where(links.begins(on), units.start_ramp_mw - units.p_min_mw, span)
    room = np.where(links.ends(on), np.minimum(room, units.stop_ramp_mw - units.p_min_mw), room)
    kept: Floats = np.where(on, room, 0.0)
    return kept
