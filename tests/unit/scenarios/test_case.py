"""Grids prepared for datasets: order, limits, types, what is refused, and the digest."""

from __future__ import annotations

import logging
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import ISOLATED, PQ, PV, REF, Grid
from data_engineering.scenarios.case import prepare
from data_engineering.transformation.matpower import grid_from_matpower
from tests.solve_cases import pglib

THREE_BUSES = """
mpc.version = '2';
mpc.baseMVA = 100;
mpc.bus = [
  10 2 20 5 0 0 1 1.01 0 230 1 1.1 0.9;
   2 3 0 0 3 7 1 1.02 0 230 1 1.05 0.95;
   9 1 90 30 0 19 1 1.00 0 230 1 1.2 0.9;
];
mpc.gen = [
   2 60 0 50 -50 1.02 100 1 150 0;
  10 50 0 40 -40 1.01 100 1 100 10;
   9  0 0 10 -10 1.00 100 0 20 0;
];
mpc.branch = [
  10 9 0.03 0.04 0.2 0 0 0 0 0 1 -360 360;
   2 9 0.00 0.10 0.1 80 0 0 1.05 3 1 -20 95;
   2 10 0.01 0.10 0.0 0 0 0 0 0 1 -89 10;
   2 10 0.01 0.10 0.0 50 0 0 0 0 0 0 0;
];
mpc.gencost = [
  2 0 0 3 0.01 20 5;
  2 0 0 2 30 7 0;
  2 0 0 1 9 0 0;
];
"""


def three_buses() -> Grid:
    return grid_from_matpower(THREE_BUSES, "three")


def changed(grid: Grid, part: str, **rows: tuple[int, Any]) -> Grid:
    """The grid with single values of a part replaced: field=(row, value)."""
    elements = getattr(grid, part)
    columns = {}
    for name, (row, value) in rows.items():
        columns[name] = getattr(elements, name).copy()
        columns[name][row] = value
    return replace(grid, **{part: replace(elements, **columns)})


def test_buses_stand_by_the_rank_of_their_numbers() -> None:
    case = prepare(three_buses())
    grid = case.grid
    assert case.bus_ids.tolist() == ["2", "9", "10"]  # as texts 10 would come first
    assert grid.buses.id.tolist() == case.bus_ids.tolist()
    assert grid.buses.kind.tolist() == [REF, PQ, PV]
    assert grid.buses.vm_max_pu.tolist() == [1.05, 1.2, 1.1]
    assert grid.buses.bs_mvar.tolist() == [7.0, 19.0, 0.0]
    assert grid.branches.from_bus.tolist() == [2, 0, 0, 0]
    assert grid.branches.to_bus.tolist() == [1, 1, 2, 2]
    assert grid.generators.bus.tolist() == [0, 2, 1]
    assert grid.generators.in_service.tolist() == [True, True, False]
    assert grid.branches.in_service.tolist() == [True, True, True, False]


def test_ids_that_are_not_whole_numbers_stand_as_texts() -> None:
    grid = three_buses()
    ids = np.array(["b10", "a2", "a11"])
    case = prepare(replace(grid, buses=replace(grid.buses, id=ids)))
    assert case.bus_ids.tolist() == ["a11", "a2", "b10"]
    assert case.grid.buses.kind.tolist() == [PQ, REF, PV]


def test_each_bus_has_one_load_with_what_is_in_service() -> None:
    grid = three_buses()
    loads = replace(
        grid.loads,
        id=np.array(["a", "b", "c", "d"]),
        bus=np.array([0, 2, 0, 0]),
        p_mw=np.array([20.0, 90.0, 1.5, 4.0]),
        q_mvar=np.array([5.0, 30.0, -2.0, 4.0]),
        in_service=np.array([True, True, True, False]),
    )
    prepared = prepare(replace(grid, loads=loads)).grid.loads
    assert prepared.bus.tolist() == [0, 1, 2]
    assert prepared.p_mw.tolist() == [0.0, 90.0, 21.5]
    assert prepared.q_mvar.tolist() == [0.0, 30.0, 3.0]
    assert prepared.in_service.all()


def test_angle_limits_that_do_not_limit_become_sixty_degrees() -> None:
    branches = prepare(three_buses()).grid.branches
    # absent; -20 to 95; -89 to 10; 0 to 0
    assert branches.angle_min_deg.tolist() == [-60.0, -20.0, -89.0, -60.0]
    assert branches.angle_max_deg.tolist() == [60.0, 60.0, 10.0, 60.0]
    at_ninety = changed(three_buses(), "branches", angle_min_deg=(2, -90.0))
    assert prepare(at_ninety).grid.branches.angle_min_deg[2] == -60.0


def test_absent_ratings_follow_from_voltages_and_angles() -> None:
    """By hand: |y| = 1/0.05 = 20, voltages at most 1.1 and 1.2, angle 60 degrees, so the voltage
    across is sqrt(1.21 + 1.44 - 1.32) and the power 100 * 1.2 * 20 * that."""
    rate = prepare(three_buses()).grid.branches.rate_a_mva
    assert rate[0] == pytest.approx(2400.0 * np.sqrt(1.33), rel=1e-12)
    assert rate[1] == 80.0
    assert rate[3] == 50.0
    # |y| = 1/|0.01 + 0.1j|, voltages 1.05 and 1.1, the wider limit 89 degrees
    across = np.sqrt(1.05**2 + 1.1**2 - 2 * 1.05 * 1.1 * np.cos(np.deg2rad(89.0)))
    expected = 100.0 * 1.1 * across / np.hypot(0.01, 0.1)
    assert rate[2] == pytest.approx(expected, rel=1e-12)


