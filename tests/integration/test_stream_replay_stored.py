"""A replayed feed with faults ends as the tables that its truth tells, also when it comes twice."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from data_engineering.ingestion.replay_faults import FAULTS
from data_engineering.ingestion.stream_files import FileSource
from data_engineering.orchestration.stream_replay import Replay, replay
from data_engineering.orchestration.stream_setup import ROLE, serve
from data_engineering.runtime import Runtime, open_runtime
from data_engineering.settings import Settings
from data_engineering.storage.metadata import query

pytestmark = pytest.mark.integration

START = datetime(2020, 7, 6, 8, 0, tzinfo=UTC)
ASKED = Replay(START, START + timedelta(hours=8), faults=frozenset(FAULTS), seed=11)
KEYS = {
    "power_measurements": ["time", "generator_id"],
    "load_measurements": ["time", "load_id"],
    "topology_changes": ["time", "element", "element_id"],
}
VALUES = {
    "power_measurements": "active_power",
    "load_measurements": "active_power_mw",
    "topology_changes": "closed",
}


def stored(runtime: Runtime, table: str) -> pd.DataFrame:
    columns = [*KEYS[table], VALUES[table], "measurement_quality", "available_at"]
    order = ", ".join(KEYS[table])
    return query(runtime.timeseries, f"SELECT {', '.join(columns)} FROM {table} ORDER BY {order}")


def told(truth: list[dict[str, object]], table: str) -> pd.DataFrame:
    rows = pd.DataFrame([row for row in truth if row.get("table") == table])
    for name in ("time", "available_at"):
        rows[name] = pd.to_datetime(rows[name], utc=True, format="ISO8601")
    columns = [*KEYS[table], VALUES[table], "measurement_quality", "available_at"]
    return rows[columns].sort_values(KEYS[table], ignore_index=True)


def test_the_tables_are_as_the_truth_tells(store_settings: Settings, tmp_path: Path) -> None:
    file, truth_file = tmp_path / "feed.jsonl", tmp_path / "truth.jsonl"
    sent = replay(ASKED, store_settings, f"file:{file}", truth_file)
    truth = [json.loads(line) for line in truth_file.read_text().splitlines()]
    again = tmp_path / "again.jsonl"
    shutil.copy(file, again)
    with open_runtime(store_settings, role=ROLE) as runtime:
        for path in (file, again):
            service = serve(store_settings, runtime.timeseries, FileSource(path))
            assert service.health.member.messages == sent.messages
            for table in KEYS:
                found, wanted = stored(runtime, table), told(truth, table)
                assert len(wanted) > 0
                pd.testing.assert_frame_equal(found, wanted, check_dtype=False)
            letters = query(
                runtime.timeseries,
                "SELECT verdict FROM stream_dead_letters WHERE stream = :stream",
                {"stream": f"file:{path}"},
            )
            verdicts = Counter(row["verdict"] for row in truth if row["kind"] == "letter")
            assert Counter(letters["verdict"]) == verdicts
