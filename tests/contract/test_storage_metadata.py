"""The contract of the metadata store, on every server."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from declared_rows import rows_of
from sqlalchemy.engine import Engine

from data_engineering.model.columns import Table
from data_engineering.model.errors import BadInput, NoRows
from data_engineering.model.tables import (
    CONTINGENCIES,
    DATA_QUALITY_METRICS,
    LASCOPF_EXECUTIONS,
    LOAD_MEASUREMENTS,
    PIPELINE_EXECUTION_LOGS,
    REJECTED_ROWS,
    TABLES,
)
from data_engineering.storage import metadata
from data_engineering.storage.database import open_engine
from data_engineering.storage.metadata import query

START = datetime(2020, 7, 6, tzinfo=UTC)
HOUR = timedelta(hours=1)
RESULTS = {table.name: table for table in metadata.RESULTS}
GRID = {
    "base_mva": 100.0,
    "buses": [{"id": "b1"}, {"id": "b2"}],
    "branches": {"id": ["l1"], "r_pu": [0.1]},
    **{part: [] for part in ("generators", "loads", "storages")},
}


@pytest.fixture(scope="module")
def engine(metadata_url: str) -> Iterator[Engine]:
    """As the solving tasks are."""
    engine = open_engine(metadata_url, "optimizer")
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def ingest(metadata_url: str) -> Iterator[Engine]:
    engine = open_engine(metadata_url, "ingest")
    yield engine
    engine.dispose()


def an_execution(case: str, **changes: Any) -> dict[str, Any]:
    row = rows_of(LASCOPF_EXECUTIONS, 1, START, case_name=case).iloc[0].to_dict()
    fixed = {"execution_id": str(uuid.uuid4()), "topology_id": None, "objective_value": 12.5}
    return row | fixed | {"interval_count": 3, "interval_minutes": 60} | changes


def results_of(execution: dict[str, Any], count: int = 3) -> dict[str, pd.DataFrame]:
    fixed = {"execution_id": execution["execution_id"]}
    return {
        name: rows_of(table, count, START, **fixed).assign(
            **({"case_name": execution["case_name"]} if "case_name" in table.names else {})
        )
        for name, table in RESULTS.items()
    }


def everything(engine: Engine, table: Table, where: str) -> pd.DataFrame:
    """Rows with the number of the transaction that wrote them."""
    order = ", ".join(table.key)
    return query(engine, f"SELECT *, xmin::text FROM {table.name} WHERE {where} ORDER BY {order}")


@pytest.mark.parametrize(
    "table", [DATA_QUALITY_METRICS, REJECTED_ROWS, PIPELINE_EXECUTION_LOGS], ids=lambda t: t.name
)
def test_what_is_written_is_read_and_writing_again_changes_nothing(
    table: Table, ingest: Engine
) -> None:
    rows = rows_of(table, 30, START)
    assert metadata.write(ingest, table, rows) == 30
    before = everything(ingest, table, "true")
    assert metadata.write(ingest, table, rows) == 30
    pd.testing.assert_frame_equal(everything(ingest, table, "true"), before)
    ordered = rows.sort_values(list(table.key), ignore_index=True)
    for column in table.written:
        values = before.sort_values(list(table.key), ignore_index=True)[column.name]
        expected = ordered[column.name]
        pairs = zip(values, expected, strict=True)
        assert all(a == b or (pd.isna(a) and pd.isna(b)) for a, b in pairs), column.name


def test_audit_time_moves_with_the_row_only(ingest: Engine) -> None:
    rows = rows_of(DATA_QUALITY_METRICS, 2, START, case_name="audit")
    metadata.write(ingest, DATA_QUALITY_METRICS, rows)
    before = everything(ingest, DATA_QUALITY_METRICS, "case_name = 'audit'")
    rows.loc[0, "expected"] = "something else"
    metadata.write(ingest, DATA_QUALITY_METRICS, rows)
    after = everything(ingest, DATA_QUALITY_METRICS, "case_name = 'audit'")
    moved = after["recorded_at"] > before["recorded_at"]
    assert sorted(moved) == [False, True]
    assert after.loc[moved, "expected"].tolist() == ["something else"]


def test_lists_and_documents_come_back(engine: Engine) -> None:
    rows = rows_of(CONTINGENCIES, 12, START, case_name="lists")
    metadata.write(engine, CONTINGENCIES, rows)
    found = query(engine, "SELECT * FROM contingencies WHERE case_name = 'lists'")
    merged = found.merge(rows, on="contingency_id", suffixes=("", "_given"))
    assert len(merged) == 12
    assert merged["affected_branches"].tolist() == merged["affected_branches_given"].tolist()


def test_a_batch_takes_the_place_of_the_one_before(ingest: Engine) -> None:
    case = {"case_name": "batch"}
    first = rows_of(CONTINGENCIES, 5, START, case_name="batch")
    other = rows_of(CONTINGENCIES, 2, START, case_name="other")
    metadata.replace_batch(ingest, CONTINGENCIES, first, case)
    metadata.replace_batch(ingest, CONTINGENCIES, other, {"case_name": "other"})
    assert metadata.replace_batch(ingest, CONTINGENCIES, first.iloc[1:3], case) == 2
    ids = query(ingest, "SELECT case_name, contingency_id FROM contingencies ORDER BY 2")
    kept = ids.loc[ids["case_name"] == "batch", "contingency_id"]
    assert set(kept) == set(first["contingency_id"].iloc[1:3])
    assert (ids["case_name"] == "other").sum() == 2
    assert metadata.replace_batch(ingest, CONTINGENCIES, first.iloc[:0], case) == 0
    assert len(query(ingest, "SELECT 1 FROM contingencies WHERE case_name = 'batch'")) == 0


def test_batches_of_a_day(ingest: Engine) -> None:
    day = date(2020, 7, 6)
    rows = rows_of(DATA_QUALITY_METRICS, 4, START, case_name="day", day=pd.Timestamp(day))
    where = {"case_name": "day", "day": day}
    for count in (4, 2):
        assert (
            metadata.replace_batch(ingest, DATA_QUALITY_METRICS, rows.head(count), where) == count
        )
    found = query(ingest, "SELECT day FROM data_quality_metrics WHERE case_name = 'day'")
    assert found["day"].tolist() == [day] * 2
    with pytest.raises(BadInput, match="2020-07-06"):
        metadata.replace_batch(
            ingest, DATA_QUALITY_METRICS, rows, where | {"day": date(2020, 7, 7)}
        )


def test_a_batch_of_strangers_is_refused(ingest: Engine) -> None:
    rows = rows_of(CONTINGENCIES, 5, START, case_name="strange")
    for where in ({"case_name": "mine"}, {"nonsense": 1}, {}):
        with pytest.raises(BadInput):
            metadata.replace_batch(ingest, CONTINGENCIES, rows, where)


def test_results_replace_those_of_the_same_execution(engine: Engine) -> None:
    execution, other = an_execution("replace"), an_execution("replace")
    metadata.replace_results(engine, other, results_of(other))
    metadata.replace_results(engine, execution, results_of(execution, 5))
    shorter = results_of(execution, 2)
    del shorter["convergence_history"]
    metadata.replace_results(engine, execution | {"objective_value": 7.0}, shorter)

    def rows(name: str, of: dict[str, Any]) -> int:
        statement = f"SELECT 1 FROM {name} WHERE execution_id = :id"
        return len(query(engine, statement, {"id": of["execution_id"]}))

    kept = dict.fromkeys(RESULTS, 2) | {"convergence_history": 0}
    assert {name: rows(name, execution) for name in RESULTS} == kept
    assert {name: rows(name, other) for name in RESULTS} == dict.fromkeys(RESULTS, 3)
    found = query(
        engine,
        "SELECT * FROM lascopf_results WHERE execution_id = :id",
        {"id": execution["execution_id"]},
    )
    assert list(found.columns) == [
        "execution_id",
        "execution_time",
        "topology_id",
        "convergence_status",
        "objective_value",
        "solve_time_seconds",
        "iteration_count",
        "results_path",
        "metadata",
    ]
    assert found["objective_value"].tolist() == [7.0]
    assert found["metadata"].tolist() == [execution["metadata"]]


def test_result_numbers_come_from_the_key(engine: Engine) -> None:
    execution = an_execution("numbers")
    statement = "SELECT generator_id, result_id FROM generator_dispatch WHERE execution_id = :id"
    found = []
    for _ in range(2):
        metadata.replace_results(engine, execution, results_of(execution))
        found.append(query(engine, statement + " ORDER BY 1", {"id": execution["execution_id"]}))
    pd.testing.assert_frame_equal(found[0], found[1])
    assert found[0]["result_id"].is_unique


def test_a_failing_write_leaves_all_as_before(engine: Engine) -> None:
    execution = an_execution("rollback")
    metadata.replace_results(engine, execution, results_of(execution))
    where = f"execution_id = '{execution['execution_id']}'"
    tables = [LASCOPF_EXECUTIONS, *RESULTS.values()]
    before = [everything(engine, table, where) for table in tables]
    broken = results_of(execution, 2)
    broken["interval_results"]["time_interval"] = [1, -1]  # the server refuses it, late
    with pytest.raises(BadInput, match="time_interval"):
        metadata.replace_results(engine, execution | {"objective_value": 0.0}, broken)
    for table, rows in zip(tables, before, strict=True):
        pd.testing.assert_frame_equal(everything(engine, table, where), rows)


def test_results_of_another_execution_are_refused(engine: Engine) -> None:
    execution = an_execution("another")
    with pytest.raises(BadInput, match="execution_id"):
        metadata.replace_results(engine, execution, results_of(an_execution("another")))
    with pytest.raises(BadInput, match="contingencies"):
        metadata.replace_results(engine, execution, {"contingencies": pd.DataFrame()})


def test_results_go_with_their_execution(metadata_engine: Engine, engine: Engine) -> None:
    execution = an_execution("cascade")
    metadata.replace_results(engine, execution, results_of(execution))
    metadata.register_artifact(
        engine,
        uri="file:///cascade",
        kind="results",
        case_name="cascade",
        content_digest="0" * 64,
        byte_count=1,
        execution_id=execution["execution_id"],
        day=date(2020, 7, 6),
    )
    where = {"id": execution["execution_id"]}
    query(
        metadata_engine,
        "DELETE FROM lascopf_executions WHERE execution_id = :id RETURNING 1",
        where,
    )
    for name in RESULTS:
        assert len(query(engine, f"SELECT 1 FROM {name} WHERE execution_id = :id", where)) == 0
    artifact = query(engine, "SELECT * FROM artifacts WHERE uri = 'file:///cascade'").iloc[0]
    assert artifact["execution_id"] is None
    assert (artifact["day"], artifact["byte_count"]) == (date(2020, 7, 6), 1)


def test_artifacts_of_unknown_executions_are_refused(engine: Engine) -> None:
    with pytest.raises(BadInput, match="execution"):
        metadata.register_artifact(
            engine,
            uri="file:///unknown",
            kind="results",
            case_name="x",
            content_digest="0" * 64,
            byte_count=1,
            execution_id=str(uuid.uuid4()),
        )


def test_summaries_are_what_pandas_says(engine: Engine) -> None:
    execution = an_execution("views", interval_minutes=30)
    tables = results_of(execution, 6)
    dispatch = tables["generator_dispatch"]
    for name in ("generator_id", "generator_type", "fuel", "bus_id"):
        dispatch[name] = ["g1", "g1", "g1", "g2", "g2", "g2"]
    buses = tables["bus_results"]
    buses["bus_id"] = ["b1", "b1", "b1", "b2", "b2", "b2"]
    buses["contingency_id"] = ["base"] * 5 + ["an outage"]  # counts in no price
    metadata.replace_results(engine, execution, tables)
    where = {"id": execution["execution_id"]}

    units = dispatch.groupby("generator_id")
    expected = pd.DataFrame(
        {
            "energy_mwh": units["active_power"].sum() * 0.5,
            "average_mw": units["active_power"].mean(),
            "peak_mw": units["active_power"].max(),
            "hours_on": units["commitment_status"].sum() * 0.5,
            "curtailed_mwh": units["curtailed_mw"].sum() * 0.5,
            "production_cost_usd": units["cost_usd"].sum(),
        }
    )
    found = query(
        engine,
        "SELECT * FROM v_generator_dispatch_summary WHERE execution_id = :id ORDER BY generator_id",
        where,
    ).set_index("generator_id")
    pd.testing.assert_frame_equal(found[expected.columns], expected, check_dtype=False, rtol=1e-12)

    prices = buses[buses["contingency_id"] == "base"].groupby("bus_id")["lmp_total"]
    expected = pd.DataFrame(
        {
            "priced_intervals": prices.count(),
            "lmp_min": prices.min(),
            "lmp_average": prices.mean(),
            "lmp_max": prices.max(),
            "lmp_deviation": prices.std(ddof=0),
        }
    )
    found = query(
        engine, "SELECT * FROM v_lmp_statistics WHERE execution_id = :id ORDER BY bus_id", where
    ).set_index("bus_id")
    pd.testing.assert_frame_equal(found[expected.columns], expected, check_dtype=False, rtol=1e-12)


def test_latest_execution_of_each_horizon(engine: Engine) -> None:
    shared = {"kind": "dcopf", "horizon_start": START}
    old = an_execution("latest", **shared, execution_time=START)
    new = an_execution("latest", **shared, execution_time=START + HOUR)
    next_day = an_execution("latest", kind="dcopf", horizon_start=START + 24 * HOUR)
    for execution in (new, old, next_day):
        metadata.replace_results(engine, execution, {})
    found = query(
        engine,
        "SELECT execution_id, horizon_end FROM v_latest_executions WHERE case_name = 'latest' "
        "ORDER BY horizon_start",
    )
    assert found["execution_id"].tolist() == [new["execution_id"], next_day["execution_id"]]
    assert found["horizon_end"].tolist() == [START + 3 * HOUR, START + 27 * HOUR]


def versions(engine: Engine, case: str) -> list[tuple[Any, ...]]:
    found = query(
        engine,
        "SELECT topology_id, version, valid_from, valid_until FROM network_topology "
        "WHERE case_name = :case ORDER BY version",
        {"case": case},
    )
    found = found.astype(object).where(found.notna(), None)
    return list(found.itertuples(index=False, name=None))


def test_equal_grids_keep_their_number(engine: Engine) -> None:
    first = metadata.register_topology(engine, "equal", GRID, START)
    shuffled = dict(reversed(GRID.items()))
    assert metadata.register_topology(engine, "equal", shuffled, START + 48 * HOUR) == first
    assert metadata.register_topology(engine, "equal", GRID, START - 24 * HOUR) == first
    assert versions(engine, "equal") == [(first, 1, START - 24 * HOUR, None)]
    assert metadata.register_topology(engine, "another case", GRID, START) != first


def test_a_new_grid_ends_the_old_one(engine: Engine) -> None:
    other = GRID | {"base_mva": 10.0}
    first = metadata.register_topology(engine, "ends", GRID, START)
    second = metadata.register_topology(engine, "ends", other, START + 24 * HOUR)
    assert versions(engine, "ends") == [
        (first, 1, START, START + 24 * HOUR),
        (second, 2, START + 24 * HOUR, None),
    ]
    assert metadata.register_topology(engine, "ends", GRID, START + HOUR) == first
    assert metadata.register_topology(engine, "ends", other, START + 48 * HOUR) == second
    third = metadata.register_topology(engine, "ends", GRID, START + 48 * HOUR)  # and back again
    assert third not in (first, second)
    between = metadata.register_topology(engine, "ends", GRID | {"x": 1}, START + 2 * HOUR)
    assert versions(engine, "ends") == [
        (first, 1, START, START + 2 * HOUR),
        (second, 2, START + 24 * HOUR, START + 48 * HOUR),
        (third, 3, START + 48 * HOUR, None),
        (between, 4, START + 2 * HOUR, START + 24 * HOUR),
    ]
    assert metadata.read_topology(engine, second) == other


def test_counts_of_a_grid(engine: Engine) -> None:
    number = metadata.register_topology(engine, "counts", GRID, START)
    row = query(
        engine, "SELECT * FROM network_topology WHERE topology_id = :i", {"i": number}
    ).iloc[0]
    assert (row["bus_count"], row["branch_count"], row["generator_count"]) == (2, 1, 0)
    assert row["base_mva"] == 100.0
    assert row["system_data"] == GRID


@pytest.mark.parametrize(
    "document",
    [
        GRID | {"base_mva": float("nan")},
        GRID | {"base_mva": 0},
        GRID | {"buses": None},
        GRID | {"x": object()},
        {},
    ],
)
def test_what_is_no_grid_is_refused(document: dict[str, Any], engine: Engine) -> None:
    with pytest.raises(BadInput):
        metadata.register_topology(engine, "broken", document, START)
    assert versions(engine, "broken") == []


def test_unknown_topologies_and_tables_are_refused(engine: Engine) -> None:
    with pytest.raises(NoRows, match="999999"):
        metadata.read_topology(engine, 999_999)
    with pytest.raises(BadInput, match="load_measurements"):
        metadata.write(engine, LOAD_MEASUREMENTS, rows_of(LOAD_MEASUREMENTS, 1, START))
    with pytest.raises(BadInput, match="network_topology"):
        metadata.write(engine, TABLES["network_topology"], pd.DataFrame())
