"""Databases and logins of a server of its own: made where they are missing, kept where they are.

Runs as a superuser, at the start of a deployment. Passwords are hashed here, by libpq: neither the
statement nor the server's log has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import encrypt_password
from sqlalchemy.engine import Engine

from data_engineering.storage.database import driver_cursor, explain, where_of


@dataclass(frozen=True)
class Login:
    """Who may log in, and the group roles that it may take on."""

    name: str
    password: str
    roles: Sequence[str] = ()


def ensure_login(engine: Engine, login: Login) -> bool:
    """Make a login, or give one that is there this password and these roles; whether it is new.

    Raises:
        BadInput: there is no such role.
        DatabaseRefused: the engine's login may not.
    """
    name = sql.Identifier(login.name)
    with driver_cursor(engine) as cursor:
        cursor.execute("SELECT FROM pg_roles WHERE rolname = %s", (login.name,))
        new = cursor.fetchone() is None
        if new:
            cursor.execute(sql.SQL("CREATE ROLE {} LOGIN").format(name))
        # The hash needs the connection itself: its server says which kind it wants.
        hashed = encrypt_password(login.password, login.name, cursor.connection, "scram-sha-256")
        cursor.execute(sql.SQL("ALTER ROLE {} LOGIN PASSWORD %s").format(name), (hashed,))
        for role in login.roles:
            cursor.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), name))
    return new


def ensure_database(engine: Engine, name: str, owner: str) -> bool:
    """Make a database that only its owner may enter; whether it is new.

    Raises:
        BadInput: there is no such owner.
        DatabaseRefused: the engine's login may not.
    """
    with _outside_transactions(engine) as cursor:
        cursor.execute("SELECT FROM pg_database WHERE datname = %s", (name,))
        new = cursor.fetchone() is None
        parts = {"name": sql.Identifier(name), "owner": sql.Identifier(owner)}
        try:
            if new:
                # Whatever the server's own encoding is.
                statement = sql.SQL(
                    "CREATE DATABASE {name} OWNER {owner} ENCODING 'UTF8' TEMPLATE template0"
                )
                cursor.execute(statement.format(**parts))
            cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {name} FROM PUBLIC").format(**parts))
        except psycopg2.Error as error:
            raise explain(error, where_of(engine)) from None
    return new


def close_database(engine: Engine, roles: Sequence[str]) -> None:
    """Let nobody but members of these roles (and superusers) into the engine's database."""
    with driver_cursor(engine) as cursor:
        name = sql.Identifier(str(engine.url.database))
        cursor.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(name))
        for role in roles:
            statement = sql.SQL("GRANT CONNECT ON DATABASE {} TO {}")
            cursor.execute(statement.format(name, sql.Identifier(role)))


@contextmanager
def _outside_transactions(engine: Engine) -> Iterator[Any]:
    """A cursor that commits by itself: CREATE DATABASE runs in no transaction."""
    with (
        engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
        closing(connection.connection.cursor()) as cursor,
    ):
        yield cursor
