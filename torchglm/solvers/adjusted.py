"""The root of a penalised score, by the one solver loop."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torchglm.errors import DomainError
from torchglm.objective.penalised import Penalised
from torchglm.objective.penalty import Jeffreys
from torchglm.solvers.irls import IRLS
from torchglm.solvers.solver import Solution, Stop, run
from torchglm.solvers.start import Start

CLOSE = Stop(step_in_se=0.1, max_steps=50)  # of a start: the two penalties differ by a share of a standard error
SHARES = (1.0, 0.75, 0.5)


def run_penalised(objective: Penalised, start: Start, stop: Stop, watch: Any = None) -> Solution:
    """The solution under a penalty.

    Where the adjusted score is no gradient, its squared length may have a valley that holds no root. The search then
    begins again at the maximum of Jeffreys' penalised likelihood and on its way to zero, in the metric of that place.
    """
    solver = IRLS(reuse=False)
    solution = run(solver, objective, start, stop, watch)
    if solution.status.converged or objective.is_likelihood:
        return solution
    near = run(
        solver, replace(objective.at_phi(objective.dispersion(solution.point)), penalty=Jeffreys()), start, CLOSE
    )
    again = replace(objective, metric=near.point.curvature)
    for share in SHARES:
        try:
            second = run(solver, again, replace(start, given=share * near.theta), stop, watch)
        except DomainError:
            continue
        if second.status.converged:
            return second
    return solution
