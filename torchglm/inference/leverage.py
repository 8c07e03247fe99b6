"""Leverages: h_i = w_i c_i x_i' A x_i, the diagonal of the hat matrix of the last weighted least-squares step.

A is the inverse expected information at phi = 1 and c_i the expected curvature of a row of weight one. No n x n matrix
and no model matrix: the quadratic form is taken part by part (`RowColumns.quadratic_form`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from torchglm.design.block import Block
from torchglm.design.weights import Frequency
from torchglm.inference.estimate import Estimate


@dataclass(frozen=True)
class Hat:
    """What leverages need beside a block: A over raw columns, and whether a weight repeats its row."""

    raw_inverse: Tensor  # (raw width, raw width)
    repeats: bool

    @staticmethod
    def of(estimate: Estimate) -> Hat:
        """That of an estimate."""
        columns = estimate.layout.columns[0]
        inverse = estimate.curvature.inverse()
        return Hat(columns.expand(columns.expand(inverse).T), isinstance(estimate.prepared.weights, Frequency))

    def leverage(self, block: Block, curvature: Tensor) -> Tensor:
        """(rows,) from the expected curvatures (rows,) of the rows at weight one; of one copy of a repeated row."""
        h = block.columns[0].quadratic_form(self.raw_inverse).mul_(curvature)
        return h if block.weight is None or self.repeats else h.mul_(block.weight)


def leverage(estimate: Estimate) -> Tensor:
    """(rows used,) leverages, rows of zero weight included, as stats::hatvalues; of one copy of a repeated row."""
    estimate.refuse_changed_data()
    objective = estimate.objective.on(estimate.prepared.whole)
    raw, hat = objective.raw(estimate.solution.theta), Hat.of(estimate)

    def of_block(block: Block) -> Tensor:
        terms = objective.likelihood.expand(block.y, objective.predictors(block, raw), information="expected")
        return hat.leverage(block, torch.nan_to_num(terms.curvature[:, 0, 0]))

    return objective.design.map(of_block)
