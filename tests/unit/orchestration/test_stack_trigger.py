"""The REST client against a small server that answers like Airflow."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from data_engineering.model.errors import AirflowRefused, AirflowUnavailable, RunFailed
from data_engineering.orchestration import trigger
from data_engineering.orchestration.trigger import Airflow, Run

pytestmark = pytest.mark.integration


@contextmanager
def served(answers):
    """A server on loopback; `answers` maps "METHOD path" to (status, document), or a list of them.

    Yields its URL and the requests that it got.
    """
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            seen.append((self.command, self.path, body, self.headers.get("Authorization")))
            found = answers.get(f"{self.command} {self.path}", (404, {"detail": "not found"}))
            status, document = found.pop(0) if isinstance(found, list) else found
            data = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = answer  # noqa: N815

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def dag_run(state="running", **more):
    return {
        "dag_id": "d",
        "dag_run_id": "r+1",
        "state": state,
        "conf": {"day": "2020-07-06"},
        **more,
    }


def tasks(**states):
    items = [{"task_id": name, "map_index": -1, "state": state} for name, state in states.items()]
    return 200, {"task_instances": items}


RUN = Run("d", "r+1", "queued", {}, None)
RUN_PATH = "GET /api/v2/dags/d/dagRuns/r%2B1"


def test_logging_in_gives_a_client_that_shows_its_token():
    answers = {
        "POST /auth/token": (201, {"access_token": "t0"}),
        "PATCH /api/v2/dags/d": (200, {}),
    }
    with served(answers) as (url, seen):
        trigger.log_in(url, "admin", "secret").unpause("d")
    assert seen[0][2] == {"username": "admin", "password": "secret"}
    assert seen[1] == ("PATCH", "/api/v2/dags/d", {"is_paused": False}, "Bearer t0")


def test_wrong_credentials_are_said_with_where_the_password_is():
    with (
        served({"POST /auth/token": (401, {"detail": "Invalid credentials"})}) as (url, _),
        pytest.raises(AirflowRefused, match=r"401.*Invalid credentials.*passwords\.json"),
    ):
        trigger.log_in(url, "admin", "wrong")


def test_a_server_that_is_down_is_worth_another_try():
    with served({}) as (url, _):
        pass
    with pytest.raises(AirflowUnavailable, match="lascopf up") as caught:
        trigger.log_in(url, "admin", "secret")
    assert caught.value.exit_code == 4
    assert trigger.health(url) == {}


def test_a_server_error_is_worth_another_try_and_nonsense_too():
    answers = {"GET /api/v2/importErrors": [(503, {"detail": "busy"}), (200, b"<html>")]}
    with served(answers) as (url, _):
        for _ in range(2):
            with pytest.raises(AirflowUnavailable):
                Airflow(url, "t").import_errors()


def test_a_run_is_triggered_with_its_conf_and_without_a_logical_date():
    with served({"POST /api/v2/dags/d/dagRuns": (200, dag_run("queued"))}) as (url, seen):
        run = Airflow(url, "t").trigger("d", {"day": "2020-07-06"})
    assert seen[0][2] == {
        "logical_date": None,
        "conf": {"day": "2020-07-06"},
        "partition_key": None,
    }
    assert (run.run_id, run.state, run.day) == ("r+1", "queued", "2020-07-06")


def test_the_day_of_a_run_is_its_parameter_else_its_partition():
    assert Run("d", "r", "queued", {"day": "2020-01-02"}, "2020-01-01").day == "2020-01-02"
    assert Run("d", "r", "queued", {}, "2020-01-01").day == "2020-01-01"


def test_following_shows_every_look_and_ends_with_success():
    looks = []
    answers = {
        RUN_PATH: [(200, dag_run()), (200, dag_run("success"))],
        RUN_PATH + "/taskInstances?limit=100": [tasks(a=None), tasks(a="success")],
    }
    with served(answers) as (url, _):
        end = trigger.follow(
            Airflow(url, "t"), RUN, lambda run, states: looks.append(states), interval=0
        )
    assert end.state == "success"
    assert looks == [{"a": "waiting"}, {"a": "success"}]


def test_a_failed_run_is_an_error_that_says_which_task_failed_and_why():
    failed = {"task_id": "b", "map_index": 2, "state": "failed", "try_number": 3}
    error = {"exc_type": "BadInput", "exc_value": "day: no\ngood"}
    log = [
        {"event": "begin"},
        {"level": "error", "event": "first"},
        {"level": "error", "event": "Task failed with exception", "error_detail": [error]},
        {"level": "info", "event": "end"},
    ]
    answers = {
        RUN_PATH: (200, dag_run("failed")),
        RUN_PATH + "/taskInstances?limit=100": tasks(a="success", b="failed", c="upstream_failed"),
        RUN_PATH + "/taskInstances?limit=100&state=failed": (200, {"task_instances": [failed]}),
        RUN_PATH + "/taskInstances/b/logs/3?map_index=2&full_content=true": (200, {"content": log}),
    }
    with (
        served(answers) as (url, _),
        pytest.raises(RunFailed, match=r"task b\[2\]: BadInput: day: no good; see .*r%2B1"),
    ):
        trigger.follow(Airflow(url, "t"), RUN, lambda run, states: None)


def test_following_outlasts_a_short_silence_but_not_a_long_one():
    answers = {
        RUN_PATH: [(503, {}), (200, dag_run("success"))],
        RUN_PATH + "/taskInstances?limit=100": tasks(a="success"),
    }
    with served(answers) as (url, _):
        airflow = Airflow(url, "t")
        assert trigger.follow(airflow, RUN, lambda run, states: None, interval=0).state == "success"
    with pytest.raises(AirflowUnavailable):
        trigger.follow(airflow, RUN, lambda run, states: None, interval=0, patience=0)


def test_following_stops_when_the_check_says_so():
    def gone():
        raise RuntimeError("stack ended")

    with pytest.raises(RuntimeError, match="stack ended"):
        trigger.follow(Airflow("http://127.0.0.1:9", "t"), RUN, lambda run, states: None, gone)


EVENTS = "GET /api/v2/assets/events?source_dag_id=d&source_run_id=r%2B1"


def event(*created):
    return {"created_dagruns": [{"dag_id": dag, "run_id": run} for dag, run in created]}


def test_the_caused_run_is_found_by_the_asset_events_of_its_source():
    answers = {
        EVENTS: (200, {"asset_events": [event(), event(("other", "x"), ("m", "m1"))]}),
        "GET /api/v2/dags/m/dagRuns/m1": (200, dag_run(dag_id="m", dag_run_id="m1")),
    }
    with served(answers) as (url, _):
        caused = trigger.await_caused(Airflow(url, "t"), RUN, "m")
    assert (caused.dag_id, caused.run_id) == ("m", "m1")


def test_no_caused_run_is_an_error_after_a_bounded_time():
    with (
        served({EVENTS: (200, {"asset_events": []})}) as (url, _),
        pytest.raises(RunFailed, match="no run of m followed"),
    ):
        trigger.await_caused(Airflow(url, "t"), RUN, "m", seconds=0.1)


def test_a_dag_whose_file_is_broken_is_said_with_the_error():
    errors = [{"filename": "d.py", "stack_trace": "Traceback ...\nNameError: x\n"}]
    answers = {"GET /api/v2/importErrors": (200, {"import_errors": errors})}
    with (
        served(answers) as (url, _),
        pytest.raises(AirflowRefused, match=r"DAG d was not read: d\.py: NameError: x"),
    ):
        Airflow(url, "t").await_dag("d", seconds=0)


def test_health_takes_a_component_without_a_heartbeat_for_unhealthy():
    beat = "2026-01-01T00:00:00+00:00"
    document = {
        "metadatabase": {"status": "healthy"},
        "scheduler": {"status": "healthy", "latest_scheduler_heartbeat": beat},
        "triggerer": {"status": "unhealthy", "latest_triggerer_heartbeat": beat},
        "dag_processor": {"status": None, "latest_dag_processor_heartbeat": None},
    }
    with served({"GET /api/v2/monitor/health": (200, document)}) as (url, _):
        found = trigger.health(url)
    assert found["scheduler"].isoformat() == beat
    assert (found["triggerer"], found["dag_processor"]) == (None, None)
