"""The contract of the object store: a local folder and an S3 server."""

from __future__ import annotations

import hashlib
import os
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import boto3
import pandas as pd
import pytest
from moto.server import ThreadedMotoServer

from data_engineering.model.errors import BadInput, ObjectStoreFailed, ObjectStoreRefused
from data_engineering.storage.objects import ObjectStore, open_store

KEYS = {"access_key": "test", "secret_key": "test"}


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(
    params=[
        "folder",
        pytest.param("s3", marks=pytest.mark.integration),
        pytest.param("LASCOPF_TEST_S3", marks=pytest.mark.services),
    ]
)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """An empty store; LASCOPF_TEST_S3 is ACCESS_KEY:SECRET_KEY@http://host:port."""
    if request.param == "folder":
        return open_store((tmp_path / "ob jects").as_uri())
    if request.param == "s3":
        endpoint, keys = request.getfixturevalue("s3_endpoint"), KEYS
    elif request.param in os.environ:
        secrets, endpoint = os.environ[request.param].split("@")
        keys = dict(zip(KEYS, secrets.split(":"), strict=True))
    else:
        pytest.skip(f"{request.param} is not set")
    bucket = "lascopf-" + hashlib.sha256(str(tmp_path).encode()).hexdigest()[:16]
    boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=keys["access_key"],
        aws_secret_access_key=keys["secret_key"],
    ).create_bucket(Bucket=bucket)
    return open_store(f"s3://{bucket}/some/prefix", endpoint=endpoint, **keys)


def test_bytes_come_back_with_their_digest(store: ObjectStore) -> None:
    data = bytes(range(256)) * 5000
    stored = store.write_bytes("raw/source=a/day 1.bin", data)
    assert stored.digest == hashlib.sha256(data).hexdigest()
    assert stored.byte_count == len(data)
    assert stored.uri == store.uri("raw/source=a/day 1.bin")
    assert store.read_bytes("raw/source=a/day 1.bin") == data
    assert store.exists("raw/source=a/day 1.bin")


def test_empty_objects(store: ObjectStore) -> None:
    assert store.write_bytes("nothing", b"").byte_count == 0
    assert store.read_bytes("nothing") == b""


def test_writing_replaces(store: ObjectStore) -> None:
    store.write_bytes("a/b", b"a longer first content")
    store.write_bytes("a/b", b"second")
    assert store.read_bytes("a/b") == b"second"
    assert store.list("a/") == ["a/b"]


def test_keys_are_listed_by_prefix_and_sorted(store: ObjectStore) -> None:
    for key in ("raw/b/2", "raw/b/1", "raw/a/1", "rawer", "other/raw/a"):
        store.write_bytes(key, b"x")
    assert store.list() == ["other/raw/a", "raw/a/1", "raw/b/1", "raw/b/2", "rawer"]
    assert store.list("raw/") == ["raw/a/1", "raw/b/1", "raw/b/2"]
    assert store.list("raw") == ["raw/a/1", "raw/b/1", "raw/b/2", "rawer"]
    assert store.list("raw/b/") == ["raw/b/1", "raw/b/2"]
    assert store.list("raw/b/1") == ["raw/b/1"]
    assert store.list("nothing/here") == []


def test_what_is_not_there(store: ObjectStore) -> None:
    assert not store.exists("missing/object")
    with pytest.raises(ObjectStoreRefused, match="no such object") as caught:
        store.read_bytes("missing/object")
    assert store.uri("missing/object") in str(caught.value)
    store.write_bytes("folder/object", b"x")
    assert not store.exists("folder")


def test_a_draft_takes_its_key_when_its_block_ends(store: ObjectStore) -> None:
    data = bytes(range(256)) * 50_000
    with store.writing("drafts/one.bin") as draft:
        draft.stream.write(data)
        assert not store.exists("drafts/one.bin")
        assert store.list() == []
    assert draft.stored == store.write_bytes("drafts/one.bin", data)
    assert store.read_bytes("drafts/one.bin") == data
    with store.fetched("drafts/one.bin") as path:
        assert path.read_bytes() == data


def test_a_draft_that_fails_leaves_the_old_object(store: ObjectStore) -> None:
    store.write_bytes("drafts/two", b"old")

    def fail() -> None:
        with store.writing("drafts/two") as draft:
            draft.stream.write(b"new")
            raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        fail()
    assert store.read_bytes("drafts/two") == b"old"
    assert store.list() == ["drafts/two"]


def test_objects_are_moved_and_deleted(store: ObjectStore) -> None:
    store.write_bytes("from/a", b"a")
    store.write_bytes("to/a", b"older")
    store.move("from/a", "to/a")
    assert store.list() == ["to/a"]
    assert store.read_bytes("to/a") == b"a"
    store.delete(["to/a", "to/a", "never/was"])
    assert store.list() == []


def test_below_a_prefix_is_a_store_of_its_own(store: ObjectStore) -> None:
    inner = store.below("runs/1")
    written = inner.write_bytes("a/b", b"x")
    assert store.list() == ["runs/1/a/b"]
    assert inner.list() == ["a/b"]
    assert written.uri == store.uri("runs/1/a/b")
    with pytest.raises(BadInput, match="object key"):
        store.below("../out")


