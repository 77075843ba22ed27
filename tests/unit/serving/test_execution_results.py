"""Executions read back from a real metadata database."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import date
from typing import Any

import pandas as pd
import pytest
import report_example as example
from databases import StoreDatabases
from sqlalchemy.engine import Engine

from data_engineering.model.errors import BadInput, NoRows
from data_engineering.model.tables import DATA_QUALITY_METRICS, REJECTED_ROWS
from data_engineering.serving import summary
from data_engineering.serving.report import build_report
from data_engineering.serving.results import RESULTS, load_execution
from data_engineering.storage import metadata
from data_engineering.storage.database import open_engine

pytestmark = pytest.mark.integration

DAY = date(2020, 7, 6)


@pytest.fixture
def engine(store_databases: StoreDatabases) -> Iterator[Engine]:
    engine = open_engine(store_databases.metadata_url)
    yield engine
    engine.dispose()


def store(engine: Engine, **changes: Any) -> dict[str, Any]:
    """Write the example's execution, with some columns changed, and its results."""
    row = example.execution() | {"penalties": "{}", "tolerances": "{}", "topology_id": None}
    row["metadata"] = json.dumps(row["metadata"])
    row = {
        name: value
        for name, value in row.items()
        if name not in ("topology_digest", "topology_version")
    }
    row |= changes
    frames = {
        name: frame.assign(execution_id=row["execution_id"])
        for name, frame in example.tables().items()
    }
    typed = {table.name: table.typed(frames[table.name]) for table in RESULTS}
    metadata.replace_results(engine, row, typed)
    return row


def test_execution_comes_back_as_it_was_written(engine: Engine) -> None:
    number = metadata.register_topology(
        engine,
        "rts_gmlc",
        {**example.topology(), "base_mva": 100.0, "generators": [], "loads": [], "storages": []},
        pd.Timestamp("2020-01-01", tz="UTC").to_pydatetime(),
    )
    row = store(engine, topology_id=number)
    found = load_execution(engine, "rts_gmlc", DAY)
    assert found.execution["execution_id"] == row["execution_id"]
    assert found.execution["horizon_start"] == row["horizon_start"]
    assert len(found.execution["topology_digest"]) == 64
    assert found.execution["topology_version"] == 1
    assert found.topology["buses"] == example.topology()["buses"]
    for table in RESULTS:
        wanted = table.typed(example.tables()[table.name])
        wanted = wanted.sort_values(list(table.key), ignore_index=True)
        pd.testing.assert_frame_equal(found.tables[table.name], wanted)


def test_report_and_summary_work_from_sql(engine: Engine) -> None:
    store(engine)
    quality, rejected = example.quality(), example.rejected()
    metadata.write(engine, DATA_QUALITY_METRICS, DATA_QUALITY_METRICS.typed(quality))
    metadata.write(engine, REJECTED_ROWS, REJECTED_ROWS.typed(rejected))
    found = load_execution(engine, "rts_gmlc", DAY)
    counts = summary.data_quality(found.quality, found.rejected)
    assert counts["checks"].sum() == len(quality)
    assert counts["rejected rows"].sum() == 3
    page = build_report(
        found.execution, found.tables, found.quality, found.rejected, found.topology
    )
    given = build_report(
        {
            **example.execution(),
            "topology_id": None,
            "topology_digest": None,
            "topology_version": None,
        },
        example.tables(),
        quality,
        rejected,
        None,
    )
    assert page == given, "frames from SQL and frames at hand are the same to the report"


def test_newest_execution_of_the_day_is_found(engine: Engine) -> None:
    first = store(engine)
    newer = str(uuid.uuid4())
    store(engine, execution_id=newer, execution_time=pd.Timestamp("2020-07-05T13:00Z"))
    next_day = str(uuid.uuid4())
    store(
        engine,
        execution_id=next_day,
        horizon_start=pd.Timestamp("2020-07-07T00:00Z"),
        execution_time=pd.Timestamp("2020-07-06T13:00Z"),
    )
    other_case = str(uuid.uuid4())
    store(engine, execution_id=other_case, case_name="other")

    def identity(*arguments: Any, **words: Any) -> str:
        return str(load_execution(engine, *arguments, **words).execution["execution_id"])

    assert identity("rts_gmlc", DAY) == newer
    assert identity("rts_gmlc") == next_day
    assert identity("rts_gmlc", execution_id=first["execution_id"]) == first["execution_id"]
    assert identity("other", DAY) == other_case


def test_nothing_found_says_where_and_what_to_do(engine: Engine) -> None:
    with pytest.raises(NoRows, match=r"rts_gmlc on 2020-07-06; solve it with .*--day 2020-07-06"):
        load_execution(engine, "rts_gmlc", DAY)
    unknown = str(uuid.uuid4())
    with pytest.raises(NoRows, match=unknown):
        load_execution(engine, "rts_gmlc", execution_id=unknown)
    with pytest.raises(BadInput, match="give the UUID"):
        load_execution(engine, "rts_gmlc", execution_id="'; DROP TABLE bus_results")
