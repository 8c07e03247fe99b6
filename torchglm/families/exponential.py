"""The five exponential families: one a class, one fact a line.

The deviances of four of them are made of kl_div(y, mu) = y log(y/mu) - y + mu, which keeps its digits near y = mu;
their normalisations are made of poisson_peak, which keeps its digits for large counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from torchglm.families.family import Family, weight_or_one
from torchglm.families.link import POSITIVE, REAL, UNIT, Interval, Link
from torchglm.families.links import Identity, Inverse, InverseSquared, Log, Logit
from torchglm.numerics.quadrature import integral
from torchglm.numerics.special import HALF_LOG_2PI, kl_div, poisson_peak, standard_gamma


@dataclass(frozen=True)
class Gaussian(Family, name="gaussian"):
    """V(mu) = 1."""

    default_link: ClassVar[type[Link]] = Identity
    canonical_link: ClassVar[type[Link] | None] = Identity
    mean_domain: ClassVar[Interval] = REAL
    support: ClassVar[str] = "finite"
    has_likelihood: ClassVar[bool] = True
    counts_dispersion: ClassVar[bool] = True

    def variance(self, mu: Tensor) -> Tensor:
        return torch.ones_like(mu)

    def variance_derivative(self, mu: Tensor) -> Tensor:
        return torch.zeros_like(mu)

    def unit_deviance(self, y: Tensor, mu: Tensor) -> Tensor:
        return (y - mu) ** 2

    def nll(self, y: Tensor, mu: Tensor) -> Tensor:
        return 0.5 * (y - mu) ** 2

    def anscombe(self, y: Tensor, mu: Tensor) -> Tensor:
        return y - mu

    def saturated(self, y: Tensor, w: Tensor) -> Tensor:
        return 0.5 * torch.log(w)

    def log_likelihood(self, deviance: float, n: int, sum_w: float, saturated: float) -> float:
        return saturated - 0.5 * n * (_log(2.0 * math.pi * deviance / n) + 1.0)

    def log_prob(self, y: Tensor, mu: Tensor, phi: float | Tensor = 1.0, w: Tensor | None = None) -> Tensor:
        precision = weight_or_one(w, y) / phi
        return 0.5 * torch.log(precision) - HALF_LOG_2PI - 0.5 * precision * (y - mu) ** 2

    def sample(
        self, mu: Tensor, phi: float | Tensor = 1.0, generator: torch.Generator | None = None, w: Tensor | None = None
    ) -> Tensor:
        noise = torch.randn(mu.shape, generator=generator, dtype=mu.dtype, device=mu.device)
        return mu + noise * torch.sqrt(phi / weight_or_one(w, mu))


@dataclass(frozen=True)
class Poisson(Family, name="poisson"):
    """V(mu) = mu."""

    ends: ClassVar[tuple[float, ...]] = (0.0,)
    default_link: ClassVar[type[Link]] = Log
    canonical_link: ClassVar[type[Link] | None] = Log
    mean_domain: ClassVar[Interval] = POSITIVE
    support: ClassVar[str] = "non-negative"
    has_dispersion: ClassVar[bool] = False
    has_likelihood: ClassVar[bool] = True

    def variance(self, mu: Tensor) -> Tensor:
        return mu

    def variance_derivative(self, mu: Tensor) -> Tensor:
        return torch.ones_like(mu)

    def unit_deviance(self, y: Tensor, mu: Tensor) -> Tensor:
        return 2.0 * kl_div(y, mu)

    def nll(self, y: Tensor, mu: Tensor) -> Tensor:
        return mu - y * torch.log(mu)

    def anscombe(self, y: Tensor, mu: Tensor) -> Tensor:
        return 1.5 * (y ** (2.0 / 3.0) - mu ** (2.0 / 3.0)) / mu ** (1.0 / 6.0)

    def start(self, y: Tensor, w: Tensor) -> Tensor:
        return y + 0.1

    def saturated(self, y: Tensor, w: Tensor) -> Tensor:
        return w * poisson_peak(y)

    def log_prob(self, y: Tensor, mu: Tensor, phi: float | Tensor = 1.0, w: Tensor | None = None) -> Tensor:
        return weight_or_one(w, y) * (poisson_peak(y) - kl_div(y, mu))

    def sample(
        self, mu: Tensor, phi: float | Tensor = 1.0, generator: torch.Generator | None = None, w: Tensor | None = None
    ) -> Tensor:
        return torch.poisson(mu, generator=generator)


@dataclass(frozen=True)
class Binomial(Family, name="binomial"):
    """V(mu) = mu (1 - mu); the response is a proportion, its weight the number of trials."""

    ends: ClassVar[tuple[float, ...]] = (0.0, 1.0)
    default_link: ClassVar[type[Link]] = Logit
    canonical_link: ClassVar[type[Link] | None] = Logit
    mean_domain: ClassVar[Interval] = UNIT
    support: ClassVar[str] = "between 0 and 1"
    has_dispersion: ClassVar[bool] = False
    has_likelihood: ClassVar[bool] = True

    def variance(self, mu: Tensor) -> Tensor:
        return mu * (1.0 - mu)

    def variance_derivative(self, mu: Tensor) -> Tensor:
        return 1.0 - 2.0 * mu

    def unit_deviance(self, y: Tensor, mu: Tensor) -> Tensor:
        return 2.0 * (kl_div(y, mu) + kl_div(1.0 - y, 1.0 - mu))

    def nll(self, y: Tensor, mu: Tensor) -> Tensor:
        return -torch.xlogy(y, mu) - torch.xlogy(1.0 - y, 1.0 - mu)

    def anscombe(self, y: Tensor, mu: Tensor) -> Tensor:
        return (_cox_snell(y) - _cox_snell(mu)) / self.variance(mu) ** (1.0 / 6.0)

    def start(self, y: Tensor, w: Tensor) -> Tensor:
        return (w * y + 0.5) / (w + 1.0)

    def saturated(self, y: Tensor, w: Tensor) -> Tensor:
        # R's dbinom rounds, so that proportions such as 1/3 give whole successes, and warns when they do not.
        trials, successes = torch.round(w), torch.round(w * y)
        failures = trials - successes
        choices = poisson_peak(successes) + poisson_peak(failures) - poisson_peak(trials)
        peak = torch.xlogy(successes, successes / trials) + torch.xlogy(failures, failures / trials)
        unrounded = torch.xlogy(w * y, y) + torch.xlogy(w * (1.0 - y), 1.0 - y)
        return torch.where(trials > 0, choices + (unrounded - peak), unrounded)

    def log_prob(self, y: Tensor, mu: Tensor, phi: float | Tensor = 1.0, w: Tensor | None = None) -> Tensor:
        trials = weight_or_one(w, y)
        return self.saturated(y, trials) - 0.5 * trials * self.unit_deviance(y, mu)

    def sample(
        self, mu: Tensor, phi: float | Tensor = 1.0, generator: torch.Generator | None = None, w: Tensor | None = None
    ) -> Tensor:
        trials = weight_or_one(w, mu)
        return torch.binomial(trials, mu, generator=generator) / trials


@dataclass(frozen=True)
class Gamma(Family, name="gamma", aliases=("Gamma",)):
    """V(mu) = mu^2."""

    default_link: ClassVar[type[Link]] = Inverse
    canonical_link: ClassVar[type[Link] | None] = Inverse
    mean_domain: ClassVar[Interval] = POSITIVE
    support: ClassVar[str] = "positive"
    has_likelihood: ClassVar[bool] = True
    counts_dispersion: ClassVar[bool] = True

    def variance(self, mu: Tensor) -> Tensor:
        return mu * mu

    def variance_derivative(self, mu: Tensor) -> Tensor:
        return 2.0 * mu

    def unit_deviance(self, y: Tensor, mu: Tensor) -> Tensor:
        return 2.0 * kl_div(mu, y) / mu

    def nll(self, y: Tensor, mu: Tensor) -> Tensor:
        return y / mu + torch.log(mu)

    def anscombe(self, y: Tensor, mu: Tensor) -> Tensor:
        return 3.0 * ((y / mu) ** (1.0 / 3.0) - 1.0)

    def check_response(self, y: Tensor, w: Tensor | None = None) -> Tensor:
        return self.mean_domain.contains(y)

    def saturated(self, y: Tensor, w: Tensor) -> Tensor:
        return -w * torch.log(y)

    def log_likelihood(self, deviance: float, n: int, sum_w: float, saturated: float) -> float:
        # Shape sum_w / deviance in every row: R's Gamma treats precision weights as frequencies here.
        if deviance <= 0.0:
            return math.inf
        return saturated + sum_w * (_gamma_peak(sum_w / deviance) - 0.5)

    def ml_dispersion(self, deviance: float, precision: Tensor, repeats: Tensor) -> float:
        """1 / a, a the root of sum w (log(w a) - digamma(w a)) = D / 2, as MASS::gamma.dispersion."""

        def excess(log_shape: float) -> float:
            shape = precision * math.exp(log_shape)
            return float((repeats * precision).dot(shape.log() - torch.digamma(shape))) - 0.5 * deviance

        low, high = -40.0, 40.0  # falling in a: bisected on its log
        for _ in range(200):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if excess(middle) > 0.0 else (low, middle)
        return math.exp(-0.5 * (low + high))

    def log_prob(self, y: Tensor, mu: Tensor, phi: float | Tensor = 1.0, w: Tensor | None = None) -> Tensor:
        shape = weight_or_one(w, y) / phi
        return poisson_peak(shape) + torch.log(shape) - torch.log(y) - 0.5 * shape * self.unit_deviance(y, mu)

    def sample(
        self, mu: Tensor, phi: float | Tensor = 1.0, generator: torch.Generator | None = None, w: Tensor | None = None
    ) -> Tensor:
        shape = weight_or_one(w, mu) / phi
        return mu * standard_gamma(shape, generator) / shape


@dataclass(frozen=True)
class InverseGaussian(Family, name="inverse_gaussian", aliases=("inverse.gaussian",)):
    """V(mu) = mu^3."""

    default_link: ClassVar[type[Link]] = InverseSquared
    canonical_link: ClassVar[type[Link] | None] = InverseSquared
    mean_domain: ClassVar[Interval] = POSITIVE
    support: ClassVar[str] = "positive"
    has_likelihood: ClassVar[bool] = True
    counts_dispersion: ClassVar[bool] = True

    def variance(self, mu: Tensor) -> Tensor:
        return mu * mu * mu

    def variance_derivative(self, mu: Tensor) -> Tensor:
        return 3.0 * mu * mu

    def unit_deviance(self, y: Tensor, mu: Tensor) -> Tensor:
        return ((y - mu) / mu) ** 2 / y

    def nll(self, y: Tensor, mu: Tensor) -> Tensor:
        return (0.5 * y / mu - 1.0) / mu

    def anscombe(self, y: Tensor, mu: Tensor) -> Tensor:
        return torch.log(y / mu) / torch.sqrt(mu)

    def check_response(self, y: Tensor, w: Tensor | None = None) -> Tensor:
        return self.mean_domain.contains(y)

    def saturated(self, y: Tensor, w: Tensor) -> Tensor:
        return -1.5 * w * torch.log(y)

    def log_likelihood(self, deviance: float, n: int, sum_w: float, saturated: float) -> float:
        return saturated - 0.5 * sum_w * (_log(2.0 * math.pi * deviance / sum_w) + 1.0)

    def log_prob(self, y: Tensor, mu: Tensor, phi: float | Tensor = 1.0, w: Tensor | None = None) -> Tensor:
        rate = weight_or_one(w, y) / phi
        return 0.5 * torch.log(rate) - HALF_LOG_2PI - 1.5 * torch.log(y) - 0.5 * rate * self.unit_deviance(y, mu)

    def sample(
        self, mu: Tensor, phi: float | Tensor = 1.0, generator: torch.Generator | None = None, w: Tensor | None = None
    ) -> Tensor:
        # Source: Michael, Schucany & Haas (1976), The American Statistician 30; the smaller root is written as a
        # quotient, since their difference of near equals turns negative for large mu phi.
        normal = torch.randn(mu.shape, generator=generator, dtype=mu.dtype, device=mu.device)
        uniform = torch.rand(mu.shape, generator=generator, dtype=mu.dtype, device=mu.device)
        a = 0.5 * mu * normal**2 * phi / weight_or_one(w, mu)
        ratio = 1.0 / (1.0 + a + torch.sqrt(a * (2.0 + a)))
        return mu * torch.where(uniform * (1.0 + ratio) <= 1.0, ratio, 1.0 / ratio)


def _cox_snell(x: Tensor) -> Tensor:
    # The integral of (t (1 - t))^(-1/3) from 1/2 to x: odd about 1/2, so only its lower half, where t is exact.
    lower = torch.minimum(x, 1.0 - x)
    part = -integral(lambda t, _: (t * (1.0 - t)) ** (-1.0 / 3.0), torch.full_like(x, 0.5), lower)
    return torch.where(x < 0.5, -part, part)


def _gamma_peak(shape: float) -> float:
    k = torch.tensor(shape, dtype=torch.float64)
    return float(poisson_peak(k) + torch.log(k))


def _log(x: float) -> float:
    return math.log(x) if x > 0.0 else -math.inf
