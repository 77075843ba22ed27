"""A process that works on one run: `python -m data_engineering.orchestration.scenario_worker`.

It reads JSON objects from the lines of its standard input, where the run is and then tasks, and
answers by lines on its standard output: how many samples it went through, then what it did or
what went wrong. It ends with its parent, however that ends.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

PARENT_DEATH = 1
"""PR_SET_PDEATHSIG of prctl(2)."""


def main() -> None:
    """Work on tasks until there are no more."""
    ctypes.CDLL(None).prctl(PARENT_DEATH, signal.SIGKILL)
    line = sys.stdin.readline()
    if not line:  # the parent ended before it could be noticed
        return
    settings = json.loads(line)
    # Solvers print; the answers have the first standard output for themselves.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def answer(**facts: Any) -> None:
        answers.write(json.dumps(facts) + "\n")

    try:
        _work(settings, answer)
    except Exception as error:
        answer(error=_told(error))


def _work(settings: dict[str, Any], answer: Callable[..., None]) -> None:
    from data_engineering.orchestration import scenario_parts
    from data_engineering.orchestration.scenario_plan import largest_factor_of, open_run
    from data_engineering.storage.objects import open_store

    store = open_store(settings.pop("url"), **settings.pop("access"))
    log = settings.pop("log")
    kernel = None
    with open_run(store) as run:
        answer(ready=True)
        for line in sys.stdin:
            task, found = json.loads(line), {}
            if "factor" in task:
                found = {"factor": largest_factor_of(run)}
            elif "part" in task:
                kernel = kernel or scenario_parts.build_kernel(run, Path(log) if log else None)
                scenario_parts.solve_part(
                    run, task["part"], kernel, lambda *counts: answer(counts=counts)
                )
            else:
                where = [scenario_parts.Span(*span) for span in task["spans"]]
                scenario_parts.write_partition(run, task["partition"], where)
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            answer(done=task, memory_mb=memory / 1024.0, **found)


def _told(error: Exception) -> dict[str, Any]:
    """An error as its parent can raise it again."""
    from data_engineering.model.errors import DiskFull, LascopfError

    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        error = DiskFull(error.filename or "a file")
    if isinstance(error, LascopfError):
        return {"kind": type(error).__name__, "text": str(error)}
    traceback.print_exc()
    return {"kind": "", "text": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}


if __name__ == "__main__":
    main()
