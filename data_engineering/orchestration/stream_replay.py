"""The replay of a recorded feed: readings, flows that go with them, faults, and where they go."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data_engineering.ingestion import replay_faults, replay_feed
from data_engineering.ingestion.replay_feed import Form, Outgoing, Row, Sent
from data_engineering.ingestion.rts_gmlc import read_source_tables, source_folder
from data_engineering.ingestion.stream_publish import Publisher
from data_engineering.model.errors import BadInput
from data_engineering.settings import Settings


@dataclass(frozen=True)
class Replay:
    """What is replayed.

    Attributes:
        start: first time at which a scan leaves (UTC).
        end: first time at which none leaves any more.
        speed: seconds of the feed a second; None: as fast as can be.
        form: one message a scan, or one a reading.
        faults: names, see `replay_faults.FAULTS`.
        seed: of the faults.
        flows: branches are read too, from a DC power flow.
    """

    start: datetime
    end: datetime
    speed: float | None = None
    form: Form = "scan"
    faults: frozenset[str] = frozenset()
    seed: int = 0
    flows: bool = False

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise BadInput("--until", self.end.isoformat(), f"give a time after {self.start}")
        if self.speed is not None and not 0 < self.speed < np.inf:
            raise BadInput("--speed", self.speed, "give a number above 0, or max")


def messages(asked: Replay, settings: Settings) -> Iterator[Outgoing]:
    """The messages of a replay in the order in which they leave.

    Raises:
        BadInput: flows are asked of another case than RTS-GMLC.
        SourceFileMissing, SourceFileBroken, DayOutsideData: the source cannot give the window.
    """
    folder, case = source_folder(settings.rts_gmlc_folder), settings.case_name
    flows = None
    if asked.flows:
        from data_engineering.orchestration.cases import load_case
        from data_engineering.orchestration.replay_flows import flows_of

        flows = flows_of(load_case(case, settings).grid)
    scans = replay_feed.readings(folder, case, asked.start, asked.end, flows)
    trips: list[replay_faults.Trip] = []
    if "trips" in asked.faults:
        tables = read_source_tables(folder)
        branches, units = list(tables["branch"]["UID"]), list(tables["gen"]["GEN UID"])
        trips = replay_faults.trips_of(branches, units, asked.start, asked.end, asked.seed)
        scans = replay_faults.tripped(scans, trips)
    others = asked.faults - {"trips"}
    told = (
        replay_faults.faulty(scans, asked.form, others, asked.seed)
        if others
        else replay_feed.plain(scans, asked.form)
    )
    if not trips:
        return told
    return replay_feed.merged(told, replay_faults.trip_messages(trips, case, asked.end))


def replay(
    asked: Replay,
    settings: Settings,
    to: str,
    truth: Path | None = None,
    progress: Callable[[Sent], None] = lambda sent: None,
) -> Sent:
    """Send the messages of a replay.

    Args:
        asked: what.
        settings: case, its source, the brokers.
        to: `kafka`, or `file:PATH`, to which they are appended.
        truth: file that gets a JSON line for each row that the tables must hold afterwards, and for
            each message that must become a dead letter.
        progress: is told after each time of the feed.

    Raises:
        BadInput: `to` is neither.
        StreamUnavailable, StreamRefused: the broker does not take them.
        SourceFileMissing, SourceFileBroken, DayOutsideData: the source cannot give the window.
    """
    sent = Sent()
    with ExitStack() as stack:
        publisher = stack.enter_context(closing(_publisher(to, settings)))
        note: Callable[[Row], None] = lambda row: None  # noqa: E731
        if truth is not None:
            truth.parent.mkdir(parents=True, exist_ok=True)
            lines = stack.enter_context(truth.open("w", encoding="utf-8"))

            def note(row: Row) -> None:
                lines.write(json.dumps(row, default=_iso) + "\n")

        stamp = to != "kafka"
        for sent in replay_feed.send(
            messages(asked, settings), publisher, asked.speed, stamp=stamp, truth=note
        ):
            progress(sent)
    return sent


def _publisher(to: str, settings: Settings) -> Publisher:
    if to == "kafka":
        from data_engineering.ingestion.stream_publish import KafkaPublisher

        return KafkaPublisher(settings)
    if to.startswith("file:") and to != "file:":
        from data_engineering.ingestion.stream_files import FilePublisher

        return FilePublisher(Path(to.removeprefix("file:")))
    raise BadInput("--to", to, "give kafka or file:PATH")


def _iso(value: Any) -> str:
    return pd.Timestamp(value).isoformat()


def parse_time(text: str, option: str) -> datetime:
    """A time or day of ISO 8601; without a zone it is UTC.

    Raises:
        BadInput: it is neither.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        remedy = "give a time such as 2020-07-06T14:00Z, or a day"
        raise BadInput(option, text, remedy) from None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
