"""The daily ingest: raw bytes, checked rows, core tables, one day at a time.

Every function takes the day and rewrites the same objects and rows when it runs again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from data_engineering.ingestion import rts_gmlc, scada_client, weather_api
from data_engineering.ingestion.sources import SOURCES, Source
from data_engineering.model.columns import Table
from data_engineering.model.errors import BadInput, ChecksFailed
from data_engineering.model.tables import (
    CONTINGENCIES,
    DATA_QUALITY_METRICS,
    GENERATOR_MEASUREMENTS,
    LOAD_FORECASTS,
    LOAD_MEASUREMENTS,
    POWER_MEASUREMENTS,
    REJECTED_ROWS,
    RENEWABLE_FORECASTS,
    RESERVE_REQUIREMENTS,
)
from data_engineering.model.time import Window
from data_engineering.orchestration.artifacts import register
from data_engineering.orchestration.steps import Facts, Progress
from data_engineering.runtime import Runtime
from data_engineering.storage import metadata, timeseries
from data_engineering.storage.topology import register_topology
from data_engineering.transformation.cleaners import clean
from data_engineering.transformation.converters import grid_from_rts_gmlc
from data_engineering.transformation.grid_document import grid_to_document
from data_engineering.transformation.horizon import contingencies_from_grid
from data_engineering.transformation.measurements import (
    generator_measurements,
    load_measurements,
)
from data_engineering.validation.checkpoints import (
    Batch,
    CheckOutcome,
    docs_page,
    open_context,
    rejected_rows,
    run_checkpoint,
    table_of,
)
from data_engineering.validation.quality_checks import References

log = logging.getLogger(__name__)

ROLE = "ingest"
VALID_FROM = datetime(2020, 1, 1, tzinfo=UTC)
"""RTS-GMLC describes the grid of 2020."""
DAYS_AHEAD = {RENEWABLE_FORECASTS.name: 2, LOAD_FORECASTS.name: 2, RESERVE_REQUIREMENTS.name: 2}
"""Days that a source gives for a run day, where it gives more than the day itself."""
MINUTES = {POWER_MEASUREMENTS.name: 5, LOAD_MEASUREMENTS.name: 5}
"""Interval of a source's rows, where it is not an hour."""


def extract(runtime: Runtime, day: date, source_name: str) -> Facts:
    """Put the raw bytes of one source and day into the object store.

    Raises:
        BadInput: no source has this name.
        SourceFileMissing, SourceFileBroken, DayOutsideData: the source cannot give the day.
    """
    if source_name not in SOURCES:
        raise BadInput("source", source_name, f"use one of {', '.join(SOURCES)}")
    source = SOURCES[source_name]
    raw = source.fetch(_folder(runtime), Window.of_day(day))
    stored = runtime.objects.write_bytes(_raw_key(runtime, source, day), raw)
    register(runtime, stored, "raw", day)
    return {"source": source_name, "uri": stored.uri, "bytes": stored.byte_count}


def validate(runtime: Runtime, day: date, run_id: str | None = None) -> Facts:
    """Parse the raw bytes of every source, check them, and keep the accepted rows.

    What each check found and each refused row are recorded before a failure is raised.

    Raises:
        ChecksFailed: a suite failed; nothing later in the run may use the day.
    """
    folder = _docs_folder(runtime, day)
    outcomes = {}
    with open_context(folder) as context:
        for source in SOURCES.values():
            outcomes[source.table.name] = _check(runtime, context, source, day, run_id)
    for name, outcome in outcomes.items():
        _record(runtime, name, day, outcome)
        runtime.objects.write_parquet(_key(runtime, "checked", name, day), outcome.accepted)
    failed = [line for outcome in outcomes.values() for line in outcome.failed]
    if failed:
        raise ChecksFailed(
            f"day {day.isoformat()} of {runtime.settings.case_name}",
            failed,
            "see data_quality_metrics and rejected_rows, correct the source, run the day again",
        )
    return {
        "day": day.isoformat(),
        "rows": sum(len(outcome.accepted) for outcome in outcomes.values()),
        "rejected": sum(len(outcome.rejected) for outcome in outcomes.values()),
        "data_docs": str(docs_page(folder)),
    }


