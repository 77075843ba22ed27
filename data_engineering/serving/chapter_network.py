"""Chapters on the network: branch loading, limits that bind, and the AC power flow."""

from __future__ import annotations

import pandas as pd

from data_engineering.serving import summary
from data_engineering.serving.blocks import Chart, Column, Section, TextTable, text_table
from data_engineering.serving.facts import Facts
from data_engineering.serving.figures import HOUR, chart, edges, heat_map, new_figure
from data_engineering.serving.headline import voltages_outside
from data_engineering.serving.palette import BLUE, GREEN, ORANGE, PURPLE, VERMILLION

TOP = 25
"""Branches in the chart of loading."""


def network_chapter(facts: Facts) -> Section:
    """The branches that are loaded most, and the limits that bind with their shadow prices."""
    rated = facts.flows[facts.flows["loading_percent"].notna()]
    if rated.empty:
        nothing = "The execution has no flow of a branch with a rating."
        return Section("network", "Network", nothing=nothing)
    base = rated[rated["contingency_id"] == "base"]
    blocks: list[Chart | TextTable] = []
    if len(base):
        blocks.append(_loading(base))
    after = rated[rated["contingency_id"] != "base"]
    intro = f"{base['branch_id'].nunique()} branches with a rating in the intact network."
    if len(after):
        intro += f" {after['contingency_id'].nunique()} outages are in the results."
    return Section("network", "Network", intro, (*blocks, _binding(facts)))


def _loading(base: pd.DataFrame) -> Chart:
    worst = base.groupby("branch_id", sort=True).agg(
        from_bus=("from_bus_id", "first"),
        to_bus=("to_bus_id", "first"),
        rating=("rating_mw", "max"),
        mean=("loading_percent", "mean"),
        greatest=("loading_percent", "max"),
        ac=("ac_loading_percent", "max"),
        bound=("binding", "sum"),
    )
    order = worst.assign(rank=worst["greatest"].round(6))
    order = order.sort_values(["rank", "mean"], ascending=False, kind="stable")
    shown = order.head(TOP)
    values = base.pivot(index="branch_id", columns="interval_start", values="loading_percent")
    figure = heat_map(
        values.loc[shown.index],
        colour_title="% of rating",
        hover=f"%{{y}}, {HOUR}: %{{z:.1f}} %",
        bounds=(0.0, max(100.0, float(shown["greatest"].max()))),
        row_height=20,
    )
    columns = {
        "branch_id": Column("Branch"),
        "from_bus": Column("From"),
        "to_bus": Column("To"),
        "rating": Column("Rating, MW", ",.0f"),
        "mean": Column("Mean loading, %", ",.1f"),
        "greatest": Column("Greatest loading, %", ",.1f"),
        "ac": Column("Greatest AC loading, %", ",.1f"),
        "bound": Column("Intervals at limit", ",d"),
    }
    table = text_table(order.reset_index(), "Loading of each branch over the horizon", columns)
    caption = (
        f"The {len(shown)} branches of {len(order)} with the greatest loading "
        "in the optimisation; the table has all."
    )
    return chart("branch-loading", "Loading of branches", caption, figure, table)


def _binding(facts: Facts) -> TextTable:
    rows = summary.binding_branches(facts.tables, facts.hours)
    columns = {
        "branch": Column("Branch"),
        "from bus": Column("From"),
        "to bus": Column("To"),
        "outage": Column("Outage"),
        "rating MW": Column("Rating, MW", ",.0f"),
        "hours at limit": Column("Hours at limit", ",.1f"),
        "max shadow price USD/MWh": Column("Greatest shadow price, USD/MWh", ",.2f"),
        "congestion USD": Column("Congestion cost, USD", ",.0f"),
    }
    caption = "Branches at their limit; congestion cost is shadow price times flow."
    if rows.empty:
        return text_table(rows, "No branch is at its limit in any interval.", columns)
    total = {"branch": "All", "congestion USD": rows["congestion USD"].sum()}
    return text_table(rows, caption, columns, total)


