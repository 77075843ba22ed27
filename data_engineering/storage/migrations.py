"""Numbered SQL files, applied once each and recorded in `schema_migrations`.

`sql/shared` goes first in both databases and runs as the login; the files of the store follow as
role `migrator`, which owns what they make. A file runs in one transaction together with its
record, so it is either applied and recorded or neither. Applied files never change: what they
hold is compared by its digest. A database that has migrations which are not among the files was
made by a newer version of the platform and is refused: older code would write what it must not.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
from sqlalchemy.engine import Engine

from data_engineering.model.columns import Store
from data_engineering.model.errors import DatabaseRefused, MigrationFailed
from data_engineering.storage.database import explain, where_of

SQL_FOLDER = Path(__file__).resolve().parents[2] / "sql"
_LOCK = 7_264_911_830_551  # any number that nobody else takes
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Migration:
    """One file of SQL."""

    name: str
    text: str
    as_migrator: bool

    @property
    def digest(self) -> str:
        """SHA-256 of its text."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def migrations(store: Store, folder: Path = SQL_FOLDER) -> list[Migration]:
    """The files of a store in the order in which they apply."""
    found = []
    for part in ("shared", store):
        for path in sorted((folder / part).glob("[0-9]*.sql")):
            found.append(Migration(f"{part}/{path.name}", path.read_text(), part != "shared"))
    return found


def pending(engine: Engine, store: Store, folder: Path = SQL_FOLDER) -> list[str]:
    """Names of the migrations that `migrate` would apply.

    Raises:
        DatabaseRefused: an applied migration was changed since, or is not known here.
    """
    with _session(engine) as cursor:
        cursor.execute("SELECT to_regclass('public.schema_migrations') IS NOT NULL")
        applied = _applied(cursor) if cursor.fetchone()[0] else {}
    return [m.name for m in _outstanding(migrations(store, folder), applied, where_of(engine))]


def migrate(engine: Engine, store: Store, folder: Path = SQL_FOLDER) -> list[str]:
    """Apply what is outstanding; the names applied. Safe to call from several processes at once.

    Raises:
        MigrationFailed: a migration was rolled back; those before it stay applied.
        DatabaseRefused: an applied migration was changed since, or is not known here.
    """
    where = where_of(engine)
    done = []
    with _session(engine) as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        try:
            cursor.execute(
                "CREATE TABLE IF NOT EXISTS schema_migrations ("
                "name text PRIMARY KEY, digest text NOT NULL, "
                "applied_at timestamptz NOT NULL DEFAULT now())"
            )
            for migration in _outstanding(migrations(store, folder), _applied(cursor), where):
                _apply(cursor, migration, where)
                done.append(migration.name)
                _log.info("applied migration %s", migration.name)
        finally:
            if not cursor.connection.closed:
                cursor.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))
    return done


def _apply(cursor: Any, migration: Migration, where: str) -> None:
    try:
        cursor.execute("BEGIN")
        if migration.as_migrator:
            cursor.execute("SET LOCAL ROLE migrator")
        cursor.execute(migration.text)
        cursor.execute("RESET ROLE")
        cursor.execute(
            "INSERT INTO schema_migrations (name, digest) VALUES (%s, %s)",
            (migration.name, migration.digest),
        )
        cursor.execute("COMMIT")
    except psycopg2.Error as error:
        if not cursor.connection.closed:
            cursor.execute("ROLLBACK")
        raise MigrationFailed(migration.name, where, " ".join(str(error).split())) from None


def _applied(cursor: Any) -> dict[str, str]:
    cursor.execute("SELECT name, digest FROM schema_migrations")
    return dict(cursor.fetchall())


def _outstanding(files: list[Migration], applied: dict[str, str], where: str) -> list[Migration]:
    for migration in files:
        if applied.get(migration.name, migration.digest) != migration.digest:
            raise DatabaseRefused(
                where,
                f"migration {migration.name} differs from what was applied",
                "restore the file and put the change into a new migration",
            )
    known = {migration.name for migration in files}
    stores = {name.partition("/")[0] for name in known}  # both stores may be one database
    unknown = sorted(n for n in applied if n.partition("/")[0] in stores and n not in known)
    if unknown:
        raise DatabaseRefused(
            where,
            f"its schema is newer than this version of the platform: it has {', '.join(unknown)}",
            "install the version that made it or a newer one, or restore a backup from before",
        )
    return [migration for migration in files if migration.name not in applied]


@contextmanager
def _session(engine: Engine) -> Iterator[Any]:
    """A driver's cursor outside transactions; the migrations begin and end their own."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        try:
            with closing(connection.connection.cursor()) as cursor:
                yield cursor
        except psycopg2.Error as error:
            raise explain(error, where_of(engine)) from None
