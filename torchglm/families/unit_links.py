"""Links onto (0, 1), exact in both tails.

With nu = 1 - mu, L = log mu, C = log nu, every binomial quantity is a mixture of L, C and their derivatives, and the
expected information is -L' C'. No digit is lost where mu rounds to 0 or to 1, because neither is ever subtracted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from torchglm.families.link import Bends, Tails, UnitLink
from torchglm.numerics.special import log1mexp, softplus

SQRT_HALF = math.sqrt(0.5)
SQRT_2_OVER_PI = math.sqrt(2.0 / math.pi)


@dataclass(frozen=True)
class Logit(UnitLink, name="logit"):
    """eta = log(mu / (1 - mu))."""

    log_concave: ClassVar[bool] = True

    def link(self, mu: Tensor) -> Tensor:
        return torch.logit(mu)

    def inverse(self, eta: Tensor) -> Tensor:
        return torch.sigmoid(eta)

    def complement(self, eta: Tensor) -> Tensor:
        return torch.sigmoid(-eta)

    def log_inverse(self, eta: Tensor) -> Tensor:
        return -softplus(-eta)

    def log_complement(self, eta: Tensor) -> Tensor:
        return -softplus(eta)

    def derivative(self, eta: Tensor) -> Tensor:
        return torch.sigmoid(eta) * torch.sigmoid(-eta)

    def second_derivative(self, eta: Tensor) -> Tensor:
        mu, nu = torch.sigmoid(eta), torch.sigmoid(-eta)
        return mu * nu * (nu - mu)

    def tails(self, eta: Tensor) -> Tails:
        away = -eta
        tail = torch.log1p(eta.abs().neg_().exp_())
        return Tails(
            eta.clamp(max=0.0).sub_(tail), away.clamp(max=0.0).sub_(tail), torch.sigmoid(away), torch.sigmoid(eta)
        )

    def bends(self, eta: Tensor, tails: Tails) -> Bends:
        bend = tails.slope_mu * tails.slope_nu
        return Bends(bend, bend)


@dataclass(frozen=True)
class Probit(UnitLink, name="probit"):
    """eta = the standard normal quantile of mu."""

    log_concave: ClassVar[bool] = True

    def link(self, mu: Tensor) -> Tensor:
        return torch.special.ndtri(mu)

    def inverse(self, eta: Tensor) -> Tensor:
        return 0.5 * torch.erfc(eta * -SQRT_HALF)

    def complement(self, eta: Tensor) -> Tensor:
        return 0.5 * torch.erfc(eta * SQRT_HALF)

    def log_inverse(self, eta: Tensor) -> Tensor:
        return torch.special.log_ndtr(eta)

    def log_complement(self, eta: Tensor) -> Tensor:
        return torch.special.log_ndtr(-eta)

    def derivative(self, eta: Tensor) -> Tensor:
        return torch.exp(-0.5 * eta * eta) * (0.5 * SQRT_2_OVER_PI)

    def second_derivative(self, eta: Tensor) -> Tensor:
        return -eta * self.derivative(eta)

    def tails(self, eta: Tensor) -> Tails:
        # The scaled erfcx never underflows, so the smaller tail keeps its digits at eta = 700, where it is e^-245000.
        scaled = torch.special.erfcx(eta.abs().mul_(SQRT_HALF))
        exponent = (eta * eta).mul_(-0.5)
        density = torch.exp(exponent)
        tail = scaled * density * 0.5
        log_tail = torch.log(scaled * 0.5).add_(exponent)
        log_bulk = torch.log1p(-tail)
        hazard = SQRT_2_OVER_PI / scaled
        slope_bulk = density.mul_(0.5 * SQRT_2_OVER_PI).div_(1.0 - tail)
        # lerp at weights of exactly 0 and 1 is torch.where in a quarter of the time.
        upper = (eta > 0).to(eta.dtype)
        return Tails(
            torch.lerp(log_tail, log_bulk, upper),
            torch.lerp(log_bulk, log_tail, upper),
            torch.lerp(hazard, slope_bulk, upper),
            torch.lerp(slope_bulk, hazard, upper),
        )

    def bends(self, eta: Tensor, tails: Tails) -> Bends:
        _, _, slope_mu, slope_nu = tails
        return Bends(slope_mu * _hazard_excess(slope_mu, -eta), slope_nu * _hazard_excess(slope_nu, eta))


def _hazard_excess(hazard: Tensor, x: Tensor) -> Tensor:
    # hazard(x) - x is 1/x - 2/x^3 + ...; at x = 700 the difference would keep 10 digits only.
    far = torch.where(x > 50.0, x, 50.0)
    square = 1.0 / (far * far)
    series = ((((706.0 * square - 74.0) * square + 10.0) * square - 2.0) * square + 1.0) / far
    return torch.where(x > 50.0, series, hazard - x)


@dataclass(frozen=True)
class CLogLog(UnitLink, name="cloglog"):
    """eta = log(-log(1 - mu))."""

    log_concave: ClassVar[bool] = True

    def link(self, mu: Tensor) -> Tensor:
        return torch.log(-torch.log1p(-mu))

    def inverse(self, eta: Tensor) -> Tensor:
        return -torch.expm1(-torch.exp(eta))

    def complement(self, eta: Tensor) -> Tensor:
        return torch.exp(-torch.exp(eta))

    def log_inverse(self, eta: Tensor) -> Tensor:
        t = torch.exp(eta)
        # log(1 - e^-t) = eta - t/2 + t^2/24 stays right after t has underflowed, below eta = -745.
        return torch.where(eta < -20.0, eta - 0.5 * t, log1mexp(t))

    def log_complement(self, eta: Tensor) -> Tensor:
        return -torch.exp(eta)

    def derivative(self, eta: Tensor) -> Tensor:
        return torch.exp(eta - torch.exp(eta))

    def second_derivative(self, eta: Tensor) -> Tensor:
        t = _finite_exp(eta)
        return torch.exp(eta - t) * (1.0 - t)

    def tails(self, eta: Tensor) -> Tails:
        t = _finite_exp(eta)
        small = eta < -20.0
        log_mu = torch.where(small, eta - 0.5 * t, log1mexp(t))
        slope_mu = torch.where(small, 1.0 - 0.5 * t, t / torch.expm1(t))
        return Tails(log_mu, -t, slope_mu, t)

    def bends(self, eta: Tensor, tails: Tails) -> Bends:
        t = _finite_exp(eta)
        # With r = 1 - t the log slope of the density, the bend is L' (L' - r), and L' - r = t/2 + t^2/12 - ...
        square = t * t
        series = t * 0.5 + square * (1.0 / 12.0 - square * (1.0 / 720.0 - square * (1.0 / 30240.0)))
        excess = torch.where(t < 0.1, series, tails.slope_mu - 1.0 + t)
        return Bends(tails.slope_mu * excess, t)


def _finite_exp(eta: Tensor) -> Tensor:
    # Above eta = 709.78 exp is inf, and t / expm1(t), which is 0, would be NaN.
    return torch.exp(eta).clamp_(max=torch.finfo(eta.dtype).max)


@dataclass(frozen=True)
class LogLog(UnitLink, name="loglog"):
    """eta = -log(-log mu): the complementary log-log link of 1 - mu, mirrored."""

    log_concave: ClassVar[bool] = True

    def link(self, mu: Tensor) -> Tensor:
        return -torch.log(-torch.log(mu))

    def inverse(self, eta: Tensor) -> Tensor:
        return CLogLog().complement(-eta)

    def complement(self, eta: Tensor) -> Tensor:
        return CLogLog().inverse(-eta)

    def log_inverse(self, eta: Tensor) -> Tensor:
        return CLogLog().log_complement(-eta)

    def log_complement(self, eta: Tensor) -> Tensor:
        return CLogLog().log_inverse(-eta)

    def derivative(self, eta: Tensor) -> Tensor:
        return CLogLog().derivative(-eta)

    def second_derivative(self, eta: Tensor) -> Tensor:
        return -CLogLog().second_derivative(-eta)

    def tails(self, eta: Tensor) -> Tails:
        mirrored = CLogLog().tails(-eta)
        return Tails(mirrored.log_nu, mirrored.log_mu, mirrored.slope_nu, mirrored.slope_mu)

    def bends(self, eta: Tensor, tails: Tails) -> Bends:
        mirrored = CLogLog().bends(-eta, Tails(tails.log_nu, tails.log_mu, tails.slope_nu, tails.slope_mu))
        return Bends(mirrored.nu, mirrored.mu)


@dataclass(frozen=True)
class Cauchit(UnitLink, name="cauchit"):
    """eta = the standard Cauchy quantile of mu, tan(pi (mu - 1/2))."""

    def link(self, mu: Tensor) -> Tensor:
        # The cotangent keeps the digits of a small mu, which mu - 1/2 rounds away.
        return -1.0 / torch.tan(math.pi * mu)

    def inverse(self, eta: Tensor) -> Tensor:
        return torch.atan2(torch.ones_like(eta), -eta) / math.pi

    def complement(self, eta: Tensor) -> Tensor:
        return self.inverse(-eta)

    def log_inverse(self, eta: Tensor) -> Tensor:
        return torch.where(eta > 0, torch.log1p(-self.inverse(-eta)), torch.log(self.inverse(eta)))

    def log_complement(self, eta: Tensor) -> Tensor:
        return self.log_inverse(-eta)

    def derivative(self, eta: Tensor) -> Tensor:
        return 1.0 / (math.pi * (1.0 + eta * eta))

    def second_derivative(self, eta: Tensor) -> Tensor:
        return -2.0 * eta / (1.0 + eta * eta) * self.derivative(eta)

    def tails(self, eta: Tensor) -> Tails:
        density, mu, nu = self.derivative(eta), self.inverse(eta), self.complement(eta)
        return Tails(self.log_inverse(eta), self.log_complement(eta), density / mu, density / nu)

    def bends(self, eta: Tensor, tails: Tails) -> Bends:
        _, _, slope_mu, slope_nu = tails
        log_slope = -2.0 * eta / (1.0 + eta * eta)
        return Bends(slope_mu * (slope_mu - log_slope), slope_nu * (slope_nu + log_slope))
