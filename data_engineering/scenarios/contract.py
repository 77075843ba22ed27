"""The tables of a dataset: names, columns, types and files, as the gridfm ecosystem reads them.

Of gridfm-datakit 1.1.0 and gridfm-graphkit 0.9. Powers are MW, Mvar or MVA; voltages, impedances,
admittances and shunts per unit; angles degrees in [-180, 180).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

PARTITION = 200
"""Scenarios in a partition; the last has what is left."""

FLOAT, INT, FLAG = "float64", "int64", "int8"

_INTS = frozenset(
    ("scenario", "load_scenario_idx", "bus", "idx", "from_bus", "to_bus", "index1", "index2")
)
_FLAGS = frozenset(("PQ", "PV", "REF", "in_service", "is_slack_gen", "br_status"))

TABLES: Mapping[str, tuple[str, ...]] = {
    "bus_data": (
        "scenario", "load_scenario_idx", "bus", "Pd", "Qd", "Pg", "Qg", "Vm", "Va", "PQ", "PV",
        "REF", "vn_kv", "min_vm_pu", "max_vm_pu", "GS", "BS",
    ),
    "gen_data": (
        "scenario", "load_scenario_idx", "idx", "bus", "p_mw", "q_mvar", "min_p_mw", "max_p_mw",
        "min_q_mvar", "max_q_mvar", "cp0_eur", "cp1_eur_per_mw", "cp2_eur_per_mw2", "in_service",
        "is_slack_gen",
    ),
    "branch_data": (
        "scenario", "load_scenario_idx", "idx", "from_bus", "to_bus", "pf", "qf", "pt", "qt", "r",
        "x", "b", "Yff_r", "Yff_i", "Yft_r", "Yft_i", "Ytf_r", "Ytf_i", "Ytt_r", "Ytt_i", "tap",
        "shift", "ang_min", "ang_max", "rate_a", "br_status",
    ),
    "y_bus_data": ("scenario", "load_scenario_idx", "index1", "index2", "G", "B"),
    "runtime_data": ("scenario", "load_scenario_idx", "ac"),
}  # fmt: skip
"""Columns of each table, in order, without those of the DC results."""

DC_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "bus_data": ("Va_dc", "Pg_dc"),
    "gen_data": ("p_mw_dc",),
    "branch_data": ("pf_dc", "pt_dc"),
    "y_bus_data": (),
    "runtime_data": ("dc",),
}
"""What follows them where DC results are asked for; NaN where the DC problem has no solution."""


def columns(table: str, dc: bool) -> tuple[str, ...]:
    """Names of a table's columns, in order."""
    return TABLES[table] + (DC_COLUMNS[table] if dc else ())


def column_type(column: str) -> str:
    """The type of a column: float64, int64 or int8."""
    return INT if column in _INTS else FLAG if column in _FLAGS else FLOAT


def schema(table: str, dc: bool) -> pa.Schema:
    """The Arrow schema of a table."""
    import pyarrow as pa

    kinds = {FLOAT: pa.float64(), INT: pa.int64(), FLAG: pa.int8()}
    fields = [(name, kinds[column_type(name)]) for name in columns(table, dc)]
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in fields])


def partition_folder(table: str, number: int) -> str:
    """Folder of a partition of a table, below the folder of the dataset, with "/"."""
    return f"{table}.parquet/scenario_partition={number}"


def partition_file(table: str, number: int) -> str:
    """The one file of a partition of a table, below the folder of the dataset, with "/"."""
    return f"{partition_folder(table, number)}/part-0.parquet"


def partitions(scenarios: int) -> int:
    """How many partitions hold so many scenarios."""
    return -(-scenarios // PARTITION)


def failures_schema() -> pa.Schema:
    """The Arrow schema of `failures.parquet`: one row for each sample without a solution.

    `branches_out` and `generators_out` are the rows that were out of service in the sample, those
    of the case too.
    """
    import pyarrow as pa

    rows = pa.list_(pa.int64())
    return pa.schema(
        [
            ("load_scenario_idx", pa.int64()),
            ("variant", pa.int64()),
            ("stage", pa.string()),
            ("reason", pa.string()),
            ("branches_out", rows),
            ("generators_out", rows),
        ]
    )
