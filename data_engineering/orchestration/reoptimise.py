"""Who answers when a new dispatch is asked for: this process, or a run of Airflow's."""

from __future__ import annotations

import json
import logging
import threading
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

from data_engineering.model.decisions import Decision
from data_engineering.model.errors import BadInput, LascopfError, NoRows, Retryable
from data_engineering.model.snapshot import Snapshot, Topology
from data_engineering.model.stream import RESULTS_TOPIC, StreamRequest
from data_engineering.orchestration.realtime_dispatch import Dispatcher, Publish, stored_message
from data_engineering.orchestration.realtime_inputs import Asked
from data_engineering.orchestration.steps import Facts
from data_engineering.orchestration.trigger import FINISHED, Airflow, Run
from data_engineering.runtime import Runtime
from data_engineering.storage import reoptimization
from data_engineering.transformation.snapshot import snapshot_from_document, snapshot_to_document
from data_engineering.transformation.trigger_state import (
    topology_from_document,
    topology_to_document,
)

log = logging.getLogger(__name__)

REQUESTS = uuid.UUID("a0f5b9a4-3f0b-5c55-8a2e-6f6d2f9b7c11")
"""Namespace of the executions that answer requests; fixed for ever."""
DAG = "realtime_stream"
LOOK_SECONDS = 0.2
"""Between looks for the result of a run of Airflow's ..."""
LOOKS_AT_RUN = 5
"""... every so many of which ask Airflow how the run is."""
RESEND_SECONDS = 2.0
"""Until a result is sent again to a broker that did not answer."""
CONFIG = ("horizon_start", "open_branches", "open_generators")
"""What a request may say."""

Reoptimise = Callable[[Asked], Facts]
"""Answers what is asked: gives the message that was published.

Raises LascopfError where nothing could be stored; the same may be asked again.
"""


class Publisher(Protocol):
    """Sends messages: to a broker, or to a recorded file."""

    def send(
        self, topic: str, key: bytes | None, value: bytes, timestamp_ms: int | None = None
    ) -> object:
        """Send one message."""

    def flush(self) -> object:
        """See that it has arrived."""


def publish_results(publisher: Publisher, ending: threading.Event | None = None) -> Publish:
    """Results as messages of `lascopf_results`, by the key of what was asked.

    A broker that does not answer is waited for: without it there are no readings either, and the
    result is in the tables. What a broker refuses is an error in the log.

    Args:
        publisher: of the messages.
        ending: set, it ends the waiting; without it nothing is waited for.

    Returns:
        A function that raises Retryable where the broker was not waited for; whoever asks again
        by the same key is told.
    """

    def publish(key: str, message: Facts) -> None:
        value = json.dumps(message, allow_nan=False).encode()
        while True:
            try:
                publisher.send(RESULTS_TOPIC, key.encode(), value)
                publisher.flush()
                return
            except Retryable as error:
                log.warning("the result of %s waits: %s", message["execution_id"], error)
                if ending is None or ending.wait(RESEND_SECONDS):
                    raise
            except LascopfError as error:
                log.error("the result of %s was not sent: %s", message["execution_id"], error)
                return

    return publish


def direct(dispatcher: Dispatcher) -> Reoptimise:
    """This process solves; its program stays in the solver."""
    return dispatcher.dispatch


def through_airflow(
    runtime: Runtime,
    log_in: Callable[[], Airflow],
    otherwise: Reoptimise,
    pause: Callable[[float], None],
    seconds: float = 120.0,
) -> Reoptimise:
    """A run of the DAG dispatches what a fire asks for; it is awaited, for the next one waits.

    A grid does not wait for an orchestrator: where Airflow does not answer, or the run does not
    come to an end, this process dispatches. Both may, and write the same rows then.

    Args:
        runtime: where the result will be.
        log_in: gives a client; called for each run, since tokens end.
        otherwise: answers where Airflow does not.
        pause: waits so many seconds between looks.
        seconds: after which a run is given up.
    """

    def reoptimise(asked: Asked) -> Facts:
        try:
            airflow = log_in()
            run = airflow.trigger(DAG, {"key": asked.key})
        except LascopfError as error:
            log.warning("this process dispatches %s: %s", asked.execution_id, error)
            return otherwise(asked)
        message = _awaited(runtime, asked, airflow, run, pause, seconds)
        if message is None:
            log.warning("run %s of %s stored no result: this process does", run.run_id, DAG)
            return otherwise(asked)
        return message

    return reoptimise


