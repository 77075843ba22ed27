"""Production costs in the chains, where they count: columns above their pieces and tangents."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix, csc_matrix

from data_engineering.model.grid import Floats, Ints
from data_engineering.solvers.resources import FIRST_TANGENTS, tangent
from data_engineering.solvers.security_program import SecurityProgram


def share_of_interval(program: SecurityProgram) -> float:
    """What one USD of a root's interval is in an interval of a chain, times the weight."""
    restoration, periods = program.request.options.restoration, program.request.periods
    return restoration.weight * restoration.minutes / periods.minutes


def add_costs(program: SecurityProgram, power: Ints, which: Ints) -> Ints:
    """Columns of the costs of committed units, USD of a root's interval, shape of `power`.

    Args:
        program: of the roots.
        power: columns of outputs above the minima, shape (K, u).
        which: the units among the committed ones, shape (u,).
    """
    if not power.size:
        return power
    live, units, quadratic = program.live, program.resources.units, program.resources.quadratic
    infinite = np.full(power.size, np.inf)
    price = np.full(power.size, share_of_interval(program))
    cost = live.add_columns(price, -infinite, infinite, csc_matrix((live.rows, power.size)))
    cost = cost.reshape(power.shape)
    width, slope = units.pieces()
    curved = np.isin(which, quadratic.units)
    for piece in range(width.shape[1]):
        # The first piece stays where it has no width: a unit of one output still has its cost.
        used = np.flatnonzero(~curved & ((width[which, piece] > 0.0) | (piece == 0)))
        unit = which[used]
        start = units.cost_mw[unit, piece] - units.p_min_mw[unit]
        base = units.cost_usd[unit, piece] - slope[unit, piece] * start
        add_lines(program, cost[:, used], power[:, used], slope[unit, piece], base)
    used = np.flatnonzero(curved)
    place = np.searchsorted(quadratic.units, which[used])
    for share in np.linspace(0.0, 1.0, FIRST_TANGENTS):
        at = units.p_min_mw + share * (units.p_max_mw - units.p_min_mw)
        steep, base = tangent(quadratic, units, at[quadratic.units])
        add_lines(program, cost[:, used], power[:, used], steep[place], base[place])
    return cost


def add_lines(
    program: SecurityProgram, cost: Ints, power: Ints, slope: Floats, base: Floats
) -> None:
    """Rows `cost - slope power >= base`; slopes and bases broadcast to the shape of the columns."""
    live, count = program.live, cost.size
    if not count:
        return
    row = np.arange(count)
    steep = np.broadcast_to(slope, cost.shape).ravel()
    values = np.concatenate([np.ones(count), -steep])
    where = np.concatenate([cost.ravel(), power.ravel()])
    kept = np.abs(values) > 1e-9
    entries = coo_matrix(
        (values[kept], (np.tile(row, 2)[kept], where[kept])), (count, live.columns)
    )
    low = np.broadcast_to(base, cost.shape).ravel()
    live.add_rows(low, np.full(count, np.inf), entries.tocsr())
