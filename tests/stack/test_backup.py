"""A backup of one stack restored into another with other secrets: the same rows and objects.

Each stack is the stores and the first start only; the commands run in passing containers. Kafka is
left out: nothing of it is in a backup.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from running_stack import Stack, docker, lay_out, no_engine
from sqlalchemy.engine import make_url

from data_engineering.model.errors import BadInput, DatabaseRefused
from data_engineering.orchestration.compose import Compose
from data_engineering.orchestration.compose_backup import DATABASES, OBJECTS, back_up, login, tool
from data_engineering.orchestration.compose_restore import restore
from data_engineering.storage.database import open_engine
from data_engineering.storage.metadata import query

IMAGE = "lascopf-airflow:local"
DAY = "2020-07-06"
STORES = ("timescaledb", "postgres", "minio")
WITHOUT_KAFKA = "services: {platform-init: {environment: {LASCOPF_KAFKA_BOOTSTRAP: ''}}}"
# One line for each table: name, rows, and a digest that does not depend on their order.
CONTENT = r"""
SELECT format('SELECT %L, count(*), md5(coalesce(string_agg(md5(t::text), '''' ORDER BY '
    'md5(t::text)), '''')) FROM %s AS t', oid::regclass, oid::regclass)
FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
    AND NOT relispartition ORDER BY relname \gexec
"""
# Who may do what: the database, its relations and functions, members of roles.
PRIVILEGES = """
SELECT 'database', pg_get_userbyid(datdba), datacl::text FROM pg_database
WHERE datname = current_database();
SELECT relkind, relname, pg_get_userbyid(relowner), relacl::text FROM pg_class
WHERE relnamespace = 'public'::regnamespace ORDER BY 1, 2;
SELECT proname, pg_get_userbyid(proowner), proacl::text FROM pg_proc
WHERE pronamespace = 'public'::regnamespace
    AND proname !~ 'timescale|chunk|hypertable' ORDER BY 1, 2, 3;
SELECT roleid::regrole::text, member::regrole::text FROM pg_auth_members ORDER BY 1, 2;
"""

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(1800)]


@dataclass(frozen=True)
class Side:
    """A stack, as the test sees it and as the commands do."""

    stack: Stack
    compose: Compose

    @classmethod
    def made(cls, folder: Path, **given: str) -> Side:
        """Secrets and ports of its own; nothing runs yet."""
        name = f"lascopf-backup-{secrets.token_hex(4)}"
        lay_out(folder, name, **given)
        (folder / "docker-compose.override.yml").write_text(WITHOUT_KAFKA)
        return cls(Stack(folder), Compose.of(folder))

    def ask(self, *words: str) -> str:
        return self.compose.ask(*words)

    def psql(self, service: str, database: str, script: str) -> list[str]:
        """What psql prints, by the superuser."""
        words = login("psql", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1", database)
        return self.compose.shell(service, words, script.encode()).splitlines()


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Side, Side]]:
    """Two stacks whose stores run; of the secrets only Airflow's key is the same."""
    if no_engine():
        pytest.skip("no Docker engine with compose")
    if docker("image", "inspect", IMAGE, check=False).returncode != 0:
        pytest.skip(f"there is no image {IMAGE}: make images")
    one = Side.made(tmp_path_factory.mktemp("one") / "stack")
    key = one.stack.values["AIRFLOW_FERNET_KEY"]
    other = Side.made(tmp_path_factory.mktemp("other") / "stack", AIRFLOW_FERNET_KEY=key)
    try:
        for options in (("--detach",), ("--detach", "--wait")):
            for side in (one, other):
                side.ask("up", *options, *STORES)
        yield one, other
    finally:
        for side in (one, other):
            side.ask("down", "--volumes", "--remove-orphans", "--timeout", "5")


@pytest.fixture(scope="module")
def source(sides: tuple[Side, Side]) -> Side:
    """A solved day, an hour of the stream, and an encrypted value in Airflow."""
    side = sides[0]
    for service in ("platform-init", "airflow-init"):
        side.ask("run", "--rm", "--no-deps", "-T", service)
    side.ask(*tool("ingest", "--day", DAY))
    side.ask(*tool("solve", "rts_gmlc", "--day", DAY))
    hour = "--from 2020-07-06T14:00 --until 2020-07-06T15:00 --faults trips,garbage"
    script = f"lascopf stream replay --to file:/tmp/f {hour}"
    script += "; lascopf stream --source file:/tmp/f --no-react"
    side.ask(*program("sh", "platform-init", "-ec", script))
    side.ask(*program("airflow", "airflow-init", "variables", "set", "kept", "as it was"))
    return side


