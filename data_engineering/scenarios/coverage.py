"""How much of its range each feature of a dataset takes: normalised Shannon entropy.

The values of one element over the samples are counted in bins that are the same for every dataset,
so that datasets can be compared. With the shares s of the K bins, the entropy is
-sum(s ln s) / ln K: 0 for a constant, 1 for values that fill all bins evenly (C. E. Shannon, A
Mathematical Theory of Communication, 1948, section 6). N samples cannot give more than
ln N / ln K; elements that are out of service are not counted in that sample.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import Flags, Floats, Ints
from data_engineering.scenarios.slices import Slice

SMALL_PU = 0.01
"""Powers below it are in linear steps, above it in relative ones of a tenth."""
SMALL_COST = 0.01

Values = Callable[[Slice, float], tuple[Floats, Flags]]


@dataclass(frozen=True)
class Feature:
    """What is counted, and in which bins.

    Attributes:
        table: of the dataset.
        name: of the feature.
        scale: what its values are put on.
        low, high: ends of the bins; what is outside counts in the first or last one.
        bins: how many, all of one width on the scale.
        values: values and which of them count, shape (S, elements).
    """

    table: str
    name: str
    scale: str
    low: float
    high: float
    bins: int
    values: Values


@dataclass(frozen=True)
class FeatureCoverage:
    """Coverage of one feature.

    Attributes:
        table, feature, scale, low, high, bins: see `Feature`.
        samples: samples that were counted.
        elements: elements that have the feature: a load that is not always 0, a range that is not
            empty.
        mean, least, greatest: of the elements' entropies; NaN without elements.
        pooled: entropy of all elements' values together.
    """

    table: str
    feature: str
    scale: str
    low: float
    high: float
    bins: int
    samples: int
    elements: int
    mean: float
    least: float
    greatest: float
    pooled: float


@dataclass(frozen=True)
class Coverage:
    """Coverage of all features of a dataset."""

    features: tuple[FeatureCoverage, ...]

    def of(self, table: str, feature: str) -> FeatureCoverage:
        """The coverage of one feature."""
        for found in self.features:
            if (found.table, found.feature) == (table, feature):
                return found
        raise KeyError((table, feature))


def relative(values: Floats, small: float) -> Floats:
    """Values on a scale that is linear near 0 and logarithmic, of either sign, beyond `small`."""
    return np.asarray(np.arcsinh(values / small))


def _power(name: str) -> Values:
    def values(part: Slice, base: float) -> tuple[Floats, Flags]:
        power = part.bus[name] / base
        return relative(power, SMALL_PU), power != 0

    return values


def _plain(name: str) -> Values:
    def values(part: Slice, base: float) -> tuple[Floats, Flags]:
        found = part.bus[name]
        return found, ~np.isnan(found)

    return values


def _within_limits(name: str) -> Values:
    def values(part: Slice, base: float) -> tuple[Floats, Flags]:
        gen = part.gen
        low, width = gen[f"min_{name}"], gen[f"max_{name}"] - gen[f"min_{name}"]
        counted = (gen["in_service"] == 1) & (width > 0) & np.isfinite(width)
        return np.where(counted, (gen[name] - low) / np.where(counted, width, 1), 0.0), counted

    return values


def _cost(name: str) -> Values:
    def values(part: Slice, base: float) -> tuple[Floats, Flags]:
        return relative(part.gen[name], SMALL_COST), part.gen[name] != 0

    return values


def _by_rating(name: str) -> Values:
    def values(part: Slice, base: float) -> tuple[Floats, Flags]:
        branch = part.branch
        counted = (branch["br_status"] == 1) & (branch["rate_a"] > 0)
        return branch[name] / np.where(counted, branch["rate_a"], 1), counted

    return values


def _loading(part: Slice, base: float) -> tuple[Floats, Flags]:
    branch = part.branch
    counted = (branch["br_status"] == 1) & (branch["rate_a"] > 0)
    flow = np.maximum(np.hypot(branch["pf"], branch["qf"]), np.hypot(branch["pt"], branch["qt"]))
    return flow / np.where(counted, branch["rate_a"], 1), counted


def _impedance(name: str) -> Values:
    def values(part: Slice, base: float) -> tuple[Floats, Flags]:
        found = part.branch[name]
        return relative(found, 1e-4), (part.branch["br_status"] == 1) & (found != 0)

    return values


def _state(table: str, name: str) -> Values:
    def values(part: Slice, base: float) -> tuple[Floats, Flags]:
        found = (part.gen if table == "gen_data" else part.branch)[name].astype(np.float64)
        return found, np.ones(found.shape, dtype=np.bool_)

    return values


_PU = f"asinh of p.u. by {SMALL_PU}"
_USD = f"asinh by {SMALL_COST}"
FEATURES = (
    Feature("bus_data", "Pd", _PU, -10, 10, 200, _power("Pd")),
    Feature("bus_data", "Qd", _PU, -10, 10, 200, _power("Qd")),
    Feature("bus_data", "Vm", "p.u.", 0.8, 1.2, 80, _plain("Vm")),
    Feature("bus_data", "Va", "degrees", -180, 180, 360, _plain("Va")),
    Feature("gen_data", "p_mw", "share of limits", 0, 1, 50, _within_limits("p_mw")),
    Feature("gen_data", "q_mvar", "share of limits", 0, 1, 50, _within_limits("q_mvar")),
    Feature("gen_data", "cp1_eur_per_mw", _USD, -14, 14, 280, _cost("cp1_eur_per_mw")),
    Feature("gen_data", "cp2_eur_per_mw2", _USD, -14, 14, 280, _cost("cp2_eur_per_mw2")),
    Feature("gen_data", "in_service", "0 or 1", 0, 1, 2, _state("gen_data", "in_service")),
    Feature("branch_data", "pf", "share of rating", -1, 1, 100, _by_rating("pf")),
    Feature("branch_data", "qf", "share of rating", -1, 1, 100, _by_rating("qf")),
    Feature("branch_data", "loading", "share of rating", 0, 2, 100, _loading),
    Feature("branch_data", "r", "asinh of p.u. by 0.0001", -12, 12, 240, _impedance("r")),
    Feature("branch_data", "x", "asinh of p.u. by 0.0001", -12, 12, 240, _impedance("x")),
    Feature("branch_data", "br_status", "0 or 1", 0, 1, 2, _state("branch_data", "br_status")),
)
"""Features of every dataset. A width of 0.1 of an asinh scale is a tenth of the value."""
DC_FEATURES = (Feature("bus_data", "Va_dc", "degrees", -180, 180, 360, _plain("Va_dc")),)


class Counts:
    """Counts values of all features, slice by slice."""

    def __init__(self, dc: bool) -> None:
        self._features = FEATURES + (DC_FEATURES if dc else ())
        self._bins: dict[tuple[str, str], npt.NDArray[np.int32]] = {}
        self._samples = 0

    def add(self, part: Slice, base_mva: float) -> None:
        """Count the samples of a slice."""
        self._samples += len(part)
        for feature in self._features:
            values, counted = feature.values(part, base_mva)
            key, elements = (feature.table, feature.name), values.shape[1]
            if key not in self._bins:
                self._bins[key] = np.zeros(elements * feature.bins, dtype=np.int32)
            np.add.at(self._bins[key], places(values, counted, feature), 1)

    def coverage(self) -> Coverage:
        """The coverage of what was counted."""
        return Coverage(tuple(self._one(feature) for feature in self._features))

    def _one(self, feature: Feature) -> FeatureCoverage:
        flat = self._bins.get((feature.table, feature.name), np.zeros(0, dtype=np.int32))
        bins = flat.reshape(-1, feature.bins)
        bins = bins[bins.sum(axis=1) > 0]
        each = entropy(bins)
        some = len(each) > 0
        return FeatureCoverage(
            table=feature.table,
            feature=feature.name,
            scale=feature.scale,
            low=feature.low,
            high=feature.high,
            bins=feature.bins,
            samples=self._samples,
            elements=len(each),
            mean=float(each.mean()) if some else float("nan"),
            least=float(each.min()) if some else float("nan"),
            greatest=float(each.max()) if some else float("nan"),
            pooled=float(entropy(bins.sum(axis=0)[None])[0]) if some else float("nan"),
        )


def places(values: Floats, counted: Flags, feature: Feature) -> Ints:
    """Where the values that count are in the bins of all elements, one element after another.

    Args:
        values: shape (S, elements).
        counted: which of them, shape (S, elements).
        feature: gives the bins.
    """
    with np.errstate(invalid="ignore"):
        step = np.floor((values - feature.low) / (feature.high - feature.low) * feature.bins)
    counted = counted & ~np.isnan(step)
    place = np.clip(np.where(counted, step, 0), 0, feature.bins - 1).astype(np.int64)
    found: Ints = (np.arange(values.shape[1]) * feature.bins + place)[counted]
    return found


def entropy(bins: npt.NDArray[np.integer[Any]]) -> Floats:
    """Normalised Shannon entropy of rows of counts, shape (rows, bins) to (rows,)."""
    total = bins.sum(axis=1, keepdims=True)
    share = bins / np.where(total > 0, total, 1)
    inside = np.where(share > 0, share, 1.0)
    found = -(share * np.log(inside)).sum(axis=1) / np.log(bins.shape[1])
    return np.asarray(found + 0.0)


def write_coverage(folder: Path, coverage: Coverage) -> None:
    """Write `coverage.parquet` and `coverage.json`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [asdict(feature) for feature in coverage.features]
    pq.write_table(pa.Table.from_pylist(rows), folder / "coverage.parquet", compression="zstd")
    text = json.dumps([_without_nan(row) for row in rows], indent=1)
    (folder / "coverage.json").write_text(text + "\n")


