"""How fast the stream goes from Kafka to committed rows, and how late a row is at half that load.

    LASCOPF_TEST_KAFKA=127.0.0.1:9092 LASCOPF_TEST_TIMESCALEDB_URL=postgresql://... \
        .venv/bin/python tests/benchmarks/stream_benchmark.py

The broker's topics are filled first; then the service is a process of its own, as
`lascopf stream` is, and the figures are those of the database: rows stored over the time from the
first transaction to the last. Delays are from the message's time stamp to the commit.
Arguments choose among singles, scans, singles-half and scans-half; STREAM_MEMBERS=2 has two
processes share the partitions.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

sys.path.insert(0, str(Path(__file__).parents[1]))

from databases import create_database, drop_database, migrate_url
from kafka_topics import empty_topics
from stream_feed import CASE, RULES, encoded, reading, scan

from data_engineering.ingestion.stream_publish import KafkaPublisher
from data_engineering.model.stream import POWER_TOPIC, Committed
from data_engineering.orchestration.stream_setup import open_source, serve
from data_engineering.settings import Settings
from data_engineering.storage.database import open_engine

SINGLES, SCANS, POINTS = 300_000, 400, 10_000
LOAD_SECONDS = 15
MEMBERS = int(os.environ.get("STREAM_MEMBERS", "1"))
PARTITIONS = 4


def settings_of(bootstrap: str, group: str) -> Settings:
    return Settings(
        kafka_bootstrap=bootstrap, case_name=CASE, stream={"group": group, "beat_seconds": 1.0}
    )


def consume(settings: Settings, url: str, total: int, stored: Any, out: Any) -> None:
    """Serve until all members have stored `total` messages.

    Tells the time and rows of each transaction, the delays of messages, and seconds of processor.
    """
    engine = open_engine(url, "ingest")
    stop = threading.Event()
    rows: list[tuple[float, int]] = []
    delays: list[np.ndarray[Any, Any]] = []

    def note(committed: Committed) -> None:
        count = sum(table.num_rows for table in committed.readings.values())
        rows.append((committed.at.timestamp(), count))

    def watch(service: Any) -> None:
        old = service.health.stored

        def told(messages: Any, *args: Any) -> None:
            old(messages, *args)
            sent = np.array([m.timestamp_ms for m in messages]) / 1000
            delays.append(args[-1].timestamp() - sent)
            with stored.get_lock():
                stored.value += len(messages)

        service.health.stored = told

    def end() -> None:
        while stored.value < total:
            time.sleep(0.05)
        stop.set()

    threading.Thread(target=end, daemon=True).start()
    source = open_source("kafka", settings)
    serve(settings, engine, source, note, rules=RULES, stop=stop, watch=watch)
    out.put((rows, np.concatenate(delays or [np.empty(0)]), time.process_time()))


def run(bootstrap: str, server: str, values: list[bytes], rate: float | None, label: str) -> None:
    url = create_database(server)
    migrate_url(url, "timeseries")
    settings = settings_of(bootstrap, f"bench-{time.time_ns()}")
    context = multiprocessing.get_context("spawn")
    out, stored = context.Queue(), context.Value("q", 0)
    empty_topics(settings, partitions=PARTITIONS)
    with ThreadPoolExecutor(1) as pool:
        if rate is None:
            publish(settings, values, None)
        args = (settings, url, len(values), stored, out)
        members = [context.Process(target=consume, args=args) for _ in range(MEMBERS)]
        for member in members:
            member.start()
        if rate is not None:
            time.sleep(5.0)  # the members join their group meanwhile
            pool.submit(publish, settings, values, rate).result()
        told = [out.get(timeout=600) for _ in members]
        for member in members:
            member.join()
    engine = open_engine(url)
    with engine.begin() as connection:
        count = connection.execute(sa.text("SELECT count(*) FROM power_measurements")).scalar()
    engine.dispose()
    drop_database(url)
    done = sorted(one for rows, _, _ in told for one in rows)
    rows = sum(some for _, some in done)
    # Each member's first transaction was made, at least in part, before the clock of the first ran.
    counted = rows - sum(first for (_, first), *_ in (each for each, _, _ in told if each))
    speed = counted / (done[-1][0] - done[0][0])
    print(f"{label}: {rows} rows ({count} in the table), {speed:,.0f} rows/s", end="")
    if rate is None:
        print(f", {sum(cpu for _, _, cpu in told):.1f} s of the members' processor", end="")
    else:
        low, high = np.percentile(np.concatenate([delays for _, delays, _ in told]), [50, 99])
        print(f", delay p50 {low:.3f} s, p99 {high:.3f} s", end="")
    print(f", load of the machine {os.getloadavg()[0]:.0f}", flush=True)


def publish(settings: Settings, values: list[bytes], rate: float | None) -> None:
    with KafkaPublisher(settings) as publisher:
        started = time.monotonic()
        for number, value in enumerate(values):
            if rate is not None and (ahead := started + number / rate - time.monotonic()) > 0:
                time.sleep(ahead)
            publisher.send(POWER_TOPIC, str(number).encode(), value)
        publisher.flush()


def main() -> None:
    bootstrap = os.environ["LASCOPF_TEST_KAFKA"]
    server = os.environ["LASCOPF_TEST_TIMESCALEDB_URL"]
    which = sys.argv[1:] or ["singles", "scans", "singles-half", "scans-half"]
    singles = encoded(reading(number) for number in range(SINGLES))
    wanted = SCANS if any(name.startswith("scans") for name in which) else 0
    scans = encoded(scan(number, POINTS) for number in range(wanted))
    for name in which:
        if name == "singles":
            run(bootstrap, server, singles, None, "single readings")
        elif name == "scans":
            run(bootstrap, server, scans, None, f"scans of {POINTS} points")
        elif name == "singles-half":
            values = singles[: 10_000 * LOAD_SECONDS]
            run(bootstrap, server, values, 10_000.0, "single readings at 10,000/s")
        elif name == "scans-half":
            values = scans[: 10 * LOAD_SECONDS]
            run(bootstrap, server, values, 100_000 / POINTS, "scans at 100,000 points/s")


if __name__ == "__main__":
    main()
