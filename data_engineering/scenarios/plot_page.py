"""Self-contained interactive pages: charts with everything they need, so that no network is used.

The colours are those of Okabe and Ito (2008), told apart with any colour vision.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BLUE, SKY, GREEN, ORANGE = "#0072B2", "#56B4E9", "#009E73", "#E69F00"
VERMILLION, PURPLE, GREY = "#D55E00", "#CC79A7", "#7A7A7A"
INK, SOFT, GRID = "#1b1f24", "#545d68", "#dfe3e8"
TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Chart:
    """A figure as JSON, with what is said above it."""

    title: str
    caption: str
    figure: str
    height: int


@dataclass(frozen=True)
class Section:
    """Charts of one matter, and a table below them where there are rows."""

    title: str
    intro: str
    charts: tuple[Chart, ...]
    headings: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


def page(
    kind: str,
    title: str,
    facts: Sequence[tuple[str, str]],
    sections: Sequence[Section],
    foot: str,
    least_width: str = "28rem",
) -> str:
    """The page as HTML.

    Args:
        kind: what is shown.
        title: of what.
        facts: label and value of the figures at its head.
        sections: in order.
        foot: what is said at the end.
        least_width: of a chart beside others.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        kind=kind,
        title=title,
        facts=facts,
        sections=sections,
        foot=foot,
        least_width=least_width,
        plotly=Markup(get_plotlyjs()),  # noqa: S704 plotly's own file
        as_json=Markup,
    )


def chart(
    title: str, caption: str, traces: list[dict[str, Any]], height: int = 320, **layout: Any
) -> Chart:
    """A chart in the pages' style.

    Args:
        title: above it.
        caption: below the title.
        traces: of plotly, as dictionaries.
        height: pixels.
        **layout: of plotly, over the style's; `xaxis` and `yaxis` are joined with its own.
    """
    axis = {"gridcolor": GRID, "zerolinecolor": GRID, "linecolor": GRID, "automargin": True}
    style: dict[str, Any] = {
        "height": height,
        "margin": {"l": 64, "r": 16, "t": 16, "b": 48},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": INK, "size": 13},
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": SOFT, "activecolor": INK},
        "hoverlabel": {"bgcolor": "#ffffff", "font": {"color": INK}, "namelength": -1},
        "showlegend": False,
    }
    for name in ("xaxis", "yaxis"):
        style[name] = axis | layout.pop(name, {})
    figure = json.dumps({"data": traces, "layout": style | layout}, allow_nan=False)
    # Within a script element only this could end it.
    return Chart(title, caption, figure.replace("</", "<\\/"), height)
