"""Starting values: the means that R starts from, carried to coefficients by one weighted least-squares step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from torchglm.design.block import Block
from torchglm.design.design import Design
from torchglm.errors import DomainError
from torchglm.families.family import Family
from torchglm.families.likelihood import Likelihood, RowTerms
from torchglm.numerics.sums import Sums
from torchglm.objective.objective import Objective, Slope

Evaluated = TypeVar("Evaluated", bound=Slope)


@dataclass(frozen=True)
class FirstStep(Likelihood):
    """The quadratic whose minimum is the first scoring step from mu = start(y, w).

    y holds two columns here: the working response and the working weight of R's glm.fit.
    """

    predictors = ("mean",)

    def nll(self, y: Tensor, z: Tensor) -> Tensor:
        """w (g(mu) - eta)^2 / 2."""
        return 0.5 * y[:, 1] * (y[:, 0] - z[:, 0]).square()

    def expand(self, y: Tensor, z: Tensor, *, information: str = "expected") -> RowTerms:
        """Its row terms: the curvature is the working weight."""
        residual = z[:, 0] - y[:, 0]
        gradient = y[:, 1] * residual
        return RowTerms(0.5 * gradient * residual, gradient[:, None], y[:, 1, None, None])

    def mean(self, z: Tensor) -> Tensor:
        """eta itself."""
        return z[:, 0]


def first_theta(objective: Objective, family: Family) -> Tensor | None:
    """theta (p,) after the first scoring step from the family's starting means; None where one has no finite eta.

    Source: the first iteration of stats::glm.fit from `mustart`.
    """
    design, link = objective.design, family.link
    y = design.y.to(torch.float64)
    weight = torch.ones_like(y) if design.weight is None else design.weight
    mu = family.start(y, weight)
    eta = link.link(mu)
    slope = link.derivative(eta)
    working = slope.square() / family.variance(mu)
    good = torch.isfinite(eta) & torch.isfinite(working) & family.mean_domain.contains(mu) & (working > 0)
    if not bool(good.all()):
        return None
    target = torch.stack([eta + (y - mu) / slope, working], dim=1)
    zero = torch.zeros(objective.layout.width, dtype=torch.float64, device=design.y.device)
    return Objective(replace(design, y=target), FirstStep(), objective.meter).quadratic(zero).step


def mean_response(design: Design) -> Tensor:
    """(1,) the weighted mean of y."""

    def row_sums(block: Block) -> Sums:
        w = torch.ones_like(block.y) if block.weight is None else block.weight
        return Sums({"y": block.y.dot(w), "w": w.sum()})

    sums = design.without_columns().sum(row_sums)
    return (sums["y"] / sums["w"]).reshape(1)


def intercept_theta(objective: Objective, family: Family) -> Tensor:
    """theta (p,) with the link of the mean response as its constant, zero elsewhere."""
    design = objective.design
    mean = mean_response(design)
    theta = torch.zeros(objective.layout.width, dtype=torch.float64, device=design.y.device)
    if design.columns[0].constant:
        theta[0] = family.link.link(mean)[0]
    return theta


@dataclass(frozen=True)
class Start:
    """Where a fit begins: the user's coefficients, or the first scoring step, or where that fails the mean."""

    family: Family
    given: Tensor | None = None  # (p,), inner order

    def first(self, objective: Objective, evaluate: Callable[[Tensor], Evaluated]) -> tuple[Tensor, Evaluated]:
        """theta (p,) with a finite objective, and what `evaluate` says there: no pass is spent on looking alone.

        Raises: DomainError where there is none.
        """
        for begin in (self._given,) if self.given is not None else (first_theta, intercept_theta):
            theta = begin(objective, self.family)
            if theta is not None and bool(torch.isfinite(theta).all()):
                found = evaluate(theta)
                if math.isfinite(found.value):
                    return theta, found
        whose = "start=" if self.given is not None else "the first scoring step and the mean response"
        raise DomainError(
            f"The mean leaves its domain {self.family.mean_domain} at the start: tried {whose} under the "
            f"{self.family.link.name} link of the {self.family.name} family. "
            "Give start= (a coefficient vector) that keeps every mean inside, or another link."
        )

    def _given(self, objective: Objective, family: Family) -> Tensor | None:
        return self.given
