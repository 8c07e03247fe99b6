"""What a link is: eta = link(mu), mu = inverse(eta)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from torchglm.numerics.registry import Registry
from torchglm.numerics.special import derivative_of


@dataclass(frozen=True)
class Interval:
    """A stretch of the real line; infinity and NaN are in none."""

    lower: float
    upper: float
    lower_closed: bool = False
    upper_closed: bool = False

    def contains(self, x: Tensor) -> Tensor:
        """True where x lies inside."""
        above = x >= self.lower if self.lower_closed else x > self.lower
        below = x <= self.upper if self.upper_closed else x < self.upper
        return above & below

    def closure(self) -> Interval:
        """The same stretch with its finite ends."""
        return Interval(self.lower, self.upper, math.isfinite(self.lower), math.isfinite(self.upper))

    def __str__(self) -> str:
        left, right = "[" if self.lower_closed else "(", "]" if self.upper_closed else ")"
        return f"{left}{self.lower:g}, {self.upper:g}{right}"


REAL = Interval(-math.inf, math.inf)
POSITIVE = Interval(0.0, math.inf)
UNIT = Interval(0.0, 1.0)


@dataclass(frozen=True)
class Link(ABC):
    """A map from the mean mu to the linear predictor eta, elementwise on tensors.

    A link of one's own needs `link` and `inverse`, written in torch; the derivatives then come from autograd, and
    writing them out makes it faster. With `name=` the class is also known by that name.
    """

    name: ClassVar[str] = ""
    domain: ClassVar[Interval] = REAL
    eta_domain: ClassVar[Interval] = REAL

    def __init_subclass__(cls, *, name: str | None = None, aliases: tuple[str, ...] = ()) -> None:
        cls.name = name or cls.__name__.lower()
        if name is not None:
            LINKS.add(name, cls, aliases)

    @property
    def decreasing(self) -> bool:
        """True when a larger mean has a smaller eta."""
        return False

    @abstractmethod
    def link(self, mu: Tensor) -> Tensor:
        """eta."""

    @abstractmethod
    def inverse(self, eta: Tensor) -> Tensor:
        """mu."""

    def derivative(self, eta: Tensor) -> Tensor:
        """d mu / d eta."""
        return derivative_of(self.inverse, eta)

    def second_derivative(self, eta: Tensor) -> Tensor:
        """d^2 mu / d eta^2."""
        return derivative_of(self.inverse, eta, order=2)


LINKS: Registry[Link] = Registry("link")


class Tails(NamedTuple):
    """Both log probabilities of a unit link at eta, and how fast they change.

    log_mu = log mu; log_nu = log(1 - mu); slope_mu = d log mu / d eta; slope_nu = -d log(1 - mu) / d eta.
    """

    log_mu: Tensor
    log_nu: Tensor
    slope_mu: Tensor
    slope_nu: Tensor


class Bends(NamedTuple):
    """The curvatures -d^2 log mu / d eta^2 and -d^2 log(1 - mu) / d eta^2 of a unit link."""

    mu: Tensor
    nu: Tensor


@dataclass(frozen=True)
class UnitLink(Link):
    """A link whose mean is a probability: all of the line onto (0, 1), increasing.

    A unit link of one's own needs `link`, `log_inverse` and `log_complement`.
    """

    domain: ClassVar[Interval] = UNIT
    log_concave: ClassVar[bool] = False  # both log mu and log(1 - mu) in eta: then curvatures are never negative

    @abstractmethod
    def log_inverse(self, eta: Tensor) -> Tensor:
        """log mu, exact in both tails."""

    @abstractmethod
    def log_complement(self, eta: Tensor) -> Tensor:
        """log(1 - mu), exact in both tails."""

    def inverse(self, eta: Tensor) -> Tensor:
        return torch.exp(self.log_inverse(eta))

    def complement(self, eta: Tensor) -> Tensor:
        """1 - mu, exact where mu rounds to 1."""
        return torch.exp(self.log_complement(eta))

    def tails(self, eta: Tensor) -> Tails:
        """Logs and slopes of mu and 1 - mu, in one pass."""
        return Tails(
            self.log_inverse(eta),
            self.log_complement(eta),
            derivative_of(self.log_inverse, eta),
            -derivative_of(self.log_complement, eta),
        )

    def bends(self, eta: Tensor, tails: Tails) -> Bends:
        """Curvatures of -log mu and of -log(1 - mu), where `tails` are those of the same eta."""
        return Bends(
            -derivative_of(self.log_inverse, eta, order=2),
            -derivative_of(self.log_complement, eta, order=2),
        )
