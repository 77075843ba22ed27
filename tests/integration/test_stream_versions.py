"""Rows that are copied straight and rows that are compared: the newest version stands."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import psycopg2.errors
import pytest
import sqlalchemy as sa
from databases import StoreDatabases
from stream_feed import CASE, RULES, encoded, reading

from data_engineering.ingestion.stream_files import FilePublisher, FileSource
from data_engineering.model.stream import POWER_TOPIC
from data_engineering.orchestration.stream_setup import serve
from data_engineering.settings import Settings
from data_engineering.storage import stream_rows
from data_engineering.storage.database import open_engine

pytestmark = pytest.mark.integration
UNITS, SECONDS = 12, 60
Stored = dict[tuple[int, int], tuple[int, int]]


def message(unit: int, second: int, version: int, quality: int) -> dict[str, Any]:
    """Its power tells unit, second, version and quality, so that no two differ in anything else."""
    return reading(
        0,
        time=f"2020-07-06T00:00:{second:02d}Z",
        available_at=f"2020-07-06T01:00:{version:02d}Z",
        generator_id=f"unit_{unit}",
        measurement_quality=quality,
        active_power=float(((unit * 100 + second) * 100 + version) * 10 + quality),
    )


def feed(chance: random.Random, first: int, last: int) -> list[tuple[int, int, int, int]]:
    """Readings in the order of time, of which some come twice, late or with another version."""
    found = []
    for second in range(first, last):
        for unit in range(UNITS):
            found.append((unit, second, chance.randrange(3), chance.randrange(4)))
            if chance.random() < 0.1:
                found.append(chance.choice(found))
            if chance.random() < 0.1:
                late = chance.randrange(first, second + 1)
                found.append((unit, late, chance.randrange(3), chance.randrange(4)))
    return found


def newest(messages: list[tuple[int, int, int, int]]) -> Stored:
    """The rule: of one key the greatest version, then the best (smallest) quality."""
    found: Stored = {}
    for unit, second, version, quality in messages:
        found[unit, second] = max(
            found.get((unit, second), (-1, 0)), (version, quality), key=lambda v: (v[0], -v[1])
        )
    return found


def in_table(engine: sa.Engine) -> Stored:
    with engine.begin() as connection:
        powers = connection.execute(sa.text("SELECT active_power FROM power_measurements")).all()
    found: Stored = {}
    for (power,) in powers:
        rest, quality = divmod(int(power), 10)
        rest, version = divmod(rest, 100)
        key = divmod(rest, 100)
        assert key not in found
        found[key] = (version, quality)
    return found


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often rows went which way."""
    seen: Counter[str] = Counter()
    insert, upsert = stream_rows.insert, stream_rows.upsert

    def inserted(*args: Any) -> None:
        try:
            insert(*args)
            seen["straight"] += 1
        except psycopg2.errors.UniqueViolation:
            seen["known after all"] += 1
            raise

    def upserted(*args: Any, **options: Any) -> None:
        upsert(*args, **options)
        seen["compared"] += 1

    monkeypatch.setattr(stream_rows, "insert", inserted)
    monkeypatch.setattr(stream_rows, "upsert", upserted)
    return seen


@pytest.mark.parametrize("seed", range(4))
def test_the_newest_version_stands_whichever_way_it_went(
    seed: int, store_databases: StoreDatabases, tmp_path: Path, ways: Counter[str]
) -> None:
    chance = random.Random(seed)
    engine = open_engine(store_databases.timeseries_url, "ingest")
    settings = Settings(home=tmp_path, case_name=CASE, stream={"batch_messages": 50})
    sent: list[tuple[int, int, int, int]] = []
    # Three readers that know nothing of each other; what the later ones read overlaps.
    for reader, (first, last) in enumerate(((0, 40), (25, SECONDS), (0, SECONDS))):
        some = feed(chance, first, last)
        sent += some
        path = tmp_path / f"{reader}.jsonl"
        with FilePublisher(path, 3) as publisher:
            for number, value in enumerate(encoded([message(*one) for one in some])):
                publisher.send(POWER_TOPIC, str(number).encode(), value)
        serve(settings, engine, FileSource(path), rules=RULES)
        assert in_table(engine) == newest(sent)
    engine.dispose()
    assert len(newest(sent)) == UNITS * SECONDS
    assert min(ways[way] for way in ("straight", "known after all", "compared")) > 0, ways
