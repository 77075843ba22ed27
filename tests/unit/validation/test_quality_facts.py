"""Facts of a batch against brute force, and of batches that no clean day has."""

from __future__ import annotations

from datetime import timedelta
from itertools import product

import numpy as np
import pandas as pd
import pytest
from validation_batches import CAPABILITY, DAY

from data_engineering.model.tables import (
    MARKET_PRICES,
    POWER_MEASUREMENTS,
    RENEWABLE_FORECASTS,
    RESERVE_REQUIREMENTS,
    TABLES,
)
from data_engineering.model.time import Window
from data_engineering.validation.checkpoints import CHECKPOINTS
from data_engineering.validation.quality_checks import (
    OUTPUT,
    References,
    element_names,
    known_too_early,
    longest_gap_minutes,
    missing_share,
    with_facts,
)

WINDOW = Window.of_day(DAY)
HOURS = [WINDOW.start + timedelta(hours=hour) for hour in range(24)]


def by_hand(present: set[tuple[int, str]], elements: set[str]) -> tuple[float, float]:
    """Share missing and longest gap of hourly rows, by walking through the day hour by hour."""
    longest = 0
    for element in elements:
        run = 0
        for hour in range(24):
            run = 0 if (hour, element) in present else run + 1
            longest = max(longest, run)
    wanted = set(product(range(24), elements))
    return len(wanted - present) / len(wanted), 60.0 * longest


@pytest.mark.parametrize("seed", range(20))
def test_missing_share_and_gap_are_those_found_by_walking(seed: int) -> None:
    rng = np.random.default_rng(seed)
    elements = {"a", "b", "c"}
    kept = rng.random((24, 3)) < rng.uniform(0.2, 1.0)
    present = {(hour, name) for hour, i in zip(*np.nonzero(kept), strict=True) for name in "abc"[i]}
    rows = [*present, *list(present)[:2]]  # rows that are there twice count once
    order = rng.permutation(len(rows))
    time = pd.Series([HOURS[rows[i][0]] for i in order], dtype="datetime64[us, UTC]")
    names = pd.Series([rows[i][1] for i in order], dtype=object)
    references = References(WINDOW, 60, frozenset(elements))
    share, gap = by_hand(present, elements)
    assert missing_share(time, names, references) == pytest.approx(share, abs=1e-12)
    assert longest_gap_minutes(time, names, references) == gap


def test_without_named_elements_those_that_are_there_count() -> None:
    time, names = pd.Series(HOURS), pd.Series(["a"] * 24)
    references = References(WINDOW, 60)
    assert missing_share(time, names, references) == 0.0
    assert longest_gap_minutes(time, names, references) == 0.0


def test_a_row_between_two_intervals_fills_neither() -> None:
    time = pd.Series([*HOURS[:5], HOURS[5] + timedelta(minutes=1), *HOURS[6:]])
    names = pd.Series(["a"] * 24)
    assert missing_share(time, names, References(WINDOW, 60)) == pytest.approx(1 / 24, abs=1e-12)


def test_no_row_with_an_element_is_everything_missing() -> None:
    time, names = pd.Series(HOURS), pd.Series([None] * 24, dtype=object)
    assert missing_share(time, names, References(WINDOW, 60)) == 1.0
    assert longest_gap_minutes(time, names, References(WINDOW, 60)) == 1440.0


def test_element_names_leave_case_and_time_out() -> None:
    reserve = pd.DataFrame(
        {"market": ["DAY_AHEAD", None], "product": ["SPIN_UP"] * 2, "area_id": ["area_1"] * 2}
    )
    names = element_names(RESERVE_REQUIREMENTS, reserve)
    assert names[0] == "DAY_AHEAD/SPIN_UP/area_1"
    assert pd.isna(names[1])
    forecasts = pd.DataFrame({"generator_id": ["101_PV_1"]})
    assert list(element_names(RENEWABLE_FORECASTS, forecasts)) == ["101_PV_1"]


def test_what_a_market_publishes_is_known_ahead() -> None:
    early = pd.DataFrame({"time": [HOURS[5]], "available_at": [HOURS[4]]})
    assert list(known_too_early(early)) == [1.0]
    assert np.isnan(known_too_early(early.assign(market="DAY_AHEAD")))
    assert list(known_too_early(early.assign(forecast_time=HOURS[4]))) == [0.0]
    assert list(known_too_early(early.assign(forecast_time=HOURS[5]))) == [1.0]


def test_a_unit_without_capability_is_not_checked(clean: pd.DataFrame) -> None:
    references = References(WINDOW, 5, capability_mw={"101_PV_1": 25.0})
    facts = with_facts(POWER_MEASUREMENTS, clean, references)
    share = facts["fact_share_of_capability"]
    known = clean["generator_id"] == "101_PV_1"
    assert share[~known].isna().all()
    pd.testing.assert_series_equal(
        share[known], clean["active_power"][known] / CAPABILITY["101_PV_1"], check_names=False
    )


def test_every_table_in_time_has_a_checkpoint() -> None:
    assert set(CHECKPOINTS) == {
        f"{table.name}_checkpoint"
        for table in TABLES.values()
        if table.store == "timeseries" and table.time
    }
    for table in CHECKPOINTS.values():
        assert table.time, f"{table.name} has no time to check the order of"
        assert {"case_name", "available_at"} <= set(table.names)
    assert set(OUTPUT) <= set(TABLES)
    for name, column in OUTPUT.items():
        assert TABLES[name].column(column).unit == "MW"
    assert "market" in MARKET_PRICES.names
