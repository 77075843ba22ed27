"""From a fire to its dispatch through a run of Airflow's, beside the same dispatch made here.

    lascopf up --detach; lascopf db migrate
    lascopf ingest --day 2020-07-06; lascopf solve rts_gmlc --day 2020-07-06
    python tests/benchmarks/airflow_reaction_benchmark.py [REPEATS]

Each repeat is a fire of another branch out of RTS-GMLC, written as the stream's service writes it
(with all units as planned for readings), then answered as the service answers it. Measured from
when the run is asked for to when the solver begins, and to when the service has the result.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from realtime_day import CASE, START, planned, snapshot
from rts_day import rts_grid

from data_engineering.model.decisions import Cause, Decision, fire_key
from data_engineering.model.snapshot import Topology
from data_engineering.orchestration.realtime_dispatch import Dispatcher
from data_engineering.orchestration.realtime_inputs import Asked
from data_engineering.orchestration.reoptimise import (
    DAG,
    Reoptimise,
    asked_by_key,
    direct,
    known_document,
    through_airflow,
)
from data_engineering.orchestration.steps import Facts
from data_engineering.orchestration.stream_wiring import logged_in, note_starts
from data_engineering.runtime import Runtime, open_runtime
from data_engineering.settings import get_settings
from data_engineering.storage import reoptimization
from data_engineering.storage.metadata import query
from data_engineering.transformation import stream_state

STARTED = "SELECT started_at FROM reoptimization_events WHERE idempotency_key = :key"


def fire(runtime: Runtime, number: int) -> Asked:
    """A fire of its own, with its row."""
    branches = rts_grid().branches.id
    known = snapshot(START - timedelta(minutes=5), planned(14))
    topology = Topology(branches=frozenset({str(branches[number % len(branches)])}))
    digest = f"{time.time_ns():x}"
    decision = Decision(
        case_name=CASE,
        action="fire",
        decided_at=START + timedelta(seconds=number + 1),
        interval_start=START,
        causes=(Cause("topology", "benchmark", None, None, START),),
        hindrance=None,
        idempotency_key=fire_key(CASE, START, topology, digest),
        topology=topology,
        snapshot_digest=digest,
        ready_at=START,
        snapshot=known,
    )
    claim = reoptimization.claim_state(runtime.metadata, CASE, "benchmark")
    document = claim.document or stream_state.state_to_document(stream_state.new_state(CASE))
    reoptimization.save(runtime.metadata, claim, [decision], document, known_document(decision))
    return asked_by_key(runtime, decision.idempotency_key)


def measure(runtime: Runtime, answer: Reoptimise, numbers: range) -> tuple[list[float], ...]:
    """Seconds to the start of the solve and to the result."""
    begun, ended = [], []
    for number in numbers:
        asked = fire(runtime, number)
        at = time.time()
        message = answer(asked)
        ended.append(time.time() - at)
        assert message["convergence_status"] == "optimal", message
        started = query(runtime.metadata, STARTED, {"key": asked.key})["started_at"].iloc[0]
        begun.append(started.timestamp() - at)
    return begun, ended


def report(name: str, begun: list[float], ended: list[float]) -> None:
    for what, values in (("solve starts after", begun), ("result after", ended)):
        p50, p99 = np.percentile(values, [50, 99])
        print(f"{name}: {what}: median {p50:.2f} s, p99 {p99:.2f} s, largest {max(values):.2f} s")


def refuse(asked: Asked) -> Facts:
    raise AssertionError(f"Airflow did not answer {asked.execution_id}")


def main(repeats: int) -> None:
    settings = get_settings()
    with open_runtime(settings, role="optimizer") as runtime:
        here = Dispatcher(runtime, lambda key, message: None, note_starts(runtime))
        logged_in(settings)().unpause(DAG)
        answers: dict[str, Callable[[Asked], Facts]] = {
            "direct": direct(here),
            "airflow": through_airflow(runtime, logged_in(settings), refuse, time.sleep),
        }
        first = int(datetime.now(UTC).timestamp()) % 1000
        for name, answer in answers.items():
            measure(runtime, answer, range(first, first + 1))  # the first one imports
            report(name, *measure(runtime, answer, range(first + 1, first + 1 + repeats)))
            first += repeats


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
