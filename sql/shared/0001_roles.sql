-- Group roles with least privilege, and what both databases need before their tables.
--
-- Runs as the login that migrates (it needs CREATEROLE, and for TimescaleDB the right to make an
-- extension). The migrations after it run as role migrator, which owns every object.
-- Give a login its privileges by: GRANT ingest TO some_login;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['migrator', 'ingest', 'optimizer', 'api_ro', 'grafana_ro'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', name);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL; -- roles belong to the whole server: another database's migration was faster
            END;
        END IF;
        IF NOT pg_has_role(current_user, name, 'USAGE') THEN
            EXECUTE format('GRANT %I TO %I', name, current_user);
        END IF;
    END LOOP;

    -- TimescaleDB can be made only where the server loads it at its start; this setting of its
    -- loader tells, and unlike shared_preload_libraries everybody may read it.
    IF current_setting('timescaledb.disable_load', true) IS NOT NULL THEN
        CREATE EXTENSION IF NOT EXISTS timescaledb;
        -- The community edition runs its background jobs as the owner of a hypertable, which
        -- must be allowed to log in. It has no password, so that nobody does by one.
        IF current_setting('timescaledb.license', true) = 'timescale' THEN
            ALTER ROLE migrator LOGIN;
        END IF;
    END IF;
END
$$;

GRANT USAGE, CREATE ON SCHEMA public TO migrator;
GRANT USAGE ON SCHEMA public TO ingest, optimizer, api_ro, grafana_ro;

DO $$
BEGIN
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO migrator, ingest, optimizer', current_database());
END
$$;

GRANT SELECT ON schema_migrations TO PUBLIC;
ALTER TABLE schema_migrations OWNER TO migrator;
