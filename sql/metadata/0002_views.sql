-- Views for people, dashboards and the HTTP API.

-- The published name and columns of an execution's outcome.
CREATE OR REPLACE VIEW lascopf_results AS
SELECT
    execution_id,
    execution_time,
    topology_id,
    convergence_status,
    objective_value,
    solve_time_seconds,
    iteration_count,
    results_path,
    metadata
FROM lascopf_executions;

-- The newest execution of each case, kind and horizon.
CREATE OR REPLACE VIEW v_latest_executions AS
SELECT DISTINCT ON (case_name, kind, horizon_start)
    case_name,
    kind,
    horizon_start,
    horizon_start + interval_count * interval_minutes * INTERVAL '1 minute' AS horizon_end,
    execution_id,
    execution_time,
    method,
    convergence_status,
    objective_value,
    solve_time_seconds,
    iteration_count,
    outage_count,
    solver,
    solver_version,
    triggered_by,
    topology_id,
    results_path
FROM lascopf_executions
ORDER BY case_name, kind, horizon_start, execution_time DESC, execution_id;

-- What each unit does over the horizon of an execution.
CREATE OR REPLACE VIEW v_generator_dispatch_summary AS
SELECT
    d.execution_id,
    d.case_name,
    d.generator_id,
    d.generator_type,
    d.fuel,
    d.bus_id,
    sum(d.active_power) * e.interval_minutes / 60.0::double precision AS energy_mwh,
    avg(d.active_power) AS average_mw,
    max(d.active_power) AS peak_mw,
    count(*) FILTER (WHERE d.commitment_status) * e.interval_minutes / 60.0::double precision AS hours_on,
    count(*) FILTER (WHERE d.start_cost_usd > 0) AS paid_starts,
    coalesce(sum(d.curtailed_mw), 0) * e.interval_minutes / 60.0::double precision AS curtailed_mwh,
    sum(d.cost_usd) AS production_cost_usd,
    sum(d.start_cost_usd) AS start_cost_usd,
    count(*) FILTER (WHERE d.at_pmax) AS intervals_at_pmax,
    count(*) FILTER (WHERE d.at_pmin) AS intervals_at_pmin,
    count(*) FILTER (WHERE d.ramp_limited) AS intervals_ramp_limited
FROM generator_dispatch d
JOIN lascopf_executions e USING (execution_id)
GROUP BY
    d.execution_id, d.case_name, d.generator_id, d.generator_type, d.fuel, d.bus_id, e.interval_minutes;

-- Locational prices of each bus over the horizon of an execution.
CREATE OR REPLACE VIEW v_lmp_statistics AS
SELECT
    execution_id,
    case_name,
    bus_id,
    count(lmp_total) AS priced_intervals,
    min(lmp_total) AS lmp_min,
    avg(lmp_total) AS lmp_average,
    max(lmp_total) AS lmp_max,
    stddev_pop(lmp_total) AS lmp_deviation,
    avg(lmp_energy) AS energy_average,
    avg(lmp_congestion) AS congestion_average,
    max(abs(lmp_congestion)) AS congestion_largest,
    avg(lmp_loss) AS loss_average,
    sum(lmp_total * load_mw) / nullif(sum(load_mw) FILTER (WHERE lmp_total IS NOT NULL), 0)
        AS lmp_load_weighted
FROM bus_results
GROUP BY execution_id, case_name, bus_id;
