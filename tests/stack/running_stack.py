"""A compose stack of a test: secrets and ports of its own, and ways to look at it from outside."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from data_engineering.model.tables import TABLES
from data_engineering.orchestration import trigger
from data_engineering.storage.database import open_engine
from data_engineering.storage.metadata import query
from data_engineering.storage.objects import ObjectStore, open_store

CHECKOUT = Path(__file__).resolve().parents[2]
FILES = ("docker-compose.yml", ".env.example", "deploy/make-env", "deploy/prometheus.yml")
PORTS = ("TIMESCALEDB", "POSTGRES", "REDIS", "MINIO", "MINIO_CONSOLE", "KAFKA", "AIRFLOW")
CHANGING = {"recorded_at", "execution_time", "solve_time_seconds", "elapsed_seconds", "metadata"}
"""Columns that say when and how long."""
OF_RUNS = ("pipeline_execution_logs", "lascopf_executions", "data_quality_metrics", "artifacts")
"""Tables with a row for each run or try: a disturbed run has more of them, or other times."""


def docker(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """One Docker command, its output as text."""
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=check)


def no_engine() -> bool:
    """Whether there is no Docker engine with compose."""
    return shutil.which("docker") is None or docker("compose", "ls", check=False).returncode != 0


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def lay_out(folder: Path, project: str, **given: str | int) -> Path:
    """The files of a stack, with fresh secrets and free ports; `given` variables go before."""
    (folder / "deploy").mkdir(parents=True)
    for name in FILES:
        shutil.copy(CHECKOUT / name, folder / name)
    subprocess.run([folder / "deploy/make-env"], check=True, capture_output=True)
    lines = {f"{name}_PORT": free_port() for name in PORTS}
    chosen = {"COMPOSE_PROJECT_NAME": project} | lines | given
    with (folder / ".env").open("a") as file:
        file.writelines(f"{name}={value}\n" for name, value in chosen.items())
    return folder


@dataclass(frozen=True)
class Stack:
    """One project of compose, in a folder of its own."""

    folder: Path

    @property
    def values(self) -> dict[str, str]:
        """The variables of its `.env`; of several lines the last one counts."""
        return dict(re.findall(r"(?m)^([A-Z0-9_]+)=(.*)$", (self.folder / ".env").read_text()))

    @property
    def project(self) -> str:
        return self.values["COMPOSE_PROJECT_NAME"]

    def compose(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """One command of `docker compose` in its folder."""
        done = subprocess.run(
            ["docker", "compose", *words], capture_output=True, text=True, cwd=self.folder
        )
        assert not check or done.returncode == 0, f"{words}: {done.stderr[-2000:]}"
        return done

    def containers(self) -> list[dict[str, Any]]:
        """What Docker knows of each container of the project."""
        label = f"label=com.docker.compose.project={self.project}"
        ids = docker("ps", "--all", "--quiet", "--filter", label).stdout.split()
        return json.loads(docker("inspect", *ids).stdout) if ids else []

    def of_service(self, service: str) -> list[dict[str, Any]]:
        label = "com.docker.compose.service"
        return [one for one in self.containers() if one["Config"]["Labels"][label] == service]

    def port(self, name: str) -> int:
        return int(self.values[f"{name}_PORT"])

    def airflow(self) -> trigger.Airflow:
        """A client, logged in as the first administrator."""
        url = f"http://127.0.0.1:{self.port('AIRFLOW')}"
        return trigger.log_in(url, "admin", self.values["AIRFLOW_ADMIN_PASSWORD"])

    def url(self, store: str, user: str = "postgres", secret: str = "DB_PASSWORD") -> str:
        """A store's URL from this machine."""
        service, database = {
            "timeseries": ("TIMESCALEDB", "powerlascopf"),
            "metadata": ("POSTGRES", "lascopf_metadata"),
            "airflow": ("POSTGRES", "airflow"),
        }[store]
        host = f"127.0.0.1:{self.port(service)}"
        return f"postgresql://{user}:{self.values[secret]}@{host}/{database}"

    def query(self, store: str, statement: str, **parameters: object) -> pd.DataFrame:
        """Rows of a store."""
        engine = open_engine(self.url(store))
        try:
            return query(engine, statement, parameters)
        finally:
            engine.dispose()

    def objects(self) -> ObjectStore:
        """Its object store, as the platform's own user."""
        return open_store(
            "s3://lascopf",
            endpoint=f"http://127.0.0.1:{self.port('MINIO')}",
            access_key="lascopf",
            secret_key=self.values["S3_SECRET_KEY"],
        )

    def content(self) -> dict[str, pd.DataFrame]:
        """Every row of every table, without the columns that say when and the journals."""
        found = {}
        for table in TABLES.values():
            if table.name in OF_RUNS or table.name.startswith(("stream_", "reoptimization_")):
                continue
            order = ", ".join(table.key)
            rows = self.query(table.store, f"SELECT * FROM {table.name} ORDER BY {order}")
            found[table.name] = rows.drop(columns=list(CHANGING & set(rows.columns))).astype(str)
        return found

    def kill(self, service: str) -> None:
        """End a service's container as a power cut would, and start it again."""
        name = self.of_service(service)[0]["Name"].lstrip("/")
        docker("kill", name)
        time.sleep(2.0)
        docker("start", name)


def until(true: Callable[[], Any], seconds: float, what: str, pause: float = 1.0) -> Any:
    """Wait for something; servers that are away for the moment are waited for too."""
    from data_engineering.model.errors import Retryable

    end = time.monotonic() + seconds
    while True:
        try:
            found = true()
        except (Retryable, OSError) as error:
            found, what_now = None, f"{what} ({error})"
        else:
            what_now = what
        if found:
            return found
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what_now}"
        time.sleep(pause)


def follow(airflow: trigger.Airflow, run: trigger.Run) -> dict[str, str]:
    """Wait for a run that must succeed; the states of its tasks. Airflow may be away meanwhile."""
    states: dict[str, str] = {}

    def show(_: trigger.Run, tasks: dict[str, str]) -> None:
        states.clear()
        states.update(tasks)

    trigger.follow(airflow, run, show, patience=120.0, interval=2.0)
    return states


def hostnames(airflow: trigger.Airflow, run: trigger.Run, task: str) -> Sequence[str]:
    """Where the copies of a mapped task ran."""
    path = f"dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances?limit=100&task_id={task}"
    found = airflow._call("GET", path)["task_instances"]
    return [item["hostname"] for item in found]
