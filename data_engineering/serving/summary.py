"""An execution in a few tables: what was produced, at what cost and price, and how sound it is.

Pure functions on the declared result tables, which may be empty. The columns' names are for people
and say the unit. Energies and hours come from MW by the length of an interval.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from data_engineering.serving.palette import fuel_labels

Tables = Mapping[str, pd.DataFrame]

PRICE_DECIMALS = 6
"""Prices equal to this many decimals are the same: rounding does not choose the bus named."""


def interval_hours(tables: Tables) -> float:
    """Length of an interval in hours, from the starts; one hour where there is one interval."""
    starts = pd.DatetimeIndex(tables["interval_results"]["interval_start"].drop_duplicates())
    if len(starts) < 2:
        return 1.0
    return float((starts.sort_values()[1] - starts.min()).total_seconds() / 3_600.0)


def hourly_cost(tables: Tables, hours: float | None = None) -> pd.DataFrame:
    """What each interval costs.

    Args:
        tables: `interval_results`.
        hours: length of an interval; None: as the starts tell.

    Returns:
        A row for each interval: load, costs of production, starts and violations, their sum, and
        that sum over the energy that was served (null where there was none).
    """
    rows = tables["interval_results"]
    length = interval_hours(tables) if hours is None else hours
    served = (rows["load_mw"] - rows["load_shed_mw"]) * length
    parts = {
        "production USD": rows["production_cost_usd"],
        "starts USD": rows["start_cost_usd"],
        "violations USD": rows["penalty_usd"],
    }
    total = sum(parts.values(), start=rows["production_cost_usd"] * 0.0)
    return pd.DataFrame(
        {
            "start UTC": _starts(rows["interval_start"]),
            "load MW": rows["load_mw"],
            **parts,
            "total USD": total,
            "USD per MWh served": total / served.where(served > 0.0),
        }
    ).reset_index(drop=True)


def dispatch_by_fuel(tables: Tables, hours: float | None = None) -> pd.DataFrame:
    """What each fuel gives and costs over the horizon, greatest energy first.

    Args:
        tables: `generator_dispatch`, and `interval_results` where `hours` is None.
        hours: length of an interval; None: as the starts tell.

    Returns:
        A row for each fuel: units, energy net of charging, its share of the net energy of all,
        costs of production and starts, available energy that was not used.
    """
    rows = tables["generator_dispatch"]
    length = interval_hours(tables) if hours is None else hours
    table = (
        rows.assign(fuel=fuel_labels(rows))
        .groupby("fuel", sort=True)
        .agg(
            **{
                "units": ("generator_id", "nunique"),
                "energy MWh": ("active_power", "sum"),
                "production USD": ("cost_usd", "sum"),
                "starts USD": ("start_cost_usd", "sum"),
                "curtailed MWh": ("curtailed_mw", "sum"),
            }
        )
    )
    table["energy MWh"] *= length
    table["curtailed MWh"] *= length
    total = table["energy MWh"].sum()
    share = table["energy MWh"] / total * 100.0 if total else table["energy MWh"] * float("nan")
    table.insert(2, "share %", share)
    return table.sort_values("energy MWh", ascending=False, kind="stable").reset_index()


def energy_balance(tables: Tables, hours: float | None = None) -> pd.DataFrame:
    """Where the energy of the horizon comes from and goes to; what goes out is negative.

    Generation and load not served come in, load and spilled power go out; what is left are the
    losses of DC lines, the only ones that a lossless DC model knows.

    Args:
        tables: `interval_results`.
        hours: length of an interval; None: as the starts tell.
    """
    rows = tables["interval_results"]
    length = interval_hours(tables) if hours is None else hours
    flows = {
        "Generation, net of charging": float(rows["generation_mw"].sum()) * length,
        "Load": -float(rows["load_mw"].sum()) * length,
        "Load not served": float(rows["load_shed_mw"].sum()) * length,
        "Spilled power": -float(rows["over_generation_mw"].sum()) * length,
    }
    flows["Losses of DC lines"] = -sum(flows.values())
    return pd.DataFrame({"item": list(flows), "energy MWh": list(flows.values())})


def price_range(tables: Tables) -> pd.DataFrame:
    """The lowest, mean and highest price of each interval and where they are.

    Args:
        tables: `bus_results`; rows without a price are left out.

    Returns:
        A row for each interval with a price. The mean is weighted with the load, plain where there
        is none; of buses with the same price the first by id is named.
    """
    rows = tables["bus_results"]
    priced = rows[rows["lmp_total"].notna()].sort_values(["time_interval", "bus_id"])
    priced = priced.assign(price=priced["lmp_total"].round(PRICE_DECIMALS)).reset_index(drop=True)
    grouped = priced.groupby("time_interval", sort=True)
    lowest = priced.loc[grouped["price"].idxmin()].reset_index(drop=True)
    highest = priced.loc[grouped["price"].idxmax()].reset_index(drop=True)
    return pd.DataFrame(
        {
            "start UTC": _starts(lowest["interval_start"]),
            "min USD/MWh": lowest["lmp_total"],
            "min at bus": lowest["bus_id"],
            "mean USD/MWh": _mean_price(priced).reset_index(drop=True),
            "max USD/MWh": highest["lmp_total"],
            "max at bus": highest["bus_id"],
        }
    )


def _mean_price(priced: pd.DataFrame) -> pd.Series:
    """Load-weighted mean price by interval."""
    weight = priced["load_mw"].clip(lower=0.0)
    sums = (
        priced.assign(weight=weight, paid=priced["lmp_total"] * weight)
        .groupby("time_interval", sort=True)[["weight", "paid", "lmp_total"]]
        .agg({"weight": "sum", "paid": "sum", "lmp_total": "mean"})
    )
    return (sums["paid"] / sums["weight"].where(sums["weight"] > 0.0)).fillna(sums["lmp_total"])


def binding_branches(tables: Tables, hours: float | None = None) -> pd.DataFrame:
    """The branches whose limit is reached, those with the greatest congestion cost first.

    Args:
        tables: `branch_flow_results`, and `interval_results` where `hours` is None.
        hours: length of an interval; None: as the starts tell.

    Returns:
        A row for each branch and contingency that binds: hours at the limit, the greatest shadow
        price, and the congestion cost, which is shadow price times flow over those hours.
    """
    rows = tables["branch_flow_results"]
    length = interval_hours(tables) if hours is None else hours
    bound = rows[rows["binding"].astype(bool)]
    rent = bound["shadow_price"].fillna(0.0) * bound["flow_mw"].abs() * length
    table = (
        bound.assign(rent=rent)
        .groupby(["branch_id", "contingency_id"], sort=True)
        .agg(
            **{
                "from bus": ("from_bus_id", "first"),
                "to bus": ("to_bus_id", "first"),
                "rating MW": ("rating_mw", "min"),
                "hours at limit": ("time_interval", "nunique"),
                "max shadow price USD/MWh": ("shadow_price", "max"),
                "congestion USD": ("rent", "sum"),
            }
        )
        .reset_index()
        .rename(columns={"branch_id": "branch", "contingency_id": "outage"})
    )
    table["hours at limit"] = table["hours at limit"] * length
    order = ["congestion USD", "hours at limit"]
    return table.sort_values(order, ascending=False, kind="stable", ignore_index=True)


def data_quality(quality: pd.DataFrame, rejected: pd.DataFrame) -> pd.DataFrame:
    """How the data of each table did in its checks.

    Args:
        quality: rows of `data_quality_metrics`.
        rejected: rows of `rejected_rows`; a row that fails several checks counts once.
    """
    verdict = quality["success"].astype("boolean")
    counts = pd.DataFrame(
        {
            "table": quality["table_name"],
            "checks": 1,
            "passed": verdict.fillna(False).astype(int),
            "failed": (~verdict).fillna(False).astype(int),
            "not evaluated": verdict.isna().astype(int),
        }
    )
    refused = rejected.drop_duplicates(["table_name", "row_digest"]).groupby("table_name").size()
    rows = counts.groupby("table").sum().join(refused.rename("rejected rows"), how="outer")
    return rows.fillna(0).astype(int).rename_axis("table").reset_index()


def ac_check(tables: Tables) -> pd.DataFrame:
    """The extremes of the AC power flow over the horizon, and when they occur.

    Args:
        tables: `interval_results`.

    Returns:
        Rows of check, value, unit and start; below the first, only converged intervals count.
        Empty where no AC power flow was made.
    """
    rows = tables["interval_results"]
    checked = rows[rows["ac_converged"].notna()]
    solved = checked[checked["ac_converged"].astype(bool)]
    found: list[tuple[str, float, str, str]] = []
    if len(checked):
        found.append(("intervals without AC solution", float(len(checked) - len(solved)), "", ""))
    for check, name, unit, lowest in (
        ("greatest branch loading", "ac_max_loading_percent", "%", False),
        ("lowest voltage", "ac_min_voltage_pu", "p.u.", True),
        ("highest voltage", "ac_max_voltage_pu", "p.u.", False),
        ("greatest difference of AC and DC flow", "ac_max_flow_difference_mw", "MW", False),
        ("greatest losses", "ac_losses_mw", "MW", False),
    ):
        values = solved[name].dropna()
        if len(values):
            place = values.argmin() if lowest else values.argmax()
            starts = _starts(solved.loc[values.index, "interval_start"])
            found.append((check, float(values.iloc[place]), unit, starts.iloc[place]))
    load = float(solved["load_mw"].sum())
    if load > 0.0:
        share = float(solved["ac_losses_mw"].sum()) / load * 100.0
        found.append(("losses, share of load", share, "%", ""))
    return pd.DataFrame(found, columns=["check", "value", "unit", "start UTC"])


def _starts(values: pd.Series) -> pd.Series:
    """Interval starts as text for people."""
    stamps = pd.to_datetime(values, utc=True)
    text: pd.Series = stamps.dt.strftime("%Y-%m-%d %H:%M")
    return text
