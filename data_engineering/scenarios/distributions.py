"""How the features of some buses are distributed over the samples: shapes to be drawn.

Buses and samples are drawn by chance, but always the same ones, so that memory does not grow with
the dataset.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_engineering.model.grid import Floats, Ints
from data_engineering.scenarios.slices import (
    SAMPLING_SEED,
    Slice,
    alike_rows,
    chosen_partitions,
    column,
    dataset_partitions,
    has_dc,
    readable,
    slices,
)

BUSES, SAMPLES, POINTS = 30, 5000, 80
"""Most buses and samples that are drawn, and points along a shape."""
FEATURES = {
    "Pd": ("Active demand", "p.u."),
    "Qd": ("Reactive demand", "p.u."),
    "Pg": ("Active generation", "p.u."),
    "Qg": ("Reactive generation", "p.u."),
    "Vm": ("Voltage magnitude", "p.u."),
    "Va": ("Voltage angle", "degrees"),
    "PQ": ("Samples in which the type is PQ", "share of samples"),
    "PV": ("Samples in which the type is PV", "share of samples"),
    "REF": ("Samples in which the type is REF", "share of samples"),
    "Va_dc": ("Voltage angle of the DC solution", "degrees"),
    "Pg_dc": ("Active generation of the DC solution", "p.u."),
}
"""Feature to its name and unit, in the order of the plots; the last two with DC results only."""
DC_FEATURES, FLAGS = ("Va_dc", "Pg_dc"), ("PQ", "PV", "REF")
POWERS = ("Pd", "Qd", "Pg", "Qg", "Pg_dc")


@dataclass(frozen=True, eq=False)
class Shape:
    """The distribution of one feature at one bus.

    Attributes:
        bus: its number.
        count: samples that have a value.
        quantiles: least, first quartile, median, third quartile, greatest; NaN without samples.
        mean: of the values.
        along: values at which the density is given, from the least to the greatest; one where all
            samples have the same.
        density: there, 1 at its highest.
    """

    bus: int
    count: int
    quantiles: Floats
    mean: float
    along: Floats
    density: Floats


@dataclass(frozen=True, eq=False)
class Distributions:
    """Shapes of all features.

    Attributes:
        samples: how many were drawn.
        of: out of how many.
        buses: how many there are.
        shapes: feature to the shape of each drawn bus.
    """

    samples: int
    of: int
    buses: int
    shapes: dict[str, tuple[Shape, ...]]


def read_distributions(
    folder: Path,
    *,
    n_partitions: int = 100,
    sn_mva: float = 100.0,
    progress: Callable[[int, int], None] | None = None,
) -> Distributions:
    """The shapes of a dataset's bus features; powers in per unit.

    Args:
        folder: the raw folder of the dataset.
        n_partitions: how many partitions to look at, always the same; 0: all.
        sn_mva: base power, MVA.
        progress: called with the number of partitions done and to do.

    Raises:
        BadInput: the folder holds no dataset, or its tables do not fit together.
        SourceFileBroken: a file cannot be read.
    """
    numbers = dataset_partitions(folder)
    chosen = chosen_partitions(numbers, n_partitions)
    dc = has_dc(folder, numbers)
    names = [name for name in FEATURES if dc or name not in DC_FEATURES]
    with readable(folder):
        sizes = [len(np.unique(column(folder, "bus_data", k, "scenario"))) for k in chosen]
        values = _Values(names, sum(sizes))
        for done, number in enumerate(chosen, start=1):
            wanted = {"bus_data": ["scenario", "bus", *names]}
            for part in slices(folder, number, alike_rows(folder, number, wanted), wanted):
                values.add(part)
            if progress is not None:
                progress(done, len(chosen))
    return Distributions(len(values.drawn), sum(sizes), values.all_buses, values.shapes(sn_mva))


class _Values:
    """Collects the values of drawn samples and buses, slice by slice."""

    def __init__(self, names: list[str], samples: int) -> None:
        self.drawn, self.all_buses = _drawn(samples, SAMPLES), 0
        self._parts: dict[str, list[Floats]] = {name: [] for name in names}
        self._buses: dict[str, Ints] = {}
        self._first = 0

    def add(self, part: Slice) -> None:
        """Take what is drawn of the samples that follow those so far."""
        if not self._buses:
            self.all_buses = part.bus["bus"].shape[1]
            self._buses = {name: _buses_with(name, part) for name in self._parts}
        inside = self.drawn - self._first
        inside = inside[(inside >= 0) & (inside < len(part))]
        for name, parts in self._parts.items():
            parts.append(part.bus[name][inside][:, self._buses[name]].astype(np.float64))
        self._first += len(part)

    def shapes(self, base_mva: float) -> dict[str, tuple[Shape, ...]]:
        """The shape of each feature at each of its buses, powers in per unit."""
        found = {}
        for name, parts in self._parts.items():
            values = np.concatenate(parts) / (base_mva if name in POWERS else 1.0)
            buses = enumerate(self._buses[name])
            found[name] = tuple(shape(int(bus), values[:, k]) for k, bus in buses)
        return found


def _buses_with(name: str, part: Slice) -> Ints:
    """The buses that are drawn for a feature: of demand or generation, those that have it."""
    bus = part.bus
    has = np.ones(bus["bus"].shape[1], dtype=np.bool_)
    if name in ("Pd", "Qd"):
        has = ((bus["Pd"] != 0) | (bus["Qd"] != 0)).any(axis=0)
    elif name in ("Pg", "Pg_dc"):
        has = (bus["Pg"] != 0).any(axis=0)
    elif name == "Qg":
        has = ((bus["PV"] != 0) | (bus["REF"] != 0)).any(axis=0)
    found = np.flatnonzero(has) if has.any() else np.arange(len(has))
    return np.asarray(found[_drawn(len(found), BUSES)])


def _drawn(count: int, most: int) -> Ints:
    """At most so many of 0 to count - 1, ascending, always the same."""
    if count <= most:
        return np.arange(count, dtype=np.int64)
    chosen = np.random.default_rng(SAMPLING_SEED).choice(count, size=most, replace=False)
    return np.sort(chosen).astype(np.int64)


def shape(bus: int, values: Floats) -> Shape:
    """The shape of some values; those that are missing do not count.

    The density is a sum of Gaussians as wide as Scott's rule says, between the least and the
    greatest value.
    """
    known = values[~np.isnan(values)]
    if not len(known):
        nothing = np.zeros(0)
        return Shape(bus, 0, np.full(5, np.nan), float("nan"), nothing, nothing)
    quantiles = np.quantile(known, [0, 0.25, 0.5, 0.75, 1])
    mean, low, high = float(known.mean()), float(quantiles[0]), float(quantiles[-1])
    # Below this, values differ by what the solver left over.
    if high - low <= 1e-6 * max(1.0, abs(low), abs(high)):
        return Shape(bus, len(known), quantiles, mean, quantiles[:1], np.ones(1))
    along = np.linspace(low, high, POINTS)
    return Shape(bus, len(known), quantiles, mean, along, _density(known, along))


def _density(values: Floats, along: Floats) -> Floats:
    width = float(values.std()) * len(values) ** -0.2
    # No narrower than the points can show.
    width = max(width, float(along[1] - along[0]))
    bins = np.histogram(values, np.r_[along - (along[1] - along[0]) / 2, np.inf])[0]
    apart = (along[:, None] - along[None, :]) / width
    found = np.exp(-0.5 * apart**2) @ bins
    return np.asarray(found / found.max())