def ac_chapter(facts: Facts) -> Section:
    """How far the DC answer is from AC: losses, loading, voltages, differences of flows."""
    rows = facts.intervals[facts.intervals["ac_converged"].notna()]
    if rows.empty:
        nothing = "No AC power flow was made of this execution."
        return Section("ac", "AC check", nothing=nothing)
    checks = summary.ac_check(facts.tables)
    columns = {
        "check": Column("Check"),
        "value": Column("Value", ",.3f"),
        "unit": Column("Unit"),
        "start UTC": Column("Interval (UTC)"),
    }
    intro = "Each interval's dispatch in an AC power flow, where losses and voltages are real."
    if facts.topology.get("buses") and len(facts.buses):
        outside = voltages_outside(facts)
        intro += f" Buses with a voltage outside their limits at some time: {outside}."
    extremes = text_table(checks, "Extremes of the AC power flow", columns)
    solved = rows[rows["ac_converged"].astype(bool)]
    if solved.empty:
        return Section("ac", "AC check", intro, (extremes,))
    return Section("ac", "AC check", intro, (extremes, _ac_chart(facts, rows)))


PANELS = (
    ("Losses and change of the reference, MW", 1, 1),
    ("Greatest loading, %", 1, 2),
    ("Lowest and highest voltage, p.u.", 2, 1),
    ("Greatest difference of AC and DC flow, MW", 2, 2),
)
TRACES = (
    ("ac_losses_mw", "Losses", BLUE, 1, 1),
    ("ac_slack_change_mw", "Change of the reference", ORANGE, 1, 1),
    ("ac_max_loading_percent", "Greatest loading", VERMILLION, 1, 2),
    ("ac_min_voltage_pu", "Lowest voltage", BLUE, 2, 1),
    ("ac_max_voltage_pu", "Highest voltage", PURPLE, 2, 1),
    ("ac_max_flow_difference_mw", "Greatest difference", GREEN, 2, 2),
)


def _ac_chart(facts: Facts, rows: pd.DataFrame) -> Chart:
    from plotly.subplots import make_subplots

    panels = make_subplots(
        rows=2,
        cols=2,
        shared_xaxes=True,
        vertical_spacing=0.12,
        horizontal_spacing=0.07,
        subplot_titles=[title for title, _, _ in PANELS],
    )
    for column, name, colour, row, place in TRACES:
        x, y = edges(rows["interval_start"], rows[column], facts.minutes)
        digits = ".4f" if column.endswith("_pu") else ",.2f"
        panels.add_scatter(
            x=x,
            y=y,
            name=name,
            mode="lines",
            line={"shape": "hv", "width": 2, "color": colour},
            hovertemplate=f"%{{y:{digits}}}",
            row=row,
            col=place,
        )
    figure = panels.update_layout(new_figure(520).layout)
    figure.update_layout(legend={"y": -0.1, "yanchor": "top"}, margin={"t": 64})
    figure.update_annotations(font_size=13)
    columns = {
        "interval_start": Column("Interval (UTC)"),
        "ac_converged": Column("Solution"),
        "ac_losses_mw": Column("Losses, MW", ",.1f"),
        "ac_slack_change_mw": Column("Change of reference, MW", "+,.1f"),
        "ac_max_loading_percent": Column("Greatest loading, %", ",.1f"),
        "ac_min_voltage_pu": Column("Lowest voltage, p.u.", ".4f"),
        "ac_max_voltage_pu": Column("Highest voltage, p.u.", ".4f"),
        "ac_max_flow_difference_mw": Column("Greatest flow difference, MW", ",.1f"),
        "outages_checked": Column("Outages checked", ",d"),
        "outages_not_converged": Column("of these without solution", ",d"),
        "outage_violations": Column("Out of limits after outages", ",d"),
        "worst_outage_id": Column("Worst outage"),
        "worst_outage_loading_percent": Column("Loading after it, %", ",.1f"),
    }
    table = text_table(rows, "AC power flow of each interval", columns)
    caption = "What the DC model does not know, interval by interval."
    return chart("ac-check", "AC power flow of each interval", caption, figure, table)
