"""Standardised coefficients: those of columns that are centred and scaled, on which one learning rate suits all."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from torchglm.design.block import Block
from torchglm.numerics.sums import Sums
from torchglm.objective.objective import Objective, gradient_sums

MOST_STEPS = 30
NEAR = 0.1  # standard errors: near enough for a start


@dataclass(frozen=True)
class Standard:
    """theta from standardised coefficients and back, and the gradient in them.

    theta_j = s_j b_j, and of the constant theta_0 = s_0 b_0 - sum_j c_j theta_j: the column of b_j is s_j (x_j - c_j).

    Shapes: scale s, centers c (zero at constants), home: where the constant of each coefficient's predictor stands.
    """

    scale: Tensor
    centers: Tensor
    home: Tensor

    def theta(self, standard: Tensor) -> Tensor:
        """(p,) inner theta of standardised coefficients."""
        theta = standard * self.scale
        return theta.index_add(0, self.home, -self.centers * theta)

    def of(self, theta: Tensor) -> Tensor:
        """(p,) standardised coefficients of an inner theta."""
        return theta.index_add(0, self.home, self.centers * theta) / self.scale

    def gradient(self, gradient: Tensor) -> Tensor:
        """(p,) the gradient in the standardised coefficients, from that in theta."""
        return (gradient - self.centers * gradient[self.home]) * self.scale


def standard_at(objective: Objective, theta: Tensor, diagonal: Tensor) -> Standard:
    """Columns orthogonal to the constant of their predictor, and of length n, under the expected information at theta.

    Shapes: diagonal (p,) of that information. One pass.
    """
    raw = objective.raw(theta)

    def row_sums(block: Block) -> Sums:
        terms = objective.likelihood.expand(block.y, objective.predictors(block, raw), information="expected")
        return Sums(gradient_sums(block, terms.curvature.diagonal(dim1=1, dim2=2)))

    with_constant = objective.collapse_gradient(objective.sum(row_sums))  # the information of x_j and its constant
    centers, home = torch.zeros_like(theta), torch.zeros_like(theta, dtype=torch.int64)
    start = 0
    for columns in objective.layout.columns:
        stop = start + columns.width
        home[start:stop] = start
        if columns.constant and bool(diagonal[start] > 0):
            centers[start + 1 : stop] = with_constant[start + 1 : stop] / diagonal[start]
        start = stop
    left = diagonal - centers.square() * diagonal[home]
    # A column that is constant, or nearly, keeps its length: dividing by what rounding left of it would be noise.
    left = torch.where(left > 1e-8 * diagonal, left, diagonal)
    scale = torch.where(left > 0, left / objective.design.n, 1.0).rsqrt()
    return Standard(scale, centers, home)


def settled(objective: Objective, theta: Tensor) -> Tensor:
    """(p,) theta with its constants, all else being as it is, moved to where an offset wants them: scoring steps.

    Without it log(exposure) puts every mean at a thousand times the response, where a gradient is as large.
    """
    if all(offset is None for offset in objective.design.offsets):
        return theta
    constants, start = torch.zeros_like(theta), 0
    for columns in objective.layout.columns:
        constants[start] = float(columns.constant)
        start += columns.width
    found = objective.diagonal(theta)
    for _ in range(MOST_STEPS):
        step = torch.where(found.diagonal > 0, -found.gradient / found.diagonal, 0.0) * constants
        length = float((step.square() * found.diagonal).sum().sqrt())
        if not NEAR < length < math.inf:
            return theta
        shares = 0.5 ** torch.arange(10, dtype=theta.dtype, device=theta.device)
        values = objective.values(theta[:, None] + step[:, None] * shares)
        lower = torch.nonzero(values < found.value).flatten()
        if not len(lower):
            return theta
        theta = theta + step * shares[lower[0]]
        found = objective.diagonal(theta)
    return theta
