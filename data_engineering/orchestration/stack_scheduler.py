"""Airflow's scheduler, with what the tasks of the realtime stream import already there.

LocalExecutor forks its workers from the scheduler when it starts, and each task from a worker. So
what is imported here is there in every task: a dispatch starts seconds sooner. The price: a change
of the library's code is seen by tasks after the stack was started again.
"""

from __future__ import annotations

from importlib import import_module
from runpy import run_module

WARM = (
    "airflow.sdk.execution_time.task_runner",
    "airflow.providers.standard.decorators.python",
    "data_engineering.orchestration.realtime_stream",
    "data_engineering.ingestion.stream_publish",
)


def main() -> None:
    """Import, and go on as `python -m airflow`."""
    for name in WARM:
        import_module(name)
    run_module("airflow", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
