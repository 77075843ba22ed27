"""Dead letters: to their topics, and once more through the parser."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy.engine import Engine

from data_engineering.ingestion.stream_messages import parse
from data_engineering.ingestion.stream_rules import Rules
from data_engineering.model.errors import LascopfError
from data_engineering.model.stream import DEAD_LETTER_SUFFIX, DeadLetter, RawMessage
from data_engineering.storage import stream_status
from data_engineering.storage.stream_sink import Sink

if TYPE_CHECKING:
    from data_engineering.ingestion.stream_publish import Publisher

_EVERY_SECONDS = 2.0
_AT_ONCE = 500
_PAYLOAD_BYTES = 500_000  # base64 adds a third, and brokers take 1 MB by default
_log = logging.getLogger(__name__)


def publish_until(
    engine: Engine, stream: str, opened: Callable[[], Publisher], stop: threading.Event
) -> None:
    """Send what is not at the dead-letter topics yet, every two seconds and once at the end.

    A letter may arrive there twice (its place is its key), but none is left out: what was sent is
    noted in the database afterwards.
    """
    publisher: Publisher | None = None
    while True:
        last = stop.wait(_EVERY_SECONDS)
        try:
            found = stream_status.letters(engine, limit=_AT_ONCE, resolved=True, unpublished=True)
            own = [(name, one) for name, one in found if name == stream]
            if own:
                publisher = publisher or opened()
                publish(publisher, own)
                stream_status.mark_published(engine, own)
        except LascopfError as error:
            _log.warning("dead letters are sent later: %s", error)
        if last:
            if publisher is not None:
                publisher.close()
            return


def publish(publisher: Publisher, letters: Sequence[tuple[str, DeadLetter]]) -> None:
    """Send dead letters to their topics as JSON documents with the message in base64.

    A long message stays in the database only: a broker would refuse it again as a letter.
    """
    import base64
    import json

    for _, one in letters:
        short = len(one.payload) <= _PAYLOAD_BYTES
        payload = base64.b64encode(one.payload).decode() if short else ""
        document = {
            "schema_version": 1,
            "topic": one.topic,
            "partition": one.partition,
            "offset": one.offset,
            "timestamp_ms": one.timestamp_ms,
            "verdict": one.verdict,
            "reason": one.reason,
            "field": one.field,
            "value": one.value,
            "attempt": one.attempt,
            "payload_base64": payload,
        }
        key = f"{one.topic}/{one.partition}/{one.offset}".encode()
        publisher.send(f"{one.topic}{DEAD_LETTER_SUFFIX}", key, json.dumps(document).encode())
    publisher.flush()


@dataclass(frozen=True)
class Replayed:
    """What became of dead letters."""

    resolved: int
    failed: int
    rows: int


def replay(engine: Engine, rules: Rules, limit: int = 10_000) -> Replayed:
    """Read the open dead letters again by today's rules and store the rows that they give.

    A letter whose rows are all stored is resolved; another keeps its newest reason. Rows have
    their old version, so that newer ones of the same points stay.

    Raises:
        LascopfError: as `Sink.store`.
    """
    found = stream_status.letters(engine, limit=limit)
    resolved = rows = 0
    for name in sorted({stream for stream, _ in found}):
        own = [one for stream, one in found if stream == name]
        messages = [
            RawMessage(one.topic, one.partition, one.offset, one.timestamp_ms, None, one.payload)
            for one in own
        ]
        parsed = parse(messages, rules)
        attempts = {(one.topic, one.partition, one.offset): one.attempt + 1 for one in own}
        still = Sink(engine, name, "replay").add(
            parsed.rows, parsed.requests, parsed.letters, attempts
        )
        done = [one for one in own if (one.topic, one.partition, one.offset) not in still]
        stream_status.mark_resolved(engine, [(name, one) for one in done])
        resolved += len(done)
        rows += sum(table.num_rows for table in parsed.rows.values())
    return Replayed(resolved, len(found) - resolved, rows)