def _awaited(
    runtime: Runtime,
    asked: Asked,
    airflow: Airflow,
    run: Run,
    pause: Callable[[float], None],
    seconds: float,
) -> Facts | None:
    """What a run stores; silence of Airflow and of the database is waited out.

    A result is taken as soon as it is there, for Airflow needs another second to end the run. One
    that failed may be that of an earlier try, and is taken when the run has ended.
    """
    for look in range(max(int(seconds / LOOK_SECONDS), 1)):
        try:
            message = stored_message(runtime, asked)
            if message is not None and message["convergence_status"] != "failed":
                return message
            if look % LOOKS_AT_RUN == 0 and airflow.run(run.dag_id, run.run_id).state in FINISHED:
                break
        except LascopfError as error:
            log.warning("run %s: %s", run.run_id, error)
        pause(LOOK_SECONDS)
    return stored_message(runtime, asked)


def known_document(decision: Decision) -> Mapping[str, Any]:
    """What a fire knew, as it is kept with its row."""
    snapshot = decision.snapshot or Snapshot(decision.case_name)
    return {
        "snapshot": snapshot_to_document(snapshot),
        "topology": topology_to_document(decision.topology),
    }


def asked_by_key(runtime: Runtime, key: str, run_id: str | None = None) -> Asked:
    """The fire of a key, from its row.

    Raises:
        NoRows: there is no such fire.
    """
    row = reoptimization.read_fire(runtime.metadata, key)
    if row is None:
        where, remedy = f"fire {key}", "list them with `lascopf sql`"
        raise NoRows("reoptimization_events", where, remedy)
    known = row["known"] or {}
    case = row["case_name"]
    return Asked(
        execution_id=str(row["execution_id"]),
        case_name=case,
        start=row["interval_start"],
        now=row["decided_at"],
        topology=topology_from_document(known["topology"]) if known else Topology(),
        snapshot=snapshot_from_document(known["snapshot"]) if known else Snapshot(case),
        reason=row["reason"],
        key=key,
        run_id=run_id,
    )


def asked_by_request(
    request: StreamRequest,
    now: datetime,
    topology: Topology,
    snapshot: Snapshot,
    minutes: int,
) -> Asked:
    """What a message of `lascopf_requests` asks for: the present, or what would be if.

    Args:
        request: its config may say the start of the horizon and elements to take out besides.
        now: the present of the stream, UTC.
        topology: as confirmed.
        snapshot: of the readings.
        minutes: length of an interval.

    Raises:
        BadInput: its config says something else.
    """
    config = request.config
    unknown = sorted(set(config) - set(CONFIG))
    if unknown:
        raise BadInput("config", unknown[0], f"give some of {', '.join(CONFIG)}")
    start = _start(config.get("horizon_start"), now, minutes)
    branches, generators = (_names(config, name) for name in CONFIG[1:])
    changed = Topology(
        **{
            **vars(topology),
            "branches": topology.branches | branches,
            "generators": topology.generators | generators,
        }
    )
    return Asked(
        execution_id=str(uuid.uuid5(REQUESTS, request.request_id)),
        case_name=request.case_name,
        start=start,
        now=now,
        topology=changed,
        snapshot=snapshot,
        reason="request",
        key=f"request/{request.request_id}",
        origin="API",
        request_id=request.request_id,
    )


def _start(given: object, now: datetime, minutes: int) -> datetime:
    if given is None:
        whole = now.replace(second=0, microsecond=0)
        return whole - timedelta(minutes=(whole.hour * 60 + whole.minute) % minutes)
    try:
        start = datetime.fromisoformat(str(given))
    except ValueError:
        start = None
    if start is None or start.tzinfo is None:
        raise BadInput("config.horizon_start", given, "give an ISO 8601 time with a zone")
    return start


def _names(config: Mapping[str, Any], name: str) -> frozenset[str]:
    given = config.get(name, [])
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        raise BadInput(f"config.{name}", given, "give a list of ids")
    return frozenset(given)
