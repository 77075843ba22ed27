"""One self-contained HTML page about an execution: no network, same results, same bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from data_engineering.serving import summary
from data_engineering.serving.figures import figures
from data_engineering.serving.summary import Tables

SECTIONS = (
    ("dispatch", "Dispatch by fuel", "No unit was dispatched."),
    ("prices", "Prices over time", "There are no prices."),
    ("price_map", "Prices by bus and hour", "There are no prices."),
    ("map", "Mean price on the map", "The grid has no coordinates."),
    ("loading", "Branch loading", "There are no branches."),
    ("storage", "Storage", "The grid has no store."),
    ("curtailment", "Curtailment", "All available wind, sun and water was used."),
    ("ac", "AC power flow", "No interval has an AC solution."),
    ("convergence", "Convergence of the commitment", "The commitment was not searched for."),
)
FACTS = (
    ("Case", "case_name"),
    ("Horizon starts", "horizon_start"),
    ("Intervals", "interval_count"),
    ("Status", "convergence_status"),
    ("Cost, USD", "objective_value"),
    ("Kind", "kind"),
    ("Method", "method"),
    ("Commitment", "commitment"),
    ("Solver", "solver"),
    ("Solver version", "solver_version"),
    ("Grid version", "topology_id"),
    ("Execution", "execution_id"),
)
RESULTS = (
    "generator_dispatch",
    "bus_results",
    "branch_flow_results",
    "interval_results",
    "convergence_history",
)


def build_report(
    execution: Mapping[str, Any],
    tables: Tables,
    quality: pd.DataFrame,
    rejected: pd.DataFrame,
    topology: Mapping[str, Any] | None,
) -> str:
    """The page.

    Args:
        execution: a row of lascopf_executions.
        tables: the result tables by name; any may be empty.
        quality: rows of data_quality_metrics of the day.
        rejected: table_name and rejected_rows.
        topology: the grid's document; None where it is not known.
    """
    from jinja2 import Environment, PackageLoader

    given = {name: tables.get(name, pd.DataFrame()) for name in RESULTS}
    environment = Environment(
        loader=PackageLoader("data_engineering.serving"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page: str = environment.get_template("report.html").render(
        title=f"{execution['case_name']}, {pd.Timestamp(execution['horizon_start']):%Y-%m-%d}",
        facts=_facts(execution),
        residuals=_residuals(execution),
        summaries=_summaries(given, quality, rejected),
        sections=_sections(given, topology),
        script=_plotly_script(),
    )
    return page


def _facts(execution: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(label, _text(execution.get(name))) for label, name in FACTS]


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}"
    return "-" if value is None else str(value)


def _residuals(execution: Mapping[str, Any]) -> list[tuple[str, str]]:
    extra = execution.get("metadata") or {}
    extra = json.loads(extra) if isinstance(extra, str) else extra
    return [(name, f"{value:.3g}") for name, value in sorted(extra.get("residuals", {}).items())]


def _summaries(
    tables: Tables, quality: pd.DataFrame, rejected: pd.DataFrame
) -> list[tuple[str, list[str], list[list[str]]]]:
    """Title, columns and rows of each summary table that has rows."""
    built = []
    if len(tables["interval_results"]) and len(tables["bus_results"]):
        built += [
            ("Dispatch by fuel", summary.dispatch_by_fuel(tables)),
            ("Cost by hour", summary.hourly_cost(tables)),
            ("Branches at or near their limits", summary.binding_branches(tables)),
            ("How far the DC answer is from AC", summary.ac_check(tables)),
        ]
    if len(quality):
        built.append(("Data quality of the day", summary.data_quality(quality, rejected)))
    return [
        (
            title,
            [str(name) for name in frame],
            [[_cell(v) for v in row] for row in frame.to_numpy()],
        )
        for title, frame in built
    ]


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "-" if pd.isna(value) else f"{value:,.2f}"
    return str(value)


def _sections(
    tables: Tables, topology: Mapping[str, Any] | None
) -> list[tuple[str, str, str, str | None]]:
    """Name, title, the line for an empty section, and the figure as JSON."""
    built = figures(tables, topology)
    return [
        (name, title, nothing, _figure_json(built.get(name))) for name, title, nothing in SECTIONS
    ]


def _figure_json(figure: Any) -> str | None:
    """A figure as JSON that cannot close the script element it stands in."""
    if figure is None:
        return None
    text: str = figure.to_json()
    return text.replace("<", "\\u003c")


def _plotly_script() -> str:
    from plotly.offline import get_plotlyjs

    text: str = get_plotlyjs()
    return text
