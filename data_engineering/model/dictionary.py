"""The data dictionary: every declared table as Markdown, so that the document cannot drift.

python -m data_engineering.model.dictionary > docs/DATA_DICTIONARY.md
"""

from __future__ import annotations

import sys

from data_engineering.model.columns import Column, Store, Table
from data_engineering.model.tables import TABLES

STORES: dict[Store, str] = {
    "timeseries": "Time-series database",
    "metadata": "Metadata database",
}
HEAD = """# Data dictionary

Made from `data_engineering/model/tables/` by `python -m data_engineering.model.dictionary`; change
the declarations, not this file. Bounds are inclusive and are what a quantity can be at all; the
narrower limits of the data checks are `Quality` in `data_engineering/settings.py`. All times are
UTC. A column that may be null is null where its source does not tell it.
"""


def dictionary_markdown() -> str:
    """The whole dictionary; ends with a newline."""
    parts = [HEAD]
    for store, title in STORES.items():
        parts.append(f"## {title}\n")
        parts += [_table(table) for table in TABLES.values() if table.store == store]
    return "\n".join(parts)


def _table(table: Table) -> str:
    lines = [f"### `{table.name}`\n", table.doc, ""]
    lines.append(f"Key: {_names(table.key)}.")
    if table.time:
        lines[-1] += f" Time: `{table.time}`."
    if table.generated:
        lines[-1] += f" Filled by the database: {_names(table.generated)}."
    lines += ["", "| column | type | unit | null | bounds | meaning |", "|---|---|---|---|---|---|"]
    lines += [_row(column) for column in table.columns]
    return "\n".join(lines) + "\n"


def _row(column: Column) -> str:
    cells = [
        f"`{column.name}`",
        column.dtype,
        column.unit,
        "yes" if column.nullable else "no",
        _bounds(column),
        column.doc.replace("|", "\\|"),
    ]
    return "| " + " | ".join(cells) + " |"


def _bounds(column: Column) -> str:
    low, high = column.minimum, column.maximum
    if low is not None and high is not None:
        return f"{low:g} to {high:g}"
    if low is not None:
        return f">= {low:g}"
    return f"<= {high:g}" if high is not None else ""


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    sys.stdout.write(dictionary_markdown())
