"""`lascopf airflow ...`: Airflow's own command line on the local stack."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import typer


def airflow(context: typer.Context) -> None:
    """Run Airflow's command line with the stack's settings, such as `backfill create`."""
    from data_engineering.orchestration.airflow_config import environment
    from data_engineering.runtime import store_urls
    from data_engineering.settings import get_settings

    settings = get_settings()
    program = str(Path(sys.executable).with_name("airflow"))
    settled = {**os.environ, **environment(settings, store_urls(settings).airflow)}
    os.execve(program, [program, *context.args], settled)  # noqa: S606 (our own environment's)
