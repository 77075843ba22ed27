"""CSV of the exchange bundle: numbers that read back the same, and a strict reader."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import Flags, Floats, Ints, Texts

NA = "NA"


def csv_text(columns: Mapping[str, Sequence[str]]) -> str:
    """Columns of words as CSV.

    Raises:
        BadInput: a word has more than one line.
    """
    for name, words in columns.items():
        for word in words:
            if "\n" in word or "\r" in word:
                raise BadInput(name, word, "give it one line")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()


def numbers(name: str, values: Floats, ids: Sequence[str], missing: float | None) -> list[str]:
    """Values in the shortest form that reads back the same; `missing` as NA.

    Raises:
        BadInput: a value is neither finite nor `missing`.
    """
    words = []
    for uid, value in zip(ids, values.tolist(), strict=True):
        if math.isfinite(value):
            words.append(repr(value))
        elif missing is not None and np.array_equal(value, missing, equal_nan=True):
            words.append(NA)
        else:
            raise BadInput(f"{name} of {uid}", value, "give a finite number")
    return words


def flags(values: Flags) -> list[str]:
    """1 and 0."""
    return ["1" if value else "0" for value in values.tolist()]


def wide_text(values: Floats | Flags, ids: Iterable[str]) -> str:
    """A table of intervals: shape (T, elements), a column for each element.

    Raises:
        BadInput: two elements have one id, or a value is not finite.
    """
    names = list(ids)
    columns = {"Interval": [str(t) for t in range(1, len(values) + 1)]}
    for name, column in zip(names, values.T, strict=True):
        if name in columns:
            raise BadInput("id", name, "give every element an id of its own, other than Interval")
        wanted = column.dtype == np.bool_
        rows = columns["Interval"]
        columns[name] = flags(column) if wanted else numbers(name, column, rows, None)
    return csv_text(columns)


@dataclass(frozen=True)
class CsvTable:
    """A table that was read; every error names file, row, column, value and remedy.

    Attributes:
        name: of the file.
        columns: words by column name.
        count: rows.
    """

    name: str
    columns: Mapping[str, list[str]]
    count: int

    @classmethod
    def read(cls, name: str, text: str) -> CsvTable:
        """Parse a file.

        Raises:
            BadInput: it is no CSV, has no header, a column twice, or a row of another length.
        """
        try:
            rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
        except csv.Error as wrong:
            raise BadInput(name, str(wrong), "write it as CSV, quotes doubled") from None
        if not rows or not rows[0]:
            raise BadInput(name, text[:40], "give a header")
        header = rows[0]
        if len(set(header)) < len(header):
            raise BadInput(f"{name} header", header, "name every column once")
        for number, row in enumerate(rows[1:], start=1):
            if len(row) != len(header):
                raise BadInput(f"{name} row {number}", row, f"give {len(header)} values")
        words = list(zip(*rows[1:], strict=True)) or [() for _ in header]
        columns = {key: list(column) for key, column in zip(header, words, strict=True)}
        return cls(name, columns, len(rows) - 1)

    def texts(self, column: str) -> list[str]:
        """A column's words.

        Raises:
            BadInput: there is no such column.
        """
        if column not in self.columns:
            raise BadInput(f"{self.name} columns", list(self.columns), f"add the column {column}")
        return self.columns[column]

    def names(self, column: str) -> Texts:
        """A column's words as an array."""
        return np.array(self.texts(column), dtype=np.str_)

    def floats(self, column: str, missing: float | None = None) -> Floats:
        """A column of numbers; NA as `missing`.

        Raises:
            BadInput: a word is no finite number, or NA where a value is needed.
        """
        found = np.empty(self.count)
        for row, word in enumerate(self.texts(column)):
            found[row] = self._float(column, row, word, missing)
        return found

    def _float(self, column: str, row: int, word: str, missing: float | None) -> float:
        if word == NA and missing is not None:
            return missing
        try:
            value = float(word)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self._wrong(column, row, word, "give a finite number")
        return value

    def wholes(self, column: str) -> Ints:
        """A column of whole numbers.

        Raises:
            BadInput: a word is not one.
        """
        found = np.empty(self.count, dtype=np.int64)
        for row, word in enumerate(self.texts(column)):
            if not (word.isascii() and word.isdecimal() and len(word) <= 18):
                raise self._wrong(column, row, word, "give a whole number")
            found[row] = int(word)
        return found

    def flags(self, column: str) -> Flags:
        """A column of 0 and 1.

        Raises:
            BadInput: a word is neither.
        """
        for row, word in enumerate(self.texts(column)):
            if word not in ("0", "1"):
                raise self._wrong(column, row, word, "give 0 or 1")
        return np.array([word == "1" for word in self.texts(column)], dtype=np.bool_)

    def one_of(self, column: str, known: Mapping[str, int]) -> Ints:
        """A column of known words, as the numbers they stand for.

        Raises:
            BadInput: a word is not known.
        """
        for row, word in enumerate(self.texts(column)):
            if word not in known:
                raise self._wrong(column, row, word, f"use one of {', '.join(list(known)[:9])}")
        return np.array([known[word] for word in self.texts(column)], dtype=np.int64)

    def wide(self, ids: Texts, intervals: int) -> Floats:
        """A table of intervals, shape (T, elements).

        Raises:
            BadInput: intervals or elements are not those that are wanted, in their order.
        """
        if list(self.columns) != ["Interval", *ids.tolist()]:
            remedy = f"give Interval, then the {len(ids)} elements in the order of their table"
            raise BadInput(f"{self.name} columns", list(self.columns)[:9], remedy)
        if self.wholes("Interval").tolist() != list(range(1, intervals + 1)):
            raise BadInput(f"{self.name} Interval", self.count, f"give 1 to {intervals}")
        found = np.zeros((intervals, len(ids)))
        for place, uid in enumerate(ids.tolist()):
            found[:, place] = self.floats(uid)
        return found

    def _wrong(self, column: str, row: int, word: str, remedy: str) -> BadInput:
        return BadInput(f"{self.name} row {row + 1}, column {column}", word, remedy)
