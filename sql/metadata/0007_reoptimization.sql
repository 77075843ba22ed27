-- The stream's decisions to dispatch again, and what it remembers between them.

CREATE TABLE IF NOT EXISTS reoptimization_events (
    idempotency_key text NOT NULL PRIMARY KEY,
    case_name text NOT NULL,
    decided_at timestamptz NOT NULL,
    action text NOT NULL CHECK (action IN ('fire', 'suppress', 'alarm')),
    reason text NOT NULL CHECK (reason IN (
        'topology', 'branch_loading', 'deviation', 'forecast_revision', 'price_revision', 'timer',
        'dead_man'
    )),
    hindrance text CHECK (hindrance IN (
        'debounce', 'cooldown', 'in_flight', 'hysteresis', 'unconfirmed', 'cleared',
        'below_threshold', 'bad_quality', 'stale', 'late', 'duplicate'
    )),
    subject text NOT NULL,
    observed_value double precision,
    limit_value double precision,
    cause_count integer NOT NULL CHECK (cause_count >= 1),
    causes jsonb NOT NULL,
    interval_start timestamptz NOT NULL,
    topology_digest text NOT NULL,
    snapshot_digest text NOT NULL,
    ready_at timestamptz NOT NULL,
    execution_id uuid, -- the execution is written later, if at all
    known jsonb,
    started_at timestamptz,
    ended_at timestamptz,
    outcome text,
    CHECK ((hindrance IS NOT NULL) = (action = 'suppress')),
    CHECK ((execution_id IS NOT NULL) = (action = 'fire'))
);
CREATE INDEX IF NOT EXISTS reoptimization_events_newest
    ON reoptimization_events (case_name, decided_at DESC);
CREATE INDEX IF NOT EXISTS reoptimization_events_fires
    ON reoptimization_events (case_name, decided_at DESC) WHERE action <> 'suppress';

CREATE TABLE IF NOT EXISTS reoptimization_state (
    case_name text NOT NULL PRIMARY KEY,
    epoch integer NOT NULL CHECK (epoch >= 1),
    holder text NOT NULL,
    document jsonb,
    updated_at timestamptz NOT NULL
);

GRANT SELECT ON reoptimization_events, reoptimization_state TO ingest, optimizer, api_ro, grafana_ro;
GRANT INSERT, UPDATE ON reoptimization_events, reoptimization_state TO ingest, optimizer;
