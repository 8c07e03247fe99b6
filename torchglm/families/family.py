"""What a family is: how the variance of the response follows from its mean, and what follows from that."""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self, overload

import torch
from torch import Tensor

from torchglm.errors import OptionError
from torchglm.families.link import Interval, Link
from torchglm.families.links import Identity, resolve_link
from torchglm.numerics.quadrature import integral
from torchglm.numerics.registry import Registry
from torchglm.numerics.special import derivative_of


class LinkField:
    """A field that always holds a Link, and may be given its name, its class or None for the family's default."""

    @overload
    def __get__(self, family: None, owner: type) -> None: ...
    @overload
    def __get__(self, family: Family, owner: type) -> Link: ...
    def __get__(self, family: Family | None, owner: type) -> Link | None:
        # Asked of the class, this is the default that the dataclass puts into the constructor.
        return None if family is None else vars(family)["link"]

    def __set__(self, family: Family, given: str | Link | type[Link] | None) -> None:
        vars(family)["link"] = resolve_link(family.default_link if given is None else given)


@dataclass(frozen=True)
class Family(ABC):
    """A variance function of the mean, with a link: Var(y) = phi V(mu) / w.

    A family of one's own needs `variance`. Its mean then lives where its default link is defined, its deviance is the
    quasi-deviance by quadrature (infinite where that integral diverges), its dispersion is estimated, and it has no
    likelihood. Writing out `unit_deviance` makes it faster.
    """

    name: ClassVar[str] = ""
    default_link: ClassVar[type[Link]] = Identity
    mean_domain: ClassVar[Interval] = Identity.domain
    support: ClassVar[str] = ""
    canonical_link: ClassVar[type[Link] | None] = None  # where the expected information is the observed one
    ends: ClassVar[tuple[float, ...]] = ()  # responses whose likelihood rises for ever as the mean goes to them
    has_dispersion: ClassVar[bool] = True
    has_likelihood: ClassVar[bool] = False
    counts_dispersion: ClassVar[bool] = False

    link: LinkField = LinkField()

    def __init_subclass__(cls, *, name: str | None = None, aliases: tuple[str, ...] = ()) -> None:
        cls.name = name or cls.__name__.lower()
        if "mean_domain" not in cls.__dict__:
            cls.mean_domain = cls.default_link.domain
        if "support" not in cls.__dict__:
            cls.support = f"in {cls.mean_domain.closure()}"
        if name is not None:
            FAMILIES.add(name, cls, aliases)

    @property
    def own_dispersion(self) -> float:
        """The phi of its density where nobody gives one."""
        return 1.0

    @abstractmethod
    def variance(self, mu: Tensor) -> Tensor:
        """V(mu)."""

    def variance_derivative(self, mu: Tensor) -> Tensor:
        """d V / d mu."""
        return derivative_of(self.variance, mu)

    def unit_deviance(self, y: Tensor, mu: Tensor) -> Tensor:
        """2 times the integral of (y - t) / V(t) over t from mu to y: >= 0, and 0 at y = mu.

        Scale: phi = 1, w = 1.
        """
        return 2.0 * integral(lambda t, rest: rest / self.variance(t), mu, y)

    def nll(self, y: Tensor, mu: Tensor) -> Tensor:
        """Half the unit deviance, up to a function of y alone: cheaper, and finite where only that function is not."""
        return 0.5 * self.unit_deviance(y, mu)

    def anscombe(self, y: Tensor, mu: Tensor) -> Tensor:
        """The Anscombe residuals: the integral of V^(-1/3) from mu to y, divided by V(mu)^(1/6).

        Scale: phi = 1, w = 1.
        Source: McCullagh & Nelder (1989), section 2.4.2.
        """
        return integral(lambda t, _: self.variance(t) ** (-1.0 / 3.0), mu, y) / self.variance(mu) ** (1.0 / 6.0)

    def check_response(self, y: Tensor, w: Tensor | None = None) -> Tensor:
        """True where y can be a response of this family."""
        return self.mean_domain.closure().contains(y)

    def start(self, y: Tensor, w: Tensor) -> Tensor:
        """The means that the first step starts from."""
        return y

    def saturated(self, y: Tensor, w: Tensor) -> Tensor:
        """The part of each row's log likelihood that does not depend on mu, weight included; see `log_likelihood`."""
        return torch.zeros_like(y)

    def log_likelihood(self, deviance: float, n: int, sum_w: float, saturated: float) -> float:
        """R's logLik from totals over the rows; NaN for a family without likelihood.

        Scale: nats; `saturated` is the sum of the rows of that method.
        """
        return saturated - 0.5 * deviance if self.has_likelihood else math.nan

    def ml_dispersion(self, deviance: float, precision: Tensor, repeats: Tensor) -> float:
        """The phi of highest likelihood at means of that deviance: D / n where rows are normal or inverse gaussian.

        Shapes: precision weights and repetitions (rows,).
        """
        return deviance / float(repeats.sum())

    def log_prob(self, y: Tensor, mu: Tensor, phi: float | Tensor = 1.0, w: Tensor | None = None) -> Tensor:
        """The log density, or log probability, of each response.

        Scale: nats. The weight divides the dispersion; for a binomial it is the number of trials.
        Raises: OptionError for a family that is no distribution.
        """
        raise OptionError(f"The {self.name} family has no density: it says only how the variance follows the mean.")

    def sample(
        self, mu: Tensor, phi: float | Tensor = 1.0, generator: torch.Generator | None = None, w: Tensor | None = None
    ) -> Tensor:
        """One response a row.

        Raises: OptionError for a family that is no distribution.
        """
        raise OptionError(f"The {self.name} family cannot be sampled: it says only how the variance follows the mean.")

    @cached_property
    def kernel(self) -> Family:
        """The family whose variance function and deviance these are; itself, unless it borrows them."""
        return self

    def mean(self, eta: Tensor) -> Tensor:
        """The mean at eta; NaN where link and family leave none, as below zero of a gamma's inverse link."""
        mu = self.link.inverse(eta)
        inside = self.link.eta_domain.closure().contains(eta) & self.mean_domain.closure().contains(mu)
        overflown = torch.isinf(mu) & self.link.eta_domain.contains(eta)  # exp(710) is infinite, not undefined
        return torch.where(inside | overflown, mu, torch.nan)

    def with_link(self, link: str | Link | type[Link]) -> Self:
        """The same family with another link."""
        return dataclasses.replace(self, link=link)


FAMILIES: Registry[Family] = Registry("family")


def resolve_family(given: str | Family | type[Family], link: str | Link | type[Link] | None = None) -> Family:
    """The family that a name, a class or an instance stands for, with `link` where one is given.

    Raises: UnknownNameError, OptionError.
    """
    family = FAMILIES.resolve(given, Family)  # pyright: ignore[reportAbstractUsage]
    return family if link is None else family.with_link(link)


def weight_or_one(w: Tensor | None, like: Tensor) -> Tensor:
    """w, or ones."""
    return torch.ones_like(like) if w is None else w
