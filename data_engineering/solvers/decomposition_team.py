"""Agents at work, here or in processes that each keep some of them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from types import TracebackType

from data_engineering.model.grid import Floats
from data_engineering.model.problem import Status
from data_engineering.solvers.decomposition_agents import AgentProblem, AgentSolver

Solved = tuple[Status, Floats, Floats]

_kept: dict[int, AgentSolver] = {}
"""In a worker process: its agents, which stay there from one iteration to the next."""


class Team:
    """All agents. An agent's answer depends on its own past alone, not on who else works."""

    def __init__(self, workers: int) -> None:
        # One process to each pool: an agent then always comes back to where its program is.
        context = get_context("spawn")
        self._pools = [
            ProcessPoolExecutor(1, mp_context=context) for _ in range(workers if workers > 1 else 0)
        ]
        self._agents: dict[int, AgentSolver] = {}

    def __enter__(self) -> Team:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for pool in self._pools:
            pool.shutdown(cancel_futures=True)

    def load(self, problems: Sequence[AgentProblem], near: bool) -> None:
        """Give every agent its program."""
        if not self._pools:
            _load(self._agents, dict(enumerate(problems)), near)
            return
        for number, pool in enumerate(self._pools):
            part = dict(list(enumerate(problems))[number :: len(self._pools)])
            pool.submit(_load_here, part, near).result()

    def solve(self, costs: Sequence[Floats]) -> list[Solved]:
        """Every agent's answer to its linear cost."""
        if not self._pools:
            return [self._agents[agent].solve(cost) for agent, cost in enumerate(costs)]
        count = len(self._pools)
        waiting = [
            pool.submit(_solve_here, dict(list(enumerate(costs))[number::count]))
            for number, pool in enumerate(self._pools)
        ]
        found: dict[int, Solved] = {}
        for future in waiting:
            found.update(future.result())
        return [found[agent] for agent in range(len(costs))]


def _load(agents: dict[int, AgentSolver], problems: dict[int, AgentProblem], near: bool) -> None:
    agents.clear()
    agents.update((agent, AgentSolver(problem, near)) for agent, problem in problems.items())


def _load_here(problems: dict[int, AgentProblem], near: bool) -> None:
    _load(_kept, problems, near)


def _solve_here(costs: dict[int, Floats]) -> dict[int, Solved]:
    return {agent: _kept[agent].solve(cost) for agent, cost in costs.items()}
