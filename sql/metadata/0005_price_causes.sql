-- What each binding flow limit adds to the price of each bus.

CREATE TABLE IF NOT EXISTS price_causes (
    execution_id uuid NOT NULL REFERENCES lascopf_executions ON DELETE CASCADE,
    time_interval integer NOT NULL CHECK (time_interval >= 1),
    bus_id text NOT NULL,
    branch_id text NOT NULL,
    contingency_id text NOT NULL,
    case_name text NOT NULL,
    interval_start timestamptz NOT NULL,
    lmp_part double precision NOT NULL,
    PRIMARY KEY (execution_id, time_interval, bus_id, branch_id, contingency_id)
);

GRANT SELECT ON price_causes TO ingest, optimizer, api_ro, grafana_ro;
GRANT INSERT, UPDATE, DELETE ON price_causes TO optimizer;