@pytest.fixture(scope="module")
def backup(source: Side, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return back_up(source.compose, tmp_path_factory.mktemp("backups"), None, print)


@pytest.fixture(scope="module")
def target(sides: tuple[Side, Side], backup: Path) -> Side:
    """The other stack, before its first start, with the restored backup."""
    restore(sides[1].compose, backup, replace=False, progress=print)
    return sides[1]


def program(name: str, service: str, *words: str) -> list[str]:
    """Another program in a passing container of a service."""
    return ["run", "--rm", "--no-deps", "-T", "--entrypoint", name, service, *words]


def test_the_backup_is_whole_and_its_owner_s_alone(backup: Path) -> None:
    manifest = json.loads((backup / "manifest.json").read_text())
    assert {path.name for path in backup.iterdir()} == {"manifest.json", *manifest["files"]}
    assert {oct(path.stat().st_mode & 0o777) for path in backup.iterdir()} == {"0o600"}
    assert oct(backup.stat().st_mode & 0o777) == "0o700"
    assert list(backup.parent.iterdir()) == [backup]


def test_it_holds_no_secret(source: Side, backup: Path) -> None:
    hidden = {v for k, v in source.stack.values.items() if re.search("PASSWORD$|KEY$|SECRET$", k)}
    assert len(hidden) == 12
    for path in backup.iterdir():
        data = path.read_bytes()
        assert not [value for value in hidden if value.encode() in data], path.name


@pytest.mark.parametrize("database", DATABASES[1:], ids=lambda database: database.name)
def test_every_table_has_the_same_rows(database, source: Side, target: Side) -> None:
    before = source.psql(database.service, database.name, CONTENT)
    assert sum(int(line.split("|")[1]) for line in before) > 5000
    assert target.psql(database.service, database.name, CONTENT) == before


def test_the_stream_goes_on_where_it_was(source: Side, target: Side) -> None:
    offsets = "SELECT topic, stream_partition, next_offset FROM stream_offsets ORDER BY 1, 2"
    letters = "SELECT verdict, count(*) FROM stream_dead_letters GROUP BY 1"
    for script in (offsets, letters):
        before = source.psql("timescaledb", "powerlascopf", script)
        assert before
        assert target.psql("timescaledb", "powerlascopf", script) == before


@pytest.mark.parametrize("database", DATABASES, ids=lambda database: database.name)
def test_privileges_are_the_same(database, source: Side, target: Side) -> None:
    before = source.psql(database.service, database.name, PRIVILEGES)
    assert target.psql(database.service, database.name, PRIVILEGES) == before


def test_series_are_hypertables_again(source: Side, target: Side) -> None:
    script = (
        "SELECT hypertable_name, num_chunks FROM timescaledb_information.hypertables ORDER BY 1; "
        "SELECT current_setting('timescaledb.restoring')"
    )
    before = source.psql("timescaledb", "powerlascopf", script)
    assert len(before) > 5
    assert before[-1] == "off"
    assert target.psql("timescaledb", "powerlascopf", script) == before


def test_objects_are_the_same_to_the_byte(backup: Path, target: Side, tmp_path: Path) -> None:
    target.compose.save(tool("objects", "save", "-"), tmp_path / OBJECTS)
    assert (tmp_path / OBJECTS).read_bytes() == (backup / OBJECTS).read_bytes()


def test_airflow_reads_what_it_had_encrypted(target: Side) -> None:
    assert (
        target.ask(*program("airflow", "airflow-init", "variables", "get", "kept")).splitlines()[-1]
        == "as it was"
    )


def test_the_logins_have_the_passwords_of_the_new_stack(source: Side, target: Side) -> None:
    address = make_url(target.stack.url("metadata", "lascopf_reader", "READER_DB_PASSWORD"))
    engine = open_engine(address.render_as_string(hide_password=False))
    found = query(engine, "SELECT count(*) AS rows FROM lascopf_results")["rows"][0]
    assert found == 1
    with pytest.raises(DatabaseRefused, match="permission denied"):
        query(engine, "DELETE FROM lascopf_executions RETURNING 1")
    engine.dispose()
    old = address.set(password=source.stack.values["READER_DB_PASSWORD"])
    engine = open_engine(old.render_as_string(hide_password=False))
    with pytest.raises(DatabaseRefused, match="authentication failed"):
        query(engine, "SELECT 1 AS one")
    engine.dispose()


def test_the_restored_stack_gives_the_same_answer(target: Side) -> None:
    script = "SELECT execution_id, objective_value FROM lascopf_results"
    before = target.psql("postgres", "lascopf_metadata", script)
    assert len(before) == 1
    target.ask(*tool("solve", "rts_gmlc", "--day", DAY))
    assert target.psql("postgres", "lascopf_metadata", script) == before


def test_a_stack_in_use_is_not_overwritten_by_accident(backup: Path, target: Side) -> None:
    with pytest.raises(BadInput, match=r"rows in lascopf_executions.*--replace"):
        restore(target.compose, backup, replace=False, progress=print)
