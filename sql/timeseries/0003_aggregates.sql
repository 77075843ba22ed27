-- Hourly and daily summaries: continuous aggregates on TimescaleDB's community edition, views
-- elsewhere, with the same names and columns. A reading covers five minutes, which gives energy.

DO $migration$
DECLARE
    hourly text := $$
        SELECT
            %s AS bucket,
            bus_id,
            case_name,
            avg(active_power) AS avg_active_power,
            min(active_power) AS min_active_power,
            max(active_power) AS max_active_power,
            avg(reactive_power) AS avg_reactive_power,
            avg(voltage_magnitude) AS avg_voltage_magnitude,
            min(voltage_magnitude) AS min_voltage_magnitude,
            max(voltage_magnitude) AS max_voltage_magnitude,
            avg(frequency_hz) AS avg_frequency_hz,
            count(*) AS measurement_count
        FROM power_measurements
        GROUP BY 1, bus_id, case_name
    $$;
    daily text := $$
        SELECT
            %s AS day,
            generator_id,
            generator_type,
            case_name,
            avg(active_power_mw) AS avg_active_power_mw,
            min(active_power_mw) AS min_active_power_mw,
            max(active_power_mw) AS peak_active_power_mw,
            avg(capacity_mw) AS avg_capacity_mw,
            avg(forecast_error_mw) AS avg_forecast_error_mw,
            sum(active_power_mw) * 5.0 / 60.0 AS energy_mwh,
            count(*) AS measurement_count
        FROM generator_measurements
        GROUP BY 1, generator_id, generator_type, case_name
    $$;
    continuous text := 'CREATE MATERIALIZED VIEW IF NOT EXISTS %I WITH (timescaledb.continuous, '
        'timescaledb.materialized_only = false) AS %s WITH NO DATA';
BEGIN
    IF has_timescaledb_community() THEN
        EXECUTE format(continuous, 'power_measurements_hourly',
            format(hourly, $$time_bucket(INTERVAL '1 hour', time)$$));
        EXECUTE format(continuous, 'generator_daily_stats',
            format(daily, $$time_bucket(INTERVAL '1 day', time)$$));
        -- Without a start, so that days written late or again are summed up again.
        PERFORM add_continuous_aggregate_policy('power_measurements_hourly',
            start_offset => NULL, end_offset => INTERVAL '1 hour',
            schedule_interval => INTERVAL '10 minutes', if_not_exists => true);
        PERFORM add_continuous_aggregate_policy('generator_daily_stats',
            start_offset => NULL, end_offset => INTERVAL '1 day',
            schedule_interval => INTERVAL '1 hour', if_not_exists => true);
    ELSE
        EXECUTE 'CREATE OR REPLACE VIEW power_measurements_hourly AS '
            || format(hourly, $$date_trunc('hour', time, 'UTC')$$);
        EXECUTE 'CREATE OR REPLACE VIEW generator_daily_stats AS '
            || format(daily, $$date_trunc('day', time, 'UTC')$$);
    END IF;
END
$migration$;
