"""Engines on PostgreSQL, and what its driver says in the platform's words."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import sqlalchemy as sa
from psycopg2 import sql
from sqlalchemy.engine import Engine, ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError

from data_engineering.model.errors import (
    BadInput,
    DatabaseBusy,
    DatabaseRefused,
    DatabaseUnavailable,
    DiskFull,
    LascopfError,
)

CONNECT_SECONDS = 5
_LOG_SEGMENT_BYTES = 2 * 16 * 2**20  # one segment is in use while the next is made


def open_engine(url: str, role: str | None = None) -> Engine:
    """A small pool of sessions on a database; nothing is connected yet.

    Sessions are in UTC and named `lascopf`. Driver errors come out as the platform's errors.

    Args:
        url: `postgresql://...`.
        role: group role that sessions take on, so that they have its privileges only.

    Raises:
        BadInput: the URL is not one of PostgreSQL.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise BadInput("database URL", redact(url), "give postgresql://user@host/name") from None
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise BadInput("database URL", redact(url), "give postgresql://user@host/name")
    options: dict[str, Any] = {"application_name": "lascopf", "client_encoding": "utf8"}
    if "connect_timeout" not in parsed.query:
        options["connect_timeout"] = CONNECT_SECONDS
    engine = sa.create_engine(
        parsed.set(drivername="postgresql+psycopg2"),
        pool_size=2,
        max_overflow=4,
        pool_pre_ping=True,
        connect_args=options,
    )
    where = redact(url)

    @sa.event.listens_for(engine, "connect")
    def settle(connection: Any, _record: Any) -> None:
        _settle(connection, role, where)

    @sa.event.listens_for(engine, "handle_error")
    def translate(context: ExceptionContext) -> None:
        if isinstance(context.original_exception, psycopg2.Error) and not context.is_pre_ping:
            raise explain(context.original_exception, where) from None

    return engine


def with_password(url: str | None, password: str | None) -> str | None:
    """The URL with a password where it has a user and none; unreadable ones stay as they are."""
    if url is None or password is None:
        return url
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return url  # `open_engine` says what is wrong with it
    if parsed.username is None or parsed.password is not None:
        return url
    return parsed.set(password=password).render_as_string(hide_password=False)


def redact(url: str) -> str:
    """The URL without passwords, for messages."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return "(unreadable URL)"
    if "password" in parsed.query:
        parsed = parsed.update_query_dict({"password": "***"})
    return parsed.render_as_string(hide_password=True).replace("%2F", "/")


def where_of(engine: Engine) -> str:
    """The redacted URL of an engine."""
    url = engine.url.set(drivername="postgresql")
    return redact(url.render_as_string(hide_password=False))


@contextmanager
def driver_cursor(engine: Engine) -> Iterator[Any]:
    """A psycopg2 cursor in one transaction: committed at the end, rolled back by an error."""
    with engine.begin() as connection, closing(connection.connection.cursor()) as cursor:
        try:
            yield cursor
        except psycopg2.Error as error:
            raise explain(error, where_of(engine)) from None


def explain(error: psycopg2.Error, where: str) -> LascopfError:
    """The platform's error for one of the driver."""
    code = error.pgcode or ""
    words = [error.diag.message_primary or str(error), error.diag.message_detail or ""]
    reason = ". ".join(" ".join(word.split()) for word in words if word)
    if not code:
        return _explain_connection(reason, where)
    if code == "53100" or "No space left on device" in reason:
        return DiskFull(where, reason)
    if code in ("25P03", "40001", "40P01", "53200", "53300", "55P03"):
        return DatabaseBusy(where, reason)
    if code.startswith("08") or code in ("57P01", "57P02", "57P03", "57P05"):
        return _explain_silence(reason, where)
    if code.startswith("28") or code == "3D000":
        return DatabaseRefused(where, reason, "correct user, password or database in its URL")
    if code == "25006":
        return DatabaseRefused(where, reason, "use the URL of a server that takes writes")
    if code == "42501":
        return DatabaseRefused(where, reason, "use a login that has the role for this")
    if code in ("42P01", "42703", "42883"):
        return DatabaseRefused(where, reason, "correct the name, or run `lascopf db migrate`")
    if code[:2] in ("22", "23", "42"):
        return BadInput(error.diag.table_name or "statement", reason, "correct it")
    return DatabaseRefused(where, reason, "see the server's log")


def _explain_connection(reason: str, where: str) -> LascopfError:
    """Errors before there is a session carry no code, only words."""
    refusals = (
        "authentication failed",
        "no password supplied",
        "pg_hba.conf",
        "role ",
        "database ",
    )
    # A server that starts, stops or recovers says "the database system is ...".
    if any(word in reason for word in refusals) and "the database system is" not in reason:
        return DatabaseRefused(where, reason, "correct user, password or database in its URL")
    return _explain_silence(reason, where)


def _explain_silence(reason: str, where: str) -> LascopfError:
    """PostgreSQL ends when it cannot write its log; for a server of this machine we can look."""
    folder = make_url(where).query.get("host", "")
    local = isinstance(folder, str) and Path(folder).is_absolute() and Path(folder).is_dir()
    if local and shutil.disk_usage(str(folder)).free < _LOG_SEGMENT_BYTES:
        return DiskFull(str(folder))
    return DatabaseUnavailable(where, reason)


def _settle(connection: Any, role: str | None, where: str) -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET timezone = 'UTC'")
            if role is not None:
                cursor.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
        connection.commit()
    except psycopg2.Error as error:
        connection.close()
        if error.pgcode == "22023":
            remedy = "run `lascopf db migrate`"
        elif error.pgcode == "42501":
            remedy = f"let the login take it: GRANT {role} TO its user"
        else:
            raise explain(error, where) from None
        raise DatabaseRefused(where, " ".join(str(error).split()), remedy) from None
