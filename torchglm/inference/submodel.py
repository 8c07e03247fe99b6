"""Submodels: the fit of some of a model's columns to the same rows, without reading them again."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from torchglm.design.columns import Columns
from torchglm.inference.estimate import Estimate
from torchglm.inference.totals import Totals
from torchglm.objective.objective import Objective
from torchglm.solvers.irls import IRLS
from torchglm.solvers.solver import run


@dataclass(frozen=True)
class Submodel:
    """What a submodel's fit found: `theta` (its width,) in its objective's inner order."""

    objective: Objective
    theta: Tensor
    totals: Totals
    rank: int
    converged: bool = True

    @property
    def df_resid(self) -> float:
        """n - rank."""
        return self.totals.n - self.rank


def submodel(estimate: Estimate, kept: Tensor) -> Submodel:
    """The maximum-likelihood fit of the columns where `kept` (p,), formula's order, is True.

    The columns keep their coding, as the model matrix columns that stats::anova.glm and drop1.glm refit.
    Raises: DomainError where the fit has no start; DataError where the data were written over.
    """
    estimate.refuse_changed_data()
    design = estimate.objective.design
    objective = estimate.objective.on(replace(design, columns=restricted(design.columns, kept)))
    if not objective.layout.width:
        theta, rank, converged = torch.empty(0, dtype=torch.float64, device=design.device), 0, True
    else:
        solution = run(IRLS(), objective, estimate.start, estimate.stop)
        theta, rank, converged = solution.theta, solution.point.curvature.rank, solution.status.converged
    return Submodel(objective, theta, estimate.totals_at(objective, theta), rank, converged)


def restricted(columns: tuple[Columns, ...], kept: Tensor) -> tuple[Columns, ...]:
    """The columns of each predictor where `kept` (p,), formula's order, is True.

    Predictors that share theirs go on sharing them.
    """
    known: dict[tuple[int, tuple[bool, ...]], Columns] = {}
    out = []
    for one, own in zip(columns, kept.split([c.width for c in columns]), strict=True):
        key = id(one), tuple(own.tolist())
        if key not in known:
            known[key] = one.restricted(own.to(one.positions.device)[one.positions])
        out.append(known[key])
    return tuple(one if all(out[k].constant for k in one.takers) else one.uncentred() for one in out)
