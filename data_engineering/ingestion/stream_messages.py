"""From the bytes of messages to typed rows, requests and dead letters; all messages at once.

The same is said for people and other programs by the JSON schemas in `schemas/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic_core import from_json

from data_engineering.ingestion.stream_checks import check
from data_engineering.ingestion.stream_columns import MESSAGE, Misfit, build
from data_engineering.ingestion.stream_rules import (
    LONGEST_TEXT,
    SHAPES,
    VERSION,
    Rules,
    Shape,
    letter,
    sent_ms,
)
from data_engineering.model.stream import (
    OFFSET,
    PARTITION,
    REQUESTS_TOPIC,
    TOPOLOGY_TOPIC,
    DeadLetter,
    RawMessage,
    StatusChange,
    StreamRequest,
)


@dataclass(frozen=True)
class Parsed:
    """What messages say.

    Attributes:
        rows: by table name, the declared columns, then `stream_partition` and `stream_offset`;
            topology changes among them.
        letters: messages that gave no rows, or not all of theirs; in the order of the messages.
    """

    rows: dict[str, pa.Table]
    requests: tuple[StreamRequest, ...] = ()
    letters: tuple[DeadLetter, ...] = ()


def parse(messages: Sequence[RawMessage], rules: Rules) -> Parsed:
    """Read messages of any topics.

    A scan with wrong points gives the rows of the others, and a dead letter.
    """
    by_topic: dict[str, list[RawMessage]] = {}
    for message in messages:
        by_topic.setdefault(message.topic, []).append(message)
    rows: dict[str, pa.Table] = {}
    requests: list[StreamRequest] = []
    letters: list[DeadLetter] = []
    for topic, some in by_topic.items():
        known, documents = _decode(some, rules, letters)
        if topic == REQUESTS_TOPIC:
            for message, document in zip(known, documents, strict=True):
                _add_request(message, document, rules, requests, letters)
        elif topic not in SHAPES:
            letters += [letter(m, "schema", "topic", topic, "no such topic is read") for m in known]
        elif known:
            rows[topic] = _read(SHAPES[topic], known, documents, rules, letters)
    letters.sort(key=lambda one: (one.topic, one.partition, one.offset))
    return Parsed(rows, tuple(requests), tuple(letters))


def status_changes(rows: pa.Table) -> tuple[StatusChange, ...]:
    """The rows of `topology_changes` as words."""
    return tuple(
        StatusChange(
            row["time"],
            row["case_name"],
            row["element"],
            row["element_id"],
            row["closed"],
            row["measurement_quality"],
            row["available_at"],
            row["source"],
        )
        for row in rows.to_pylist()
    )


def _decode(
    messages: Sequence[RawMessage], rules: Rules, letters: list[DeadLetter]
) -> tuple[list[RawMessage], list[dict[str, Any]]]:
    """The messages that are JSON objects of a known version, and those objects."""
    known, documents = [], []
    for message in messages:
        value = message.value
        if len(value) > rules.max_bytes:
            size, most = f"{len(value)} bytes", f"send {rules.max_bytes} bytes at most"
            letters.append(letter(message, "oversized", "", size, most))
            continue
        try:
            document = from_json(value, allow_inf_nan=False)
        except ValueError as error:
            letters.append(_unreadable(message, str(error)))
            continue
        if type(document) is not dict:
            letters.append(letter(message, "garbage", "", value[:60], "send a JSON object"))
            continue
        version = document.get("schema_version", VERSION)
        if type(version) is not int or version != VERSION:
            remedy = f"this reader knows version {VERSION}"
            letters.append(letter(message, "version", "schema_version", version, remedy))
            continue
        known.append(message)
        documents.append(document)
    return known, documents


def _unreadable(message: RawMessage, why: str) -> DeadLetter:
    """NaN and infinity are no JSON, but worth to be called by their field."""
    try:
        document = from_json(message.value, allow_inf_nan=True)
    except ValueError:
        return letter(message, "garbage", "", message.value[:60], f"send JSON: {why}")
    for name, value in document.items() if isinstance(document, dict) else ():
        for one in value if isinstance(value, list) else (value,):
            if isinstance(one, float) and not np.isfinite(one):
                return letter(message, "schema", name, one, "give a finite number")
    return letter(message, "garbage", "", message.value[:60], f"send JSON: {why}")


def _read(
    shape: Shape,
    messages: list[RawMessage],
    documents: list[dict[str, Any]],
    rules: Rules,
    letters: list[DeadLetter],
) -> pa.Table:
    sent = [sent_ms(message) for message in messages]
    allowed = {column.name for column in shape.columns} | {"schema_version"}
    places = []
    for place, document in enumerate(documents):
        if document.keys() <= allowed:
            places.append(place)
        else:
            name = sorted(document.keys() - allowed)[0]
            wrong = letter(
                messages[place], "schema", name, document[name], "there is no such field"
            )
            letters.append(wrong)
    parts: list[pa.Table] = []
    _build(shape, messages, documents, sent, places, rules, parts, letters)
    if not parts:
        return _placed(build(shape, [{}], [0], rules).slice(0, 0), messages)
    rows, faults = check(shape, pa.concat_tables(parts), sent, rules)
    for fault in faults:
        remedy = fault.remedy
        if fault.of > 1:
            remedy += f" ({fault.rows} of {fault.of} points are wrong)"
        message = messages[fault.message]
        letters.append(letter(message, fault.verdict, fault.field, fault.value, remedy))
    return _placed(rows, messages)


def _build(
    shape: Shape,
    messages: list[RawMessage],
    documents: list[dict[str, Any]],
    sent: list[int],
    places: list[int],
    rules: Rules,
    parts: list[pa.Table],
    letters: list[DeadLetter],
) -> None:
    """Columns of the messages at `places`; where one does not fit, halves until it is alone."""
    if not places:
        return
    try:
        rows = build(shape, [documents[p] for p in places], [sent[p] for p in places], rules)
    except Misfit as misfit:
        if len(places) == 1:
            message = messages[places[0]]
            letters.append(letter(message, "schema", misfit.field, misfit.value, misfit.remedy))
            return
        middle = len(places) // 2
        for half in (places[:middle], places[middle:]):
            _build(shape, messages, documents, sent, half, rules, parts, letters)
        return
    own = pa.array(np.array(places, dtype=np.int64)[rows.column(MESSAGE).to_numpy()])
    parts.append(rows.set_column(rows.num_columns - 1, MESSAGE, own))


def _placed(rows: pa.Table, messages: list[RawMessage]) -> pa.Table:
    """In the order of the messages, with partition and offset instead of their place."""
    which = rows.column(MESSAGE).to_numpy()
    if np.any(np.diff(which) < 0):
        rows = rows.take(pc.sort_indices(rows, [(MESSAGE, "ascending")]))
        which = rows.column(MESSAGE).to_numpy()
    rows = rows.drop_columns([MESSAGE])
    partitions = np.array([message.partition for message in messages], dtype=np.int32)
    offsets = np.array([message.offset for message in messages], dtype=np.int64)
    rows = rows.append_column(PARTITION, pa.array(partitions[which]))
    return rows.append_column(OFFSET, pa.array(offsets[which]))


def _add_request(
    message: RawMessage,
    document: dict[str, Any],
    rules: Rules,
    requests: list[StreamRequest],
    letters: list[DeadLetter],
) -> None:
    name = document.get("request_id")
    case = document.get("case_name", rules.case_name)
    config = document.get("config", {})
    allowed = ["schema_version", "request_id", "case_name", "requested_at", "config"]
    extra = sorted(document.keys() - set(allowed))
    if extra:
        remedy = "there is no such field"
        letters.append(letter(message, "schema", extra[0], document[extra[0]], remedy))
    elif not (isinstance(name, str) and 0 < len(name) <= LONGEST_TEXT and name.isprintable()):
        letters.append(letter(message, "schema", "request_id", name, "give a text"))
    elif not isinstance(config, dict) or "\\u0000" in repr(config).replace("\\x00", "\\u0000"):
        letters.append(letter(message, "schema", "config", config, "give an object"))
    elif not isinstance(case, str) or (rules.points and case not in rules.points):
        letters.append(letter(message, "unknown_point", "case_name", case, "use a known case"))
    else:
        at = _request_time(message, document.get("requested_at"), letters)
        if at is not None:
            requests.append(StreamRequest(name, case, at, config))


def _request_time(message: RawMessage, text: object, letters: list[DeadLetter]) -> datetime | None:
    if text is None:
        return datetime.fromtimestamp(sent_ms(message) / 1000, UTC)
    try:
        at = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        remedy = "give an ISO 8601 time with a zone"
        letters.append(letter(message, "schema", "requested_at", text, remedy))
        return None
    return at.astimezone(UTC)


__all__ = ["TOPOLOGY_TOPIC", "Parsed", "parse", "status_changes"]
