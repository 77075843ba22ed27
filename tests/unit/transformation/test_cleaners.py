from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_engineering.model.errors import BadInput
from data_engineering.model.tables import (
    LOAD_FORECASTS,
    LOAD_MEASUREMENTS,
    POWER_MEASUREMENTS,
)
from data_engineering.model.time import Window
from data_engineering.transformation.cleaners import (
    BAD,
    ESTIMATED,
    GOOD,
    SUSPECT,
    CleanResult,
    clean,
    in_utc,
    with_power_factor,
)

WINDOW = Window.of_day(date(2020, 7, 6))
START = pd.Timestamp(WINDOW.start)
FIVE = pd.Timedelta(minutes=5)


def readings(values: list[float], load_id: str = "area_1", first: int = 0) -> pd.DataFrame:
    """Rows of load_measurements: one each five minutes from the `first` interval of the day."""
    times = [START + FIVE * (first + i) for i in range(len(values))]
    return pd.DataFrame(
        {
            "time": times,
            "case_name": "rts_gmlc",
            "load_id": load_id,
            "area_id": load_id,
            "active_power_mw": values,
            "measurement_quality": GOOD,
            "source": "scada",
            "available_at": [time + FIVE for time in times],
        }
    )


def cleaned(frame: pd.DataFrame, **options: Any) -> CleanResult:
    return clean(LOAD_MEASUREMENTS, frame, WINDOW, 5, **options)


def only_reason(frame: pd.DataFrame, **options: Any) -> str:
    result = cleaned(frame, **options)
    assert len(result.rejected) == 1
    return str(result.rejected["reason"].iloc[0])


def test_clean_rows_stay_as_they_are() -> None:
    frame = readings([100.0, 101.0, 103.0])
    result = cleaned(frame)
    pd.testing.assert_frame_equal(result.frame, LOAD_MEASUREMENTS.typed(frame))
    assert result.rejected.empty
    assert result.counts == {"out_of_order": 0, "late": 0, "stuck": 0, "filled": 0}


def test_rows_out_of_order_are_counted_and_sorted() -> None:
    frame = readings([100.0, 101.0, 103.0]).iloc[[2, 0, 1]]
    result = cleaned(frame)
    assert list(result.frame["active_power_mw"]) == [100.0, 101.0, 103.0]
    assert result.counts["out_of_order"] == 2


def test_times_without_a_zone_are_read_in_the_given_one() -> None:
    frame = readings([100.0, 101.0])
    local = frame.assign(time=frame["time"].dt.tz_convert("Europe/Berlin").dt.tz_localize(None))
    result = cleaned(local, zone="Europe/Berlin")
    assert list(result.frame["time"]) == list(frame["time"])


def test_texts_with_an_offset_say_their_zone_themselves() -> None:
    rows = pd.DataFrame({"time": ["2020-07-06T02:00:00+02:00", "2020-07-06 00:05", "soon", None]})
    times = in_utc(LOAD_MEASUREMENTS, rows, "UTC")["time"]
    assert list(times[:2]) == [START, START + FIVE]
    assert times[2:].isna().all()


def test_hours_that_clocks_skip_or_repeat_are_no_times() -> None:
    skipped, repeated = pd.Timestamp("2020-03-29 02:30"), pd.Timestamp("2020-10-25 02:30")
    rows = pd.DataFrame({"time": [skipped, repeated]})
    assert in_utc(LOAD_MEASUREMENTS, rows, "Europe/Berlin")["time"].isna().all()


def test_an_unknown_zone_is_refused() -> None:
    rows = pd.DataFrame({"time": [pd.Timestamp("2020-07-06")]})
    with pytest.raises(BadInput, match="zone: 'Mars/Olympus'"):
        in_utc(LOAD_MEASUREMENTS, rows, "Mars/Olympus")


def test_units_become_the_declared_ones() -> None:
    frame = readings([100_000.0, 101_000.0])
    result = cleaned(frame, units={"active_power_mw": "kW"})
    np.testing.assert_allclose(result.frame["active_power_mw"], [100.0, 101.0], rtol=1e-15)


