"""The embedded PostgreSQL: starts, stops, survives, and says what is wrong."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import psycopg2
import pytest
from declared_rows import rows_of
from sqlalchemy.ext.asyncio import create_async_engine

from data_engineering.model.errors import BadInput, DatabaseRefused, DiskFull, ProcessFailed
from data_engineering.model.tables import LOAD_MEASUREMENTS, POWER_MEASUREMENTS
from data_engineering.model.time import Window
from data_engineering.storage import embedded, timeseries
from data_engineering.storage.cluster import Cluster
from data_engineering.storage.database import open_engine
from data_engineering.storage.metadata import query
from data_engineering.storage.migrations import migrate

pytestmark = pytest.mark.integration

TABLES_SQL = "SELECT relname FROM pg_class WHERE relname = 'kept'"


@pytest.fixture
def home() -> Iterator[Path]:
    """A state folder; whatever runs in it is stopped at the end."""
    with tempfile.TemporaryDirectory(prefix="lascopf-test-") as folder:
        yield Path(folder)
        embedded.stop(Path(folder))


def processes(home: Path) -> list[psutil.Process]:
    """Servers on the data folder of `home`."""
    data = str(home / "postgres" / "data")
    return [
        process
        for process in psutil.process_iter(["name", "cmdline"])
        if process.info["name"] == "postgres" and data in (process.info["cmdline"] or [])
    ]


def ask(url: str, statement: str = "SELECT 1 AS one") -> list[Any]:
    engine = open_engine(url)
    try:
        return query(engine, statement).iloc[:, 0].tolist()
    finally:
        engine.dispose()


def test_starts_stops_and_starts_again(home: Path) -> None:
    assert not embedded.running(home)
    assert not embedded.stop(home)
    first = embedded.start(home)
    assert embedded.running(home)
    assert embedded.start(home) == first
    assert len(processes(home)) == 1
    connection = psycopg2.connect(first.timeseries_url)
    connection.cursor().execute("CREATE TABLE kept (x int); COMMIT")
    assert embedded.stop(home)  # though a session is open
    connection.close()
    assert processes(home) == []
    assert not embedded.running(home)
    assert not embedded.stop(home)
    assert ask(embedded.start(home).timeseries_url, TABLES_SQL) == ["kept"]


def test_urls_work_for_every_client(home: Path) -> None:
    urls = embedded.start(home)
    names = [urls.airflow_url, urls.timeseries_url, urls.metadata_url]
    databases = ["airflow", "powerlascopf", "lascopf_metadata"]
    for url, database in zip(names, databases, strict=True):
        assert ask(url, "SELECT current_database()") == [database]
    psql = Cluster.of(home)._program("psql")
    command = [psql, urls.metadata_url, "-Atc", "SELECT current_database()"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.strip() == "lascopf_metadata"

    async def by_asyncpg() -> list[Any]:
        connection = await asyncpg.connect(urls.airflow_url)
        found = [await connection.fetchval("SELECT current_database()")]
        await connection.close()
        # Airflow derives the URL of its asynchronous sessions like this.
        engine = create_async_engine(urls.airflow_url.replace("postgresql:", "postgresql+asyncpg:"))
        async with engine.connect() as session:
            found.append((await session.exec_driver_sql("SELECT current_database()")).scalar())
        await engine.dispose()
        return found

    assert asyncio.run(by_asyncpg()) == ["airflow", "airflow"]


def test_only_a_private_socket_is_open(home: Path) -> None:
    urls = embedded.start(home)
    assert ask(urls.timeseries_url, "SHOW listen_addresses") == [""]
    (server,) = processes(home)
    assert server.net_connections("inet") == []
    for path in (home / "postgres", home / "postgres" / "data"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    if os.geteuid() == 0:
        assert server.uids().effective != 0


def test_outlives_the_process_that_started_it(home: Path) -> None:
    context = multiprocessing.get_context("spawn")
    starter = context.Process(target=embedded.start, args=(home,))
    starter.start()
    starter.join()
    assert starter.exitcode == 0
    (server,) = processes(home)
    assert os.getsid(server.pid) != os.getsid(0)  # Ctrl-C in our terminal does not reach it
    assert embedded.running(home)
    assert ask(embedded.start(home).timeseries_url) == [1]


def test_processes_that_start_it_at_once_get_one_server(home: Path) -> None:
    with ProcessPoolExecutor(3, multiprocessing.get_context("spawn")) as pool:
        urls = list(pool.map(embedded.start, [home] * 6))
    assert len(set(urls)) == 1
    assert len(processes(home)) == 1
    assert ask(urls[0].airflow_url) == [1]


def test_recovers_from_kill(home: Path) -> None:
    url = embedded.start(home).timeseries_url
    connection = psycopg2.connect(url)
    connection.cursor().execute("CREATE TABLE kept (x int); COMMIT")
    (server,) = processes(home)
    server.send_signal(signal.SIGKILL)
    server.wait(10)
    assert not embedded.running(home)
    assert (home / "postgres" / "data" / "postmaster.pid").exists()
    assert ask(embedded.start(home).timeseries_url, TABLES_SQL) == ["kept"]
    connection.close()


def test_another_process_with_the_old_id_is_left_alone(home: Path) -> None:
    embedded.start(home)
    embedded.stop(home)
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        stale = home / "postgres" / "data" / "postmaster.pid"
        stale.write_text(f"{bystander.pid}\n{stale.parent}\n1\n5432\n{home}\n\n1 1\nready\n")
        assert not embedded.running(home)
        assert not embedded.stop(home)
        assert ask(embedded.start(home).timeseries_url) == [1]
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_an_interrupted_making_is_begun_anew(home: Path) -> None:
    half = home / "postgres" / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    assert ask(embedded.start(home).timeseries_url) == [1]
    assert not half.exists()


def test_starts_anew_where_the_folder_was_deleted_under_it(home: Path) -> None:
    embedded.start(home)
    (old,) = processes(home)
    shutil.rmtree(home / "postgres")
    url = embedded.start(home).timeseries_url
    assert not old.is_running()
    assert ask(url) == [1]


def test_a_long_path_gets_its_socket_elsewhere(home: Path) -> None:
    long = home / ("a long name with spaces & signs % " * 5)
    urls = embedded.start(long)
    try:
        assert ask(urls.metadata_url) == [1]
        folder = Path(ask(urls.metadata_url, "SHOW unix_socket_directories")[0])
        assert not folder.is_relative_to(home)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    finally:
        assert embedded.stop(long)


def test_a_path_that_is_too_long_everywhere_is_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data_engineering.storage.cluster._SOCKET_PATH_BYTES", 20)
    with pytest.raises(BadInput, match="shorter path"):
        embedded.start(home)


@pytest.mark.parametrize("name", ["file/home", "/proc/lascopf"])
def test_a_home_that_cannot_be_made(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="LASCOPF_HOME") as caught:
        embedded.start(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_data_folder_of_another_version_is_left_alone(home: Path) -> None:
    data = home / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("12\n")
    with pytest.raises(DatabaseRefused, match="PostgreSQL 12"):
        embedded.start(home)
    assert [path.name for path in data.iterdir()] == ["PG_VERSION"]


def test_a_server_that_cannot_start_has_its_last_words_told(home: Path) -> None:
    embedded.start(home)
    embedded.stop(home)
    with (home / "postgres" / "data" / "postgresql.conf").open("a") as configuration:
        configuration.write("nonsense_setting = 1\n")
    with pytest.raises(ProcessFailed, match=r"did not start: .*FATAL.*postgresql.conf") as caught:
        embedded.start(home)
    assert "\n" not in str(caught.value)
    assert str(home / "postgres" / "server.log") in str(caught.value)


def test_a_server_that_does_not_get_ready_is_left_alone(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded.start(home)
    (server,) = processes(home)
    pid_file = home / "postgres" / "data" / "postmaster.pid"
    pid_file.write_text(pid_file.read_text().replace("ready", "starting"))
    monkeypatch.setattr("data_engineering.storage.cluster._START_SECONDS", 0.3)
    assert not embedded.running(home)
    with pytest.raises(ProcessFailed, match="does not take connections"):
        embedded.start(home)
    assert processes(home) == [server]
    assert pid_file.exists()


@pytest.fixture
def small_disk(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system of as many MB as the parameter says."""
    with tempfile.TemporaryDirectory(prefix="lascopf-test-") as folder:
        size = f"size={request.param}m"
        if subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder]).returncode != 0:
            pytest.skip("no file system can be mounted here")
        try:
            yield Path(folder)
        finally:
            embedded.stop(Path(folder))
            subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("small_disk", [20], indirect=True)
