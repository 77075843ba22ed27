"""A grid of three buses with one of everything."""

from __future__ import annotations

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

NAN = np.nan


def three_buses() -> Grid:
    """Units: piecewise coal, quadratic gas, wind, a condenser; one battery; a transformer."""
    return Grid(
        case_name="three_buses",
        base_mva=100.0,
        buses=Buses(
            id=np.array(["1", "2", "30"]),
            name=np.array(["North", "South", "Coast"]),
            kind=np.array([3, 2, 1]),
            base_kv=np.array([138.0, 138.0, 230.0]),
            vm_pu=np.array([1.02, 1.01, 1.0]),
            va_deg=np.array([0.0, -2.0, -3.5]),
            vm_min_pu=np.full(3, 0.95),
            vm_max_pu=np.full(3, 1.05),
            gs_mw=np.array([0.0, 0.0, 1.0]),
            bs_mvar=np.array([0.0, -100.0, 0.0]),
            area=np.array(["a", "a", "b"]),
            zone=np.array(["z", "z", "z"]),
            latitude_deg=np.full(3, NAN),
            longitude_deg=np.full(3, NAN),
        ),
        branches=Branches(
            id=np.array(["L1", "T1", "L2"]),
            from_bus=np.array([0, 1, 0]),
            to_bus=np.array([1, 2, 1]),
            r_pu=np.array([0.01, 0.002, 0.01]),
            x_pu=np.array([0.1, 0.08, 0.1]),
            b_pu=np.array([0.02, 0.0, 0.02]),
            tap=np.array([1.0, 1.03, 1.0]),
            shift_deg=np.zeros(3),
            rate_a_mva=np.array([100.0, 150.0, 100.0]),
            rate_b_mva=np.array([110.0, 165.0, 110.0]),
            rate_c_mva=np.array([120.0, 180.0, np.inf]),
            angle_min_deg=np.array([-30.0, -np.inf, -30.0]),
            angle_max_deg=np.array([30.0, np.inf, 30.0]),
            in_service=np.array([True, True, False]),
            outages_per_year=np.zeros(3),
            outage_hours=np.zeros(3),
        ),
        generators=Generators(
            id=np.array(["1_STEAM_1", "2_CT_1", "30_WIND_1", "2_SYNC_COND_1"]),
            bus=np.array([0, 1, 2, 1]),
            kind=np.array(["STEAM", "CT", "WIND", "SYNC_COND"]),
            fuel=np.array(["Coal", "NG", "Wind", "Sync_Cond"]),
            p_mw=np.array([60.0, 0.0, 20.0, 0.0]),
            q_mvar=np.array([5.0, 0.0, 0.0, 10.0]),
            vm_pu=np.full(4, 1.0),
            p_min_mw=np.array([40.0, 10.0, 0.0, 0.0]),
            p_max_mw=np.array([100.0, 50.0, 80.0, 0.0]),
            q_min_mvar=np.array([-20.0, -10.0, 0.0, -50.0]),
            q_max_mvar=np.array([30.0, 10.0, 0.0, 200.0]),
            in_service=np.array([True, False, True, True]),
            ramp_mw_per_min=np.array([2.0, 5.0, 80.0, 0.0]),
            min_up_h=np.array([8.0, 1.0, 0.0, 0.0]),
            min_down_h=np.array([4.0, 1.0, 0.0, 0.0]),
            start_after_h=np.array([[0.0, 4.0, 12.0], [0.0, 0, 1], [0.0, 0, 0], [0.0, 0, 0]]),
            start_cost_usd=np.array([[1.0, 2.0, 3.0], [4.0, 4, 4], [0.0, 0, 0], [0.0, 0, 0]]),
            cost_mw=np.array(
                [[40.0, 70.0, 100.0], [NAN, NAN, NAN], [0.0, 80.0, NAN], [NAN, NAN, NAN]]
            ),
            cost_usd_per_h=np.array(
                [[900.0, 1500.0, 2250.0], [NAN, NAN, NAN], [0.0, 0.0, NAN], [NAN, NAN, NAN]]
            ),
            cost_c2=np.array([0.0, 0.05, 0.0, 0.0]),
            cost_c1=np.array([0.0, 30.0, 0.0, 0.0]),
            cost_c0=np.array([0.0, 120.0, 0.0, 0.0]),
            outage_rate=np.zeros(4),
        ),
        loads=Loads(
            id=np.array(["d1", "d2", "d3", "d4"]),
            bus=np.array([1, 1, 2, 2]),
            p_mw=np.array([40.0, 10.0, 30.0, 99.0]),
            q_mvar=np.array([8.0, 2.0, 6.0, 99.0]),
            in_service=np.array([True, True, True, False]),
        ),
        storages=Storages(
            id=np.array(["30_STORAGE_1"]),
            bus=np.array([2]),
            kind=np.array(["STORAGE"]),
            charge_max_mw=np.array([20.0]),
            discharge_min_mw=np.array([5.0]),
            discharge_max_mw=np.array([25.0]),
            energy_max_mwh=np.array([100.0]),
            energy_initial_mwh=np.array([50.0]),
            charge_efficiency=np.array([0.9]),
            discharge_efficiency=np.array([0.95]),
            q_min_mvar=np.zeros(1),
            q_max_mvar=np.zeros(1),
            vm_pu=np.ones(1),
            start_cost_usd=np.array([7.0]),
            in_service=np.array([True]),
        ),
        dc_lines=DcLines(
            id=np.array(["DC1"]),
            from_bus=np.array([0]),
            to_bus=np.array([2]),
            p_mw=np.array([10.0]),
            p_min_mw=np.array([-50.0]),
            p_max_mw=np.array([60.0]),
            loss_fixed_mw=np.zeros(1),
            loss_share=np.array([0.03]),
            in_service=np.array([True]),
        ),
    )
