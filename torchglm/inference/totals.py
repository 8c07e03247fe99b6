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
from torchglm.errors import DataError, DomainError
from torchglm.families.family import Family
from torchglm.families.mean import MeanModel
from torchglm.numerics.sums import Sums
from torchglm.objective.objective import Objective, gradient_sums
from torchglm.solvers.irls import IRLS
from torchglm.solvers.solver import Solution, Stop, dispersion, run
from torchglm.solvers.start import Start, mean_response

CHANGED = 1e-2  # standard errors that a gradient cannot have moved by itself
ROUNDING_ROOM = 1e-11  # of the fit's length: what rounding can move it by where phi is next to nothing


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


def totals(
    objective: Objective, theta: Tensor, family: Family, weights: Weights | None, solution: Solution | None = None
) -> Totals:
    """The totals at theta: one pass, which looks at the gradient too where a `solution` says what it was.

    Raises: DataError where the gradient is another one than the solution's, because the data were written over.
    """
    raw = objective.raw(theta)
    model = MeanModel(family)
    frequency = isinstance(weights, Frequency)

    def row_sums(block: Block) -> Sums:
        z = objective.predictors(block, raw)
        w = torch.ones_like(block.y) if block.weight is None else block.weight
        mu = model.mean(z)
        pearson = (block.y - mu).square_().div_(family.variance(mu))
        # A row of frequency w is w rows of weight one.
        saturated = (
            family.saturated(block.y, torch.ones_like(w)).dot(w) if frequency else family.saturated(block.y, w).sum()
        )
        sums = {
            "deviance": model.deviance(block.y, z).dot(w),
            "pearson": pearson.nan_to_num_(nan=0.0).dot(w),
            "saturated": saturated,
            "weights": w.sum(),
            "n": w.sum() if frequency else torch.tensor(float(block.rows), dtype=torch.float64, device=w.device),
        }
        if solution is not None:
            sums |= gradient_sums(block, model.slope(block.y, z)[1])
        return Sums(sums)

    sums = objective.design.sum(row_sums)
    if solution is not None:
        _refuse_changed_data(objective.collapse_gradient(sums), solution, objective)
    return Totals(*(float(sums[name]) for name in ("deviance", "pearson", "saturated", "weights", "n")))


def _refuse_changed_data(gradient: Tensor, solution: Solution, objective: Objective) -> None:
    """Nothing, where the gradient is what the search left of it: columns are views, which the user may write to."""
    point = solution.point
    moved = gradient if solution.status.converged else gradient - point.gradient
    distance = float(moved.dot(point.curvature.solve(moved))) ** 0.5
    if not distance <= CHANGED * max(dispersion(objective, point), 0.0) ** 0.5 + ROUNDING_ROOM * point.length:
        raise DataError(
            "The data have been written over since the fit, so that what was not computed yet no longer can be. "
            "Print the summary first, or fit a copy: glm(formula, data.copy())."
        )


def null_totals(objective: Objective, family: Family, prepared: Prepared) -> Totals:
    """The totals of the model without terms, refitted with the offset; NaN deviance where it leaves its domain.

    Source: the null deviance of stats::glm: a constant where the formula has one, and the offset.
    """
    design = objective.design
    empty = torch.empty(0, dtype=torch.int64, device=design.y.device)
    nothing = Dense((), torch.empty(0, dtype=torch.float64, device=design.y.device))
    constant = prepared.schema.has_intercept
    positions = torch.zeros(1, dtype=torch.int64, device=design.y.device) if constant else empty
    null = objective.on(replace(design, columns=(Columns(constant, nothing, (), positions),)))
    try:
        theta = _null_theta(null, family)
    except DomainError:
        return Totals(math.nan, math.nan, math.nan, math.nan, math.nan)
    return totals(null, theta, family, prepared.weights)


def _null_theta(null: Objective, family: Family) -> Tensor:
    if not null.layout.width:
        return torch.empty(0, dtype=torch.float64, device=null.design.y.device)
    design = null.design
    if all(offset is None for offset in design.offsets):
        theta = family.link.link(mean_response(design))
        if bool(torch.isfinite(theta).all()):
            return theta
    return run(IRLS(), null, Start(family), Stop()).theta
