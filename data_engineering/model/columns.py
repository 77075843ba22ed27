"""How a table is declared: `Table` and `Column`, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pandas as pd
import pyarrow as pa

Dtype = Literal[
    "text", "float", "integer", "bigint", "boolean", "timestamp", "date", "uuid", "json", "texts"
]
Store = Literal["timeseries", "metadata"]

ARROW: dict[Dtype, pa.DataType] = {
    "text": pa.string(),
    "float": pa.float64(),
    "integer": pa.int64(),
    "bigint": pa.int64(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "date": pa.date32(),
    "uuid": pa.string(),
    "json": pa.string(),
    "texts": pa.list_(pa.string()),
}

SQL: dict[Dtype, str] = {
    "text": "text",
    "float": "double precision",
    "integer": "integer",
    "bigint": "bigint",
    "boolean": "boolean",
    "timestamp": "timestamp with time zone",
    "date": "date",
    "uuid": "uuid",
    "json": "jsonb",
    "texts": "ARRAY",
}


@dataclass(frozen=True)
class Column:
    """One column: its name, type, unit, bounds (inclusive) and meaning."""

    name: str
    dtype: Dtype
    unit: str = ""
    doc: str = ""
    nullable: bool = True
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True)
class Table:
    """One table: the only declaration of its columns, from which all others are derived.

    Attributes:
        name: name in SQL, also the folder of its parquet.
        store: the database that holds it.
        columns: in the order of the SQL table.
        key: primary key; writing a row with a known key replaces it.
        time: the column that says when the row happened; None where rows are not in time.
        generated: columns the database fills (serial numbers, audit times); writers leave them out.
    """

    name: str
    store: Store
    doc: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    time: str | None = None
    generated: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = set(self.names)
        missing = {*self.key, *self.generated, *([self.time] if self.time else [])} - names
        if missing or len(names) != len(self.columns):
            raise ValueError(f"table {self.name}: columns {sorted(missing)} are not declared once")

    @property
    def names(self) -> tuple[str, ...]:
        """All column names in order."""
        return tuple(column.name for column in self.columns)

    @property
    def written(self) -> tuple[Column, ...]:
        """The columns that a writer gives."""
        return tuple(column for column in self.columns if column.name not in self.generated)

    def column(self, name: str) -> Column:
        """The declaration of one column.

        Raises:
            KeyError: the table has no such column.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"{self.name}.{name}")

    def arrow_schema(self) -> pa.Schema:
        """Arrow schema of the written columns; floats are 64-bit, times are UTC microseconds."""
        return pa.schema(
            [pa.field(c.name, ARROW[c.dtype], nullable=c.nullable) for c in self.written]
        )

    def typed(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The written columns in order and in their declared types; a column not given is null.

        Raises:
            ValueError: a value does not fit its column's type, or is null where none may be.
        """
        given = frame.reindex(columns=[column.name for column in self.written])
        table = pa.Table.from_pandas(given, schema=self.arrow_schema(), preserve_index=False)
        rows: pd.DataFrame = table.to_pandas()
        return rows
