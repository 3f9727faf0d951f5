"""The rules of one search for grids: limits, what mixing groups costs, and the work allowed."""

from __future__ import annotations

from dataclasses import dataclass

from spatial.grids.improve import Work as SearchWork
from spatial.settings import Effort

__all__ = ["WORK", "Rules", "Work"]


@dataclass(frozen=True)
class Work:
    """Work allowed, in steps."""

    search: SearchWork
    rounds: int  # of the bound
    rounds_to: int  # households of a component that has all of them, a quarter of that with a group cost
    tries: int  # of a feasible start
    refine_rounds: int = 0  # of the bound of a component that isn't proved
    prove_households: int = 0  # up to which a component's optimum is proved, if the steps suffice
    prove_steps: int = 0
    prove_among: int = 0  # households of a problem up to which its components are proved at all


WORK: dict[Effort, Work] = {
    "quick": Work(
        SearchWork(8, 3, 120_000, anneals=3, steps=8, household_anneals=12_000),
        rounds=400,
        rounds_to=5000,
        tries=4,
        refine_rounds=100,
    ),
    "normal": Work(
        SearchWork(14, 3, 500_000, anneals=4, steps=10, household_anneals=30_000),
        rounds=400,
        rounds_to=20_000,
        tries=8,
        refine_rounds=100,
        prove_households=600,
        prove_steps=45 * 10**7,
        prove_among=2000,
    ),
    "thorough": Work(
        SearchWork(40, 8, 800_000, anneals=8, steps=16, household_anneals=60_000),
        rounds=1000,
        rounds_to=20_000,
        tries=16,
        refine_rounds=200,
        prove_households=600,
        prove_steps=10**10,
        prove_among=5000,
    ),
}


@dataclass(frozen=True)
class Rules:
    """The settings of one search."""

    low: int
    high: int
    target: int
    group_cost_m: float
    work: Work
    proves: bool
    seed: int
    threads: int
