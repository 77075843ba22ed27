"""Plotly figures of the report: one style, and the shapes that several chapters draw."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_engineering.serving.blocks import Chart, TextTable, figure_json
from data_engineering.serving.palette import SCALE

HOUR = "%{x|%Y-%m-%d %H:%M}"
STARTS = "Start of the interval (UTC)"
INK = {"ink": True}
"""A trace with this `meta` takes the text's colour, which differs on light and dark paper."""


def new_figure(height: int, **layout: Any) -> Any:
    """An empty figure in the report's style; its colours of text and grid come from the page."""
    import plotly.graph_objects as go

    figure = go.Figure()
    figure.update_layout(
        template=go.layout.Template(),
        height=height,
        margin={"l": 72, "r": 16, "t": 56, "b": 48},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        modebar={"bgcolor": "rgba(0,0,0,0)"},
        showlegend=True,
        legend={
            "orientation": "h",
            "traceorder": "normal",
            "y": 1.02,
            "yanchor": "bottom",
            "x": 0,
            "xanchor": "left",
        },
        hovermode="x unified",
        hoverlabel={"namelength": -1},
        **layout,
    )
    return figure


def chart(name: str, title: str, caption: str, figure: Any, table: TextTable | None) -> Chart:
    """A figure as a block of the page."""
    figure.update_xaxes(automargin=True)
    figure.update_yaxes(automargin=True)
    return Chart(name, title, caption, figure_json(figure), int(figure.layout.height), table)


def times(values: pd.Series | pd.Index) -> list[str]:
    """UTC times as text without a zone, which Plotly shows as they stand."""
    stamps = pd.DatetimeIndex(values)
    return [stamp.strftime("%Y-%m-%d %H:%M") for stamp in stamps]


def over_time(figure: Any, starts: pd.Series | pd.Index, minutes: int) -> None:
    """Give a chart over the intervals its axis, from the first start to the last end."""
    stamps = pd.DatetimeIndex(starts)
    span = pd.DatetimeIndex([stamps.min(), stamps.max() + pd.Timedelta(minutes=minutes)])
    figure.update_xaxes(title=STARTS, range=times(span))


def edges(
    starts: pd.Series, values: pd.Series | npt.NDArray[Any], minutes: int
) -> tuple[list[str], list[float]]:
    """Interval values as the points of a step line that ends with the last interval's end."""
    stamps = list(pd.DatetimeIndex(starts))
    numbers = [float(value) for value in values]
    if stamps:
        stamps.append(stamps[-1] + pd.Timedelta(minutes=minutes))
        numbers.append(numbers[-1])
    return times(pd.DatetimeIndex(stamps)), numbers


def heat_map(
    values: pd.DataFrame,
    *,
    colour_title: str,
    hover: str,
    bounds: tuple[float | None, float | None] = (None, None),
    row_height: int = 12,
    scale: str = SCALE,
) -> Any:
    """Rows by interval start as coloured cells, the first row on top.

    Args:
        values: rows by index, interval starts by column.
        colour_title: what the colour means, with its unit.
        hover: what is said of a cell; %{y}, %{x} and %{z} stand for row, start and value.
        bounds: ends of the colour scale; None for the least and greatest value.
        row_height: pixels of a row.
        scale: Plotly's name of the colour scale.
    """
    height = max(200, 120 + row_height * len(values))
    figure = new_figure(height)
    low, high = bounds
    figure.add_heatmap(
        x=times(values.columns),
        y=[str(name) for name in values.index],
        z=np.round(values.to_numpy(dtype=float), 4),
        zmin=low,
        zmax=high,
        zauto=low is None and high is None,
        colorscale=scale,
        colorbar={"title": {"text": colour_title, "side": "right"}, "thickness": 14},
        hovertemplate=hover + "<extra></extra>",
        xgap=1,
        ygap=1,
    )
    figure.update_layout(hovermode="closest", margin={"l": 110, "r": 16, "t": 32, "b": 48})
    figure.update_yaxes(autorange="reversed", type="category", nticks=len(values) + 1)
    figure.update_yaxes(tickfont={"size": 9 if row_height < 16 else 11})
    figure.update_xaxes(title=STARTS, showgrid=False)
    return figure


def by_interval(frame: pd.DataFrame, row: str, value: str) -> pd.DataFrame:
    """A long frame as rows of `row` by interval start."""
    return frame.pivot_table(
        index=row, columns="interval_start", values=value, aggfunc="sum", sort=True
    )


def lines(
    figure: Any,
    frame: pd.DataFrame,
    traces: Mapping[str, tuple[str, dict[str, Any]]],
    minutes: int,
    unit: str,
) -> None:
    """Add columns of interval rows as step lines: column to its name and Plotly's line style."""
    for column, (name, style) in traces.items():
        x, y = edges(frame["interval_start"], frame[column], minutes)
        figure.add_scatter(
            x=x,
            y=y,
            name=name,
            mode="lines",
            line={"shape": "hv", "width": 2, **style},
            hovertemplate="%{y:,.2f} " + unit,
        )
