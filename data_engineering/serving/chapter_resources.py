"""Chapters on storage and on wind, sun and water that was not used."""

from __future__ import annotations

import pandas as pd

from data_engineering.serving.blocks import Chart, Column, Section, TextTable, text_table
from data_engineering.serving.chapter_dispatch import NEGLIGIBLE_MW, NO_DISPATCH
from data_engineering.serving.facts import Facts
from data_engineering.serving.figures import (
    by_interval,
    chart,
    edges,
    new_figure,
    over_time,
    times,
)
from data_engineering.serving.palette import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    VERMILLION,
    fuel_colour,
    fuel_labels,
    fuel_order,
)


def storage_chapter(facts: Facts) -> Section:
    """Power and stored energy of each store."""
    rows = facts.dispatch[facts.dispatch["stored_energy_mwh"].notna()]
    if rows.empty:
        return Section("storage", "Storage", nothing="The results hold no storage.")
    return Section(
        "storage",
        "Storage",
        "Power is positive while a store gives and negative while it charges; "
        "energy is that at the end of the interval.",
        (_storage_chart(facts, rows),),
    )


def _storage_chart(facts: Facts, rows: pd.DataFrame) -> Chart:
    from plotly.subplots import make_subplots

    panels = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.08)
    figure = panels.update_layout(new_figure(400).layout)
    for number, (unit, own) in enumerate(rows.groupby("generator_id", sort=True)):
        style = {"color": STORES[number % len(STORES)], "width": 2}
        power = edges(own["interval_start"], own["active_power"], facts.minutes)
        ends = times(own["interval_start"] + pd.Timedelta(minutes=facts.minutes))
        energy = (ends, own["stored_energy_mwh"].to_list())
        for row, (x, y), line, label in (
            (1, power, {"shape": "hv", **style}, "MW"),
            (2, energy, style, "MWh"),
        ):
            figure.add_scatter(
                x=x,
                y=y,
                name=str(unit),
                legendgroup=str(unit),
                showlegend=row == 1,
                mode="lines",
                line=line,
                hovertemplate=f"%{{y:,.1f}} {label}",
                row=row,
                col=1,
            )
    over_time(figure, rows["interval_start"], facts.minutes)
    for row, title, across in ((1, "MW", None), (2, "MWh", "UTC")):
        figure.update_yaxes(title=title, row=row, col=1)
        figure.update_xaxes(title=across, row=row, col=1)
    table = text_table(rows, "Power and energy of each store", STORAGE_COLUMNS)
    caption = "Above: power. Below: stored energy."
    return chart("storage", "Power and stored energy", caption, figure, table)


STORES = (GREEN, BLUE, ORANGE, VERMILLION, GREY)
STORAGE_COLUMNS = {
    "interval_start": Column("Interval (UTC)"),
    "generator_id": Column("Store"),
    "active_power": Column("Power, MW", ",.1f"),
    "stored_energy_mwh": Column("Energy at the end, MWh", ",.1f"),
}


def curtailment_chapter(facts: Facts) -> Section:
    """Wind, sun and water that was there and not used."""
    used = facts.dispatch[facts.dispatch["curtailed_mw"] > NEGLIGIBLE_MW]
    if facts.dispatch.empty:
        return Section("curtailment", "Curtailment", nothing=NO_DISPATCH)
    if used.empty:
        return Section(
            "curtailment", "Curtailment", nothing="All available wind, sun and water is used."
        )
    labelled = facts.dispatch.assign(fuel=fuel_labels(facts.dispatch))
    lost = by_interval(labelled, "fuel", "curtailed_mw")
    lost = lost[lost.max(axis=1) > NEGLIGIBLE_MW]
    figure = new_figure(320, barmode="stack", bargap=0)
    for fuel in fuel_order(lost.index):
        figure.add_bar(
            x=times(lost.columns),
            y=lost.T[fuel].round(4).to_list(),
            width=facts.minutes * 60_000,
            offset=0,
            name=fuel,
            marker={"color": fuel_colour(fuel, lost.index), "line": {"width": 0}},
            hovertemplate="%{y:,.1f} MW",
        )
    figure.update_yaxes(title="MW not used", tickformat=",.0f")
    over_time(figure, lost.columns, facts.minutes)
    columns = {"interval_start": Column("Interval (UTC)")}
    columns |= {fuel: Column(f"{fuel}, MW", ",.1f") for fuel in fuel_order(lost.index)}
    table = text_table(lost.T.reset_index(), "Curtailed power in each interval", columns)
    caption = "Available power that is not used, by fuel."
    block = chart("curtailment", "Curtailed power", caption, figure, table)
    return Section("curtailment", "Curtailment", blocks=(block, _most_curtailed(facts, used)))


def _most_curtailed(facts: Facts, used: pd.DataFrame) -> TextTable:
    own = facts.dispatch[facts.dispatch["generator_id"].isin(used["generator_id"])]
    rows = own.groupby("generator_id", sort=True).agg(
        bus_id=("bus_id", "first"),
        generator_type=("generator_type", "first"),
        curtailed=("curtailed_mw", "sum"),
        available=("available_mw", "sum"),
    )
    rows["curtailed"] *= facts.hours
    rows["share"] = rows["curtailed"] / (rows["available"] * facts.hours) * 100.0
    rows = rows.sort_values("curtailed", ascending=False, kind="stable").reset_index()
    columns = {
        "generator_id": Column("Unit"),
        "generator_type": Column("Type"),
        "bus_id": Column("Bus"),
        "curtailed": Column("Curtailed, MWh", ",.1f"),
        "share": Column("Share of available, %", ",.1f"),
    }
    caption = f"Units curtailed most; {len(rows)} units are curtailed at some time."
    return text_table(rows.head(10), caption, columns)
