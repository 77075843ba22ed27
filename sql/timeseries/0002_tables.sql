-- The series. Columns, order, nullability and keys are those of the declarations in model/tables.

SELECT create_timeseries_table('power_measurements', $$
    time timestamptz NOT NULL,
    case_name text NOT NULL,
    generator_id text NOT NULL,
    bus_id text NOT NULL,
    active_power double precision NOT NULL,
    reactive_power double precision,
    voltage_magnitude double precision,
    voltage_angle double precision,
    power_factor double precision CHECK (power_factor BETWEEN -1 AND 1),
    frequency_hz double precision,
    measurement_quality integer NOT NULL CHECK (measurement_quality BETWEEN 0 AND 3),
    source text NOT NULL,
    available_at timestamptz NOT NULL,
    PRIMARY KEY (time, case_name, generator_id)
$$, 'time', 'generator_id', INTERVAL '7 days', INTERVAL '90 days');

SELECT create_timeseries_table('generator_measurements', $$
    time timestamptz NOT NULL,
    case_name text NOT NULL,
    generator_id text NOT NULL,
    bus_id text NOT NULL,
    generator_type text NOT NULL,
    active_power_mw double precision NOT NULL,
    reactive_power_mvar double precision,
    in_service boolean NOT NULL,
    capacity_mw double precision,
    marginal_cost_usd_per_mwh double precision,
    forecast_mw double precision,
    forecast_error_mw double precision,
    measurement_quality integer NOT NULL CHECK (measurement_quality BETWEEN 0 AND 3),
    source text NOT NULL,
    available_at timestamptz NOT NULL,
    PRIMARY KEY (time, case_name, generator_id)
$$, 'time', 'generator_id', INTERVAL '7 days', INTERVAL '90 days');

SELECT create_timeseries_table('branch_measurements', $$
    time timestamptz NOT NULL,
    case_name text NOT NULL,
    branch_id text NOT NULL,
    from_bus_id text NOT NULL,
    to_bus_id text NOT NULL,
    active_power_from_mw double precision,
    active_power_to_mw double precision,
    reactive_power_from_mvar double precision,
    reactive_power_to_mvar double precision,
    loading_percent double precision,
    in_service boolean NOT NULL,
    measurement_quality integer NOT NULL CHECK (measurement_quality BETWEEN 0 AND 3),
    source text NOT NULL,
    available_at timestamptz NOT NULL,
    PRIMARY KEY (time, case_name, branch_id)
$$, 'time', 'branch_id', INTERVAL '7 days', INTERVAL '90 days');

SELECT create_timeseries_table('load_measurements', $$
    time timestamptz NOT NULL,
    case_name text NOT NULL,
    load_id text NOT NULL,
    bus_id text,
    area_id text,
    active_power_mw double precision NOT NULL,
    reactive_power_mvar double precision,
    forecast_mw double precision,
    forecast_error_mw double precision,
    measurement_quality integer NOT NULL CHECK (measurement_quality BETWEEN 0 AND 3),
    source text NOT NULL,
    available_at timestamptz NOT NULL,
    PRIMARY KEY (time, case_name, load_id)
$$, 'time', 'load_id', INTERVAL '7 days', INTERVAL '90 days');

SELECT create_timeseries_table('renewable_forecasts', $$
    forecast_time timestamptz NOT NULL,
    target_time timestamptz NOT NULL,
    case_name text NOT NULL,
    generator_id text NOT NULL,
    forecasted_power_mw double precision NOT NULL,
    confidence_lower_mw double precision,
    confidence_upper_mw double precision,
    forecast_horizon_hours double precision CHECK (forecast_horizon_hours >= 0),
    forecast_model text NOT NULL,
    source text NOT NULL,
    available_at timestamptz NOT NULL,
    PRIMARY KEY (forecast_time, target_time, case_name, generator_id),
    CHECK (confidence_lower_mw <= confidence_upper_mw)
$$, 'target_time', 'generator_id', INTERVAL '3 days', INTERVAL '30 days');

SELECT create_timeseries_table('load_forecasts', $$
    forecast_time timestamptz NOT NULL,
    target_time timestamptz NOT NULL,
    case_name text NOT NULL,
    load_id text NOT NULL,
    forecasted_load_mw double precision NOT NULL,
    forecast_horizon_hours double precision CHECK (forecast_horizon_hours >= 0),
    forecast_model text NOT NULL,
    source text NOT NULL,
    available_at timestamptz NOT NULL,
    PRIMARY KEY (forecast_time, target_time, case_name, load_id)
$$, 'target_time', 'load_id', INTERVAL '3 days', INTERVAL '30 days');

SELECT create_timeseries_table('weather_observations', $$
    time timestamptz NOT NULL,
    case_name text NOT NULL,
    station_id text NOT NULL,
    air_temperature_c double precision,
    wind_speed_m_per_s double precision,
    wind_direction_deg double precision,
    irradiance_w_per_m2 double precision,
    relative_humidity_percent double precision,
    source text NOT NULL,
    available_at timestamptz NOT NULL,
    PRIMARY KEY (time, case_name, station_id)
$$, 'time', 'station_id', INTERVAL '7 days', INTERVAL '90 days');

SELECT create_timeseries_table('market_prices', $$
    time timestamptz NOT NULL,
    case_name text NOT NULL,
    market text NOT NULL CHECK (market IN ('DAY_AHEAD', 'REAL_TIME')),
    node_id text NOT NULL,
    price_usd_per_mwh double precision NOT NULL,
    energy_usd_per_mwh double precision,
    congestion_usd_per_mwh double precision,
    loss_usd_per_mwh double precision,
    source text NOT NULL,
    available_at timestamptz NOT NULL,
    PRIMARY KEY (time, case_name, market, node_id)
$$, 'time', 'node_id', INTERVAL '7 days', INTERVAL '90 days');

SELECT create_timeseries_table('reserve_requirements', $$
    time timestamptz NOT NULL,
    case_name text NOT NULL,
    market text NOT NULL CHECK (market IN ('DAY_AHEAD', 'REAL_TIME')),
    product text NOT NULL,
    area_id text NOT NULL,
    requirement_mw double precision NOT NULL,
    source text NOT NULL,
    available_at timestamptz NOT NULL,
    PRIMARY KEY (time, case_name, market, product, area_id)
$$, 'time', 'area_id', INTERVAL '7 days', INTERVAL '90 days');
