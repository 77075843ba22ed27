"""The one way in: a request is answered by the method it names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import get_args

from data_engineering.model.errors import BadInput
from data_engineering.model.problem import Kind, SolveRequest, SolveResult

Progress = Callable[[str], None]

METHODS: Mapping[Kind, tuple[str, ...]] = {
    "pf": ("newton",),
    "dcpf": ("factor",),
    "opf": ("interior_point",),
    "dcopf": ("constraint_generation", "extensive"),
    "scopf": ("constraint_generation", "extensive", "corrective"),
    "lascopf": ("constraint_generation", "extensive", "corrective", "decomposed"),
}
"""Of every kind its methods; the first is the one for production."""


def method_of(kind: str, method: str = "default") -> str:
    """The method that answers, by its own name.

    Raises:
        BadInput: there is no such kind, or it has no such method.
    """
    if kind not in get_args(Kind):
        raise BadInput("kind", kind, f"use one of {', '.join(get_args(Kind))}")
    known = METHODS[kind]  # type: ignore[index]
    if method == "default":
        return known[0]
    if method not in known:
        raise BadInput("method", method, f"for {kind} use one of {', '.join(known)}")
    return method


def solve(request: SolveRequest, progress: Progress | None = None) -> SolveResult:
    """Answer a request. Infeasible and not converged are statuses of the result.

    Args:
        request: options.method is one of `METHODS` of its kind, or `default`.
        progress: called with a line of text as the work goes on.

    Raises:
        BadInput: the request has no such kind or method, or lacks what the method needs.
    """
    method = method_of(request.kind, request.options.method)
    # Each method brings its own solver, so only the one that is asked for is loaded.
    if request.kind == "pf":
        from data_engineering.solvers.power_flow_request import solve_power_flow

        return solve_power_flow(request)
    if request.kind == "dcpf":
        from data_engineering.solvers.power_flow_request import solve_dc_power_flow

        return solve_dc_power_flow(request)
    if request.kind == "opf":
        from data_engineering.solvers.ac_opf import solve_ac_opf

        return solve_ac_opf(request)
    return _solve_dispatch(request, method, progress)


def _solve_dispatch(request: SolveRequest, method: str, progress: Progress | None) -> SolveResult:
    if method == "extensive":
        from data_engineering.solvers.lascopf_reference import solve_extensive

        return solve_extensive(request)
    if method == "corrective":
        from data_engineering.solvers.corrective import solve_corrective

        return solve_corrective(request, progress)
    if method == "decomposed":
        from data_engineering.solvers.decomposition import solve_decomposed

        return solve_decomposed(request, progress)
    from data_engineering.solvers.lascopf import solve_lascopf

    return solve_lascopf(request, progress)
