"""Processes of the local stack: all of them in one session, so that none can be lost.

The supervisor leads a session of its own; Airflow's components and whatever they start stay in it,
also after their parents die. Ending every process of that session leaves nothing behind. The
kernel does not give the session's number to another process while one of them lives.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass

import psutil

from data_engineering.model.errors import PortInUse

_PR_SET_CHILD_SUBREAPER = 36
_CLOCK_SECONDS = 3.0  # start times move with corrections of the clock


@dataclass(frozen=True)
class Session:
    """A session of processes, told from a later one of the same number by its start time."""

    id: int
    started: float

    @classmethod
    def current(cls) -> Session:
        """The session that this process leads."""
        return cls(os.getpid(), psutil.Process().create_time())

    def leader(self) -> psutil.Process | None:
        """The process that leads the session, when it is alive."""
        try:
            process = psutil.Process(self.id)
            alive = process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return None
        same = abs(process.create_time() - self.started) < _CLOCK_SECONDS
        return process if alive and same else None

    def members(self) -> list[int]:
        """Ids of the session's living processes, the leader and ourselves left out."""
        stranger = psutil.pid_exists(self.id) and self.leader() is None and not _is_zombie(self.id)
        if stranger or psutil.boot_time() > self.started:
            return []  # the number is another's by now: our session has ended long ago
        return [
            pid for pid in psutil.pids() if pid not in (self.id, os.getpid()) and self._has(pid)
        ]

    def _has(self, pid: int) -> bool:
        try:
            process = psutil.Process(pid)
            young = process.create_time() > self.started - _CLOCK_SECONDS
            return os.getsid(pid) == self.id and young and not _is_zombie(pid)
        except (OSError, psutil.Error):
            return False

    def end(self, seconds: float = 10.0) -> list[int]:
        """Kill every member; ids of those that are still there after `seconds`."""
        deadline = time.monotonic() + seconds
        while left := self.members():
            if time.monotonic() > deadline:
                return left
            for pid in left:
                _signal(pid, signal.SIGKILL)
            time.sleep(0.05)
        return []


def _is_zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def adopt_orphans() -> None:
    """Let this process inherit the orphans of its children, so that it can wait for them."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap_orphans() -> None:
    """Collect every child that has ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def check_ports(ports: Iterable[tuple[int, str]], host: str) -> None:
    """Refuse to start where a port is taken.

    Args:
        ports: port and the variable that sets it.
        host: address to listen on.

    Raises:
        PortInUse: another program listens on one of them.
    """
    for port, setting in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                raise PortInUse(port, setting) from None
