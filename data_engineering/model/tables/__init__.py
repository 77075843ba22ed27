"""Every table of the platform, declared once.

The arrow schemas, the Great Expectations suites, the data dictionary and the test that ``sql/``
agrees all come from here. Bounds are what the physics or the definition of a quantity allows;
bounds that depend on the element (a unit's capability) are checks of the validation room.
"""

from __future__ import annotations

from data_engineering.model.columns import Table
from data_engineering.model.tables.metadata import (
    ARTIFACTS,
    BRANCH_FLOW_RESULTS,
    BUS_RESULTS,
    CONTINGENCIES,
    CONVERGENCE_HISTORY,
    DATA_QUALITY_METRICS,
    GENERATOR_DISPATCH,
    INTERVAL_RESULTS,
    LASCOPF_EXECUTIONS,
    NETWORK_TOPOLOGY,
    PIPELINE_EXECUTION_LOGS,
    PRICE_CAUSES,
    REJECTED_ROWS,
)
from data_engineering.model.tables.reoptimization import (
    REOPTIMIZATION_EVENTS,
    REOPTIMIZATION_STATE,
)
from data_engineering.model.tables.stream import (
    STREAM_DEAD_LETTERS,
    STREAM_MEMBERS,
    STREAM_OFFSETS,
    STREAM_REQUESTS,
)
from data_engineering.model.tables.timeseries import (
    BRANCH_MEASUREMENTS,
    GENERATOR_MEASUREMENTS,
    LOAD_FORECASTS,
    LOAD_MEASUREMENTS,
    MARKET_PRICES,
    NATURAL_INFLOW,
    POWER_MEASUREMENTS,
    RENEWABLE_FORECASTS,
    RESERVE_REQUIREMENTS,
    TOPOLOGY_CHANGES,
    WEATHER_OBSERVATIONS,
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        POWER_MEASUREMENTS,
        GENERATOR_MEASUREMENTS,
        BRANCH_MEASUREMENTS,
        LOAD_MEASUREMENTS,
        TOPOLOGY_CHANGES,
        RENEWABLE_FORECASTS,
        LOAD_FORECASTS,
        WEATHER_OBSERVATIONS,
        MARKET_PRICES,
        RESERVE_REQUIREMENTS,
        STREAM_OFFSETS,
        STREAM_MEMBERS,
        STREAM_DEAD_LETTERS,
        STREAM_REQUESTS,
        NETWORK_TOPOLOGY,
        CONTINGENCIES,
        LASCOPF_EXECUTIONS,
        GENERATOR_DISPATCH,
        BUS_RESULTS,
        BRANCH_FLOW_RESULTS,
        INTERVAL_RESULTS,
        PRICE_CAUSES,
        CONVERGENCE_HISTORY,
        DATA_QUALITY_METRICS,
        REJECTED_ROWS,
        PIPELINE_EXECUTION_LOGS,
        ARTIFACTS,
        REOPTIMIZATION_EVENTS,
        REOPTIMIZATION_STATE,
    )
}

__all__ = [
    "ARTIFACTS",
    "BRANCH_FLOW_RESULTS",
    "BRANCH_MEASUREMENTS",
    "BUS_RESULTS",
    "CONTINGENCIES",
    "CONVERGENCE_HISTORY",
    "DATA_QUALITY_METRICS",
    "GENERATOR_DISPATCH",
    "GENERATOR_MEASUREMENTS",
    "INTERVAL_RESULTS",
    "LASCOPF_EXECUTIONS",
    "LOAD_FORECASTS",
    "LOAD_MEASUREMENTS",
    "MARKET_PRICES",
    "NATURAL_INFLOW",
    "NETWORK_TOPOLOGY",
    "PIPELINE_EXECUTION_LOGS",
    "POWER_MEASUREMENTS",
    "PRICE_CAUSES",
    "REJECTED_ROWS",
    "RENEWABLE_FORECASTS",
    "REOPTIMIZATION_EVENTS",
    "REOPTIMIZATION_STATE",
    "RESERVE_REQUIREMENTS",
    "STREAM_DEAD_LETTERS",
    "STREAM_MEMBERS",
    "STREAM_OFFSETS",
    "STREAM_REQUESTS",
    "TABLES",
    "TOPOLOGY_CHANGES",
    "WEATHER_OBSERVATIONS",
]
