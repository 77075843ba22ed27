-- Least privilege in the time-series database.

GRANT SELECT ON ALL TABLES IN SCHEMA public TO ingest, optimizer, api_ro, grafana_ro;
ALTER DEFAULT PRIVILEGES IN SCHEMA public
    GRANT SELECT ON TABLES TO ingest, optimizer, api_ro, grafana_ro;

-- Ingestion adds rows and corrects them; rows leave only with their expired day.
DO $$
DECLARE
    series name;
BEGIN
    FOR series IN SELECT table_name FROM timeseries_tables LOOP
        EXECUTE format('GRANT INSERT, UPDATE ON %I TO ingest', series);
    END LOOP;
END
$$;
