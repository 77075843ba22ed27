"""An execution in a few small tables, for the end of a run and the top of a report."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

Tables = Mapping[str, pd.DataFrame]

TOP_BRANCHES = 10


def hourly_cost(tables: Tables) -> pd.DataFrame:
    """Demand, cost and mean price of every interval.

    The mean price is weighted by demand, which is the energy part of the locational prices.
    """
    rows = tables["interval_results"]
    price = tables["bus_results"].groupby("time_interval")["lmp_energy"].first()
    return pd.DataFrame(
        {
            "hour": _hours(rows),
            "demand MW": rows["load_mw"],
            "production USD": rows["production_cost_usd"],
            "starts USD": rows["start_cost_usd"],
            "violations USD": rows["penalty_usd"],
            "mean price USD/MWh": rows["time_interval"].map(price),
            "reserve price USD/MWh": rows["reserve_price"],
            "curtailed MW": rows["curtailed_mw"],
        }
    )


def dispatch_by_fuel(tables: Tables) -> pd.DataFrame:
    """Energy, share, cost and curtailment of every fuel and kind of unit.

    Energy is of intervals of one length, which the frames say: energies are output times hours.
    """
    rows = tables["generator_dispatch"]
    hours = interval_hours(tables)
    grouped = rows.assign(fuel=fuel_labels(rows)).groupby("fuel")
    energy = grouped["active_power"].sum() * hours
    table = pd.DataFrame(
        {
            "energy MWh": energy,
            "share %": energy / energy.sum() * 100.0,
            "cost USD": grouped["cost_usd"].sum() + grouped["start_cost_usd"].sum(),
            "curtailed MWh": grouped["curtailed_mw"].sum() * hours,
        }
    )
    return table.sort_values("energy MWh", ascending=False).reset_index()


def price_range(tables: Tables) -> pd.DataFrame:
    """Least, mean and greatest price of every interval, and where the extremes are."""
    rows = tables["bus_results"].dropna(subset=["lmp_total"])
    grouped = rows.groupby("time_interval")["lmp_total"]
    low, high = rows.loc[grouped.idxmin()], rows.loc[grouped.idxmax()]
    return pd.DataFrame(
        {
            "hour": _hours(low),
            "min USD/MWh": low["lmp_total"].to_numpy(),
            "at bus": low["bus_id"].to_numpy(),
            "mean USD/MWh": grouped.mean().to_numpy(),
            "max USD/MWh": high["lmp_total"].to_numpy(),
            "at bus ": high["bus_id"].to_numpy(),
        }
    ).reset_index(drop=True)


def binding_branches(tables: Tables, top: int = TOP_BRANCHES) -> pd.DataFrame:
    """Branches by how often and how dearly they bind; where none does, the highest loaded."""
    rows = tables["branch_flow_results"]
    grouped = rows.groupby("branch_id")
    table = pd.DataFrame(
        {
            "hours at limit": grouped["binding"].sum(),
            "max loading %": grouped["loading_percent"].max(),
            "max shadow price USD/MWh": grouped["shadow_price"].max(),
            "max violation MW": grouped["violation_mw"].max(),
            "max AC loading %": grouped["ac_loading_percent"].max(),
        }
    )
    order = ["hours at limit", "max shadow price USD/MWh", "max loading %"]
    return table.sort_values(order, ascending=False).head(top).reset_index(names="branch")


def ac_check(tables: Tables) -> pd.DataFrame:
    """How far the DC dispatch is from AC, over all intervals."""
    rows = tables["interval_results"]
    solved = rows[rows["ac_converged"].fillna(False).astype(bool)]
    facts = {
        "intervals with an AC solution": f"{len(solved)} of {len(rows)}",
        "losses, share of demand %": _figure(
            100.0 * solved["ac_losses_mw"].sum() / solved["load_mw"].sum() if len(solved) else None
        ),
        "greatest AC loading %": _figure(solved["ac_max_loading_percent"].max()),
        "lowest voltage p.u.": _figure(solved["ac_min_voltage_pu"].min(), 4),
        "highest voltage p.u.": _figure(solved["ac_max_voltage_pu"].max(), 4),
        "greatest difference of a flow MW": _figure(solved["ac_max_flow_difference_mw"].max()),
    }
    return pd.DataFrame({"check": list(facts), "value": list(facts.values())})


def data_quality(quality: pd.DataFrame, rejected: pd.DataFrame) -> pd.DataFrame:
    """Checks passed, failed and not evaluated, and rows rejected, of every table of the day."""
    success = quality["success"].astype("boolean")
    counts = pd.DataFrame(
        {
            "table": quality["table_name"],
            "passed": success.fillna(False).astype(int),
            "failed": (~success.fillna(True)).astype(int),
            "not evaluated": success.isna().astype(int),
        }
    )
    table = counts.groupby("table", as_index=False).sum()
    lost = rejected.set_index("table_name")["rejected_rows"] if len(rejected) else {}
    table["rejected rows"] = table["table"].map(lost).fillna(0).astype(int)
    return table


def fuel_labels(rows: pd.DataFrame) -> pd.Series:
    """Fuel and kind of unit as one name, the kind only where it adds something."""
    names = {
        "Wind WIND": "Wind",
        "Hydro HYDRO": "Hydro",
        "Solar PV": "Solar PV",
        "Solar RTPV": "Solar rooftop PV",
        "Solar CSP": "Solar tower",
        "Nuclear NUCLEAR": "Nuclear",
        "Storage STORAGE": "Storage",
        "Sync_Cond SYNC_COND": "Synchronous condenser",
        "NG CC": "Gas CC",
        "NG CT": "Gas CT",
        "Coal STEAM": "Coal",
        "Oil STEAM": "Oil steam",
        "Oil CT": "Oil CT",
    }
    joined = rows["fuel"] + " " + rows["generator_type"]
    return joined.map(names).fillna(joined)


def interval_hours(tables: Tables) -> float:
    """Length of an interval in hours; one hour where there is only one interval."""
    starts = pd.to_datetime(tables["interval_results"]["interval_start"]).sort_values()
    if len(starts) < 2:
        return 1.0
    return float((starts.iloc[1] - starts.iloc[0]).total_seconds() / 3_600.0)


def _hours(rows: pd.DataFrame) -> list[str]:
    return [f"{start:%H:%M}" for start in pd.to_datetime(rows["interval_start"], utc=True)]


def _figure(value: float | None, digits: int = 1) -> str:
    return "-" if value is None or pd.isna(value) else f"{value:.{digits}f}"
