"""Rows of the result tables that every solver's answer has alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from data_engineering.model.grid import Branches, DcLines, Floats, Grid, Ints
from data_engineering.model.problem import Periods, SolveRequest

BASE = "base"
"""The contingency of rows about the intact network."""
AT_LIMIT_MW = 1e-4
"""Outputs and flows this close to a limit are at it; HiGHS keeps limits to 1e-7."""


def long_rows(
    periods: Periods, columns: Mapping[str, object], width: int, kept: Ints | None = None
) -> pd.DataFrame:
    """Arrays of shape (T, width), or (width,), as rows of the reported intervals.

    Args:
        periods: the horizon.
        columns: arrays by column name.
        width: elements of an interval.
        kept: the intervals that have rows, 0-based; None: all reported ones.
    """
    intervals = np.arange(periods.reported) if kept is None else kept
    starts = pd.DatetimeIndex(periods.starts())[intervals]
    frame: dict[str, object] = {
        "time_interval": np.repeat(intervals + 1, width),
        "interval_start": starts.repeat(width),
    }
    for name, values in columns.items():
        given = np.asarray(values)
        rows = given[intervals] if given.ndim == 2 else given
        frame[name] = np.broadcast_to(rows, (len(intervals), width)).reshape(-1)
    return pd.DataFrame(frame)


def stacked(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Frames of equal columns one below the other; empty ones give nothing, not even a type."""
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled or frames[:1], ignore_index=True)


def store_columns(grid: Grid, power: Floats) -> dict[str, object]:
    """What the rows of stores have in common, from their net power, shape (T, storages), MW."""
    stores, nothing = grid.storages, np.zeros(len(grid.storages))
    return {
        "generator_id": stores.id,
        "bus_id": grid.buses.id[stores.bus],
        "generator_type": stores.kind,
        "fuel": np.where(stores.kind == "CSP", "Solar", "Storage"),
        "active_power": power,
        "commitment_status": np.abs(power) > AT_LIMIT_MW,
        "available_mw": stores.discharge_max_mw,
        "curtailed_mw": nothing,
        "reserve_up_mw": nothing,
        "reserve_down_mw": nothing,
        "cost_usd": nothing,
        "at_pmin": np.isclose(power, -stores.charge_max_mw, rtol=0, atol=AT_LIMIT_MW),
        "at_pmax": np.isclose(power, stores.discharge_max_mw, rtol=0, atol=AT_LIMIT_MW),
        "ramp_limited": nothing.astype(np.bool_),
    }


def line_columns(grid: Grid, lines: Branches | DcLines) -> dict[str, object]:
    """What names a branch or DC line and its ends."""
    return {
        "contingency_id": np.full(len(lines), BASE),
        "branch_id": lines.id,
        "from_bus_id": grid.buses.id[lines.from_bus],
        "to_bus_id": grid.buses.id[lines.to_bus],
    }


def branch_ratings(grid: Grid) -> Floats:
    """Continuous ratings, MVA; NaN where there is none."""
    rate: Floats = np.where(np.isfinite(grid.branches.rate_a_mva), grid.branches.rate_a_mva, np.nan)
    return rate


def dc_line_ratings(grid: Grid) -> Floats:
    """The greater of the limits of each DC line, MW."""
    limit: Floats = np.maximum(np.abs(grid.dc_lines.p_max_mw), np.abs(grid.dc_lines.p_min_mw))
    return limit


def notes_of(left_out: Sequence[str]) -> tuple[str, ...]:
    """What a reader must know of the outages that split the network."""
    if not left_out:
        return ()
    return (f"outages left out, each splits the network: {', '.join(left_out)}",)


def unchecked_ac(count: int) -> dict[str, object]:
    """The interval columns of a dispatch that no AC power flow has looked at."""
    names = (
        "ac_losses_mw",
        "ac_slack_change_mw",
        "ac_max_loading_percent",
        "ac_min_voltage_pu",
        "ac_max_voltage_pu",
        "ac_max_flow_difference_mw",
    )
    converged = {"ac_converged": pd.array([pd.NA] * count, dtype="boolean")}
    missing = {name: np.full(count, np.nan) for name in names}
    return {**converged, **missing, **unchecked_outages(count)}


def unchecked_outages(count: int) -> dict[str, object]:
    """The interval columns of a dispatch whose outages no AC power flow has looked at."""
    names = ("checked", "islanding", "not_converged")
    counts = [f"outages_{name}" for name in names] + ["outage_violations"]
    return {
        **{name: pd.array([pd.NA] * count, dtype="Int64") for name in counts},
        "worst_outage_id": pd.array([pd.NA] * count, dtype="string"),
        "worst_outage_loading_percent": np.full(count, np.nan),
    }


def outage_rows(
    request: SolveRequest,
    interval: Ints,
    outage: Ints,
    branch: Ints,
    flow: Floats,
    shadow_price: Floats,
    excess: Floats,
) -> pd.DataFrame:
    """Rows of `branch_flow_results` about limits after outages that are priced or broken.

    Args:
        request: what was asked.
        interval: from 0, shape (n,), as all that follow.
        outage: place among the request's.
        branch: place in the grid.
        flow: after the outage, MW.
        shadow_price: what one MW more of rating saves, USD/MWh.
        excess: of the flow above the rating, MW.
    """
    lines, buses = request.grid.branches, request.grid.buses
    rate = lines.rate_b_mva[branch]
    names = np.array([each.id for each in request.outages], dtype=np.str_)
    starts = pd.DatetimeIndex(request.periods.starts())
    frame = pd.DataFrame(
        {
            "time_interval": interval + 1,
            "interval_start": starts[interval],
            "contingency_id": names[outage],
            "branch_id": lines.id[branch],
            "from_bus_id": buses.id[lines.from_bus[branch]],
            "to_bus_id": buses.id[lines.to_bus[branch]],
            "flow_mw": flow,
            "rating_mw": rate,
            "loading_percent": np.abs(flow) / rate * 100.0,
            "shadow_price": shadow_price,
            "binding": np.ones(len(interval), dtype=np.bool_),
            "violation_mw": excess,
            "ac_flow_mva": np.full(len(interval), np.nan),
            "ac_loading_percent": np.full(len(interval), np.nan),
        }
    )
    return frame.drop_duplicates(["time_interval", "contingency_id", "branch_id"])