def transform(runtime: Runtime, day: date) -> Facts:
    """Clean the checked rows, join them, and write core tables, grid and contingencies."""
    rows = {source.table.name: _cleaned(runtime, source, day) for source in SOURCES.values()}
    grid = grid_from_rts_gmlc(
        rts_gmlc.read_source_tables(_folder(runtime)), runtime.settings.case_name
    )
    rows[GENERATOR_MEASUREMENTS.name] = generator_measurements(
        rows[POWER_MEASUREMENTS.name], rows[RENEWABLE_FORECASTS.name], grid
    )
    rows[LOAD_MEASUREMENTS.name] = load_measurements(
        rows[LOAD_MEASUREMENTS.name], rows[LOAD_FORECASTS.name]
    )
    tables = (
        POWER_MEASUREMENTS,
        GENERATOR_MEASUREMENTS,
        LOAD_MEASUREMENTS,
        RENEWABLE_FORECASTS,
        LOAD_FORECASTS,
        RESERVE_REQUIREMENTS,
    )
    for table in tables:
        timeseries.write(runtime.timeseries, table, rows[table.name])
        stored = runtime.objects.write_parquet(
            _key(runtime, "core", table.name, day), rows[table.name]
        )
        register(runtime, stored, "processed", day)
    topology_id = register_topology(
        runtime.metadata, grid.case_name, grid_to_document(grid), VALID_FROM
    )
    outages = contingencies_from_grid(grid).assign(case_name=grid.case_name)
    metadata.write(runtime.metadata, CONTINGENCIES, outages)
    return {
        "day": day.isoformat(),
        "case": grid.case_name,
        "topology_id": topology_id,
        "rows": sum(len(rows[table.name]) for table in tables),
    }


def ingest_day(runtime: Runtime, day: date, progress: Progress) -> Facts:
    """The whole ingest of a day without Airflow."""
    for name in SOURCES:
        progress(f"extract {name}")
        extract(runtime, day, name)
    progress("validate")
    checked = validate(runtime, day)
    progress("transform")
    return {**checked, **transform(runtime, day)}


def validate_day(runtime: Runtime, checkpoint: str, day: date) -> Facts:
    """Run one checkpoint on the raw rows of a day, or on its core rows where no source gives them.

    Raises:
        BadInput: there is no such checkpoint.
        NoRows: the day was not ingested.
    """
    table = table_of(checkpoint)
    source = next((each for each in SOURCES.values() if each.table == table), None)
    folder = runtime.settings.home / "validation" / checkpoint / day.isoformat()
    with open_context(folder) as context:
        if source is not None:
            outcome = _check(runtime, context, source, day)
        else:
            frame = _core_rows(runtime, table, day)
            outcome = _run(runtime, context, table, frame, day)
    _record(runtime, table.name, day, outcome)
    return {
        "checkpoint": checkpoint,
        "day": day.isoformat(),
        "passed": outcome.passed,
        "rows": len(outcome.accepted),
        "rejected": len(outcome.rejected),
        "checks": int(outcome.metrics["success"].notna().sum()),
        "not_evaluated": int(outcome.metrics["success"].isna().sum()),
        "failed": list(outcome.failed),
        "data_docs": str(docs_page(folder)),
    }


def _check(
    runtime: Runtime, context: Any, source: Source, day: date, run_id: str | None = None
) -> CheckOutcome:
    key = _raw_key(runtime, source, day)
    if not runtime.objects.exists(key):
        extract(runtime, day, source.name)
    raw = runtime.objects.read_bytes(key)
    frame = source.parse(raw, Window.of_day(day), runtime.settings.case_name)
    return _run(runtime, context, source.table, frame, day, run_id)


def _run(
    runtime: Runtime,
    context: Any,
    table: Table,
    frame: pd.DataFrame,
    day: date,
    run_id: str | None = None,
) -> CheckOutcome:
    settings = runtime.settings
    return run_checkpoint(
        context,
        f"{table.name}_checkpoint",
        frame,
        Batch(settings.case_name, day, run_id),
        settings.quality,
        _references(runtime, table, day),
    )


