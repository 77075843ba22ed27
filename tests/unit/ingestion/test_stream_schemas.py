"""The JSON schemas are those of the declarations, and say what the parser says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from stream_feed import RULES, reading, scan

from data_engineering.ingestion.stream_messages import parse
from data_engineering.ingestion.stream_schemas import FOLDER, schemas
from data_engineering.model.stream import POWER_TOPIC, RawMessage

SENT = 1_594_033_600_000  # 2020-07-06T11:06:40Z
VALIDATOR = Draft202012Validator(schemas()["power_measurements.v1.json"])


@pytest.mark.parametrize("name", sorted(schemas()))
def test_the_files_are_what_the_declarations_give(name: str) -> None:
    assert json.loads((FOLDER / name).read_text()) == schemas()[name]
    Draft202012Validator.check_schema(schemas()[name])


def test_there_are_no_other_files() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(schemas())


def parsed_whole(document: dict[str, Any]) -> bool:
    value = json.dumps(document).encode()
    return parse([RawMessage(POWER_TOPIC, 0, 0, SENT, None, value)], RULES).letters == ()


VALUES = st.sampled_from(
    [
        None,
        True,
        False,
        0,
        1,
        2,
        3,
        4,
        -1,
        0.5,
        1.0,
        2.5,
        60.0,
        -180.5,
        1e300,
        2**53 + 1,
        2**63,
        "",
        "1",
        "unit_1",
        "bus_1",
        "2020-07-06T10:00:00Z",
        "2020-07-06",
        [],
        [1.0],
        {},
        {"a": 1},
    ]
)
FIELDS = st.sampled_from([*reading(0), "power_factor", "case", "generator"])


@given(st.dictionaries(FIELDS, VALUES, max_size=3), st.sets(st.sampled_from(list(reading(0)))))
@settings(max_examples=150, deadline=None)
def test_schema_and_parser_agree_on_single_readings(
    changes: dict[str, Any], without: set[str]
) -> None:
    document = {k: v for k, v in (reading(0) | changes).items() if k not in without - set(changes)}
    # Which points there are, and a scan whose lists differ in length, no schema can say.
    known = {"generator_id": "unit_1", "bus_id": "bus_1", "case_name": "feed"}
    for name, good in known.items():
        if isinstance(document.get(name), str) and document[name]:
            document[name] = good
    if isinstance(document.get("generator_id"), list):
        document["generator_id"] = "unit_1"
    assert parsed_whole(document) == VALIDATOR.is_valid(document)


def test_schema_and_parser_agree_on_scans() -> None:
    assert VALIDATOR.is_valid(scan(0))
    assert parsed_whole(scan(0))
    for name, value in (("active_power", [None] * 200), ("bus_id", 4), ("more", [1] * 200)):
        broken = scan(0) | {name: value}
        assert not VALIDATOR.is_valid(broken)
        assert not parsed_whole(broken)
