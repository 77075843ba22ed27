"""A backup of one stack restored into another with other secrets: the same rows and objects.

Each stack is the stores and the first start only; the commands run in passing containers.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import URL

from data_engineering.model.errors import BadInput, DatabaseRefused
from data_engineering.orchestration.compose import Compose
from data_engineering.orchestration.stack_backup import DATABASES, OBJECTS, back_up, login, tool
from data_engineering.orchestration.stack_restore import restore
from data_engineering.storage.database import open_engine
from data_engineering.storage.metadata import query

CHECKOUT = Path(__file__).resolve().parents[2]
DAY = "2020-07-06"
STORES = ("timescaledb", "postgres", "minio", "kafka")
PORTS = ("TIMESCALEDB", "POSTGRES", "REDIS", "MINIO", "MINIO_CONSOLE", "KAFKA", "AIRFLOW")
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
SELECT roleid::regrole, member::regrole FROM pg_auth_members ORDER BY 1, 2;
"""

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(600)]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def values_of(stack: Compose) -> dict[str, str]:
    lines = (stack.folder / ".env").read_text().splitlines()
    return dict(re.match(r"([A-Z0-9_]+)=(.*)", x).groups() for x in lines if re.match(r"[A-Z]", x))


def made(folder: Path, **given: str) -> Compose:
    """A stack with secrets of its own in a folder of its own; nothing runs yet."""
    (folder / "deploy").mkdir(parents=True)
    for name in ("docker-compose.yml", ".env.example", "deploy/make-env"):
        shutil.copy(CHECKOUT / name, folder / name)
    lines = [f"COMPOSE_PROJECT_NAME=lascopf-backup-{secrets.token_hex(4)}"]
    lines += [f"{name}_PORT={free_port()}" for name in PORTS]
    example = (folder / ".env.example").read_text()
    for name, value in given.items():
        example = re.sub(rf"(?m)^{name}=$", f"{name}={value}", example)
    (folder / ".env.example").write_text(example + "\n".join(lines) + "\n")
    subprocess.run([folder / "deploy" / "make-env"], check=True, capture_output=True)
    return Compose.of(folder)


def ended(stack: Compose) -> None:
    stack.ask("down", "--volumes", "--remove-orphans", "--timeout", "5")


@pytest.fixture(scope="module")
def image() -> None:
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "info"], capture_output=True).returncode
    ):
        pytest.skip("no Docker engine")
    name = "lascopf-airflow:local"
    if subprocess.run(["docker", "image", "inspect", name], capture_output=True).returncode:
        pytest.skip(f"there is no image {name}: make images")


