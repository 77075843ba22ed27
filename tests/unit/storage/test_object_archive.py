"""Saving a store and loading it elsewhere gives the same objects; what is damaged is refused."""

import hashlib
import io
import tarfile

import pytest

from data_engineering.model.errors import BadInput
from data_engineering.storage.object_archive import Archived, load, save
from data_engineering.storage.objects import ObjectStore, open_store

OBJECTS = {
    "raw/a.csv": b"time,mw\n0,1.5\n",
    "raw/day=2020-07-06/b ö.parquet": bytes(range(256)) * 9000,  # 2.3 MB: more than one block
    "empty": b"",
    "deep/" + "x" * 120 + "/" + "y" * 120: b"a name longer than plain tar holds",
}


@pytest.fixture
def full(tmp_path) -> ObjectStore:
    store = open_store((tmp_path / "full").as_uri())
    for key, data in OBJECTS.items():
        store.write_bytes(key, data)
    return store


@pytest.fixture
def empty(tmp_path) -> ObjectStore:
    return open_store((tmp_path / "empty").as_uri())


def archive_of(store: ObjectStore) -> bytes:
    target = io.BytesIO()
    save(store, target)
    return target.getvalue()


def test_what_is_saved_comes_back(full: ObjectStore, empty: ObjectStore) -> None:
    empty.write_bytes("other", b"stays")
    expected = Archived(len(OBJECTS), sum(len(data) for data in OBJECTS.values()))
    assert load(io.BytesIO(archive_of(full)), empty) == expected
    assert {key: empty.read_bytes(key) for key in empty.list()} == OBJECTS | {"other": b"stays"}


def test_an_empty_store_is_an_archive_too(full: ObjectStore, empty: ObjectStore) -> None:
    assert load(io.BytesIO(archive_of(empty)), full) == Archived(0, 0)
    assert set(full.list()) == set(OBJECTS)


def test_other_programs_can_read_and_check_it(full: ObjectStore) -> None:
    first = archive_of(full)
    assert archive_of(full) == first
    with tarfile.open(fileobj=io.BytesIO(first)) as tar:
        names = tar.getnames()
        sums = tar.extractfile("SHA256SUMS").read().decode().splitlines()
    assert names == [f"objects/{key}" for key in sorted(OBJECTS)] + ["SHA256SUMS"]
    assert sums == [
        f"{hashlib.sha256(OBJECTS[key]).hexdigest()}  objects/{key}" for key in sorted(OBJECTS)
    ]


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9])
def test_a_cut_archive_is_refused(share: float, full: ObjectStore, empty: ObjectStore) -> None:
    whole = archive_of(full)
    with pytest.raises(BadInput, match=r"cut off|damaged"):
        load(io.BytesIO(whole[: int(len(whole) * share)]), empty)


def test_a_damaged_object_is_named(full: ObjectStore, empty: ObjectStore) -> None:
    whole = archive_of(full)
    place = whole.index(b"0,1.5")
    with pytest.raises(BadInput, match=r"objects/raw/a\.csv"):
        load(io.BytesIO(whole[:place] + b"0,2.5" + whole[place + 5 :]), empty)


@pytest.mark.parametrize("name", ["objects/../out", "objects//etc/passwd", "other/x"])
def test_names_that_lead_out_are_refused(name: str, empty: ObjectStore, tmp_path) -> None:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.size = 3
        tar.addfile(info, io.BytesIO(b"bad"))
    with pytest.raises(BadInput):
        load(io.BytesIO(target.getvalue()), empty)
    assert list(tmp_path.rglob("*")) in ([], [tmp_path / "empty"])
