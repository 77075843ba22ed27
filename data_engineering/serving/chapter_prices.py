"""Chapter on locational prices: over time, by bus and hour, and on the map."""

from __future__ import annotations

import math
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
from data_engineering.serving.palette import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SCALE,
    SKY,
    VERMILLION,
)

SPIKE = 3.0
"""Where the greatest price is this many times the 98th percentile, colours end at the latter."""
HIGH_LOADING = 80.0
"""Percent of the rating from which the map shows a branch as highly loaded."""


def price_chapter(facts: Facts) -> Section:
    """Prices over time, of every bus and hour, and on the map."""
    priced = facts.buses[facts.buses["lmp_total"].notna()]
    if priced.empty:
        nothing = "The execution has no prices: its method gives none, or nothing was solved."
        return Section("prices", "Prices", nothing=nothing)
    means = _bus_means(priced)
    blocks = [_over_time(facts, priced, means), _by_bus_and_hour(priced, means)]
    placed = _placed(facts, means)
    if len(placed):
        blocks.append(_map(facts, placed))
    intro = (
        "The price of a bus is the cost of one more MWh there; buses differ where a branch is at "
        "its limit."
    )
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
    starts = rows["start UTC"]
    for name, style in (
        ("max USD/MWh", {"color": GREY, "width": 1}),
        ("min USD/MWh", {"color": GREY, "width": 1}),
        ("mean USD/MWh", {"width": 3}),
    ):
        x, y = edges(starts, rows[name], facts.minutes)
        mean = name.startswith("mean")
        figure.add_scatter(
            x=x,
            y=y,
            name={"max": "Highest bus", "min": "Lowest bus", "mea": "Mean by load"}[name[:3]],
            mode="lines",
            meta=INK if mean else None,
            line={"shape": "hv", **style},
            fill="tonexty" if name.startswith("min") else None,
            fillcolor="rgba(122,122,122,0.18)",
            hovertemplate="%{y:,.2f} USD/MWh",
        )
    for (bus, label), colour in zip(
        _selected(means).items(), (VERMILLION, BLUE, ORANGE, GREEN, PURPLE, SKY), strict=False
    ):
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
    figure.update_yaxes(title="USD/MWh", tickformat=",.0f")
    over_time(figure, priced["interval_start"], facts.minutes)
    columns = {
        "start UTC": Column("Interval (UTC)"),
        "min USD/MWh": Column("Lowest, USD/MWh", ",.2f"),
        "min at bus": Column("at bus"),
        "mean USD/MWh": Column("Mean by load, USD/MWh", ",.2f"),
        "max USD/MWh": Column("Highest, USD/MWh", ",.2f"),
        "max at bus": Column("at bus"),
    }
    table = text_table(rows, "Range of prices in each interval", columns)
    caption = "The band spans all buses; dotted lines are single buses."
    return chart("prices-over-time", "Prices over time", caption, figure, table)


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


def _placed(facts: Facts, means: pd.DataFrame) -> pd.DataFrame:
    """The buses whose coordinates are known."""
    places = pd.DataFrame(
        [
            (bus["id"], bus.get("name", ""), bus.get("latitude_deg"), bus.get("longitude_deg"))
            for bus in facts.topology.get("buses", ())
        ],
        columns=["bus_id", "name", "latitude", "longitude"],
    ).astype({"latitude": float, "longitude": float})
    return means.merge(places.dropna(subset=["latitude", "longitude"]), on="bus_id")


