"""`lascopf objects` and the commands of the compose stack, as a person types them."""

import tarfile

import pytest

from data_engineering.settings import get_settings
from data_engineering.storage.objects import open_store


@pytest.fixture
def store(tmp_path, monkeypatch):
    """An object store of the settings, with two objects."""
    monkeypatch.setenv("LASCOPF_OBJECTS_URL", (tmp_path / "objects").as_uri())
    made = open_store((tmp_path / "objects").as_uri())
    made.write_bytes("raw/a", b"12345")
    made.write_bytes("raw/b", b"678")
    return made


def test_save_and_load(lascopf, store, tmp_path, monkeypatch) -> None:
    archive = tmp_path / "all.tar"
    said = lascopf("objects", "save", str(archive), "--json")
    assert (said.code, said.document) == (0, {"status": "ok", "objects": 2, "bytes": 8})
    with tarfile.open(archive) as tar:
        assert tar.getnames() == ["objects/raw/a", "objects/raw/b", "SHA256SUMS"]
    other = (tmp_path / "other").as_uri()
    monkeypatch.setenv("LASCOPF_OBJECTS_URL", other)
    get_settings.cache_clear()
    said = lascopf("objects", "load", str(archive))
    assert (said.code, said.out) == (0, "2 objects, 8 bytes\n")
    assert open_store(other).read_bytes("raw/b") == b"678"


def test_a_failed_save_leaves_no_file(lascopf, store, tmp_path, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("data_engineering.storage.object_archive.hashlib.file_digest", fail)
    assert lascopf("objects", "save", str(tmp_path / "all.tar")).code == 130
    assert not list(tmp_path.glob("all.tar*"))


def test_bad_places(lascopf, store, tmp_path) -> None:
    said = lascopf("objects", "save", str(tmp_path / "none" / "all.tar"))
    assert (said.code, "its folder is not there" in said.err) == (2, True)
    said = lascopf("objects", "load", str(tmp_path / "none.tar"))
    assert (said.code, "is missing" in said.err) == (2, True)
    said = lascopf("objects", "save", "-", "--json")
    assert (said.code, "standard output is the archive's" in said.err) == (2, True)


def test_what_is_no_archive(lascopf, store, tmp_path) -> None:
    (tmp_path / "x.tar").write_bytes(b"x" * 20_000)
    said = lascopf("objects", "load", str(tmp_path / "x.tar"))
    assert said.code == 2
    assert "cut off or damaged" in said.err
    assert store.list() == ["raw/a", "raw/b"]


@pytest.mark.parametrize("words", [["check"], ["backup", "/tmp/x"], ["restore", "/tmp/x"]])
def test_commands_of_the_stack_want_a_compose_file(lascopf, tmp_path, words) -> None:
    said = lascopf("deploy", *words, "--stack", str(tmp_path))
    assert said.code == 2
    assert "docker-compose.yml" in said.err
