"""What a frame must be to become rows of a declared table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from data_engineering.model.errors import BadInput
from data_engineering.model.tables import POWER_MEASUREMENTS
from data_engineering.storage.frames import to_arrow


def readings(**changes: Any) -> pd.DataFrame:
    times = pd.date_range("2020-07-06", periods=3, freq="5min", tz="UTC")
    columns: dict[str, Any] = {
        "time": times,
        "case_name": "rts_gmlc",
        "generator_id": "101_CT_1",
        "bus_id": "101",
        "active_power": [1.0, 2.0, 3.0],
        "reactive_power": None,
        "voltage_magnitude": [1.0, np.nan, 1.02],
        "voltage_angle": None,
        "power_factor": None,
        "frequency_hz": None,
        "measurement_quality": [0, 1, 0],
        "source": "scada",
        "available_at": times + pd.Timedelta(minutes=5),
    }
    return pd.DataFrame(columns | changes)


def test_columns_come_in_declared_order_with_declared_types() -> None:
    frame = readings()
    rows = to_arrow(POWER_MEASUREMENTS, frame[frame.columns[::-1]])
    assert rows.schema == POWER_MEASUREMENTS.arrow_schema()
    assert rows["active_power"].to_pylist() == [1.0, 2.0, 3.0]
    assert rows["voltage_magnitude"].to_pylist() == [1.0, None, 1.02]
    assert rows["reactive_power"].null_count == 3


def test_other_zones_are_the_same_instants() -> None:
    frame = readings()
    local = frame.assign(time=frame["time"].dt.tz_convert("America/Phoenix"))
    assert to_arrow(POWER_MEASUREMENTS, local) == to_arrow(POWER_MEASUREMENTS, frame)


def test_whole_floats_are_integers_and_categories_are_text() -> None:
    frame = readings(measurement_quality=[0.0, 1.0, 0.0])
    frame["source"] = frame["source"].astype("category")
    assert to_arrow(POWER_MEASUREMENTS, frame) == to_arrow(POWER_MEASUREMENTS, readings())


def test_the_last_row_of_a_key_stands() -> None:
    frame = readings(time=pd.to_datetime(["2020-07-06"] * 3, utc=True))
    assert to_arrow(POWER_MEASUREMENTS, frame)["active_power"].to_pylist() == [3.0]


def test_no_rows() -> None:
    assert to_arrow(POWER_MEASUREMENTS, readings().iloc[:0]).num_rows == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"active_power": ["1.0", "2.0", "3.0"]}, "power_measurements.active_power"),
        ({"active_power": [1.0, np.nan, 3.0]}, "row 1"),
        ({"active_power": [1.0, np.inf, 3.0]}, "finite"),
        ({"active_power": [True, False, True]}, "give float"),
        ({"generator_id": [1, 2, 3]}, "give text"),
        ({"generator_id": ["a", None, "b"]}, "power_measurements.generator_id"),
        ({"measurement_quality": [0.5, 0.0, 0.0]}, "give integer"),
        ({"measurement_quality": [0, 2**31, 0]}, "32-bit"),
        ({"time": pd.date_range("2020-07-06", periods=3)}, "time zone"),
        (
            {"time": pd.Series(pd.date_range("2020-07-06", periods=3).to_list(), dtype=object)},
            "zone",
        ),
        ({"time": ["2020-07-06", "2020-07-07", "2020-07-08"]}, "time zone"),
        ({"extra": 1, "more": 2}, "['extra', 'more']"),
    ],
)
def test_what_is_not_a_row_is_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput) as caught:
        to_arrow(POWER_MEASUREMENTS, readings(**changes))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_columns_are_named() -> None:
    with pytest.raises(BadInput, match=r"\['bus_id', 'source'\]"):
        to_arrow(POWER_MEASUREMENTS, readings().drop(columns=["source", "bus_id"]))


def test_repeated_columns_are_refused() -> None:
    frame = pd.concat([readings(), readings()[["source"]]], axis=1)
    with pytest.raises(BadInput):
        to_arrow(POWER_MEASUREMENTS, frame)


def test_all_nulls_have_the_declared_type() -> None:
    rows = to_arrow(POWER_MEASUREMENTS, readings())
    assert rows.schema.field("voltage_angle").type == pa.float64()
