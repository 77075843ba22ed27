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
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from data_engineering.model.decisions import Decision
from data_engineering.model.errors import BadInput, Fenced, NoRows, Retryable
from data_engineering.model.snapshot import NEVER_NS
from data_engineering.model.stream import Committed, StreamRequest
from data_engineering.orchestration.realtime_inputs import Asked
from data_engineering.orchestration.reoptimise import (
    Reoptimise,
    asked_by_key,
    asked_by_request,
)
from data_engineering.orchestration.stream_jobs import Ended, Jobs
from data_engineering.orchestration.stream_memory import Memory
from data_engineering.runtime import Runtime
from data_engineering.storage import stream_status
from data_engineering.storage.stream_reads import Leadership
from data_engineering.transformation import stream_state
from data_engineering.transformation.recording import Seconds
from data_engineering.transformation.reoptimization import SECOND
from data_engineering.transformation.stream_state import Reaction

log = logging.getLogger(__name__)

WAITING = 200
"""Batches that may wait; more than that hold the sink up."""
LOOK_SECONDS = 1.0
"""Longest pause between looks."""
REQUEST_SECONDS = 60.0
"""Between looks for requests that nobody answered, and for a grid where there is none."""
SAVE_SECONDS = 10.0
"""Between saves of a state from which nothing followed."""
ENDING_SECONDS = 30.0
"""What is left when it ends may take so long; the rest is taken up at the next start."""


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
        ending: set when what is under way should not wait for others any more.
    """

    runtime: Runtime
    ingest: Runtime
    answer_fire: Reoptimise
    answer_request: Reoptimise
    member: str
    others: Callable[[], bool] = lambda: False
    ending: threading.Event = field(default_factory=threading.Event)
    _inbox: queue.Queue[Committed | bool] = field(default_factory=lambda: queue.Queue(WAITING))
    _thread: threading.Thread | None = None
    _jobs: Jobs = field(init=False)
    _begun: threading.Event = field(default_factory=threading.Event)
    _memory: Memory | None = None
    _lock: Leadership | None = None
    _backlog: list[Decision] = field(default_factory=list)
    _fired: list[Asked] = field(default_factory=list)
    _seconds: Seconds = field(default_factory=Seconds)
    _ahead: deque[tuple[int, Committed]] = field(default_factory=deque)
    _asking: set[str] = field(default_factory=set)
    _begin_at: float = 0.0
    _read_at: float = 0.0
    _saved_at: float = 0.0
    _failure: BaseException | None = None

    def __post_init__(self) -> None:
        self._jobs = Jobs(self.runtime, self.ingest, self._wake)

    def start(self) -> None:
        """Begin to react; what comes from now on is not in the tables that it begins with."""
        self._lock = Leadership(
            self.runtime.metadata, f"reaction/{self.runtime.settings.case_name}"
        )
        self._thread = threading.Thread(target=self._run, name="stream-reaction", daemon=True)
        self._thread.start()
        self._begun.wait(timeout=ENDING_SECONDS)

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
        self.ending.set()
        self._jobs.close()
        if self._lock is not None:
            self._lock.release()

    def _run(self) -> None:
        try:
            deadline = math.inf
            self._turn(None)
            self._begun.set()
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
            self._begun.set()

    def _idle(self) -> bool:
        return self._inbox.empty() and self._jobs.idle and not self._fired

    def _wake(self) -> None:
        with suppress(queue.Full):  # then it is looked at with what is there anyway
            self._inbox.put_nowait(True)

    def _next(self) -> Committed | bool:
        """What was committed; False at the end, True where there is something else to do."""
        try:
            return self._inbox.get(timeout=self._pause())
        except queue.Empty:
            return True

    def _pause(self) -> float:
        if self._memory is None or self._recorded:
            return LOOK_SECONDS
        wall, rules = _now(), self.runtime.settings.reoptimization
        due = stream_state.next_tick(self._memory.state, rules, wall)
        return min(max((due - wall).total_seconds(), 0.0), LOOK_SECONDS)

    def _turn(self, item: Committed | bool | None) -> None:
        """Do one thing: take in, look, end; None only begins."""
        try:
            if not self._leads(isinstance(item, Committed)):
                self._jobs.ended.clear()
                return
            self._end_all()
            if isinstance(item, Committed):
                self._take_in(item)
            elif item is False:
                self._play_out()
            elif item is not None:
                self._look()
            self._save()
        except Fenced as error:
            log.warning("%s", error)
            self._step_down()
        except Retryable as error:
            # What was decided waits in the backlog, what was committed is in the tables.
            log.warning("the reaction waits: %s", error)
            time.sleep(LOOK_SECONDS)

    def _leads(self, asked: bool) -> bool:
        """Whether this process reacts; with something to take in a grid is looked for at once."""
        assert self._lock is not None
        if not self._lock.held():
            self._step_down()
            return False
        due = time.monotonic() >= self._begin_at
        if self._memory is None and (asked or due):
            try:
                self._begin()
            except NoRows as error:
                if due:
                    log.warning("nothing is decided: %s", error)
                    self._begin_at = time.monotonic() + REQUEST_SECONDS
        return self._memory is not None

    def _begin(self) -> None:
        """Remember what was saved, and take in what came after it."""
        self._memory = Memory.take_over(self.runtime, self.member)
        try:
            self._take_up()
            if self._recorded:
                self._play_on()
            else:
                self._decided(self._memory.catch_up(_now()))
                self._memory.refresh(_now())
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
        self._seconds = Seconds()
        self._ahead.clear()
        if self._lock is not None:
            self._lock.release()

    def _take_in(self, committed: Committed) -> None:
        if self._recorded:
            self._ahead.extend(self._seconds.add(committed))
            self._play()
            return
        # The past is read faster than it happened: each of its scans is decided on its own.
        event = self.runtime.settings.reoptimization.clock == "event"
        for part in committed.by_scan() if event else [committed]:
            self._settle()
            self._absorb(part)
        for request in committed.requests:
            self._ask(request)

    def _absorb(self, part: Committed) -> None:
        memory, rules = self._known, self.runtime.settings.reoptimization
        memory.refresh(_now())
        self._decided(stream_state.absorb(memory.state, memory.facts, rules, part, _now()))
        self._save()

    def _play(self) -> None:
        """Let the time of a recording pass up to each second that is whole, and take that in."""
        while self._ahead:
            second, part = self._ahead[0]
            longest = stream_state.longest_wait(self.runtime.settings.reoptimization)
            end_ns = min(second * SECOND, self._known.state.newest_ns + longest)
            while self._let_pass(end_ns):
                pass
            self._ahead.popleft()
            self._absorb(part)
            for request in part.requests:
                self._ask(request)

    def _play_on(self) -> None:
        """Where another process was ended: with what the tables hold beyond its state."""
        self._read_requests()
        found = self._known.committed()
        if found is not None:
            self._ahead.extend(self._seconds.add(found))

    def _play_out(self) -> None:
        """At the end of a recording: what waits is served, as if it went on in silence."""
        if not self._recorded:
            return
        self._ahead.extend(self._seconds.rest())
        self._play()
        rules, state = self.runtime.settings.reoptimization, self._known.state
        end_ns = state.newest_ns + int(rules.storm_seconds * SECOND)
        while self._known.state.trigger.waiting and self._let_pass(end_ns):
            pass

    def _let_pass(self, end_ns: int) -> bool:
        """Come to the next moment of a recording at which a look is due; False where none is."""
        memory, rules = self._known, self.runtime.settings.reoptimization
        self._settle()
        due_ns = stream_state.next_due(memory.state, rules, end_ns)
        if due_ns is None:
            return False
        memory.state = stream_state.wait_until(memory.state, due_ns)
        memory.refresh(_now())
        self._decided(stream_state.tick(memory.state, memory.facts, rules, _now()))
        self._save()
        return True

    def _look(self) -> None:
        memory, rules = self._known, self.runtime.settings.reoptimization
        passed = time.monotonic() - self._read_at
        if passed >= LOOK_SECONDS and (passed >= REQUEST_SECONDS or self.others()):
            self._read_at = time.monotonic()
            if self.others() and not self._recorded:
                self._decided(memory.catch_up(_now()))
            self._read_requests()
        if self._recorded:
            self._play()  # what an outage of the database held up; else its time stands still
        elif rules.clock != "event" or memory.state.newest_ns != NEVER_NS:
            memory.refresh(_now())
            self._decided(stream_state.tick(memory.state, memory.facts, rules, _now()))

    def _read_requests(self) -> None:
        for request in stream_status.open_requests(self.ingest.timeseries, self._known.case_name):
            self._ask(request)

    def _settle(self) -> None:
        """Let the past wait for its dispatches: its time would run away from them."""
        rules = self.runtime.settings.reoptimization
        if rules.clock not in ("event", "recording"):
            return
        patience = rules.solve_limit_seconds if self._recorded else ENDING_SECONDS
        deadline = time.monotonic() + patience
        while not self._jobs.idle and time.monotonic() < deadline:
            self._jobs.wait(LOOK_SECONDS)
            self._end_all()
            self._save()

    def _end_all(self) -> None:
        while self._jobs.ended:
            self._end(self._jobs.ended.popleft())

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
            self._jobs.submit(self.answer_fire, asked)

    def _ask(self, request: StreamRequest) -> None:
        """Answer a request of a message once."""
        memory = self._known
        if request.case_name != memory.case_name or request.request_id in self._asking:
            return
        now = memory.present(_now())
        minutes = self.runtime.settings.reoptimization.interval_minutes
        topology = stream_state.topology(memory.state, memory.facts)
        try:
            asked = asked_by_request(request, now, topology, memory.state.snapshot, minutes)
        except BadInput as error:
            log.warning("request %s is refused: %s", request.request_id, error)
            engine = self.ingest.timeseries
            stream_status.answer_request(engine, request.request_id, str(error), refused=True)
            return
        self._asking.add(request.request_id)
        self._jobs.submit(self.answer_request, asked)

    @property
    def _recorded(self) -> bool:
        return self.runtime.settings.reoptimization.clock == "recording"

    @property
    def _known(self) -> Memory:
        assert self._memory is not None
        return self._memory


def _now() -> datetime:
    return datetime.now(UTC)
