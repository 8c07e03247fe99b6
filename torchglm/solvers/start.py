"""Starting values: the means that R starts from, carried to coefficients by one weighted least-squares step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from torchglm.design.block import Block
from torchglm.design.design import Design
from torchglm.errors import DomainError
from torchglm.families.family import Family
from torchglm.numerics.sums import Sums
from torchglm.objective.curvature import factor
from torchglm.objective.objective import Objective, Slope, gradient_sums

Evaluated = TypeVar("Evaluated", bound=Slope)


def first_theta(objective: Objective, family: Family) -> Tensor | None:
    """theta (p,) after the first scoring step from the family's starting means; None where one has no finite eta.

    Source: the first iteration of stats::glm.fit from `mustart`.
    """
    zero = torch.zeros(objective.layout.width, dtype=torch.float64, device=objective.design.device)
    raw, link = objective.raw(zero), family.link

    def row_sums(block: Block) -> Sums:
        """The least-squares sums of the working response and weights at the starting means."""
        w = torch.ones_like(block.y) if block.weight is None else block.weight
        mu = family.start(block.y, w)
        eta = link.link(mu)
        slope = link.derivative(eta)
        working = slope.square() / family.variance(mu)
        good = torch.isfinite(eta) & torch.isfinite(working) & family.mean_domain.contains(mu) & (working > 0)
        gap = eta + (block.y - mu) / slope - objective.predictors(block, raw)[:, 0]
        heavy = working * w
        return Sums(
            {
                "bad": (~good).sum().to(torch.float64),
                "total": heavy.sum(),
                **gradient_sums(block, (-working * gap)[:, None]),
                **block.columns[0].gram(heavy, block.scratch[0]),
            }
        )

    sums = objective.sum(row_sums)
    if float(sums["bad"]) > 0.0:
        return None
    curvature = factor(objective.layout, sums, sums["total"])
    return curvature.solve(-objective.collapse_gradient(sums))


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
    theta = torch.zeros(objective.layout.width, dtype=torch.float64, device=design.device)
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
        link, family = self.family.link, self.family
        raise DomainError(
            f"The mean leaves its domain at the start: {family.mean_domain} of the {family.name} family and "
            f"{link.domain} of the {link.name} link; tried {whose}. Give start= (a coefficient vector) that keeps "
            "every mean inside, or a link whose domain holds the responses."
        )

    def flat(self, objective: Objective) -> Tensor:
        """theta (p,) without any effect: where gradient descent begins."""
        return intercept_theta(objective, self.family)

    def _given(self, objective: Objective, family: Family) -> Tensor | None:
        return self.given
