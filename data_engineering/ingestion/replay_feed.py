"""RTS-GMLC's year of 5-minute readings as the messages of a live feed, at any speed.

Every reading of `[time, time + 5 min)` leaves at its end, as one scan a table or one message a
reading. The same window, faults and seed give the same messages.
"""

from __future__ import annotations

import heapq
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from data_engineering.ingestion import scada_client
from data_engineering.ingestion.stream_publish import Publisher
from data_engineering.model.errors import BadInput
from data_engineering.model.stream import TOPOLOGY_TOPIC
from data_engineering.model.tables import (
    BRANCH_MEASUREMENTS,
    LOAD_MEASUREMENTS,
    POWER_MEASUREMENTS,
)
from data_engineering.model.time import Window

INTERVAL = timedelta(minutes=5)
POINTS: Mapping[str, str] = {
    POWER_MEASUREMENTS.name: "generator_id",
    LOAD_MEASUREMENTS.name: "load_id",
    BRANCH_MEASUREMENTS.name: "branch_id",
}
_LEFT_OUT = ("forecast_mw", "forecast_error_mw")

Row = dict[str, Any]
Form = Literal["scan", "single"]
Flows = Callable[[pd.DataFrame, pd.DataFrame], pd.DataFrame]
"""Rows of `branch_measurements` from rows of `power_measurements` and `load_measurements`."""


@dataclass(frozen=True, order=True)
class Outgoing:
    """A message that leaves at a time of the stream.

    Attributes:
        number: order among messages of the same time.
        truth: what the tables hold because of it.
    """

    at: datetime
    number: int
    topic: str = field(compare=False)
    key: str = field(compare=False)
    value: bytes = field(compare=False)
    truth: tuple[Row, ...] = field(default=(), compare=False)


def readings(
    folder: Path, case_name: str, start: datetime, end: datetime, flows: Flows | None = None
) -> Iterator[tuple[datetime, dict[str, list[Row]]]]:
    """The scans that leave in `[start, end)`: when, and by table the rows of each.

    Args:
        folder: of RTS-GMLC; a date stands for the same day of its year.
        case_name: grid case.
        start: UTC.
        end: UTC.
        flows: what branches carry; None: branches are not read.

    Raises:
        SourceFileMissing, SourceFileBroken, DayOutsideData: the folder cannot give the window.
    """
    first, last = start - INTERVAL, end - INTERVAL
    midnight = first.replace(hour=0, minute=0, second=0, microsecond=0)
    while midnight < last:
        whole = Window(max(midnight, first), min(midnight + timedelta(days=1), last))
        midnight += timedelta(days=1)
        if not _begins(whole):
            continue
        frames = _frames(folder, whole, case_name, flows)
        scans: dict[datetime, dict[str, list[Row]]] = {}
        for table, frame in frames.items():
            told = frame.drop(columns=["available_at"]).dropna(axis=1, how="all")
            names = [str(name) for name in told.columns]
            columns = [told[name].tolist() for name in names]
            times = pd.DatetimeIndex(told["time"]).to_pydatetime()
            for at, values in zip(times, zip(*columns, strict=True), strict=True):
                row = dict(zip(names, values, strict=True)) | {"time": at}
                scans.setdefault(at + INTERVAL, {}).setdefault(table, []).append(row)
        yield from sorted(scans.items(), key=lambda each: each[0])


def _begins(window: Window) -> bool:
    """Whether an interval begins in a window."""
    since = (window.start - datetime(1970, 1, 1, tzinfo=UTC)) % INTERVAL
    return window.start + (INTERVAL - since) % INTERVAL < window.end


def _frames(
    folder: Path, window: Window, case_name: str, flows: Flows | None
) -> dict[str, pd.DataFrame]:
    units = scada_client.parse_generation(
        scada_client.fetch_generation(folder, window), window, case_name
    )
    loads = scada_client.parse_load(scada_client.fetch_load(folder, window), window, case_name)
    frames = {POWER_MEASUREMENTS.name: units, LOAD_MEASUREMENTS.name: loads}
    if flows is not None:
        frames[BRANCH_MEASUREMENTS.name] = flows(units, loads)
    return {
        name: frame.drop(columns=[c for c in _LEFT_OUT if c in frame])
        for name, frame in frames.items()
    }


