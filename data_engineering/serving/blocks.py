"""What a report is made of: sections of charts and tables, as plain data for the template."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

MISSING = "\N{EN DASH}"


@dataclass(frozen=True)
class Column:
    """How a column is shown: its heading and, for numbers, a format such as `,.1f`."""

    heading: str
    form: str = ""


@dataclass(frozen=True)
class TextTable:
    """A table of text; `numeric` says which columns are aligned as numbers."""

    caption: str
    headings: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[tuple[str, ...], ...]
    total: tuple[str, ...] = ()


@dataclass(frozen=True)
class Chart:
    """A Plotly figure as JSON, what it shows in words, and the same numbers as a table."""

    id: str
    title: str
    caption: str
    figure: str
    height: int
    table: TextTable | None = None


@dataclass(frozen=True)
class Section:
    """A chapter of the report; `nothing` says why it has no blocks, where it has none."""

    id: str
    title: str
    intro: str = ""
    blocks: tuple[Chart | TextTable, ...] = ()
    nothing: str = ""


def text_table(
    frame: pd.DataFrame,
    caption: str,
    columns: Mapping[str, Column],
    total: Mapping[str, Any] | None = None,
) -> TextTable:
    """The named columns of a frame as text.

    Args:
        frame: the rows.
        caption: what the table shows.
        columns: frame column to how it is shown, in order.
        total: values of a last row by column; columns without one are blank.
    """
    shown = [
        [shown_value(value, column.form) for value in frame[name].tolist()]
        for name, column in columns.items()
    ]
    last = (
        tuple(
            shown_value(total[name], column.form) if name in total else ""
            for name, column in columns.items()
        )
        if total
        else ()
    )
    return TextTable(
        caption=caption,
        headings=tuple(column.heading for column in columns.values()),
        numeric=tuple(bool(column.form) for column in columns.values()),
        rows=tuple(zip(*shown, strict=True)),
        total=last,
    )


def shown_value(value: Any, form: str = "") -> str:
    """A value for people: numbers by `form`, times as hour and day in UTC, nulls as a dash."""
    if value is None or value is pd.NaT or value is pd.NA or value != value:
        return MISSING
    if isinstance(value, pd.Timestamp):
        return value.strftime("%Y-%m-%d %H:%M")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not form:
        return str(value)
    text = format(value, form)
    return text[1:] if text[:1] in ("-", "+") and not text.strip("-+0.,e") else text


def figure_json(figure: Any) -> str:
    """A Plotly figure as JSON that can stand inside a script element."""
    document = json.loads(figure.to_json())
    text = json.dumps(
        {"data": document["data"], "layout": document["layout"]},
        separators=(",", ":"),
        sort_keys=True,
    )
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
