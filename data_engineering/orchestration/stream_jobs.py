"""The thread that dispatches what the stream asks for: one at a time, each end noted."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime

from data_engineering.model.errors import LascopfError
from data_engineering.orchestration.realtime_inputs import Asked
from data_engineering.orchestration.reoptimise import Reoptimise
from data_engineering.runtime import Runtime
from data_engineering.storage import reoptimization, stream_status

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ended:
    """A dispatch that ended."""

    asked: Asked
    succeeded: bool


@dataclass(eq=False)
class Jobs:
    """Dispatches under way and those that ended.

    Attributes:
        runtime: open stores.
        ingest: stores whose role may answer requests.
        told: called, in the thread that dispatches, when one has ended.
        ended: what has ended and was not taken yet.
    """

    runtime: Runtime
    ingest: Runtime
    told: Callable[[], None]
    ended: deque[Ended] = field(default_factory=deque)
    _worker: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="stream-dispatch")
    )
    _running: set[Future[None]] = field(default_factory=set)

    def submit(self, answer: Reoptimise, asked: Asked) -> None:
        """Dispatch when those before have ended."""
        job = self._worker.submit(self._answer, answer, asked)
        self._running.add(job)
        job.add_done_callback(self._running.discard)

    @property
    def idle(self) -> bool:
        """Whether nothing is under way and every end was taken."""
        return not (self._running or self.ended)

    def wait(self, seconds: float) -> None:
        """Wait for those under way, at most so long."""
        wait(list(self._running), timeout=seconds)

    def close(self) -> None:
        """Await what is under way."""
        self._worker.shutdown()

    def _answer(self, answer: Reoptimise, asked: Asked) -> None:
        """Do it, note how it went, and say so."""
        succeeded = False
        try:
            message = answer(asked)
            outcome = str(message["convergence_status"])
            succeeded = outcome != "failed"
            if asked.request_id is not None:
                engine = self.ingest.timeseries
                stream_status.answer_request(engine, asked.request_id, asked.execution_id)
        except LascopfError as error:
            outcome = str(error)
            log.error("dispatch %s: %s", asked.execution_id, error)
        except Exception as error:
            outcome = f"{type(error).__name__}: {error}"
            log.exception("dispatch %s ended by an error", asked.execution_id)
        try:
            if asked.request_id is None:
                now = datetime.now(UTC)
                reoptimization.note_end(self.runtime.metadata, asked.key, now, outcome)
        except LascopfError as error:
            log.warning("the end of %s was not noted: %s", asked.execution_id, error)
        self.ended.append(Ended(asked, succeeded))
        self.told()
