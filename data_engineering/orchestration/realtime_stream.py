"""The DAG of the realtime stream: one dispatch that a decision asks for, or a look at the stream.

The service `lascopf stream` stores and decides; where its dispatches go through Airflow each one is
a run of this DAG. Without a decision to serve a run supervises the service.
"""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd

from data_engineering.model.errors import ChecksFailed
from data_engineering.orchestration.realtime_dispatch import Dispatcher
from data_engineering.orchestration.reoptimise import asked_by_key, publish_results
from data_engineering.orchestration.steps import Facts
from data_engineering.orchestration.stream_wiring import note_starts, results_publisher
from data_engineering.runtime import Runtime
from data_engineering.storage import metadata, stream_status
from data_engineering.storage.stream_reads import Leadership

log = logging.getLogger(__name__)

ROLE = "optimizer"
RESULTS_FILE = "lascopf_results_of_runs.jsonl"
"""Below `home/stream`: the results of runs, where there is no broker."""
TOLD = ("dispatch_mw", "load_mw", "load_shed_mw", "over_generation_mw", "reserve_shortfall_mw")
"""Long parts of a result message; the tables have them."""
TURN_SECONDS = 0.2
"""Between looks whether another run still dispatches."""
SILENT = timedelta(seconds=60)
"""A member without a sign of life for so long is taken for dead."""
REMEMBERED = timedelta(days=1)
LAST = """
    SELECT max(execution_time) AS last FROM lascopf_executions
    WHERE case_name = :case AND interval_minutes < 60
      AND convergence_status IN ('optimal', 'feasible', 'infeasible')
"""
OPEN = """
    SELECT count(*) AS fires FROM reoptimization_events
    WHERE case_name = :case AND action = 'fire' AND ended_at IS NULL
      AND decided_at > :since
"""


def react(runtime: Runtime, key: str | None, run_id: str | None = None) -> Facts:
    """What a run does: it serves the fire of its key, or without one looks after the service.

    One task for both, for each task of a run costs the start of a process.

    Args:
        runtime: open stores.
        key: idempotency key of a fire.
        run_id: run of Airflow's.

    Raises:
        NoRows, ChecksFailed: see `dispatch` and `look_after`.
    """
    return look_after(runtime) if key is None else dispatch(runtime, key, run_id)


def dispatch(runtime: Runtime, key: str, run_id: str | None = None) -> Facts:
    """Dispatch what a fire asks for; the same key again tells the same result.

    Of several runs one dispatches at a time; the others wait.

    Args:
        runtime: open stores.
        key: idempotency key of the fire.
        run_id: run of Airflow's.

    Raises:
        NoRows: there is no fire of that key.
        ChecksFailed: it could not be dispatched; its execution says why.
    """
    asked = asked_by_key(runtime, key, run_id)
    settings = runtime.settings
    source = "kafka:" if settings.kafka_bootstrap else "file:"
    with (
        _alone(runtime),
        closing(results_publisher(settings, source, RESULTS_FILE)) as publisher,
    ):
        dispatcher = Dispatcher(runtime, publish_results(publisher), note_starts(runtime))
        message = dispatcher.dispatch(asked)
    facts = {name: value for name, value in message.items() if name not in TOLD}
    if message["convergence_status"] == "failed":
        subject = f"dispatch {message['execution_id']}"
        raise ChecksFailed(subject, message["notes"], "see lascopf_executions")
    return {**facts, "rows": sum(len(each) for each in message.get("dispatch_mw", {}).values())}


@contextmanager
def _alone(runtime: Runtime) -> Iterator[None]:
    """As long as the context no other run dispatches for the case."""
    turn = Leadership(runtime.metadata, f"dispatch/{runtime.settings.case_name}")
    while not turn.held():
        time.sleep(TURN_SECONDS)
    try:
        yield
    finally:
        turn.release()


def look_after(runtime: Runtime) -> Facts:
    """Look at the service, start it again where it died, and judge.

    Raises:
        ChecksFailed: somebody must look; see `judge`.
    """
    return judge(runtime, restart(runtime, supervise(runtime)))


def supervise(runtime: Runtime) -> Facts:
    """How the service is: members, lag, the time since the newest dispatch.

    Returns:
        Facts for `restart`: members alive and dead, largest lag, seconds since the newest dispatch.
    """
    now = datetime.now(UTC)
    found = stream_status.members(runtime.timeseries, now - REMEMBERED)
    served = found["state"].isin(["running", "waiting"])
    silent = found["silent_seconds"] > SILENT.total_seconds()
    case = {"case": runtime.settings.case_name}
    last = metadata.query(runtime.metadata, LAST, case)["last"].iloc[0]
    fires = metadata.query(runtime.metadata, OPEN, {**case, "since": now - REMEMBERED})
    alive = found[served & ~silent]
    return {
        "alive": alive["member"].tolist(),
        "dead": found.loc[(served & silent) | (found["state"] == "failed"), "member"].tolist(),
        "stopped": found.loc[found["state"] == "stopped", "member"].tolist(),
        "lag": 0 if alive.empty else int(alive["lag"].fillna(0).sum()),
        "latency_p99_seconds": _largest(alive["latency_p99_seconds"]),
        "since_dispatch_seconds": None if pd.isna(last) else (now - last).total_seconds(),
        "open_fires": int(fires["fires"].iloc[0]),
    }


def restart(runtime: Runtime, facts: Facts) -> Facts:
    """Start `lascopf stream` again where it was killed on this machine and nobody else reads.

    One that was stopped is left so. What it writes goes to `home/stream/stream.log`.
    """
    mine = [name for name in facts["dead"] if _died_here(name)]
    if facts["alive"] or not mine or not runtime.settings.kafka_bootstrap:
        return {**facts, "restarted": []}
    folder = runtime.settings.home / "stream"
    folder.mkdir(parents=True, exist_ok=True)
    process = _start(folder / "stream.log")
    log.warning("%s was dead: process %d reads the stream now", mine[0], process)
    return {**facts, "restarted": [process]}


def judge(runtime: Runtime, facts: Facts) -> Facts:
    """Whether somebody must look: a run that fails is the alarm.

    Raises:
        ChecksFailed: the service is dead or far behind, or no dispatch was made for too long.
    """
    settings = runtime.settings
    failed = []
    if not facts["alive"] and not facts["restarted"] and facts["dead"]:
        failed.append(f"nobody reads the stream: {', '.join(facts['dead'][:3])} died")
    if facts["lag"] > settings.stream.batch_messages:
        failed.append(f"{facts['lag']} messages wait")
    silent, limit = facts["since_dispatch_seconds"], settings.reoptimization.dead_man_minutes
    if facts["alive"] and silent is not None and silent > 60.0 * limit:
        failed.append(f"no dispatch for {silent / 60.0:.0f} min, the dead-man limit is {limit:g}")
    if failed:
        remedy = "see `lascopf stream status` and home/stream/stream.log"
        raise ChecksFailed("the realtime stream", failed, remedy)
    return facts


def _largest(values: pd.Series) -> float | None:
    return None if values.dropna().empty else float(values.max())


def _died_here(member: str) -> bool:
    """Whether a member, named `host/process/start`, was a process of this machine that is gone."""
    host, _, rest = member.partition("/")
    number = rest.partition("/")[0]
    if host != socket.gethostname() or not number.isdigit():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _start(log_file: Path) -> int:
    command = [sys.executable, "-m", "data_engineering.cli", "stream", "--source", "kafka"]
    with log_file.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - our own command
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return process.pid
