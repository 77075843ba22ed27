"""What the checks of one slice look at: its columns, the dataset's first sample, the rules."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data_engineering.model.grid import Flags, Floats, Ints
from data_engineering.scenarios.checks_log import Log, TableLog
from data_engineering.scenarios.checks_rules import Rules
from data_engineering.scenarios.slices import Columns, Slice, column, slices, summed

Complexes = npt.NDArray[np.complex128]


@dataclass(frozen=True, eq=False)
class Reference:
    """The first sample of a dataset: what never changes is compared with it.

    Attributes:
        bus, gen, branch: columns, shape (rows,).
        gen_on, branch_on: elements that some sample of the first partition has in service.
    """

    bus: Columns
    gen: Columns
    branch: Columns
    gen_on: Flags
    branch_on: Flags

    @cached_property
    def usable(self) -> bool:
        """Whether buses are numbered densely and every element is at one of them."""
        buses = len(self.bus["bus"])
        ends = (self.gen["bus"], self.branch["from_bus"], self.branch["to_bus"])
        inside = all(bool(np.all((end >= 0) & (end < buses))) for end in ends)
        return inside and bool(np.array_equal(self.bus["bus"], np.arange(buses)))


def read_reference(folder: Path, number: int, rows: dict[str, Ints]) -> Reference:
    """The first sample of a partition."""
    first = {table: counts[:1] for table, counts in rows.items()}
    for part in slices(folder, number, first):
        return Reference(
            bus={name: values[0] for name, values in part.bus.items()},
            gen={name: values[0] for name, values in part.gen.items()},
            branch={name: values[0] for name, values in part.branch.items()},
            gen_on=_ever_on(folder, number, "gen_data", "in_service", len(rows["bus_data"])),
            branch_on=_ever_on(folder, number, "branch_data", "br_status", len(rows["bus_data"])),
        )
    raise ValueError(f"partition {number} of {folder} is empty")


def _ever_on(folder: Path, number: int, table: str, name: str, samples: int) -> Flags:
    on = column(folder, table, number, name).reshape(samples, -1)
    return np.asarray(on.any(axis=0))


@dataclass(frozen=True, eq=False)
class View:
    """One slice as the checks see it."""

    part: Slice
    reference: Reference
    rules: Rules
    log: Log

    @property
    def dc(self) -> bool:
        """Whether there are DC results."""
        return "Va_dc" in self.part.bus

    @cached_property
    def bus(self) -> TableLog:
        """Notes findings at buses."""
        ids = self.reference.bus["bus"]
        return TableLog(self.log, "bus_data", self.part.scenario, ("bus", ids))

    @cached_property
    def gen(self) -> TableLog:
        """Notes findings at generators."""
        ids = self.reference.gen["idx"]
        return TableLog(self.log, "gen_data", self.part.scenario, ("gen", ids))

    @cached_property
    def branch(self) -> TableLog:
        """Notes findings at branches."""
        ids = self.reference.branch["idx"]
        return TableLog(self.log, "branch_data", self.part.scenario, ("branch", ids))

    def sample(self, table: str) -> TableLog:
        """Notes findings about whole samples."""
        return TableLog(self.log, table, self.part.scenario)

    @cached_property
    def unit_on(self) -> Flags:
        """Generators in service, shape (S, generators)."""
        on: Flags = self.part.gen["in_service"] != 0
        return on

    @cached_property
    def branch_on(self) -> Flags:
        """Branches in service, shape (S, branches)."""
        on: Flags = self.part.branch["br_status"] != 0
        return on

    @cached_property
    def admittance(self) -> dict[str, Complexes]:
        """Of the branches as stored: `ff`, `ft`, `tf`, `tt`, shape (S, branches)."""
        columns = self.part.branch
        return {
            end: columns[f"Y{end}_r"] + 1j * columns[f"Y{end}_i"]
            for end in ("ff", "ft", "tf", "tt")
        }

    @property
    def from_bus(self) -> Ints:
        """Of the branches, shape (branches,)."""
        return np.asarray(self.reference.branch["from_bus"])

    @property
    def to_bus(self) -> Ints:
        """Of the branches, shape (branches,)."""
        return np.asarray(self.reference.branch["to_bus"])

    @property
    def buses(self) -> int:
        """How many there are."""
        return len(self.reference.bus["bus"])

    def from_units(self, values: Floats) -> Floats:
        """Sums of what the generators of each bus have, shape (S, buses)."""
        return summed(values, np.asarray(self.reference.gen["bus"]), self.buses)

    def into_branches(self, at_from: Floats, at_to: Floats) -> Floats:
        """Sums of what enters the branches at each bus, shape (S, buses)."""
        out = summed(at_from, self.from_bus, self.buses)
        return out + summed(at_to, self.to_bus, self.buses)

    def tables(self) -> list[tuple[TableLog, Columns]]:
        """The tables with one block of rows a sample, with where their findings go."""
        return [
            (self.bus, self.part.bus),
            (self.gen, self.part.gen),
            (self.branch, self.part.branch),
        ]


def wrapped(angle_deg: npt.NDArray[Any]) -> Floats:
    """Angles by whole turns into [-180, 180)."""
    turned: Floats = (angle_deg + 180.0) % 360.0 - 180.0
    return turned
