"""The local stack through its command: every way out leaves no process, and work goes on after it.

One state folder for all of them; each test finds the stack down and leaves it down.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from data_engineering.orchestration import trigger
from data_engineering.orchestration.stack_state import read_state

pytestmark = [pytest.mark.integration, pytest.mark.slow]

SECONDS = 120  # a loaded machine of two cores; nothing here waits for all of it

DAG = """
import time
from pathlib import Path
from airflow.sdk import DAG, task

with DAG("tiny", schedule=None, params={"file": "", "seconds": 0}):

    @task
    def work(params):
        with Path(params["file"]).open("a") as out:
            out.write("start\\n")
        time.sleep(params["seconds"])
        with Path(params["file"]).open("a") as out:
            out.write("end\\n")

    work()
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Stack:
    """The command in a world of its own."""

    def __init__(self, folder):
        self.folder, self.home = folder, folder / "home"
        (folder / "dags").mkdir()
        (folder / "dags" / "tiny.py").write_text(DAG)
        (folder / "plugins").mkdir()
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("LASCOPF_", "AIRFLOW"))}
        self.env = clean | {
            "LASCOPF_HOME": str(self.home),
            "LASCOPF_DAGS_FOLDER": str(folder / "dags"),
            "LASCOPF_PLUGINS_FOLDER": str(folder / "plugins"),
            "LASCOPF_AIRFLOW_PORT": str(free_port()),
            "LASCOPF_PARALLELISM": "2",
        }

    def start(self, *arguments, **more):
        return subprocess.Popen(
            [sys.executable, "-m", "data_engineering.cli", *arguments],
            env=self.env | more,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A background job of a shell ignores interrupts, and its children inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def run(self, *arguments, **more):
        process = self.start(*arguments, "--json", **more)
        out, err = process.communicate(timeout=SECONDS)
        assert "Traceback" not in err
        return process.returncode, json.loads(out), err

    def state(self):
        return read_state(self.home)

    def log_in(self, login):
        return trigger.log_in(login["airflow_url"], login["user"], login["password"])

    def processes(self):
        """Every living process that has to do with this state folder, however it got there."""
        state, found = self.state(), set()
        for process in psutil.process_iter():
            try:
                words = [*process.cmdline(), *process.environ().values()]
                ours = any(str(self.home) in word for word in words)
                if state is not None:
                    ours = ours or os.getsid(process.pid) == state.session.id
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.add(process.pid)
            except (psutil.Error, ProcessLookupError):
                continue
        return found

    def no_process_is_left(self):
        return until(lambda: not self.processes())


def until(condition, seconds=SECONDS):
    """Wait for a condition; whether it came true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


@pytest.fixture(scope="module")
def world():
    # Not below pytest's folder, which it closes to other users: as root the server is another.
    with tempfile.TemporaryDirectory(prefix="lascopf-stack-") as folder:
        stack = Stack(Path(folder))
        yield stack
        stack.run("down")


@pytest.fixture
def stack(world):
    assert world.processes() == set()
    yield world
    world.run("down")
    assert world.no_process_is_left()


@pytest.fixture
def running(stack):
    code, login, _ = stack.run("up", "--detach")
    assert code == 0
    return stack, login


def test_up_is_healthy_private_and_idempotent(running):
    stack, login = running
    processes = stack.processes()
    assert stack.run("up", "--detach")[1] == login
    assert stack.processes() == processes
    code, facts, _ = stack.run("status")
    assert (code, facts["up"]) == (0, True)
    assert set(facts["components"]) == {"api-server", "scheduler", "dag-processor", "triggerer"}
    assert facts["stores"]["metadata"]["pending"]  # nobody has migrated
    addresses = [
        connection.laddr
        for pid in processes
        for connection in psutil.Process(pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert {(at.ip, at.port) for at in addresses} == {
        ("127.0.0.1", int(stack.env["LASCOPF_AIRFLOW_PORT"]))
    }
    secret = json.loads((stack.home / "airflow" / "passwords.json").read_text())["admin"]
    assert not any(secret in " ".join(psutil.Process(pid).cmdline()) for pid in processes)

    assert stack.run("down")[:2] == (0, {"status": "ok", "ended": True})
    assert stack.no_process_is_left()
    assert stack.run("down")[:2] == (0, {"status": "ok", "ended": False})
    assert stack.run("status")[0] == 4


def test_a_run_goes_on_after_its_scheduler_was_killed(running):
    stack, login = running
    airflow, file = stack.log_in(login), stack.folder / "scheduler.txt"
    airflow.await_dag("tiny")
    airflow.unpause("tiny")
    run = airflow.trigger("tiny", {"file": str(file), "seconds": 8})
    assert until(file.exists)
    os.kill(stack.state().components["scheduler"], signal.SIGKILL)
    assert stack.no_process_is_left()
    assert file.read_text() == "start\n"
    code, facts, _ = stack.run("status")
    assert (code, facts["phase"]) == (4, "failed")
    assert "scheduler was killed by signal 9; its log is" in facts["stack_error"]

    assert stack.run("up", "--detach")[0] == 0
    airflow = stack.log_in(login)
    assert until(lambda: airflow.run("tiny", run.run_id).state == "success")
    assert file.read_text() == "start\nstart\nend\n"


@pytest.mark.parametrize("component", ["api-server", "dag-processor", "triggerer"])
def test_a_component_that_is_killed_takes_the_others_along(stack, component):
    process = stack.start("up", "--json")
    assert until(lambda: stack.state().components and process.poll() is None)
    os.kill(stack.state().components[component], signal.SIGKILL)
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 6
    assert f"Airflow's {component} was killed by signal 9" in json.loads(out)["error"]
    assert "Traceback" not in err
    assert stack.no_process_is_left()


def started(stack):
    """An attached stack whose components are on their way."""
    process = stack.start("up")
    assert until(lambda: stack.state() is not None and stack.state().components)
    return process


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_to_the_command_ends_everything_before_the_command_ends(stack, number, code):
    process = started(stack)
    process.send_signal(number)
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == code
    assert "Traceback" not in err
    assert stack.processes() == set()


def test_a_killed_command_takes_the_stack_along(stack):
    process = started(stack)
    process.kill()
    process.communicate()
    assert stack.no_process_is_left()


def test_a_killed_supervisor_takes_the_stack_along(stack):
    process = started(stack)
    os.kill(stack.state().session.id, signal.SIGKILL)
    assert process.wait(SECONDS) == 6
    process.communicate()
    assert stack.no_process_is_left()
    assert stack.run("status")[0] == 4


def test_ctrl_c_is_the_way_to_end_a_healthy_stack(stack):
    process = stack.start("up", "--json")
    assert json.loads(process.stdout.readline())["status"] == "ok"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=SECONDS)
    assert process.returncode == 0
    assert stack.processes() == set()


def test_a_port_in_use_is_said_and_nothing_is_started(stack):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        code, facts, _ = stack.run("up", "--detach", LASCOPF_AIRFLOW_PORT=port)
    assert code == 6
    assert facts["error"].startswith(f"port {port} on 127.0.0.1 is in use")
    assert "LASCOPF_AIRFLOW_PORT" in facts["error"]
    assert stack.processes() == set()


def test_a_database_that_is_down_is_said_and_nothing_is_started(stack):
    url = f"postgresql://somebody:secret@127.0.0.1:{free_port()}/airflow"
    code, facts, err = stack.run("up", "--detach", LASCOPF_AIRFLOW_URL=url)
    assert code == 4
    assert "does not answer" in facts["error"]
    assert "secret" not in json.dumps(facts) + err
    assert stack.processes() == set()
