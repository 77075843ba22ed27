"""The stream's sink, its reaction and who dispatches, put together by the settings."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

from data_engineering.ingestion.stream_publish import Publisher as StreamPublisher
from data_engineering.model.errors import LascopfError
from data_engineering.orchestration.airflow_config import credentials
from data_engineering.orchestration.realtime_dispatch import Dispatcher
from data_engineering.orchestration.reoptimise import (
    Publisher,
    direct,
    publish_results,
    through_airflow,
)
from data_engineering.orchestration.stream_reaction import StreamReaction
from data_engineering.orchestration.trigger import Airflow, log_in
from data_engineering.runtime import Runtime, open_runtime
from data_engineering.settings import Settings
from data_engineering.storage import reoptimization, stream_status

log = logging.getLogger(__name__)

SILENT = timedelta(seconds=30)
"""A member without a sign of life for so long commits nothing."""
LOOK_SECONDS = 5.0
LOGIN_SECONDS = 60.0
"""Short beside the day that a token is valid: an Airflow that was set up anew is found soon."""


RESULTS_FILE = "lascopf_results.jsonl"
"""Below `home/stream`: the results of the stream's service, where there is no broker."""


def results_publisher(settings: Settings, source: str, name: str = RESULTS_FILE) -> StreamPublisher:
    """Where results go to: the broker of a stream from Kafka, else a recorded file.

    Args:
        settings: broker, and home of the file.
        source: name of the stream's source.
        name: of the file, to which one process at a time may append.

    Raises:
        StreamUnavailable, StreamRefused: no broker answers, or it refuses the login.
    """
    if source.startswith("kafka:"):
        from data_engineering.ingestion.stream_publish import KafkaPublisher

        return KafkaPublisher(settings)
    from data_engineering.ingestion.stream_files import FilePublisher

    return FilePublisher(settings.home / "stream" / name)


def with_clock(settings: Settings, source: str, *, follow: bool = False) -> Settings:
    """The settings with the clock that suits a source, where they leave it open.

    Args:
        settings: `reoptimization.clock` may be `auto`.
        source: name of the stream's source; a recorded file plays the past.
        follow: the file is still written, and time passes while it is.
    """
    rules = settings.reoptimization
    if rules.clock != "auto":
        return settings
    clock = "wall"
    if source.startswith("file:"):
        clock = "event" if follow else "recording"
    told = rules.model_copy(update={"clock": clock})
    return settings.model_copy(update={"reoptimization": told})


@contextmanager
def reacting(settings: Settings, publisher: Publisher) -> Iterator[StreamReaction]:
    """A reaction that runs as long as the context; its `on_committed` is for the sink's service.

    Args:
        settings: `realtime.through` says who dispatches.
        publisher: of the results.
    """
    process = f"{socket.gethostname()}/{os.getpid()}"
    with (
        open_runtime(settings, role="optimizer") as runtime,
        open_runtime(settings, role="ingest") as ingest,
    ):
        ending = threading.Event()
        here = Dispatcher(runtime, publish_results(publisher, ending), note_starts(runtime))
        by_fire = direct(here)
        if settings.realtime.through == "airflow":
            by_fire = through_airflow(runtime, logged_in(settings), by_fire, time.sleep)
        reaction = StreamReaction(
            runtime, ingest, by_fire, direct(here), process, _others(ingest, process), ending
        )
        reaction.start()
        try:
            yield reaction
        finally:
            reaction.close()


def note_starts(runtime: Runtime) -> Callable[[str], None]:
    """Notes the start of the solve in the row of the fire that asked for it."""

    def note(key: str) -> None:
        with suppress(LascopfError):  # a note that is missing is no reason not to dispatch
            reoptimization.note_start(runtime.metadata, key, datetime.now(UTC))

    return note


def logged_in(settings: Settings) -> Callable[[], Airflow]:
    """Gives a client of the local Airflow; a login is kept for `LOGIN_SECONDS`."""
    kept: Airflow | None = None
    until = 0.0

    def client() -> Airflow:
        nonlocal kept, until
        if kept is None or time.monotonic() >= until:
            login = credentials(settings)
            kept = log_in(login.url, login.user, login.password)
            until = time.monotonic() + LOGIN_SECONDS
        return kept

    return client


def _others(runtime: Runtime, process: str) -> Callable[[], bool]:
    """Whether members of other processes were alive a moment ago; asked now and then."""
    known, asked_at = False, 0.0

    def others() -> bool:
        nonlocal known, asked_at
        if time.monotonic() - asked_at >= LOOK_SECONDS:
            found = stream_status.members(runtime.timeseries, datetime.now(UTC) - SILENT)
            alive = found.loc[found["state"].isin(["running", "waiting"]), "member"]
            known = any(not str(name).startswith(f"{process}/") for name in alive)
            asked_at = time.monotonic()
        return known

    return others
