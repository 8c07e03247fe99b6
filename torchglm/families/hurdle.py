"""Counts in two stages: whether there is any, and if so how many."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from torchglm.families.count import CountModel, is_count, resolve_count
from torchglm.families.likelihood import Information, Likelihood, RowTerms
from torchglm.families.link import UnitLink
from torchglm.families.predictor_rows import curvature_of, gradient_of
from torchglm.families.resolved import Resolved, resolve_unit_link
from torchglm.families.truncated import Truncated
from torchglm.families.zero_inflated import count_part, share_of, with_zero, with_zero_at


@dataclass(frozen=True)
class Hurdle(Likelihood):
    """P(y > 0) has a predictor of its own, and a positive y a truncated count's probability: pscl's hurdle.

    The predictors are the mean of the count, the zero predictor, whose inverse link is P(y > 0), and what else the
    count has.
    """

    support: ClassVar[str] = "a whole number from 0 on"
    is_discrete: ClassVar[bool] = True

    count: Resolved[CountModel] = Resolved("poisson", resolve_count)
    zero_link: Resolved[UnitLink] = Resolved("logit", resolve_unit_link)

    @property
    def predictors(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The count's, with the zero predictor second."""
        return with_zero(self.count)

    @property
    def is_convex(self) -> bool:
        return self.positive.is_convex and self.zero_link.log_concave

    @cached_property
    def positive(self) -> Truncated:
        """The likelihood of the positive counts."""
        return Truncated(self.count)

    def nll(self, y: Tensor, z: Tensor) -> Tensor:
        positive = y > 0.0
        counted = self.positive.nll(torch.where(positive, y, 1.0), count_part(z))
        return torch.where(
            positive, counted - self.zero_link.log_inverse(z[:, 1]), -self.zero_link.log_complement(z[:, 1])
        )

    def slope(self, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        positive = y > 0.0
        counted, slopes = self.positive.slope(torch.where(positive, y, 1.0), count_part(z))
        tails = self.zero_link.tails(z[:, 1])
        gradient = [torch.where(positive, column, 0.0) for column in slopes.unbind(1)]
        gradient.insert(1, torch.where(positive, -tails.slope_mu, tails.slope_nu))
        return torch.where(positive, counted - tails.log_mu, -tails.log_nu), gradient_of(gradient)

    def expand(self, y: Tensor, z: Tensor, *, information: Information = "expected") -> RowTerms:
        positive = y > 0.0
        counted = self.positive.expand(torch.where(positive, y, 1.0), count_part(z))
        tails = self.zero_link.tails(z[:, 1])
        bends = self.zero_link.bends(z[:, 1], tails)
        q = z.shape[1]
        own = (0, *range(2, q))
        gradient = [torch.where(positive, column, 0.0) for column in counted.gradient.unbind(1)]
        gradient.insert(1, torch.where(positive, -tails.slope_mu, tails.slope_nu))
        pairs = {(1, 1): torch.where(positive, bends.mu, bends.nu)}
        for i, k in enumerate(own):
            for j, l in enumerate(own[: i + 1]):
                pairs[l, k] = torch.where(positive, counted.curvature[:, j, i], 0.0)
        nll = torch.where(positive, counted.nll - tails.log_mu, -tails.log_nu)
        return RowTerms(nll, gradient_of(gradient), curvature_of(pairs, q))

    def mean(self, z: Tensor) -> Tensor:
        return self.zero_link.inverse(z[:, 1]) * self.positive.mean(count_part(z))

    def variance(self, z: Tensor) -> Tensor:
        counts, rest = count_part(z), self.zero_link.complement(z[:, 1])
        mu = self.positive.mean(counts)
        return self.zero_link.inverse(z[:, 1]) * (self.positive.variance(counts) + rest * mu * mu)

    def cdf(self, y: Tensor, z: Tensor) -> Tensor:
        counted = self.zero_link.inverse(z[:, 1]) * self.positive.cdf(y, count_part(z))
        return torch.where(y < 0.0, 0.0, self.zero_link.complement(z[:, 1]) + counted)

    def predictions(self, z: Tensor) -> dict[str, Tensor]:
        counts = count_part(z)
        return {
            **self.positive.predictions(counts),
            "mean": self.mean(z),
            "positive": self.zero_link.inverse(z[:, 1]),
            "positive_mean": self.positive.mean(counts),
            "zero": self.zero_link.complement(z[:, 1]),
        }

    def check_response(self, y: Tensor) -> Tensor:
        return is_count(y)

    def start(self, y: Tensor, w: Tensor) -> Tensor:
        return with_zero_at(self.positive.start(y, w), self.zero_link.link(share_of(y > 0.0, w)))

    def sample(self, z: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One response a row."""
        uniform = torch.rand(len(z), generator=generator, dtype=z.dtype, device=z.device)
        drawn = self.positive.sample(count_part(z), generator)
        return torch.where(uniform < self.zero_link.inverse(z[:, 1]), drawn, 0.0)
