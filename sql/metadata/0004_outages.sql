-- Voltages after outages beside those of the intact network, and what the AC check of outages found.

ALTER TABLE bus_results ADD COLUMN IF NOT EXISTS contingency_id text NOT NULL DEFAULT 'base';
ALTER TABLE bus_results DROP CONSTRAINT IF EXISTS bus_results_pkey;
ALTER TABLE bus_results ADD PRIMARY KEY (execution_id, time_interval, contingency_id, bus_id);

ALTER TABLE interval_results
    ADD COLUMN IF NOT EXISTS outages_checked integer,
    ADD COLUMN IF NOT EXISTS outages_islanding integer,
    ADD COLUMN IF NOT EXISTS outages_not_converged integer,
    ADD COLUMN IF NOT EXISTS outage_violations integer,
    ADD COLUMN IF NOT EXISTS worst_outage_id text,
    ADD COLUMN IF NOT EXISTS worst_outage_loading_percent double precision;

-- Prices are those of the intact network.
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
WHERE contingency_id = 'base'
GROUP BY execution_id, case_name, bus_id;
