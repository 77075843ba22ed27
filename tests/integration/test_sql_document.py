"""Every statement of docs/SQL.md and of the README runs on the migrated stores."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import Engine

from data_engineering.storage.database import open_engine
from data_engineering.storage.embedded import Embedded
from data_engineering.storage.metadata import query

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]


def statements(path: Path) -> list[tuple[str, str]]:
    """Store and text of each statement; those below the heading "Time series" are that store's."""
    found, store = [], "metadata"
    for heading, block in re.findall(
        r"^## ([^\n]*)$|```sql\n(.*?)```", path.read_text(), re.MULTILINE | re.DOTALL
    ):
        if heading:
            store = "timeseries" if heading == "Time series" else "metadata"
        else:
            found.append((store, block.strip()))
    return found


STATEMENTS = [
    pytest.param(store, text, id=f"{path.stem}-{number}")
    for path in (ROOT / "docs" / "SQL.md", ROOT / "README.md")
    for number, (store, text) in enumerate(statements(path), start=1)
]


@pytest.fixture(scope="module")
def engines(embedded_server: Embedded) -> Iterator[dict[str, Engine]]:
    engines = {
        "metadata": open_engine(embedded_server.metadata_url),
        "timeseries": open_engine(embedded_server.timeseries_url),
    }
    yield engines
    for engine in engines.values():
        engine.dispose()


def test_documents_have_statements_for_both_stores() -> None:
    stores = [store for store, _ in statements(ROOT / "docs" / "SQL.md")]
    assert stores.count("metadata") >= 10
    assert stores.count("timeseries") >= 4


@pytest.mark.parametrize(("store", "text"), STATEMENTS)
def test_statement_runs(store: str, text: str, engines: dict[str, Engine]) -> None:
    found = query(engines[store], text)
    assert len(found.columns) > 1
