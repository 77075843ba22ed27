"""Chapters on trust: quality of the data, residuals and steps of the solve."""

from __future__ import annotations

import pandas as pd

from data_engineering.serving import summary
from data_engineering.serving.blocks import Chart, Column, Section, TextTable, text_table
from data_engineering.serving.facts import Facts
from data_engineering.serving.figures import chart, new_figure
from data_engineering.serving.palette import BLUE, GREEN, GREY, ORANGE, VERMILLION

LISTED = 50
"""Rows of a list that may be long."""


def quality_chapter(facts: Facts) -> Section:
    """Checks by table, those that failed or had nothing to evaluate, and rejected rows."""
    counts = summary.data_quality(facts.quality, facts.rejected)
    if counts.empty:
        nothing = "No check and no rejected row is recorded for the day and case."
        return Section("quality", "Data quality", nothing=nothing)
    blocks: list[Chart | TextTable] = [_counts(counts)]
    verdict = facts.quality["success"].astype("boolean")
    failed = facts.quality[~verdict.fillna(True).astype(bool)]
    if len(failed):
        blocks.append(_checks(failed, "Checks that failed"))
    unknown = facts.quality[verdict.isna()]
    if len(unknown):
        blocks.append(_checks(unknown, "Checks that had nothing to evaluate"))
    if len(facts.rejected):
        blocks.append(_reasons(facts.rejected))
    intro = (
        "Checks of the day's batches before they were let in. A check of a column without values "
        "counts as not evaluated, not as passed."
    )
    return Section("quality", "Data quality", intro, tuple(blocks))


def _counts(counts: pd.DataFrame) -> Chart:
    figure = new_figure(120 + 34 * len(counts), barmode="stack", bargap=0.3)
    parts = {"passed": GREEN, "failed": VERMILLION, "not evaluated": GREY}
    for name, colour in parts.items():
        figure.add_bar(
            y=counts["table"].to_list(),
            x=counts[name].to_list(),
            orientation="h",
            name=name.capitalize(),
            marker_color=colour,
            text=[str(value) if value else "" for value in counts[name]],
            textposition="inside",
            hovertemplate="%{x}",
        )
    figure.update_layout(hovermode="y unified", margin={"l": 180})
    figure.update_xaxes(title="Checks", tickformat="d")
    figure.update_yaxes(autorange="reversed", showgrid=False)
    columns = {"table": Column("Table")}
    columns |= {name: Column(name.capitalize(), ",d") for name in counts.columns[1:]}
    total = {name: counts[name].sum() for name in counts.columns[1:]}
    caption = "Checks and rejected rows of each table"
    table = text_table(counts, caption, columns, {"table": "All", **total})
    return chart("quality-checks", "Checks by table", "Outcome of the checks.", figure, table)


def _checks(rows: pd.DataFrame, caption: str) -> TextTable:
    columns = {
        "table_name": Column("Table"),
        "check_name": Column("Check"),
        "expected": Column("Expected"),
        "observed_value": Column("Found", ",.4g"),
        "evaluated_rows": Column("Rows evaluated", ",d"),
        "unexpected_rows": Column("Rows that fail", ",d"),
    }
    return text_table(rows.head(LISTED), caption + _of(len(rows)), columns)


def _reasons(rejected: pd.DataFrame) -> TextTable:
    counted = rejected.groupby(["table_name", "reason"], sort=True).size()
    rows = counted.rename("rows").reset_index()
    rows = rows.sort_values("rows", ascending=False, kind="stable")
    columns = {
        "table_name": Column("Table"),
        "reason": Column("Reason"),
        "rows": Column("Rows", ",d"),
    }
    return text_table(rows.head(LISTED), "Rejected rows by reason" + _of(len(rows)), columns)


def _of(count: int) -> str:
    return f", the first {LISTED} of {count}" if count > LISTED else ""


def solver_chapter(facts: Facts) -> Section:
    """Residuals of the answer and the steps that led to it."""
    blocks: list[Chart | TextTable] = []
    residuals = facts.execution["metadata"].get("residuals", {})
    if residuals:
        rows = pd.DataFrame(sorted(residuals.items()), columns=["residual", "value"])
        columns = {
            "residual": Column("Residual, with its unit"),
            "value": Column("Greatest violation", ".3e"),
        }
        blocks.append(text_table(rows, "Residuals of the answer", columns))
    steps = facts.history[facts.history["elapsed_seconds"].notna()]
    bounded = steps[steps["objective_value"].notna() & steps["best_bound"].notna()]
    if len(facts.history):
        blocks.append(_steps(facts.history))
    if (bounded.groupby("stage").size() > 1).any():
        blocks.append(_progress(bounded))
    if not blocks:
        nothing = "The solver recorded neither residuals nor steps."
        return Section("solver", "Solve", nothing=nothing)
    return Section("solver", "Solve", blocks=tuple(blocks))


def _steps(history: pd.DataFrame) -> TextTable:
    """First, last and between: the last LISTED steps of each stage."""
    rows = history.groupby("stage", sort=True).tail(LISTED)
    rows = rows.assign(gap=rows["relative_gap"] * 100.0)
    columns = {
        "stage": Column("Stage"),
        "iteration": Column("Iteration", ",d"),
        "objective_value": Column("Objective, USD", ",.2f"),
        "best_bound": Column("Bound, USD", ",.2f"),
        "gap": Column("Gap, %", ",.3f"),
        "primal_residual": Column("Primal residual", ".2e"),
        "dual_residual": Column("Dual residual", ".2e"),
        "elapsed_seconds": Column("Elapsed, s", ",.2f"),
    }
    caption = (
        "Steps of the solve; a stage's objective is that of its own program, look-ahead included"
    )
    if len(rows) < len(history):
        caption += f", the last {LISTED} of each stage"
    return text_table(rows, caption, columns)


def _progress(bounded: pd.DataFrame) -> Chart:
    figure = new_figure(320)
    for stage, rows in bounded.groupby("stage", sort=True):
        if len(rows) > 1:
            for column, label, colour in (
                ("objective_value", "best answer", BLUE),
                ("best_bound", "bound", ORANGE),
            ):
                figure.add_scatter(
                    x=rows["elapsed_seconds"].to_list(),
                    y=rows[column].to_list(),
                    name=f"{stage}, {label}",
                    mode="lines+markers",
                    line={"shape": "hv", "color": colour},
                    hovertemplate="%{y:,.0f} USD",
                )
    figure.update_xaxes(title="Elapsed seconds")
    figure.update_yaxes(title="USD", tickformat=",.0f")
    caption = "The best answer and the proven bound close in on each other."
    return chart("solver-progress", "Progress of the search", caption, figure, None)
