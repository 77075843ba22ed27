"""What a grid and its intervals must satisfy before they are solved; the first fault is named."""

from __future__ import annotations

import math
from dataclasses import fields

import numpy as np
import numpy.typing as npt

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import ISOLATED, PQ, REF, Elements, Flags, Floats, Grid
from data_engineering.model.islands import islands
from data_engineering.model.problem import CommitmentChoice, Periods

_MAY_BE_NAN = {"cost_mw", "cost_usd_per_h", "latitude_deg", "longitude_deg"}
_MAY_BE_INFINITE = {
    *("rate_a_mva", "rate_b_mva", "rate_c_mva", "angle_min_deg", "angle_max_deg"),
    *("q_min_mvar", "q_max_mvar", "ramp_mw_per_min", "vm_max_pu", *_MAY_BE_NAN),
}
_ORDERED = (
    ("buses", "vm_min_pu", "vm_max_pu"),
    ("branches", "angle_min_deg", "angle_max_deg"),
    ("generators", "p_min_mw", "p_max_mw"),
    ("generators", "q_min_mvar", "q_max_mvar"),
    ("storages", "q_min_mvar", "q_max_mvar"),
    ("storages", "discharge_min_mw", "discharge_max_mw"),
    ("storages", "energy_initial_mwh", "energy_max_mwh"),
    ("dc_lines", "p_min_mw", "p_max_mw"),
)
_NOT_NEGATIVE = (
    *(("branches", name) for name in ("rate_a_mva", "rate_b_mva", "rate_c_mva")),
    *(("generators", name) for name in ("ramp_mw_per_min", "min_up_h", "min_down_h")),
    *(("storages", name) for name in ("charge_max_mw", "energy_initial_mwh")),
    ("dc_lines", "loss_fixed_mw"),
)
_POSITIVE = (
    ("buses", "vm_pu"),
    ("branches", "tap"),
    ("generators", "vm_pu"),
    ("storages", "charge_efficiency"),
    ("storages", "discharge_efficiency"),
)
_SLOPE_ROUNDING = 0.01
"""Costs are cents, so a slope that falls by less than a cent per MWh is rounding."""
_SLACK_MW = 1e-6
_NO_LEAST = -np.inf


def check_grid(grid: Grid, *, negative_reactance: bool = False) -> None:
    """Raise for the first fault of a grid.

    Args:
        grid: the grid.
        negative_reactance: take branches of negative or purely resistive impedance as they are:
            published grids have series capacitors and equivalents of three-winding transformers.
            The impedance itself must not be zero.

    Raises:
        BadInput: a value is missing or infinite, an id is not unique, limits cross, a rating, tap
            or reactance is not usable, a cost is not convex, or an island with voltage has no
            reference or nothing that feeds its load.
    """
    if not (math.isfinite(grid.base_mva) and grid.base_mva > 0.0):
        raise BadInput("base_mva", grid.base_mva, "give a positive number of MVA")
    if len(grid.buses) == 0:
        raise BadInput("buses", "none", "give a bus at least")
    for part in fields(grid):
        elements = getattr(grid, part.name)
        if isinstance(elements, Elements):
            _check_ids(part.name, elements)
            _check_numbers(part.name, elements)
    _check_limits(grid)
    _check_branches(grid, negative_reactance)
    _check_costs(grid)
    _check_islands(grid)


def _check_ids(part: str, elements: Elements) -> None:
    ids = elements.id  # type: ignore[attr-defined]
    known, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        raise BadInput(f"{part}.id", str(known[counts > 1][0]), "give each element its own id")


def _check_numbers(part: str, elements: Elements) -> None:
    for field in fields(elements):
        values = getattr(elements, field.name)
        if values.dtype.kind != "f":
            continue
        rest = tuple(range(1, values.ndim))
        if field.name not in _MAY_BE_NAN:
            _refuse(part, elements, field.name, np.isnan(values).any(axis=rest), "give a number")
        if field.name not in _MAY_BE_INFINITE:
            endless = np.isinf(values).any(axis=rest)
            _refuse(part, elements, field.name, endless, "give a finite number")


