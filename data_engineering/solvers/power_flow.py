"""AC power flow by Newton's method in polar coordinates, with reactive limits on request.

Equations as in the MATPOWER User's Manual, section 4.1 and Technical Note 2 (derivatives of complex
bus power).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import bmat, csr_matrix, diags
from scipy.sparse.linalg import splu

from data_engineering.model.grid import Flags, Floats, Ints
from data_engineering.solvers.matrices import Complexes

TOLERANCE_PU = 1e-10
MAX_ITERATIONS = 30
MAX_SWITCHES = 20
HOPELESS_PU = 1e8
"""A mismatch from which no step comes back."""


@dataclass(frozen=True, eq=False)
class PowerFlow:
    """A power flow's voltages, p.u.; not usable unless it converged.

    Attributes:
        at_limit: buses that gave up their voltage at a reactive limit.
    """

    voltage: Complexes
    converged: bool
    iterations: int
    at_limit: Flags


def newton(
    admittance: csr_matrix,
    power: Complexes,
    start: Complexes,
    angle_rows: Ints,
    vm_rows: Ints,
    max_iterations: int = MAX_ITERATIONS,
) -> tuple[Complexes, bool, int]:
    """Voltages at which the network takes `power` from the buses that do not hold their own.

    Args:
        admittance: bus admittances, shape (n, n), p.u.
        power: injected power, shape (n,), p.u.
        start: first voltages; those of buses not in the rows stay.
        angle_rows: buses whose active power is given (all but the reference).
        vm_rows: buses whose reactive power is given.
        max_iterations: greatest number of steps.

    Returns:
        The voltages, whether the mismatch is below `TOLERANCE_PU`, and the iterations.
    """
    angle, magnitude = np.angle(start), np.abs(start)
    voltage = start
    for iteration in range(max_iterations + 1):
        current = admittance @ voltage
        mismatch = voltage * np.conj(current) - power
        wrong = np.concatenate([mismatch.real[angle_rows], mismatch.imag[vm_rows]])
        largest = np.abs(wrong).max(initial=0.0)
        if largest < TOLERANCE_PU:
            return voltage, True, iteration
        if iteration == max_iterations or not largest < HOPELESS_PU:
            break
        jacobian = _jacobian(admittance, voltage, current, angle_rows, vm_rows)
        try:
            step = splu(jacobian).solve(wrong)
        except RuntimeError:  # SuperLU's word for a singular matrix
            break
        angle[angle_rows] -= step[: len(angle_rows)]
        magnitude[vm_rows] -= step[len(angle_rows) :]
        voltage = magnitude * np.exp(1j * angle)
    return voltage, False, iteration


def _jacobian(
    admittance: csr_matrix, voltage: Complexes, current: Complexes, angle_rows: Ints, vm_rows: Ints
) -> csr_matrix:
    at = diags(voltage)
    unit = diags(voltage / np.abs(voltage))
    by_angle = (1j * at @ (diags(current) - admittance @ at).conj()).tocsr()
    by_magnitude = (at @ (admittance @ unit).conj() + diags(np.conj(current)) @ unit).tocsr()
    return bmat(
        [
            [
                by_angle[angle_rows][:, angle_rows].real,
                by_magnitude[angle_rows][:, vm_rows].real,
            ],
            [by_angle[vm_rows][:, angle_rows].imag, by_magnitude[vm_rows][:, vm_rows].imag],
        ],
        format="csc",
    )


def power_flow(
    admittance: csr_matrix,
    power: Complexes,
    start: Complexes,
    reference: Flags,
    controlled: Flags,
    q_range: tuple[Floats, Floats] | None = None,
) -> PowerFlow:
    """A power flow in which some buses hold their voltage.

    Args:
        admittance: shape (n, n), p.u.
        power: injected power, shape (n,), p.u.; its reactive part without what the holding
            buses give.
        start: first voltages; their magnitudes are the set points of the holding buses.
        reference: buses that hold magnitude and angle.
        controlled: other buses that hold their magnitude.
        q_range: least and greatest reactive power of the holding buses, shape (n,) each, p.u. A
            bus beyond its range holds the limit instead of its voltage from then on; None: no
            limits.
    """
    held = controlled & ~reference
    angle_rows = np.flatnonzero(~reference)
    given, limited, spent = power.copy(), np.zeros(len(power), dtype=np.bool_), 0
    voltage = start
    for _ in range(MAX_SWITCHES):
        voltage, converged, iterations = newton(
            admittance, given, voltage, angle_rows, np.flatnonzero(~reference & ~held)
        )
        spent += iterations
        if not converged or q_range is None:
            break
        needed = (voltage * np.conj(admittance @ voltage)).imag - power.imag
        low, high = q_range
        beyond = held & ((needed < low - 1e-6) | (needed > high + 1e-6))
        if not beyond.any():
            break
        given[beyond] += 1j * np.clip(needed, low, high)[beyond]
        held, limited = held & ~beyond, limited | beyond
        converged = False
    return PowerFlow(voltage, converged, spent, limited)
