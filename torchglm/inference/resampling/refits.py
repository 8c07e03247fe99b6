"""A fit's model fitted again to many reweightings of its rows, or to many responses, from its own coefficients."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from torchglm.errors import OptionError
from torchglm.inference.estimate import Estimate, with_data
from torchglm.objective.batch import Batch
from torchglm.objective.objective import Objective
from torchglm.solvers.batch import BatchSolution, solve
from torchglm.solvers.solver import Stop

ENTRIES = 1 << 22  # of refits x rows held at once: 32 MB
CURVATURES = 1 << 23  # entries of their curvatures


def together(estimate: Estimate) -> int:
    """How many refits are held at a time."""
    n, p = estimate.objective.design.n, estimate.layout.width
    return max(1, min(ENTRIES // max(n, 1), CURVATURES // max(p * p, 1)))


def refit(
    estimate: Estimate,
    weights: Tensor | None,
    responses: Tensor | None,
    objective: Objective,
    certain: float = math.inf,
) -> BatchSolution:
    """The optima of a batch: `weights` (B, n) multiply the rows' own, `responses` (B, n) replace theirs.

    `certain` bounds the last step, in standard errors: what curvatures are off by.
    """
    batch = Batch(objective, weights, responses)
    theta = torch.where(estimate.curvature.aliased, 0.0, estimate.solution.theta)
    given = weights if weights is not None else responses
    assert given is not None
    first = batch.shared(theta, len(given)) if responses is None else None
    start, stop = theta.expand(len(given), -1), Stop(min(estimate.stop.step_in_se, 1e-8), 100)
    if objective.likelihood.is_canonical:  # convex: steps that get shorter lead to the optimum
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
