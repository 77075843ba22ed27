"""Each planted fault is found, by its own check and no other; clean data pass."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from validation_batches import REFERENCES, ROWS, UNITS, Run, failed_checks

from data_engineering.model.errors import BadInput
from data_engineering.settings import Quality

FIVE = pd.Timedelta(minutes=5)


def put(column: str, rows: Any, value: Any) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """A fault: `value` in some rows of a column."""

    def fault(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[frame.index[rows], column] = value
        return frame

    return fault


def share(percent: float) -> slice:
    """The first rows, so many percent of all."""
    return slice(0, round(ROWS * percent / 100))


def test_clean_data_pass_every_check(run: Run, clean: pd.DataFrame) -> None:
    outcome = run(clean)
    assert outcome.passed
    assert outcome.failed == ()
    assert outcome.rejected.empty
    assert outcome.metrics["success"].all(), "every column has values, so every check is evaluated"
    assert outcome.metrics["check_name"].is_unique
    pd.testing.assert_frame_equal(outcome.accepted, clean)


ROW_FAULTS = {
    "null output": (put("active_power", 5, None), "not_null:active_power", "active_power = None"),
    "null unit": (put("bus_id", 5, None), "not_null:bus_id", "bus_id = None"),
    "null quality": (
        put("measurement_quality", 5, None),
        "not_null:measurement_quality",
        "measurement_quality = None",
    ),
    "above capability": (
        put("active_power", 5, 60.0),
        "row:share_of_capability",
        "active_power = 60.0: at most the unit's capability + 2 %",
    ),
    "deep charging": (
        put("active_power", 5, -60.0),
        "row:share_of_capability",
        "active_power = -60.0",
    ),
    "quality code": (
        put("measurement_quality", 5, 7),
        "bounds:measurement_quality",
        "measurement_quality = 7: measurement_quality 0 to 3",
    ),
    "power factor": (put("power_factor", 5, -1.2), "bounds:power_factor", "power_factor = -1.2"),
    "angle": (put("voltage_angle", 5, 181.0), "bounds:voltage_angle", "voltage_angle = 181.0"),
    "infinite": (put("reactive_power", 5, np.inf), "bounds:reactive_power", "inf"),
    "other case": (put("case_name", 5, "case14"), "case:case_name", "case_name = case14"),
    "known early": (
        lambda frame: put("available_at", 5, frame["time"][5] - FIVE)(frame),
        "row:known_too_early",
        "available_at = 2020-07-06T00:00:00+00:00",
    ),
}


@pytest.mark.parametrize("name", ROW_FAULTS)
def test_a_bad_row_is_rejected_and_the_rest_goes_on(
    run: Run, clean: pd.DataFrame, name: str
) -> None:
    fault, check, reason = ROW_FAULTS[name]
    given = fault(clean.copy())
    outcome = run(given)
    assert failed_checks(outcome) == {check}
    assert outcome.passed
    assert len(outcome.rejected) == 1
    assert reason in outcome.rejected["reason"][0]
    kept = clean.drop(index=5).reset_index(drop=True)
    pd.testing.assert_frame_equal(outcome.accepted, kept, check_dtype=False)
    metric = outcome.metrics.set_index("check_name").loc[check]
    assert metric["unexpected_rows"] == 1
    assert metric["evaluated_rows"] == ROWS
    assert metric["observed_value"] == pytest.approx(1 - 1 / ROWS, abs=1e-12)


def without(rows: Callable[[pd.DataFrame], pd.Series]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda frame: frame[~rows(frame)]


def swapped(frame: pd.DataFrame) -> pd.DataFrame:
    """3 % of the rows come before the earlier row of the same unit."""
    order = np.arange(len(frame))
    for row in range(0, round(0.03 * ROWS) * 9, 9):
        order[[row, row + 3]] = order[[row + 3, row]]
    return frame.iloc[order]


BATCH_FAULTS = {
    "voltage": (put("voltage_magnitude", share(3), 1.2), "share:voltage_magnitude", 0.97),
    "frequency": (put("frequency_hz", 7, 59.4), "share:frequency_hz", 1 - 1 / ROWS),
    "bad readings": (put("measurement_quality", share(3), 2), "share:good", 0.97),
    "disorder": (swapped, "share:out_of_order", 0.97),
    "every 20th missing": (
        without(lambda frame: pd.Series(np.arange(ROWS) % 20 == 7, frame.index)),
        "batch:missing_share",
        0.05,
    ),
    "gap of a unit": (
        without(
            lambda frame: (
                (frame["generator_id"] == UNITS[1])
                & (frame["time"].dt.hour == 7)
                & (frame["time"].dt.minute < 20)
            )
        ),
        "batch:longest_gap_minutes",
        20.0,
    ),
    "gap of all": (
        without(lambda frame: (frame["time"].dt.hour == 7) & (frame["time"].dt.minute < 20)),
        "batch:longest_gap_minutes",
        20.0,
    ),
}


@pytest.mark.parametrize("name", BATCH_FAULTS)
def test_a_bad_batch_fails_and_no_row_is_rejected(run: Run, clean: pd.DataFrame, name: str) -> None:
    fault, check, observed = BATCH_FAULTS[name]
    outcome = run(fault(clean.copy()))
    assert failed_checks(outcome) == {check}
    assert not outcome.passed
    (line,) = outcome.failed
    assert line.startswith(f"power_measurements {check}: expected ")
    assert outcome.rejected.empty
    found = outcome.metrics.set_index("check_name")["observed_value"][check]
    # Shares of 864 rows are rounded to whole rows.
    assert found == pytest.approx(observed, abs=0.6 / ROWS)


@pytest.mark.parametrize("percent", [0, 1, 2, 3])
def test_voltage_may_leave_its_limits_in_two_percent_of_rows(
    run: Run, clean: pd.DataFrame, percent: int
) -> None:
    rows = int(ROWS * percent / 100)
    outcome = run(put("voltage_magnitude", slice(0, rows), 0.94)(clean))
    assert outcome.passed == (percent <= 2)


def test_thresholds_come_from_the_settings(run: Run, clean: pd.DataFrame) -> None:
    low = put("voltage_magnitude", share(3), 0.94)(clean)
    assert not run(low).passed
    assert run(low, thresholds=Quality(voltage_share=0.9)).passed
    assert run(low, thresholds=Quality(voltage_min_pu=0.9)).passed


def test_a_unit_that_is_not_there_is_a_gap_of_the_whole_day(run: Run, clean: pd.DataFrame) -> None:
    outcome = run(clean[clean["generator_id"] != UNITS[0]])
    assert failed_checks(outcome) == {"batch:missing_share", "batch:longest_gap_minutes"}
    found = outcome.metrics.set_index("check_name")["observed_value"]
    assert found["batch:missing_share"] == pytest.approx(1 / 3, abs=1e-12)
    assert found["batch:longest_gap_minutes"] == 1440.0


def test_the_ends_of_the_day_count_as_gaps(run: Run, clean: pd.DataFrame) -> None:
    late = pd.Timestamp("2020-07-06 23:40", tz="UTC")
    outcome = run(clean[clean["time"] < late])
    assert failed_checks(outcome) == {"batch:longest_gap_minutes"}
    assert outcome.failed[0].endswith("found 20")


def test_of_rows_with_one_key_the_last_stands(run: Run, clean: pd.DataFrame) -> None:
    again = clean.iloc[[10]].assign(active_power=1.0)
    given = pd.concat([clean.iloc[:11], again, clean.iloc[11:]])
    outcome = run(given)
    assert outcome.passed
    assert failed_checks(outcome) == {"row:repeats_key"}
    assert json.loads(outcome.rejected["row_data"][0])["active_power"] == clean["active_power"][10]
    assert f"generator_id = {clean['generator_id'][10]}" in outcome.rejected["reason"][0]
    assert outcome.accepted["active_power"][10] == 1.0
    assert len(outcome.accepted) == ROWS


def test_a_row_of_another_day_is_rejected(run: Run, clean: pd.DataFrame) -> None:
    stray = clean.iloc[[-1]].assign(
        time=pd.Timestamp("2020-07-07", tz="UTC"),
        available_at=pd.Timestamp("2020-07-07 00:05", tz="UTC"),
    )
    outcome = run(pd.concat([clean, stray]))
    assert failed_checks(outcome) == {"row:outside_window"}
    assert "time = 2020-07-07T00:00:00+00:00" in outcome.rejected["reason"][0]
    assert len(outcome.accepted) == ROWS


def test_a_unit_that_nobody_knows_is_rejected(run: Run, clean: pd.DataFrame) -> None:
    stranger = clean.iloc[[0]].assign(generator_id="999_GHOST_1")
    outcome = run(pd.concat([stranger, clean]))
    assert failed_checks(outcome) == {"row:unknown_element"}
    assert "generator_id = 999_GHOST_1" in outcome.rejected["reason"][0]
    assert len(outcome.accepted) == ROWS


def test_too_many_rejected_rows_fail_the_batch(run: Run, clean: pd.DataFrame) -> None:
    outcome = run(put("active_power", share(3), None)(clean))
    assert failed_checks(outcome) == {"not_null:active_power", "batch:rejected_share"}
    assert outcome.failed == (
        "power_measurements batch:rejected_share: expected 2 % of rows rejected at most, "
        f"found {26 / ROWS:.6g} (not_null:active_power in 26 rows)",
    )
    assert len(outcome.rejected) == 26


def test_a_rejected_row_names_every_fault_and_keeps_the_row(run: Run, clean: pd.DataFrame) -> None:
    clean.loc[5, ["active_power", "power_factor"]] = [np.inf, 1.5]
    outcome = run(clean)
    (row,) = outcome.rejected.to_dict("records")
    assert "active_power = inf: active_power finite" in row["reason"]
    assert "power_factor = 1.5: power_factor -1 to 1" in row["reason"]
    data = json.loads(row["row_data"])
    assert data["active_power"] == "inf"
    assert data["generator_id"] == clean["generator_id"][5]
    assert data["time"] == "2020-07-06T00:05:00+00:00"
    canonical = json.dumps(data, sort_keys=True)
    assert row["row_digest"] == hashlib.sha256(canonical.encode()).hexdigest()
    assert row["day"] == REFERENCES.window.day


@pytest.mark.parametrize("nothing", [np.nan, None])
def test_columns_without_values_are_not_evaluated(
    run: Run, clean: pd.DataFrame, nothing: float | None
) -> None:
    empty = ["reactive_power", "voltage_magnitude", "voltage_angle", "power_factor", "frequency_hz"]
    clean[empty] = nothing
    outcome = run(clean)
    assert outcome.passed
    unknown = outcome.metrics[outcome.metrics["success"].isna()]
    assert set(unknown["check_name"]) == {
        *(f"bounds:{name}" for name in empty),
        "share:voltage_magnitude",
        "share:frequency_hz",
    }
    assert (unknown["evaluated_rows"] == 0).all()
    assert unknown["observed_value"].isna().all()


SHAPE_FAULTS = {
    "missing": (lambda f: f.drop(columns="bus_id"), "batch:columns", "column bus_id is missing"),
    "extra": (lambda f: f.assign(hue=1), "batch:columns", "column hue is not declared"),
    "twice": (
        lambda f: pd.concat([f, f[["source"]]], axis=1),
        "batch:type_faults",
        "column source is there more than once",
    ),
    "text for number": (
        lambda f: f.assign(active_power="12 MW"),
        "batch:type_faults",
        "column active_power is object, declared float",
    ),
    "number for text": (
        lambda f: f.assign(generator_id=7),
        "batch:type_faults",
        "column generator_id is int64, declared text",
    ),
    "mixed text": (
        lambda f: f.assign(bus_id=[101, *f["bus_id"][1:]]),
        "batch:type_faults",
        "column bus_id is mixed-integer, declared text",
    ),
    "fraction": (
        lambda f: f.assign(measurement_quality=0.5),
        "batch:type_faults",
        "column measurement_quality is fractional, declared integer",
    ),
    "no zone": (
        lambda f: f.assign(time=f["time"].dt.tz_localize(None)),
        "batch:type_faults",
        "column time is without time zone, declared timestamp",
    ),
    "no time at all": (
        lambda f: f.assign(time=np.nan),
        "batch:type_faults",
        "column time is without any value, declared timestamp",
    ),
    "no rows": (lambda f: f.iloc[:0], "batch:row_count", "the batch has no rows"),
}


@pytest.mark.parametrize("name", SHAPE_FAULTS)
def test_a_frame_of_another_shape_fails_whole(run: Run, clean: pd.DataFrame, name: str) -> None:
    fault, check, text = SHAPE_FAULTS[name]
    outcome = run(fault(clean))
    assert not outcome.passed
    assert outcome.failed == (f"power_measurements: {text}",)
    assert failed_checks(outcome) == {check}
    assert outcome.accepted.empty
    assert outcome.rejected.empty


def test_a_checkpoint_that_is_not_there(run: Run, clean: pd.DataFrame) -> None:
    with pytest.raises(BadInput, match="use one of power_measurements_checkpoint"):
        run(clean, table="power")