@pytest.fixture(scope="module")
def source(image: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """A stack with a solved day, some minutes of the stream, and an encrypted value in Airflow."""
    stack = made(tmp_path_factory.mktemp("source"))
    try:
        stack.ask("up", "--detach", "--wait", *STORES)
        for service in ("platform-init", "airflow-init"):
            stack.ask("run", "--rm", "--no-deps", "-T", service)
        stack.ask(*tool("ingest", "--day", DAY))
        stack.ask(*tool("solve", "rts_gmlc", "--day", DAY))
        words = [
            *tool(),
            "-ec",
            "lascopf stream replay --to file:/tmp/f --from 2020-07-06T14:00 "
            "--until 2020-07-06T15:00 --faults trips,garbage && "
            "lascopf stream --source file:/tmp/f --no-react",
        ]
        words[words.index("lascopf")] = "sh"
        stack.ask(*words)
        stack.ask(*airflow("variables", "set", "kept", "as it was"))
        yield stack
    finally:
        ended(stack)


@pytest.fixture(scope="module")
def backup(source: Compose, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return back_up(source, tmp_path_factory.mktemp("backups"), None, print)


@pytest.fixture(scope="module")
def target(
    source: Compose, backup: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Compose]:
    """Another stack with the restored backup; of the secrets only Airflow's key is the same."""
    key = values_of(source)["AIRFLOW_FERNET_KEY"]
    stack = made(tmp_path_factory.mktemp("target"), AIRFLOW_FERNET_KEY=key)
    try:
        stack.ask("up", "--detach", "--wait", *STORES)
        restore(stack, backup, replace=False, progress=print)
        yield stack
    finally:
        ended(stack)


def airflow(*words: str) -> list[str]:
    return ["run", "--rm", "--no-deps", "-T", "--entrypoint", "airflow", "airflow-init", *words]


def asked(stack: Compose, service: str, database: str, script: str) -> list[str]:
    words = login("psql", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1", database)
    return stack.shell(service, words, script.encode()).splitlines()


def test_the_backup_is_whole_and_its_owner_s_alone(backup: Path) -> None:
    manifest = json.loads((backup / "manifest.json").read_text())
    assert {path.name for path in backup.iterdir()} == {"manifest.json", *manifest["files"]}
    assert {oct(path.stat().st_mode & 0o777) for path in backup.iterdir()} == {"0o600"}
    assert oct(backup.stat().st_mode & 0o777) == "0o700"
    assert list(backup.parent.iterdir()) == [backup]


def test_it_holds_no_secret(source: Compose, backup: Path) -> None:
    hidden = {v for k, v in values_of(source).items() if re.search("PASSWORD$|KEY$|SECRET$", k)}
    assert len(hidden) == 12
    for path in backup.iterdir():
        data = path.read_bytes()
        assert not [value for value in hidden if value.encode() in data], path.name


@pytest.mark.parametrize("database", DATABASES[1:], ids=lambda database: database.name)
def test_every_table_has_the_same_rows(database, source: Compose, target: Compose) -> None:
    before = asked(source, database.service, database.name, CONTENT)
    assert sum(int(line.split("|")[1]) for line in before) > 5000
    assert asked(target, database.service, database.name, CONTENT) == before


def test_the_stream_goes_on_where_it_was(source: Compose, target: Compose) -> None:
    offsets = "SELECT topic, stream_partition, next_offset FROM stream_offsets ORDER BY 1, 2"
    letters = "SELECT verdict, count(*) FROM stream_dead_letters GROUP BY 1"
    for script in (offsets, letters):
        before = asked(source, "timescaledb", "powerlascopf", script)
        assert before
        assert asked(target, "timescaledb", "powerlascopf", script) == before


@pytest.mark.parametrize("database", DATABASES, ids=lambda database: database.name)
def test_privileges_are_the_same(database, source: Compose, target: Compose) -> None:
    before = asked(source, database.service, database.name, PRIVILEGES)
    assert asked(target, database.service, database.name, PRIVILEGES) == before


def test_series_are_hypertables_again(source: Compose, target: Compose) -> None:
    script = (
        "SELECT hypertable_name, num_chunks FROM timescaledb_information.hypertables ORDER BY 1; "
        "SELECT current_setting('timescaledb.restoring')"
    )
    before = asked(source, "timescaledb", "powerlascopf", script)
    assert len(before) > 5
    assert before[-1] == "off"
    assert asked(target, "timescaledb", "powerlascopf", script) == before


def test_objects_are_the_same_to_the_byte(backup: Path, target: Compose, tmp_path: Path) -> None:
    target.save(tool("objects", "save", "-"), tmp_path / OBJECTS)
    assert (tmp_path / OBJECTS).read_bytes() == (backup / OBJECTS).read_bytes()


def test_airflow_reads_what_it_had_encrypted(target: Compose) -> None:
    assert target.ask(*airflow("variables", "get", "kept")).splitlines()[-1] == "as it was"


def test_the_logins_have_the_passwords_of_the_new_stack(source: Compose, target: Compose) -> None:
    new, old = (values_of(stack)["READER_DB_PASSWORD"] for stack in (target, source))
    port = int(values_of(target)["POSTGRES_PORT"])
    address = URL.create("postgresql", "lascopf_reader", new, "127.0.0.1", port, "lascopf_metadata")
    engine = open_engine(address.render_as_string(hide_password=False))
    found = query(engine, "SELECT count(*) AS rows FROM lascopf_results")["rows"][0]
    assert found == 1
    with pytest.raises(DatabaseRefused, match="permission denied"):
        query(engine, "DELETE FROM lascopf_executions RETURNING 1")
    engine.dispose()
    engine = open_engine(address.set(password=old).render_as_string(hide_password=False))
    with pytest.raises(DatabaseRefused, match="authentication failed"):
        query(engine, "SELECT 1 AS one")
    engine.dispose()


def test_the_restored_stack_gives_the_same_answer(target: Compose) -> None:
    script = "SELECT execution_id, objective_value FROM lascopf_results"
    before = asked(target, "postgres", "lascopf_metadata", script)
    assert len(before) == 1
    target.ask(*tool("solve", "rts_gmlc", "--day", DAY))
    assert asked(target, "postgres", "lascopf_metadata", script) == before


def test_a_stack_in_use_is_not_overwritten_by_accident(backup: Path, target: Compose) -> None:
    with pytest.raises(BadInput, match=r"rows in lascopf_executions.*--replace"):
        restore(target, backup, replace=False, progress=print)
