"""A backup put into a compose stack: the databases are made anew from their dumps."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from data_engineering.model.errors import BadInput, StackRefused
from data_engineering.orchestration.compose import Compose
from data_engineering.orchestration.compose_backup import (
    DATABASES,
    OBJECTS,
    SERVERS,
    TOOL,
    Database,
    ask,
    login,
    read_manifest,
    roles_file,
    server_facts,
    tool,
)
from data_engineering.storage.migrations import migrations

# What goes on running: everything else writes to the stores, or reads them all the time.
_STAY = (*SERVERS, "minio", "kafka", "redis", "julia-solver", "prometheus")
_FIRST_START = (TOOL, "airflow-init")  # logins and migrations of what was restored
_SIGN_OF_USE = {
    "airflow": "dag_run",
    "lascopf_metadata": "lascopf_executions",
    "powerlascopf": "power_measurements",
}


def restore(
    stack: Compose, backup: Path, *, replace: bool, progress: Callable[[str], None]
) -> list[str]:
    """Put a backup into a stack that runs; the services that were stopped and started for it.

    After an error it is run again: every step begins anew.

    Args:
        stack: its database servers and object store run.
        backup: a folder that `back_up` made.
        replace: take away what the stack holds; otherwise a stack that was used is refused.
        progress: told what is going on.

    Raises:
        BadInput: the backup is damaged or made by something newer, or the stack was used.
        StackRefused: a server does not run or refuses.
    """
    progress("checking the backup")
    manifest = check(backup)
    running = stack.running()
    missing = [name for name in SERVERS if name not in running]
    if missing:
        what = f"services {', '.join(missing)}"
        raise StackRefused(what, "do not run", "start the stack once: docker compose up -d")
    _check_servers(stack, manifest)
    if not replace:
        _refuse_used(stack)
    stopped = [name for name in running if name not in _STAY]
    if stopped:
        progress(f"stopping {', '.join(stopped)}")
        stack.ask("stop", *stopped)
    _load(stack, backup, manifest, progress)
    if stopped:
        progress(f"starting {', '.join(stopped)}")
        stack.ask("start", *stopped)
    return stopped


def _load(
    stack: Compose, backup: Path, manifest: dict[str, Any], progress: Callable[[str], None]
) -> None:
    for service in SERVERS:
        progress(f"roles of {service}")
        _make_roles(stack, service, backup / roles_file(service))
    for database in DATABASES:
        progress(f"database {database.name}")
        _make_database(stack, database, backup, _extension(manifest, database))
    for service in _FIRST_START:
        progress(f"first start: {service}")
        stack.ask("run", "--rm", "--no-deps", "-T", service)
    progress("objects")
    stack.feed(tool("objects", "load", "-"), backup / OBJECTS)


def check(backup: Path) -> dict[str, Any]:
    """Compare every file of a backup with its manifest, which is returned.

    Raises:
        BadInput: a file is missing or differs, or the backup's schema is newer than this code.
    """
    manifest = read_manifest(backup)
    names = {OBJECTS, *(roles_file(service) for service in SERVERS)}
    names |= {name for database in DATABASES for name in (database.dump, database.frame)}
    absent = sorted(names - manifest["files"].keys())
    if absent:
        raise BadInput("backup", str(backup), f"it lacks {', '.join(absent)}")
    for name, facts in manifest["files"].items():
        if not (backup / name).is_file():
            raise BadInput("backup file", str(backup / name), "it is missing; use another backup")
        with (backup / name).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != facts["sha256"]:
            remedy = "it differs from its digest in the manifest; use another backup"
            raise BadInput("backup file", str(backup / name), remedy)
    for database in DATABASES:
        if database.store is not None:
            known = {m.name: m.digest for m in migrations(database.store)}
            _refuse_newer(manifest["migrations"][database.store].items(), known)
    return manifest


def _refuse_newer(found: Iterable[tuple[str, str]], known: dict[str, str]) -> None:
    newer = sorted(name for name, digest in found if known.get(name) != digest)
    if newer:
        remedy = "this version of the platform does not have them; install the one that made it"
        raise BadInput("migrations of the backup", ", ".join(newer), remedy)


def _check_servers(stack: Compose, manifest: dict[str, Any]) -> None:
    """Dumps go upwards in PostgreSQL, and into their own version of TimescaleDB only."""
    for database in DATABASES:
        service = database.service
        there = manifest["servers"][service]["postgresql"]
        here = server_facts(stack, service)["postgresql"]
        if int(here.split(".")[0]) < int(there.split(".")[0]):
            remedy = f"the backup was made by {there}; take an image of that version or a newer"
            raise BadInput(f"PostgreSQL of {service}", here, remedy)
        needed = _extension(manifest, database)
        if needed is None:
            continue
        offered = ask(
            stack,
            Database(service, "postgres"),
            "SELECT version FROM pg_available_extension_versions WHERE name = 'timescaledb'",
        )
        if needed not in offered:
            remedy = f"the backup needs {needed}; take an image that has it"
            raise BadInput(f"TimescaleDB of {service}", ", ".join(offered) or "none", remedy)


def _extension(manifest: dict[str, Any], database: Database) -> str | None:
    """The version of TimescaleDB that a database had."""
    if database.store != "timeseries":
        return None
    version = str(manifest["servers"][database.service]["timescaledb"])
    if re.fullmatch(r"none|[0-9]+(\.[0-9]+)*", version) is None:
        raise BadInput("version of TimescaleDB in the manifest", version, "use another backup")
    return None if version == "none" else version


def _refuse_used(stack: Compose) -> None:
    """A stack that was only started has no rows in these; before its first start, no tables."""
    for database in DATABASES:
        there = "SELECT datname FROM pg_database WHERE datname = "
        server = Database(database.service, "postgres")
        if not ask(stack, server, f"{there}'{database.name}'"):
            continue
        table = _SIGN_OF_USE[database.name]
        if "".join(ask(stack, database, f"SELECT to_regclass('public.{table}')")) and ask(
            stack,
            database,
            f"SELECT 1 FROM public.{table} LIMIT 1",  # noqa: S608 - of ours
        ):
            remedy = "give --replace to take away what it holds, or restore into a new stack"
            raise BadInput(f"database {database.name}", f"rows in {table}", remedy)


def _make_roles(stack: Compose, service: str, source: Path) -> None:
    """Roles that are there already stay, with their passwords; psql goes on after such an error."""
    script = login("psql", "--quiet", "--dbname=postgres", "--output=/dev/null")
    stack.feed_shell(service, script, source)


def _make_database(stack: Compose, database: Database, backup: Path, extension: str | None) -> None:
    service, name = database.service, database.name
    strict = ["--quiet", "--set=ON_ERROR_STOP=1", "--output=/dev/null", "--dbname=postgres"]
    drop = f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'
    stack.shell(service, login("psql", *strict), drop.encode())
    stack.feed_shell(service, login("psql", *strict), backup / database.frame)
    if extension is not None:
        ask(stack, database, f"CREATE EXTENSION timescaledb VERSION '{extension}'")
        # In a session of its own: the extension must be loaded before it can be asked.
        ask(stack, database, "SELECT timescaledb_pre_restore()")
    load = login("pg_restore", "--exit-on-error", f"--dbname={name}")
    stack.feed_shell(service, load, backup / database.dump)
    if extension is not None:
        ask(stack, database, "SELECT timescaledb_post_restore()")
    ask(stack, database, "ANALYZE")
