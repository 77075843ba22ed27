"""A small client of Airflow's REST API (v2): trigger runs, follow them, find what they caused."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

from data_engineering.model.errors import AirflowRefused, AirflowUnavailable, RunFailed

Json = dict[str, Any]
FINISHED = ("success", "failed")
_UNFINISHED = ("queued", "running")
_ASK_SECONDS = 30.0


@dataclass(frozen=True)
class Run:
    """One DAG run as Airflow describes it."""

    dag_id: str
    run_id: str
    state: str
    conf: Json
    partition: str | None

    @property
    def day(self) -> str | None:
        """The day that the run is for."""
        return self.conf.get("day") or self.partition


@dataclass(frozen=True)
class Airflow:
    """A logged-in client."""

    url: str
    token: str

    def unpause(self, dag_id: str) -> None:
        """Let a DAG's runs go."""
        self._call("PATCH", f"dags/{quote(dag_id)}", {"is_paused": False})

    def trigger(self, dag_id: str, conf: Json, partition: str | None = None) -> Run:
        """Start a run.

        Raises:
            AirflowRefused: the DAG or its parameters are not known to Airflow.
        """
        body = {"logical_date": None, "conf": conf, "partition_key": partition}
        return _run(self._call("POST", f"dags/{quote(dag_id)}/dagRuns", body))

    def run(self, dag_id: str, run_id: str) -> Run:
        """One run, as it stands now."""
        return _run(self._call("GET", f"dags/{quote(dag_id)}/dagRuns/{quote(run_id)}"))

    def unfinished(self, dag_id: str) -> list[Run]:
        """The runs of a DAG that are queued or running, oldest first."""
        query = urlencode([("state", state) for state in _UNFINISHED] + [("order_by", "run_after")])
        found = self._call("GET", f"dags/{quote(dag_id)}/dagRuns?{query}")
        return [_run(item) for item in found["dag_runs"]]

    def tasks(self, dag_id: str, run_id: str) -> dict[str, str]:
        """State of every task of a run; a mapped task's copies are told apart by their index."""
        found = self._call("GET", f"{_tasks_path(dag_id, run_id)}?limit=100")["task_instances"]
        return {_task_name(item): item["state"] or "waiting" for item in found}

    def failures(self, dag_id: str, run_id: str) -> dict[str, str]:
        """The failed tasks of a run, each with the error that its log ends with."""
        path = _tasks_path(dag_id, run_id)
        found = self._call("GET", f"{path}?limit=100&state=failed")["task_instances"]
        reasons = {}
        for item in found:
            task, number = quote(item["task_id"]), item["try_number"]
            query = urlencode({"map_index": item["map_index"], "full_content": "true"})
            log = self._call("GET", f"{path}/{task}/logs/{number}?{query}")["content"]
            reasons[_task_name(item)] = _last_error(log)
        return reasons

    def caused_by(self, run: Run, dag_id: str) -> Run | None:
        """The run of `dag_id` that the asset events of `run` started, once there is one."""
        query = urlencode({"source_dag_id": run.dag_id, "source_run_id": run.run_id})
        for event in self._call("GET", f"assets/events?{query}")["asset_events"]:
            for created in event["created_dagruns"]:
                if created["dag_id"] == dag_id:
                    return self.run(dag_id, created["run_id"])
        return None

    def import_errors(self) -> dict[str, str]:
        """DAG files that Airflow could not read: the last line of each error, by file."""
        found = self._call("GET", "importErrors")["import_errors"]
        return {item["filename"]: item["stack_trace"].strip().splitlines()[-1] for item in found}

    def await_dag(self, dag_id: str, seconds: float = 90.0) -> None:
        """Wait until Airflow has read the file of a DAG.

        Raises:
            AirflowRefused: it has not after `seconds`; the message has the file's import error.
        """
        deadline = time.monotonic() + seconds
        while True:
            try:
                self._call("GET", f"dags/{quote(dag_id)}")
                return
            except AirflowRefused as error:
                broken = self.import_errors()
                if broken or time.monotonic() > deadline or error.status != HTTPStatus.NOT_FOUND:
                    facts = "; ".join(f"{name}: {line}" for name, line in broken.items())
                    raise AirflowRefused(
                        self.url, error.status, f"DAG {dag_id} was not read: {facts or error}"
                    ) from None
                time.sleep(0.3)

    def _call(self, method: str, path: str, body: Json | None = None) -> Any:
        return _request(method, f"{self.url}/api/v2/{path}", body, self.token)


def log_in(url: str, user: str, password: str) -> Airflow:
    """A client with a token for one day.

    Raises:
        AirflowUnavailable: nothing answers at `url`.
        AirflowRefused: wrong credentials.
    """
    body = {"username": user, "password": password}
    token = _request("POST", f"{url}/auth/token", body)["access_token"]
    return Airflow(url, token)


