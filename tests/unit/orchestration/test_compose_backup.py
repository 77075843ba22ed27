"""A backup is whole or not there; a damaged or foreign one is refused before anything stops."""

import hashlib
import json
from pathlib import Path

import pytest

from data_engineering.model.errors import BadInput, StackRefused
from data_engineering.orchestration.compose import Compose
from data_engineering.orchestration.compose_backup import DATABASES, MANIFEST, back_up
from data_engineering.orchestration.compose_restore import check, restore
from data_engineering.storage.migrations import migrations

FILES = [name for database in DATABASES for name in (database.dump, database.frame)]
FILES += ["objects.tar", "postgres.roles.sql", "timescaledb.roles.sql"]


def manifest_of(folder: Path) -> dict:
    return json.loads((folder / MANIFEST).read_text())


def change(folder: Path, **values: object) -> None:
    (folder / MANIFEST).write_text(json.dumps(manifest_of(folder) | values))


@pytest.fixture
def backup(tmp_path) -> Path:
    """A backup whose files hold their own names."""
    folder = tmp_path / "backup-20200706T000000Z"
    folder.mkdir()
    for name in FILES:
        (folder / name).write_text(name)
    manifest = {
        "format": 1,
        "servers": {
            "postgres": {"postgresql": "17.2"},
            "timescaledb": {"postgresql": "17.2", "timescaledb": "2.19.3"},
        },
        "migrations": {
            store: {m.name: m.digest for m in migrations(store)}
            for store in ("timeseries", "metadata")
        },
        "files": {n: {"sha256": hashlib.sha256(n.encode()).hexdigest()} for n in FILES},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return folder


def test_a_whole_backup_passes(backup: Path) -> None:
    assert check(backup) == manifest_of(backup)


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_is_named(name: str, backup: Path) -> None:
    (backup / name).write_text("other")
    with pytest.raises(BadInput, match=f"{name}.*differs from its digest"):
        check(backup)


def test_a_missing_file_is_named(backup: Path) -> None:
    (backup / "objects.tar").unlink()
    with pytest.raises(BadInput, match=r"objects\.tar.*missing"):
        check(backup)


def test_a_manifest_that_lacks_a_file_is_refused(backup: Path) -> None:
    files = manifest_of(backup)["files"]
    del files["airflow.dump"]
    change(backup, files=files)
    with pytest.raises(BadInput, match=r"lacks airflow\.dump"):
        check(backup)


def test_what_is_no_backup_is_refused(tmp_path, backup: Path) -> None:
    with pytest.raises(BadInput, match="no usable manifest"):
        check(tmp_path)
    change(backup, format=2)
    with pytest.raises(BadInput, match="reads format 1"):
        check(backup)


@pytest.mark.parametrize("part", ["servers", "migrations", "files"])
def test_a_manifest_without_a_part_is_refused(part: str, backup: Path) -> None:
    manifest = manifest_of(backup)
    del manifest[part]
    (backup / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(BadInput, match=f"it lacks {part}"):
        check(backup)


def test_a_newer_schema_is_refused(backup: Path) -> None:
    found = manifest_of(backup)["migrations"]
    found["metadata"]["metadata/9999_later.sql"] = "0" * 64
    change(backup, migrations=found)
    with pytest.raises(BadInput, match=r"metadata/9999_later\.sql.*install the one that made it"):
        check(backup)


def test_an_older_schema_is_fine(backup: Path) -> None:
    found = manifest_of(backup)["migrations"]
    found["timeseries"].pop(max(found["timeseries"]))
    change(backup, migrations=found)
    check(backup)


def test_a_damaged_backup_stops_nothing(backup: Path, stack: Compose, docker, tmp_path) -> None:
    docker({})  # any call of Docker would raise another error
    (backup / "airflow.dump").write_text("other")
    with pytest.raises(BadInput, match="differs"):
        restore(stack, backup, replace=True, progress=print)


RUNNING = "timescaledb\npostgres\nminio"
PSQL = "compose exec -T {} sh -ec psql"


def test_servers_that_do_not_run_are_named(backup: Path, stack: Compose, docker) -> None:
    docker({"compose ps": "postgres"})
    with pytest.raises(StackRefused, match="services timescaledb: do not run"):
        restore(stack, backup, replace=False, progress=print)


def test_an_older_server_is_refused(backup: Path, stack: Compose, docker) -> None:
    docker({"compose ps": RUNNING, PSQL.format("postgres"): "16.9 (Debian)"})
    with pytest.raises(BadInput, match=r"PostgreSQL of postgres: '16\.9.*made by 17\.2"):
        restore(stack, backup, replace=False, progress=print)


def test_a_server_without_the_extension_is_refused(backup: Path, stack: Compose, docker) -> None:
    version = PSQL.format("timescaledb") + ' --username "${POSTGRES_USER:-postgres}" --no-align'
    docker(
        {
            "compose ps": RUNNING,
            PSQL.format("postgres"): "17.2",
            f"{version} --tuples-only --dbname=postgres": "17.2",
            PSQL.format("timescaledb"): "2.21.0",
        }
    )
    with pytest.raises(BadInput, match=r"TimescaleDB of timescaledb: '2\.21\.0'.*needs 2\.19\.3"):
        restore(stack, backup, replace=False, progress=print)


def test_a_failed_backup_leaves_nothing(stack: Compose, docker, tmp_path) -> None:
    docker({"compose exec -T postgres": "some bytes"})  # and timescaledb fails
    target = tmp_path / "backups"
    with pytest.raises(StackRefused, match="exec -T timescaledb"):
        back_up(stack, target, None, print)
    assert list(target.iterdir()) == []


def test_backups_beyond_the_newest_are_removed(stack: Compose, docker, tmp_path) -> None:
    docker({"compose exec": "name digest", "compose run": "objects"})
    target = tmp_path / "backups"
    for day in (1, 2, 3):
        old = target / f"backup-2020070{day}T000000Z"
        old.mkdir(parents=True)
        (old / MANIFEST).write_text("{}")
    unfinished = target / "backup-20200101T000000Z"  # not ours to judge: it has no manifest
    unfinished.mkdir()
    made = back_up(stack, target, 2, print)
    left = {path.name for path in target.iterdir()}
    assert left == {made.name, "backup-20200703T000000Z", unfinished.name}
    assert set(manifest_of(made)["files"]) == set(FILES)
    assert manifest_of(made)["migrations"]["metadata"] == {"name": "digest"}
