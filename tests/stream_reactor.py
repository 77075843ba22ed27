"""The whole stream service as a process of its own, for tests that kill it in mid-dispatch."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Literal

from data_engineering.orchestration import stream_wiring
from data_engineering.orchestration.realtime_dispatch import Dispatcher
from data_engineering.orchestration.stream_setup import open_source, serve
from data_engineering.runtime import open_runtime
from data_engineering.settings import Settings

Stage = Literal["decided", "solving", "stored"]
"""Decided and not started; in the solver; stored and not told."""
IMPORTED = ["kafka", "stream_reactor", "data_engineering.ingestion.kafka_consumers"]


@dataclass(frozen=True)
class Gate:
    """A stage at which dispatches for trips stop: one makes the file `here` and waits for `go`."""

    stage: Stage
    folder: Path

    @property
    def here(self) -> Path:
        return self.folder / f"{self.stage}.here"

    @property
    def go(self) -> Path:
        return self.folder / f"{self.stage}.go"

    def stop(self) -> None:
        self.here.touch()
        while not self.go.exists():
            time.sleep(0.02)


def start_reactor(
    options: dict[str, Any], source: str, log: Path, gate: Gate | None = None
) -> ForkServerProcess:
    """Serve a source until SIGTERM or its end; what the process says goes to `log`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    process = context.Process(target=_serve, args=(options, source, str(log), gate), daemon=True)
    process.start()
    return process


def _serve(options: dict[str, Any], source: str, log: str, gate: Gate | None) -> None:
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, sys.stdout.fileno())
    os.dup2(out, sys.stderr.fileno())
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: stop.set())
    if gate is not None:
        _put_up(gate)
    opened = open_source(source, Settings(**options))
    settings = stream_wiring.with_clock(Settings(**options), opened.name)
    with (
        closing(stream_wiring.results_publisher(settings, opened.name)) as publisher,
        open_runtime(settings, role="ingest") as runtime,
        stream_wiring.reacting(settings, publisher) as reaction,
    ):
        serve(settings, runtime.timeseries, opened, reaction.on_committed, stop=stop)


def _put_up(gate: Gate) -> None:
    """Stop the dispatches for trips of this process at a stage."""
    dispatch, solve = Dispatcher.dispatch, Dispatcher._solve
    reasons: list[str] = []

    def stop(stage: Stage) -> None:
        if stage == gate.stage and reasons[-1] == "topology":
            gate.stop()

    def dispatch_gated(self: Dispatcher, asked: Any) -> Any:
        reasons.append(asked.reason)
        stop("decided")
        return dispatch(self, asked)

    def solve_gated(self: Dispatcher, request: Any) -> Any:
        stop("solving")
        return solve(self, request)

    def publishing_gated(*args: Any) -> Any:
        publish = publish_results(*args)

        def publish_gated(key: str, message: Any) -> None:
            stop("stored")
            publish(key, message)

        return publish_gated

    publish_results = stream_wiring.publish_results
    Dispatcher.dispatch = dispatch_gated  # type: ignore[method-assign]
    Dispatcher._solve = solve_gated  # type: ignore[method-assign]
    stream_wiring.publish_results = publishing_gated
