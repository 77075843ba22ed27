-- The realtime stream: changes of topology, and the books that lie beside the series so that one
-- transaction has both. Columns and keys are those of the declarations in model/tables.

SELECT create_timeseries_table('topology_changes', $$
    time timestamptz NOT NULL,
    case_name text NOT NULL,
    element text NOT NULL CHECK (element IN ('branch', 'generator', 'bus', 'breaker')),
    element_id text NOT NULL,
    closed boolean NOT NULL,
    measurement_quality integer NOT NULL CHECK (measurement_quality BETWEEN 0 AND 3),
    source text NOT NULL,
    available_at timestamptz NOT NULL,
    PRIMARY KEY (time, case_name, element, element_id)
$$, 'time', 'element_id', INTERVAL '7 days', INTERVAL '90 days');

CREATE TABLE IF NOT EXISTS stream_offsets (
    stream text NOT NULL,
    topic text NOT NULL,
    stream_partition integer NOT NULL CHECK (stream_partition >= 0),
    next_offset bigint NOT NULL CHECK (next_offset >= 0),
    epoch bigint NOT NULL,
    member text NOT NULL,
    updated_at timestamptz NOT NULL,
    last_message_at timestamptz,
    PRIMARY KEY (stream, topic, stream_partition)
);

CREATE TABLE IF NOT EXISTS stream_members (
    stream text NOT NULL,
    member text NOT NULL,
    started_at timestamptz NOT NULL,
    beat_at timestamptz NOT NULL,
    state text NOT NULL CHECK (state IN ('running', 'waiting', 'stopped', 'failed')),
    partitions integer NOT NULL,
    messages bigint NOT NULL,
    rows_stored bigint NOT NULL,
    dead_letters bigint NOT NULL,
    lag bigint,
    latency_p50_seconds double precision,
    latency_p99_seconds double precision,
    detail text NOT NULL,
    PRIMARY KEY (stream, member)
);

CREATE TABLE IF NOT EXISTS stream_dead_letters (
    stream text NOT NULL,
    topic text NOT NULL,
    stream_partition integer NOT NULL,
    stream_offset bigint NOT NULL,
    failed_at timestamptz NOT NULL,
    message_at timestamptz NOT NULL,
    verdict text NOT NULL CHECK (verdict IN (
        'garbage', 'schema', 'version', 'unknown_point', 'time', 'oversized', 'refused'
    )),
    reason text NOT NULL,
    field text NOT NULL,
    value text NOT NULL,
    attempt integer NOT NULL CHECK (attempt >= 1),
    payload_base64 text NOT NULL,
    published_at timestamptz,
    resolved_at timestamptz,
    PRIMARY KEY (stream, topic, stream_partition, stream_offset)
);
CREATE INDEX IF NOT EXISTS stream_dead_letters_open
    ON stream_dead_letters (failed_at DESC) WHERE resolved_at IS NULL;

CREATE TABLE IF NOT EXISTS stream_requests (
    request_id text NOT NULL PRIMARY KEY,
    case_name text NOT NULL,
    requested_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    config jsonb NOT NULL,
    status text NOT NULL CHECK (status IN ('open', 'done', 'refused')),
    answer text NOT NULL,
    answered_at timestamptz
);
CREATE INDEX IF NOT EXISTS stream_requests_open ON stream_requests (requested_at) WHERE status = 'open';

GRANT INSERT, UPDATE
    ON topology_changes, stream_offsets, stream_members, stream_dead_letters, stream_requests TO ingest;
