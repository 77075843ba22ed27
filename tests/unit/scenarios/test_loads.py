"""Demand: profiles by hand, the corrected search for the upper factor, noise, and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from solve_cases import pglib

from data_engineering.model.errors import BadInput, SourceFileBroken, SourceFileMissing
from data_engineering.model.grid import Loads
from data_engineering.scenarios.case import prepare
from data_engineering.scenarios.config_blocks import LoadBlock
from data_engineering.scenarios.given_loads import read_given
from data_engineering.scenarios.loads import (
    demands,
    largest_factor,
    powergraph_factors,
    profile_factors,
)
from data_engineering.scenarios.profiles import profile, profile_names


def load(**values: Any) -> LoadBlock:
    return LoadBlock.model_validate(values)


def case14() -> Loads:
    return prepare(pglib("case14_ieee")).grid.loads


def test_the_profiles_of_the_wheel() -> None:
    """First and last values as they stand in the files; no ERCOT hour is lost to a header."""
    zones = (
        "coast", "east", "far_west", "north", "north_central", "south_central", "southern",
        "total", "west",
    )  # fmt: skip
    assert profile_names() == ("default", *(f"ercot_load_act_hr_2024_{zone}" for zone in zones))
    default, coast = profile("default"), profile("ercot_load_act_hr_2024_coast")
    assert (len(default), default[0]) == (8760, 0.5629379563456729)
    assert (len(coast), coast[0], coast[-1]) == (8268, 10228.5, 10463.97)
    assert all(len(profile(name)) == 8268 for name in profile_names()[1:])
    with pytest.raises(BadInput, match=r"load\.agg_profile"):
        profile("nowhere")


def test_a_profile_is_mapped_to_its_range() -> None:
    """By hand: 2, 6, 4 to [1.2, 2.0] (u = 2, range 0.4) is 1.2, 2.0, 1.6."""
    series = np.array([2.0, 6.0, 4.0])
    np.testing.assert_allclose(profile_factors(series, 3, 2.0, 0.4), [1.2, 2.0, 1.6], rtol=1e-15)
    np.testing.assert_allclose(profile_factors(series, 2, 2.0, 0.4), [1.2, 2.0], rtol=1e-15)
    # Five points over three: halfway between neighbours.
    np.testing.assert_allclose(
        profile_factors(series, 5, 2.0, 0.4), [1.2, 1.6, 2.0, 1.8, 1.6], rtol=1e-15
    )
    np.testing.assert_array_equal(profile_factors(np.ones(3), 2, 2.0, 0.25), [1.5, 1.5])


def test_powergraph_divides_by_the_largest() -> None:
    series = np.array([2.0, 8.0, 4.0])
    np.testing.assert_array_equal(powergraph_factors(series, 2), [0.25, 1.0])
    np.testing.assert_allclose(powergraph_factors(series, 5), [0.25, 0.625, 1.0, 0.75, 0.5])


def test_the_upper_factor_is_the_last_that_solves() -> None:
    """Solvable up to 1.75: from 1 by 0.25 that is 1.75 itself, not 2.0, which fails."""
    tried = []

    def solvable(factor: float) -> bool:
        tried.append(factor)
        return factor <= 1.75

    assert largest_factor(solvable, load(step_size=0.25)) == 1.75
    assert tried == [1.0, 1.25, 1.5, 1.75, 2.0]


def test_the_upper_factor_stops_at_the_maximum() -> None:
    """0.1 has no exact double: from 1 to 1.3 there are three steps all the same."""
    block = load(max_scaling_factor=1.3, step_size=0.1)
    assert largest_factor(lambda factor: True, block) == pytest.approx(1.3, abs=1e-12)
    assert largest_factor(lambda factor: True, load(max_scaling_factor=1.0)) == 1.0
    assert largest_factor(lambda factor: factor != 1.5, load(step_size=0.25)) == 1.25


def test_a_grid_that_does_not_solve_at_the_start_is_refused() -> None:
    with pytest.raises(BadInput, match=r"load.start_scaling_factor: 1.0 .* no solution .* smaller"):
        largest_factor(lambda factor: False, load())


def test_without_noise_demand_is_the_factor_times_the_case() -> None:
    loads = case14()
    made = demands(loads, load(sigma=0.0, scenarios=3), 2.0)
    series = profile("default")
    factor = 1.2 + 0.8 * (series[2] - series.min()) / (series.max() - series.min())
    p, q = made(2, 7, 2)
    np.testing.assert_allclose(p, loads.p_mw * factor, rtol=1e-12)
    np.testing.assert_allclose(q, loads.q_mvar * factor, rtol=1e-12)


def test_noise_is_uniform_and_independent() -> None:
    """20,000 load scenarios of 11 loads, sigma 0.2: mean 1, variance 0.04 / 3.

    The mean's standard deviation is 0.1155 / sqrt(220,000) = 0.00025; the variance's, sqrt(4/45)
    0.04 / sqrt(220,000) = 2.5e-5 (kurtosis of a uniform); P and Q correlate by 1 / sqrt(220,000)
    = 0.0021 if independent. Four standard deviations each.
    """
    loads = case14()
    made = demands(loads, load(scenarios=20_000, global_range=0.0), 1.0)
    some = (loads.p_mw != 0) & (loads.q_mvar != 0)
    drawn = [made(i, 3, i) for i in range(20_000)]
    p = np.array([p[some] for p, _ in drawn]) / loads.p_mw[some]
    q = np.array([q[some] for _, q in drawn]) / loads.q_mvar[some]
    for noise in (p, q):
        assert 0.8 <= noise.min() < 0.801
        assert 1.199 < noise.max() <= 1.2
        assert noise.mean() == pytest.approx(1.0, abs=0.001)
        assert noise.var() == pytest.approx(0.04 / 3, abs=1e-4)
    assert np.corrcoef(p.ravel(), q.ravel())[0, 1] == pytest.approx(0.0, abs=0.0085)
    assert np.corrcoef(p[:-1].ravel(), p[1:].ravel())[0, 1] == pytest.approx(0.0, abs=0.0085)


def test_reactive_demand_stays_if_asked_and_under_powergraph() -> None:
    loads = case14()
    p, q = demands(loads, load(change_reactive_power=False), 1.5)(0, 1, 0)
    np.testing.assert_array_equal(q, loads.q_mvar)
    assert (p[loads.p_mw > 0] != loads.p_mw[loads.p_mw > 0]).all()
    p, q = demands(loads, load(generator="powergraph"), None)(0, 1, 0)
    series = profile("default")
    np.testing.assert_allclose(p, loads.p_mw * series[0] / series.max(), rtol=1e-15)
    np.testing.assert_array_equal(q, loads.q_mvar)


HEADER = "load_scenario,load,p_mw,q_mvar"
ROWS = ["0,0,1.5,0.5", "0,1,2,1", "1,0,3,-1.25", "1,1,4,2"]


def given(folder: Path, rows: list[str], header: str = HEADER) -> Path:
    path = folder / "given.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_a_file_gives_demand_in_any_order(tmp_path: Path) -> None:
    for rows, header in (
        (ROWS, HEADER),
        (ROWS[::-1], HEADER),
        ([f"x,{row}" for row in ROWS], f"note,{HEADER}"),
        ([row.replace(",", ".0,", 2) for row in ROWS], f"\ufeff{HEADER}"),
    ):
        p, q = read_given(given(tmp_path, rows, header), 2, 2)
        np.testing.assert_array_equal(p, [[1.5, 2.0], [3.0, 4.0]])
        np.testing.assert_array_equal(q, [[0.5, 1.0], [-1.25, 2.0]])


def test_the_table_of_a_dataset_is_such_a_file(tmp_path: Path) -> None:
    from pyarrow import parquet, table

    columns = np.array([[float(x) for x in row.split(",")] for row in ROWS]).T
    names = HEADER.split(",")
    ints = {name: columns[i].astype(np.int64) for i, name in enumerate(names[:2])}
    floats = {name: columns[i + 2] for i, name in enumerate(names[2:])}
    parquet.write_table(table({**ints, **floats}), tmp_path / "scenarios.parquet")
    p, q = read_given(tmp_path / "scenarios.parquet", 2, 2)
    np.testing.assert_array_equal(p, [[1.5, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal(q, [[0.5, 1.0], [-1.25, 2.0]])


def test_demand_of_a_file_is_given_by_position(tmp_path: Path) -> None:
    loads = case14()
    rows = [f"{s},{bus},{s + bus},{-s}" for s in range(2) for bus in range(14)]
    file = str(given(tmp_path, rows))
    block = load(generator="precomputed_profile", scenario_file=file, scenarios=2)
    p, q = demands(loads, block, None)(1, 9, 12)
    np.testing.assert_array_equal(p, 1.0 + np.arange(14))
    np.testing.assert_array_equal(q, np.full(14, -1.0))


@pytest.mark.parametrize(
    ("rows", "scenarios", "line"),
    [
        (ROWS[:3], 2, "add the row of load_scenario 1, load 1"),
        ([*ROWS, "1,1,4,2"], 2, "row 5: 1 is not usable; its pair of load_scenario and load stand"),
        ([*ROWS[:3], "1,2,4,2"], 2, "row 4: 2 is not usable; load is 0 to 1"),
        ([*ROWS[:3], "1,-1,4,2"], 2, "row 4: -1 is not usable; load is 0 to 1"),
        ([*ROWS[:3], "1,0.5,4,2"], 2, "row 4: 0.5 is not usable; load is 0 to 1"),
        ([*ROWS[:2], "1,0,nan,2", ROWS[3]], 2, "row 3: nan is not usable; give p_mw as a finite"),
        ([*ROWS[:2], "1,0,,2", ROWS[3]], 2, "row 3: nan is not usable; give p_mw as a finite"),
        ([*ROWS[:2], "1,0,2,inf", ROWS[3]], 2, "row 3: inf is not usable; give q_mvar as a finite"),
        ([*ROWS[:2], "1,0,2 MW,2", ROWS[3]], 2, "row 3: '2 MW' is not usable; give p_mw as a num"),
        (ROWS, 1, "row 3: 1 is not usable; load_scenario is 0 to 0; load.scenarios says how many"),
        (ROWS, 3, "load.scenarios: 3 is not usable; .* has 2 load scenarios; give as many"),
        (ROWS, 300, "load.scenarios: 300 is not usable; .* is too short for as many"),
    ],
)
def test_a_wrong_file_is_told_by_its_row(
    tmp_path: Path, rows: list[str], scenarios: int, line: str
) -> None:
    with pytest.raises(BadInput, match=line):
        read_given(given(tmp_path, rows), 2, scenarios)


def test_a_file_without_a_column_or_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="has no column q_mvar; give load_scenario, load"):
        read_given(given(tmp_path, ROWS, "load_scenario,load,p_mw,q"), 2, 2)
    with pytest.raises(SourceFileMissing, match=r"load\.scenario_file"):
        read_given(tmp_path / "none.csv", 2, 2)
    sheet = tmp_path / "a.xlsx"
    sheet.write_bytes(b"x")
    with pytest.raises(BadInput, match=r"give a \.csv or \.parquet file"):
        read_given(sheet, 2, 2)
    broken = tmp_path / "a.parquet"
    broken.write_bytes(b"x" * 100)
    with pytest.raises(SourceFileBroken, match=r"a\.parquet"):
        read_given(broken, 2, 2)
    with pytest.raises(SourceFileBroken, match="Expected 4 columns"):
        read_given(given(tmp_path, [*ROWS[:3], "1,1,4,2,5,6"]), 2, 2)
