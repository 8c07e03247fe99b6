"""Families that say how the variance follows the mean, and nothing more: no likelihood, an estimated dispersion."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

import torch
from torch import Tensor

from torchglm.errors import UnknownNameError, did_you_mean
from torchglm.families.exponential import Binomial, Gamma, Gaussian, InverseGaussian, Poisson
from torchglm.families.family import Family
from torchglm.families.link import POSITIVE, REAL, UNIT, Interval, Link
from torchglm.families.links import Identity, Log, Logit

KERNELS: dict[str, type[Family]] = {
    "constant": Gaussian,
    "mu": Poisson,
    "mu(1-mu)": Binomial,
    "mu^2": Gamma,
    "mu^3": InverseGaussian,
}


@dataclass(frozen=True)
class Borrowed(Family):
    """A family whose variance function, deviance and start are those of its `kernel`."""

    def variance(self, mu: Tensor) -> Tensor:
        return self.kernel.variance(mu)

    def variance_derivative(self, mu: Tensor) -> Tensor:
        return self.kernel.variance_derivative(mu)

    def unit_deviance(self, y: Tensor, mu: Tensor) -> Tensor:
        return self.kernel.unit_deviance(y, mu)

    def nll(self, y: Tensor, mu: Tensor) -> Tensor:
        return self.kernel.nll(y, mu)

    def anscombe(self, y: Tensor, mu: Tensor) -> Tensor:
        return self.kernel.anscombe(y, mu)

    def start(self, y: Tensor, w: Tensor) -> Tensor:
        return self.kernel.start(y, w)


@dataclass(frozen=True)
class QuasiPoisson(Borrowed, name="quasipoisson"):
    """V(mu) = mu with an estimated dispersion."""

    default_link: ClassVar[type[Link]] = Log
    mean_domain: ClassVar[Interval] = POSITIVE
    support: ClassVar[str] = "non-negative"

    @cached_property
    def kernel(self) -> Family:
        return Poisson(self.link)


@dataclass(frozen=True)
class QuasiBinomial(Borrowed, name="quasibinomial"):
    """V(mu) = mu (1 - mu) with an estimated dispersion."""

    default_link: ClassVar[type[Link]] = Logit
    mean_domain: ClassVar[Interval] = UNIT
    support: ClassVar[str] = "between 0 and 1"

    @cached_property
    def kernel(self) -> Family:
        return Binomial(self.link)


@dataclass(frozen=True, init=False)
class Quasi(Borrowed, name="quasi"):
    """A variance function by its name: "constant", "mu", "mu(1-mu)", "mu^2" or "mu^3"."""

    # A response of 0 is welcome where V(0) = 0: the estimates exist, only the deviance of mu^2 and mu^3 is infinite.
    default_link: ClassVar[type[Link]] = Identity
    support: ClassVar[str] = "where the variance function is defined"

    variance_of: str = "constant"

    def __init__(self, link: str | Link | type[Link] | None = None, *, variance: str = "constant") -> None:
        if variance not in KERNELS:
            raise UnknownNameError(f"There is no variance function {variance!r}. {did_you_mean(variance, KERNELS)}")
        object.__setattr__(self, "link", link)
        object.__setattr__(self, "variance_of", variance)
        object.__setattr__(self, "mean_domain", self.kernel.mean_domain)

    @cached_property
    def kernel(self) -> Family:
        return KERNELS[self.variance_of](self.link)

    def start(self, y: Tensor, w: Tensor) -> Tensor:
        # R's quasi: only what lies on the edge of the domain is moved off it.
        if self.kernel.mean_domain == UNIT:
            return y.clamp(0.001, 0.999)
        return y if self.kernel.mean_domain == REAL else torch.where(y == 0, 0.1, y)

    def with_link(self, link: str | Link | type[Link]) -> Self:
        return type(self)(link, variance=self.variance_of)
