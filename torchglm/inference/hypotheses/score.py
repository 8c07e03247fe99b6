"""Rao's score test: how fast the likelihood would rise in directions that a model leaves out.

At the smaller model's linear predictor, with gradient U and expected information I of the larger one:

    U' I^-1 U / phi                     chi2 with rank(larger) - rank(smaller) degrees of freedom

Robust, with the columns split into those of the smaller model and the others (2), A = I_21 I_11^-1 and the meat M of
the larger model's row scores (White 1982, equation 3.10):

    U_2' ([-A, 1] M [-A, 1]')^-1 U_2
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from torchglm.design.block import Block
from torchglm.errors import OptionError
from torchglm.inference.covariance.scores import weighted_squares
from torchglm.inference.hypotheses.linear import squared_length
from torchglm.numerics.sums import Sums
from torchglm.objective.curvature import assemble
from torchglm.objective.objective import Objective, gradient_sums


@dataclass(frozen=True)
class Score:
    """U' I^-1 U at phi = 1, and the rank of the larger model."""

    value: float
    rank: int


def linear_predictor(objective: Objective, theta: Tensor) -> Tensor:
    """(rows,) eta, offset included."""
    raw = objective.raw(theta)
    return objective.design.map(lambda block: objective.predictors(block, raw)[:, 0].clone())


def score(larger: Objective, eta: Tensor) -> Score:
    """The score statistic of a larger model at the linear predictor (rows,) of a smaller one: one pass."""
    eta = eta.to(larger.design.device)
    shifted = larger.on(replace(larger.design, offsets=(eta,)))
    point = shifted.quadratic(torch.zeros(larger.layout.width, dtype=torch.float64, device=eta.device))
    return Score(max(-float(point.gradient.dot(point.step)), 0.0), point.curvature.rank)


def robust_score(larger: Objective, eta: Tensor, added: Tensor, repeats: bool, shown: str) -> tuple[float, int]:
    """The robust statistic and its degrees of freedom; `added` (p,) are the columns that the smaller model leaves out.

    Shapes: `added` in the formula's order of the larger model. `repeats`: a weight repeats its row.
    Raises: OptionError where the scores of the added columns are singular.
    """
    shifted = larger.on(replace(larger.design, offsets=(eta,)))
    layout, columns = larger.layout, larger.design.columns[0]
    added = added.to(eta.device)[layout.positions]
    theta = torch.zeros(layout.width, dtype=torch.float64, device=eta.device)
    point, raw = shifted.quadratic(theta), shifted.raw(theta)

    def row_sums(block: Block) -> Sums:
        terms = larger.likelihood.expand(block.y, larger.predictors(block, raw), information="expected")
        gradient, curvature = terms.gradient[:, 0], terms.curvature[:, 0, 0]
        squared = weighted_squares(block, gradient.square(), repeats)
        curvature = curvature if block.weight is None else curvature * block.weight
        meat = {f"meat {k}": v for k, v in block.columns[0].gram(squared, block.scratch[0]).items()}
        bread = {f"bread {k}": v for k, v in block.columns[0].gram(curvature, block.scratch[0]).items()}
        return Sums({**meat, **bread, **gradient_sums(block, terms.gradient)})

    sums = shifted.sum(row_sums)
    meat, bread = (
        assemble(columns, Sums({k.removeprefix(f"{what} "): v for k, v in sums.parts.items() if k.startswith(what)}))
        for what in ("meat", "bread")
    )
    kept = ~point.curvature.aliased
    old, new = kept & ~added, kept & added
    along = torch.linalg.solve(bread[old][:, old], bread[old][:, new]) if bool(old.any()) else bread[old][:, new]
    gradient = shifted.collapse_gradient(sums)
    effective = gradient[new] - along.T @ gradient[old]
    cross = meat[new][:, old] @ along
    spread = meat[new][:, new] - cross - cross.T + along.T @ meat[old][:, old] @ along
    if not int(new.sum()):
        raise OptionError(f"{shown!r} adds nothing: the columns of the fit span it.")
    return squared_length(effective, spread, shown), int(new.sum())