def messages_of(
    table: str, rows: Sequence[Row], known: datetime, form: Form
) -> list[tuple[str, bytes, tuple[Row, ...]]]:
    """Key, value and truth of the messages that tell rows of one table.

    Args:
        table: declared name, which is the topic.
        rows: with `time`, the point and its values.
        known: `available_at` of all of them.
        form: one message for all, or one for each.
    """
    groups = [rows] if form == "scan" else [[row] for row in rows]
    found = []
    for group in groups:
        if not group:
            continue
        truth = tuple(
            {"kind": "row", "table": table, **row, "available_at": known} for row in group
        )
        found.append((_key(table, group), _document(group, known, form), truth))
    return found


def _key(table: str, group: Sequence[Row]) -> str:
    """What keeps the readings of a point in one partition, and scans in their order."""
    return str(group[0][POINTS[table]]) if len(group) == 1 else table


def _document(group: Sequence[Row], known: datetime, form: Form) -> bytes:
    document: Row = {"schema_version": 1, "available_at": known}
    for name in group[0]:
        values = [row[name] for row in group]
        same = name != "time" and values.count(values[0]) == len(values)
        is_point = name in POINTS.values()
        document[name] = values[0] if form == "single" or (same and not is_point) else values
    if form == "scan" and len({row["time"] for row in group}) == 1:
        document["time"] = group[0]["time"]
    return encode(document)


def change_message(
    case_name: str, element: str, element_id: str, closed: bool, at: datetime, source: str
) -> tuple[str, bytes, tuple[Row, ...]]:
    """Key, value and truth of a scan of an element's status."""
    row = {
        "time": at,
        "case_name": case_name,
        "element": element,
        "element_id": element_id,
        "closed": closed,
        "measurement_quality": 0,
        "source": source,
        "available_at": at,
    }
    truth = ({"kind": "row", "table": TOPOLOGY_TOPIC, **row},)
    return f"{element} {element_id}", encode({"schema_version": 1, **row}), truth


def encode(document: Mapping[str, Any]) -> bytes:
    """A JSON object; times are ISO 8601 in UTC."""
    return json.dumps(document, default=_iso, separators=(",", ":"), ensure_ascii=False).encode()


def _iso(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    raise TypeError(f"{type(value).__name__} is not a JSON value")


def plain(scans: Iterable[tuple[datetime, dict[str, list[Row]]]], form: Form) -> Iterator[Outgoing]:
    """The messages of scans, without faults."""
    number = 0
    for at, tables in scans:
        for table, rows in tables.items():
            for key, value, truth in messages_of(table, rows, at, form):
                yield Outgoing(at, number, table, key, value, truth)
                number += 1


def merged(*streams: Iterable[Outgoing]) -> Iterator[Outgoing]:
    """Several streams of messages, each in the order of time, as one."""
    return heapq.merge(*streams, key=lambda each: each.at)


@dataclass
class Sent:
    """What was sent so far."""

    messages: int = 0
    rows: int = 0
    newest: datetime | None = None


def send(
    messages: Iterable[Outgoing],
    publisher: Publisher,
    speed: float | None,
    *,
    stamp: bool,
    truth: Callable[[Row], None] = lambda row: None,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.monotonic,
) -> Iterator[Sent]:
    """Send messages when they are due; what was sent, after each time of the stream.

    Args:
        messages: in the order of time.
        publisher: where to.
        speed: seconds of the stream a second; None: as fast as can be.
        stamp: messages carry the stream's time; else that of the machine.
        truth: is given what the tables will hold.
        sleep: for so many seconds.
        now: seconds.

    Raises:
        StreamUnavailable, StreamRefused: the broker does not take them.
    """
    if speed is not None and not speed > 0:
        raise BadInput("--speed", speed, "give a number above 0, or max")
    sent, begun, first = Sent(), now(), None
    for message in messages:
        if message.at != sent.newest:
            if sent.newest is not None:
                publisher.flush()
                yield sent
            first = message.at if first is None else first
            if speed is not None:
                due = begun + (message.at - first).total_seconds() / speed
                if due > now():
                    sleep(due - now())
            sent.newest = message.at
        at_ms = int(message.at.timestamp() * 1000) if stamp else None
        publisher.send(message.topic, message.key.encode(), message.value, at_ms)
        sent.messages += 1
        for row in message.truth:
            sent.rows += row["kind"] == "row"
            truth(row)
    publisher.flush()
    yield sent