def _check_limits(grid: Grid) -> None:
    kind = grid.buses.kind
    unknown = (kind < PQ) | (kind > ISOLATED)
    _refuse("buses", grid.buses, "kind", unknown, "give 1, 2, 3 or 4")
    for part, low, high in _ORDERED:
        elements = getattr(grid, part)
        crossed = getattr(elements, low) > getattr(elements, high)
        # PGLib's api cases give units that are out of service a maximum of 0.
        _refuse(
            part,
            elements,
            low,
            crossed & getattr(elements, "in_service", True),
            f"give no more than {high}",
        )
    for part, name in _NOT_NEGATIVE:
        elements = getattr(grid, part)
        _refuse(part, elements, name, getattr(elements, name) < 0.0, "give no negative number")
    for part, name in _POSITIVE:
        elements = getattr(grid, part)
        _refuse(part, elements, name, getattr(elements, name) <= 0.0, "give a positive number")
    for name in ("charge_efficiency", "discharge_efficiency"):
        above = getattr(grid.storages, name) > 1.0
        _refuse("storages", grid.storages, name, above, "give a share of 1 at most")
    share = grid.dc_lines.loss_share
    wrong = (share < 0.0) | (share >= 1.0)
    _refuse("dc_lines", grid.dc_lines, "loss_share", wrong, "give a share from 0 to below 1")


def _check_branches(grid: Grid, negative_reactance: bool) -> None:
    branches = grid.branches
    resistive = (branches.r_pu != 0.0) & negative_reactance
    nothing = (branches.x_pu == 0.0) & ~resistive
    remedy = "give a reactance that is not zero, or join its two buses"
    _refuse("branches", branches, "x_pu", nothing, remedy)
    if not negative_reactance:
        _refuse(
            "branches",
            branches,
            "x_pu",
            branches.x_pu < 0.0,
            "give a positive reactance, or say that it is meant (--negative-reactance)",
        )
    for part, elements in (("branches", branches), ("dc_lines", grid.dc_lines)):
        loop: Flags = np.equal(elements.from_bus, elements.to_bus)
        _refuse(part, elements, "to_bus", loop, "join two different buses", grid.buses.id)


def _check_costs(grid: Grid) -> None:
    """Costs are convex; a piecewise one has points of rising power, each with its cost."""
    units = grid.generators
    given = np.isfinite(units.cost_mw)
    halves = np.any(given != np.isfinite(units.cost_usd_per_h), axis=1)
    _refuse("generators", units, "cost_usd_per_h", halves, "give each point its power and cost")
    widths = np.diff(units.cost_mw, axis=1)
    falls = np.any(widths <= 0.0, axis=1)
    _refuse("generators", units, "cost_mw", falls, "give points of rising power")
    slopes = np.diff(units.cost_usd_per_h, axis=1) / widths
    concave = np.any(np.diff(slopes, axis=1) < -_SLOPE_ROUNDING, axis=1)
    _refuse("generators", units, "cost_usd_per_h", concave, "give increasing slopes")
    polynomial: Flags = ~np.any(given[:, :1], axis=1)
    bent = polynomial & (units.cost_c2 < 0.0)
    _refuse("generators", units, "cost_c2", bent, "give a convex cost, none below 0")


def _check_islands(grid: Grid) -> None:
    """Every island but the isolated buses has a reference, and a source if it has load."""
    buses, count = grid.buses, len(grid.buses)
    live = buses.kind != ISOLATED
    if not (buses.kind == REF).any():
        raise BadInput("buses.kind", "no reference bus", "make one bus the reference (3)")
    island = islands(grid, live=live)
    referred = np.isin(island, island[buses.kind == REF])
    lines, units, stores = grid.dc_lines, grid.generators, grid.storages
    sources = [
        units.bus[units.in_service],
        stores.bus[stores.in_service],
        lines.from_bus[lines.in_service],
        lines.to_bus[lines.in_service],
    ]
    fed = np.isin(island, island[np.concatenate(sources)])
    loads = grid.loads
    loaded = loads.in_service & (loads.p_mw != 0.0)
    asking = np.isin(np.arange(count), loads.bus[loaded])
    for wrong, fact, remedy in (
        (live & ~referred, "no reference", "make one of them the reference (3), or isolate (4)"),
        (live & asking & ~fed, "a load and no unit", "put a unit in service or join the island"),
    ):
        for row in np.flatnonzero(wrong)[:1]:
            size = int((island == island[row]).sum())
            fault = f"an island of {size} bus{'es' if size > 1 else ''} with {fact}"
            raise BadInput(f"buses {buses.id[row]}", fault, remedy)


