"""Messages of a stream that is as a day was planned, and files of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from realtime_day import CASE, planned, planned_day
from rts_day import rts_grid

from data_engineering.ingestion.stream_files import FilePublisher
from data_engineering.model.stream import LOAD_TOPIC, POWER_TOPIC, TOPOLOGY_TOPIC

MINUTE = timedelta(minutes=1)
EVENTS = (
    "SELECT action, decided_at, reason, hindrance, subject, cause_count, idempotency_key "
    "FROM reoptimization_events ORDER BY decided_at, idempotency_key"
)
"""What was decided; the key tells topology and readings too."""


def areas(hour: int) -> dict[str, float]:
    """The demand of each area as it was planned."""
    grid, rows = rts_grid(), planned_day().tables["bus_results"]
    rows = rows[(rows["time_interval"] == hour + 1) & (rows["contingency_id"] == "base")]
    area = dict(zip(grid.buses.id, grid.buses.area, strict=True))
    totals: dict[str, float] = rows.groupby(rows["bus_id"].map(area))["load_mw"].sum().to_dict()
    return totals


def scan(at: datetime) -> Iterator[tuple[str, dict[str, object]]]:
    """All units and areas at a time, as planned, known at once."""
    common = {"case_name": CASE, "time": at.isoformat(), "available_at": at.isoformat()}
    plan = planned(14)
    names = sorted(plan)
    yield (
        POWER_TOPIC,
        {
            **common,
            "generator_id": names,
            "bus_id": [name.split("_")[0] for name in names],
            "active_power": [plan[name] for name in names],
        },
    )
    loads = areas(14)
    yield (
        LOAD_TOPIC,
        {**common, "load_id": sorted(loads), "active_power_mw": [loads[n] for n in sorted(loads)]},
    )


def switched(
    element: str, name: str, at: datetime, *, closed: bool = False
) -> tuple[str, dict[str, object]]:
    return (
        TOPOLOGY_TOPIC,
        {
            "case_name": CASE,
            "time": at.isoformat(),
            "available_at": at.isoformat(),
            "element": element,
            "element_id": name,
            "closed": closed,
        },
    )


def large_unit() -> str:
    """The thermal unit that gives most."""
    plan = planned(14)
    return max((each for each in plan if "CC" in each or "STEAM" in each), key=plan.__getitem__)


def record(path: Path, messages: Iterator[tuple[str, dict[str, object]]]) -> Path:
    with FilePublisher(path) as publisher:
        for topic, document in messages:
            at = int(datetime.fromisoformat(str(document["time"])).timestamp() * 1000)
            publisher.send(topic, None, json.dumps({"schema_version": 1, **document}).encode(), at)
    return path
