"""A Great Expectations context in memory, and a clean batch that tests may damage."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from validation_batches import CAPABILITY, CASE, DAY, REFERENCES, ROWS, UNITS, Run

from data_engineering.model.tables import POWER_MEASUREMENTS
from data_engineering.settings import Quality
from data_engineering.validation.checkpoints import Batch, CheckOutcome, run_checkpoint
from data_engineering.validation.quality_checks import References


@pytest.fixture(scope="session")
def context() -> Any:
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    with warnings.catch_warnings():
        # The library's own imports use what Python and its dependencies have deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        import great_expectations as gx

        found = gx.get_context(mode="ephemeral")
    found.variables.progress_bars = {"globally": False}
    return found


@pytest.fixture
def run(context: Any) -> Run:
    """`run(frame)`: the outcome of the checkpoint of a batch of power measurements."""

    def run_frame(
        frame: pd.DataFrame,
        table: str = "power_measurements",
        references: References = REFERENCES,
        thresholds: Quality | None = None,
    ) -> CheckOutcome:
        return run_checkpoint(
            context,
            f"{table}_checkpoint",
            frame,
            Batch(CASE, DAY, "manual__1"),
            thresholds or Quality(),
            references,
        )

    return run_frame


@pytest.fixture
def clean() -> pd.DataFrame:
    """A day of 5-minute readings of three units, every column with values, in time order."""
    times = pd.date_range("2020-07-06", periods=288, freq="5min", tz="UTC").as_unit("us")
    frame = pd.DataFrame({"time": times.repeat(len(UNITS)), "generator_id": UNITS * 288})
    share = 0.5 + 0.4 * np.sin(np.arange(ROWS))
    frame["case_name"] = CASE
    frame["bus_id"] = frame["generator_id"].str[:3]
    frame["active_power"] = frame["generator_id"].map(CAPABILITY) * share
    frame["reactive_power"] = 0.2 * frame["active_power"]
    frame["voltage_magnitude"] = 1.0 + 0.04 * np.sin(np.arange(ROWS))
    frame["voltage_angle"] = -10.0
    frame["power_factor"] = 1.0 / np.hypot(1.0, 0.2)
    frame["frequency_hz"] = 60.0 + 0.02 * np.cos(np.arange(ROWS))
    frame["measurement_quality"] = 0
    frame["source"] = "scada"
    frame["available_at"] = frame["time"] + pd.Timedelta(minutes=5)
    return frame[[column.name for column in POWER_MEASUREMENTS.written]]
