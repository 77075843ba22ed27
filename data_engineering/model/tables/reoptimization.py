"""Tables of the stream's decisions to dispatch again."""

from __future__ import annotations

from data_engineering.model.columns import Column, Table
from data_engineering.model.tables.shared import CASE, INTERVAL_START, key

REOPTIMIZATION_EVENTS = Table(
    "reoptimization_events",
    "metadata",
    "Every decision of the stream to dispatch again, and every one not to, with its reason.",
    (
        key("idempotency_key", "text", "of a fire: SHA-256 of interval, topology and snapshot"),
        CASE,
        key("decided_at", "timestamp", "by the stream's clock (UTC)"),
        key("action", "text", "fire, suppress or alarm"),
        key("reason", "text", "topology, branch_loading, deviation, ...: the weightiest cause"),
        Column("hindrance", "text", doc="why it was suppressed: debounce, in_flight, stale, ..."),
        key("subject", "text", "element, series or revision of that cause"),
        Column("observed_value", "float", doc="in the unit of the reason: MW, %, USD/MWh, s"),
        Column("limit_value", "float", doc="what it was compared with"),
        Column("cause_count", "integer", nullable=False, minimum=1),
        key("causes", "json", "the first 50 causes"),
        INTERVAL_START,
        key("topology_digest", "text", "SHA-256 of what is connected otherwise than in the case"),
        key("snapshot_digest", "text", "SHA-256 of the readings and the revisions"),
        key("ready_at", "timestamp", "when the newest cause was known (UTC)"),
        Column("execution_id", "uuid", doc="the execution that answers a fire"),
        Column("known", "json", doc="snapshot and topology of a fire"),
        Column("started_at", "timestamp", doc="when its solve began, by the machine's clock (UTC)"),
        Column("ended_at", "timestamp", doc="when it was over, by the machine's clock (UTC)"),
        Column("outcome", "text", doc="of the execution, or failed or lost"),
    ),
    ("idempotency_key",),
    "decided_at",
)

REOPTIMIZATION_STATE = Table(
    "reoptimization_state",
    "metadata",
    "What a stream remembers between its decisions; written in one transaction with them.",
    (
        CASE,
        Column("epoch", "integer", doc="claim that may write it", nullable=False, minimum=1),
        key("holder", "text", "process that holds the claim"),
        Column("document", "json", doc="readings, statuses and trigger"),
        key("updated_at", "timestamp", "when the row was written (UTC)"),
    ),
    ("case_name",),
)
