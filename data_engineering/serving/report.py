"""One self-contained HTML page about an execution: no network, same input, same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from data_engineering.serving.blocks import Chart
from data_engineering.serving.chapter_checks import quality_chapter, solver_chapter
from data_engineering.serving.chapter_dispatch import (
    commitment_chapter,
    cost_chapter,
    dispatch_chapter,
)
from data_engineering.serving.chapter_network import ac_chapter, network_chapter
from data_engineering.serving.chapter_prices import price_chapter
from data_engineering.serving.chapter_resources import curtailment_chapter, storage_chapter
from data_engineering.serving.facts import gather
from data_engineering.serving.headline import execution_facts, findings, key_figures

TEMPLATES = Path(__file__).parent / "templates"
CHAPTERS = (
    dispatch_chapter,
    cost_chapter,
    commitment_chapter,
    price_chapter,
    network_chapter,
    storage_chapter,
    curtailment_chapter,
    ac_chapter,
    quality_chapter,
    solver_chapter,
)


def build_report(
    execution: Mapping[str, Any],
    tables: Mapping[str, pd.DataFrame],
    quality: pd.DataFrame,
    rejected: pd.DataFrame,
    topology: Mapping[str, Any] | None,
) -> str:
    """The page about an execution; a chapter without data says so.

    Args:
        execution: the columns of `lascopf_executions`, with `topology_digest` if it is known.
        tables: result frames by table name; those not given are taken as empty.
        quality: rows of `data_quality_metrics` of the day.
        rejected: rows of `rejected_rows` of the day.
        topology: the grid's document, as `network_topology.system_data` holds it.

    Raises:
        ValueError: a frame's values do not fit its declared table.
    """
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    facts = gather(execution, tables, quality, rejected, topology or {})
    day = pd.Timestamp(execution["horizon_start"]).date()
    page: str = _template().render(
        title=f"{execution['case_name']}, {day.isoformat()}",
        facts=execution_facts(facts),
        figures=key_figures(facts),
        findings=findings(facts),
        sections=[chapter(facts) for chapter in CHAPTERS],
        # Not escaped: files of this package and of plotly's.
        style=Markup((TEMPLATES / "report.css").read_text()),  # noqa: S704
        script=Markup((TEMPLATES / "report.js").read_text()),  # noqa: S704
        plotly=Markup(get_plotlyjs()),  # noqa: S704
        as_json=Markup,
    )
    return page


def _template() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["chart"] = lambda block: isinstance(block, Chart)
    return environment.get_template("report.html")
