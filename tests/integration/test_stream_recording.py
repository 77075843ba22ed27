"""A recording gives the same decisions however it is read, also when its reader is killed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from realtime_day import CASE, START, store_day
from stream_recordings import EVENTS, MINUTE, record, scan, switched

from data_engineering.ingestion.stream_files import FilePublisher, FileSource
from data_engineering.model.stream import RawMessage
from data_engineering.orchestration.realtime_inputs import Asked
from data_engineering.orchestration.stream_setup import serve
from data_engineering.orchestration.stream_wiring import reacting
from data_engineering.runtime import open_runtime
from data_engineering.settings import ReoptimizationRules, Settings
from data_engineering.storage.metadata import query

pytestmark = pytest.mark.integration


@pytest.fixture
def settings(store_settings: Settings) -> Settings:
    rules = ReoptimizationRules(clock="recording")
    changed = store_settings.model_copy(update={"reoptimization": rules, "case_name": CASE})
    with open_runtime(changed) as runtime:
        store_day(runtime)
    return changed


def messages() -> Iterator[tuple[str, dict[str, object]]]:
    """Five intervals; two lines open between the first two scans, 45 s apart: that is no storm."""
    yield from scan(START)
    for minutes, name in ((2.5, "A3"), (3.25, "A4")):
        for second in range(2):
            yield switched("branch", name, START + minutes * MINUTE + timedelta(seconds=second))
    for number in range(1, 5):
        yield from scan(START + 5 * number * MINUTE)


class InSmallPieces(FileSource):
    """Hands out so many messages at once."""

    def __init__(self, path: Path, count: int) -> None:
        super().__init__(path)
        self._count, self._left = count, list[RawMessage]()

    @property
    def exhausted(self) -> bool:
        return not self._left and super().exhausted

    def poll(self, seconds: float) -> list[RawMessage]:
        self._left += super().poll(seconds)
        found, self._left = self._left[: self._count], self._left[self._count :]
        return found


def decisions(settings: Settings, path: Path, count: int) -> list[tuple[object, ...]]:
    """What is decided where so many messages are read at once, from the beginning."""
    with open_runtime(settings) as runtime:
        for table in ("reoptimization_events", "reoptimization_state"):
            query(runtime.metadata, f"DELETE FROM {table} RETURNING 1")
        for table in ("stream_offsets", "power_measurements", "load_measurements"):
            query(runtime.timeseries, f"DELETE FROM {table} RETURNING 1")
        query(runtime.timeseries, "DELETE FROM topology_changes RETURNING 1")

    def answer(asked: Asked) -> dict[str, object]:
        return {"convergence_status": "optimal"}

    with (
        FilePublisher(path.with_suffix(".told")) as told,
        open_runtime(settings, role="ingest") as runtime,
        reacting(settings, told) as reaction,
    ):
        reaction.answer_fire = answer
        serve(settings, runtime.timeseries, InSmallPieces(path, count), reaction.on_committed)
    with open_runtime(settings) as runtime:
        found = query(runtime.metadata, EVENTS)
    return list(found.itertuples(index=False, name=None))


def test_every_interval_is_dispatched_and_pieces_of_any_size_decide_the_same(settings, tmp_path):
    path = record(tmp_path / "stream.jsonl", messages())
    whole = decisions(settings, path, 20_000)
    fires = [(each[1] - START, each[2]) for each in whole if each[0] == "fire"]
    # The timer waits one second for the scan of its boundary, a trip for its second scan.
    second = timedelta(seconds=1)
    assert fires == [
        (second, "timer"),
        (2.5 * MINUTE + second, "topology"),
        (3.25 * MINUTE + second, "topology"),
        *((5 * number * MINUTE + second, "timer") for number in range(1, 5)),
    ]
    for count in (1, 3):
        assert decisions(settings, path, count) == whole


def test_a_recording_with_a_long_gap_goes_on_after_it(settings, tmp_path):
    """Ten days of silence are not ten days of looks: all is stale, and one alarm was given."""

    def gap() -> Iterator[tuple[str, dict[str, object]]]:
        yield from scan(START)
        yield from scan(START + timedelta(days=10))

    found = decisions(settings, record(tmp_path / "stream.jsonl", gap()), 20_000)
    second = timedelta(seconds=1)
    # Readings count for 15 minutes; then the timer waits for the next ones, and does not wait more.
    assert [each[1] - START for each in found if each[0] == "fire"] == [
        second,
        5 * MINUTE + second,
        10 * MINUTE + second,
        timedelta(days=10),
    ]
    assert [each[0] for each in found].count("alarm") == 1
    assert len(found) < 20
