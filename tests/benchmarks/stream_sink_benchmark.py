"""The stream's sink against `execute_values` and against a plain COPY, in one run.

    python tests/benchmarks/stream_sink_benchmark.py [SCANS]

Scans of 10,000 points, ten to a transaction, parsed before, into `power_measurements` of an
embedded PostgreSQL whose day is empty. Ways by turns, medians of the rounds:

- sink: as the service stores; ordered, laid out, offsets, version guard;
- sink, 1 % repeated: a row in a hundred comes a second time in the batch after it;
- plain COPY: the same rows by binary COPY, in the order of messages, with no guard and no offsets;
- execute_values: an upsert with the version guard (a tenth of the rows, since it is slow).
"""

from __future__ import annotations

import functools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
from psycopg2 import sql
from psycopg2.extras import execute_values
from sqlalchemy.engine import Engine

sys.path.insert(0, str(Path(__file__).parents[1]))

from stream_feed import RULES, encoded, scan

from data_engineering.ingestion.stream_messages import parse
from data_engineering.model.stream import OFFSET, PARTITION, POWER_TOPIC, Place, RawMessage
from data_engineering.model.tables import POWER_MEASUREMENTS
from data_engineering.storage import embedded, rows
from data_engineering.storage.database import driver_cursor, open_engine
from data_engineering.storage.migrations import migrate
from data_engineering.storage.stream_parts import Newest
from data_engineering.storage.stream_sink import Batch, Sink

POINTS, AT_ONCE, ROUNDS = 10_000, 10, 3
Way = Callable[[Engine, Sequence[pa.Table]], None]


def batches(scans: int) -> list[pa.Table]:
    values = encoded(scan(number, POINTS) for number in range(scans))
    messages = [RawMessage(POWER_TOPIC, 0, n, 0, None, value) for n, value in enumerate(values)]
    parts = (messages[start : start + AT_ONCE] for start in range(0, scans, AT_ONCE))
    return [parse(some, RULES).rows[POWER_TOPIC] for some in parts]


def repeated(tables: Sequence[pa.Table]) -> list[pa.Table]:
    """Each batch with every hundredth row of the one before it."""
    again = [table.take(pa.array(range(0, table.num_rows, 100))) for table in tables[:-1]]
    return [
        tables[0],
        *(pa.concat_tables([b, a]) for a, b in zip(again, tables[1:], strict=True)),
    ]


def by_sink(engine: Engine, tables: Sequence[pa.Table]) -> None:
    sink, newest, place = Sink(engine, f"run {time.time_ns()}", "one"), Newest(), Place("t", 0)
    sink.claim([place])
    for number, table in enumerate(tables):
        parts = {POWER_TOPIC: newest.parts(POWER_MEASUREMENTS, table)}
        ends = {place: number + 1}
        of = functools.partial(Batch, {POWER_TOPIC: table}, (), (), {place: number}, ends)
        sink.store(of({place: 0}, lambda place, offset: (b"", 0), parts))


def by_copy(engine: Engine, tables: Sequence[pa.Table]) -> None:
    for table in tables:
        with driver_cursor(engine) as cursor:
            plain = table.drop_columns([PARTITION, OFFSET])
            rows.copy(cursor, sql.Identifier(POWER_TOPIC), POWER_MEASUREMENTS, plain)


def by_execute_values(engine: Engine, tables: Sequence[pa.Table]) -> None:
    names = [column.name for column in POWER_MEASUREMENTS.written]
    key = POWER_MEASUREMENTS.key
    changes = ", ".join(f"{name} = EXCLUDED.{name}" for name in names if name not in key)
    statement = (
        f"INSERT INTO power_measurements AS t ({', '.join(names)}) VALUES %s "
        f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes} "
        "WHERE EXCLUDED.available_at > t.available_at"
    )
    for table in tables:
        values = list(zip(*(table[name].to_pylist() for name in names), strict=True))
        with driver_cursor(engine) as cursor:
            execute_values(cursor, statement, values, page_size=1000)


def speed(way: Way, engine: Engine, tables: Sequence[pa.Table]) -> float:
    with driver_cursor(engine) as cursor:
        cursor.execute("TRUNCATE power_measurements")
        cursor.execute("SELECT ensure_partitions('power_measurements', '{2020-07-06}')")
    begin = time.perf_counter()
    way(engine, tables)
    seconds = time.perf_counter() - begin
    with driver_cursor(engine) as cursor:
        cursor.execute("SELECT count(*) FROM power_measurements")
        assert cursor.fetchone()[0] == POINTS * len(tables) * AT_ONCE
    return sum(table.num_rows for table in tables) / seconds


def main(scans: int) -> None:
    tables = batches(scans - scans % AT_ONCE)
    ways: dict[str, tuple[Way, Sequence[pa.Table]]] = {
        "sink": (by_sink, tables),
        "sink, 1 % repeated": (by_sink, repeated(tables)),
        "plain COPY": (by_copy, tables),
        "execute_values": (by_execute_values, tables[: max(len(tables) // 10, 1)]),
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory(prefix="lascopf-benchmark-") as folder:
        engine = open_engine(embedded.start(Path(folder)).timeseries_url)
        try:
            migrate(engine, "timeseries")
            for _ in range(ROUNDS):
                for name, (way, some) in ways.items():
                    found[name].append(speed(way, engine, some))
        finally:
            engine.dispose()
            embedded.stop(Path(folder))
    ours = statistics.median(found["sink"])
    for name, speeds in found.items():
        one = statistics.median(speeds)
        print(f"{name:20} {one:10,.0f} rows/s, the sink is {ours / one:5.2f} times as fast")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
