"""A day through both pipelines without Airflow: the same twice, faults stopped with a reason."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from data_engineering.ingestion import rts_gmlc
from data_engineering.model.errors import ChecksFailed, NoRows, SourceFileBroken, UnknownCase
from data_engineering.model.tables import TABLES
from data_engineering.orchestration import daily_ingest, model_execution
from data_engineering.runtime import open_runtime
from data_engineering.serving.publish import report
from data_engineering.serving.results import load_execution
from data_engineering.storage.metadata import query

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("default"),  # Great Expectations' own
]

DAY = date(2020, 7, 6)
CHANGING = {"recorded_at", "execution_time", "solve_time_seconds", "elapsed_seconds", "metadata"}
"""Columns that say when and how long; all others must repeat."""
AFTER_OUTAGES = ("bus_results", "branch_flow_results")


def content(runtime) -> dict[str, pd.DataFrame]:
    """Every row of every table, without the columns that say when."""
    found = {}
    for table in TABLES.values():
        engine = runtime.timeseries if table.store == "timeseries" else runtime.metadata
        order = ", ".join(table.key)
        rows = query(engine, f"SELECT * FROM {table.name} ORDER BY {order}")
        found[table.name] = rows.drop(columns=list(CHANGING & set(rows.columns))).astype(str)
    # A report and the parquet of the history hold the times; only their number must repeat.
    varying = found["artifacts"]["kind"].isin(["report", "results"])
    found["artifacts"].loc[varying, ["digest", "byte_count"]] = ""
    return found


WANTED = {
    "case": "rts_gmlc",
    "kind": "lascopf",
    "method": "default",
    "outages": "n-1",
    "horizon": 24,
    "commitment": "relaxed",
    "solver": "highs",
}


def run_day(runtime):
    daily_ingest.ingest_day(runtime, DAY, lambda _: None)
    facts = model_execution.solve_day(runtime, DAY, WANTED, progress=lambda _: None)
    spec = {"case": "rts_gmlc", "day": DAY.isoformat(), "execution_id": facts["execution_id"]}
    return facts, report(runtime, spec)


def test_a_day_twice_leaves_exactly_the_same_rows(store_settings):
    with open_runtime(store_settings) as runtime:
        facts, written = run_day(runtime)
        first = content(runtime)
        again, _ = run_day(runtime)
        second = content(runtime)
    assert facts["execution_id"] == again["execution_id"]
    for name in TABLES:
        pd.testing.assert_frame_equal(first[name], second[name], obj=name)
    counts = {name: len(rows) for name, rows in first.items()}
    # 80 measured units and 3 areas every 5 minutes; 81 and 3 forecasts, 7 reserves for 48 hours.
    assert counts["power_measurements"] == counts["generator_measurements"] == 80 * 288
    assert counts["load_measurements"] == 3 * 288
    assert counts["renewable_forecasts"] == 81 * 48
    assert counts["reserve_requirements"] == 7 * 48
    assert counts["contingencies"] == 120
    assert counts["generator_dispatch"] == 158 * 24
    base = {name: (first[name]["contingency_id"] == "base").sum() for name in AFTER_OUTAGES}
    assert base == {"bus_results": 73 * 24, "branch_flow_results": 121 * 24}
    assert counts["branch_flow_results"] > 121 * 24  # limits that bind after an outage
    assert counts["price_causes"] > 0
    assert counts["rejected_rows"] == 0
    assert written["report"].endswith(f"{facts['execution_id']}.html")


def test_what_is_stored_adds_up(store_settings):
    with open_runtime(store_settings) as runtime:
        facts, _ = run_day(runtime)
        found = load_execution(runtime.metadata, "rts_gmlc", DAY)
        forecast = query(
            runtime.timeseries,
            "SELECT target_time, sum(forecasted_load_mw) AS mw FROM load_forecasts "
            "WHERE target_time < '2020-07-07Z' GROUP BY 1 ORDER BY 1",
        )
    intervals = found.tables["interval_results"]
    assert intervals["load_mw"].to_numpy() == pytest.approx(forecast["mw"].to_numpy(), abs=1e-6)
    cost = intervals[["production_cost_usd", "start_cost_usd", "penalty_usd"]].to_numpy().sum()
    assert found.execution["objective_value"] == pytest.approx(facts["objective"], rel=1e-12)
    assert cost == pytest.approx(facts["objective"], rel=1e-9)
    assert intervals["ac_converged"].all()


def test_a_day_that_was_not_ingested_is_not_solved(store_settings):
    with open_runtime(store_settings) as runtime:
        with pytest.raises(NoRows, match="lascopf ingest --day 2020-07-06"):
            model_execution.plan(runtime, DAY, WANTED, {})
        with pytest.raises(UnknownCase, match="atlantis"):
            model_execution.plan(runtime, DAY, {**WANTED, "case": "atlantis"}, {})


@pytest.fixture
def own_source(tmp_path: Path) -> Path:
    folder = tmp_path / "rts"
    shutil.copytree(rts_gmlc.source_folder(None), folder)
    return folder


def test_a_truncated_source_stops_the_day_before_any_row(store_settings, own_source):
    wind = own_source / "timeseries_data_files/WIND/REAL_TIME_wind.csv"
    lines = wind.read_bytes().splitlines(keepends=True)
    wind.write_bytes(b"".join(lines[: 200 * 288 // 2]) + b"2020,7,")
    settings = store_settings.model_copy(update={"rts_gmlc_folder": own_source})
    with open_runtime(settings) as runtime:
        with pytest.raises(SourceFileBroken, match="REAL_TIME_wind"):
            daily_ingest.ingest_day(runtime, date(2020, 12, 1), lambda _: None)
        assert (
            query(runtime.timeseries, "SELECT count(*) AS n FROM power_measurements")["n"][0] == 0
        )


def test_a_day_beyond_capability_fails_its_suite_and_says_why(store_settings, own_source):
    """All wind of the day at 3000 MW: the rows are rejected, too many of them fail the suite."""
    wind = own_source / "timeseries_data_files/WIND/REAL_TIME_wind.csv"
    lines = wind.read_text().splitlines()
    for k, line in enumerate(lines):
        if line.startswith("2020,7,6,"):
            lines[k] = ",".join([*line.split(",")[:4], "3000", "3000", "3000", "3000"])
    wind.write_text("\n".join(lines) + "\n")
    settings = store_settings.model_copy(update={"rts_gmlc_folder": own_source})
    with open_runtime(settings) as runtime:
        with pytest.raises(ChecksFailed, match="rejected"):
            daily_ingest.ingest_day(runtime, DAY, lambda _: None)
        rejected = query(
            runtime.metadata, "SELECT count(*) AS n, min(reason) AS why FROM rejected_rows"
        )
        written = query(runtime.timeseries, "SELECT count(*) AS n FROM power_measurements")
        failed = query(
            runtime.metadata, "SELECT check_name FROM data_quality_metrics WHERE success IS FALSE"
        )
    assert rejected["n"][0] == 4 * 288
    assert "capability" in rejected["why"][0]
    assert written["n"][0] == 0
    assert {"batch:rejected_share"} <= set(failed["check_name"])
