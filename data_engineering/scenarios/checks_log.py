"""What checks of a dataset found: bounded lists of single values, and counts of all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from data_engineering.model.grid import Flags, Ints

SHOWN = 10
"""Findings kept of each check; the others are counted."""


@dataclass(frozen=True)
class Finding:
    """One value that is not as it should be.

    Attributes:
        check: name of the check.
        table, column: where it stands; "" where no one table or column is meant.
        scenario: number of the sample; None for what is said of a whole partition or dataset.
        element: "bus 3", "gen 1", "branch 7", "partition 2".
        value: what was found.
        bound: what it should be.
    """

    check: str
    table: str
    column: str
    scenario: int | None
    element: str
    value: str
    bound: str

    def __str__(self) -> str:
        where = ".".join(part for part in (self.table, self.column) if part)
        place = "" if self.scenario is None else f"scenario {self.scenario}"
        parts = ", ".join(part for part in (where, place, self.element) if part)
        return f"{self.check}: {parts}: {self.value}; should be {self.bound}"


class Log:
    """Collects findings: of each check the first ones, and how many there are."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.found: list[Finding] = []

    def one(
        self,
        check: str,
        value: object,
        bound: str,
        *,
        table: str = "",
        column: str = "",
        scenario: int | None = None,
        element: str = "",
    ) -> None:
        """Note one finding."""
        self._keep(Finding(check, table, column, scenario, element, shown(value), bound))
        self.counts[check] = self.counts.get(check, 0) + 1

    def join(self, counts: dict[str, int], found: Iterable[Finding]) -> None:
        """Take over what another log found."""
        for check, count in counts.items():
            self.counts[check] = self.counts.get(check, 0) + count
        for finding in found:
            self._keep(finding)

    def room(self, check: str) -> int:
        """How many more findings of a check are kept."""
        return SHOWN - sum(finding.check == check for finding in self.found)

    def _keep(self, finding: Finding) -> None:
        if self.room(finding.check) > 0:
            self.found.append(finding)


@dataclass(frozen=True, eq=False)
class TableLog:
    """Notes findings about one table of a slice.

    Attributes:
        log: where they go.
        table: its name.
        scenario: numbers of the samples, shape (S,).
        elements: what each row of a sample is called, such as ("bus", ids); None for tables with
            one row a sample.
    """

    log: Log
    table: str
    scenario: Ints
    elements: tuple[str, Ints] | None = None

    def wrong(
        self,
        check: str,
        column: str,
        wrong: Flags,
        value: npt.NDArray[Any],
        bound: npt.NDArray[Any] | str,
    ) -> None:
        """Note where `wrong` is set.

        Args:
            check: name of the check.
            column: which is wrong, or what is derived from it.
            wrong: shape (S, rows), or (S,) for what is said of a sample.
            value: what was found, of the same shape.
            bound: what it should be, of the same shape, or in words.
        """
        count = int(np.count_nonzero(wrong))
        if not count:
            return
        room = self.log.room(check)
        places = np.argwhere(wrong)[: max(room, 0)]
        found = [
            Finding(
                check,
                self.table,
                column,
                int(self.scenario[place[0]]),
                self._element(place),
                shown(np.broadcast_to(value, wrong.shape)[tuple(place)]),
                bound
                if isinstance(bound, str)
                else shown(np.broadcast_to(bound, wrong.shape)[tuple(place)]),
            )
            for place in places
        ]
        self.log.join({check: count}, found)

    def _element(self, place: Ints) -> str:
        if self.elements is None or len(place) == 1:
            return ""
        name, ids = self.elements
        return f"{name} {int(ids[place[1]])}"


def shown(value: object) -> str:
    """A value as it stands in a finding."""
    if isinstance(value, float | np.floating):
        return f"{float(value):.10g}"
    return str(value)
