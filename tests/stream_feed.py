"""Messages of the stream for tests and measurements, and what the database must hold after them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from data_engineering.ingestion.stream_rules import KnownPoints, Rules

CASE = "feed"
START = datetime(2020, 7, 6, tzinfo=UTC)
UNITS = tuple(f"unit_{number}" for number in range(10_000))
AT_ONCE = 200
"""Units that have a reading every second."""
POINTS = KnownPoints(
    frozenset(UNITS), frozenset({"area_1"}), frozenset({"line_1"}), frozenset({"bus_1", "bus_2"})
)
RULES = Rules(CASE, {CASE: POINTS}, max_age_days=36_500.0)


def reading(number: int, at_once: int = AT_ONCE, **changes: Any) -> dict[str, Any]:
    """The single reading of a number; its key and its power are those of no other number."""
    at = START + timedelta(seconds=number // at_once)
    document = {
        "schema_version": 1,
        "time": at.isoformat(),
        "generator_id": UNITS[number % at_once],
        "bus_id": "bus_1",
        "active_power": number * 0.25,
        "reactive_power": 1.5,
        "voltage_magnitude": 1.01,
        "voltage_angle": -12.25,
        "frequency_hz": 60.01,
        "measurement_quality": 0,
        "source": "feed",
        "available_at": (at + timedelta(seconds=1)).isoformat(),
    }
    return document | changes


def scan(number: int, points: int = AT_ONCE) -> dict[str, Any]:
    """All units at one time, as one message; the same rows as `reading` gives one by one."""
    rows = [reading(number * points + place, points) for place in range(points)]
    lists = ("generator_id", "active_power", "reactive_power", "voltage_magnitude", "voltage_angle")
    return rows[0] | {name: [row[name] for row in rows] for name in lists}


def encoded(documents: Iterator[dict[str, Any]] | list[dict[str, Any]]) -> list[bytes]:
    """The messages of documents."""
    return [json.dumps(document).encode() for document in documents]


def stored(engine: Engine) -> dict[tuple[str, str], float]:
    """Power by time and unit, as the database has it."""
    with engine.begin() as connection:
        rows = connection.execute(
            sa.text("SELECT time, generator_id, active_power FROM power_measurements")
        ).all()
    found = {(row[0].isoformat(), row[1]): row[2] for row in rows}
    assert len(found) == len(rows)
    return found


def expected(count: int) -> dict[tuple[str, str], float]:
    """What the first `count` readings leave."""
    rows = (reading(number) for number in range(count))
    return {(row["time"], row["generator_id"]): row["active_power"] for row in rows}
