"""The links with a name; those onto (0, 1) live in unit_links.py and are found here too."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from torchglm.errors import OptionError
from torchglm.families.link import LINKS, POSITIVE, Interval, Link, UnitLink
from torchglm.families.unit_links import Cauchit, CLogLog, Logit, LogLog, Probit

__all__ = [
    "CLogLog", "Cauchit", "Identity", "Inverse", "InverseSquared", "Link", "Log", "LogLog", "Logit", "Power",
    "Probit", "Sqrt", "UnitLink", "resolve_link",
]  # fmt: skip


@dataclass(frozen=True)
class Identity(Link, name="identity"):
    """eta = mu."""

    def link(self, mu: Tensor) -> Tensor:
        return mu

    def inverse(self, eta: Tensor) -> Tensor:
        return eta

    def derivative(self, eta: Tensor) -> Tensor:
        return torch.ones_like(eta)

    def second_derivative(self, eta: Tensor) -> Tensor:
        return torch.zeros_like(eta)


@dataclass(frozen=True)
class Log(Link, name="log"):
    """eta = log mu."""

    domain: ClassVar[Interval] = POSITIVE

    def link(self, mu: Tensor) -> Tensor:
        return torch.log(mu)

    def inverse(self, eta: Tensor) -> Tensor:
        return torch.exp(eta)

    def derivative(self, eta: Tensor) -> Tensor:
        return torch.exp(eta)

    def second_derivative(self, eta: Tensor) -> Tensor:
        return torch.exp(eta)


@dataclass(frozen=True)
class Inverse(Link, name="inverse"):
    """eta = 1 / mu, on either side of zero: the family says which side its mean is on."""

    @property
    def decreasing(self) -> bool:
        return True

    def link(self, mu: Tensor) -> Tensor:
        return 1.0 / mu

    def inverse(self, eta: Tensor) -> Tensor:
        return 1.0 / eta

    def derivative(self, eta: Tensor) -> Tensor:
        mu = 1.0 / eta
        return -mu * mu

    def second_derivative(self, eta: Tensor) -> Tensor:
        mu = 1.0 / eta
        return 2.0 * mu * mu * mu


@dataclass(frozen=True)
class InverseSquared(Link, name="inverse_squared", aliases=("1/mu^2",)):
    """eta = 1 / mu^2."""

    domain: ClassVar[Interval] = POSITIVE
    eta_domain: ClassVar[Interval] = POSITIVE

    @property
    def decreasing(self) -> bool:
        return True

    def link(self, mu: Tensor) -> Tensor:
        return 1.0 / (mu * mu)

    def inverse(self, eta: Tensor) -> Tensor:
        return torch.rsqrt(eta)

    def derivative(self, eta: Tensor) -> Tensor:
        return -0.5 * torch.rsqrt(eta) / eta

    def second_derivative(self, eta: Tensor) -> Tensor:
        return 0.75 * torch.rsqrt(eta) / eta / eta


@dataclass(frozen=True)
class Sqrt(Link, name="sqrt"):
    """eta = sqrt(mu)."""

    domain: ClassVar[Interval] = POSITIVE
    eta_domain: ClassVar[Interval] = POSITIVE

    def link(self, mu: Tensor) -> Tensor:
        return torch.sqrt(mu)

    def inverse(self, eta: Tensor) -> Tensor:
        return eta * eta

    def derivative(self, eta: Tensor) -> Tensor:
        return 2.0 * eta

    def second_derivative(self, eta: Tensor) -> Tensor:
        return torch.full_like(eta, 2.0)


@dataclass(frozen=True)
class Power(Link, name="power"):
    """eta = mu^power for positive mu; the power is not 0, whose limit is the log link."""

    domain: ClassVar[Interval] = POSITIVE
    eta_domain: ClassVar[Interval] = POSITIVE

    power: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.power) or self.power == 0.0:
            raise OptionError(
                f"Power(power=...) takes a finite number other than 0; got {self.power!r}. For 0 use Log()."
            )

    @property
    def decreasing(self) -> bool:
        return self.power < 0.0

    def link(self, mu: Tensor) -> Tensor:
        return mu**self.power

    def inverse(self, eta: Tensor) -> Tensor:
        return eta ** (1.0 / self.power)

    def derivative(self, eta: Tensor) -> Tensor:
        root = 1.0 / self.power
        return root * eta ** (root - 1.0)

    def second_derivative(self, eta: Tensor) -> Tensor:
        root = 1.0 / self.power
        return root * (root - 1.0) * eta ** (root - 2.0)


def resolve_link(given: str | Link | type[Link]) -> Link:
    """The link that a name, a class or an instance stands for.

    Raises: UnknownNameError, OptionError.
    """
    return LINKS.resolve(given, Link)  # pyright: ignore[reportAbstractUsage]