def _references(runtime: Runtime, table: Table, day: date) -> References:
    """Window, interval, the elements that must be there, and the capability of units."""
    tables = rts_gmlc.read_source_tables(_folder(runtime))
    units = tables["gen"]
    capability = dict(zip(units["GEN UID"], units["PMax MW"].astype(float), strict=True))
    return References(
        window=_window(table, day),
        interval_minutes=_minutes(table),
        elements=_elements(runtime, table, tables),
        capability_mw=capability,
    )


def _elements(runtime: Runtime, table: Table, tables: Mapping[str, pd.DataFrame]) -> frozenset[str]:
    """Elements that the source has for a table; empty where it has none of its own."""
    areas = [f"area_{area}" for area in sorted(tables["bus"]["Area"].astype(str).unique())]
    if table in (LOAD_MEASUREMENTS, LOAD_FORECASTS):
        return frozenset(areas)
    if table == RESERVE_REQUIREMENTS:
        system = ("FLEX_DOWN", "FLEX_UP", "REG_DOWN", "REG_UP")
        return frozenset(
            [f"DAY_AHEAD/{product}/system" for product in system]
            + [f"DAY_AHEAD/SPIN_UP/{area}" for area in areas]
        )
    by_file = {
        POWER_MEASUREMENTS: scada_client.UNITS,
        GENERATOR_MEASUREMENTS: scada_client.UNITS,
        RENEWABLE_FORECASTS: weather_api.UNITS,
    }.get(table, {})
    kinds = [kind for kinds in by_file.values() for kind in kinds]
    return frozenset(rts_gmlc.unit_ids(_folder(runtime), kinds) if kinds else ())


def _core_rows(runtime: Runtime, table: Table, day: date) -> pd.DataFrame:
    window = _window(table, day)
    case = runtime.settings.case_name
    return timeseries.read(runtime.timeseries, table, window, case_name=case)


def _window(table: Table, day: date) -> Window:
    return Window.of_day(day, DAYS_AHEAD.get(table.name, 1))


def _minutes(table: Table) -> int:
    return 5 if table == GENERATOR_MEASUREMENTS else MINUTES.get(table.name, 60)


def _record(runtime: Runtime, name: str, day: date, outcome: CheckOutcome) -> None:
    where = {"case_name": runtime.settings.case_name, "table_name": name, "day": day}
    metadata.replace_batch(runtime.metadata, DATA_QUALITY_METRICS, outcome.metrics, where)
    metadata.replace_batch(runtime.metadata, REJECTED_ROWS, outcome.rejected, where)


def _cleaned(runtime: Runtime, source: Source, day: date) -> pd.DataFrame:
    """The cleaned rows of a source; what cleaning drops joins the rejected rows."""
    table, quality = source.table, runtime.settings.quality
    frame = runtime.objects.read_parquet(_key(runtime, "checked", table.name, day))
    result = clean(
        table,
        frame,
        _window(table, day),
        _minutes(table),
        stuck_hours=quality.stuck_hours,
        late_hours=quality.late_hours,
        gap_minutes=quality.gap_minutes,
    )
    if len(result.rejected):
        batch = Batch(runtime.settings.case_name, day)
        reasons = dict(zip(result.rejected.index, result.rejected["reason"], strict=True))
        dropped = rejected_rows(table, result.rejected.drop(columns="reason"), batch, reasons)
        metadata.write(runtime.metadata, REJECTED_ROWS, dropped)
    return result.frame


def _folder(runtime: Runtime) -> Path:
    return rts_gmlc.source_folder(runtime.settings.rts_gmlc_folder)


def _docs_folder(runtime: Runtime, day: date) -> Path:
    return runtime.settings.home / "validation" / runtime.settings.case_name / day.isoformat()


def _raw_key(runtime: Runtime, source: Source, day: date) -> str:
    case = runtime.settings.case_name
    return f"raw/{source.name}/case={case}/day={day.isoformat()}/rows.csv"


def _key(runtime: Runtime, layer: str, name: str, day: date) -> str:
    case = runtime.settings.case_name
    return f"{layer}/{name}/case={case}/day={day.isoformat()}/{name}.parquet"
