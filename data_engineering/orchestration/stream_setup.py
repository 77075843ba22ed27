"""From settings to a stream service: its source, the points of its case, its sink."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.engine import Engine

from data_engineering.ingestion.stream_rules import KnownPoints, Rules
from data_engineering.model.errors import BadInput
from data_engineering.model.grid import Grid
from data_engineering.model.stream import Committed, Member
from data_engineering.orchestration.stream_health import Health
from data_engineering.orchestration.stream_service import Service, Source
from data_engineering.settings import Settings
from data_engineering.storage import stream_status
from data_engineering.storage.stream_sink import Sink

if TYPE_CHECKING:
    from data_engineering.ingestion.stream_publish import Publisher

ROLE = "ingest"
"""The database role whose privileges suffice."""


def open_source(text: str | None, settings: Settings, *, follow: bool = False) -> Source:
    """The source that `text` names: `kafka`, or `file:PATH`; none: as the settings say.

    Raises:
        BadInput: it is neither.
        SourceFileMissing, StreamUnavailable, StreamRefused: it cannot be opened.
    """
    if text is None:
        text = "kafka" if settings.kafka_bootstrap else ""
    if text == "kafka":
        from data_engineering.ingestion.kafka_consumers import KafkaSource

        return KafkaSource(settings)
    if text.startswith("file:") and text != "file:":
        from data_engineering.ingestion.stream_files import FileSource

        return FileSource(Path(text.removeprefix("file:")), follow=follow)
    remedy = "give kafka or file:PATH; without it LASCOPF_KAFKA_BOOTSTRAP must be set"
    raise BadInput("--source", text, remedy)


def known_points(grid: Grid) -> KnownPoints:
    """The ids of a grid's points; loads are also metered by area."""
    areas = {str(area) for area in grid.buses.area}
    return KnownPoints(
        units=frozenset(map(str, [*grid.generators.id, *grid.storages.id])),
        loads=frozenset(map(str, grid.loads.id)) | areas,
        branches=frozenset(map(str, [*grid.branches.id, *grid.dc_lines.id])),
        buses=frozenset(map(str, grid.buses.id)),
    )


def stream_rules(settings: Settings, grid: Grid | None = None) -> Rules:
    """What messages are held against.

    Args:
        settings: limits, and the case whose grid is read where none is given.
        grid: of that case.
    """
    stream = settings.stream
    points: dict[str, KnownPoints] = {}
    if stream.check_points:
        if grid is None:
            from data_engineering.orchestration.cases import load_case

            grid = load_case(settings.case_name, settings).grid
        points[settings.case_name] = known_points(grid)
    return Rules(
        settings.case_name,
        points,
        stream.max_message_bytes,
        stream.max_age_days,
        stream.max_ahead_minutes,
    )


def serve(
    settings: Settings,
    engine: Engine,
    source: Source,
    on_committed: Callable[[Committed], None] = lambda committed: None,
    *,
    rules: Rules | None = None,
    stop: threading.Event | None = None,
    watch: Callable[[Service], None] = lambda service: None,
) -> Service:
    """Store a stream until `stop` is set or the source ends; the service as it ended.

    Args:
        settings: limits and case.
        engine: the time-series database, as role `ingest`.
        source: closed at the end.
        on_committed: see `Service`.
        rules: None for those of the settings.
        stop: None: only the source ends it.
        watch: is given the service before it runs.

    Raises:
        LascopfError: see `Service.run`.
    """
    with closing(source):
        rules = rules or stream_rules(settings)
        service = _member(settings, engine, source, rules, on_committed, stop)
        watch(service)
        outbox = _outbox(settings, engine, source, service.stop)
        try:
            service.run()
        finally:
            service.stop.set()
            if outbox is not None:
                outbox.join(timeout=10.0)
    return service


def _member(
    settings: Settings,
    engine: Engine,
    source: Source,
    rules: Rules,
    on_committed: Callable[[Committed], None],
    stop: threading.Event | None,
) -> Service:
    now = datetime.now(UTC)
    member = f"{socket.gethostname()}/{os.getpid()}/{now:%Y%m%dT%H%M%S.%f}"
    health = Health(
        Member(source.name, member, now, now),
        lambda row: stream_status.tell_member(engine, row),
        settings.stream.beat_seconds,
    )
    sink = Sink(engine, source.name, member)
    stop = stop or threading.Event()
    return Service(source, sink, rules, settings.stream, health, on_committed, stop)


def _outbox(
    settings: Settings, engine: Engine, source: Source, stop: threading.Event
) -> threading.Thread | None:
    """A thread that sends dead letters to their topics; a file has none."""
    if not source.name.startswith("kafka:"):
        return None
    from data_engineering.ingestion.stream_publish import KafkaPublisher
    from data_engineering.orchestration.stream_letters import publish_until

    def opened() -> Publisher:
        return KafkaPublisher(settings)

    thread = threading.Thread(
        target=publish_until, args=(engine, source.name, opened, stop), name="stream-letters"
    )
    thread.start()
    return thread
