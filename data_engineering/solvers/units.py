"""Thermal units and stores as the arrays that the commitment and the dispatch share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_engineering.model.grid import Flags, Floats, Grid, Ints

NOT_THERMAL = ("WIND", "PV", "RTPV", "HYDRO", "CSP", "SYNC_COND")
CHORDS = 8
"""Straight pieces that stand for a quadratic cost in the unit commitment."""
RESERVE_MINUTES = 10.0
"""Reserve is what a running unit can reach within this time (spinning reserve)."""


@dataclass(frozen=True, eq=False)
class ThermalUnits:
    """Units that are committed; n of them, K cost points, S start categories.

    Attributes:
        p_min_mw, p_max_mw: limits while on, shape (n,).
        ramp_up_mw, ramp_down_mw: change from one interval to the next, shape (n,).
        start_ramp_mw, stop_ramp_mw: greatest output in the first and last interval on.
        reserve_max_mw: greatest reserve in either direction, shape (n,).
        min_up, min_down: intervals, shape (n,).
        cost_mw, cost_usd: points of the cost of one interval, shape (n, K).
        start_after: intervals off after which each start category applies, shape (n, S), rising.
        start_cost_usd: shape (n, S).
        on, since: state before the first interval and for how many intervals, shape (n,);
            None where the first interval is free.
        p_mw: output before the first interval, shape (n,); None with `on`.
        must_run: shape (n,).
    """

    p_min_mw: Floats
    p_max_mw: Floats
    ramp_up_mw: Floats
    ramp_down_mw: Floats
    start_ramp_mw: Floats
    stop_ramp_mw: Floats
    reserve_max_mw: Floats
    min_up: Ints
    min_down: Ints
    cost_mw: Floats
    cost_usd: Floats
    start_after: Ints
    start_cost_usd: Floats
    must_run: Flags
    on: Flags | None = None
    since: Ints | None = None
    p_mw: Floats | None = None

    def __len__(self) -> int:
        return len(self.p_min_mw)

    def pieces(self) -> tuple[Floats, Floats]:
        """Width and slope of the pieces of each cost, shape (n, K - 1), MW and USD/MW.

        A piece of no width has no slope.
        """
        width, rise = np.diff(self.cost_mw, axis=1), np.diff(self.cost_usd, axis=1)
        return width, np.divide(rise, width, out=np.zeros_like(rise), where=width > 0.0)


@dataclass(frozen=True, eq=False)
class System:
    """What the committed units serve, T intervals.

    Attributes:
        demand_mw, reserve_up_mw, reserve_down_mw: shape (T,).
        free_min_mw, free_max_mw: units that need no commitment, shape (T, m).
        charge_max_mw, discharge_max_mw, discharge_min_mw, energy_max_mwh, energy_first_mwh,
        charge_efficiency, discharge_efficiency, store_start_usd: stores, shape (s,).
        inflow_mw: shape (T, s).
        hours: length of an interval.
    """

    demand_mw: Floats
    reserve_up_mw: Floats
    reserve_down_mw: Floats
    free_min_mw: Floats
    free_max_mw: Floats
    charge_max_mw: Floats
    discharge_max_mw: Floats
    discharge_min_mw: Floats
    energy_max_mwh: Floats
    energy_first_mwh: Floats
    charge_efficiency: Floats
    discharge_efficiency: Floats
    store_start_usd: Floats
    inflow_mw: Floats
    hours: float


def thermal_rows(grid: Grid) -> Ints:
    """Rows of the grid's generators that are committed."""
    units = grid.generators
    return np.flatnonzero(units.in_service & ~np.isin(units.kind, NOT_THERMAL))


