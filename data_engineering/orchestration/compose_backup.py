"""A backup of the running compose stack: one folder, complete or not there.

What names something is dumped before what it names: Airflow's runs, then executions, then rows and
stream offsets, then objects. So a backup of a stack at work may hold an object of which no book
says anything yet, but no book that speaks of what the backup lacks. Each database is a snapshot of
one moment. Not in it: the secrets (`.env`), Redis (Airflow queues its tasks again), Kafka (its
offsets are rows, so a restored stack goes on from them as far as the broker still has the messages)
and the folder of the exchange with solvers.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from data_engineering.model.columns import Store
from data_engineering.model.errors import BadInput
from data_engineering.orchestration.compose import Compose

FORMAT = 1
MANIFEST, OBJECTS = "manifest.json", "objects.tar"
TOOL = "platform-init"  # has the platform's image and the keys of all stores
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Database:
    """One database of the stack.

    Attributes:
        service: its server.
        name: of the database.
        store: whose migrations it has; None for Airflow's, which migrates itself.
    """

    service: str
    name: str
    store: Store | None = None

    @property
    def dump(self) -> str:
        """File of its content, for pg_restore."""
        return f"{self.name}.dump"

    @property
    def frame(self) -> str:
        """File of SQL that makes the empty database with its encoding and privileges."""
        return f"{self.name}.database.sql"


# In the order in which they are dumped; see above.
DATABASES = (
    Database("postgres", "airflow"),
    Database("postgres", "lascopf_metadata", "metadata"),
    Database("timescaledb", "powerlascopf", "timeseries"),
)
SERVERS = tuple(dict.fromkeys(database.service for database in DATABASES))


def login(program: str, *words: str) -> str:
    """A program of PostgreSQL as the server's superuser, through its socket."""
    return f'{program} --username "${{POSTGRES_USER:-postgres}}" {" ".join(words)}'


def roles_file(service: str) -> str:
    """File of SQL with the server's roles, without their passwords."""
    return f"{service}.roles.sql"


def back_up(
    stack: Compose, folder: Path, keep: int | None, progress: Callable[[str], None]
) -> Path:
    """Make a backup below a folder; where it is.

    Args:
        stack: it runs.
        folder: takes the backup as `backup-YYYYMMDDTHHMMSSZ`; made where it is not there.
        keep: remove the oldest backups beyond so many; None removes none.
        progress: told what is going on.

    Raises:
        StackRefused: a server does not run, or a dump failed; nothing is left of the backup.
    """
    now = datetime.now(UTC)
    target = folder / f"backup-{now:%Y%m%dT%H%M%SZ}"
    partial = folder / f".{target.name}.partial"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial.mkdir(mode=0o700)
    try:
        digests = _dump(stack, partial, progress)
        manifest = {
            "format": FORMAT,
            "created_at": now.isoformat(timespec="seconds"),
            "platform": version("lascopf-platform"),
            "servers": {service: server_facts(stack, service) for service in SERVERS},
            "migrations": {d.store: applied(stack, d) for d in DATABASES if d.store},
            "files": {
                name: {"sha256": digest, "bytes": (partial / name).stat().st_size}
                for name, digest in digests.items()
            },
        }
        (partial / MANIFEST).touch(mode=0o600)
        (partial / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    if keep is not None:
        _expire(folder, keep, progress)
    return target


def _dump(stack: Compose, folder: Path, progress: Callable[[str], None]) -> dict[str, str]:
    """Write all files of a backup but its manifest; their digests."""
    digests = {}
    for service in SERVERS:
        script = login("pg_dumpall", "--roles-only", "--no-role-passwords")
        name = roles_file(service)
        digests[name] = stack.save_shell(service, script, folder / name)
    for database in DATABASES:
        progress(f"database {database.name}")
        # Only CREATE DATABASE and what belongs to it; its schemas and extensions are in the dump.
        frame = ["--create", "--schema-only", "--exclude-schema='*'", "--exclude-extension='*'"]
        script = login("pg_dump", *frame, database.name)
        digests[database.frame] = stack.save_shell(
            database.service, script, folder / database.frame
        )
        script = login("pg_dump", "--format=custom", database.name)
        digests[database.dump] = stack.save_shell(database.service, script, folder / database.dump)
    progress("objects")
    digests[OBJECTS] = stack.save(tool("objects", "save", "-"), folder / OBJECTS)
    return digests


def tool(*words: str) -> list[str]:
    """`lascopf WORDS` in a passing container of the stack, its output for a pipe."""
    return ["run", "--rm", "--no-deps", "-T", "--entrypoint", "lascopf", TOOL, *words]


def server_facts(stack: Compose, service: str) -> dict[str, Any]:
    """Versions of a server and of the extension that its dumps depend on."""
    words = ["--no-align", "--tuples-only", "--dbname=postgres", '--command="SHOW server_version"']
    found = {"postgresql": stack.shell(service, login("psql", *words)).strip()}
    for database in DATABASES:
        if database.service == service and database.store == "timeseries":
            query = "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'"
            found["timescaledb"] = "".join(ask(stack, database, query)) or "none"
    return found


def applied(stack: Compose, database: Database) -> dict[str, str]:
    """Names of the migrations that a database has, with their digests."""
    rows = ask(stack, database, "SELECT name || ' ' || digest FROM schema_migrations ORDER BY name")
    return dict(row.split(" ", 1) for row in rows)


def ask(stack: Compose, database: Database, query: str) -> Sequence[str]:
    """The rows of a query as psql prints them, one column each."""
    options = ["--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1", f"--dbname={database.name}"]
    return stack.shell(database.service, login("psql", *options), query.encode()).splitlines()


def read_manifest(backup: Path) -> dict[str, Any]:
    """The manifest of a backup.

    Raises:
        BadInput: it is not a backup, or one of another format.
    """
    try:
        manifest: dict[str, Any] = json.loads((backup / MANIFEST).read_text())
    except (OSError, ValueError) as error:
        raise BadInput("backup", str(backup), f"there is no usable manifest: {error}") from None
    if manifest.get("format") != FORMAT:
        remedy = f"this version of the platform reads format {FORMAT}"
        raise BadInput("backup format", manifest.get("format"), remedy)
    absent = {"servers", "migrations", "files"} - manifest.keys()
    if absent:
        raise BadInput("manifest", str(backup / MANIFEST), f"it lacks {', '.join(sorted(absent))}")
    return manifest


def _expire(folder: Path, keep: int, progress: Callable[[str], None]) -> None:
    """Remove the oldest complete backups; the time is in their names."""
    complete = sorted(path.parent for path in folder.glob(f"backup-*Z/{MANIFEST}"))
    for old in complete[:-keep]:
        progress(f"removing {old.name}")
        _log.info("removing backup %s", old)
        shutil.rmtree(old)
