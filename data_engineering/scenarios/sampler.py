"""Samples of a configuration: demand, outages, costs and impedances, each from its own stream.

What a load scenario holds is a function of (case, configuration, seed, its number) alone: not of
the other load scenarios, of processes, chunks or of what was drawn before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import Floats, Grid
from data_engineering.model.samples import Samples
from data_engineering.scenarios.admittances import impedances
from data_engineering.scenarios.case import ScenarioCase
from data_engineering.scenarios.config import Config
from data_engineering.scenarios.generators import base_costs, costs
from data_engineering.scenarios.loads import Demands, demands
from data_engineering.scenarios.streams import Purpose, stream
from data_engineering.scenarios.topology import Topologies, topologies

PIECE_BYTES = 64 * 2**20
"""About the memory that the samples of one piece and their solutions take."""


@dataclass(frozen=True, eq=False)
class Sampler:
    """Draws the load scenarios `first` to `first + count - 1` of a dataset."""

    case: ScenarioCase
    config: Config
    seed: int
    first: int
    demands: Demands
    topologies: Topologies
    base_cost: Floats

    @property
    def count(self) -> int:
        """How many load scenarios there are."""
        return self.config.load.scenarios

    def expected_samples(self) -> int:
        """How many samples there are; of random outages, at most."""
        return self.count * self.topologies.most()

    def demand(self, load_scenario: int) -> tuple[Floats, Floats]:
        """Demand at the buses in MW and Mvar, each shape (buses,)."""
        position = load_scenario - self.first
        if not 0 <= position < self.count:
            last = self.first + self.count - 1
            raise BadInput("load scenario", load_scenario, f"give one of {self.first} to {last}")
        return self.demands(position, self.seed, load_scenario)

    def samples(self, load_scenario: int) -> Iterator[Samples]:
        """The variants of a load scenario in order, in pieces of about `PIECE_BYTES`.

        In pf mode one draw of costs and impedances serves all variants, in opf mode each variant
        has its own.
        """
        grid, rows = self.case.grid, _piece_rows(self.case.grid)
        p_mw, q_mvar = self.demand(load_scenario)
        outages, priced, branched = (
            stream(self.seed, load_scenario, purpose)
            for purpose in (Purpose.TOPOLOGY, Purpose.COST, Purpose.ADMITTANCE)
        )
        shared = self.config.settings.mode == "pf"
        drawn = self._drawn(1, priced, branched) if shared else None
        variant = 0
        for branch_on, unit_on in self.topologies.pieces(outages, rows):
            size = len(branch_on)
            cost, r_pu, x_pu = drawn or self._drawn(size, priced, branched)
            yield Samples(
                load_scenario=np.full(size, load_scenario, dtype=np.int64),
                variant=np.arange(variant, variant + size, dtype=np.int64),
                load_p_mw=np.broadcast_to(p_mw, (size, len(p_mw))),
                load_q_mvar=np.broadcast_to(q_mvar, (size, len(q_mvar))),
                branch_on=branch_on,
                unit_on=unit_on,
                cost=np.broadcast_to(cost, (size, *self.base_cost.shape)),
                r_pu=np.broadcast_to(r_pu, (size, len(grid.branches))),
                x_pu=np.broadcast_to(x_pu, (size, len(grid.branches))),
            )
            variant += size

    def _drawn(
        self, count: int, priced: np.random.Generator, branched: np.random.Generator
    ) -> tuple[Floats, Floats, Floats]:
        """Costs, R and X of some variants."""
        cost = costs(self.base_cost, self.config.generation_perturbation, count, priced)
        branches, block = self.case.grid.branches, self.config.admittance_perturbation
        return (cost, *impedances(branches, block, count, branched))


def sampler_of(
    case: ScenarioCase, config: Config, seed: int, upper_factor: float | None, first: int = 0
) -> Sampler:
    """The sampler of a configuration.

    Args:
        case: the prepared grid.
        config: the configuration.
        seed: of the dataset, at least 0.
        upper_factor: `loads.largest_factor`, for `agg_load_profile`; the others need none.
        first: number of the first load scenario; above 0 where a dataset is appended to.

    Raises:
        BadInput: the configuration asks for what the grid has not, or a file of load scenarios
            does not fit them.
        SourceFileMissing: there is no such file.
    """
    grid = case.grid
    return Sampler(
        case,
        config,
        seed,
        first,
        demands(grid.loads, config.load, upper_factor),
        topologies(grid, config.topology_perturbation),
        base_costs(grid.generators),
    )


def _piece_rows(grid: Grid) -> int:
    """Samples of a piece: a function of the grid's size alone, so that pieces never change."""
    buses, branches, units = len(grid.buses), len(grid.branches), len(grid.generators)
    numbers = 3 * buses + 6 * units + 2 * branches
    return max(1, PIECE_BYTES // (8 * numbers + branches + units))
