"""Which solver answers a request: the embedded ones, or the Julia solver behind its queue."""

from __future__ import annotations

from data_engineering.model.errors import BadInput
from data_engineering.model.problem import SolveRequest, SolveResult
from data_engineering.orchestration.exchange_client import solve_by_julia
from data_engineering.orchestration.steps import Progress
from data_engineering.settings import Settings
from data_engineering.solvers.julia import julia_method
from data_engineering.solvers.solve import method_of, solve
from data_engineering.transformation.exchange_bundle import KINDS

EMBEDDED, JULIA = "highs", "julia"
SOLVERS = (EMBEDDED, JULIA)


def chosen_method(solver: str, kind: str, method: str = "default") -> str:
    """The method by which a solver answers a kind, by its own name.

    Raises:
        BadInput: there is no such solver, kind or method, or the solver does not know the kind.
    """
    if solver not in SOLVERS:
        raise BadInput("solver", solver, f"use one of {', '.join(SOLVERS)}")
    if solver == EMBEDDED:
        return method_of(kind, method)
    if kind not in KINDS:
        raise BadInput("kind", kind, f"for solver {JULIA} use one of {', '.join(KINDS)}")
    return julia_method(method)


def solve_by(
    solver: str, request: SolveRequest, settings: Settings, progress: Progress | None = None
) -> SolveResult:
    """Answer a request whose method is of `chosen_method`.

    Raises:
        LascopfError: as `solve` and `solve_by_julia`.
    """
    if solver == JULIA:
        return solve_by_julia(request, settings, progress)
    return solve(request, progress)