def _without_nan(row: dict[str, object]) -> dict[str, object]:
    return {name: None if value != value else value for name, value in row.items()}


def read_coverage(folder: Path) -> Coverage:
    """The coverage that was written of a dataset.

    Raises:
        BadInput: there is none.
    """
    import pyarrow.parquet as pq

    path = folder / "coverage.parquet"
    if not path.is_file():
        raise BadInput("folder", str(folder), "has no coverage.parquet; write its statistics first")
    return Coverage(tuple(FeatureCoverage(**row) for row in pq.read_table(path).to_pylist()))


@dataclass(frozen=True)
class Difference:
    """Mean entropies of one feature in two datasets.

    Attributes:
        table, feature: which.
        first, second: their means.
        gained: second less first.
    """

    table: str
    feature: str
    first: float
    second: float
    gained: float


def compare(first: Coverage, second: Coverage) -> tuple[Difference, ...]:
    """Features that two datasets have in the same bins, in the order of the first.

    Args:
        first: of one dataset.
        second: of another one, of the same grid or of any other.
    """
    found = []
    others = {(one.table, one.feature): one for one in second.features}
    for one in first.features:
        other = others.get((one.table, one.feature))
        if other is not None and _bins(one) == _bins(other):
            gained = other.mean - one.mean
            found.append(Difference(one.table, one.feature, one.mean, other.mean, gained))
    return tuple(found)


def _bins(feature: FeatureCoverage) -> tuple[str, float, float, int]:
    return feature.scale, feature.low, feature.high, feature.bins
