"""The grid on plain coordinates: buses by mean price, branches by greatest loading."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from data_engineering.serving.blocks import Chart, Column, text_table
from data_engineering.serving.facts import Facts
from data_engineering.serving.figures import chart, new_figure
from data_engineering.serving.palette import BLUE, GREY, ORANGE, SCALE, VERMILLION

SAME_PRICE = 0.005
"""USD/MWh; buses closer than this at all times have one price."""
HIGH_LOADING = 80.0
"""Percent of the rating from which a branch is drawn as highly loaded."""


def placed_buses(facts: Facts, means: pd.DataFrame) -> pd.DataFrame:
    """The buses whose coordinates are known."""
    places = pd.DataFrame(
        [
            (bus["id"], bus.get("name", ""), bus.get("latitude_deg"), bus.get("longitude_deg"))
            for bus in facts.topology.get("buses", ())
        ],
        columns=["bus_id", "name", "latitude", "longitude"],
    ).astype({"latitude": float, "longitude": float})
    return means.merge(places.dropna(subset=["latitude", "longitude"]), on="bus_id")


def price_map(facts: Facts, placed: pd.DataFrame) -> Chart:
    """Buses where they are, coloured by mean price, with the branches between them."""
    figure = new_figure(720)
    place = placed.set_index("bus_id")[["longitude", "latitude"]]
    for name, style, pairs in _lines_by_loading(facts):
        x, y = _segments(place, pairs)
        if x:
            figure.add_scatter(
                x=x, y=y, name=name, mode="lines", line=style, hoverinfo="skip", connectgaps=False
            )
    _add_buses(figure, placed)
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


def _add_buses(figure: Any, placed: pd.DataFrame) -> None:
    middle_price = float(placed["mean"].mean())
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
            "cmin": float(min(placed["mean"].min(), middle_price - SAME_PRICE)),
            "cmax": float(max(placed["mean"].max(), middle_price + SAME_PRICE)),
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
