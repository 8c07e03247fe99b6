"""Residuals, one a row, by name; w is the prior weight (trials and frequencies included).

response    y - mu
pearson     (y - mu) sqrt(w / V)
deviance    sign(y - mu) sqrt(w d)
working     (y - mu) d eta / d mu
anscombe    A(y, mu) sqrt(w)                 McCullagh & Nelder 1989, section 2.4.2
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from torchglm.design.block import Block
from torchglm.errors import UnknownNameError, did_you_mean
from torchglm.families.mean import MeanModel
from torchglm.inference.estimate import Estimate

RowResidual = Callable[[MeanModel, Block, Tensor, Tensor], Tensor]  # (model, block, z, w) -> (rows,)


def _response(model: MeanModel, block: Block, z: Tensor, w: Tensor) -> Tensor:
    return block.y - model.mean(z)


def _pearson(model: MeanModel, block: Block, z: Tensor, w: Tensor) -> Tensor:
    mu = model.mean(z)
    return (block.y - mu) * (w / model.family.variance(mu)).sqrt()


def _deviance(model: MeanModel, block: Block, z: Tensor, w: Tensor) -> Tensor:
    size = (w * model.deviance(block.y, z)).sqrt()
    return torch.where(block.y < model.mean(z), -size, size)


def _working(model: MeanModel, block: Block, z: Tensor, w: Tensor) -> Tensor:
    return (block.y - model.mean(z)) / model.family.link.derivative(z[:, 0])


def _anscombe(model: MeanModel, block: Block, z: Tensor, w: Tensor) -> Tensor:
    return model.family.anscombe(block.y, model.mean(z)) * w.sqrt()


RESIDUALS: dict[str, RowResidual] = {
    "response": _response,
    "pearson": _pearson,
    "deviance": _deviance,
    "working": _working,
    "anscombe": _anscombe,
}


def residuals(estimate: Estimate, kind: str, also: tuple[str, ...] = ()) -> Tensor:
    """(rows of the data,) residuals, NaN where a row was dropped. Rows of zero weight have theirs.

    Raises: UnknownNameError, which offers the kinds of `also` too.
    """
    if kind not in RESIDUALS:
        raise UnknownNameError(f"There is no residual {kind!r}. {did_you_mean(kind, (*RESIDUALS, *also))}")
    return rows_of(estimate, RESIDUALS[kind])


def fitted(estimate: Estimate) -> Tensor:
    """(rows of the data,) fitted means, NaN where a row was dropped."""
    return rows_of(estimate, lambda model, block, z, w: model.mean(z))


def linear_predictor(estimate: Estimate) -> Tensor:
    """(rows of the data,) eta, offset included, NaN where a row was dropped."""
    return rows_of(estimate, lambda model, block, z, w: z[:, 0].clone())


def rows_of(estimate: Estimate, value: RowResidual) -> Tensor:
    """One value a row of the data."""
    model = MeanModel(estimate.family)

    def of_block(block: Block, z: Tensor) -> Tensor:
        w = torch.ones_like(block.y) if block.weight is None else block.weight
        return value(model, block, z, w)

    return each_row(estimate, of_block)


def each_row(estimate: Estimate, value: Callable[[Block, Tensor], Tensor]) -> Tensor:
    """(rows of the data, ...) what `value` gives for blocks and their predictors z (rows, q), NaN where dropped."""
    estimate.refuse_changed_data()
    objective = estimate.objective.on(estimate.prepared.whole)
    raw = objective.raw(estimate.solution.theta)
    return estimate.rows(objective.design.map(lambda block: value(block, objective.predictors(block, raw))))