def test_an_unknown_unit_is_refused_with_those_known() -> None:
    with pytest.raises(BadInput, match="give MW or one of: GW, W, kW"):
        cleaned(readings([1.0]), units={"active_power_mw": "horsepower"})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"active_power_mw": None}, "active_power_mw is missing"),
        ({"active_power_mw": "much"}, "active_power_mw much cannot be read"),
        ({"active_power_mw": -1.0}, "active_power_mw -1.0 is below 0.0"),
        ({"active_power_mw": np.inf}, "active_power_mw inf cannot be read"),
        ({"load_id": None}, "load_id is missing"),
        ({"time": "yesterday"}, "time yesterday cannot be read"),
        ({"time": START - FIVE}, "time is outside the window"),
        ({"time": START + pd.Timedelta(days=1)}, "time is outside the window"),
        ({"time": START + pd.Timedelta(minutes=2)}, "time is off the beat of 0 days 00:05:00"),
        ({"measurement_quality": 7}, "measurement_quality 7 is above 3"),
        ({"measurement_quality": 0.5}, "measurement_quality 0.5 is not a whole number"),
        ({"available_at": START - FIVE}, "known before it happened"),
    ],
)
def test_a_row_that_cannot_be_kept_comes_back_with_its_reason(
    change: dict[str, object], reason: str
) -> None:
    good = readings([100.0, 101.0], first=10).astype(object)
    bad = readings([99.0]).astype(object).assign(**change).set_axis([7]).astype(object)
    frame = pd.concat([good, bad])
    result = cleaned(frame)
    assert len(result.frame) == 2
    assert list(result.rejected.index) == [7]
    assert only_reason(frame) == reason
    pd.testing.assert_frame_equal(result.rejected.drop(columns="reason"), bad)


def test_of_two_rows_with_a_key_the_better_then_the_newer_stands() -> None:
    first = readings([100.0])
    corrected = first.assign(active_power_mw=105.0, available_at=START + pd.Timedelta(hours=1))
    result = cleaned(pd.concat([first, corrected], ignore_index=True))
    assert list(result.frame["active_power_mw"]) == [105.0]
    assert result.rejected["active_power_mw"].tolist() == [100.0]
    doubtful = corrected.assign(measurement_quality=SUSPECT)
    result = cleaned(pd.concat([doubtful, first], ignore_index=True))
    assert list(result.frame["active_power_mw"]) == [100.0]
    assert "duplicate" in result.rejected["reason"].iloc[0]


def test_late_readings_are_kept_and_suspect() -> None:
    frame = readings([100.0, 101.0])
    frame.loc[1, "available_at"] = START + FIVE + pd.Timedelta(hours=24, seconds=1)
    result = cleaned(frame)
    assert list(result.frame["measurement_quality"]) == [GOOD, SUSPECT]
    assert result.counts["late"] == 1


def test_readings_stuck_for_hours_are_suspect() -> None:
    frame = readings([50.0, *[100.0] * 72, 50.0])
    result = cleaned(frame)  # 72 intervals of 5 minutes are 6 hours
    assert list(result.frame["measurement_quality"]) == [GOOD, *[SUSPECT] * 72, GOOD]
    shorter = readings([50.0, *[100.0] * 71, 50.0])
    assert cleaned(shorter).counts["stuck"] == 0
    assert cleaned(readings([0.0] * 72)).counts["stuck"] == 0  # a unit at rest is not stuck


def test_a_stuck_run_ends_at_a_gap_and_at_another_series() -> None:
    gap = pd.concat([readings([100.0] * 40), readings([100.0] * 40, first=60)])
    assert cleaned(gap).counts["stuck"] == 0
    two = pd.concat([readings([100.0] * 40), readings([100.0] * 40, "area_2")])
    assert cleaned(two).counts["stuck"] == 0


def test_a_short_gap_is_filled_on_the_line_and_flagged() -> None:
    frame = pd.concat([readings([100.0]), readings([130.0], first=3)])
    result = cleaned(frame, gap_minutes=10)
    assert list(result.frame["active_power_mw"]) == [100.0, 110.0, 120.0, 130.0]
    assert list(result.frame["measurement_quality"]) == [GOOD, ESTIMATED, ESTIMATED, GOOD]
    # A filled value rests on the reading after the gap, so it is known no earlier than that.
    assert list(result.frame["available_at"][1:3]) == [START + 4 * FIVE] * 2
    assert list(result.frame["area_id"]) == ["area_1"] * 4
    assert result.counts["filled"] == 2


def test_a_long_gap_stays_a_gap() -> None:
    frame = pd.concat([readings([100.0]), readings([130.0], first=3)])
    assert len(cleaned(frame, gap_minutes=9).frame) == 2


