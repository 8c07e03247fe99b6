"""The negative binomial family of a known theta: a Poisson whose mean is gamma distributed with shape theta."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from torchglm.errors import OptionError
from torchglm.families.family import Family, weight_or_one
from torchglm.families.link import POSITIVE, Interval, Link
from torchglm.families.links import Log
from torchglm.numerics.special import kl_div, poisson_peak, standard_gamma


@dataclass(frozen=True)
class NegativeBinomial(Family, name="negative_binomial"):
    """V(mu) = mu + mu^2 / theta, with theta as in R's MASS: 1 / theta is the overdispersion."""

    ends: ClassVar[tuple[float, ...]] = (0.0,)
    default_link: ClassVar[type[Link]] = Log
    mean_domain: ClassVar[Interval] = POSITIVE
    support: ClassVar[str] = "non-negative"
    has_dispersion: ClassVar[bool] = False
    has_likelihood: ClassVar[bool] = True

    theta: float = field(kw_only=True)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.theta) and self.theta > 0.0):
            raise OptionError(f"NegativeBinomial(theta=...) takes a positive finite number; got {self.theta!r}.")

    def variance(self, mu: Tensor) -> Tensor:
        return mu + mu * mu / self.theta

    def variance_derivative(self, mu: Tensor) -> Tensor:
        return 1.0 + 2.0 * mu / self.theta

    def unit_deviance(self, y: Tensor, mu: Tensor) -> Tensor:
        return 2.0 * (kl_div(y, mu) - kl_div(y + self.theta, mu + self.theta))

    def nll(self, y: Tensor, mu: Tensor) -> Tensor:
        return (y + self.theta) * torch.log1p(mu / self.theta) - y * torch.log(mu)

    def start(self, y: Tensor, w: Tensor) -> Tensor:
        return torch.where(y == 0, 1.0 / 6.0, y)

    def saturated(self, y: Tensor, w: Tensor) -> Tensor:
        # log Gamma(a) = a log a - a - peak(a) - log a; at mu = y the a log a terms cancel on paper, not in lgamma.
        total = y + self.theta
        theta = torch.full_like(y, self.theta)
        return w * (poisson_peak(y) + poisson_peak(theta) - poisson_peak(total) + torch.log(theta / total))

    def log_prob(self, y: Tensor, mu: Tensor, phi: float | Tensor = 1.0, w: Tensor | None = None) -> Tensor:
        weight = weight_or_one(w, y)
        return self.saturated(y, weight) - 0.5 * weight * self.unit_deviance(y, mu)

    def sample(
        self, mu: Tensor, phi: float | Tensor = 1.0, generator: torch.Generator | None = None, w: Tensor | None = None
    ) -> Tensor:
        frailty = standard_gamma(torch.full_like(mu, self.theta), generator) / self.theta
        return torch.poisson(mu * frailty, generator=generator)
