"""The stream's second half: from what was committed to decisions, from decisions to dispatches.

One thread keeps the state and decides; another one dispatches, so that readings are taken in
meanwhile and one dispatch is made at a time. Of several members of a stream the one that holds the
lock of its case reacts, and reads from the tables what the others commit.
"""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from data_engineering.model.decisions import Decision
from data_engineering.model.errors import BadInput, Fenced, LascopfError, NoRows, Retryable
from data_engineering.model.stream import Committed, StreamRequest
from data_engineering.orchestration.realtime_inputs import Asked
from data_engineering.orchestration.reoptimise import (
    Reoptimise,
    asked_by_key,
    asked_by_request,
)
from data_engineering.orchestration.stream_memory import Memory
from data_engineering.runtime import Runtime
from data_engineering.storage import reoptimization, stream_status
from data_engineering.storage.stream_reads import Leadership
from data_engineering.transformation import stream_state
from data_engineering.transformation.stream_state import Reaction

log = logging.getLogger(__name__)

WAITING = 200
"""Batches that may wait; more than that hold the sink up."""
LOOK_SECONDS = 1.0
"""Longest pause between looks."""
FORECAST_SECONDS = 60.0
"""Between looks for newer forecasts, by the machine's clock and by the stream's."""
SAVE_SECONDS = 10.0
"""Between saves of a state from which nothing followed."""
ENDING_SECONDS = 30.0
"""What is left when it ends may take so long; the rest is taken up at the next start."""


@dataclass(frozen=True)
class Ended:
    """A dispatch that ended."""

    asked: Asked
    succeeded: bool


