"""A session of processes: every member is found and ended, nobody else is touched."""

import os
import socket
import subprocess
import sys
import time

import psutil
import pytest

from data_engineering.model.errors import PortInUse
from data_engineering.orchestration.stack_processes import Session, check_ports

pytestmark = pytest.mark.integration

# A leader whose child dies at once and leaves a grandchild; the grandchild's id is printed.
FAMILY = """
import subprocess, sys, time
child = "import subprocess, sys; p = subprocess.Popen(['sleep', '300'], stdout=2); print(p.pid)"
subprocess.run([sys.executable, "-c", child])
sys.stdout.close()
time.sleep(300)
"""


@pytest.fixture
def family():
    leader = subprocess.Popen(
        [sys.executable, "-c", FAMILY], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    orphan = int(leader.stdout.readline())
    leader.stdout.close()
    yield leader, orphan
    for pid in (leader.pid, orphan):
        if psutil.pid_exists(pid):
            os.kill(pid, 9)
    leader.wait()


def session_of(pid):
    return Session(pid, psutil.Process(pid).create_time())


def alive(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_an_orphaned_grandchild_is_ended_after_its_leader_was_killed(family):
    leader, orphan = family
    session = session_of(leader.pid)
    assert orphan in session.members()
    leader.kill()
    leader.wait()
    assert session.leader() is None
    assert session.end() == []
    assert not alive(orphan)


def test_the_leader_ends_its_members_but_not_itself(family):
    leader, orphan = family
    assert session_of(leader.pid).end() == []
    assert not alive(orphan)
    assert alive(leader.pid)


def test_a_session_of_the_same_number_at_another_time_is_a_strangers(family):
    leader, orphan = family
    earlier = Session(leader.pid, psutil.Process(leader.pid).create_time() - 60)
    assert earlier.leader() is None
    assert earlier.members() == []
    assert earlier.end() == []
    assert alive(orphan)


def test_a_session_from_before_the_boot_has_no_members(family):
    leader, _ = family
    assert Session(leader.pid, psutil.boot_time() - 3600).members() == []


def test_a_taken_port_is_named_with_its_setting():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(PortInUse, match=rf"port {port} .* LASCOPF_AIRFLOW_PORT"):
            check_ports([(port, "LASCOPF_AIRFLOW_PORT")], "127.0.0.1")


def test_a_port_that_was_just_released_is_free():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            server.accept()[0].close()  # leaves the port in TIME_WAIT on this side
        time.sleep(0.05)
    check_ports([(port, "LASCOPF_AIRFLOW_PORT")], "127.0.0.1")