def test_a_disk_too_small_for_a_server(small_disk: Path) -> None:
    for _ in range(2):
        with pytest.raises(DiskFull, match="no space left") as caught:
            embedded.start(small_disk)
    assert "\n" not in str(caught.value)
    # With space it starts, on what is left of the tries.
    subprocess.run(["mount", "-o", "remount,size=300m", str(small_disk)], check=True)
    assert ask(embedded.start(small_disk).timeseries_url) == [1]


@pytest.mark.slow
@pytest.mark.parametrize("small_disk", [140], indirect=True)
def test_a_disk_that_gets_full_while_writing(small_disk: Path) -> None:
    engine = open_engine(embedded.start(small_disk).timeseries_url)
    migrate(engine, "timeseries")
    start = datetime(2020, 7, 6, tzinfo=UTC)
    kept = rows_of(LOAD_MEASUREMENTS, 100, start, case_name="kept")
    timeseries.write(engine, LOAD_MEASUREMENTS, kept)
    many = rows_of(POWER_MEASUREMENTS, 20_000, start)

    def fill() -> None:
        for number in range(40):
            timeseries.write(engine, POWER_MEASUREMENTS, many.assign(case_name=str(number)))

    with pytest.raises(DiskFull, match="no space left") as caught:
        fill()
    assert "\n" not in str(caught.value)
    engine.dispose()
    subprocess.run(["mount", "-o", "remount,size=600m", str(small_disk)], check=True)
    embedded.stop(small_disk)
    engine = open_engine(embedded.start(small_disk).timeseries_url)
    window = Window.of_day(start.date())
    assert len(timeseries.read(engine, LOAD_MEASUREMENTS, window, case_name="kept")) == 100
    engine.dispose()


def in_child(function: Callable[[], None]) -> int:
    """Run in a forked child, which may change its user; its exit status."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            function()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.skipif(os.geteuid() != 0, reason="ordinary users test this by every other test")
def test_works_for_an_ordinary_user_too(tmp_path_factory: pytest.TempPathFactory) -> None:
    nobody = 65534
    with tempfile.TemporaryDirectory(prefix="lascopf-test-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        os.chown(home, nobody, nobody)

        def run() -> None:
            os.setgid(nobody)
            os.setuid(nobody)
            url = embedded.start(home).timeseries_url
            connection = psycopg2.connect(url)
            connection.close()
            assert embedded.running(home)
            assert embedded.stop(home)

        assert in_child(run) == 0
        assert (home / "postgres" / "data").stat().st_uid == nobody


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as another user")
def test_folders_on_the_way_are_opened_for_passing_only(home: Path) -> None:
    closed = home / "closed"
    closed.mkdir(mode=0o700)
    embedded.start(closed / "home")
    try:
        assert stat.S_IMODE(closed.stat().st_mode) == 0o701
        assert stat.S_IMODE((closed / "home").stat().st_mode) & 0o002 == 0
    finally:
        embedded.stop(closed / "home")