@dataclass(eq=False)
class StreamReaction:
    """The reaction of one process to a stream.

    Attributes:
        runtime: open stores.
        answer_fire: dispatches what a decision asks for.
        answer_request: dispatches what a message asks for.
        member: name of this process.
        ingest: stores whose role may answer requests.
        others: whether other members commit too, so that the tables are read as well.
    """

    runtime: Runtime
    ingest: Runtime
    answer_fire: Reoptimise
    answer_request: Reoptimise
    member: str
    others: Callable[[], bool] = lambda: False
    _inbox: queue.Queue[Committed | bool] = field(default_factory=lambda: queue.Queue(WAITING))
    _ended: deque[Ended] = field(default_factory=deque)
    _worker: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="stream-dispatch")
    )
    _jobs: set[Future[None]] = field(default_factory=set)
    _thread: threading.Thread | None = None
    _memory: Memory | None = None
    _lock: Leadership | None = None
    _backlog: list[Decision] = field(default_factory=list)
    _fired: list[Asked] = field(default_factory=list)
    _asking: set[str] = field(default_factory=set)
    _begin_at: float = 0.0
    _forecast_at: float = 0.0
    _forecast_for: datetime | None = None
    _read_at: float = 0.0
    _saved_at: float = 0.0
    _failure: BaseException | None = None

    def start(self) -> None:
        """Begin to react."""
        self._lock = Leadership(
            self.runtime.metadata, f"reaction/{self.runtime.settings.case_name}"
        )
        self._thread = threading.Thread(target=self._run, name="stream-reaction", daemon=True)
        self._thread.start()

    def on_committed(self, committed: Committed) -> None:
        """Take in what a transaction stored; waits while too much waits.

        Raises:
            LascopfError: the reaction ended by an error that nothing here can cure.
        """
        while True:
            if self._failure is not None:
                raise self._failure
            try:
                self._inbox.put(committed, timeout=LOOK_SECONDS)
                return
            except queue.Full:
                continue

    def close(self) -> None:
        """Take in what waits, await the dispatch under way and what follows it, and save."""
        if self._thread is None:
            return
        self._inbox.put(False)
        self._thread.join()
        self._worker.shutdown()
        if self._lock is not None:
            self._lock.release()

    def _run(self) -> None:
        try:
            deadline = math.inf
            while not (deadline < math.inf and self._idle()) and time.monotonic() < deadline:
                item = self._next()
                if item is False:
                    deadline = time.monotonic() + ENDING_SECONDS
                self._turn(item)
            self._saved_at = 0.0
            self._turn(True)
        except BaseException as error:
            log.exception("the reaction to the stream ended")
            self._failure = error

    def _idle(self) -> bool:
        return self._inbox.empty() and not (self._jobs or self._ended or self._fired)

    def _next(self) -> Committed | bool:
        """What was committed; False at the end, True where there is something else to do."""
        try:
            return self._inbox.get(timeout=self._pause())
        except queue.Empty:
            return True

    def _pause(self) -> float:
        if self._memory is None:
            return LOOK_SECONDS
        wall, rules = _now(), self.runtime.settings.reoptimization
        due = stream_state.next_tick(self._memory.state, rules, wall)
        return min(max((due - wall).total_seconds(), 0.0), LOOK_SECONDS)

    def _turn(self, item: Committed | bool) -> None:
        try:
            if not self._leads():
                self._ended.clear()
                return
            self._end_all()
            if isinstance(item, Committed):
                self._take_in(item)
            else:
                self._look()
            self._save()
        except Fenced as error:
            log.warning("%s", error)
            self._step_down()
        except Retryable as error:
            # What was decided waits in the backlog, what was committed is in the tables.
            log.warning("the reaction waits: %s", error)
            time.sleep(LOOK_SECONDS)

    def _leads(self) -> bool:
        """Whether this process reacts; it begins to when nobody else does."""
        assert self._lock is not None
        if not self._lock.held():
            self._step_down()
            return False
        if self._memory is None and time.monotonic() >= self._begin_at:
            try:
                self._begin()
            except NoRows as error:
                log.warning("nothing is decided: %s", error)
                self._begin_at = time.monotonic() + FORECAST_SECONDS
        return self._memory is not None

    def _begin(self) -> None:
        """Remember what was saved, and take in what came after it."""
        self._memory = Memory.take_over(self.runtime, self.member)
        try:
            self._take_up()
            self._decided(self._memory.catch_up(_now()))
            self._refresh()
        except Retryable:
            self._step_down()
            raise

    def _take_up(self) -> None:
        """The dispatch that was under way when the one before ended."""
        flight = self._known.state.trigger.flight
        if flight is None:
            return
        try:
            self._fired.append(asked_by_key(self.runtime, flight.key))
        except NoRows as error:
            log.warning("%s", error)
            self._finish(flight.key, succeeded=False)

    def _step_down(self) -> None:
        self._memory, self._backlog, self._fired = None, [], []
        if self._lock is not None:
            self._lock.release()

    def _take_in(self, committed: Committed) -> None:
        memory, rules = self._known, self.runtime.settings.reoptimization
        # A recording is read faster than it happened: each of its scans is decided on its own.
        parts = committed.by_scan() if rules.clock == "event" else [committed]
        for part in parts:
            self._settle()
            self._refresh()
            self._decided(stream_state.absorb(memory.state, memory.facts, rules, part, _now()))
            self._save()
        for request in committed.requests:
            self._ask(request)

    def _look(self) -> None:
        memory, rules = self._known, self.runtime.settings.reoptimization
        self._refresh()
        passed = time.monotonic() - self._read_at
        if passed >= LOOK_SECONDS and (passed >= FORECAST_SECONDS or self.others()):
            self._read_at = time.monotonic()
            if self.others():
                self._decided(memory.catch_up(_now()))
            for request in stream_status.open_requests(self.ingest.timeseries, memory.case_name):
                self._ask(request)
        self._decided(stream_state.tick(memory.state, memory.facts, rules, _now()))

    def _settle(self) -> None:
        """Let a recording wait for its dispatches: its time would run away from them."""
        if self.runtime.settings.reoptimization.clock != "event":
            return
        deadline = time.monotonic() + ENDING_SECONDS
        while (self._jobs or self._ended) and time.monotonic() < deadline:
            wait(list(self._jobs), timeout=LOOK_SECONDS)
            self._end_all()
            self._save()

    def _end_all(self) -> None:
        while self._ended:
            self._end(self._ended.popleft())

    def _end(self, ended: Ended) -> None:
        if ended.asked.request_id is not None:
            self._asking.discard(ended.asked.request_id)
        else:
            self._finish(ended.asked.key, succeeded=ended.succeeded)

    def _finish(self, key: str, *, succeeded: bool) -> None:
        memory, rules = self._known, self.runtime.settings.reoptimization
        self._decided(
            stream_state.finished(
                memory.state, memory.facts, rules, key, _now(), succeeded=succeeded
            )
        )
        self._saved_at = 0.0

    def _decided(self, reaction: Reaction) -> None:
        self._known.state = reaction.state
        self._backlog += reaction.decisions
        self._fired += [Asked.by_decision(each) for each in reaction.fires]
        for each in reaction.decisions:
            if each.action == "alarm":
                log.error("alarm: %s of %s", each.reason, each.causes[0].subject)

    def _save(self, *, force: bool = False) -> None:
        """Write what was decided, then let it be done: a fire that is not written never is."""
        memory = self._memory
        if memory is None:
            return
        due = force or time.monotonic() - self._saved_at >= SAVE_SECONDS
        if self._backlog or due:
            memory.save(self._backlog)
            self._backlog, self._saved_at = [], time.monotonic()
        fired, self._fired = self._fired, []
        for asked in fired:
            self._submit(self.answer_fire, asked)

    def _ask(self, request: StreamRequest) -> None:
        """Answer a request of a message once."""
        memory = self._known
        if request.case_name != memory.case_name or request.request_id in self._asking:
            return
        now = memory.present(_now())
        minutes = self.runtime.settings.reoptimization.interval_minutes
        topology = stream_state.topology(memory.state, memory.facts)
        snapshot = memory.state.snapshot
        try:
            asked = asked_by_request(request, now, topology, snapshot, minutes)
        except BadInput as error:
            log.warning("request %s is refused: %s", request.request_id, error)
            engine = self.ingest.timeseries
            stream_status.answer_request(engine, request.request_id, str(error), refused=True)
            return
        self._asking.add(request.request_id)
        self._submit(self.answer_request, asked)

    def _submit(self, answer: Reoptimise, asked: Asked) -> None:
        job = self._worker.submit(self._answer, answer, asked)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)

    def _answer(self, answer: Reoptimise, asked: Asked) -> None:
        """In the thread that dispatches: do it, note how it went, and say so."""
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
                reoptimization.note_end(self.runtime.metadata, asked.key, _now(), outcome)
        except LascopfError as error:
            log.warning("the end of %s was not noted: %s", asked.execution_id, error)
        self._ended.append(Ended(asked, succeeded))
        with suppress(queue.Full):  # then it is looked at with what is there anyway
            self._inbox.put_nowait(True)

    def _refresh(self) -> None:
        """Newer forecasts, now and then."""
        memory = self._known
        now = memory.present(_now())
        apart = FORECAST_SECONDS
        if self._forecast_for is not None:
            apart = abs((now - self._forecast_for).total_seconds())
        passed = time.monotonic() - self._forecast_at
        soon = passed < LOOK_SECONDS and self.runtime.settings.reoptimization.clock != "event"
        if soon or (passed < FORECAST_SECONDS and apart < FORECAST_SECONDS):
            return
        self._forecast_at, self._forecast_for = time.monotonic(), now
        try:
            memory.look_up_forecasts(_now())
        except Retryable as error:
            log.warning("the forecasts stay as they were: %s", error)

    @property
    def _known(self) -> Memory:
        assert self._memory is not None
        return self._memory


def _now() -> datetime:
    return datetime.now(UTC)
