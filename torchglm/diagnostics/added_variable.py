"""Added variables: a coefficient as the slope of a plain scatter of what other columns leave of it and of the response.

With W the working weights of one copy of each row, and e(v) what is left of v after its W-weighted regression on the
other columns:

score    x = sqrt(W) e(x), y = Pearson residuals of the model without x; W of that model          Wang (1985)
working  x = sqrt(W) e(x), y = sqrt(W) e(z), z the working response; W of the model with x        Cook & Weisberg (1999)

The least-squares slope of "working" is the coefficient itself. That of "score" is one scoring step towards it, from the
model without x; its Pearson correlation with y is what the score test of x looks at.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import torch
from torch import Tensor

from torchglm.design.among_ranks import together_in_shares
from torchglm.design.block import Block
from torchglm.design.environment import DataColumns
from torchglm.design.extras import read_extra
from torchglm.design.weights import Frequency
from torchglm.diagnostics.residuals import RESIDUALS
from torchglm.diagnostics.rows import spread
from torchglm.errors import DataError, OptionError, UnknownNameError, did_you_mean
from torchglm.families.mean import MeanModel
from torchglm.inference.estimate import Estimate
from torchglm.inference.submodel import submodel
from torchglm.numerics.sums import Sums
from torchglm.objective.objective import Objective

KINDS = ("score", "working")


def added_variable(estimate: Estimate, variable: Any, kind: str) -> pd.DataFrame:
    """Columns x and y with the data's index; NaN in dropped rows and in rows of zero weight.

    `variable` is a coefficient of the fit, which is then fitted without it, or (for "score") what the fit may lack: a
    numeric column, an expression in the data, or an array.
    Raises: UnknownNameError, OptionError, DataError.
    """
    if kind not in KINDS:
        raise OptionError(f'kind= is "score" or "working"; got {kind!r}.')
    names = estimate.prepared.schema.names
    if isinstance(variable, str) and variable in names:
        place = names.index(variable)
        if bool(estimate.aliased[place]):
            raise OptionError(f"{variable!r} is aliased: the other columns leave nothing of it to plot.")
        x, y = _of_working(estimate, place) if kind == "working" else _of_submodel(estimate, place)
    elif kind == "working":
        raise OptionError(f'kind="working" takes a coefficient of the fit: {did_you_mean(str(variable), names)}')
    else:
        with together_in_shares(estimate.objective.design, "reading the variable"):
            values = _read(estimate, variable)
        x, y = _of_score(estimate, estimate.objective, estimate.solution.theta, values)
    return pd.DataFrame(
        {"x": spread(estimate, x).numpy(), "y": spread(estimate, y).numpy()}, index=estimate.prepared.index
    )


def _read(estimate: Estimate, variable: Any) -> Tensor:
    """(rows,) the values of a new variable in the rows of positive weight."""
    prepared, source = estimate.prepared, estimate.prepared.source
    extra = read_extra("variable", variable, source)
    if extra is None:
        raise OptionError("added_variable() takes a coefficient, a column, an expression or one value a row.")
    if extra.factor is not None and extra.factor.text.isidentifier() and extra.factor.text not in source:
        known = (*prepared.schema.names, *source.names)
        raise UnknownNameError(f"There is no {variable!r} in fit or data. {did_you_mean(variable, known)}")
    values = extra.read(DataColumns(source, prepared.rows), prepared.schema.caller)
    if not bool(torch.isfinite(values).all()):
        raise DataError(f"{extra.label!r} is missing or infinite in rows of the fit. Fit with it, to drop them.")
    if prepared.zero_weight:
        assert prepared.whole.weight is not None
        values = values[(prepared.whole.weight > 0).cpu()]
    return values.to(prepared.design.device)


def _of_submodel(estimate: Estimate, place: int) -> tuple[Tensor, Tensor]:
    """x and y of the model fitted without a coefficient."""
    columns, layout = estimate.layout.columns[0], estimate.layout
    inner = torch.zeros(layout.width, dtype=torch.float64, device=layout.order.device)
    inner[layout.order[place]] = 1.0
    raw = columns.expand(inner)
    x = estimate.objective.design.map(lambda block: block.columns[0].matvec(raw))
    kept = torch.arange(layout.width) != place
    smaller = submodel(estimate, kept)
    return _of_score(estimate, smaller.objective, smaller.theta, x)


def _of_score(estimate: Estimate, objective: Objective, theta: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """x and y for adding a column to a model fitted at theta: two passes."""
    design, model = objective.design, MeanModel(estimate.family)
    repeats = isinstance(estimate.prepared.weights, Frequency)
    raw = objective.raw(theta)
    if estimate.prepared.schema.has_intercept and objective.layout.columns[0].constant:
        x = x - design.total(float(x.sum())) / design.n  # the same after the regression, with more digits

    def row_sums(block: Block) -> Sums:
        z = objective.predictors(block, raw)
        w = _weights(objective, block, z, repeats=False)
        return Sums({"gradient 0": block.columns[0].rmatvec(w * x[block.start : block.start + block.rows])})

    share = theta
    if objective.layout.width:
        share = objective.quadratic(theta).curvature.solve(objective.collapse_gradient(objective.sum(row_sums)))
    along = objective.raw(share)

    def of_block(block: Block) -> Tensor:
        z = objective.predictors(block, raw)
        left = x[block.start : block.start + block.rows] - block.columns[0].matvec(along[0])
        w = torch.ones_like(block.y) if block.weight is None or repeats else block.weight
        pearson = RESIDUALS["pearson"](model, block, z, w)
        return torch.stack([_weights(objective, block, z, repeats).sqrt() * left, pearson], dim=1)

    found = design.map(of_block)
    return found[:, 0], found[:, 1]


def _of_working(estimate: Estimate, place: int) -> tuple[Tensor, Tensor]:
    """x and y of the fit itself: e(z) = working residual + beta e(x)."""
    objective, layout, theta = estimate.objective, estimate.layout, estimate.solution.theta
    repeats = isinstance(estimate.prepared.weights, Frequency)
    model = MeanModel(estimate.family)
    shifted = dict(layout.shifted_constants())
    along = torch.zeros(layout.width, dtype=torch.float64, device=layout.order.device)
    along[layout.order[place]] = 1.0
    along = shifted.get(place, along)
    solved = estimate.curvature.solve(along)
    # x_j less its regression on the other columns is X H^-1 e_j / (H^-1)_jj.
    left_of_x = objective.raw(solved / along.dot(solved))
    raw, beta = objective.raw(theta), float(estimate.theta[place])

    def of_block(block: Block) -> Tensor:
        z = objective.predictors(block, raw)
        x = block.columns[0].matvec(left_of_x[0])
        root = _weights(objective, block, z, repeats).sqrt()
        working = RESIDUALS["working"](model, block, z, root)
        return torch.stack([root * x, root * (working + beta * x)], dim=1)

    found = objective.design.map(of_block)
    return found[:, 0], found[:, 1]


def _weights(objective: Objective, block: Block, z: Tensor, repeats: bool) -> Tensor:
    """(rows,) working weights; with `repeats` those of one copy of each row."""
    curvature = objective.likelihood.expand(block.y, z, information="expected").curvature[:, 0, 0]
    return curvature if block.weight is None or repeats else curvature * block.weight