def _refuse(
    part: str,
    elements: Elements,
    field: str,
    wrong: npt.NDArray[np.bool_],
    remedy: str,
    names: npt.NDArray[np.str_] | None = None,
) -> None:
    """Raise for the first element that is wrong; `names` stand for values that are positions."""
    for row in np.flatnonzero(wrong)[:1]:
        name, value = elements.id[row], getattr(elements, field)[row]  # type: ignore[attr-defined]
        shown = value.tolist() if names is None else str(names[value])
        raise BadInput(f"{part} {name}.{field}", shown, remedy)


def check_periods(grid: Grid, periods: Periods, *, commitment: CommitmentChoice = "on") -> None:
    """Raise for the first fault of the intervals of a grid.

    Args:
        grid: the grid, sound itself.
        periods: its intervals.
        commitment: with `on` every unit in service runs at its minimum at least, with `relaxed`
            minima are dropped; with the others a unit may be off, so that what came before does
            not bind it.

    Raises:
        BadInput: a value is missing, an array has another shape than the grid asks for, a reserve
            or an available output is negative, or a unit cannot ramp into the first interval.
    """
    _check_shapes(grid, periods)
    units, stores = grid.generators.id, grid.storages.id
    _refuse_cell("load_mw", periods.load_mw, _NO_LEAST, grid.loads.id)
    _refuse_cell(
        "available_mw", periods.available_mw, np.minimum(grid.generators.p_max_mw, 0), units
    )
    _refuse_cell("inflow_mw", periods.inflow_mw, 0.0, stores)
    for name in ("reserve_up_mw", "reserve_down_mw"):
        for row in np.flatnonzero(~(getattr(periods, name) >= 0.0))[:1]:
            value = float(getattr(periods, name)[row])
            raise BadInput(f"periods.{name} of interval {row + 1}", value, "give 0 or more")
    if periods.before_mw is not None and commitment in ("on", "relaxed"):
        _check_first_ramp(grid, periods, periods.before_mw, commitment == "on")


def _check_shapes(grid: Grid, periods: Periods) -> None:
    count, units = periods.count, len(grid.generators)
    if not (count >= 1 and 1 <= periods.reported <= count):
        remedy = f"give 1 to {count}, the number of intervals, at least one"
        raise BadInput("periods.reported", periods.reported, remedy)
    if periods.minutes <= 0:
        raise BadInput("periods.minutes", periods.minutes, "give a positive number of minutes")
    wanted: dict[str, tuple[int, ...]] = {
        "load_mw": (count, len(grid.loads)),
        "available_mw": (count, units),
        "must_take": (units,),
        "inflow_mw": (count, len(grid.storages)),
        "reserve_up_mw": (count,),
        "reserve_down_mw": (count,),
        "before_mw": (units,),
    }
    for name, shape in wanted.items():
        values = getattr(periods, name)
        if values is not None and values.shape != shape:
            raise BadInput(f"periods.{name}", values.shape, f"give an array of shape {shape}")


def _refuse_cell(
    name: str, values: Floats, least: float | Floats, ids: npt.NDArray[np.str_]
) -> None:
    wrong = ~np.isfinite(values) | (values < least)
    for interval, column in np.argwhere(wrong)[:1]:
        remedy = "give a finite number" + ("" if least is _NO_LEAST else " that is not negative")
        field = f"periods.{name} of {ids[column]} in interval {interval + 1}"
        raise BadInput(field, float(values[interval, column]), remedy)


def _check_first_ramp(grid: Grid, periods: Periods, before: Floats, minima: bool) -> None:
    """What a unit gave, less or more its ramp, meets its range in the first interval."""
    units = grid.generators
    step = units.ramp_mw_per_min * periods.minutes
    high = np.minimum(units.p_max_mw, periods.available_mw[0])
    low = units.p_min_mw if minima else np.minimum(units.p_min_mw, 0.0)
    low = np.where(periods.must_take, high, np.minimum(low, high))
    # A comparison with NaN is false: where nothing is known the unit is free.
    apart = units.in_service & (
        (before - step > high + _SLACK_MW) | (before + step < low - _SLACK_MW)
    )
    for row in np.flatnonzero(apart)[:1]:
        remedy = (
            f"it must get from there to {low[row]:g} .. {high[row]:g} MW in the first interval "
            f"and ramps {step[row]:g} MW at most; correct its ramp or what it gave before"
        )
        raise BadInput(f"generators {units.id[row]}.before_mw", float(before[row]), remedy)
