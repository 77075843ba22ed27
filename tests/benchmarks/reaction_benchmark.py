"""From a trip to the start of its solve: the time until the new dispatch of RTS-GMLC begins.

    python tests/benchmarks/reaction_benchmark.py [TRIPS]

A recorded file grows as a control centre would write it: every second a scan of all 158 units and
the 3 areas. Now and then a unit or line opens or closes, told by two scans of its status. The
service stores each message in the embedded PostgreSQL, decides and dispatches 12 intervals of 5
minutes, secure against the loss of any branch. Measured: from when the confirming message is
written to when the solver begins (stored, decided, request built), and to when the result is
stored and told. The pause after a trip in which a storm of trips settles is off; dispatches by the
timer go on beside and may be in the way.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))
from databases import migrate_url
from realtime_day import CASE, START, planned, store_day
from rts_day import rts_grid

from data_engineering.ingestion.stream_files import FilePublisher, FileSource
from data_engineering.model.stream import POWER_TOPIC, TOPOLOGY_TOPIC
from data_engineering.orchestration.stream_setup import serve
from data_engineering.orchestration.stream_wiring import reacting
from data_engineering.runtime import open_runtime
from data_engineering.settings import ReoptimizationRules, Settings
from data_engineering.storage import embedded
from data_engineering.storage.metadata import query

STARTS = """
    SELECT extract(epoch FROM started_at)::float8 AS begun,
        extract(epoch FROM ended_at)::float8 AS ended, outcome
    FROM reoptimization_events
    WHERE action = 'fire' AND reason = 'topology'
      AND started_at IS NOT NULL AND ended_at IS NOT NULL
    ORDER BY started_at
"""


class Feed:
    """Messages of the present; the stream's time is the time since the beginning."""

    def __init__(self, publisher: FilePublisher) -> None:
        self.publisher, self.begun, self.lock = publisher, time.time(), threading.Lock()
        self.plan = planned(14)
        self.opened: set[str] = set()

    def send(self, topic: str, document: dict[str, object], ahead: float = 0.0) -> float:
        at = START + timedelta(seconds=time.time() - self.begun + ahead)
        stamps = {"time": at.isoformat(), "available_at": at.isoformat(), "case_name": CASE}
        value = json.dumps({"schema_version": 1, **stamps, **document}).encode()
        with self.lock:
            self.publisher.send(topic, None, value)
            self.publisher.flush()
        return time.time()

    def scan(self) -> None:
        names = sorted(self.plan)
        power = [0.0 if name in self.opened else self.plan[name] for name in names]
        buses = [name.split("_")[0] for name in names]
        self.send(POWER_TOPIC, {"generator_id": names, "bus_id": buses, "active_power": power})

    def switch(self, kind: str, name: str, closed: bool) -> float:
        """Two scans of a status; when the second was written."""
        document = {"element": kind, "element_id": name, "closed": closed}
        (self.opened.discard if closed else self.opened.add)(name)
        self.send(TOPOLOGY_TOPIC, document)
        time.sleep(0.3)
        return self.send(TOPOLOGY_TOPIC, document)


def scans(feed: Feed, stop: threading.Event) -> None:
    while not stop.wait(1.0):
        feed.scan()


def switches(trips: int) -> list[tuple[str, str, bool]]:
    """Large units and lines, each opened and closed again."""
    grid, plan = rts_grid(), planned(14)
    units = sorted(grid.generators.id.tolist(), key=lambda name: -plan[name])[:8]
    lines = grid.branches.id[np.argsort(-grid.branches.rate_a_mva, kind="stable")[:8]].tolist()
    both = [
        pair
        for unit, line in zip(units, lines, strict=True)
        for pair in (("generator", unit), ("branch", line))
    ]
    return [(*both[(k // 2) % len(both)], k % 2 == 1) for k in range(trips)]


def measure(settings: Settings, folder: Path, trips: int) -> None:
    stop, written = threading.Event(), []
    with (
        FilePublisher(folder / "stream.jsonl") as publisher,
        FilePublisher(folder / "results.jsonl") as results,
        open_runtime(settings, role="ingest") as runtime,
        reacting(settings, results) as reaction,
    ):
        feed = Feed(publisher)
        feed.scan()
        source = FileSource(folder / "stream.jsonl", follow=True)
        service = threading.Thread(
            target=serve,
            args=(settings, runtime.timeseries, source, reaction.on_committed),
            kwargs={"stop": stop},
        )
        beat = threading.Thread(target=scans, args=(feed, stop))
        service.start()
        beat.start()
        time.sleep(5.0)
        for kind, name, closed in switches(trips):
            written.append(feed.switch(kind, name, closed))
            count, patience = len(written), time.time() + 60.0
            while len(query(runtime.metadata, STARTS)) < count and time.time() < patience:
                time.sleep(0.05)
        stop.set()
        service.join()
        beat.join()
        rows = query(runtime.metadata, STARTS)
        total = query(runtime.timeseries, "SELECT count(*) AS n FROM power_measurements")["n"][0]
    report(np.array(written), rows, int(total))


def report(written: np.ndarray, rows: pd.DataFrame, total: int) -> None:
    count = min(len(written), len(rows))
    begun, ended = (rows[name].to_numpy()[:count] - written[:count] for name in ("begun", "ended"))
    print(f"{len(written)} trips, {len(rows)} solves for them, {total} rows stored beside")
    print(f"outcomes: {rows['outcome'].value_counts().to_dict()}")
    for name, delay in (("solve starts after", begun), ("result told after", ended)):
        p50, p99 = np.percentile(delay, [50, 99])
        print(f"{name}: median {p50:.3f} s, p99 {p99:.3f} s, largest {delay.max():.3f} s")


def main(trips: int) -> None:
    with tempfile.TemporaryDirectory(prefix="lascopf-bench-") as name:
        folder = Path(name)
        server = embedded.start(folder)
        try:
            migrate_url(server.timeseries_url, "timeseries")
            migrate_url(server.metadata_url, "metadata")
            rules = ReoptimizationRules(clock="event", settle_seconds=0.0, storm_seconds=0.0)
            settings = Settings(
                home=folder,
                timeseries_url=server.timeseries_url,
                metadata_url=server.metadata_url,
                case_name=CASE,
                reoptimization=rules,
            )
            with open_runtime(settings) as runtime:
                store_day(runtime)
            measure(settings, folder, trips)
        finally:
            embedded.stop(folder)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
