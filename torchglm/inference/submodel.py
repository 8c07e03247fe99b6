"""Submodels: the fit of some of a model's columns to the same rows, without reading them again."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from torchglm.inference.estimate import Estimate
from torchglm.inference.totals import Totals, totals
from torchglm.objective.objective import Objective
from torchglm.solvers.irls import IRLS
from torchglm.solvers.solver import run
from torchglm.solvers.start import Start


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
    columns = design.columns[0]
    smaller = columns.restricted(kept.to(columns.positions.device)[columns.positions])
    objective = estimate.objective.on(replace(design, columns=(smaller,)))
    if not smaller.width:
        theta, rank, converged = torch.empty(0, dtype=torch.float64, device=design.y.device), 0, True
    else:
        solution = run(IRLS(), objective, Start(estimate.family), estimate.stop)
        theta, rank, converged = solution.theta, solution.point.curvature.rank, solution.status.converged
    sums = totals(objective, theta, estimate.family, estimate.prepared.weights)
    return Submodel(objective, theta, sums, rank, converged)
