"""Members of the stream as processes of their own, for tests that kill them.

A server that has imported everything forks them, so that a restart takes no longer than its work.
"""

from __future__ import annotations

import faulthandler
import logging
import multiprocessing
import os
import signal
import sys
import threading
from dataclasses import replace
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from stream_feed import RULES

from data_engineering.orchestration.stream_setup import open_source, serve
from data_engineering.settings import Settings
from data_engineering.storage.database import open_engine

IMPORTED = [
    "kafka",
    "pandas",
    "data_engineering.ingestion.kafka_consumers",
    "data_engineering.ingestion.stream_files",
    "data_engineering.orchestration.stream_letters",
    "data_engineering.orchestration.stream_setup",
]


def start_member(options: dict[str, Any], source: str, log: Path) -> ForkServerProcess:
    """Start a member that serves until SIGTERM; what it says goes to `log`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    process = context.Process(target=_serve, args=(options, source, str(log)), daemon=True)
    process.start()
    return process


def _serve(options: dict[str, Any], source: str, log: str) -> None:
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, sys.stdout.fileno())
    os.dup2(out, sys.stderr.fileno())
    faulthandler.register(signal.SIGUSR1, all_threads=True)  # one that hangs tells where
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("kafka").setLevel(logging.INFO)  # joins and assignments
    settings = Settings(**options)
    assert settings.timeseries_url is not None
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: stop.set())
    engine = open_engine(settings.timeseries_url.get_secret_value(), "ingest")
    opened = open_source(source, settings, follow=True)
    rules = replace(RULES, max_bytes=settings.stream.max_message_bytes)
    serve(settings, engine, opened, rules=rules, stop=stop)
    engine.dispose()
