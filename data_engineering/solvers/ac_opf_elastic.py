"""How far an AC-OPF is from having a solution: the least sum of violations of its rows.

It tells an infeasible problem from one that the solver merely did not solve. The problem is not
convex, so what is proven is that no violation-free point is near.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from data_engineering.model.grid import Floats
from data_engineering.solvers.ac_opf_bounds import Numbers
from data_engineering.solvers.ac_opf_functions import Functions
from data_engineering.solvers.ac_opf_ipopt import ipopt, run
from data_engineering.solvers.ac_opf_layout import Layout

VIOLATION_PU = 1e-5
"""A least violation above this is no rounding: rows are kept to about 1e-8 p.u."""


class Nearest(NamedTuple):
    """The point of least violation, p.u., and whether the search for it ended."""

    x: Floats
    violation: float
    solved: bool
    iterations: int


def least_violation(
    functions: Functions, layout: Layout, given: Numbers, seconds: float
) -> Nearest:
    """Minimise the sum of violations of all rows within the bounds of the columns."""
    height = layout.height
    slack = np.zeros(2 * height)
    wide = Numbers(
        given.p,
        np.concatenate([given.x0, slack]),
        np.concatenate([given.lbx, slack]),
        np.concatenate([given.ubx, slack + np.inf]),
        given.lbg,
        given.ubg,
    )
    found = run(ipopt(_relaxed(functions, layout), "elastic", seconds), wide)
    return Nearest(found.x[: layout.width], found.f, found.solved, found.iterations)


def _relaxed(functions: Functions, layout: Layout) -> Functions:
    """Every row with an excess and a shortfall, whose sum is the objective."""
    import casadi

    width, height = layout.width, layout.height
    x = casadi.MX.sym("x", width + 2 * height)
    p = functions.problem["p"]
    excess, shortfall = x[width : width + height], x[width + height :]
    g, jacobian = functions.jac_g(x[:width], p)
    g = g - excess + shortfall
    f = casadi.sum1(x[width:])
    one = casadi.MX(casadi.DM.eye(height))
    gradient = casadi.DM(np.concatenate([np.zeros(width), np.ones(2 * height)]))
    lam_f, lam_g = casadi.MX.sym("lam_f"), casadi.MX.sym("lam_g", height)
    hessian = functions.hess_lag(x[:width], p, 0.0, lam_g)
    nothing = casadi.MX(2 * height, 2 * height)
    return Functions(
        {"x": x, "p": p, "f": f, "g": g},
        casadi.Function("grad_f", [x, p], [f, casadi.MX(gradient)]),
        casadi.Function("jac_g", [x, p], [g, casadi.horzcat(jacobian, -one, one)]),
        casadi.Function("hess_lag", [x, p, lam_f, lam_g], [casadi.diagcat(hessian, nothing)]),
    )
