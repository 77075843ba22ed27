"""Chapters on what the units do: dispatch, cost and reserve, commitment."""

from __future__ import annotations

from typing import Any

import pandas as pd

from data_engineering.serving import summary
from data_engineering.serving.blocks import Chart, Column, Section, TextTable, text_table
from data_engineering.serving.facts import Facts
from data_engineering.serving.figures import (
    HOUR,
    INK,
    by_interval,
    chart,
    edges,
    heat_map,
    lines,
    new_figure,
    over_time,
    times,
)
from data_engineering.serving.palette import (
    BLUE,
    ORANGE,
    UNIT_TYPES,
    VERMILLION,
    fuel_colour,
    fuel_labels,
    fuel_order,
)

NO_DISPATCH = "The execution has no dispatch: no row of generator_dispatch is stored for it."
NO_INTERVALS = "The execution has no interval results: nothing was solved."
NEGLIGIBLE_MW = 1e-6


def dispatch_chapter(facts: Facts) -> Section:
    """Power by fuel over the intervals with the load, and energy and cost by fuel."""
    if facts.dispatch.empty:
        return Section("dispatch", "Dispatch", nothing=NO_DISPATCH)
    labelled = facts.dispatch.assign(fuel=fuel_labels(facts.dispatch))
    power = by_interval(labelled, "fuel", "active_power")
    return Section(
        "dispatch",
        "Dispatch",
        "Output of all units by fuel; charging of storage stands below zero.",
        (_stack(facts, power), _fuel_table(facts), _balance_table(facts)),
    )


def _stack(facts: Facts, power: pd.DataFrame) -> Chart:
    figure = new_figure(460, barmode="relative", bargap=0)
    stamps, width = times(power.columns), facts.minutes * 60_000
    for fuel in fuel_order(power.index):
        values = power.T[fuel]
        if values.abs().max() > NEGLIGIBLE_MW:
            figure.add_bar(
                x=stamps,
                y=values.round(4).to_list(),
                width=width,
                offset=0,
                name=fuel,
                marker={"color": fuel_colour(fuel, power.index), "line": {"width": 0}},
                hovertemplate="%{y:,.0f} MW",
            )
    if len(facts.intervals):
        x, y = edges(facts.intervals["interval_start"], facts.intervals["load_mw"], facts.minutes)
        figure.add_scatter(
            x=x,
            y=y,
            name="Load",
            mode="lines",
            meta=INK,
            line={"shape": "hv", "width": 2.5},
            hovertemplate="%{y:,.0f} MW",
        )
    figure.update_yaxes(title="MW", tickformat=",.0f")
    over_time(figure, power.columns, facts.minutes)
    wide = power.T.reset_index()
    columns = {"interval_start": Column("Interval (UTC)")}
    columns |= {fuel: Column(f"{fuel}, MW", ",.0f") for fuel in fuel_order(power.index)}
    if len(facts.intervals):
        load = facts.intervals.set_index("interval_start")["load_mw"]
        wide["load"] = wide["interval_start"].map(load)
        columns["load"] = Column("Load, MW", ",.0f")
    caption = "Stacked output by fuel in each interval; the line is the load."
    table = text_table(wide, "Output by fuel and load in each interval", columns)
    return chart("dispatch-stack", "Output by fuel and load", caption, figure, table)


def _fuel_table(facts: Facts) -> TextTable:
    rows = summary.dispatch_by_fuel(facts.tables, facts.hours)
    columns = {
        "fuel": Column("Fuel"),
        "units": Column("Units", ",d"),
        "energy MWh": Column("Energy, MWh", ",.0f"),
        "share %": Column("Share, %", ",.1f"),
        "production USD": Column("Production, USD", ",.0f"),
        "starts USD": Column("Starts, USD", ",.0f"),
        "curtailed MWh": Column("Curtailed, MWh", ",.0f"),
    }
    total = {name: rows[name].sum() for name in list(columns)[1:]}
    caption = "Energy and cost by fuel over the horizon; energy is net of charging."
    return text_table(rows, caption, columns, {"fuel": "All", **total})


