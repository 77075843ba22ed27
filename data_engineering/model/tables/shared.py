"""Columns that many tables share."""

from __future__ import annotations

from data_engineering.model.columns import Column, Dtype


def key(name: str, dtype: Dtype, doc: str) -> Column:
    """A column that is never null."""
    return Column(name, dtype, doc=doc, nullable=False)


def megawatts(name: str, doc: str, low: float | None = None, unit: str = "MW") -> Column:
    """A nullable power or energy column."""
    return Column(name, "float", unit, doc, minimum=low)


TIME = key("time", "timestamp", "start of the interval that the reading covers (UTC)")
CASE = key("case_name", "text", "grid case, such as rts_gmlc; cases never share a key")
SOURCE = key("source", "text", "system that gave the row")
AVAILABLE = key("available_at", "timestamp", "when the row was known (UTC)")
QUALITY = Column(
    "measurement_quality",
    "integer",
    doc="0 good, 1 suspect (kept, flagged by cleaning), 2 bad, 3 estimated (gap filled)",
    nullable=False,
    minimum=0,
    maximum=3,
)
EXECUTION = key("execution_id", "uuid", "the execution that gave the row")
INTERVAL = Column("time_interval", "integer", doc="1 .. T", nullable=False, minimum=1)
INTERVAL_START = key("interval_start", "timestamp", "start of the interval (UTC)")
USD_PER_MWH = "USD/MWh"
AUDIT = Column("recorded_at", "timestamp", doc="when the row was last written (UTC)")