def thermal_units(grid: Grid, hours: float) -> ThermalUnits:
    """The committed units of a grid for intervals of `hours`; the first interval is free.

    A unit starts at and stops from its minimum, as PGLib-UC has it. Times are rounded up to whole
    intervals. A start category that needs fewer hours off than the minimum down time is the
    one that applies right after it.
    """
    rows, units = thermal_rows(grid), grid.generators
    ramp = units.ramp_mw_per_min[rows] * 60.0 * hours
    p_min, p_max = units.p_min_mw[rows], units.p_max_mw[rows]
    min_down = _intervals(units.min_down_h[rows], hours)
    after = np.maximum(_intervals(units.start_after_h[rows], hours), min_down[:, None])
    headroom = np.minimum(units.ramp_mw_per_min[rows] * RESERVE_MINUTES, p_max - p_min)
    cost_mw, cost_usd = _cost_points(grid, rows)
    return ThermalUnits(
        p_min_mw=p_min,
        p_max_mw=p_max,
        ramp_up_mw=ramp,
        ramp_down_mw=ramp,
        start_ramp_mw=p_min,
        stop_ramp_mw=p_min,
        reserve_max_mw=headroom,
        min_up=_intervals(units.min_up_h[rows], hours),
        min_down=min_down,
        cost_mw=cost_mw,
        cost_usd=cost_usd * hours,
        start_after=after,
        start_cost_usd=units.start_cost_usd[rows],
        must_run=np.zeros(len(rows), dtype=np.bool_),
    )


def _cost_points(grid: Grid, rows: Ints) -> tuple[Floats, Floats]:
    """Points of each unit's cost from its minimum to its maximum, shape (n, K), MW and USD/h.

    Rows with fewer points repeat their last. A straight line has two; a quadratic cost is given by
    chords here, which the commitment uses, and exactly by `quadratic_costs`.
    """
    units, points = grid.generators, []
    for row in rows:
        low, high = units.p_min_mw[row], units.p_max_mw[row]
        if np.isnan(units.cost_mw[row]).all():
            mw = np.linspace(low, high, 2 if units.cost_c2[row] == 0.0 else CHORDS + 1)
            usd = np.polyval([units.cost_c2[row], units.cost_c1[row], units.cost_c0[row]], mw)
        else:
            known = ~np.isnan(units.cost_mw[row])
            mw, usd = _within(
                units.cost_mw[row, known], units.cost_usd_per_h[row, known], low, high
            )
        points.append((mw, usd))
    width = max((len(mw) for mw, _ in points), default=2)
    padded = np.zeros((2, len(rows), width))
    for k, (mw, usd) in enumerate(points):
        padded[0, k], padded[1, k] = mw[-1], usd[-1]
        padded[0, k, : len(mw)], padded[1, k, : len(mw)] = mw, usd
    return padded[0], padded[1]


def _within(mw: Floats, usd: Floats, low: float, high: float) -> tuple[Floats, Floats]:
    """A piecewise line cut to [low, high]; beyond its ends it goes on straight."""
    slope = np.diff(usd) / np.diff(mw)
    inside = mw[(mw > low) & (mw < high)]
    kept = np.concatenate([[low], inside, [high]])
    piece = np.clip(np.searchsorted(mw, kept, side="right") - 1, 0, len(slope) - 1)
    return kept, usd[piece] + slope[piece] * (kept - mw[piece])


@dataclass(frozen=True, eq=False)
class QuadraticCosts:
    """Costs `c2 P^2 + c1 P + c0` of one interval.

    Attributes:
        units: which of the committed units have one, shape (q,).
        c2, c1, c0: shape (q,), USD of an interval, c2 > 0.
    """

    units: Ints
    c2: Floats
    c1: Floats
    c0: Floats

    def at(self, power_mw: Floats) -> Floats:
        """Cost of outputs, shape (..., q), USD."""
        cost: Floats = (self.c2 * power_mw + self.c1) * power_mw + self.c0
        return cost


def quadratic_costs(grid: Grid, hours: float) -> QuadraticCosts:
    """The costs of the committed units that are quadratic, for intervals of `hours`."""
    rows, units = thermal_rows(grid), grid.generators
    curved = np.flatnonzero(np.isnan(units.cost_mw[rows]).all(axis=1) & (units.cost_c2[rows] > 0.0))
    parts = (
        values[rows[curved]] * hours for values in (units.cost_c2, units.cost_c1, units.cost_c0)
    )
    return QuadraticCosts(curved, *parts)


def _intervals(hours_given: Floats, hours: float) -> Ints:
    counted: Ints = np.maximum(np.ceil(hours_given / hours - 1e-9), 1).astype(np.int64)
    return counted
