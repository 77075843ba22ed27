"""From settings to open stores."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from declared_rows import rows_of

from data_engineering.model.errors import DatabaseRefused
from data_engineering.model.tables import ARTIFACTS, LOAD_MEASUREMENTS
from data_engineering.model.time import Window
from data_engineering.runtime import open_runtime, store_urls
from data_engineering.settings import Settings
from data_engineering.storage import embedded, metadata, timeseries
from data_engineering.storage.metadata import query
from data_engineering.storage.migrations import migrate

pytestmark = pytest.mark.integration

START = datetime(2020, 7, 6, tzinfo=UTC)


def test_without_urls_all_is_below_home() -> None:
    with tempfile.TemporaryDirectory(prefix="lascopf-test-") as folder:
        settings = Settings(home=Path(folder))
        try:
            with open_runtime(settings) as runtime:
                assert embedded.running(settings.home)
                assert migrate(runtime.timeseries, "timeseries")
                assert migrate(runtime.metadata, "metadata")
                stored = runtime.objects.write_bytes("a/b", b"x")
            urls = store_urls(settings)
            assert stored.uri == f"{urls.objects}/a/b" == f"file://{folder}/objects/a/b"
            databases = [
                url.partition("?")[0] for url in (urls.timeseries, urls.metadata, urls.airflow)
            ]
            assert databases == [
                "postgresql://postgres@/powerlascopf",
                "postgresql://postgres@/lascopf_metadata",
                "postgresql://postgres@/airflow",
            ]
        finally:
            embedded.stop(settings.home)


def test_with_urls_nothing_embedded_is_started(store_settings: Settings) -> None:
    with open_runtime(store_settings) as runtime:
        assert query(runtime.metadata, "SELECT count(*) AS n FROM artifacts")["n"].tolist() == [0]
    assert not (store_settings.home / "postgres").exists()


def test_a_role_has_its_privileges_only(store_settings: Settings) -> None:
    rows = rows_of(LOAD_MEASUREMENTS, 3, START, case_name="x")
    with open_runtime(store_settings, "ingest") as runtime:
        assert query(runtime.metadata, "SELECT current_user AS u")["u"].tolist() == ["ingest"]
        assert timeseries.write(runtime.timeseries, LOAD_MEASUREMENTS, rows) == 3
    with open_runtime(store_settings, "optimizer") as runtime:
        window = Window.of_day(START.date())
        read = timeseries.read(runtime.timeseries, LOAD_MEASUREMENTS, window, case_name="x")
        assert len(read) == 3
        with pytest.raises(DatabaseRefused, match="permission denied"):
            timeseries.write(runtime.timeseries, LOAD_MEASUREMENTS, rows)


def test_the_role_lasts_through_errors_and_transactions(store_settings: Settings) -> None:
    with open_runtime(store_settings, "api_ro") as runtime:
        for _ in range(3):
            with pytest.raises(DatabaseRefused, match="permission denied"):
                metadata.write(runtime.metadata, ARTIFACTS, rows_of(ARTIFACTS, 1, START))
            assert query(runtime.metadata, "SELECT current_user AS u")["u"].tolist() == ["api_ro"]


def test_sessions_are_named_in_utc_and_closed(store_settings: Settings) -> None:
    statement = "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = :name"
    watcher = open_runtime(store_settings).metadata
    with open_runtime(store_settings) as runtime:
        facts = query(
            runtime.timeseries,
            "SELECT current_setting('timezone') AS zone, "
            "current_setting('application_name') AS app",
        )
        assert facts.iloc[0].tolist() == ["UTC", "lascopf"]
        name = {"name": runtime.timeseries.url.database}
        assert query(watcher, statement, name)["n"].tolist() == [1]
    for _ in range(100):  # the server notices the closed session a moment later
        if query(watcher, statement, name)["n"].tolist() == [0]:
            break
    assert query(watcher, statement, name)["n"].tolist() == [0]
    watcher.dispose()
