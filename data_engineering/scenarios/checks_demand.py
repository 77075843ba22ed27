"""Check of the demand of samples against the table of load scenarios."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data_engineering.model.grid import Floats, Ints
from data_engineering.scenarios.checks_log import Log
from data_engineering.scenarios.checks_rules import Rules
from data_engineering.scenarios.checks_variation import DEMAND_MW
from data_engineering.scenarios.checks_view import View
from data_engineering.scenarios.slices import column


class Demand:
    """The load scenarios of a partition, from the table of loads."""

    def __init__(self, folder: Path, number: int, rules: Rules, log: Log) -> None:
        self._found: dict[str, npt.NDArray[Any]] | None = None
        if not rules.known or rules.generator is None:
            return
        path = folder / f"scenarios_{rules.generator}.parquet"
        if not path.is_file():
            log.one("load_table", "missing", "there", element=path.name)
            return
        self._found = _loads(folder, number, path)

    def check(self, view: View) -> None:
        """Demand at the buses is that of the load scenario."""
        if self._found is None:
            return
        of = view.part.bus["load_scenario_idx"][:, 0]
        for name, table in zip(("Pd", "Qd"), ("p_mw", "q_mvar"), strict=True):
            expected = self._rows(of, view.buses, table)
            missing = np.asarray(np.isnan(expected).any(axis=1))
            if name == "Pd":
                view.sample("bus_data").wrong(
                    "load_table", "load_scenario_idx", missing, of, "one of the load table"
                )
            values = view.part.bus[name]
            wrong = np.abs(values - expected) > DEMAND_MW
            view.bus.wrong("demand", name, wrong, values, expected)

    def _rows(self, of: Ints, buses: int, name: str) -> Floats:
        table = self._found or {}
        expected = np.full((len(of), buses), np.nan)
        load, at = table["load_scenario"], table["load"]
        for k, number in enumerate(of):
            low, high = np.searchsorted(load, [number, number + 1])
            inside = slice(int(low), int(high))
            if high > low and at[inside].max() < buses:
                expected[k, at[inside]] = table[name][inside]
        return expected


def _loads(folder: Path, number: int, path: Path) -> dict[str, npt.NDArray[Any]]:
    """Rows of the load table for the load scenarios of a partition, ascending."""
    import pyarrow.parquet as pq

    of = column(folder, "bus_data", number, "load_scenario_idx")
    name = "load_scenario"
    bounds = [(name, ">=", int(of.min())), (name, "<=", int(of.max()))]
    table = pq.read_table(path, filters=bounds).sort_by(
        [(name, "ascending"), ("load", "ascending")]
    )
    return {key: table[key].to_numpy() for key in (name, "load", "p_mw", "q_mvar")}
