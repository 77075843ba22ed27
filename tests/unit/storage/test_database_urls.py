"""Passwords never show, URLs stay readable."""

from __future__ import annotations

import pytest

from data_engineering.storage.database import open_engine, redact, where_of, with_password

SECRET = "s3cr%2Fet"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"postgresql://u:{SECRET}@host:5432/db", "postgresql://u:***@host:5432/db"),
        ("postgresql://u@/db?host=/a/b", "postgresql://u@/db?host=/a/b"),
        (f"postgresql://u@host/db?password={SECRET}", "postgresql://u@host/db?password=%2A%2A%2A"),
        (f"postgresql://u:{SECRET}@host:port/db", "(unreadable URL)"),
        (SECRET, "(unreadable URL)"),
    ],
)
def test_redacted(url: str, shown: str) -> None:
    assert redact(url) == shown


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg2", "postgresql+asyncpg"])
def test_engines_use_one_driver_and_hide_passwords(scheme: str) -> None:
    engine = open_engine(f"{scheme}://u:{SECRET}@host/db")
    assert engine.url.drivername == "postgresql+psycopg2"
    assert where_of(engine) == "postgresql://u:***@host/db"


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("postgresql://who@host:5432/name", "postgresql://who:p%40ss@host:5432/name"),
        ("postgresql://who:own@host/name", "postgresql://who:own@host/name"),
        ("postgresql://host/name", "postgresql://host/name"),
        ("not a URL", "not a URL"),
        (None, None),
    ],
)
def test_a_password_of_its_own_goes_where_a_url_has_a_user_alone(
    url: str | None, wanted: str | None
) -> None:
    assert with_password(url, "p@ss") == wanted
    assert with_password(url, None) == url
