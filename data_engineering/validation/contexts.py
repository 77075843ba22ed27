"""The Great Expectations context of one run, and its Data Docs."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data_engineering.model.errors import BadInput, DiskFull

PAGE = Path("gx/uncommitted/data_docs/local_site/index.html")
UNUSED_IMAGES = ("glossary_scroller.gif", "validation_failed_unexpected_values.gif")
"""Moving pictures of a tutorial, 3.4 MB with every site, that no page of a finished run shows."""


@contextmanager
def open_context(folder: Path) -> Iterator[Any]:
    """A Great Expectations context whose Data Docs are in `folder` when the block ends.

    It is built beside and put in place at the end: readers see whole Data Docs, running a batch
    again does not add to them, and a block that raises leaves the earlier ones. Of two processes
    with the same folder the second waits for the first.

    Raises:
        BadInput: the folder cannot be made.
        DiskFull: no space is left.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    with _lock(folder):
        shutil.rmtree(partial, ignore_errors=True)
        try:
            context = _file_context(partial)
            yield context
            build_docs(context)
            shutil.rmtree(folder, ignore_errors=True)
            partial.replace(folder)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFull(folder) from None
            raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Held by one process at a time; the system lets go of it when the process ends."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = folder.with_name(f".{folder.name}.lock").open("w")
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(folder) from None
        remedy = f"{error.strerror}: give a folder that can be written"
        raise BadInput("validation folder", str(folder), remedy) from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build_docs(context: Any) -> None:
    """Write the Data Docs of everything that was run in the context so far."""
    context.build_data_docs()
    for name in UNUSED_IMAGES:
        image = Path(context.root_directory).parent / PAGE.parent / "static/images" / name
        image.unlink(missing_ok=True)


def docs_page(folder: Path) -> Path:
    """The first page of the Data Docs that `open_context(folder)` wrote."""
    return folder / PAGE


def _file_context(folder: Path) -> Any:
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx

    folder.mkdir()
    context = gx.get_context(mode="file", project_root_dir=str(folder))
    context.variables.progress_bars = {"globally": False}
    return context
