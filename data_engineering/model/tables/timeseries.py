"""Tables of the time-series database."""

from __future__ import annotations

from data_engineering.model.columns import Column, Table
from data_engineering.model.tables.shared import (
    AVAILABLE,
    CASE,
    QUALITY,
    SOURCE,
    TIME,
    USD_PER_MWH,
    key,
    megawatts,
)

NATURAL_INFLOW = "natural_inflow"
"""The `forecast_model` of rows that tell the power flowing into a unit's store, not its output."""

POWER_MEASUREMENTS = Table(
    "power_measurements",
    "timeseries",
    "Readings at generating units, as SCADA gives them.",
    (
        TIME,
        CASE,
        key("generator_id", "text", "unit"),
        key("bus_id", "text", "bus of the unit"),
        Column("active_power", "float", "MW", "injection; negative while charging", nullable=False),
        Column("reactive_power", "float", "Mvar", "injection"),
        Column("voltage_magnitude", "float", "p.u.", "at the bus", minimum=0.0, maximum=2.0),
        Column("voltage_angle", "float", "deg", "at the bus", minimum=-180.0, maximum=180.0),
        Column("power_factor", "float", "1", "P/S, derived", minimum=-1.0, maximum=1.0),
        Column("frequency_hz", "float", "Hz", "at the bus", minimum=45.0, maximum=75.0),
        QUALITY,
        SOURCE,
        AVAILABLE,
    ),
    ("time", "case_name", "generator_id"),
    "time",
)

GENERATOR_MEASUREMENTS = Table(
    "generator_measurements",
    "timeseries",
    "Unit readings joined with the unit's capability and forecast.",
    (
        TIME,
        CASE,
        key("generator_id", "text", "unit"),
        key("bus_id", "text", "bus of the unit"),
        key("generator_type", "text", "WIND, PV, RTPV, HYDRO, CSP, CT, CC, STEAM, NUCLEAR, ..."),
        Column("active_power_mw", "float", "MW", "injection", nullable=False),
        Column("reactive_power_mvar", "float", "Mvar", "injection"),
        Column("in_service", "boolean", doc="unit is connected", nullable=False),
        megawatts("capacity_mw", "greatest output", 0.0),
        Column("marginal_cost_usd_per_mwh", "float", USD_PER_MWH, "cost of one more MWh"),
        megawatts("forecast_mw", "newest forecast known before the interval", 0.0),
        megawatts("forecast_error_mw", "reading minus forecast"),
        QUALITY,
        SOURCE,
        AVAILABLE,
    ),
    ("time", "case_name", "generator_id"),
    "time",
)

BRANCH_MEASUREMENTS = Table(
    "branch_measurements",
    "timeseries",
    "Flows at both ends of branches.",
    (
        TIME,
        CASE,
        key("branch_id", "text", "line or transformer"),
        key("from_bus_id", "text", "bus at the from end"),
        key("to_bus_id", "text", "bus at the to end"),
        megawatts("active_power_from_mw", "into the branch at the from end"),
        megawatts("active_power_to_mw", "into the branch at the to end"),
        megawatts("reactive_power_from_mvar", "into the branch at the from end", unit="Mvar"),
        megawatts("reactive_power_to_mvar", "into the branch at the to end", unit="Mvar"),
        Column("loading_percent", "float", "%", "of the continuous rating", minimum=0.0),
        Column("in_service", "boolean", doc="branch is closed", nullable=False),
        QUALITY,
        SOURCE,
        AVAILABLE,
    ),
    ("time", "case_name", "branch_id"),
    "time",
)

LOAD_MEASUREMENTS = Table(
    "load_measurements",
    "timeseries",
    "Load readings, by area or by bus as the source gives them.",
    (
        TIME,
        CASE,
        key("load_id", "text", "metered load; for RTS-GMLC area_1 to area_3"),
        Column("bus_id", "text", doc="bus, where the load is metered at one"),
        Column("area_id", "text", doc="area"),
        Column("active_power_mw", "float", "MW", "demand", nullable=False, minimum=0.0),
        Column("reactive_power_mvar", "float", "Mvar", "demand"),
        megawatts("forecast_mw", "newest forecast known before the interval", 0.0),
        megawatts("forecast_error_mw", "reading minus forecast"),
        QUALITY,
        SOURCE,
        AVAILABLE,
    ),
    ("time", "case_name", "load_id"),
    "time",
)

