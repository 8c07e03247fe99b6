"""Residuals of models of several linear predictors, and responses drawn from them.

response             y - mean; of classes, whether it is the class, less its probability
pearson              (y - mean) sqrt(w / variance)
probability_scale    P(Y < y) - P(Y > y)                Li & Shepherd (2012), Shepherd, Li & Liu (2016)

At random, from u drawn evenly between P(Y < y) and P(Y <= y):

quantile             Phi^-1(u)                          Dunn & Smyth (1996)
surrogate            F^-1(u), F the latent distribution of an ordinal model; Liu & Zhang (2018): S - eta, in units of
                     the scale, with S the latent variable given the class
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from torchglm.design.among_ranks import own_seed
from torchglm.design.block import Block
from torchglm.diagnostics.distribution import check_sets
from torchglm.diagnostics.quantile import drawn_between
from torchglm.diagnostics.residuals import RESIDUALS, each_row
from torchglm.errors import OptionError, UnknownNameError, did_you_mean
from torchglm.families.likelihood import Likelihood
from torchglm.families.ordinal import Ordinal
from torchglm.inference.vector import VectorEstimate
from torchglm.numerics.seeds import check_seed

RowResidual = Callable[[Likelihood, Block, Tensor], Tensor]  # (likelihood, block, z) -> (rows,) or (rows, K)


def _response(likelihood: Likelihood, block: Block, z: Tensor) -> Tensor:
    mean = likelihood.mean(z)
    if mean.dim() == 1:
        return block.y - mean
    return torch.nn.functional.one_hot(block.y.to(torch.int64), mean.shape[1]) - mean


def _pearson(likelihood: Likelihood, block: Block, z: Tensor) -> Tensor:
    w = torch.ones_like(block.y) if block.weight is None else block.weight
    return (block.y - likelihood.mean(z)) * (w / likelihood.variance(z)).sqrt()


def _probability_scale(likelihood: Likelihood, block: Block, z: Tensor) -> Tensor:
    y = block.y.to(torch.float64)
    return likelihood.below(y, z) + likelihood.cdf(y, z) - 1.0


VECTOR_RESIDUALS: dict[str, RowResidual] = {
    "response": _response,
    "pearson": _pearson,
    "probability_scale": _probability_scale,
}


def vector_residuals(estimate: VectorEstimate, kind: str) -> Tensor:
    """(rows of the data,) or (rows of the data, classes) residuals, NaN where a row was dropped.

    Raises: UnknownNameError; OptionError for a kind that the model has not.
    """
    likelihood = estimate.model.likelihood
    if kind in RESIDUALS and kind not in VECTOR_RESIDUALS:
        raise OptionError(
            f"{kind.capitalize()} residuals are of one linear predictor; a model of several has "
            f"{', '.join(map(repr, VECTOR_RESIDUALS))}, and quantile_residuals()."
        )
    if kind not in VECTOR_RESIDUALS:
        raise UnknownNameError(f"There is no residual {kind!r}. {did_you_mean(kind, VECTOR_RESIDUALS)}")
    if kind == "pearson" and estimate.prepared.request.classes:
        raise OptionError('Classes have no variance: say kind="response", a column a class.')
    _refuse_columns(estimate)
    return each_row(estimate, lambda block, z: VECTOR_RESIDUALS[kind](likelihood, block, z))


def vector_quantile_residuals(estimate: VectorEstimate, seed: int) -> Tensor:
    """(rows of the data,) randomized quantile residuals, NaN where a row was dropped.

    Raises: OptionError for a likelihood that has no distribution function.
    """
    return torch.special.ndtri(_drawn(estimate, seed))


def surrogate_residuals(estimate: VectorEstimate, seed: int) -> Tensor:
    """(rows of the data,) surrogate residuals of an ordinal model, NaN where a row was dropped.

    Raises: OptionError for another model.
    """
    likelihood = estimate.model.likelihood
    if not isinstance(likelihood, Ordinal):
        raise OptionError("Surrogate residuals are of the latent variable of ordinal models. Say quantile_residuals().")
    return likelihood.link.link(_drawn(estimate, seed))


def _drawn(estimate: VectorEstimate, seed: int) -> Tensor:
    likelihood = estimate.model.likelihood
    _refuse_columns(estimate)

    def ends(block: Block, z: Tensor) -> Tensor:
        y = block.y.to(torch.float64)
        return torch.stack([likelihood.below(y, z), likelihood.cdf(y, z)], dim=1)

    below, at = each_row(estimate, ends).cpu().unbind(1)
    return torch.from_numpy(drawn_between(below.numpy(), at.numpy(), seed))


def vector_simulate(estimate: VectorEstimate, n: int, seed: int) -> np.ndarray:
    """(rows of the data, n) responses drawn from the fit, of classes their codes; NaN where a row was dropped.

    Raises: OptionError for a likelihood that cannot be drawn from, for `n` and for the seed.
    """
    check_sets(n)
    z = each_row(estimate, lambda block, z: z.clone()).cpu()
    kept = torch.isfinite(z).all(1)
    generator = torch.Generator().manual_seed(own_seed(estimate.prepared.design, check_seed(seed)))
    drawn = np.full((len(z), n), np.nan)
    for column in range(n):
        drawn[kept.numpy(), column] = estimate.model.likelihood.sample(z[kept], generator).numpy()
    return drawn


def _refuse_columns(estimate: VectorEstimate) -> None:
    if estimate.prepared.design.y.dim() > 1:
        raise OptionError("The response has several columns: no residual is one number a row.")
