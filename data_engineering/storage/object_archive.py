"""All objects of a store as one tar stream, and back.

The archive has the objects in the order of their keys, as members below ``objects/``, and at its
end ``SHA256SUMS`` with a line for each of them. An archive without that end was cut off. Equal
objects give equal bytes. Neither side holds more than one block of an object in memory.
"""

from __future__ import annotations

import hashlib
import io
import logging
import tarfile
from dataclasses import dataclass
from typing import IO, BinaryIO

from data_engineering.model.errors import BadInput, ObjectStoreRefused
from data_engineering.storage.objects import ObjectStore

_FOLDER, _SUMS = "objects/", "SHA256SUMS"
_BLOCK = 1024 * 1024
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Archived:
    """What an archive holds."""

    object_count: int
    byte_count: int


def save(store: ObjectStore, target: BinaryIO) -> Archived:
    """Write every object of a store to a stream; the store may be written meanwhile.

    Raises:
        LascopfError: the store does not answer or refuses.
    """
    sums: list[str] = []
    size = 0
    with tarfile.open(fileobj=target, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for key in store.list():
            try:
                with store.fetched(key) as path, path.open("rb") as source:
                    digest = hashlib.file_digest(source, "sha256").hexdigest()
                    count = source.tell()
                    source.seek(0)
                    archive.addfile(_member(_FOLDER + key, count), source)
            except (ObjectStoreRefused, FileNotFoundError):
                if store.exists(key):
                    raise
                _log.info("%s was removed while the store was saved", key)
                continue
            sums.append(f"{digest}  {_FOLDER}{key}\n")
            size += count
        text = "".join(sums).encode()
        archive.addfile(_member(_SUMS, len(text)), io.BytesIO(text))
    return Archived(len(sums), size)


def load(source: BinaryIO, store: ObjectStore) -> Archived:
    """Write the objects of an archive into a store; other objects of the store stay.

    Raises:
        BadInput: the archive is cut off, damaged, or not one of `save`.
        LascopfError: the store does not answer or refuses.
    """
    found: dict[str, str] = {}
    size = 0
    try:
        with tarfile.open(fileobj=source, mode="r|") as archive:
            for member in archive:
                stream = archive.extractfile(member)
                if stream is None:
                    raise BadInput("archive", member.name, "give one that `objects save` wrote")
                if member.name == _SUMS:
                    _check(stream.read().decode().splitlines(), found)
                    return Archived(len(found), size)
                key = member.name.removeprefix(_FOLDER)
                if key == member.name:
                    raise BadInput("archive", member.name, "give one that `objects save` wrote")
                found[member.name] = _store(stream, store, key)
                size += member.size
    except (tarfile.TarError, EOFError, UnicodeDecodeError) as error:
        raise BadInput("archive", str(error), "it is cut off or damaged; give another") from None
    raise BadInput("archive", f"{len(found)} objects without {_SUMS}", "it is cut off")


def _member(name: str, size: int) -> tarfile.TarInfo:
    """A member without anything that differs from day to day."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o600
    return info


def _store(stream: IO[bytes], store: ObjectStore, key: str) -> str:
    """Write one object; the digest of what was read."""
    digest = hashlib.sha256()
    with store.writing(key) as draft:
        while block := stream.read(_BLOCK):
            digest.update(block)
            draft.stream.write(block)
    if draft.stored is None or draft.stored.digest != digest.hexdigest():
        raise ObjectStoreRefused(store.uri(key), "it took other bytes", "check its disk")
    return digest.hexdigest()


def _check(lines: list[str], found: dict[str, str]) -> None:
    expected = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    wrong = sorted(name for name in expected | found if expected.get(name) != found.get(name))
    if wrong:
        raise BadInput("archive", ", ".join(wrong[:5]), "damaged objects; give another archive")