TOPOLOGY_CHANGES = Table(
    "topology_changes",
    "timeseries",
    "Elements that opened or closed, as the stream told them.",
    (
        Column("time", "timestamp", doc="when it was so (UTC)", nullable=False),
        CASE,
        key("element", "text", "branch, generator, bus or breaker"),
        key("element_id", "text", "id of the element"),
        Column("closed", "boolean", doc="connected", nullable=False),
        QUALITY,
        SOURCE,
        AVAILABLE,
    ),
    ("time", "case_name", "element", "element_id"),
    "time",
)

RENEWABLE_FORECASTS = Table(
    "renewable_forecasts",
    "timeseries",
    "Forecasts of what wind, sun and water allow a unit to give.",
    (
        key("forecast_time", "timestamp", "when the forecast was issued (UTC)"),
        key("target_time", "timestamp", "start of the interval it is for (UTC)"),
        CASE,
        key("generator_id", "text", "unit"),
        Column("forecasted_power_mw", "float", "MW", nullable=False, minimum=0.0),
        megawatts(
            "confidence_lower_mw", "lower end of the 90 % band, where the source gives one", 0.0
        ),
        megawatts(
            "confidence_upper_mw", "upper end of the 90 % band, where the source gives one", 0.0
        ),
        Column("forecast_horizon_hours", "float", "h", "target minus issue time", minimum=0.0),
        key("forecast_model", "text", "model that made it; natural_inflow: power into the store"),
        SOURCE,
        AVAILABLE,
    ),
    ("forecast_time", "target_time", "case_name", "generator_id"),
    "target_time",
)

LOAD_FORECASTS = Table(
    "load_forecasts",
    "timeseries",
    "Forecasts of demand.",
    (
        key("forecast_time", "timestamp", "when the forecast was issued (UTC)"),
        key("target_time", "timestamp", "start of the interval it is for (UTC)"),
        CASE,
        key("load_id", "text", "metered load, as in load_measurements"),
        Column("forecasted_load_mw", "float", "MW", nullable=False, minimum=0.0),
        Column("forecast_horizon_hours", "float", "h", "target minus issue time", minimum=0.0),
        key("forecast_model", "text", "model that made it"),
        SOURCE,
        AVAILABLE,
    ),
    ("forecast_time", "target_time", "case_name", "load_id"),
    "target_time",
)

WEATHER_OBSERVATIONS = Table(
    "weather_observations",
    "timeseries",
    "Weather at stations.",
    (
        TIME,
        CASE,
        key("station_id", "text", "station or grid point"),
        Column("air_temperature_c", "float", "degC", minimum=-90.0, maximum=60.0),
        Column("wind_speed_m_per_s", "float", "m/s", minimum=0.0, maximum=115.0),
        Column("wind_direction_deg", "float", "deg", "from north", minimum=0.0, maximum=360.0),
        Column("irradiance_w_per_m2", "float", "W/m2", "horizontal", minimum=0.0, maximum=1500.0),
        Column("relative_humidity_percent", "float", "%", minimum=0.0, maximum=100.0),
        SOURCE,
        AVAILABLE,
    ),
    ("time", "case_name", "station_id"),
    "time",
)

MARKET_PRICES = Table(
    "market_prices",
    "timeseries",
    "Prices that a market published.",
    (
        TIME,
        CASE,
        key("market", "text", "DAY_AHEAD or REAL_TIME"),
        key("node_id", "text", "pricing node"),
        Column("price_usd_per_mwh", "float", USD_PER_MWH, "total", nullable=False),
        Column("energy_usd_per_mwh", "float", USD_PER_MWH, "energy part"),
        Column("congestion_usd_per_mwh", "float", USD_PER_MWH, "congestion part"),
        Column("loss_usd_per_mwh", "float", USD_PER_MWH, "loss part"),
        SOURCE,
        AVAILABLE,
    ),
    ("time", "case_name", "market", "node_id"),
    "time",
)

RESERVE_REQUIREMENTS = Table(
    "reserve_requirements",
    "timeseries",
    "Reserve that the market asks for.",
    (
        TIME,
        CASE,
        key("market", "text", "DAY_AHEAD or REAL_TIME"),
        key("product", "text", "SPIN_UP, REG_UP, REG_DOWN, FLEX_UP or FLEX_DOWN"),
        key("area_id", "text", "area_1 to area_3, or system"),
        Column("requirement_mw", "float", "MW", nullable=False, minimum=0.0),
        SOURCE,
        AVAILABLE,
    ),
    ("time", "case_name", "market", "product", "area_id"),
    "time",
)
