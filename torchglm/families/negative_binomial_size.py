"""The negative binomial whose size theta has a linear predictor of its own, on the log scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from torchglm.errors import OptionError
from torchglm.families.count import CountModel, log_mean
from torchglm.families.likelihood import Information, RowTerms
from torchglm.families.negative_binomial_rows import size_rows, size_slope, size_value
from torchglm.families.predictor_rows import curvature_of, gradient_of
from torchglm.numerics.special import betaincc, softplus, standard_gamma

# theta beyond 1e-295 and 1e152 is no other distribution in double precision, and exp(710) overflows.
LOWEST, HIGHEST = -680.0, 350.0
LARGEST_START = 1e4  # theta where the counts vary no more than Poisson counts


@dataclass(frozen=True)
class NegativeBinomialSize(CountModel, name="negative_binomial"):
    """The negative binomial probability of a count, by eta and log theta.

    Variance mu + mu^2 / theta (kind "NB2", R's glm.nb), or mu (1 + 1 / theta) (kind "NB1").

    The expected information of an NB2 is the expected one of eta and of eta with log theta, which is zero, and the
    observed one of log theta, whose expectation has no closed form: inverted, it gives the standard errors of glm.nb.
    """

    predictors: ClassVar[tuple[str, ...]] = ("mean", "log_theta")

    kind: Literal["NB2", "NB1"] = "NB2"

    def __post_init__(self) -> None:
        if self.kind not in ("NB2", "NB1"):
            raise OptionError(f"kind= is 'NB2', variance mu + mu^2/theta, or 'NB1', mu + mu/theta; got {self.kind!r}.")

    def nll(self, y: Tensor, z: Tensor) -> Tensor:
        m = log_mean(self.link, z.select(1, 0), derivatives=False)
        return m.inside(size_value(y, m.value, self._log_size(m.value, z.select(1, 1))))

    def slope(self, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        m = log_mean(self.link, z.select(1, 0), derivatives=True)
        nll, by_m, by_s = size_slope(y, m.value, self._log_size(m.value, z.select(1, 1)))
        if self.kind == "NB1":
            by_m = by_m + by_s
        return m.inside(nll), gradient_of([by_m if m.slope is None else by_m * m.slope, by_s])

    def expand(self, y: Tensor, z: Tensor, *, information: Information = "expected") -> RowTerms:
        m = log_mean(self.link, z.select(1, 0), derivatives=True)
        nll, by_m, by_s, mm, ms, ss, push = size_rows(y, m.value, self._log_size(m.value, z.select(1, 1)))
        if self.kind == "NB1":
            # log r = m + t: the chain is a sum.
            by_m, mm, ms = by_m + by_s, mm + 2.0 * ms + ss, ms + ss
        elif information == "expected":
            mm, ms = push, torch.zeros_like(ms)
        rows = RowTerms(nll, gradient_of([by_m, by_s]), curvature_of({(0, 0): mm, (0, 1): ms, (1, 1): ss}, 2))
        return m.terms(rows, information if self.kind == "NB2" else "observed")

    def _log_size(self, m: Tensor, t: Tensor) -> Tensor:
        return (t if self.kind == "NB2" else t + m).clamp(LOWEST, HIGHEST)

    def zero(self, z: Tensor) -> RowTerms:
        m = log_mean(self.link, z.select(1, 0), derivatives=True)
        s = self._log_size(m.value, z.select(1, 1))
        x = m.value - s
        slope = torch.sigmoid(x) / softplus(x)  # of log softplus(x); it goes to 1 far below zero
        slope = torch.where(x < -30.0, 1.0, slope)
        bend = slope * (torch.sigmoid(-x) - slope)
        by_m, by_s, mm, ms, ss = slope, 1.0 - slope, bend, -bend, bend
        if self.kind == "NB1":
            by_m, mm, ms = by_m + by_s, mm + 2.0 * ms + ss, ms + ss
        value = s + _log_softplus(x)
        rows = RowTerms(value, gradient_of([by_m, by_s]), curvature_of({(0, 0): mm, (0, 1): ms, (1, 1): ss}, 2))
        return m.terms(rows, "observed")

    def log_zero(self, z: Tensor) -> Tensor:
        m = log_mean(self.link, z.select(1, 0), derivatives=False)
        s = self._log_size(m.value, z.select(1, 1))
        return m.inside(s + _log_softplus(m.value - s))

    def predictions(self, z: Tensor) -> dict[str, Tensor]:
        return {"mean": self.mean(z), "theta": torch.exp(z.select(1, 1))}

    def variance(self, z: Tensor) -> Tensor:
        mu, theta = self.mean(z), torch.exp(z.select(1, 1))
        return mu + (mu * mu if self.kind == "NB2" else mu) / theta

    def cdf(self, y: Tensor, z: Tensor) -> Tensor:
        m = log_mean(self.link, z.select(1, 0), derivatives=False)
        s = self._log_size(m.value, z.select(1, 1))
        known = betaincc(y.clamp(min=0.0) + 1.0, torch.exp(s), torch.sigmoid(m.value - s))
        return torch.where(y < 0.0, 0.0, known)

    def sample(self, z: Tensor, generator: torch.Generator | None = None) -> Tensor:
        mu, theta = self.mean(z), torch.exp(z.select(1, 1))
        r = theta if self.kind == "NB2" else theta * mu
        return torch.poisson(mu * standard_gamma(r, generator) / r, generator=generator)

    def start_at(self, mean: Tensor, variance: Tensor) -> Tensor:
        power = mean * mean if self.kind == "NB2" else mean
        theta = power / (variance - mean).clamp(min=0.0)
        return torch.stack([self.link.link(mean), torch.log(theta.clamp(1e-3, LARGEST_START))])


def _log_softplus(x: Tensor) -> Tensor:
    # softplus underflows below -745; below -30 it is e^x (1 - e^x / 2).
    far = x < -30.0
    return torch.where(far, x - 0.5 * torch.exp(x.clamp(max=0.0)), torch.log(softplus(torch.where(far, 0.0, x))))
