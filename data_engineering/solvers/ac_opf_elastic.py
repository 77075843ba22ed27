"""How far an AC-OPF is from having a solution: the least injections that would have to be invented.

It tells an infeasible problem from one that the solver merely did not solve. The problem is not
convex, so what is found is that nothing near needs less.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from data_engineering.model.grid import Floats
from data_engineering.solvers.ac_opf_bounds import Numbers
from data_engineering.solvers.ac_opf_functions import Functions
from data_engineering.solvers.ac_opf_ipopt import INFEASIBLE, run
from data_engineering.solvers.ac_opf_layout import Layout

MISSING_PU = 1e-5
"""Missing injections above this are no rounding: balances are kept to about 1e-8 p.u."""


class Nearest(NamedTuple):
    """The point of least missing injections.

    Attributes:
        x: columns of the AC-OPF, p.u.
        missing: sum of missing and surplus active and reactive power, p.u.; infinite where the
            other limits contradict each other whatever is injected.
        known: whether the search ended with an answer.
    """

    x: Floats
    missing: float
    known: bool
    iterations: int


def nearest_point(solver: Any, layout: Layout, given: Numbers) -> Nearest:
    """Minimise what is missing, with every other limit kept; `solver` is of `relaxed`."""
    slack = np.zeros(2 * layout.balances)
    wide = given._replace(
        x0=np.concatenate([given.x0, slack]),
        lbx=np.concatenate([given.lbx, slack]),
        ubx=np.concatenate([given.ubx, slack + np.inf]),
    )
    found = run(solver, wide)
    never = found.message == INFEASIBLE
    return Nearest(
        found.x[: layout.width],
        float("inf") if never else found.f,
        found.solved or never,
        found.iterations,
    )


def relaxed(functions: Functions, layout: Layout) -> Functions:
    """The problem with a surplus and a shortfall in every balance, whose sum is the objective."""
    import casadi

    width, height, balances = layout.width, layout.height, layout.balances
    x = casadi.MX.sym("x", width + 2 * balances)
    p = functions.problem["p"]
    surplus, shortfall = x[width : width + balances], x[width + balances :]
    g, jacobian = functions.jac_g(x[:width], p)
    g = g + casadi.vertcat(shortfall - surplus, casadi.MX.zeros(height - balances))
    f = casadi.sum1(x[width:])
    one = casadi.vertcat(casadi.DM.eye(balances), casadi.DM(height - balances, balances))
    gradient = casadi.DM(np.concatenate([np.zeros(width), np.ones(2 * balances)]))
    lam_f, lam_g = casadi.MX.sym("lam_f"), casadi.MX.sym("lam_g", height)
    hessian = functions.hess_lag(x[:width], p, 0.0, lam_g)
    nothing = casadi.MX(2 * balances, 2 * balances)
    return Functions(
        {"x": x, "p": p, "f": f, "g": g},
        casadi.Function("grad_f", [x, p], [f, casadi.MX(gradient)]),
        casadi.Function("jac_g", [x, p], [g, casadi.horzcat(jacobian, -one, one)]),
        casadi.Function("hess_lag", [x, p, lam_f, lam_g], [casadi.diagcat(hessian, nothing)]),
    )
