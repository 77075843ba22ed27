"""Plots of the features of a dataset: a PNG for each, and one interactive page for all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from data_engineering.scenarios.distributions import (
    BUSES,
    FEATURES,
    FLAGS,
    Distributions,
    Shape,
    read_distributions,
)
from data_engineering.scenarios.plot_page import (
    BLUE,
    INK,
    ORANGE,
    SKY,
    Chart,
    Section,
    chart,
    page,
)

HALF = 0.42
"""Half the width of a shape, in steps from bus to bus."""
PAGE = "distributions.html"


def write_plots(
    folder: Path,
    output_dir: Path,
    *,
    n_partitions: int = 100,
    sn_mva: float = 100.0,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write `distribution_{feature}.png` for each bus feature, and `distributions.html` for all.

    Args:
        folder: the raw folder of the dataset.
        output_dir: gets the files; it is made where it is missing.
        n_partitions: how many partitions to look at, always the same; 0: all.
        sn_mva: base power of per-unit values, MVA.
        progress: called with the number of partitions done and to do.

    Returns:
        The files.

    Raises:
        BadInput: the folder holds no dataset, or its tables do not fit together.
        SourceFileBroken: a file cannot be read.
    """
    found = read_distributions(folder, n_partitions=n_partitions, sn_mva=sn_mva, progress=progress)
    output_dir.mkdir(parents=True, exist_ok=True)
    files = []
    for feature in found.shapes:
        files.append(output_dir / f"distribution_{feature}.png")
        _write_picture(files[-1], feature, found)
    files.append(output_dir / PAGE)
    files[-1].write_text(_page(folder, found))
    return files


def _said(feature: str, found: Distributions) -> str:
    samples = f"{found.samples:,} samples"
    if found.samples < found.of:
        samples += f" out of {found.of:,}"
    buses = len(found.shapes[feature])
    return samples + (f", {buses} of {found.buses:,} buses" if buses < found.buses else "")


