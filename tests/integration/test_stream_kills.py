"""A dispatch whose process is killed at any stage is made once, and told."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from realtime_day import CASE, START, store_day
from stream_reactor import Gate, Stage, start_reactor
from stream_recordings import record, scan, switched

from data_engineering.ingestion.stream_files import read_messages
from data_engineering.orchestration.stream_wiring import RESULTS_FILE
from data_engineering.runtime import open_runtime
from data_engineering.settings import Settings
from data_engineering.storage.metadata import query

pytestmark = pytest.mark.integration

STAGES: tuple[Stage, ...] = ("decided", "solving", "stored")


@pytest.fixture
def options(store_settings: Settings) -> dict[str, object]:
    with open_runtime(store_settings) as runtime:
        store_day(runtime)
    urls = {
        name: getattr(store_settings, name).get_secret_value()
        for name in ("timeseries_url", "metadata_url")
    }
    return {**urls, "home": str(store_settings.home), "case_name": CASE}


def messages() -> Iterator[tuple[str, dict[str, object]]]:
    for tenths in (0, 5):
        yield switched("branch", "A3", START + timedelta(milliseconds=100 * tenths))
    yield from scan(START)


def test_a_dispatch_that_dies_at_every_stage_is_made_once_and_told(options, tmp_path):
    source = f"file:{record(tmp_path / 'stream.jsonl', messages())}"
    log = tmp_path / "service.log"
    for stage in STAGES:
        gate = Gate(stage, tmp_path)
        process = start_reactor(options, source, log, gate)
        patience = time.monotonic() + 60.0
        while not gate.here.exists():
            assert process.is_alive(), log.read_text()[-4000:]
            assert time.monotonic() < patience, log.read_text()[-4000:]
            time.sleep(0.02)
        process.kill()
        process.join()
    last = start_reactor(options, source, log)
    last.join(timeout=60)
    assert last.exitcode == 0, log.read_text()[-4000:]
    settings = Settings(**options)
    with open_runtime(settings) as runtime:
        fires = query(
            runtime.metadata,
            "SELECT execution_id::text AS id, reason, outcome FROM reoptimization_events "
            "WHERE action = 'fire'",
        )
        made = query(
            runtime.metadata,
            "SELECT execution_id::text AS id FROM lascopf_executions WHERE triggered_by = 'EVENT'",
        )
        units = query(
            runtime.metadata,
            "SELECT count(*) AS n FROM generator_dispatch WHERE execution_id::text = :id",
            {"id": made["id"].iloc[0]},
        )
    assert fires[["reason", "outcome"]].to_numpy().tolist() == [["topology", "optimal"]]
    assert made["id"].tolist() == fires["id"].tolist()
    assert units["n"].iloc[0] == 158 * 12
    told = read_messages(settings.home / "stream" / RESULTS_FILE)
    assert {json.loads(each.value)["execution_id"] for each in told} == set(made["id"])