def _balance_table(facts: Facts) -> TextTable:
    rows = summary.energy_balance(facts.tables, facts.hours)
    columns = {"item": Column("Item"), "energy MWh": Column("Energy, MWh", "+,.1f")}
    total = {"item": "Sum", "energy MWh": rows["energy MWh"].sum()}
    return text_table(rows, "Energy balance of the horizon in the optimisation", columns, total)


def cost_chapter(facts: Facts) -> Section:
    """Cost of each interval, and the reserve held in it."""
    if facts.intervals.empty:
        return Section("cost", "Cost and reserve", nothing=NO_INTERVALS)
    return Section(
        "cost",
        "Cost and reserve",
        "Violations are the penalties for load not served, power spilled, overloads and reserve "
        "that is missing.",
        (_cost_chart(facts), _reserve_chart(facts)),
    )


def _cost_chart(facts: Facts) -> Chart:
    rows = summary.hourly_cost(facts.tables, facts.hours)
    figure = new_figure(340, barmode="stack", bargap=0.15)
    parts = {"production USD": BLUE, "starts USD": ORANGE, "violations USD": VERMILLION}
    for name, colour in parts.items():
        figure.add_bar(
            x=rows["start UTC"].to_list(),
            y=rows[name].round(2).to_list(),
            width=facts.minutes * 60_000 * 0.85,
            offset=0,
            name=name.removesuffix(" USD").capitalize(),
            marker_color=colour,
            hovertemplate="%{y:,.0f} USD",
        )
    figure.update_yaxes(title="USD", tickformat=",.0f")
    over_time(figure, facts.intervals["interval_start"], facts.minutes)
    columns = {
        "start UTC": Column("Interval (UTC)"),
        "load MW": Column("Load, MW", ",.0f"),
        "production USD": Column("Production, USD", ",.0f"),
        "starts USD": Column("Starts, USD", ",.0f"),
        "violations USD": Column("Violations, USD", ",.0f"),
        "total USD": Column("Total, USD", ",.0f"),
        "USD per MWh served": Column("USD per MWh served", ",.2f"),
    }
    total = {name: rows[name].sum() for name in columns if name.endswith(" USD")}
    table = text_table(rows, "Cost of each interval", columns, {"start UTC": "All", **total})
    caption = "Production, starts and violations in each interval."
    return chart("hourly-cost", "Cost of each interval", caption, figure, table)


def _reserve_chart(facts: Facts) -> Chart:
    rows = facts.intervals
    held = facts.dispatch.groupby("interval_start")["reserve_up_mw"].sum()
    rows = rows.assign(held=rows["interval_start"].map(held))
    figure = new_figure(300)
    traces = {
        "reserve_required_mw": ("Required", {"color": ORANGE}),
        "held": ("Held by units", {"color": BLUE, "dash": "dot"}),
        "reserve_shortfall_mw": ("Shortfall", {"color": VERMILLION}),
    }
    lines(figure, rows, traces, facts.minutes, "MW")
    figure.update_yaxes(title="MW", tickformat=",.0f", rangemode="tozero")
    over_time(figure, rows["interval_start"], facts.minutes)
    columns = {
        "interval_start": Column("Interval (UTC)"),
        "reserve_required_mw": Column("Required, MW", ",.1f"),
        "held": Column("Held, MW", ",.1f"),
        "reserve_shortfall_mw": Column("Shortfall, MW", ",.1f"),
        "reserve_price": Column("Price, USD/MWh", ",.2f"),
    }
    table = text_table(rows, "Upward reserve in each interval", columns)
    return chart("reserve", "Upward reserve", "Required, held and missing.", figure, table)


def commitment_chapter(facts: Facts) -> Section:
    """Which of the units that can be switched are on, and how far they are loaded."""
    rows = facts.dispatch[facts.dispatch["generator_type"].isin(UNIT_TYPES)]
    if rows.empty:
        return Section(
            "commitment", "Commitment", nothing="No unit of the results can be switched."
        )
    return Section(
        "commitment",
        "Commitment",
        "Units that a commitment switches: "
        f"{rows['generator_id'].nunique()} of {facts.dispatch['generator_id'].nunique()}.",
        (_units_on(facts, rows), _unit_loading(rows)),
    )


