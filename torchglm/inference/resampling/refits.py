"""A fit's model fitted again to many reweightings of its rows, or to many responses, from its own coefficients."""

from __future__ import annotations

import math

import torch

from torchglm.errors import OptionError
from torchglm.inference.estimate import Estimate, with_data
from torchglm.objective.batch import Batch
from torchglm.solvers.batch import BatchSolution, solve
from torchglm.solvers.solver import Stop

ENTRIES = 1 << 22  # of refits x rows held at once: 32 MB
CURVATURES = 1 << 23  # entries of their curvatures


def at_a_time(estimate: Estimate) -> int:
    """How many refits are held at a time."""
    n, p = estimate.objective.design.n, estimate.layout.width
    return max(1, min(ENTRIES // max(n, 1), CURVATURES // max(p * p, 1)))


def refit(estimate: Estimate, batch: Batch, enough: float = 1e-8, certain: float = math.inf) -> BatchSolution:
    """The optima of problems over the rows of a fit.

    `enough`: standard errors that the last step may leave; `certain` bounds its length: what curvatures are off by.
    """
    theta = torch.where(estimate.curvature.aliased, 0.0, estimate.solution.theta)
    first = batch.shared(theta) if batch.responses is None else None
    start, stop = theta.expand(batch.count, -1), Stop(enough, 100)
    if batch.objective.likelihood.is_convex_everywhere:
        found = solve(batch, start, stop, first=first, values=False, certain=certain)
        if bool(found.converged.all()):
            return found
    return solve(batch, start, stop, first=first, certain=certain)


def refittable(estimate: Estimate | None, asked: str) -> Estimate:
    """The estimate of a fit that can be fitted again.

    Raises: OptionError for a fit without its data, or under a penalty; DataError where the data were written over.
    """
    estimate = with_data(estimate, asked)
    if estimate.penalised is not None:
        raise OptionError(f"{asked} refits by maximum likelihood, and this fit is under a penalty.")
    if estimate.objective.design.ranks.world > 1:
        raise OptionError(f"{asked} draws rows across the data, which several processes share. Use one process.")
    estimate.refuse_changed_data()
    return estimate
