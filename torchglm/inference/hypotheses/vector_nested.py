"""Whether one model of several linear predictors is a special case of another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from torchglm.design.block import Block
from torchglm.families.custom import Custom
from torchglm.families.likelihood import Likelihood
from torchglm.families.ordinal import Ordinal
from torchglm.inference.hypotheses.nested import IN_SPAN, PROBES
from torchglm.inference.vector import VectorEstimate
from torchglm.numerics.linalg import Factored
from torchglm.numerics.sums import Sums
from torchglm.objective.joint import factor_all
from torchglm.objective.objective import gradient_sums


def extra_predictors(small: Likelihood, large: Likelihood) -> int | None:
    """How many predictors the larger law has beyond those of the smaller, zero there; None where it is another law."""
    if isinstance(small, Ordinal) and isinstance(large, Ordinal) and large.scale and not small.scale:
        return 1 if replace(small, scale=True) == large else None
    return 0 if _law(small) == _law(large) else None


def _law(likelihood: Likelihood) -> Likelihood:
    """The likelihood without what is no part of its law."""
    return replace(likelihood, mean_function=None, starts=None) if isinstance(likelihood, Custom) else likelihood


def spans(large: VectorEstimate, small: VectorEstimate, extra: int = 0) -> bool:
    """Whether the predictors of the smaller model are, as far as rows know them, those of the larger at some theta.

    So a column of the mean of an ordinal model is one of all its cuts. `extra` predictors of the larger are zero in the
    smaller.
    """
    origin = _predictors(small, torch.zeros(small.layout.width), extra)
    apart = origin - _predictors(large, torch.zeros(large.layout.width))  # what offsets differ by
    generator = torch.Generator().manual_seed(0)
    lengths = torch.where(small.curvature.lengths > 0, small.curvature.lengths, 1.0)
    drawn = torch.randn(PROBES, len(lengths), dtype=torch.float64, generator=generator)
    mixes = drawn.to(lengths.device) / lengths
    probes = [_predictors(small, mix, extra) - origin for mix in mixes]
    if large.objective.design.total(float(apart.abs().sum())) > 0.0:
        probes.append(apart)
    projected = _Projected(large)
    return all(projected.is_near(probe) for probe in probes)


def _predictors(estimate: VectorEstimate, theta: Tensor, extra: int = 0) -> Tensor:
    """(rows held, q) the predictors at an inner theta, and `extra` that are zero."""
    objective = estimate.objective
    raw = objective.raw(theta.to(objective.design.device, torch.float64))
    z = objective.design.map(lambda block: objective.predictors(block, raw).clone())
    return torch.cat([z, z.new_zeros(len(z), extra)], dim=1)


@dataclass(frozen=True)
class _Projected:
    """Least squares on the columns of a model, each row counting what it knows of its predictors."""

    estimate: VectorEstimate

    def is_near(self, target: Tensor) -> bool:
        """Whether predictors (rows held, q) are those of some theta: nothing is left, after one refinement."""
        rest = target
        for _ in range(2):
            rest = rest - (_predictors(self.estimate, self._nearest(rest)) - self._origin)
        return self._size(rest) <= IN_SPAN**2 * self._size(target)

    def _nearest(self, target: Tensor) -> Tensor:
        def row_sums(block: Block) -> Sums:
            return Sums(gradient_sums(replace(block, weight=None), self._known(block, target)))

        objective = self.estimate.objective
        return self._curvature.solve(objective.collapse_gradient(objective.design.sum(row_sums)))

    def _size(self, target: Tensor) -> float:
        def row_sums(block: Block) -> Sums:
            own = target[block.start : block.start + block.rows]
            return Sums({"size": (self._known(block, target) * own).sum()})

        return float(self.estimate.objective.design.sum(row_sums)["size"])

    def _known(self, block: Block, target: Tensor) -> Tensor:
        """(rows, q) what the rows of a block know, times their targets."""
        own = target[block.start : block.start + block.rows]
        return torch.einsum("ikl,il->ik", self.estimate.known(block), own)

    @cached_property
    def _origin(self) -> Tensor:
        """(rows held, q) what offsets alone make."""
        return _predictors(self.estimate, torch.zeros(self.estimate.layout.width))

    @cached_property
    def _curvature(self) -> Factored:
        return factor_all(self.estimate.layout, self.estimate.column_sums)
