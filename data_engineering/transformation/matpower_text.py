"""The statements of a MATPOWER case file: tables of numbers, lists of texts and single values.

A case file is a MATLAB function that fills a struct. Only literal values are understood (MATPOWER
User's Manual, appendix B), which is what case files are made of.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import Floats

_BLOCK_COMMENT = re.compile(r"^[ \t]*%\{[ \t]*$.*?^[ \t]*%\}[ \t]*$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"%[^\n]*")
_CONTINUATION = re.compile(r"\.\.\.[^\n]*\n")
_CELL_WORD = re.compile(r"'((?:[^'\n]|'')*)'|\"([^\"\n]*)\"|%[^\n]*|([{}=])")
_STRUCT = re.compile(r"^[ \t]*function[ \t]+(\w+)[ \t]*=", re.MULTILINE)
_JOINED = "\f"
"""Stands for the end of a continued line: white space that still counts as a line."""


@dataclass(frozen=True, eq=False)
class Table:
    """A table of numbers.

    Attributes:
        values: shape (rows, columns).
        line: of the file, on which `body` begins.
        body: the text between the brackets, without comments.
        columns: names of the leading columns.
    """

    name: str
    case_name: str
    values: Floats
    line: int
    body: str
    columns: Sequence[str]

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, column: str) -> Floats:
        """A column, shape (rows,); 0 where the table does not have it."""
        place = self.columns.index(column)
        if place >= self.values.shape[1]:
            return np.zeros(len(self))
        return self.values[:, place].copy()

    def refuse(self, wrong: np.ndarray, column: str, remedy: str) -> None:
        """Raise for the first row that is wrong.

        Raises:
            BadInput: there is one; says the line, the column and the value.
        """
        for row in np.flatnonzero(wrong)[:1]:
            value = float(self.values[row, self.columns.index(column)])
            shown = int(value) if value.is_integer() else value
            line = _rows(self.body, self.line)[row][0]
            raise fault(self.case_name, line, f"{self.name}.{column}", shown, remedy)


@dataclass(frozen=True, eq=False)
class Statements:
    """What a case file assigns, by the name of the struct's field.

    Attributes:
        values: everything that is neither a table nor a list of texts, as it stands.
        lines: of the file, on which each statement begins.
        computed: line, field and text of statements that change a part of a field.
        struct: name of the struct in the file.
    """

    case_name: str
    struct: str = "mpc"
    tables: dict[str, Table] = field(default_factory=dict)
    texts: dict[str, list[str]] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    computed: list[tuple[int, str, str]] = field(default_factory=list)


def fault(case_name: str, line: int, place: str, value: object, remedy: str) -> BadInput:
    """The error of a value on a line of a case file."""
    return BadInput(f"{case_name} line {line}: {place}", value, remedy)


def read_statements(
    text: str, case_name: str, columns: Mapping[str, Sequence[str]], least: Mapping[str, int]
) -> Statements:
    """Every assignment to the struct of a case file.

    Args:
        text: the whole file.
        case_name: stands in errors.
        columns: names of the leading columns of known tables.
        least: how many columns a known table has at least.

    Raises:
        BadInput: a bracket that is not closed, rows of different lengths, or a word where a number
            should be.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "%{" in text:
        text = _BLOCK_COMMENT.sub(lambda found: "\n" * found.group().count("\n"), text)
    named = _STRUCT.search(text)
    struct = named.group(1) if named else "mpc"
    statement = re.compile(rf"{struct}\.(\w+(?:\.\w+)*)[ \t]*(\([^=\n]*\))?[ \t]*=(?!=)[ \t]*")
    found = Statements(case_name, struct)
    place, line, counted = 0, 1, 0
    while (place := text.find(f"{struct}.", place)) >= 0:
        match = statement.match(text, place)
        before = text[text.rfind("\n", 0, place) + 1 : place]
        place += len(struct) + 1
        if match is None or "%" in before or re.search(r"[\w.]$", before):
            continue
        line, counted = line + text.count("\n", counted, match.start()), match.start()
        if match.group(2):
            end = text.find("\n", match.end())
            place = end if end >= 0 else len(text)
            found.computed.append((line, match.group(1), text[match.start() : place]))
            continue
        place = _read_one(found, text, match, line, columns, least)
    return found


