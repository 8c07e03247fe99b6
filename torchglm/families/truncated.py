"""Counts that were recorded only where they are positive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from torchglm.families.count import CountModel, is_count, resolve_count
from torchglm.families.likelihood import Information, Likelihood, RowTerms
from torchglm.families.resolved import Resolved
from torchglm.families.unit_links import CLogLog

STEPS = 200


@dataclass(frozen=True)
class Truncated(Likelihood):
    """The probability of a count given that it is positive: P(y) / (1 - P(0)).

    With C = log(-log P(0)), log(1 - P(0)) is the log inverse of the complementary log-log link at C, exact where P(0)
    rounds to 0 or to 1.
    """

    support: ClassVar[str] = "a whole number from 1 on"
    is_discrete: ClassVar[bool] = True

    count: Resolved[CountModel] = Resolved("poisson", resolve_count)

    @property
    def predictors(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Those of the count."""
        return self.count.predictors

    @property
    def is_canonical(self) -> bool:
        return self.count.is_canonical

    @property
    def is_convex(self) -> bool:
        return self.count.is_canonical

    def nll(self, y: Tensor, z: Tensor) -> Tensor:
        return self.count.nll(y, z) + CLogLog().log_inverse(self.count.log_zero(z))

    def slope(self, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        count, zero = self.count.slope(y, z), self.count.zero(z)
        tails = CLogLog().tails(zero.nll)
        return count[0] + tails.log_mu, count[1] + tails.slope_mu[:, None] * zero.gradient

    def expand(self, y: Tensor, z: Tensor, *, information: Information = "expected") -> RowTerms:
        count, zero = self.count.expand(y, z, information="observed"), self.count.zero(z)
        link = CLogLog()
        tails = link.tails(zero.nll)
        slope, bend = tails.slope_mu, link.bends(zero.nll, tails).mu
        outer = zero.gradient[:, :, None] * zero.gradient[:, None, :] * bend[:, None, None]
        return RowTerms(
            count.nll + tails.log_mu,
            count.gradient + slope[:, None] * zero.gradient,
            count.curvature + slope[:, None, None] * zero.curvature - outer,
        )

    def mean(self, z: Tensor) -> Tensor:
        # mu / (1 - P(0)), where both may underflow: at mu = 0 it is 1.
        return torch.exp(torch.log(self.count.mean(z)) - CLogLog().log_inverse(self.count.log_zero(z)))

    def variance(self, z: Tensor) -> Tensor:
        mu, mean = self.count.mean(z), self.mean(z)
        return mean * (self.count.variance(z) / mu + mu - mean)

    def cdf(self, y: Tensor, z: Tensor) -> Tensor:
        positive = CLogLog().inverse(self.count.log_zero(z))
        known = ((self.count.cdf(y, z) - (1.0 - positive)) / positive).clamp(max=1.0)
        return torch.where(y < 1.0, 0.0, known)

    def predictions(self, z: Tensor) -> dict[str, Tensor]:
        return {**self.count.predictions(z), "mean": self.mean(z), "count": self.count.mean(z)}

    def check_response(self, y: Tensor) -> Tensor:
        return is_count(y) & (y > 0.0)

    def start(self, y: Tensor, w: Tensor) -> Tensor:
        mean, variance = untruncated_moments(y, w)
        return self.count.start_at(mean, variance)

    def sample(self, z: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One response a row, drawn until it is positive."""
        drawn = self.count.sample(z, generator)
        for _ in range(STEPS):
            zero = drawn == 0.0
            if not bool(zero.any()):
                break
            drawn[zero] = self.count.sample(z[zero], generator)
        return drawn


def untruncated_moments(y: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of the counts whose positive ones have the mean and variance of the positive y.

    They are exact for Poisson counts, and without positive ones 1 and 1.
    """
    w = w * (y > 0.0)
    total = w.sum()
    if not bool(total > 0.0):
        return torch.ones_like(total), torch.ones_like(total)
    mean = torch.dot(w, y) / total
    second = torch.dot(w, y * y) / total
    # mean = mu / (1 - e^-mu): this iteration rises to its root, slowly near mean = 1, where mu is 2 (mean - 1).
    mu = (mean - 1.0).clamp(min=0.5 / (total + 1.0))
    for _ in range(STEPS):
        mu = -mean * torch.expm1(-mu)
    mu = mu.clamp(min=0.5 / (total + 1.0))
    share = -torch.expm1(-mu)
    return mu, (second * share - mu * mu).clamp(min=0.0)
