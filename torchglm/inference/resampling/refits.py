"""A fit's model fitted again to many reweightings of its rows, or to many responses, from its own coefficients."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import torch
from torch import Tensor

from torchglm.errors import OptionError, StatusWarning
from torchglm.inference.estimate import Estimate, with_data
from torchglm.inference.record import Record
from torchglm.objective.batch import Batch
from torchglm.solvers.batch import BatchSolution, solve
from torchglm.solvers.solver import Stop

ENTRIES = 1 << 22  # of refits x rows held at once: 32 MB
CURVATURES = 1 << 23  # entries of their curvatures
UNLIKE = 30.0  # of the fit's standard errors: a refit's that is as large may have no finite maximum
FAR = 10.0  # standard errors from a maximum: there the likelihood has fallen


def at_a_time(estimate: Estimate) -> int:
    """How many refits are held at a time."""
    n, p = estimate.objective.design.n, estimate.layout.width
    return max(1, min(ENTRIES // max(n, 1), CURVATURES // max(p * p, 1)))


def refit(estimate: Estimate, batch: Batch, enough: float | None = None, certain: float = math.inf) -> BatchSolution:
    """The optima of problems over the rows of a fit. What goes on to infinity, as separated data do, is not converged.

    `enough`: standard errors that the last step may leave, None for the fit's, 1e-8 at most; `certain` bounds its
    length: what curvatures are off by.
    """
    enough = min(estimate.stop.step_in_se, 1e-8) if enough is None else enough
    found = _solved(estimate, batch, enough, certain)
    return replace(found, converged=found.converged & ~_at_infinity(estimate, batch, found))


def _solved(estimate: Estimate, batch: Batch, enough: float, certain: float) -> BatchSolution:
    theta = torch.where(estimate.curvature.aliased, 0.0, estimate.solution.theta)
    first = batch.shared(theta) if batch.responses is None else None
    start, stop = theta.expand(batch.count, -1), Stop(enough, 100)
    if batch.objective.likelihood.is_convex_everywhere:
        found = solve(batch, start, stop, first=first, values=False, certain=certain)
        if bool(found.converged.all()):
            return found
    return solve(batch, start, stop, first=first, certain=certain)


def _at_infinity(estimate: Estimate, batch: Batch, found: BatchSolution) -> Tensor:
    """(B,) which searches have ended on a way to infinity: two passes over those alone that look like it."""
    out = torch.zeros_like(found.converged)
    if not estimate.family.kernel.ends:
        return out
    length = torch.einsum("bi,bij,bj->b", found.step, found.point.curvature, found.step).sqrt()
    some = torch.nonzero(found.converged & looks_infinite(estimate, batch.to_user(found.step), length)).flatten()
    if len(some):
        problems, theta = batch.of(some), found.theta[some]
        far = theta + (FAR / length[some])[:, None] * found.step[some]
        out[some] = never_rises(problems.quadratic(theta).value, problems.quadratic(far).value)
    return out


def looks_infinite(estimate: Estimate, steps: Tensor, length: Tensor) -> Tensor:
    """(B,) whether last steps (B, p), formula's order, of `length` (B,) standard errors ended at no finite maximum.

    On the way to infinity a Newton step moves predictors by about one, and standard errors outgrow it. The step tells
    so much of them at least: e_j >= |step_j| / length, by the Cauchy-Schwarz inequality.
    """
    errors = estimate.unscaled_variances.sqrt().to(steps.device)
    return (steps.abs() > UNLIKE * length[:, None] * errors).any(1)


def never_rises(here: Tensor, far: Tensor) -> Tensor:
    """Whether values at the end of a search do not rise far beyond it; where they are NaN they do."""
    return far <= here + 1e-9 * here.abs().clamp(min=1.0)


def refuse_infinite(record: Record, asked: str) -> None:
    """Nothing, for a fit whose coefficients are finite.

    Raises: OptionError.
    """
    if record.facts.infinite:
        raise OptionError(
            f"{asked} is about finite estimates, and {', '.join(record.facts.infinite)} of this fit are infinite: "
            "refits would be where their searches stop. Leave the separating column out, merge levels, or take the "
            'intervals and tests of penalty="firth".'
        )


def warn_of_failed(failed: int, count: int, what: str, so: str) -> None:
    """Nothing; the caller's caller's caller is warned where refits have failed."""
    if failed:
        warnings.warn(
            f"{failed:,} of {count:,} {what} have no finite maximum (separation), or a search did not reach it: {so}",
            StatusWarning,
            stacklevel=4,
        )


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
