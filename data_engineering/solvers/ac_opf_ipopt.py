"""Ipopt behind CasADi, with the settings that were measured to serve AC-OPF best."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from data_engineering.model.grid import Floats
from data_engineering.solvers.ac_opf_bounds import Numbers
from data_engineering.solvers.ac_opf_functions import Functions

INFEASIBLE = "Infeasible_Problem_Detected"
SOLVED = ("Solve_Succeeded", "Solved_To_Acceptable_Level")
COMMON: dict[str, Any] = {
    "print_level": 0,
    "sb": "yes",
    "tol": 1e-7,
    "max_iter": 500,
    # A gradient of about 5 (USD/h per p.u. after scaling) halves the iterations against the
    # default of 100.
    "nlp_scaling_obj_target_gradient": 5.0,
    # "Acceptable" means here that only the optimality is less exact, never the balance.
    "acceptable_constr_viol_tol": 1e-6,
    "fast_step_computation": "yes",
    # Approximate minimum degree without scaling beats METIS and the automatic choice; the default
    # of ten times the memory that the factors need costs time to fill.
    "mumps_pivot_order": 0,
    "mumps_scaling": 0,
    "mumps_permuting_scaling": 0,
    "mumps_mem_percent": 20,
}
VARIANTS: dict[str, dict[str, Any]] = {
    # The barrier that adapts takes 10 to 60 % fewer iterations, and reached the better of two local
    # optima where the two ways differed.
    # No case of PGLib takes more than 150; an infeasible one is left to the elastic problem, which
    # tells at a tenth of the time.
    "cold": {"mu_strategy": "adaptive", "max_iter": 200},
    "brief": {"mu_strategy": "adaptive"},
    "monotone": {},
    "elastic": {"nlp_scaling_obj_target_gradient": 1.0},
    "warm": {
        "max_iter": 60,
        "warm_start_init_point": "yes",
        "mu_init": 1e-6,
        "warm_start_bound_push": 1e-2,
        "warm_start_bound_frac": 1e-2,
        "warm_start_slack_bound_push": 1e-2,
        "warm_start_slack_bound_frac": 1e-2,
        "warm_start_mult_bound_push": 1e-4,
    },
}


class Point(NamedTuple):
    """Where a solve ended: columns, multipliers of their bounds and of the rows, per unit.

    `f` is USD/h, `message` Ipopt's return status.
    """

    x: Floats
    lam_x: Floats
    lam_g: Floats
    f: float
    iterations: int
    message: str

    @property
    def solved(self) -> bool:
        """Whether this is an optimum."""
        return self.message in SOLVED


def ipopt(functions: Functions, variant: str, seconds: float, iterations: int) -> Any:
    """A solver for one variant of the settings, to be called by `run` any number of times."""
    import casadi

    settings = COMMON | VARIANTS[variant] | {"max_cpu_time": seconds}
    settings["max_iter"] = min(settings["max_iter"], iterations)
    options = {
        "ipopt": settings,
        "print_time": False,
        "show_eval_warnings": False,
        "grad_f": functions.grad_f,
        "jac_g": functions.jac_g,
        "hess_lag": functions.hess_lag,
    }
    return casadi.nlpsol("ac_opf", "ipopt", functions.problem, options)


def run(solver: Any, given: Numbers, start: Point | None = None) -> Point:
    """Solve from the first point of the numbers, or from where another solve ended."""
    first: dict[str, Floats] = {"x0": given.x0}
    if start is not None:
        first = {"x0": start.x, "lam_x0": start.lam_x, "lam_g0": start.lam_g}
    found = solver(**first, **{k: v for k, v in given._asdict().items() if k != "x0"})
    told = solver.stats()
    x, lam_x, lam_g = (np.asarray(found[name]).ravel() for name in ("x", "lam_x", "lam_g"))
    return Point(
        x, lam_x, lam_g, float(found["f"]), int(told["iter_count"]), str(told["return_status"])
    )
