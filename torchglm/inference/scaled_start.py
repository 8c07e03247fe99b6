"""Where a fit of an ordinal model with scale effects begins.

Its scale e^(z' gamma) has no constant. On columns far from zero a change of gamma scales every row, which the cuts and
slopes would have to follow: a narrow, bent valley. On centred columns there is none, and there

    (cut - eta) / e^((z - c)' gamma) = (cut e^(c' gamma) - eta e^(c' gamma)) / e^(z' gamma)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from torchglm.design.block import Block
from torchglm.inference.vector import VectorStart
from torchglm.numerics.sums import Sums
from torchglm.objective.objective import Objective, gradient_sums
from torchglm.solvers.irls import IRLS
from torchglm.solvers.solver import Stop, run
from torchglm.solvers.start import Evaluated

ENOUGH = 1e-3  # standard errors


class ScaledStart(VectorStart):
    """The maximum over centred columns of the scale, the last predictor, in the coefficients of those as given."""

    def first(self, objective: Objective, evaluate: Callable[[Tensor], Evaluated]) -> tuple[Tensor, Evaluated]:
        """As VectorStart has it."""
        design = objective.design
        if self.given is not None or not design.columns[-1].dense.width or design.offsets[0] is not None:
            return super().first(objective, evaluate)
        centers = _means(objective)
        *others, scale = design.columns
        centred = replace(scale, dense=replace(scale.dense, centers=centers))
        plain = VectorStart(self.family, likelihood=self.likelihood)
        found = run(
            IRLS(), objective.on(replace(design, columns=(*others, centred))), plain, Stop(ENOUGH, max_steps=50)
        )
        theta = found.theta.clone()
        gamma = objective.layout.split(theta)[-1]
        at = scale.widths[0]
        factor = torch.exp(centers @ gamma[at : at + len(centers)])
        theta[: len(theta) - len(gamma)] *= factor
        value = evaluate(theta)
        if not torch.isfinite(factor) or not value.value < objective.slope(self.flat(objective)).value:
            return super().first(objective, evaluate)
        return theta, value


def _means(objective: Objective) -> Tensor:
    """(dense width,) of the last predictor's dense columns, rows weighted."""
    scale = objective.design.columns[-1]

    def row_sums(block: Block) -> Sums:
        ones = block.y.new_zeros(block.rows, len(block.columns))
        ones[:, -1] = 1.0
        weight = block.y.new_ones(block.rows) if block.weight is None else block.weight
        return Sums({"weight": weight.sum(), **gradient_sums(block, ones)})

    sums = objective.sum(row_sums)
    ones = objective.layout.split(objective.collapse_gradient(sums))[-1]
    at = scale.widths[0]
    return ones[at : at + scale.dense.width] / sums["weight"]
