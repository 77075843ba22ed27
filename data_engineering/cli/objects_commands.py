"""`lascopf objects save` and `lascopf objects load`: the whole object store as one file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from data_engineering.cli.errors import log_to_file
from data_engineering.cli.output import EPILOG, Json, Output
from data_engineering.model.errors import BadInput, SourceFileMissing
from data_engineering.settings import get_settings

if TYPE_CHECKING:
    from data_engineering.storage.objects import ObjectStore

objects = typer.Typer(help="The object store.", epilog=EPILOG)
Place = Annotated[str, typer.Argument(help="Tar file; - is standard output or input.")]


@objects.command(epilog=EPILOG)
def save(target: Place, json: Json = False) -> None:
    """Write all objects to one tar file, with a digest of each."""
    from data_engineering.storage import object_archive

    log_to_file()
    output = Output(as_json=json)
    if target == "-" and json:
        raise BadInput("--json", True, "standard output is the archive's; give a file with it")
    with output.working("saving"), _to(target) as stream:
        done = object_archive.save(_store(), stream)
    line = f"{done.object_count} objects, {done.byte_count} bytes"
    if target == "-":
        output.note(line)
    else:
        output.done({"objects": done.object_count, "bytes": done.byte_count}, [line])


@objects.command(epilog=EPILOG)
def load(source: Place, json: Json = False) -> None:
    """Put the objects of a tar file back; other objects stay."""
    from data_engineering.storage import object_archive

    log_to_file()
    output = Output(as_json=json)
    with output.working("loading"), _from(source) as stream:
        done = object_archive.load(stream, _store())
    line = f"{done.object_count} objects, {done.byte_count} bytes"
    output.done({"objects": done.object_count, "bytes": done.byte_count}, [line])


def _store() -> ObjectStore:
    from data_engineering.runtime import open_objects

    return open_objects(get_settings())


@contextmanager
def _to(target: str) -> Iterator[BinaryIO]:
    """The file takes its name when it is whole."""
    if target == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(target)
    if not path.absolute().parent.is_dir():
        raise BadInput("target", target, "its folder is not there; make it first")
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as stream:
            yield stream
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _from(source: str) -> Iterator[BinaryIO]:
    if source == "-":
        yield sys.stdin.buffer
        return
    path = Path(source)
    if not path.is_file():
        raise SourceFileMissing(path, "give a file that `lascopf objects save` wrote")
    with path.open("rb") as stream:
        yield stream
