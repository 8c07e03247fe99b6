"""The log-likelihood of each row of a fit of counts, and whether two fits have the same rows."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from torchglm.design.among_ranks import of_all, together_in_shares
from torchglm.design.block import Block
from torchglm.design.prepared import Prepared
from torchglm.design.weights import Frequency
from torchglm.errors import OptionError
from torchglm.fit import Fit
from torchglm.inference.estimate import Estimate
from torchglm.inference.prediction.distribution import COUNTS, distribution
from torchglm.vector_fit import VectorFit


def log_likelihood_rows(fit: Fit | VectorFit) -> Tensor:
    """(rows with a weight,) the log-likelihood of each, of weight one: of the rows of all ranks.

    Raises: OptionError for a family whose rows are no counts.
    """
    estimate = _estimate(fit)
    objective, likelihood = estimate.objective, estimate.objective.likelihood
    raw = objective.raw(estimate.solution.theta)
    if isinstance(fit, VectorFit):

        def row_values(block: Block) -> Tensor:
            return -likelihood.nll(block.y, objective.predictors(block, raw))

        return of_all(objective.design, objective.design.map(row_values).cpu())
    if estimate.family.name not in COUNTS:
        raise OptionError(
            f"The test compares models of counts: {' and '.join(COUNTS)} of glm(), and models of several predictors; "
            f"got {estimate.family.name}."
        )
    mu = objective.design.map(lambda block: likelihood.mean(objective.predictors(block, raw))).cpu().numpy()
    law = distribution(estimate.family, mu, 1.0)
    return of_all(objective.design, torch.from_numpy(law.logpmf(objective.design.y.cpu().numpy().astype(np.float64))))


def same_rows(first: Fit | VectorFit, second: Fit | VectorFit) -> Tensor | None:
    """The frequency weights that two fits share, those of the rows of all ranks; None for none.

    Raises: OptionError where they differ in rows, response or weights, or have weights of another kind.
    """
    one, other = (_estimate(fit).prepared for fit in (first, second))
    with together_in_shares(one.design, "comparing the rows of the fits"):
        _refuse_other_rows(one, other)
    return None if one.weights is None else of_all(one.design, one.weights.values.cpu())


def _refuse_other_rows(one: Prepared, other: Prepared) -> None:
    if one.design.n != other.design.n or not torch.equal(one.design.y.cpu(), other.design.y.cpu()):
        raise OptionError(
            f"The fits use {one.design.n} and {other.design.n} rows with the responses {one.response_name!r} and "
            f"{other.response_name!r}: rows can be compared one by one only where both fits have the same."
        )
    kinds = {None if p.weights is None else type(p.weights) for p in (one, other)}
    if not kinds <= {None, Frequency}:
        raise OptionError("Only frequency weights say how often a row counts here: fit with freq_weights=, or none.")
    if len(kinds) == 2 or (one.weights is not None and not torch.equal(one.weights.values, other.weights.values)):  # type: ignore[union-attr]
        raise OptionError("The fits have different weights.")


def _estimate(fit: Fit | VectorFit) -> Estimate:
    if fit.estimate is None:
        raise OptionError("This fit was loaded without its data, so it has no rows to compare.")
    fit.estimate.refuse_changed_data()
    return fit.estimate
