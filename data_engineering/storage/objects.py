"""Object stores: a local folder or an S3 bucket, both through pyarrow.fs.

Keys are relative paths such as ``raw/scada_load/2020-07-06.csv``. An object is replaced as a
whole: readers see the old bytes or the new ones, never a part.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq

from data_engineering.model.errors import (
    BadInput,
    DiskFull,
    LascopfError,
    ObjectStoreFailed,
    ObjectStoreRefused,
)

_DENIED = (
    "ACCESS_DENIED",
    "FORBIDDEN",
    "INVALID_ACCESS_KEY",
    "SIGNATURE_DOES_NOT_MATCH",
    "HTTP status 403",
)
if TYPE_CHECKING:
    import pandas as pd

PARTIAL = ".partial-"  # names of files that are still being written
_BLOCK = 8 * 1024 * 1024  # bytes copied at once, so that memory does not grow with an object


@dataclass(frozen=True)
class Stored:
    """An object that was written: where, the SHA-256 of its bytes, how many there are."""

    uri: str
    digest: str
    byte_count: int


@dataclass
class Draft:
    """An object that is being written.

    Attributes:
        stream: where its bytes go.
        stored: what was written; None until the block of `ObjectStore.writing` has ended.
    """

    stream: BinaryIO
    stored: Stored | None = None


@dataclass(frozen=True)
class ObjectStore:
    """Objects below one root.

    Its methods raise BadInput (the key is empty, absolute, or leads out of the root),
    ObjectStoreFailed (the store does not answer), ObjectStoreRefused (it does not let us in, or
    there is no such object) and DiskFull (a local folder has no space left).

    Attributes:
        filesystem: pyarrow's.
        root: folder, or bucket and prefix.
        local: the root is a folder of this machine.
    """

    filesystem: pa.fs.FileSystem
    root: str
    local: bool

    def write_bytes(self, key: str, data: bytes) -> Stored:
        """Write an object, in the place of an earlier one of that key."""
        path = self._path(key)
        with self._errors(key):
            if self.local:
                self._write_file(Path(path), data)
            else:
                with self.filesystem.open_output_stream(path) as stream:
                    stream.write(data)
        return Stored(self.uri(key), hashlib.sha256(data).hexdigest(), len(data))

    @contextmanager
    def writing(self, key: str) -> Iterator[Draft]:
        """A file to write an object into; it takes its key when the block ends without an error.

        Larger objects than memory holds are written so. The digest and the length stand in the
        draft's `stored` afterwards.
        """
        path = self._path(key)
        folder = Path(path).parent if self.local else Path(tempfile.gettempdir())
        partial = folder / f"{PARTIAL}{secrets.token_hex(8)}"
        with self._errors(key):
            folder.mkdir(parents=True, exist_ok=True)
            try:
                with partial.open("w+b") as stream:
                    draft = Draft(stream)
                    yield draft
                    stream.flush()
                    os.fsync(stream.fileno())
                    stream.seek(0)
                    digest = hashlib.file_digest(stream, "sha256").hexdigest()
                    draft.stored = Stored(self.uri(key), digest, stream.tell())
                    if not self.local:
                        stream.seek(0)
                        self._upload(path, stream)
                if self.local:
                    partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)

    @contextmanager
    def fetched(self, key: str) -> Iterator[Path]:
        """An object as a file: itself in a local store, a passing copy of a remote one."""
        path = self._path(key)
        if self.local:
            yield Path(path)
            return
        with tempfile.TemporaryDirectory(prefix="lascopf-") as folder:
            copy = Path(folder) / path.rpartition("/")[2]
            with (
                self._errors(key),
                self.filesystem.open_input_stream(path) as source,
                copy.open("wb") as target,
            ):
                shutil.copyfileobj(source, target, _BLOCK)
            yield copy

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; those that are not there are no fault."""
        for key in keys:
            path = self._path(key)
            with self._errors(key), suppress(FileNotFoundError):
                self.filesystem.delete_file(path)

    def move(self, key: str, target: str) -> None:
        """Give an object another key, in the place of what had it."""
        path, to = self._path(key), self._path(target)
        with self._errors(key):
            if self.local:
                Path(to).parent.mkdir(parents=True, exist_ok=True)
                Path(path).replace(to)
            else:
                self.filesystem.move(path, to)

    def below(self, prefix: str) -> ObjectStore:
        """The store of the keys below a prefix, without it."""
        return replace(self, root=self._path(prefix))

    def read_bytes(self, key: str) -> bytes:
        """The bytes of an object."""
        with self._errors(key), self.filesystem.open_input_file(self._path(key)) as stream:
            return bytes(stream.read())

    def write_parquet(self, key: str, frame: pd.DataFrame | pa.Table) -> Stored:
        """Write a frame as parquet; the same frame gives the same bytes."""
        if not isinstance(frame, pa.Table):
            frame = pa.Table.from_pandas(frame, preserve_index=False)
        sink = io.BytesIO()
        pq.write_table(frame, sink, compression="zstd")
        return self.write_bytes(key, sink.getvalue())

    def read_parquet(self, key: str) -> pd.DataFrame:
        """Read a parquet object; timestamps are in nanoseconds."""
        data = self.read_bytes(key)
        try:
            table = pq.read_table(pa.BufferReader(data))
        except pa.ArrowInvalid as error:
            raise ObjectStoreRefused(
                self.uri(key), f"not parquet: {error}", "write it again"
            ) from None
        frame: pd.DataFrame = table.to_pandas(coerce_temporal_nanoseconds=True)
        return frame

    def exists(self, key: str) -> bool:
        """Whether there is an object of this key."""
        with self._errors(key):
            info = self.filesystem.get_file_info(self._path(key))
        return bool(info.type == pa.fs.FileType.File)

    def list(self, prefix: str = "") -> list[str]:
        """Keys that begin with `prefix`, sorted."""
        folder = prefix.rpartition("/")[0]
        base = self._path(folder) if folder else self.root
        selector = pa.fs.FileSelector(base, allow_not_found=True, recursive=True)
        with self._errors(prefix):
            found = self.filesystem.get_file_info(selector)
        files = (info.path for info in found if info.type == pa.fs.FileType.File)
        keys = (path[len(self.root) + 1 :] for path in files if f"/{PARTIAL}" not in path)
        return sorted(key for key in keys if key.startswith(prefix))

    def uri(self, key: str) -> str:
        """The address of an object, whether or not it exists."""
        return self._address(self._path(key))

    def local_path(self, key: str) -> Path | None:
        """The object as a file of this machine; None for a remote store."""
        path = self._path(key)
        return Path(path) if self.local else None

    def _address(self, path: str) -> str:
        return Path(path).as_uri() if self.local else f"s3://{path}"

    def _path(self, key: str) -> str:
        parts = key.split("/")
        if any(part in ("", ".", "..") for part in parts) or re.search(r"[\\\x00-\x1f]", key):
            raise BadInput("object key", key, "give a relative path without empty parts, . or ..")
        path = f"{self.root}/{key}"
        if self.local and not Path(path).resolve().is_relative_to(Path(self.root).resolve()):
            raise BadInput("object key", key, "a link leads out of the store: remove it")
        return path

    def _upload(self, path: str, stream: BinaryIO) -> None:
        """Send a file; closing its stream makes the object, so an error must not close it."""
        sink = self.filesystem.open_output_stream(path)
        shutil.copyfileobj(stream, sink, _BLOCK)
        sink.close()

    def _write_file(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{PARTIAL}{secrets.token_hex(8)}")
        try:
            with partial.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        try:
            yield
        except (OSError, pa.ArrowException) as error:
            raise _explain(error, self._address(f"{self.root}/{key}")) from None


def open_store(
    url: str,
    *,
    endpoint: str | None = None,
    access_key: str | None = None,
    secret_key: str | None = None,
    region: str | None = None,
) -> ObjectStore:
    """Open an object store; nothing is read or made yet.

    Args:
        url: ``file:///folder``, a path, or ``s3://bucket/prefix``; a bucket must exist.
        endpoint: ``http(s)://host:port`` of an S3 server other than AWS.
        access_key: for S3; without it the environment's credentials are used.
        secret_key: for S3.
        region: for S3.

    Raises:
        BadInput: the URL or the endpoint is not usable.
    """
    parts = urlsplit(url)
    if parts.scheme in ("", "file"):
        if parts.netloc not in ("", "localhost"):
            raise BadInput("objects URL", url, "give file:///folder with three slashes")
        folder = Path(unquote(parts.path) if parts.scheme else url).expanduser().absolute()
        return ObjectStore(pa.fs.LocalFileSystem(), str(folder), local=True)
    if parts.scheme != "s3" or not parts.netloc:
        raise BadInput("objects URL", url, "give file:///folder or s3://bucket/prefix")
    options: dict[str, object] = {}
    if endpoint is not None:
        server = urlsplit(endpoint)
        if server.scheme not in ("http", "https") or not server.netloc:
            raise BadInput("S3 endpoint", endpoint, "give http(s)://host:port")
        options |= {"endpoint_override": server.netloc, "scheme": server.scheme}
    if access_key is not None:
        options |= {"access_key": access_key, "secret_key": secret_key}
    filesystem = pa.fs.S3FileSystem(
        region=region or "us-east-1",
        connect_timeout=5,
        request_timeout=60,
        retry_strategy=pa.fs.AwsStandardS3RetryStrategy(max_attempts=3),
        **options,
    )
    return ObjectStore(filesystem, f"{parts.netloc}{parts.path}".rstrip("/"), local=False)


def _explain(error: Exception, uri: str) -> LascopfError:
    """The platform's error for one of the file system or of S3."""
    reason = " ".join(str(error).split())
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(uri)
    if number == errno.EFBIG:
        return DiskFull(uri, "it grows beyond the largest file that is allowed")
    if isinstance(error, FileNotFoundError) or "NO_SUCH_KEY" in reason:
        return ObjectStoreRefused(uri, "there is no such object", "run what writes it first")
    if "NO_SUCH_BUCKET" in reason:
        return ObjectStoreRefused(uri, "there is no such bucket", "make it or correct the URL")
    if isinstance(error, PermissionError) or any(word in reason for word in _DENIED):
        return ObjectStoreRefused(uri, "access is denied", "correct its keys or permissions")
    if "HTTP status 400" in reason:
        return ObjectStoreRefused(uri, reason[:300], "correct bucket and region")
    if isinstance(error, IsADirectoryError | NotADirectoryError | FileExistsError):
        return ObjectStoreRefused(uri, reason, "a folder is not an object: choose another key")
    return ObjectStoreFailed(uri, reason[:300], "see that it runs and that its URL is right")
