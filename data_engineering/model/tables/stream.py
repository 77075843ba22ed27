"""Books of the realtime stream; they lie beside the series, so that one transaction has both."""

from __future__ import annotations

from data_engineering.model.columns import Column, Table
from data_engineering.model.tables.shared import CASE, key

_STREAM = key("stream", "text", "where the messages come from and who reads them")
_TOPIC = key("topic", "text", "topic of the message")
_PARTITION = key("stream_partition", "integer", "partition of the topic")

STREAM_OFFSETS = Table(
    "stream_offsets",
    "timeseries",
    "How far each partition is stored; written in the transaction that stores its rows.",
    (
        _STREAM,
        _TOPIC,
        _PARTITION,
        key("next_offset", "bigint", "first message that is not stored yet"),
        key("epoch", "bigint", "claim that may write; every new claim is one more"),
        key("member", "text", "process that holds the claim"),
        key("updated_at", "timestamp", "when the row was written (UTC)"),
        Column("last_message_at", "timestamp", doc="time stamp of the newest message stored (UTC)"),
        Column("newest_row_at", "timestamp", doc="newest time of a row of its topic stored (UTC)"),
    ),
    ("stream", "topic", "stream_partition"),
)

STREAM_MEMBERS = Table(
    "stream_members",
    "timeseries",
    "Processes that read the stream, and how they are; for supervision.",
    (
        _STREAM,
        key("member", "text", "host, process id and start of the process"),
        key("started_at", "timestamp", "start of the process (UTC)"),
        key("beat_at", "timestamp", "last sign of life (UTC)"),
        key("state", "text", "running, waiting (for the database), stopped or failed"),
        Column("partitions", "integer", doc="partitions held", nullable=False, minimum=0),
        key("messages", "bigint", "messages stored since the start"),
        key("rows_stored", "bigint", "rows of those messages"),
        key("dead_letters", "bigint", "messages that gave no rows, or not all of theirs"),
        Column("lag", "bigint", doc="messages that wait in the partitions held"),
        Column("latency_p50_seconds", "float", "s", "message to stored row, newest minute"),
        Column("latency_p99_seconds", "float", "s", "message to stored row, newest minute"),
        key("detail", "text", "last thing that went wrong; empty: nothing"),
    ),
    ("stream", "member"),
)

STREAM_DEAD_LETTERS = Table(
    "stream_dead_letters",
    "timeseries",
    "Messages that gave no rows, or not all of theirs, kept whole with the reason.",
    (
        _STREAM,
        _TOPIC,
        _PARTITION,
        key("stream_offset", "bigint", "place of the message in its partition"),
        key("failed_at", "timestamp", "when it failed last (UTC)"),
        Column("message_at", "timestamp", doc="time stamp of the message (UTC)", nullable=False),
        key(
            "verdict",
            "text",
            "garbage, schema, version, unknown_point, time, oversized or refused (by the database)",
        ),
        key("reason", "text", "what is wrong, in one line"),
        key("field", "text", "part of the message that is wrong; empty: all of it"),
        key("value", "text", "what stands there, shortened"),
        Column("attempt", "integer", doc="1, and 1 for every replay", nullable=False, minimum=1),
        key("payload_base64", "text", "the message"),
        Column("published_at", "timestamp", doc="when it went to the dead-letter topic (UTC)"),
        Column("resolved_at", "timestamp", doc="when a replay stored all its rows (UTC)"),
    ),
    ("stream", "topic", "stream_partition", "stream_offset"),
)

STREAM_REQUESTS = Table(
    "stream_requests",
    "timeseries",
    "Solves asked for by messages; a message delivered again is the same request.",
    (
        key("request_id", "text", "chosen by who asks"),
        CASE,
        key("requested_at", "timestamp", "when it was asked for (UTC)"),
        key("received_at", "timestamp", "when it was stored (UTC)"),
        Column("config", "json", doc="options of the solve", nullable=False),
        key("status", "text", "open, done or refused"),
        key("answer", "text", "execution that answers it, or why it is refused"),
        Column("answered_at", "timestamp", doc="when it was answered (UTC)"),
    ),
    ("request_id",),
)
