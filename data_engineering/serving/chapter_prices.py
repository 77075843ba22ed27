"""Chapter on locational prices: over time, by bus and hour, and on the map."""

from __future__ import annotations

from typing import Any

import pandas as pd

from data_engineering.serving import summary
from data_engineering.serving.blocks import Chart, Column, Section, text_table
from data_engineering.serving.facts import Facts
from data_engineering.serving.figures import (
    HOUR,
    INK,
    chart,
    edges,
    heat_map,
    new_figure,
    over_time,
)
from data_engineering.serving.grid_map import SAME_PRICE, placed_buses, price_map
from data_engineering.serving.palette import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    VERMILLION,
)

SPIKE = 3.0
"""Where the greatest price is this many times the 98th percentile, colours end at the latter."""


def price_chapter(facts: Facts) -> Section:
    """Prices over time, of every bus and hour, and on the map."""
    priced = facts.buses[facts.buses["lmp_total"].notna()]
    if priced.empty:
        nothing = "The execution has no prices: its method gives none, or nothing was solved."
        return Section("prices", "Prices", nothing=nothing)
    means = _bus_means(priced)
    blocks = [_over_time(facts, priced, means), _by_bus_and_hour(priced, means)]
    placed = placed_buses(facts, means)
    if len(placed):
        blocks.append(price_map(facts, placed))
    intro = (
        "The price of a bus is the cost of one more MWh there; buses differ where a branch is at "
        "its limit."
    )
    if not _differ(priced):
        intro += " Here all buses have the same price in every interval: no limit separates them."
    if placed.empty:
        intro += " The grid's document has no coordinates, so there is no map."
    return Section("prices", "Prices", intro, tuple(blocks))


def _bus_means(priced: pd.DataFrame) -> pd.DataFrame:
    return (
        priced.groupby("bus_id", sort=True)
        .agg(
            low=("lmp_total", "min"),
            mean=("lmp_total", "mean"),
            high=("lmp_total", "max"),
            congestion=("lmp_congestion", "mean"),
            load=("load_mw", "mean"),
        )
        .reset_index()
    )


def _over_time(facts: Facts, priced: pd.DataFrame, means: pd.DataFrame) -> Chart:
    rows = summary.price_range(facts.tables)
    figure = new_figure(400)
    band = {"color": GREY, "width": 1}
    for name, label, style in (
        ("max USD/MWh", "Highest bus", band),
        ("min USD/MWh", "Lowest bus", band),
        ("mean USD/MWh", "Mean by load", {"width": 3}),
    ):
        x, y = edges(rows["start UTC"], rows[name], facts.minutes)
        figure.add_scatter(
            x=x,
            y=y,
            name=label,
            mode="lines",
            meta=INK if label.startswith("Mean") else None,
            line={"shape": "hv", **style},
            fill="tonexty" if label.startswith("Lowest") else None,
            fillcolor="rgba(122,122,122,0.18)",
            hovertemplate="%{y:,.2f} USD/MWh",
        )
    selected = _selected(means) if _differ(priced) else {}
    _add_buses(figure, facts, priced, selected)
    figure.update_yaxes(title="USD/MWh", tickformat=",.0f")
    over_time(figure, priced["interval_start"], facts.minutes)
    table = text_table(rows, "Range of prices in each interval", RANGE_COLUMNS)
    caption = "The band spans all buses; dotted lines are single buses."
    if not selected:
        caption = "One price for all buses."
    return chart("prices-over-time", "Prices over time", caption, figure, table)


RANGE_COLUMNS = {
    "start UTC": Column("Interval (UTC)"),
    "min USD/MWh": Column("Lowest, USD/MWh", ",.2f"),
    "min at bus": Column("at bus"),
    "mean USD/MWh": Column("Mean by load, USD/MWh", ",.2f"),
    "max USD/MWh": Column("Highest, USD/MWh", ",.2f"),
    "max at bus": Column("at bus"),
}


def _add_buses(figure: Any, facts: Facts, priced: pd.DataFrame, selected: dict[str, str]) -> None:
    colours = (VERMILLION, BLUE, ORANGE, GREEN)
    for (bus, label), colour in zip(selected.items(), colours, strict=False):
        own = priced[priced["bus_id"] == bus]
        x, y = edges(own["interval_start"], own["lmp_total"], facts.minutes)
        figure.add_scatter(
            x=x,
            y=y,
            name=f"{bus} ({label})",
            mode="lines",
            line={"shape": "hv", "width": 1.5, "dash": "dot", "color": colour},
            hovertemplate="%{y:,.2f} USD/MWh",
        )


def _differ(priced: pd.DataFrame) -> bool:
    """Whether buses differ in price in any interval."""
    prices = priced.groupby("time_interval")["lmp_total"]
    return bool(((prices.max() - prices.min()) > SAME_PRICE).any())


def _selected(means: pd.DataFrame) -> dict[str, str]:
    """Buses worth a line of their own, each once, and why."""
    picks = {
        "dearest on average": int(means["mean"].argmax()),
        "cheapest on average": int(means["mean"].argmin()),
        "greatest load": int(means["load"].argmax()),
        "widest range": int((means["high"] - means["low"]).argmax()),
    }
    chosen: dict[str, str] = {}
    for label, row in picks.items():
        chosen.setdefault(str(means["bus_id"].iloc[row]), label)
    return chosen


def _by_bus_and_hour(priced: pd.DataFrame, means: pd.DataFrame) -> Chart:
    values = priced.pivot(index="bus_id", columns="interval_start", values="lmp_total")
    prices = priced["lmp_total"]
    low, high, usual = prices.min(), prices.max(), prices.quantile(0.98)
    spiked = usual > 0.0 and high > SPIKE * usual
    figure = heat_map(
        values,
        colour_title="USD/MWh",
        hover=f"Bus %{{y}}, {HOUR}: %{{z:,.2f}} USD/MWh",
        bounds=(float(low), float(usual if spiked else high)),
    )
    caption = "Each row is a bus, each column an interval."
    if spiked:
        caption += f" Colours end at {usual:,.0f} USD/MWh; the greatest price is {high:,.0f}."
    columns = {
        "bus_id": Column("Bus"),
        "low": Column("Lowest, USD/MWh", ",.2f"),
        "mean": Column("Mean, USD/MWh", ",.2f"),
        "high": Column("Highest, USD/MWh", ",.2f"),
        "congestion": Column("Mean congestion part, USD/MWh", ",.2f"),
        "load": Column("Mean load, MW", ",.1f"),
    }
    table = text_table(means, "Prices of each bus over the horizon", columns)
    return chart("prices-by-bus", "Prices by bus and interval", caption, figure, table)
