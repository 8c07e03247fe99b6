"""The Tweedie families: the variance is a power of the mean; for 1 < power < 2 a sum of Poisson many gammas."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from torchglm.errors import OptionError
from torchglm.families.exponential import Gamma, Gaussian, InverseGaussian, Poisson
from torchglm.families.family import Family, weight_or_one
from torchglm.families.link import POSITIVE, Interval, Link
from torchglm.families.links import Log
from torchglm.numerics.compound import compound_value
from torchglm.numerics.special import standard_gamma

NAMED: dict[float, type[Family]] = {0.0: Gaussian, 1.0: Poisson, 2.0: Gamma, 3.0: InverseGaussian}


@dataclass(frozen=True)
class Tweedie(Family, name="tweedie"):
    """V(mu) = mu^power. No power strictly between 0 and 1 belongs to a distribution.

    phi  the dispersion that log-likelihoods are taken at, for powers between 1 and 2; without it there are none, as in
         R. tweedie() estimates it. The dispersion of standard errors is another matter, see glm(dispersion=).
    """

    ends: ClassVar[tuple[float, ...]] = (0.0,)
    default_link: ClassVar[type[Link]] = Log
    mean_domain: ClassVar[Interval] = POSITIVE
    support: ClassVar[str] = "non-negative (positive for a power of 2 or more)"

    power: float = field(default=1.5, kw_only=True)
    phi: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if not math.isfinite(self.power) or (self.power < 1.0 and self.power != 0.0):
            raise OptionError(f"Tweedie(power=...) takes 0 or a number from 1 upward; got {self.power!r}.")
        if self.phi is not None and not (1.0 < self.power < 2.0 and math.isfinite(self.phi) and self.phi > 0.0):
            raise OptionError(f"Tweedie(phi=...) takes a positive number, with a power between 1 and 2; got {self!r}.")
        object.__setattr__(self, "mean_domain", NAMED.get(self.power, Poisson).mean_domain)

    @property
    def has_likelihood(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether phi is known."""
        return self.phi is not None

    @property
    def own_dispersion(self) -> float:
        """phi, or 1."""
        return 1.0 if self.phi is None else self.phi

    @cached_property
    def kernel(self) -> Family:
        named = NAMED.get(self.power)
        return self if named is None else named(self.link)

    def variance(self, mu: Tensor) -> Tensor:
        return mu**self.power

    def variance_derivative(self, mu: Tensor) -> Tensor:
        return self.power * mu ** (self.power - 1.0)

    def unit_deviance(self, y: Tensor, mu: Tensor) -> Tensor:
        if self.kernel is not self:
            return self.kernel.unit_deviance(y, mu)
        # With r = log(y / mu) the deviance is 2 mu^(2-p) times the integral over s from 0 to r of
        # expm1(r - s) e^((2-p) s): elementary, but near r = 0 its two halves cancel, and Gauss-Legendre is exact.
        a, b = 1.0 - self.power, 2.0 - self.power
        positive = y > 0
        safe = torch.where(positive, y, mu)
        change = (safe - mu) / mu
        r = torch.where(change.abs() < 0.5, torch.log1p(change), torch.log(safe / mu))
        far = torch.exp(r) * torch.expm1(a * r) / a - torch.expm1(b * r) / b
        short = r.clamp(-0.5, 0.5)
        near = torch.zeros_like(r)
        for x, weight in _LEGENDRE:
            near = near + weight * torch.expm1(short * (1.0 - x)) * torch.exp(b * x * short)
        value = torch.where(r.abs() < 0.5, short * near, far)
        at_zero = 1.0 / b if b > 0.0 else math.inf
        return 2.0 * mu**b * torch.where(positive, value, at_zero)

    def nll(self, y: Tensor, mu: Tensor) -> Tensor:
        if self.kernel is not self:
            return self.kernel.nll(y, mu)
        a, b = self.power - 1.0, 2.0 - self.power
        return y * mu**-a / a + mu**b / b

    def anscombe(self, y: Tensor, mu: Tensor) -> Tensor:
        if self.kernel is not self:
            return self.kernel.anscombe(y, mu)
        exponent = 1.0 - self.power / 3.0
        return (y**exponent - mu**exponent) / exponent / mu ** (self.power / 6.0)

    def check_response(self, y: Tensor, w: Tensor | None = None) -> Tensor:
        if self.kernel is not self:
            return self.kernel.check_response(y, w)
        zero = (y == 0) if self.power < 2.0 else torch.zeros_like(y, dtype=torch.bool)
        return zero | self.mean_domain.contains(y)

    def start(self, y: Tensor, w: Tensor) -> Tensor:
        return torch.where(y == 0, 0.1, y)

    def log_prob(self, y: Tensor, mu: Tensor, phi: float | Tensor = 1.0, w: Tensor | None = None) -> Tensor:
        if self.kernel is not self:
            return self.kernel.log_prob(y, mu, phi, w)
        if self.power > 2.0:
            raise OptionError(f"Tweedie(power={self.power:g}) has no density here; powers from 1 to 2, and 3, have.")
        dispersion = torch.as_tensor(phi, dtype=y.dtype, device=y.device) / weight_or_one(w, y)
        return self._own(y, dispersion.expand_as(y)) - 0.5 * self.unit_deviance(y, mu) / dispersion

    def saturated(self, y: Tensor, w: Tensor) -> Tensor:
        return torch.zeros_like(y) if self.phi is None else self._own(y, self.phi / w)

    def log_likelihood(self, deviance: float, n: int, sum_w: float, saturated: float) -> float:
        return math.nan if self.phi is None else saturated - 0.5 * deviance / self.phi

    def _own(self, y: Tensor, dispersion: Tensor) -> Tensor:
        """The log density at mu = y: the probability of a zero is all deviance."""
        out, positive = torch.zeros_like(y), y > 0
        out[positive] = compound_value(y[positive], dispersion[positive], self.power)
        return out

    def sample(
        self, mu: Tensor, phi: float | Tensor = 1.0, generator: torch.Generator | None = None, w: Tensor | None = None
    ) -> Tensor:
        if self.kernel is not self:
            return self.kernel.sample(mu, phi, generator, w)
        if self.power > 2.0:
            raise OptionError(f"Tweedie(power={self.power:g}) cannot be sampled; powers from 1 to 2, and 3, can.")
        dispersion = phi / weight_or_one(w, mu)
        a, b = self.power - 1.0, 2.0 - self.power
        count = torch.poisson(mu**b / (dispersion * b), generator=generator)
        total = standard_gamma(torch.where(count > 0, count * (b / a), 1.0), generator)
        return torch.where(count > 0, total * (dispersion * a * mu**a), 0.0)


def _legendre_on_unit(order: int) -> tuple[tuple[float, float], ...]:
    nodes, weights = np.polynomial.legendre.leggauss(order)
    return tuple((0.5 * (1.0 + float(x)), 0.5 * float(w)) for x, w in zip(nodes, weights, strict=True))


_LEGENDRE = _legendre_on_unit(10)