def test_a_gap_beside_a_bad_reading_stays_a_gap() -> None:
    frame = pd.concat(
        [readings([100.0]).assign(measurement_quality=BAD), readings([130.0], first=2)]
    )
    assert len(cleaned(frame).frame) == 2


def test_nothing_is_filled_before_the_first_or_after_the_last_reading() -> None:
    result = cleaned(readings([100.0], first=5))
    assert len(result.frame) == 1


def test_forecasts_are_cleaned_without_flags() -> None:
    noon = START - pd.Timedelta(hours=12)
    row = {
        "forecast_time": noon,
        "target_time": START,
        "case_name": "rts_gmlc",
        "load_id": "area_1",
        "forecasted_load_mw": 100.0,
        "forecast_horizon_hours": 12.0,
        "forecast_model": "m",
        "source": "s",
        "available_at": noon,
    }
    frame = pd.DataFrame([row, row | {"target_time": START + pd.Timedelta(hours=2)}, row])
    result = clean(LOAD_FORECASTS, frame, WINDOW, 60)
    assert len(result.frame) == 2
    assert len(result.rejected) == 1
    assert result.counts == {"out_of_order": 0}


def test_power_factor_is_p_over_s_with_the_sign_of_p() -> None:
    frame = pd.DataFrame(
        {
            "active_power": [3.0, -3.0, 0.0, 5.0],
            "reactive_power": [4.0, 4.0, 0.0, np.nan],
            "power_factor": np.nan,
        }
    )
    factors = with_power_factor(frame)["power_factor"]
    np.testing.assert_allclose(factors, [0.6, -0.6, np.nan, np.nan], rtol=1e-15)


def test_an_empty_frame_stays_empty() -> None:
    for table in (POWER_MEASUREMENTS, LOAD_MEASUREMENTS, LOAD_FORECASTS):
        frame = pd.DataFrame(columns=list(table.names))
        result = clean(table, frame, WINDOW, 5)
        assert result.frame.empty
        assert list(result.frame.columns) == list(table.names)
        assert result.rejected.empty


ROW = st.fixed_dictionaries(
    {
        "minute": st.sampled_from([-5, 0, 5, 10, 15, 17, 30, 1435, 1440]),
        "load_id": st.sampled_from(["area_1", "area_2", None]),
        "active_power_mw": st.sampled_from([0.0, 50.0, 50.0, 120.0, -1.0, np.nan, np.inf, "x"]),
        "measurement_quality": st.sampled_from([0, 1, 2, 3, 9, None]),
        "delay": st.sampled_from([-5, 5, 6, 2000]),
    }
)


@settings(max_examples=60, deadline=None)
@given(st.lists(ROW, max_size=25), st.integers(0, 3))
def test_no_row_vanishes_and_cleaning_twice_changes_nothing(
    rows: list[dict[str, Any]], seed: int
) -> None:
    frame = pd.DataFrame(
        {
            "time": pd.Series(
                [START + pd.Timedelta(minutes=row["minute"]) for row in rows],
                dtype="datetime64[ns, UTC]",
            ),
            "case_name": "rts_gmlc",
            "load_id": [row["load_id"] for row in rows],
            "active_power_mw": pd.Series([row["active_power_mw"] for row in rows], dtype=object),
            "measurement_quality": pd.Series(
                [row["measurement_quality"] for row in rows], dtype=object
            ),
            "source": "scada",
            "available_at": pd.Series(
                [START + pd.Timedelta(minutes=row["minute"] + row["delay"]) for row in rows],
                dtype="datetime64[ns, UTC]",
            ),
        },
        index=[10 * i for i in range(len(rows))],
    )
    result = cleaned(frame)
    filled = result.counts["filled"]
    assert len(frame) == len(result.frame) - filled + len(result.rejected)
    assert set(result.rejected.index) <= set(frame.index)
    assert result.rejected["reason"].notna().all()
    assert not result.frame.duplicated(list(LOAD_MEASUREMENTS.key)).any()
    assert result.frame["time"].is_monotonic_increasing

    again = cleaned(result.frame)
    pd.testing.assert_frame_equal(again.frame, result.frame)
    assert again.rejected.empty

    shuffled = cleaned(frame.sample(frac=1, random_state=seed))
    assert (
        sorted(shuffled.rejected.index) == sorted(result.rejected.index)
        or frame.duplicated(["time", "load_id", "measurement_quality", "available_at"]).any()
    )
