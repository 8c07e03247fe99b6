"""The rows of a fit as arrays, for checks that sort, group or simulate them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from torchglm.design.among_ranks import of_all
from torchglm.design.block import Block
from torchglm.design.weights import Frequency
from torchglm.families.mean import MeanModel
from torchglm.inference.estimate import Estimate


@dataclass(frozen=True)
class Rows:
    """The rows of positive weight, of all ranks, as arrays (rows,).

    `w` is the prior weight of one copy of a row, `copies` how many observations the row stands for.
    """

    y: np.ndarray
    mu: np.ndarray
    eta: np.ndarray
    variance: np.ndarray
    w: np.ndarray
    copies: np.ndarray

    @cached_property
    def pearson(self) -> np.ndarray:
        """Squared Pearson residuals of one copy."""
        return self.w * (self.y - self.mu) ** 2 / self.variance


def used_rows(estimate: Estimate) -> Rows:
    """Those of an estimate: one pass."""
    estimate.refuse_changed_data()
    objective, model = estimate.objective, MeanModel(estimate.family)
    raw = objective.raw(estimate.solution.theta)

    def of_block(block: Block) -> Tensor:
        z = objective.predictors(block, raw)
        mu = model.mean(z)
        w = torch.ones_like(block.y) if block.weight is None else block.weight
        return torch.stack([block.y, mu, z[:, 0], estimate.family.variance(mu), w], dim=1)

    y, mu, eta, variance, w = of_all(objective.design, objective.design.map(of_block).cpu()).unbind(1)
    ones = torch.ones_like(w)
    w, copies = (ones, w) if isinstance(estimate.prepared.weights, Frequency) else (w, ones)
    return Rows(*(v.contiguous().numpy() for v in (y, mu, eta, variance, w, copies)))


def spread(estimate: Estimate, values: Tensor) -> Tensor:
    """One value a row of positive weight that is held -> one a row of the data, NaN elsewhere."""
    prepared = estimate.prepared
    if prepared.zero_weight:
        assert prepared.whole.weight is not None
        used = torch.full((len(prepared.whole.y),), math.nan, dtype=torch.float64)
        used[(prepared.whole.weight > 0).cpu()] = values.cpu()
        values = used
    return estimate.rows(values.cpu())
