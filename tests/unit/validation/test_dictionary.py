"""The data dictionary tells the declarations of today."""

from __future__ import annotations

from pathlib import Path

import data_engineering
from data_engineering.model.dictionary import dictionary_markdown
from data_engineering.model.tables import TABLES

DOCUMENT = Path(data_engineering.__file__).parent.parent / "docs/DATA_DICTIONARY.md"


def test_the_document_is_what_the_declarations_give() -> None:
    assert DOCUMENT.read_text() == dictionary_markdown(), (
        "run `python -m data_engineering.model.dictionary > docs/DATA_DICTIONARY.md`"
    )


def test_every_column_of_every_table_has_a_row() -> None:
    sections = dictionary_markdown().split("\n### `")[1:]
    assert [section.split("`")[0] for section in sections] == list(TABLES)
    for section, table in zip(sections, TABLES.values(), strict=True):
        rows = [line for line in section.splitlines() if line.startswith("| `")]
        assert tuple(row.split("`")[1] for row in rows) == table.names


def test_a_row_tells_type_unit_nulls_and_bounds() -> None:
    section = dictionary_markdown().split("### `power_measurements`")[1].split("\n### ")[0]
    assert "| `voltage_magnitude` | float | p.u. | yes | 0 to 2 | at the bus |" in section
    assert "| `active_power` | float | MW | no |  | injection;" in section
    assert "Key: `time`, `case_name`, `generator_id`. Time: `time`." in section
