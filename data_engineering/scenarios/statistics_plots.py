"""Pictures of a dataset's statistics: one PNG, and one interactive page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from data_engineering.model.grid import Floats, Ints
from data_engineering.scenarios.coverage import Coverage, FeatureCoverage
from data_engineering.scenarios.plot_page import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    VERMILLION,
    Chart,
    Section,
    chart,
    page,
)

if TYPE_CHECKING:
    from data_engineering.scenarios.statistics import Statistics

BINS = 60
TABLE_NAMES = {"bus_data": "Bus", "gen_data": "Generator", "branch_data": "Branch"}


@dataclass(frozen=True)
class Metric:
    """How a column of the statistics is shown."""

    column: str
    title: str
    unit: str
    colour: str
    whole: bool = False


METRICS = (
    Metric("n_generators", "Generators in service", "generators", BLUE, whole=True),
    Metric("n_branches", "Branches in service", "branches", BLUE, whole=True),
    Metric("n_overloads", "Branches above 101 % of their rating", "branches", VERMILLION, True),
    Metric("max_loading", "Loading of the fullest branch", "share of the rating", VERMILLION),
    Metric("p_balance_error_ac_max", "Greatest active imbalance of a bus", "MW", GREEN),
    Metric("p_balance_error_ac_mean", "Mean active imbalance of the buses", "MW", GREEN),
    Metric("q_balance_error_ac_max", "Greatest reactive imbalance of a bus", "Mvar", GREEN),
    Metric("q_balance_error_ac_mean", "Mean reactive imbalance of the buses", "Mvar", GREEN),
    Metric("runtime_data_ac_ms", "Run time of the AC solution", "ms", GREY),
    Metric("p_balance_error_dc_max", "Greatest imbalance of the DC solution", "MW", PURPLE),
    Metric("p_balance_error_dc_mean", "Mean imbalance of the DC solution", "MW", PURPLE),
    Metric(
        "bus_idx_max_p_balance_error_dc_per_scenario",
        "Bus of the greatest DC imbalance",
        "bus",
        PURPLE,
        whole=True,
    ),
    Metric("runtime_data_dc_ms", "Run time of the DC solution", "ms", GREY),
)
CHAPTERS = (
    (
        "Topology and loading",
        "What is in service in the samples, and how full the branches are. Loading is the greater "
        "apparent power of a branch's two ends by its rating.",
        ("n_generators", "n_branches", "n_overloads", "max_loading"),
    ),
    (
        "AC solutions",
        "Power that comes to a bus and does not leave it by the stored flows: what the solver left "
        "over. Run times are those of the AC solution of a sample.",
        (
            "p_balance_error_ac_max",
            "p_balance_error_ac_mean",
            "q_balance_error_ac_max",
            "q_balance_error_ac_mean",
            "runtime_data_ac_ms",
        ),
    ),
    (
        "DC solutions",
        "The imbalance that the DC solution leaves in the AC network, with its angles and all "
        "voltages at 1 per unit: how much the linear model is off.",
        (
            "p_balance_error_dc_max",
            "p_balance_error_dc_mean",
            "bus_idx_max_p_balance_error_dc_per_scenario",
            "runtime_data_dc_ms",
        ),
    ),
)


@dataclass(frozen=True, eq=False)
class Histogram:
    """Counts between edges."""

    metric: Metric
    edges: Floats
    counts: Ints
    mean: float
    missing: int


def histograms(statistics: Statistics) -> Iterator[Histogram]:
    """Of all metrics that there are, then of the loading of single branches."""
    for metric in METRICS:
        values = statistics.metrics.get(metric.column)
        if values is not None:
            yield _histogram(metric, values.astype(np.float64))
    yield _loadings(statistics.loadings)


def _histogram(metric: Metric, values: Floats) -> Histogram:
    known = values[np.isfinite(values)]
    if not len(known):
        return Histogram(metric, np.array([0.0, 1.0]), np.zeros(1, np.int64), np.nan, len(values))
    low, high = float(known.min()), float(known.max())
    if metric.whole:
        step = max(1, int(np.ceil((high - low + 1) / BINS)))
        edges = np.asarray(low - 0.5 + step * np.arange(np.ceil((high - low + 1) / step) + 1))
    else:
        width = high - low
        if width <= 1e-9 * max(abs(low), abs(high)):
            width = max(abs(low), 1e-12)
            low, high = low - width / 2, high + width / 2
        edges = np.linspace(low, high, BINS + 1, dtype=np.float64)
    counts = np.histogram(known, edges)[0].astype(np.int64)
    return Histogram(metric, edges, counts, float(known.mean()), len(values) - len(known))


def _loadings(counts: Ints) -> Histogram:
    from data_engineering.scenarios.statistics import LOADING_STEP

    metric = Metric("branch_loading", "Loading of all branches", "share of the rating", ORANGE)
    last = int(np.flatnonzero(counts)[-1]) + 1 if counts.any() else 1
    edges = np.asarray(np.arange(last + 1) * LOADING_STEP)
    shown = counts[:last]
    middle = (edges[:-1] + edges[1:]) / 2
    mean = float((shown * middle).sum() / shown.sum()) if shown.any() else float("nan")
    return Histogram(metric, edges, shown, mean, 0)


def write_picture(statistics: Statistics) -> None:
    """Write `stats_plot.png`: the histogram of every metric, counts on a logarithmic scale."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    found = list(histograms(statistics))
    columns = 3
    rows = -(-len(found) // columns)
    height = 3.3 * rows + 0.7
    figure = Figure(figsize=(5.2 * columns, height))
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    figure.subplots_adjust(0.05, 0.6 / height, 0.99, 1 - 1.1 / height, 0.2, 0.75)
    for axis, histogram in zip(axes, found, strict=False):
        _draw(axis, histogram)
    for axis in axes[len(found) :]:
        axis.set_visible(False)
    figure.suptitle(_title(statistics), fontsize=14, y=1 - 0.2 / height)
    figure.savefig(statistics.folder / "stats_plot.png", dpi=150, metadata={"Software": None})


def _draw(axis: Any, histogram: Histogram) -> None:
    metric, edges = histogram.metric, histogram.edges
    width = np.diff(edges) * (0.9 if metric.whole else 1)
    middle = (edges[:-1] + edges[1:]) / 2
    axis.bar(middle, histogram.counts, width, color=metric.colour, linewidth=0)
    if histogram.counts.any():
        axis.set_yscale("log")
        axis.set_ylim(bottom=0.7)
    mean = "" if metric.unit == "bus" else f"mean {_number(histogram.mean)} {_short(metric)}"
    axis.set_title(f"{metric.title}\n{mean}", fontsize=11)
    axis.set_xlabel(metric.unit)
    axis.set_ylabel("branches" if metric.column == "branch_loading" else "samples")
    axis.grid(axis="y", color="#dfe3e8", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    if metric.whole:
        axis.xaxis.get_major_locator().set_params(integer=True)
    if histogram.missing:
        axis.annotate(
            f"{histogram.missing} without", (0.98, 0.93), xycoords="axes fraction", ha="right"
        )


def _short(metric: Metric) -> str:
    return metric.unit if metric.unit in ("MW", "Mvar", "ms") else ""


def _number(value: float) -> str:
    return "none" if np.isnan(value) else f"{value:.4g}"


def _title(statistics: Statistics) -> str:
    folder = statistics.folder.resolve()
    name = folder.parent.name if folder.name == "raw" else folder.name
    samples = len(statistics.metrics["scenario"])
    return f"{name}: {samples:,} samples"


def write_page(statistics: Statistics) -> None:
    """Write `stats_plot.html`: all histograms and the coverage of the features."""
    found = {histogram.metric.column: histogram for histogram in histograms(statistics)}
    sections = []
    for title, intro, names in CHAPTERS:
        charts = [_chart(found[name]) for name in names if name in found]
        if title.startswith("Topology"):
            charts.append(_chart(found["branch_loading"]))
        if charts:
            sections.append(Section(title, intro, tuple(charts)))
    sections.append(coverage_section(statistics.coverage))
    text = page(
        "Statistics of a scenario dataset",
        _title(statistics).partition(":")[0],
        _facts(statistics),
        sections,
        "Counts are on a logarithmic scale. Written from the dataset alone; the same dataset gives "
        "the same page.",
    )
    (statistics.folder / "stats_plot.html").write_text(text)


def _facts(statistics: Statistics) -> list[tuple[str, str]]:
    metrics = statistics.metrics
    facts = [
        ("Samples looked at", f"{len(metrics['scenario']):,}"),
        ("Partitions", f"{len(statistics.partitions):,} of {statistics.of:,}"),
        ("Samples with an overload", f"{int((metrics['n_overloads'] > 0).sum()):,}"),
        ("Fullest branch", f"{float(metrics['max_loading'].max()):.0%} of its rating"),
        ("Greatest active imbalance", f"{float(metrics['p_balance_error_ac_max'].max()):.2g} MW"),
        ("Mean AC run time", f"{float(np.nanmean(metrics['runtime_data_ac_ms'])):.3g} ms"),
    ]
    if "p_balance_error_dc_max" in metrics:
        unsolved = int(np.isnan(metrics["p_balance_error_dc_max"]).sum())
        facts.append(("Without a DC solution", f"{unsolved:,}"))
    return facts


def _chart(histogram: Histogram) -> Chart:
    metric, edges = histogram.metric, histogram.edges
    middle = (edges[:-1] + edges[1:]) / 2
    counted = "branches" if metric.column == "branch_loading" else "samples"
    if metric.whole:
        labels = [_range(low + 0.5, high - 0.5) for low, high in pairwise(edges)]
    else:
        labels = [f"{low:.4g} to {high:.4g}" for low, high in pairwise(edges)]
    trace = {
        "type": "bar",
        "x": [float(f"{value:.8g}") for value in middle],
        "y": [int(count) for count in histogram.counts],
        "width": [float(f"{value:.8g}") for value in np.diff(edges) * (0.9 if metric.whole else 1)],
        "marker": {"color": metric.colour, "line": {"width": 0}},
        "customdata": labels,
        "hovertemplate": f"%{{customdata}} {metric.unit}<br>%{{y:,}} {counted}<extra></extra>",
    }
    mean = f"Mean {_number(histogram.mean)} {_short(metric)}".rstrip() + "."
    caption = "Where the DC solution is off most." if metric.unit == "bus" else mean
    if metric.column == "branch_loading":
        caption += " Each branch in service of each sample counts once."
    if histogram.missing:
        caption += f" {histogram.missing:,} samples have none."
    # Digits at every tenth would crowd a logarithmic axis.
    counts: dict[str, Any] = {"type": "log", "title": {"text": counted}, "dtick": 1}
    counts["range"] = [np.log10(0.7), np.log10(max(int(histogram.counts.max()), 1) * 1.3)]
    along: dict[str, Any] = {"title": {"text": metric.unit}, "exponentformat": "power"}
    if metric.whole and len(edges) < 12:
        along["dtick"] = 1
    return chart(metric.title, caption, [trace], xaxis=along, yaxis=counts)


def _range(low: float, high: float) -> str:
    return f"{low:.0f}" if low >= high else f"{low:.0f} to {high:.0f}"


def _coverage_chart(shown: list[FeatureCoverage]) -> Chart:
    trace = {
        "type": "bar",
        "orientation": "h",
        "y": [_feature_name(feature) for feature in shown],
        "x": [feature.mean for feature in shown],
        "marker": {"color": BLUE},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [feature.greatest - feature.mean for feature in shown],
            "arrayminus": [feature.mean - feature.least for feature in shown],
            "color": GREY,
        },
        "customdata": [[f.least, f.greatest, f.pooled, f.elements, f.bins] for f in shown],
        "hovertemplate": "%{y}<br>mean %{x:.3f}, least %{customdata[0]:.3f}, greatest "
        "%{customdata[1]:.3f}<br>all elements together %{customdata[2]:.3f}<br>"
        "%{customdata[3]:,} elements, %{customdata[4]} bins<extra></extra>",
    }
    return chart(
        "Normalised Shannon entropy of each feature",
        "Bars: mean over the elements; lines: from the least to the greatest element.",
        [trace],
        height=90 + 26 * len(shown),
        xaxis={"title": {"text": "entropy, 0 constant to 1 evenly spread"}, "range": [0, 1]},
        yaxis={"autorange": "reversed"},
    )


def coverage_section(coverage: Coverage) -> Section:
    """The coverage of the features as bars and as a table."""
    shown = [feature for feature in coverage.features if feature.elements]
    bars = _coverage_chart(shown)
    headings = ("Feature", "Scale", "Bins", "Elements", "Mean", "Least", "Greatest", "Together")
    return Section(
        "Coverage",
        "How evenly the values of a feature fill bins that are the same for every dataset, so that "
        "datasets can be compared. Elements that never have the feature, such as buses without "
        "load, are left out.",
        (bars,),
        headings,
        tuple(_row(feature) for feature in shown),
    )


def _feature_name(feature: FeatureCoverage) -> str:
    return f"{TABLE_NAMES[feature.table]} {feature.feature}"


def _row(feature: FeatureCoverage) -> tuple[str, ...]:
    entropies = (feature.mean, feature.least, feature.greatest, feature.pooled)
    return (
        _feature_name(feature),
        f"{feature.scale}, {feature.low:g} to {feature.high:g}",
        str(feature.bins),
        f"{feature.elements:,}",
        *(f"{value:.3f}" for value in entropies),
    )
