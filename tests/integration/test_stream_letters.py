"""How many dead letters are open, and the command that lists and replays them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from databases import StoreDatabases
from stream_feed import reading

from data_engineering.model.stream import POWER_TOPIC, DeadLetter, Verdict
from data_engineering.storage import stream_status
from data_engineering.storage.database import open_engine
from data_engineering.storage.stream_sink import Sink

pytestmark = pytest.mark.integration


def letter(offset: int, verdict: Verdict, payload: bytes) -> DeadLetter:
    return DeadLetter(POWER_TOPIC, 0, offset, "why", verdict, "", "", 1, payload, 1_600_000_000_000)


def command(home: Path, url: str, *words: str) -> dict[str, Any]:
    environment = {
        "LASCOPF_HOME": str(home),
        "LASCOPF_TIMESERIES_URL": url,
        "LASCOPF_CASE_NAME": "feed",
        "LASCOPF_STREAM__CHECK_POINTS": "false",
    }
    done = subprocess.run(
        [sys.executable, "-m", "data_engineering.cli", "stream", "deadletters", *words, "--json"],
        env=os.environ | environment,
        capture_output=True,
        check=True,
        timeout=120,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_open_letters_are_counted_beyond_those_that_are_listed(
    store_databases: StoreDatabases, tmp_path: Path
) -> None:
    """30 that a replay cures and 5 that it does not, as its rules know no points."""
    url = store_databases.timeseries_url
    engine = open_engine(url, "ingest")
    good = [
        letter(number, "unknown_point", json.dumps(reading(number)).encode())
        for number in range(30)
    ]
    bad = [letter(30 + number, "garbage", b"x") for number in range(5)]
    places = {(one.topic, one.partition, one.offset): 1 for one in (*good, *bad)}
    Sink(engine, "s", "m").add({}, (), [*good, *bad], places)
    assert stream_status.open_letters(engine) == {"garbage": 5, "unknown_point": 30}
    before = command(tmp_path, url)
    assert len(before["dead_letters"]) == 20
    assert before["open"] == {"garbage": 5, "unknown_point": 30}
    after = command(tmp_path, url, "--replay")
    assert (after["resolved"], after["failed"], after["rows"]) == (30, 5, 30)
    assert after["open"] == {"garbage": 5}
    assert stream_status.open_letters(engine) == {"garbage": 5}
    engine.dispose()
