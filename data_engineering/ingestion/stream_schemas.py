"""The JSON schemas of the stream's messages, made from the table declarations.

python -m data_engineering.ingestion.stream_schemas

writes `schemas/TOPIC.v1.json`; they are for people and other programs. The parser holds messages
against the same declarations by itself, all at once.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from data_engineering.ingestion.stream_rules import (
    ELEMENTS,
    LONGEST_TEXT,
    OPTIONAL,
    SHAPES,
    VERSION,
    Shape,
)
from data_engineering.model.columns import Column
from data_engineering.model.stream import (
    DEAD_LETTER_SUFFIX,
    REQUESTS_TOPIC,
    RESULTS_TOPIC,
)

FOLDER = Path(__file__).parent / "schemas"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}(:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?)?"
_ZONE = r"(Z|[+-][0-9]{2}(:?[0-9]{2})?)$"
_TYPES = {"float": "number", "integer": "integer", "boolean": "boolean"}


def schemas() -> dict[str, dict[str, Any]]:
    """Schemas by file name."""
    found = {f"{topic}.v{VERSION}.json": _of_shape(shape) for topic, shape in SHAPES.items()}
    for name, schema in (
        (REQUESTS_TOPIC, _request()),
        (RESULTS_TOPIC, _result()),
        (f"dead{DEAD_LETTER_SUFFIX.replace('.dead', '')}", _dead_letter()),
    ):
        found[f"{name}.v{VERSION}.json"] = schema
    return found


def write(folder: Path = FOLDER) -> None:
    """Write the files."""
    folder.mkdir(exist_ok=True)
    for name, schema in schemas().items():
        (folder / name).write_text(json.dumps(schema, indent=2) + "\n")


def _of_shape(shape: Shape) -> dict[str, Any]:
    single = {column.name: _value(column) for column in shape.columns}
    scan = {name: _either(value) for name, value in single.items()}
    scan[shape.point] = {"type": "array", "items": single[shape.point]}
    version = {"const": VERSION}
    required = [c.name for c in shape.columns if not c.nullable and c.name not in OPTIONAL]
    parts = [
        _object({"schema_version": version, **properties}, required)
        for properties in (single, scan)
    ]
    parts[0]["title"], parts[1]["title"] = "a single reading", "a scan: lists of equal length"
    return {
        "$schema": _DIALECT,
        "title": f"{shape.table.name}, version {VERSION}",
        "description": shape.table.doc,
        "oneOf": parts,
    }


def _value(column: Column) -> dict[str, Any]:
    if column.dtype == "timestamp":
        found: dict[str, Any] = {"type": "string", "pattern": _TIME + _ZONE}
    elif column.dtype == "text":
        found = {"type": "string", "minLength": 1, "maxLength": LONGEST_TEXT}
        if column.name == "element":
            found = {"enum": list(ELEMENTS)}
    else:
        found = {"type": _TYPES[column.dtype]}
        limits = (("minimum", column.minimum), ("maximum", column.maximum))
        found |= {name: limit for name, limit in limits if limit is not None}
    words = f"{column.unit}: {column.doc}" if column.unit else column.doc
    found["description"] = words
    if column.nullable or column.name in OPTIONAL:
        if "enum" in found:
            found["enum"] = [*found["enum"], None]
        else:
            found["type"] = [found["type"], "null"]
    return found


def _either(value: dict[str, Any]) -> dict[str, Any]:
    """One value for all points, or one for each."""
    return {"oneOf": [value, {"type": "array", "items": value}]}


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _text(words: str) -> dict[str, Any]:
    return {"type": "string", "description": words}


def _request() -> dict[str, Any]:
    properties = {
        "schema_version": {"const": VERSION},
        "request_id": {
            "type": "string",
            "minLength": 1,
            "maxLength": LONGEST_TEXT,
            "description": "chosen by who asks; the same again is the same request",
        },
        "case_name": _text("grid case; none: that of the service"),
        "requested_at": {"type": ["string", "null"], "pattern": _TIME + _ZONE},
        "config": {"type": "object", "description": "options of the solve"},
    }
    head = {"$schema": _DIALECT, "title": f"{REQUESTS_TOPIC}, version {VERSION}"}
    return head | _object(properties, ["request_id"])


def _result() -> dict[str, Any]:
    megawatts = {"type": "array", "items": {"type": ["number", "null"]}}
    properties = {
        "schema_version": {"const": VERSION},
        "execution_id": _text("the execution in the database, where all tables are"),
        "request_id": {"type": ["string", "null"], "description": "of the request it answers"},
        "case_name": _text("grid case"),
        "reason": _text("why it was solved"),
        "idempotency_key": _text("the same again is the same result"),
        "asked_at": _text("when the solve was asked for (UTC)"),
        "solved_at": _text("when it was solved (UTC)"),
        "horizon_start": _text("start of the first interval (UTC)"),
        "interval_minutes": {"type": "integer", "minimum": 1},
        "interval_count": {"type": "integer", "minimum": 0},
        "convergence_status": _text("optimal, feasible, infeasible, not_converged or failed"),
        "objective_value": {"type": ["number", "null"], "description": "USD"},
        "solve_time_seconds": {"type": "number"},
        "dispatch_mw": {"type": "object", "additionalProperties": megawatts},
    }
    required = ["execution_id", "case_name", "idempotency_key", "convergence_status"]
    head = {"$schema": _DIALECT, "title": f"{RESULTS_TOPIC}, version {VERSION}"}
    # More is told as the service learns more; readers leave out what they do not know.
    return head | _object(properties, required) | {"additionalProperties": True}


def _dead_letter() -> dict[str, Any]:
    properties: dict[str, Any] = {
        "schema_version": {"const": VERSION},
        "topic": _text("of the message"),
        "partition": {"type": "integer", "minimum": 0},
        "offset": {"type": "integer", "minimum": 0},
        "timestamp_ms": {"type": "integer"},
        "verdict": _text("garbage, schema, version, unknown_point, time, oversized or refused"),
        "reason": _text("what is wrong, in one line"),
        "field": _text("part of the message that is wrong; empty: all of it"),
        "value": _text("what stands there, shortened"),
        "attempt": {"type": "integer", "minimum": 1},
        "payload_base64": _text("the message; empty where it is longer than 500,000 bytes"),
    }
    head = {"$schema": _DIALECT, "title": f"dead letters, version {VERSION}"}
    return head | _object(properties, list(properties))


if __name__ == "__main__":
    write()
