"""Worker processes of a run: started, given tasks, watched, and ended with their parent."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from data_engineering.model import errors
from data_engineering.model.errors import LascopfError, ProcessFailed

Task = Mapping[str, Any]
Event = Mapping[str, Any]

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_PATIENCE_SECONDS = 60.0
_COMMAND = (sys.executable, "-m", "data_engineering.orchestration.scenario_worker")


@dataclass
class Workers:
    """Processes that each open a run and work on one task at a time; a context manager.

    Attributes:
        store: where the run is: `url` of `storage.objects.open_store` and its `access` keywords.
        count: processes.
        logs: folder of the solvers' logs; None for none.
    """

    store: Mapping[str, Any]
    count: int
    logs: Path | None = None
    _processes: list[subprocess.Popen[str]] = field(default_factory=list)
    _listeners: list[threading.Thread] = field(default_factory=list)
    _events: queue.SimpleQueue[tuple[int, Event]] = field(default_factory=queue.SimpleQueue)
    _idle: list[int] = field(default_factory=list)
    _said: IO[str] | None = None

    def __enter__(self) -> Workers:
        self._said = tempfile.NamedTemporaryFile("w+", prefix="lascopf-worker-", suffix=".log")
        try:
            for number in range(self.count):
                self._start(number)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    @property
    def idle(self) -> bool:
        """Whether a process has nothing to do."""
        return bool(self._idle)

    @property
    def busy(self) -> bool:
        """Whether a process works on a task."""
        return len(self._idle) < self.count

    def give(self, task: Task) -> None:
        """Give a task to a process that has none."""
        self._write(self._processes[self._idle.pop(0)], task)

    def next(self, seconds: float) -> Event | None:
        """What happened next: `counts` or `done`; None if nothing did.

        Raises:
            LascopfError: a worker met that error.
            ProcessFailed: a worker ended, or met an error that was not foreseen.
        """
        try:
            number, event = self._events.get(timeout=seconds)
        except queue.Empty:
            return None
        if "ended" in event:
            raise ProcessFailed(f"scenario worker {number}", self._why(number), self._kept_log())
        if "error" in event:
            raise self._error(number, event["error"])
        if "done" in event:
            self._idle.append(number)
        return event

    def carry_out(self, task: Task) -> Event:
        """Give a task while nothing else is done, and wait for its end."""
        self.give(task)
        while True:
            event = self.next(_PATIENCE_SECONDS)
            if event is not None and "done" in event:
                return event

    def _start(self, number: int) -> None:
        settings = {**self.store, "log": None}
        if self.logs is not None:
            settings["log"] = str(self.logs / f"worker-{number}.log")
        process = subprocess.Popen(  # noqa: S603 - our own module
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            # One thread each: the order of sums, and so every bit, must not depend on the machine.
            env={**os.environ, **dict.fromkeys(_THREADS, "1")},
            process_group=0,  # Ctrl-C is for the parent, which ends them
        )
        self._processes.append(process)
        listener = threading.Thread(target=self._listen, args=(number, process), daemon=True)
        listener.start()
        self._listeners.append(listener)
        self._write(process, settings)  # not as an argument: it may hold a secret
        self._idle.append(number)

    def _write(self, process: subprocess.Popen[str], line: Mapping[str, Any]) -> None:
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # its death is told as an event
            process.stdin.write(json.dumps(line) + "\n")
            process.stdin.flush()

    def _listen(self, number: int, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if "ready" not in event:
                self._events.put((number, event))
        self._events.put((number, {"ended": True}))

    def _why(self, number: int) -> str:
        code = self._processes[number].wait()
        if code == -signal.SIGKILL:
            return "was killed, as the system does when memory runs out; use fewer processes"
        if code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return f"ended with code {code}"

    def _error(self, number: int, told: Mapping[str, str]) -> LascopfError:
        kind = getattr(errors, told["kind"], None) if told["kind"] else None
        if kind is None:
            name = f"scenario worker {number}"
            return ProcessFailed(name, f"met {told['text']}", self._kept_log())
        found: LascopfError = kind.__new__(kind)
        Exception.__init__(found, told["text"])
        return found

    def _kept_log(self) -> Path:
        """What the workers said, kept beyond their end."""
        assert self._said is not None
        self._said.flush()
        kept = Path(tempfile.mkdtemp(prefix="lascopf-")) / "workers.log"
        kept.write_text(Path(self._said.name).read_text(errors="replace"))
        return kept

    def _end(self) -> None:
        for process in self._processes:
            process.kill()  # what they write takes its name only when it is whole
        for listener in self._listeners:
            listener.join()
        for process in self._processes:
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with suppress(BrokenPipeError):
                        stream.close()
        if self._said is not None:
            self._said.close()
