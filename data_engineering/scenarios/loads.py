"""Demand of the load scenarios: a profile that scales the case's, or a file that gives it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import Floats, Loads
from data_engineering.scenarios.config_blocks import LoadBlock
from data_engineering.scenarios.given_loads import read_given
from data_engineering.scenarios.profiles import profile
from data_engineering.scenarios.streams import Purpose, stream


class Demands(Protocol):
    """Demand of the load scenarios of one configuration."""

    def __call__(self, position: int, seed: int, load_scenario: int) -> tuple[Floats, Floats]:
        """Demand at the buses, MW and Mvar, each shape (buses,).

        Args:
            position: which of the configuration's load scenarios, from 0.
            seed: of the dataset.
            load_scenario: its number in the dataset, for the random streams.
        """
        ...


@dataclass(frozen=True, eq=False)
class ScaledDemands:
    """The case's demand by a factor of each load scenario and noise of each bus.

    Attributes:
        p_mw, q_mvar: demand of the case, shape (buses,).
        factors: of the load scenarios, shape (load scenarios,).
        sigma: noise is U(1 - sigma, 1 + sigma) for each bus.
        change_reactive_power: reactive demand varies likewise, with noise of its own.
    """

    p_mw: Floats
    q_mvar: Floats
    factors: Floats
    sigma: float
    change_reactive_power: bool

    def __call__(self, position: int, seed: int, load_scenario: int) -> tuple[Floats, Floats]:
        """See `Demands`."""
        factor = self.factors[position]
        p = self._noisy(self.p_mw * factor, seed, load_scenario, Purpose.ACTIVE_DEMAND)
        if not self.change_reactive_power:
            return p, self.q_mvar
        q = self._noisy(self.q_mvar * factor, seed, load_scenario, Purpose.REACTIVE_DEMAND)
        return p, q

    def _noisy(self, demand: Floats, seed: int, load_scenario: int, purpose: Purpose) -> Floats:
        if self.sigma == 0:
            return demand
        rng = stream(seed, load_scenario, purpose)
        return demand * rng.uniform(1 - self.sigma, 1 + self.sigma, size=len(demand))


@dataclass(frozen=True, eq=False)
class GivenDemands:
    """Demand of a file, each shape (load scenarios, buses)."""

    p_mw: Floats
    q_mvar: Floats

    def __call__(self, position: int, seed: int, load_scenario: int) -> tuple[Floats, Floats]:
        """See `Demands`."""
        return self.p_mw[position], self.q_mvar[position]


def demands(loads: Loads, block: LoadBlock, upper_factor: float | None) -> Demands:
    """The demands that a configuration asks for.

    Args:
        loads: one at each bus, in bus order.
        block: the configuration.
        upper_factor: the largest factor of `agg_load_profile`; the others need none.

    Raises:
        BadInput: the file of load scenarios does not fit the grid or the configuration.
        SourceFileMissing: there is no such file.
    """
    if block.generator == "precomputed_profile":
        path = Path(block.scenario_file or "")
        return GivenDemands(*read_given(path, len(loads), block.scenarios))
    if block.generator == "powergraph":
        factors = powergraph_factors(profile(block.agg_profile), block.scenarios)
        return ScaledDemands(loads.p_mw, loads.q_mvar, factors, 0.0, False)
    if upper_factor is None:
        raise ValueError("agg_load_profile needs the upper factor")
    factors = profile_factors(
        profile(block.agg_profile), block.scenarios, upper_factor, block.global_range
    )
    change = block.change_reactive_power
    return ScaledDemands(loads.p_mw, loads.q_mvar, factors, block.sigma, change)


def profile_factors(series: Floats, count: int, upper: float, global_range: float) -> Floats:
    """Factors of load scenarios: the series mapped to [(1 - global_range) upper, upper].

    A series that never changes gives the lower end.

    Returns:
        The first `count` values, or as many interpolated over the whole series if it is shorter;
        shape (count,).
    """
    lower = (1 - global_range) * upper
    least, most = series.min(), series.max()
    if most == least:
        return np.full(count, lower)
    return _stretched(lower + (series - least) * ((upper - lower) / (most - least)), count)


def powergraph_factors(series: Floats, count: int) -> Floats:
    """Factors of load scenarios: the series by its largest value, shape (count,)."""
    return _stretched(series / series.max(), count)


def _stretched(series: Floats, count: int) -> Floats:
    if count <= len(series):
        return series[:count]
    at = np.linspace(0, len(series) - 1, count)
    return np.interp(at, np.arange(len(series)), series)


def largest_factor(solvable: Callable[[float], bool], load: LoadBlock) -> float:
    """The largest factor on the whole grid's demand at which the AC-OPF still solves.

    Steps up from `start_scaling_factor` by `step_size` to `max_scaling_factor`, and stops before
    the first factor that does not solve.

    Raises:
        BadInput: not even the first factor solves.
    """
    found = load.start_scaling_factor
    if not solvable(found):
        remedy = "the AC-OPF of the grid has no solution at this factor; give a smaller one"
        raise BadInput("load.start_scaling_factor", found, remedy)
    for step in range(1, _steps(load) + 1):
        factor = load.start_scaling_factor + step * load.step_size
        if not solvable(factor):
            break
        found = factor
    return found


def _steps(load: LoadBlock) -> int:
    # A step that ends at the maximum but for rounding belongs to the search.
    return int((load.max_scaling_factor - load.start_scaling_factor) / load.step_size + 1e-9)
