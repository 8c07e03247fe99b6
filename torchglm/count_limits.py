"""What is said of count models whose estimate lies at a limit: no zero inflation, no overdispersion, no zeros."""

from __future__ import annotations

import math

from torch import Tensor

from torchglm.design.block import Block
from torchglm.inference.vector import VectorEstimate

LOG_THETA = "log(theta)"
LARGEST = 14.0  # of |log(theta)|: no data tell a theta beyond a million from infinity, or below a millionth from 0
SMALLEST_CHANCE = 1e-8  # of a certain zero, or of a zero, in every row

OF_THETA = (
    "theta goes to infinity: beside this model the counts vary no more than Poisson counts. The other coefficients "
    'are those of count="poisson", which is enough; the estimate and standard error of log(theta) mean nothing.'
)
OF_SERIES = (
    "theta goes to 0, and the mean of the counts before truncation with it: the positive counts follow the logarithmic "
    "series, the limit of this model. Its other coefficients are right; the constant of the count and log(theta) go to "
    "-infinity and mean nothing."
)
OF_INFLATION = (
    "The chance of a certain zero goes to 0 in every row: there are no more zeros than the distribution of the counts "
    "has of its own, so that the coefficients zero_* mean nothing. The others are those of the plain count model."
)
OF_HURDLE = (
    "The response is never zero: the chance of a positive count goes to 1 in every row, and the coefficients zero_* "
    "mean nothing. The others are those of truncated(), which is enough."
)


def inflated_limits(estimate: VectorEstimate, names: tuple[str, ...]) -> dict[str, list[str]]:
    """Of a zero-inflated model: what has gone to its limit, in words -> the coefficients that mean nothing there."""
    return _of_theta(estimate, names) | _of_zeros(estimate, names, "structural_zero", OF_INFLATION)


def hurdle_limits(estimate: VectorEstimate, names: tuple[str, ...]) -> dict[str, list[str]]:
    """The same of a hurdle model."""
    return truncated_limits(estimate, names) | _of_zeros(estimate, names, "zero", OF_HURDLE)


def truncated_limits(estimate: VectorEstimate, names: tuple[str, ...]) -> dict[str, list[str]]:
    """The same of a truncated one."""
    if not _log_theta(estimate, names) < -LARGEST:
        return _of_theta(estimate, names)
    return {OF_SERIES: [LOG_THETA, *(name for name in names if name in ("Intercept", "count_Intercept"))]}


def _of_theta(estimate: VectorEstimate, names: tuple[str, ...]) -> dict[str, list[str]]:
    return {OF_THETA: [LOG_THETA]} if _log_theta(estimate, names) > LARGEST else {}


def _of_zeros(estimate: VectorEstimate, names: tuple[str, ...], kind: str, text: str) -> dict[str, list[str]]:
    if not _largest(estimate, kind) < SMALLEST_CHANCE:
        return {}
    return {text: [name for name in names if name.startswith("zero_")]}


def _log_theta(estimate: VectorEstimate, names: tuple[str, ...]) -> float:
    """log(theta), NaN where the model has none."""
    if LOG_THETA not in names:
        return math.nan
    return float(estimate.layout.to_user(estimate.solution.theta)[names.index(LOG_THETA)])


def _largest(estimate: VectorEstimate, kind: str) -> float:
    """The largest prediction among the rows of the fit."""
    objective, likelihood = estimate.objective, estimate.model.likelihood
    raw = objective.raw(estimate.solution.theta)

    def of_block(block: Block) -> Tensor:
        found = likelihood.predictions(objective.predictors(block, raw))[kind]
        return found.amax().reshape(1) if len(found) else found

    return objective.design.largest(objective.design.map(of_block))