def _units_on(facts: Facts, rows: pd.DataFrame) -> Chart:
    on = by_interval(rows.assign(on=rows["commitment_status"].astype(int)), "generator_type", "on")
    figure = new_figure(320, barmode="stack", bargap=0)
    for kind, colour in UNIT_TYPES.items():
        if kind in on.index:
            figure.add_bar(
                x=times(on.columns),
                y=on.T[kind].to_list(),
                width=facts.minutes * 60_000,
                offset=0,
                name=kind,
                marker={"color": colour, "line": {"width": 0}},
                hovertemplate="%{y} on",
            )
    figure.update_yaxes(title="Units on", tickformat="d")
    over_time(figure, on.columns, facts.minutes)
    wide = on.T.reset_index()
    starts = rows[rows["start_cost_usd"] > 0.0].groupby("interval_start").size()
    wide["starts"] = wide["interval_start"].map(starts).fillna(0).astype(int)
    columns = {"interval_start": Column("Interval (UTC)")}
    columns |= {kind: Column(f"{kind} on", ",d") for kind in UNIT_TYPES if kind in on.index}
    columns["starts"] = Column("Paid starts", ",d")
    table = text_table(wide, "Units on by type, and starts, in each interval", columns)
    return chart("units-on", "Units on by type", "Units on in each interval.", figure, table)


def _unit_loading(rows: pd.DataFrame) -> Chart:
    """Output over the greatest output; blank while off."""
    ever = rows.groupby("generator_id")["commitment_status"].transform("any")
    used = rows[ever & rows["commitment_status"]]
    ranks = {kind: rank for rank, kind in enumerate(UNIT_TYPES)}
    share = used["active_power"] / used["available_mw"].where(used["available_mw"] > 0.0) * 100.0
    loading = by_interval(used.assign(share=share), "generator_id", "share")
    kinds = used.drop_duplicates("generator_id").set_index("generator_id")["generator_type"]
    order = sorted(loading.index, key=lambda unit: (ranks[kinds[unit]], unit))
    loading = loading.reindex(index=order, columns=sorted(rows["interval_start"].unique()))
    figure = heat_map(
        loading,
        colour_title="% of greatest output",
        hover=f"%{{y}}, {HOUR}: %{{z:.0f}} % of greatest output",
        bounds=(0.0, 100.0),
    )
    off = rows["generator_id"].nunique() - len(loading)
    table = text_table(_unit_rows(rows), "Switched units over the horizon", UNIT_COLUMNS)
    caption = f"Blank cells: the unit is off. Units that are off throughout and not drawn: {off}."
    return chart("unit-loading", "Loading of the units on", caption, figure, table)


UNIT_COLUMNS = {
    "generator_id": Column("Unit"),
    "generator_type": Column("Type"),
    "bus_id": Column("Bus"),
    "intervals_on": Column("Intervals on", ",d"),
    "starts": Column("Paid starts", ",d"),
    "mean_mw": Column("Mean output, MW", ",.1f"),
    "cost_usd": Column("Production cost, USD", ",.0f"),
    "at_pmin": Column("At least output", ",d"),
    "at_pmax": Column("At greatest output", ",d"),
    "ramp_limited": Column("Ramp limited", ",d"),
}


def _unit_rows(rows: pd.DataFrame) -> pd.DataFrame:
    counted = rows.assign(paid=rows["start_cost_usd"] > 0.0)
    named: dict[str, Any] = {
        "generator_type": ("generator_type", "first"),
        "bus_id": ("bus_id", "first"),
        "intervals_on": ("commitment_status", "sum"),
        "starts": ("paid", "sum"),
        "mean_mw": ("active_power", "mean"),
        "cost_usd": ("cost_usd", "sum"),
    }
    named |= {name: (name, "sum") for name in ("at_pmin", "at_pmax", "ramp_limited")}
    table: pd.DataFrame = counted.groupby("generator_id", sort=True).agg(**named).reset_index()
    return table
