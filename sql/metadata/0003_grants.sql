-- Least privilege in the metadata database.

GRANT SELECT ON ALL TABLES IN SCHEMA public TO ingest, optimizer, api_ro, grafana_ro;
ALTER DEFAULT PRIVILEGES IN SCHEMA public
    GRANT SELECT ON TABLES TO ingest, optimizer, api_ro, grafana_ro;

-- The grid, its outages, what ran and what it made are written by both pipelines.
GRANT INSERT, UPDATE ON network_topology, artifacts, pipeline_execution_logs TO ingest, optimizer;
GRANT INSERT, UPDATE, DELETE ON contingencies TO ingest, optimizer;

GRANT INSERT, UPDATE, DELETE ON data_quality_metrics, rejected_rows TO ingest;

-- An execution is replaced, never deleted; its rows are rewritten.
GRANT INSERT, UPDATE ON lascopf_executions TO optimizer;
GRANT INSERT, UPDATE, DELETE
    ON generator_dispatch, bus_results, branch_flow_results, interval_results, convergence_history
    TO optimizer;