def _write_picture(path: Path, feature: str, found: Distributions) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    title, unit = FEATURES[feature]
    shapes = found.shapes[feature]
    figure = Figure(figsize=(15, 6))
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    figure.subplots_adjust(0.06, 0.13, 0.99, 0.92)
    for place, one in enumerate(shapes):
        if feature in FLAGS:
            axis.bar(place, one.mean, 0.7, color=BLUE)
        elif one.count:
            _draw(axis, place, one)
    axis.set_title(
        f"{feature}: {title[0].lower()}{title[1:]} by bus ({_said(feature, found)})", fontsize=13
    )
    axis.set_xlabel("Bus")
    axis.set_ylabel(unit if feature in FLAGS else f"{feature} ({unit})")
    axis.set_xticks(range(len(shapes)), [str(one.bus) for one in shapes], rotation=45)
    axis.set_xlim(-0.7, len(shapes) - 0.3)
    if feature in FLAGS:
        axis.set_ylim(0, 1.05)
    axis.grid(axis="y", color="#dfe3e8", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _draw(axis: Any, place: int, one: Shape) -> None:
    least, first, median, third, greatest = one.quantiles
    if len(one.along) > 1:
        half = HALF * one.density
        axis.fill_betweenx(one.along, place - half, place + half, color=SKY, linewidth=0)
        axis.vlines(place, least, greatest, color=BLUE, linewidth=1)
        axis.vlines(place, first, third, color=BLUE, linewidth=6)
    axis.hlines(median, place - HALF, place + HALF, color=INK, linewidth=1.4)
    axis.plot(place, one.mean, "o", color=ORANGE, markersize=4, zorder=3)


def _page(folder: Path, found: Distributions) -> str:
    resolved = folder.resolve()
    name = resolved.parent.name if resolved.name == "raw" else resolved.name
    charts = [_chart(feature, shapes) for feature, shapes in found.shapes.items()]
    flags = [one for one in charts if one.title.partition(":")[0] in FLAGS]
    sections = [
        Section(
            "Values by bus",
            "Blue shapes: how often a value occurs, wider where more samples have it; dark bars: "
            "the middle half of the samples; lines across: the median; dots: the mean. Zoom by "
            "dragging, a double click shows all again.",
            tuple(one for one in charts if one not in flags),
        ),
        Section(
            "Types of the buses",
            "The share of samples in which a bus has the type. A bus with generators is PV while "
            "one of them is in service.",
            tuple(flags),
        ),
    ]
    facts = [
        ("Samples drawn", f"{found.samples:,} of {found.of:,}"),
        ("Buses", f"{found.buses:,}"),
        ("Buses shown of each feature", f"at most {BUSES}"),
    ]
    return page(
        "Features of a scenario dataset",
        name,
        facts,
        sections,
        "Samples and buses are drawn by chance, but always the same ones; for demand and "
        "generation of the buses that have them. Powers are per unit. "
        "Written from the dataset alone; the same dataset gives the same page.",
        least_width="60rem",
    )


def _chart(feature: str, shapes: tuple[Shape, ...]) -> Chart:
    title, unit = FEATURES[feature]
    places = list(range(len(shapes)))
    ticks = {
        "tickvals": places,
        "ticktext": [str(one.bus) for one in shapes],
        "title": {"text": "bus"},
        "range": [-0.7, len(shapes) - 0.3],
        "showgrid": False,
        "zeroline": False,
    }
    if feature in FLAGS:
        bars = {
            "type": "bar",
            "x": places,
            "y": [_rounded(one.mean) for one in shapes],
            "marker": {"color": BLUE},
            "customdata": [one.bus for one in shapes],
            "hovertemplate": "bus %{customdata}: %{y:.1%} of the samples<extra></extra>",
        }
        share = {"title": {"text": unit}, "range": [0, 1.05], "tickformat": ".0%"}
        return chart(f"{feature}: {title}", "", [bars], 260, xaxis=ticks, yaxis=share)
    traces = _traces(shapes, unit)
    axis = {"title": {"text": f"{feature} ({unit})"}, "zeroline": False}
    constant = sum(len(one.along) == 1 for one in shapes)
    missing = sum(one.count == 0 for one in shapes)
    caption = (
        f"{constant} of {len(shapes)} buses have one value in all samples." if constant else ""
    )
    caption += f" {missing} buses have none." if missing else ""
    return chart(f"{feature}: {title}", caption, traces, 420, xaxis=ticks, yaxis=axis)


def _traces(shapes: tuple[Shape, ...], unit: str) -> list[dict[str, Any]]:
    outline: dict[str, list[float | None]] = {"x": [], "y": []}
    box: dict[str, list[float | None]] = {"x": [], "y": []}
    median: dict[str, list[float | None]] = {"x": [], "y": []}
    shown = [(place, one) for place, one in enumerate(shapes) if one.count]
    for place, one in shown:
        if len(one.along) > 1:
            right = [_rounded(place + HALF * float(d)) for d in one.density]
            left = [_rounded(place - HALF * float(d)) for d in one.density[::-1]]
            values = [_rounded(float(v)) for v in one.along]
            outline["x"] += [*right, *left, right[0], None]
            outline["y"] += [*values, *values[::-1], values[0], None]
        box["x"] += [place, place, None]
        box["y"] += [_rounded(one.quantiles[1]), _rounded(one.quantiles[3]), None]
        median["x"] += [place - HALF, place + HALF, None]
        median["y"] += [_rounded(one.quantiles[2])] * 2 + [None]
    hover = (
        "bus %{customdata[0]}<br>mean %{y:.5g}<br>median %{customdata[3]:.5g}, middle half "
        "%{customdata[2]:.5g} to %{customdata[4]:.5g}<br>least %{customdata[1]:.5g}, greatest "
        f"%{{customdata[5]:.5g}} {unit}<br>%{{customdata[6]:,}} samples<extra></extra>"
    )
    line = {"type": "scatter", "mode": "lines", "hoverinfo": "skip"}
    return [
        line | outline | {"fill": "toself", "fillcolor": SKY, "line": {"width": 0, "color": SKY}},
        line | box | {"line": {"width": 6, "color": BLUE}},
        line | median | {"line": {"width": 1.5, "color": INK}},
        {
            "type": "scatter",
            "mode": "markers",
            "x": [place for place, _ in shown],
            "y": [_rounded(one.mean) for _, one in shown],
            "marker": {"color": ORANGE, "size": 7, "line": {"color": INK, "width": 0.5}},
            "customdata": [
                [one.bus, *(_rounded(q) for q in one.quantiles), one.count] for _, one in shown
            ],
            "hovertemplate": hover,
        },
    ]


def _rounded(value: float) -> float:
    return float(f"{value:.6g}") if np.isfinite(value) else 0.0
