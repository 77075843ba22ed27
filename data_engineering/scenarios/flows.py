"""What follows from the voltages of samples: two-ports and flows of branches, angles in range.

Only basic operations are used on numbers of a sample, in one order, so that rows do not depend on
what else is computed with them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from data_engineering.model.grid import Floats, Grid
from data_engineering.model.samples import Samples


class TwoPorts(NamedTuple):
    """Entries of the branches' two-ports, shape (samples, branches), p.u.; 0 out of service."""

    Yff_r: Floats
    Yff_i: Floats
    Yft_r: Floats
    Yft_i: Floats
    Ytf_r: Floats
    Ytf_i: Floats
    Ytt_r: Floats
    Ytt_i: Floats


def two_ports(grid: Grid, samples: Samples) -> TwoPorts:
    """Two-ports of the branches of every sample (MATPOWER User's Manual, section 3.2)."""
    branches, on = grid.branches, samples.branch_on
    square = samples.r_pu**2 + samples.x_pu**2
    g, b = samples.r_pu / square * on, -samples.x_pu / square * on
    charged = b + branches.b_pu / 2.0 * on
    angle, tap = np.deg2rad(branches.shift_deg), branches.tap
    turn_r, turn_i = np.cos(angle) / tap, np.sin(angle) / tap
    ports = (
        g / tap**2,
        charged / tap**2,
        b * turn_i - g * turn_r,
        -(g * turn_i) - b * turn_r,
        -(g * turn_r) - b * turn_i,
        g * turn_i - b * turn_r,
        g,
        charged,
    )
    return TwoPorts(*(part + 0.0 for part in ports))  # zeros without a sign


def branch_flows(
    grid: Grid, ports: TwoPorts, vm_pu: Floats, va_deg: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """P and Q into every branch at its from end, then at its to end.

    Args:
        grid: the case.
        ports: two-ports, each of shape (samples, branches).
        vm_pu: voltage magnitudes, shape (samples, buses).
        va_deg: voltage angles, shape (samples, buses).

    Returns:
        pf, qf, pt, qt in MW and Mvar, shape (samples, branches).
    """
    start, end, base = grid.branches.from_bus, grid.branches.to_bus, grid.base_mva
    angle = np.deg2rad(np.ascontiguousarray(va_deg))
    real, imaginary = vm_pu * np.cos(angle), vm_pu * np.sin(angle)
    real_f, real_t = real[:, start], real[:, end]
    imaginary_f, imaginary_t = imaginary[:, start], imaginary[:, end]
    # Vf conj(Vt), times the base
    across_r = (real_f * real_t + imaginary_f * imaginary_t) * base
    across_i = (imaginary_f * real_t - real_f * imaginary_t) * base
    square = vm_pu * vm_pu * base
    square_f, square_t = square[:, start], square[:, end]
    pf = square_f * ports.Yff_r + across_r * ports.Yft_r + across_i * ports.Yft_i
    qf = across_i * ports.Yft_r - across_r * ports.Yft_i - square_f * ports.Yff_i
    pt = square_t * ports.Ytt_r + across_r * ports.Ytf_r - across_i * ports.Ytf_i
    qt = -(across_i * ports.Ytf_r) - across_r * ports.Ytf_i - square_t * ports.Ytt_i
    return pf + 0.0, qf + 0.0, pt + 0.0, qt + 0.0


def dc_flows(grid: Grid, samples: Samples, dc_va_deg: Floats) -> Floats:
    """Flows of the DC problem, b (angle from - angle to) with b = x / (r^2 + x^2).

    Taps and shifts are ignored, as in PowerModels' DC problem. 0 out of service, even where the
    angles are NaN.

    Returns:
        MW from the from end to the to end, shape (samples, branches).
    """
    branches = grid.branches
    susceptance = samples.x_pu / (samples.r_pu**2 + samples.x_pu**2)
    angle = np.deg2rad(dc_va_deg)
    across = angle[:, branches.from_bus] - angle[:, branches.to_bus]
    return np.where(samples.branch_on, susceptance * across * grid.base_mva, 0.0)


def wrapped(angle_deg: Floats) -> Floats:
    """Angles in [-180, 180); those that are there already keep their bits."""
    turned = (angle_deg + 180.0) % 360.0 - 180.0
    turned = np.where(turned >= 180.0, -180.0, turned)
    inside = (angle_deg >= -180.0) & (angle_deg < 180.0)
    return np.where(inside, angle_deg, turned)
