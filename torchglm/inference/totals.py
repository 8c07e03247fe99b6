"""Totals over the rows at a theta: deviance, Pearson's X2, and what R's logLik is made of."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from torchglm.design.block import Block
from torchglm.design.columns import Columns
from torchglm.design.parts import Dense
from torchglm.design.prepare import Prepared
from torchglm.design.weights import Frequency, Weights
from torchglm.errors import DomainError
from torchglm.families.family import Family
from torchglm.families.mean import MeanModel
from torchglm.numerics.sums import Sums
from torchglm.objective.objective import Objective
from torchglm.solvers.irls import IRLS
from torchglm.solvers.solver import Stop, run
from torchglm.solvers.start import Start, mean_response


@dataclass(frozen=True)
class Totals:
    """Sums over the rows of positive weight; n as the weights count."""

    deviance: float
    pearson: float
    saturated: float
    sum_weights: float
    n: float

    def log_likelihood(self, family: Family) -> float:
        """R's logLik from these totals; NaN for a family without likelihood."""
        if not family.has_likelihood:
            return math.nan
        return family.log_likelihood(self.deviance, self.n, self.sum_weights, self.saturated)  # type: ignore[arg-type]


def totals(objective: Objective, theta: Tensor, family: Family, weights: Weights | None) -> Totals:
    """The totals at theta: one pass."""
    raw = objective.raw(theta)
    model = MeanModel(family)
    frequency = isinstance(weights, Frequency)

    def row_sums(block: Block) -> Sums:
        z = objective.predictors(block, raw)
        w = torch.ones_like(block.y) if block.weight is None else block.weight
        mu = model.mean(z)
        pearson = (block.y - mu).square_().div_(family.variance(mu))
        saturated = saturated_rows(family, block, w, weights).sum()
        sums = {
            "deviance": model.deviance(block.y, z).dot(w),
            "pearson": pearson.nan_to_num_(nan=0.0).dot(w),
            "saturated": saturated,
            "weights": w.sum(),
            "n": w.sum() if frequency else torch.tensor(float(block.rows), dtype=torch.float64, device=w.device),
        }
        return Sums(sums)

    sums = objective.design.sum(row_sums)
    return Totals(*(float(sums[name]) for name in ("deviance", "pearson", "saturated", "weights", "n")))


def saturated_rows(family: Family, block: Block, w: Tensor, weights: Weights | None) -> Tensor:
    """(rows,) the saturated log likelihoods of a block's rows, weights included."""
    if isinstance(weights, Frequency):  # a row of frequency w is w rows of weight one
        return family.saturated(block.y, torch.ones_like(w)) * w
    if weights is None or weights.trials is None:
        return family.saturated(block.y, w)
    # As stats::binomial()$aic: the log probability of the successes in the trials, counted weight times.
    trials = weights.trials[block.start : block.start + block.rows].to(w.device)
    return family.saturated(block.y, trials) * (w / trials)


def null_totals(objective: Objective, family: Family, prepared: Prepared) -> Totals:
    """The totals of the model without terms, refitted with the offset; NaN deviance where it leaves its domain.

    Source: the null deviance of stats::glm: a constant where the formula has one, and the offset.
    """
    design = objective.design
    empty = torch.empty(0, dtype=torch.int64, device=design.device)
    nothing = Dense((), torch.empty(0, dtype=torch.float64, device=design.device))
    constant = prepared.schema.has_intercept
    positions = torch.zeros(1, dtype=torch.int64, device=design.device) if constant else empty
    null = objective.on(replace(design, columns=(Columns(constant, nothing, (), positions),)))
    try:
        theta = _null_theta(null, family)
    except DomainError:
        return Totals(math.nan, math.nan, math.nan, math.nan, math.nan)
    return totals(null, theta, family, prepared.weights)


def _null_theta(null: Objective, family: Family) -> Tensor:
    if not null.layout.width:
        return torch.empty(0, dtype=torch.float64, device=null.design.device)
    design = null.design
    if all(offset is None for offset in design.offsets):
        theta = family.link.link(mean_response(design))
        if bool(torch.isfinite(theta).all()):
            return theta
    return run(IRLS(), null, Start(family), Stop()).theta