def _map(facts: Facts, placed: pd.DataFrame) -> Chart:
    figure = new_figure(720)
    place = placed.set_index("bus_id")[["longitude", "latitude"]]
    for name, style, pairs in _lines_by_loading(facts):
        x, y = _segments(place, pairs)
        if x:
            figure.add_scatter(
                x=x, y=y, name=name, mode="lines", line=style, hoverinfo="skip", connectgaps=False
            )
    largest = max(float(placed["load"].max()), 1.0)
    figure.add_scatter(
        x=placed["longitude"].to_list(),
        y=placed["latitude"].to_list(),
        name="Bus",
        showlegend=False,
        mode="markers+text",
        text=placed["bus_id"].to_list(),
        textposition="top center",
        textfont={"size": 9},
        customdata=[
            [row.name_, row.mean, row.low, row.high, row.load]
            for row in placed.rename(columns={"name": "name_"}).itertuples()
        ],
        marker={
            "color": placed["mean"].round(4).to_list(),
            "colorscale": SCALE,
            "size": [9 + 13 * math.sqrt(max(load, 0.0) / largest) for load in placed["load"]],
            "line": {"width": 1, "color": GREY},
            "colorbar": {
                "title": {"text": "Mean price, USD/MWh", "side": "right"},
                "thickness": 14,
            },
        },
        hovertemplate="Bus %{text} %{customdata[0]}<br>mean %{customdata[1]:,.2f}, "
        "%{customdata[2]:,.2f} to %{customdata[3]:,.2f} USD/MWh<br>"
        "mean load %{customdata[4]:,.0f} MW<extra></extra>",
    )
    middle = math.radians(float(placed["latitude"].mean()))
    figure.update_layout(hovermode="closest")
    figure.update_xaxes(title="Longitude, degrees", zeroline=False)
    figure.update_yaxes(
        title="Latitude, degrees",
        zeroline=False,
        scaleanchor="x",
        scaleratio=1.0 / max(math.cos(middle), 0.1),
    )
    caption = (
        "Colour is the mean price, size the mean load; lines are branches by their greatest "
        "loading in the intact network."
    )
    columns = {
        "bus_id": Column("Bus"),
        "name": Column("Name"),
        "latitude": Column("Latitude", ".4f"),
        "longitude": Column("Longitude", ".4f"),
        "mean": Column("Mean price, USD/MWh", ",.2f"),
        "load": Column("Mean load, MW", ",.1f"),
    }
    table = text_table(placed, "Mean price of each bus and where it is", columns)
    return chart("price-map", "Mean price on the map", caption, figure, table)


Pairs = list[tuple[str, str]]


def _lines_by_loading(facts: Facts) -> list[tuple[str, dict[str, Any], Pairs]]:
    """Branches of the document in classes of their greatest loading: name, style, ends."""
    base = facts.flows[facts.flows["contingency_id"] == "base"]
    worst = base.groupby("branch_id").agg(
        loading=("loading_percent", "max"), bound=("binding", "any")
    )
    loading, bound = worst["loading"].to_dict(), worst["bound"].to_dict()
    at_limit: Pairs = []
    high: Pairs = []
    rest: Pairs = []
    for branch in facts.topology.get("branches", ()):
        ends = (branch["from_bus"], branch["to_bus"])
        name = branch["id"]
        if bound.get(name, False):
            at_limit.append(ends)
        elif loading.get(name, 0.0) >= HIGH_LOADING:
            high.append(ends)
        else:
            rest.append(ends)
    dc = [(line["from_bus"], line["to_bus"]) for line in facts.topology.get("dc_lines", ())]
    return [
        (f"Below {HIGH_LOADING:.0f} %", {"color": GREY, "width": 1}, rest),
        ("DC line", {"color": BLUE, "width": 2, "dash": "dot"}, dc),
        (f"{HIGH_LOADING:.0f} % and more", {"color": ORANGE, "width": 3, "dash": "dash"}, high),
        ("At its limit", {"color": VERMILLION, "width": 5}, at_limit),
    ]


def _segments(place: pd.DataFrame, pairs: Pairs) -> tuple[list[Any], list[Any]]:
    """Points of lines with gaps between; branches with an end that has no place are left out."""
    where: dict[str, tuple[float, float]] = {
        str(bus): (float(x), float(y)) for bus, x, y in place.itertuples()
    }
    x: list[float | None] = []
    y: list[float | None] = []
    for one, other in pairs:
        if one in where and other in where:
            x += [where[one][0], where[other][0], None]
            y += [where[one][1], where[other][1], None]
    return x, y