def test_types_follow_the_generators_that_run(caplog: pytest.LogCaptureFixture) -> None:
    grid = changed(three_buses(), "generators", in_service=(1, False))
    with caplog.at_level(logging.INFO):
        assert prepare(grid).grid.buses.kind.tolist() == [REF, PQ, PQ]
    assert "three: 1 buses become PQ: none runs (10)" in caplog.text
    grid = changed(three_buses(), "generators", in_service=(2, True))
    with caplog.at_level(logging.INFO):
        assert prepare(grid).grid.buses.kind.tolist() == [REF, PV, PV]
    assert "three: 1 buses become PV: a generator runs there (9)" in caplog.text


def test_a_reference_that_balances_nothing_moves_to_the_largest_generator(
    caplog: pytest.LogCaptureFixture,
) -> None:
    grid = changed(three_buses(), "generators", in_service=([0, 2], [False, True]))
    with caplog.at_level(logging.INFO):
        assert prepare(grid).grid.buses.kind.tolist() == [PQ, PV, REF]
    assert "three: the reference is bus 10 of generator gen-2; none runs at bus 2" in caplog.text
    with caplog.at_level(logging.INFO):
        grid = changed(three_buses(), "buses", kind=(1, PQ))
        assert prepare(grid).grid.buses.kind.tolist() == [REF, PQ, PV]
    assert "three: the reference is bus 2 of generator gen-1; none was given" in caplog.text


@pytest.mark.parametrize(
    ("part", "rows", "words"),
    [
        ("buses", {"kind": (2, ISOLATED)}, ["type of bus 9", "isolated"]),
        ("buses", {"kind": (0, REF)}, ["reference buses", "10, 2", "exactly one"]),
        ("generators", {"in_service": (slice(None), False)}, ["generators", "none in service"]),
        ("generators", {"cost_mw": (1, [0.0, 9.0])}, ["generator gen-2", "piecewise"]),
        ("branches", {"r_pu": (1, 0.0), "x_pu": (1, 0.0)}, ["impedance of branch branch-2"]),
        ("buses", {"vm_max_pu": (0, 0.0)}, []),
        ("buses", {"vm_max_pu": (slice(None), 0.0)}, ["rating of branch branch-1", "absent"]),
    ],
)
def test_what_a_dataset_cannot_hold_is_named(
    part: str, rows: dict[str, tuple[int, Any]], words: list[str]
) -> None:
    grid = changed(three_buses(), part, **rows)
    if not words:  # one end alone still gives a rating
        prepare(grid)
        return
    with pytest.raises(BadInput) as caught:
        prepare(grid)
    message = str(caught.value)
    assert message.startswith("three: ")
    assert all(word in message for word in words), message
    assert "\n" not in message


def test_a_bus_that_is_cut_off_is_named() -> None:
    grid = changed(three_buses(), "branches", in_service=([0, 1], [False, False]))
    with pytest.raises(BadInput, match="bus 9: 'cut off from reference bus 2'"):
        prepare(grid)


def test_dc_lines_and_stores_in_service_are_refused_and_others_left_out() -> None:
    text = THREE_BUSES + "mpc.dcline = [2 9 1 10 10 0 0 1 1 0 20 0 0 0 0 0 0];\n"
    with pytest.raises(BadInput, match="DC line dcline-1: 'in service'"):
        prepare(grid_from_matpower(text, "three"))
    out = grid_from_matpower(text.replace("2 9 1 10 10", "2 9 0 10 10"), "three")
    assert len(prepare(out).grid.dc_lines) == 0
    assert prepare(out).digest == prepare(three_buses()).digest


def test_the_digest_covers_what_matters_and_nothing_else() -> None:
    grid = three_buses()
    digest = prepare(grid).digest
    assert digest == prepare(three_buses()).digest
    assert len(digest) == 64
    for part, name in (
        ("buses", "gs_mw"), ("buses", "base_kv"), ("branches", "r_pu"), ("branches", "b_pu"),
        ("branches", "tap"), ("generators", "cost_c1"), ("generators", "q_max_mvar"),
        ("generators", "vm_pu"), ("loads", "q_mvar"),
    ):  # fmt: skip
        value = getattr(getattr(grid, part), name)[0]
        assert prepare(changed(grid, part, **{name: (0, value + 1e-3)})).digest != digest, name
    for part, name, value in (
        ("buses", "name", "x"), ("buses", "latitude_deg", 50.0), ("buses", "area", "7"),
        ("generators", "fuel", "x"), ("generators", "ramp_mw_per_min", 3.0),
        ("branches", "outages_per_year", 1.0), ("branches", "id", "x"),
    ):  # fmt: skip
        assert prepare(changed(grid, part, **{name: (0, value)})).digest == digest, name
    assert prepare(replace(grid, case_name="other")).digest == digest
    assert prepare(replace(grid, base_mva=50.0)).digest != digest


def test_a_prepared_case_stays_as_it_is() -> None:
    case = prepare(pglib("case118_ieee"))
    again = prepare(case.grid)
    assert again.digest == case.digest
    for part in ("buses", "branches", "generators", "loads"):
        elements = getattr(case.grid, part)
        for field in fields(elements):
            one, other = (
                getattr(elements, field.name),
                getattr(getattr(again.grid, part), field.name),
            )
            np.testing.assert_array_equal(one, other, err_msg=f"{part}.{field.name}")
