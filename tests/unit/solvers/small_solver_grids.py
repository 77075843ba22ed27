"""Three buses in a triangle of equal lines: cheap at 1, dear at 2, wind and demand at 3."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from data_engineering.model.grid import (
    Branches,
    Buses,
    DcLines,
    Generators,
    Grid,
    Loads,
    Storages,
)
from data_engineering.model.problem import Periods

NONE, NO_TEXT, NO_BUS = np.zeros(0), np.zeros(0, dtype=np.str_), np.zeros(0, dtype=np.int64)
NO_FLAG = np.zeros(0, dtype=np.bool_)


def triangle(rating: float, ramp: float = 100.0) -> Grid:
    """The direct line 1-3 has the rating, the others none; both units give 10 to 100 MW."""
    three, nan = np.ones(3), np.nan
    return Grid(
        case_name="triangle",
        base_mva=100.0,
        buses=Buses(
            id=np.array(["1", "2", "3"]),
            name=np.array(["a", "b", "c"]),
            kind=np.array([3, 2, 1]),
            base_kv=230.0 * three,
            vm_pu=three,
            va_deg=0.0 * three,
            vm_min_pu=0.9 * three,
            vm_max_pu=1.1 * three,
            gs_mw=0.0 * three,
            bs_mvar=0.0 * three,
            area=np.array(["x", "x", "x"]),
            zone=np.array(["x", "x", "x"]),
            latitude_deg=nan * three,
            longitude_deg=nan * three,
        ),
        branches=Branches(
            id=np.array(["1-2", "2-3", "1-3"]),
            from_bus=np.array([0, 1, 0]),
            to_bus=np.array([1, 2, 2]),
            r_pu=0.01 * three,
            x_pu=0.1 * three,
            b_pu=0.02 * three,
            tap=1.0 * three,
            shift_deg=0.0 * three,
            rate_a_mva=np.array([1_000.0, 1_000.0, rating]),
            rate_b_mva=np.array([1_000.0, 1_000.0, rating]),
            rate_c_mva=np.array([1_000.0, 1_000.0, rating]),
            angle_min_deg=-np.inf * three,
            angle_max_deg=np.inf * three,
            in_service=np.array([True, True, True]),
            outages_per_year=np.array([0.2, 0.2, 0.4]),
            outage_hours=10.0 * three,
        ),
        generators=Generators(
            id=np.array(["cheap", "dear", "wind"]),
            bus=np.array([0, 1, 2]),
            kind=np.array(["CC", "CT", "WIND"]),
            fuel=np.array(["NG", "NG", "Wind"]),
            p_mw=0.0 * three,
            q_mvar=0.0 * three,
            vm_pu=three.copy(),
            p_min_mw=np.array([10.0, 10.0, 0.0]),
            p_max_mw=np.array([100.0, 100.0, 80.0]),
            q_min_mvar=np.array([-50.0, -50.0, 0.0]),
            q_max_mvar=np.array([50.0, 50.0, 0.0]),
            in_service=np.array([True, True, True]),
            ramp_mw_per_min=np.array([ramp, 100.0, 100.0]),
            min_up_h=np.array([2.0, 1.0, 0.0]),
            min_down_h=np.array([2.0, 1.0, 0.0]),
            start_after_h=np.zeros((3, 3)),
            start_cost_usd=np.zeros((3, 3)),
            cost_mw=np.array([[10.0, 50.0, 100.0], [10.0, 50.0, 100.0], [nan, nan, nan]]),
            cost_usd_per_h=np.array(
                [[200.0, 1_000.0, 2_000.0], [300.0, 1_500.0, 3_000.0], [nan, nan, nan]]
            ),
            cost_c2=0.0 * three,
            cost_c1=0.0 * three,
            cost_c0=0.0 * three,
            outage_rate=0.0 * three,
        ),
        loads=Loads(
            id=np.array(["load_3"]),
            bus=np.array([2]),
            p_mw=np.array([100.0]),
            q_mvar=np.array([20.0]),
            in_service=np.array([True]),
        ),
        storages=Storages(
            NO_TEXT, NO_BUS, NO_TEXT, *[NONE.copy() for _ in range(11)], NO_FLAG.copy()
        ),
        dc_lines=DcLines(NO_TEXT, NO_BUS, NO_BUS, *[NONE.copy() for _ in range(5)], NO_FLAG.copy()),
    )


def triangle_periods(demand: list[float], wind: float = 0.0) -> Periods:
    count = len(demand)
    return Periods(
        start=datetime(2020, 7, 6, tzinfo=UTC),
        minutes=60,
        load_mw=np.array(demand)[:, None],
        available_mw=np.tile([100.0, 100.0, wind], (count, 1)),
        must_take=np.zeros(3, dtype=bool),
        inflow_mw=np.zeros((count, 0)),
        reserve_up_mw=np.zeros(count),
        reserve_down_mw=np.zeros(count),
        reported=count,
    )