def health(url: str) -> dict[str, datetime | None]:
    """Last heartbeat of each healthy component, None for the others; empty when nothing answers."""
    try:
        found = _request("GET", f"{url}/api/v2/monitor/health", seconds=5)
    except (AirflowUnavailable, AirflowRefused):
        return {}
    beats = {}
    for name in ("scheduler", "dag_processor", "triggerer"):
        beat = found[name].get(f"latest_{name}_heartbeat")
        well = found[name]["status"] == "healthy" and beat
        beats[name] = datetime.fromisoformat(beat) if well else None
    return beats


def follow(
    airflow: Airflow,
    run: Run,
    show: Callable[[Run, dict[str, str]], None],
    check: Callable[[], None] = lambda: None,
    interval: float = 0.7,
    patience: float = 30.0,
) -> Run:
    """Wait for the end of a run.

    Args:
        airflow: client.
        run: the run.
        show: given the run and the states of its tasks after every look.
        check: called before every look; raises when waiting makes no sense any more.
        interval: seconds between looks.
        patience: seconds for which Airflow may be silent.

    Raises:
        RunFailed: the run failed; the message has the failed tasks and why.
        AirflowUnavailable: it was silent for too long.
    """
    heard = time.monotonic()
    while True:
        check()
        try:
            now = airflow.run(run.dag_id, run.run_id)
            show(now, airflow.tasks(run.dag_id, run.run_id))
            if now.state == "failed":
                raise _failed(airflow, run)
            if now.state == "success":
                return now
            heard = time.monotonic()
        except AirflowUnavailable:
            if time.monotonic() - heard > patience:
                raise
        time.sleep(interval)


def await_caused(
    airflow: Airflow,
    run: Run,
    dag_id: str,
    check: Callable[[], None] = lambda: None,
    seconds: float = 60.0,
) -> Run:
    """Wait for the run of `dag_id` that the assets of a finished run start.

    Raises:
        RunFailed: there is none after `seconds`.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        check()
        with suppress(AirflowUnavailable):
            caused = airflow.caused_by(run, dag_id)
            if caused is not None:
                return caused
        time.sleep(0.5)
    fact = f"no run of {dag_id} followed its asset within {seconds:.0f} s"
    raise RunFailed(run.dag_id, run.run_id, fact, f"{airflow.url}/assets")


def _failed(airflow: Airflow, run: Run) -> RunFailed:
    failed = airflow.failures(run.dag_id, run.run_id)
    fact = "; ".join(f"task {name}: {reason}" for name, reason in failed.items())
    where = f"{airflow.url}/dags/{run.dag_id}/runs/{quote(run.run_id)}"
    return RunFailed(run.dag_id, run.run_id, fact or "no task failed", where)


def _run(item: Json) -> Run:
    return Run(
        item["dag_id"],
        item["dag_run_id"],
        item["state"],
        item["conf"] or {},
        item.get("partition_key"),
    )


def _tasks_path(dag_id: str, run_id: str) -> str:
    return f"dags/{quote(dag_id)}/dagRuns/{quote(run_id)}/taskInstances"


def _task_name(item: Json) -> str:
    index = item["map_index"]
    return item["task_id"] if index < 0 else f"{item['task_id']}[{index}]"


def _last_error(log: Any) -> str:
    """The last error of a task's log, on one line."""
    errors = [entry for entry in log if isinstance(entry, dict) and entry.get("level") == "error"]
    if not errors:
        return "ended without a word (killed?)"
    details = errors[-1].get("error_detail") or []
    if details:
        return f"{details[0]['exc_type']}: {' '.join(str(details[0]['exc_value']).split())}"
    return " ".join(str(errors[-1]["event"]).split())


def _request(
    method: str,
    url: str,
    body: Json | None = None,
    token: str | None = None,
    seconds: float = _ASK_SECONDS,
) -> Any:
    headers = {"Accept": "application/json"}
    headers |= {"Content-Type": "application/json"} if body is not None else {}
    headers |= {"Authorization": f"Bearer {token}"} if token else {}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - our own URL
    with _errors(url), _opener().open(request, timeout=seconds) as answer:
        return json.load(answer)


def _opener() -> urllib.request.OpenerDirector:
    """Without the proxies of the environment: the stack is on this machine."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextmanager
def _errors(url: str) -> Iterator[None]:
    """What the network and the server say, in our words."""
    try:
        yield
    except urllib.error.HTTPError as error:
        with error:
            detail = error.read().decode(errors="replace")
        if error.code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise AirflowUnavailable(url, f"{error.code} {error.reason}") from None
        raise AirflowRefused(url, error.code, _detail(detail) or error.reason) from None
    except (urllib.error.URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise AirflowUnavailable(url, str(reason)) from None


def _detail(text: str) -> str:
    try:
        detail = json.loads(text)["detail"]
    except (ValueError, KeyError, TypeError):
        return " ".join(text.split())[:200]
    return detail if isinstance(detail, str) else json.dumps(detail)
