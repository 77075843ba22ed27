"""Deviations and loadings, against sums by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_batches import CASE, LOADS, MINUTE, START, batch, forecasts, scan_of
from virtual_stream import RULES

from data_engineering.model.decisions import Cause
from data_engineering.model.snapshot import Snapshot, nanoseconds
from data_engineering.model.tables import LOAD_FORECASTS, NATURAL_INFLOW, RENEWABLE_FORECASTS
from data_engineering.transformation.snapshot import merge
from data_engineering.transformation.stream_measures import (
    Expected,
    Measures,
    Watched,
    deviations,
    errors,
    expected,
    loadings,
)
from data_engineering.transformation.threshold_latches import Latch, latch, latch_name

HOUR = timedelta(hours=1)
OLDEST = nanoseconds(START) - 15 * 60 * 10**9


def of_loads(values: list[float], issued: datetime = START, known: datetime = START) -> Expected:
    """Forecasts of one load for the hours from the start on."""
    rows = pd.DataFrame(
        {
            "forecast_time": issued,
            "target_time": [START + hour * HOUR for hour in range(len(values))],
            "case_name": CASE,
            "load_id": "a",
            "forecasted_load_mw": values,
            "forecast_model": "test",
            "source": "test",
            "available_at": known,
        }
    )
    return expected(LOAD_FORECASTS.typed(rows), no_units(), START)


def no_units() -> pd.DataFrame:
    return RENEWABLE_FORECASTS.arrow_schema().empty_table().to_pandas()


def at(curves: Expected, time: datetime) -> float:
    return float(curves.load.value(np.array([nanoseconds(time)]))[0][0])


def test_a_forecast_of_hours_is_a_line_through_their_middles() -> None:
    curves = of_loads([100.0, 200.0, 150.0])
    assert at(curves, START + 30 * MINUTE) == 100.0
    assert at(curves, START + 60 * MINUTE) == pytest.approx(150.0, rel=1e-12)
    assert at(curves, START + 75 * MINUTE) == pytest.approx(175.0, rel=1e-12)
    assert at(curves, START + 90 * MINUTE) == 200.0
    assert at(curves, START + 120 * MINUTE) == pytest.approx(175.0, rel=1e-12)
    assert at(curves, START) == 100.0  # before the first middle, as in it
    assert at(curves, START + 179 * MINUTE) == 150.0
    assert np.isnan(at(curves, START - MINUTE))
    assert np.isnan(at(curves, START + 180 * MINUTE))


def test_a_single_hour_is_flat() -> None:
    curves = of_loads([100.0])
    assert [at(curves, START + k * MINUTE) for k in (0, 30, 59)] == [100.0] * 3


def test_the_newest_issue_that_was_known_counts() -> None:
    rows = [
        (START - 6 * HOUR, START - 6 * HOUR, 100.0),
        (START - 2 * HOUR, START - 2 * HOUR, 110.0),
        (START - HOUR, START + MINUTE, 999.0),  # is known too late
    ]
    frame = pd.DataFrame(rows, columns=["forecast_time", "available_at", "forecasted_load_mw"])
    typed = LOAD_FORECASTS.typed(
        frame.assign(target_time=START, case_name=CASE, load_id="a", forecast_model="t", source="t")
    )
    curves = expected(typed, no_units(), START)
    assert at(curves, START + 30 * MINUTE) == 110.0
    assert curves.issued_ns == nanoseconds(START - 2 * HOUR)


def test_natural_inflow_is_no_output() -> None:
    row = {
        "forecast_time": START,
        "target_time": START,
        "case_name": CASE,
        "generator_id": "30_STORAGE_1",
        "forecasted_power_mw": 5.0,
        "forecast_model": NATURAL_INFLOW,
        "source": "t",
        "available_at": START,
    }
    curves = expected(
        LOAD_FORECASTS.arrow_schema().empty_table().to_pandas(),
        RENEWABLE_FORECASTS.typed(pd.DataFrame([row])),
        START,
    )
    assert len(curves.units.id) == 0


@given(
    st.floats(0.5, 1.5), st.floats(0.5, 1.5), st.floats(0.0, 2.0), st.floats(0, 500), st.booleans()
)
@settings(max_examples=60, deadline=None)
def test_errors_are_reading_minus_forecast(
    a: float, b: float, wind: float, band: float, has_band: bool
) -> None:
    snapshot = Snapshot(CASE)
    readings = scan_of(
        START, loads={"a": 600.0 * a, "b": 400.0 * b}, units={"30_WIND_1": 50.0 * wind}
    )
    snapshot = merge(snapshot, readings.readings).snapshot
    found = errors(snapshot, forecasts(band_mw=band if has_band else None), OLDEST, 0.9)
    wanted = {"a": 600.0 * a - 600.0, "b": 400.0 * b - 400.0, "30_WIND_1": 50.0 * wind - 50.0}
    net = wanted["a"] + wanted["b"] - wanted["30_WIND_1"]
    assert found.named() == pytest.approx({"net_load": net, **wanted}, rel=1e-9, abs=1e-9)
    assert found.base_mw == pytest.approx(1000.0, rel=1e-12)
    sigma = band / 3.2897 if has_band else 0.0
    watched = deviations(found, {"net_load": 10.0}, RULES).measures
    fire = dict(zip(watched.subject.tolist(), watched.fire.tolist(), strict=True))
    assert fire["net_load"] == pytest.approx(max(3 * sigma, 30.0), rel=1e-9)
    assert fire["a"] == pytest.approx(30.0, rel=1e-9)
    np.testing.assert_allclose(watched.clear, watched.fire / 2, rtol=1e-12)
    observed = dict(zip(watched.subject.tolist(), watched.observed.tolist(), strict=True))
    assert observed["net_load"] == pytest.approx(abs(net - 10.0), rel=1e-9, abs=1e-9)


def test_points_without_a_usable_reading_count_as_forecast() -> None:
    units = {f"w{k}": 10.0 for k in range(18)}
    curves = forecasts(LOADS, units)
    good = dict.fromkeys(list(units)[1:], 12.0)
    snapshot = merge(Snapshot(CASE), scan_of(START, units=good).readings).snapshot
    found = errors(snapshot, curves, OLDEST, 0.9)  # 19 of 20 points are known
    assert found.named()["net_load"] == pytest.approx(-17 * 2.0, rel=1e-12)
    few = merge(Snapshot(CASE), scan_of(START, units={"w1": 12.0}).readings).snapshot
    assert "net_load" not in errors(few, curves, OLDEST, 0.9).named()


def test_without_forecasts_of_load_nothing_is_large() -> None:
    snapshot = merge(Snapshot(CASE), scan_of(START, 2.0).readings).snapshot
    nothing = expected(LOAD_FORECASTS.arrow_schema().empty_table().to_pandas(), no_units(), START)
    found = errors(snapshot, replace(forecasts(), load=nothing.load), OLDEST, 0.9)
    watched = deviations(found, {}, RULES)
    assert np.isinf(watched.measures.fire).all()
    assert latch({}, watched, nanoseconds(START)).causes == ()


def test_a_flow_stands_in_for_a_loading() -> None:
    rows = batch(branches=[("L1", 96.5, START)]).readings["branch_measurements"]
    flow = rows.set_column(
        rows.schema.get_field_index("active_power_from_mw"),
        rows.schema.field("active_power_from_mw"),
        [[-80.0]],
    )
    snapshot = merge(Snapshot(CASE), {"branch_measurements": flow}).snapshot
    other = batch(branches=[("T1", None, START)]).readings["branch_measurements"]
    other = other.set_column(
        other.schema.get_field_index("active_power_from_mw"),
        other.schema.field("active_power_from_mw"),
        [[-120.0]],
    )
    snapshot = merge(snapshot, {"branch_measurements": other}).snapshot
    ratings = {"L1": 100.0, "T1": 150.0}
    found = loadings(snapshot, ratings, OLDEST, RULES).measures
    observed = dict(zip(found.subject.tolist(), found.observed.tolist(), strict=True))
    assert observed == pytest.approx({"L1": 96.5, "T1": 80.0}, rel=1e-12)


@given(
    st.lists(st.floats(0.0, 100.0), min_size=1, max_size=40), st.integers(1, 4), st.integers(1, 4)
)
@settings(max_examples=200, deadline=None)
def test_latches_count_n_of_m_with_hysteresis(values: list[float], scans: int, more: int) -> None:
    """Against the rule as it is said: on at n of m above 60, off at m of m below 30."""
    window = scans + more - 1
    latches: dict[str, Latch] = {}
    on, seen, fired, told = False, [], 0, 0
    for place, value in enumerate(values):
        seen.append(value)
        newest = seen[-window:]
        if not on and sum(each > 60 for each in newest) >= scans:
            on, fired = True, fired + 1
        elif on and len(newest) == window and all(each < 30 for each in newest):
            on = False
        measures = Measures(
            subject=np.array(["x"]),
            observed=np.array([value]),
            fire=np.array([60.0]),
            clear=np.array([30.0]),
            scan_ns=np.array([place]),
            state=np.array(["good"]),
        )
        for _ in range(2):  # the same scan twice counts once
            found = latch(latches, Watched("deviation", measures, scans, window), 0)
            latches = dict(found.latches)
            told += len(found.causes)
        assert latches.get("deviation:x", Latch()).on is on
    assert told == fired


def test_latches_are_named_by_reason_and_subject() -> None:
    assert latch_name(Cause("deviation", "a", 1.0, 1.0, START)) == "deviation:a"
