"""What commands say: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import pandas as pd
    from rich.status import Status

EPILOG = (
    "Exit codes: 0 done, 1 unexpected, 2 bad input, 3 checks failed, 4 a server does not answer "
    "(try again later), 5 not solved or a run failed, 6 the machine or a server refuses (port, "
    "disk, credentials, migration, a process that died), 130 interrupted."
)

Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


class Output:
    """Progress on standard error, and one result on standard output."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._status: Status | None = None
        self._started = time.monotonic()

    def progress(self, text: str) -> None:
        """Say what is going on now."""
        if self._status is not None:
            self._status.update(text)
        else:
            self.note(text)

    def note(self, text: str) -> None:
        """Say something that stays on the screen."""
        seconds = time.monotonic() - self._started
        if self._status is not None:
            self._status.console.print(f"{seconds:6.1f} s  {text}", markup=False, highlight=False)
        else:
            print(f"{seconds:6.1f} s  {text}", file=sys.stderr, flush=True)  # noqa: T201

    @contextmanager
    def working(self, text: str) -> Iterator[None]:
        """Show a turning wheel with the newest progress, where a person looks on."""
        if not sys.stderr.isatty():
            self.note(text)
            yield
            return
        from rich.console import Console

        with Console(stderr=True).status(text) as status:
            self._status = status
            try:
                yield
            finally:
                self._status = None

    def done(self, result: Mapping[str, Any], lines: Iterable[str]) -> None:
        """The one result: as JSON, or as lines for people."""
        if self.as_json:
            write_json({"status": "ok", **result})
        else:
            for line in lines:
                write_line(line)

    def table(self, title: str, frame: pd.DataFrame) -> None:
        """A frame as a table for people."""
        if self.as_json:
            return
        print_table(title, list(frame.columns), frame.itertuples(index=False, name=None))


def print_table(title: str, columns: Sequence[object], rows: Iterable[Sequence[Any]]) -> None:
    """A table on standard output; numbers right-aligned."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left", title_style="bold")
    body = [list(row) for row in rows]
    for index, name in enumerate(columns):
        numeric = all(isinstance(row[index], int | float | Decimal | None) for row in body)
        table.add_column(Text(str(name)), justify="right" if numeric else "left")
    for row in body:
        table.add_row(*(Text(_shown(value)) for value in row))
    # Somebody who pipes a table elsewhere wants it whole, not as wide as a terminal.
    console = Console(width=None if sys.stdout.isatty() else 10_000)
    console.print(table)


def _shown(value: Any) -> str:
    value = plain(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        rounded = round(value, 2) + 0.0  # the sum turns -0.0 into 0.0
        return f"{rounded:,.2f}" if abs(value) < 1e15 else f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def write_line(line: str) -> None:
    """One line on standard output."""
    print(line, flush=True)  # noqa: T201 - the command line is where printing belongs


def write_json(document: Mapping[str, Any]) -> None:
    """One JSON object on standard output."""
    write_line(json.dumps(plain(document), ensure_ascii=False, allow_nan=False))


def plain(value: Any) -> Any:
    """The value in JSON's words; what is not a number there becomes null."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float | Decimal):
        number = float(value)
        return number if math.isfinite(number) else None
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if hasattr(value, "item"):
        return plain(value.item())  # NumPy scalars
    return str(value)