def _read_one(
    found: Statements,
    text: str,
    match: re.Match[str],
    line: int,
    columns: Mapping[str, Sequence[str]],
    least: Mapping[str, int],
) -> int:
    """Keep one statement; where the text goes on after it."""
    name, start = match.group(1), match.end()
    found.lines[name] = line
    if text.startswith("[", start):
        end = _bracket(text, start, found.case_name, name, line)
        body = text[start + 1 : end]
        found.tables[name] = _table(
            name, found.case_name, line, body, columns.get(name, ("value",)), least.get(name, 1)
        )
        return end
    if text.startswith("{", start):
        found.texts[name], end = _cells(text, start, found.case_name, name, line)
        return end
    stop = text.find("\n", start)
    end = stop if stop >= 0 else len(text)
    value = _COMMENT.sub("", text[start:end]).partition(";")[0]
    found.values[name] = value.strip().strip("'\"")
    return end


def _unclosed(case_name: str, line: int, name: str, bracket: str) -> BadInput:
    remedy = f"close the table with {']' if bracket == '[' else '}'};"
    return fault(case_name, line, name, bracket, remedy)


def _bracket(text: str, start: int, case_name: str, name: str, line: int) -> int:
    """Where the table ends that begins at `start`."""
    end = start
    while (end := text.find("]", end + 1)) >= 0:
        if "%" not in text[max(text.rfind("\n", start, end), start) : end]:
            break
    if end < 0 or "=" in _COMMENT.sub("", text[start:end]):
        raise _unclosed(case_name, line, name, "[")
    return end


def _cells(text: str, start: int, case_name: str, name: str, line: int) -> tuple[list[str], int]:
    """The texts between braces, and where they end."""
    words: list[str] = []
    for word in _CELL_WORD.finditer(text, start + 1):
        if word.group(3) == "}":
            return words, word.end()
        if word.group(3):
            break
        if word.group(1) is not None:
            words.append(word.group(1).replace("''", "'"))
        elif word.group(2) is not None:
            words.append(word.group(2))
    raise _unclosed(case_name, line, name, "{")


def _table(
    name: str, case_name: str, line: int, body: str, columns: Sequence[str], least: int
) -> Table:
    if "%" in body:
        body = _COMMENT.sub("", body)
    if "..." in body:
        body = _CONTINUATION.sub(_JOINED, body)
    body = body.replace(",", " ")
    values = np.zeros((0, least))
    if body.strip(" \t\n\f;"):
        try:
            rows = body.replace(";", "\n").split("\n")
            values = np.loadtxt(rows, dtype=np.float64, comments=None, ndmin=2)
        except ValueError:
            raise _first_fault(name, case_name, line, body, columns, least) from None
        if values.shape[1] < least:
            raise _first_fault(name, case_name, line, body, columns, least)
    return Table(name, case_name, values, line, body, columns)


def _rows(body: str, line: int) -> list[tuple[int, list[str]]]:
    """Line and words of every row; slow, for errors only."""
    rows = []
    for part in re.split(r"([;\n])", body):
        if part.strip(" \t\n\f;"):
            begun = len(part) - len(part.lstrip())
            rows.append((line + part.count(_JOINED, 0, begun), part.split()))
        line += part.count("\n") + part.count(_JOINED)
    return rows


def _first_fault(
    name: str, case_name: str, line: int, body: str, columns: Sequence[str], least: int
) -> BadInput:
    """What is wrong with a table whose numbers could not be read."""
    rows = _rows(body, line)
    width = max(least, len(rows[0][1]))
    for row_line, words in rows:
        if len(words) != width:
            remedy = f"give {width} values in each row"
            return fault(case_name, row_line, name, f"{len(words)} values", remedy)
        for place, word in enumerate(words):
            try:
                float(word)
            except ValueError:
                column = columns[place] if place < len(columns) else f"column {place + 1}"
                return fault(case_name, row_line, f"{name}.{column}", word, "give a number")
    return fault(case_name, line, name, "its numbers", "write plain numbers")
