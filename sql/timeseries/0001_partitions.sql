-- How time series are cut into days, on every kind of server:
-- a hypertable where the extension timescaledb is there, native partitions otherwise.

-- Which tables are series, and how long each is kept and left uncompressed.
CREATE TABLE IF NOT EXISTS timeseries_tables (
    table_name name PRIMARY KEY,
    time_column name NOT NULL,
    element_column name NOT NULL,
    compress_after interval NOT NULL,
    keep interval NOT NULL
);

-- When each native partition was made (TimescaleDB keeps the same of its chunks).
CREATE TABLE IF NOT EXISTS timeseries_partitions (
    table_name name NOT NULL REFERENCES timeseries_tables ON DELETE CASCADE,
    day date NOT NULL,
    partition_name name NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (table_name, day)
);

CREATE OR REPLACE FUNCTION has_timescaledb() RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb')
$$;

-- Compression, continuous aggregates and policies belong to the community edition.
CREATE OR REPLACE FUNCTION has_timescaledb_community() RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT has_timescaledb() AND current_setting('timescaledb.license', true) = 'timescale'
$$;

-- Make a series table: `body` is what stands between the brackets of CREATE TABLE.
CREATE OR REPLACE FUNCTION create_timeseries_table(
    table_name name, body text, time_column name, element_column name,
    compress_after interval, keep interval
) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    other_key_columns text;
BEGIN
    INSERT INTO timeseries_tables VALUES (table_name, time_column, element_column, compress_after, keep)
    ON CONFLICT DO NOTHING;
    IF to_regclass(quote_ident(table_name)) IS NOT NULL THEN
        RETURN;
    END IF;
    IF has_timescaledb() THEN
        EXECUTE format('CREATE TABLE %I (%s)', table_name, body);
        PERFORM create_hypertable(
            format('%I', table_name)::regclass, by_range(time_column, INTERVAL '1 day'),
            create_default_indexes => false
        );
    ELSE
        EXECUTE format('CREATE TABLE %I (%s) PARTITION BY RANGE (%I)', table_name, body, time_column);
    END IF;
    EXECUTE format('CREATE INDEX ON %I (%I, %I DESC)', table_name, element_column, time_column);
    IF has_timescaledb_community() THEN
        SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attname = time_column DESC, a.attname)
        INTO other_key_columns
        FROM pg_index i
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
        WHERE i.indrelid = format('%I', table_name)::regclass AND i.indisprimary
            AND a.attname NOT IN ('case_name', element_column);
        -- Ages count from when a day was written, so that a replayed old year is not swept away.
        EXECUTE format(
            'ALTER TABLE %I SET (timescaledb.compress, timescaledb.compress_segmentby = %L, '
            'timescaledb.compress_orderby = %L)',
            table_name, format('case_name, %I', element_column), other_key_columns
        );
        PERFORM add_compression_policy(
            format('%I', table_name)::regclass, compress_created_before => compress_after,
            if_not_exists => true
        );
        PERFORM add_retention_policy(
            format('%I', table_name)::regclass, drop_created_before => keep, if_not_exists => true
        );
    END IF;
END
$$;

-- Make the native partitions that rows of the given days need; the names of new ones.
-- There is no default partition: a row whose day has none is refused, never put aside.
CREATE OR REPLACE FUNCTION ensure_partitions(series name, days date[])
RETURNS SETOF name
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    missing date;
    part name;
BEGIN
    IF NOT EXISTS (SELECT FROM timeseries_tables t WHERE t.table_name = series) THEN
        RAISE EXCEPTION 'table % is not a time series', series USING ERRCODE = 'undefined_table';
    END IF;
    IF has_timescaledb() OR NOT EXISTS (
        SELECT unnest(days) EXCEPT
        SELECT p.day FROM timeseries_partitions p WHERE p.table_name = series
    ) THEN
        RETURN; -- TimescaleDB makes its chunks by itself
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('ensure_partitions'), hashtext(series));
    FOR missing IN
        SELECT unnest(days) EXCEPT
        SELECT p.day FROM timeseries_partitions p WHERE p.table_name = series
        ORDER BY 1
    LOOP
        part := format('%s_%s', series, to_char(missing, 'YYYYMMDD'));
        -- Attaching, unlike CREATE TABLE ... PARTITION OF, lets others read and write meanwhile.
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', part, series);
        EXECUTE format(
            'ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            series, part, missing::timestamptz, (missing + 1)::timestamptz
        );
        INSERT INTO timeseries_partitions (table_name, day, partition_name) VALUES (series, missing, part);
        RETURN NEXT part;
    END LOOP;
END
$$;

-- Drop the days whose rows are older than their table keeps them; the names of what was dropped.
-- A day's age counts from its end or from when it was written, whichever is later.
CREATE OR REPLACE FUNCTION drop_expired(reference timestamptz DEFAULT now())
RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    series timeseries_tables;
    part timeseries_partitions;
BEGIN
    FOR series IN SELECT * FROM timeseries_tables ORDER BY table_name LOOP
        IF has_timescaledb() THEN
            RETURN QUERY SELECT drop_chunks(
                format('%I', series.table_name)::regclass, created_before => reference - series.keep
            )::text;
            CONTINUE;
        END IF;
        FOR part IN
            SELECT * FROM timeseries_partitions p
            WHERE p.table_name = series.table_name
                AND greatest((p.day + 1)::timestamptz, p.created_at) < reference - series.keep
            ORDER BY p.day
        LOOP
            EXECUTE format('DROP TABLE %I', part.partition_name);
            DELETE FROM timeseries_partitions p WHERE p.partition_name = part.partition_name;
            RETURN NEXT part.partition_name::text;
        END LOOP;
    END LOOP;
END
$$;

REVOKE ALL ON FUNCTION ensure_partitions(name, date[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION drop_expired(timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION create_timeseries_table(name, text, name, name, interval, interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ensure_partitions(name, date[]) TO ingest;