def test_frames_come_back_and_have_the_same_bytes(store: ObjectStore) -> None:
    frame = pd.DataFrame(
        {
            "time": pd.date_range("2020-07-06", periods=4, freq="5min", tz="UTC"),
            "unit": ["a", "b", None, "ü"],
            "mw": [1.5, float("nan"), -0.0, 1e300],
            "on": [True, False, True, False],
            "step": [1, 2, 3, 4],
        },
        index=[9, 8, 7, 6],
    )
    first = store.write_parquet("frames/one.parquet", frame)
    second = store.write_parquet("frames/two.parquet", frame)
    assert first.digest == second.digest
    read = store.read_parquet("frames/one.parquet")
    pd.testing.assert_frame_equal(read, frame.reset_index(drop=True), check_exact=True)


def test_a_broken_parquet_is_named(store: ObjectStore) -> None:
    store.write_bytes("broken.parquet", b"PAR1 but no more")
    with pytest.raises(ObjectStoreRefused, match=r"broken.parquet.*not parquet"):
        store.read_parquet("broken.parquet")


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/etc/passwd",
        "../up",
        "a/../../up",
        "a//b",
        "a/./b",
        "a/",
        "a\\..\\b",
        "a\0b",
        "a\nb",
        "..",
    ],
)
def test_keys_stay_inside(store: ObjectStore, key: str) -> None:
    for call in (store.read_bytes, store.exists, store.uri, store.local_path):
        with pytest.raises(BadInput, match="object key"):
            call(key)
    with pytest.raises(BadInput, match="object key"):
        store.write_bytes(key, b"x")


def test_readers_see_whole_objects_only(store: ObjectStore) -> None:
    """One writes two contents by turns, another reads: it sees the one or the other."""
    contents = {bytes([letter]) * 300_000 for letter in b"ab"}
    store.write_bytes("shared", next(iter(contents)))
    done = threading.Event()

    def write() -> None:
        for _ in range(10):
            for content in contents:
                store.write_bytes("shared", content)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        assert store.read_bytes("shared") in contents
        assert store.list() == ["shared"]
    writer.join()


def test_local_files_are_where_the_uri_says(tmp_path: Path) -> None:
    store = open_store((tmp_path / "ob jects").as_uri())
    stored = store.write_bytes("a/b c.txt", b"x")
    path = store.local_path("a/b c.txt")
    assert path == tmp_path / "ob jects" / "a" / "b c.txt"
    assert path.read_bytes() == b"x"
    assert stored.uri == "file://" + quote(str(path))


def test_links_out_of_a_folder_are_refused(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "link").symlink_to(outside)
    with pytest.raises(BadInput, match="leads out"):
        open_store(str(tmp_path / "inside")).write_bytes("link/file", b"x")
    assert list(outside.iterdir()) == []


def test_a_failed_write_leaves_the_old_object_and_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(str(tmp_path))
    store.write_bytes("a", b"old")

    def full(_number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Exception, match="no space left on device") as caught:
        store.write_bytes("a", b"new")
    assert type(caught.value).__name__ == "DiskFull"
    monkeypatch.undo()
    assert store.read_bytes("a") == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize(
    "url", ["ftp://host/x", "s3://", "file://host/folder", "gs://bucket", "https://bucket/x"]
)
def test_unusable_urls(url: str) -> None:
    with pytest.raises(BadInput, match="objects URL"):
        open_store(url)


def test_unusable_endpoint() -> None:
    with pytest.raises(BadInput, match="endpoint"):
        open_store("s3://bucket", endpoint="localhost:9000")


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ObjectStoreRefused, match="file/object"):
        open_store(str(tmp_path / "file")).write_bytes("object", b"x")


@pytest.mark.integration
def test_missing_buckets_are_named(s3_endpoint: str) -> None:
    store = open_store("s3://no-such-bucket", endpoint=s3_endpoint, **KEYS)
    with pytest.raises(ObjectStoreRefused, match=r"s3://no-such-bucket/a refuses.*bucket"):
        store.write_bytes("a", b"x")


@pytest.mark.integration
def test_a_server_that_is_down_can_be_tried_again() -> None:
    store = open_store("s3://bucket", endpoint="http://127.0.0.1:9", **KEYS)
    with pytest.raises(ObjectStoreFailed, match="s3://bucket/a") as caught:
        store.write_bytes("a", b"x")
    assert "\n" not in str(caught.value)


@pytest.mark.integration
def test_wrong_keys_are_refused() -> None:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        endpoint = "http://{}:{}".format(*server.get_host_and_port())
        _calls_without_keys(endpoint, "0")
        store = open_store("s3://bucket", endpoint=endpoint, **KEYS)
        for call in (store.read_bytes, store.exists, store.list):
            with pytest.raises(ObjectStoreRefused, match="access is denied"):
                call("a")
        with pytest.raises(ObjectStoreRefused, match="access is denied"):
            store.write_bytes("a", b"x")
    finally:
        _calls_without_keys(endpoint, "inf")  # the setting is of the process, not of the server
        server.stop()


def _calls_without_keys(endpoint: str, count: str) -> None:
    """How many calls the server answers before it asks for keys that it knows."""
    ask = urllib.request.Request(
        f"{endpoint}/moto-api/reset-auth", count.encode(), {"Content-Type": "text/plain"}
    )
    urllib.request.urlopen(ask).close()
