"""Distributions of counts by the log of their mean: what truncated, hurdle and zero-inflated counts are made of."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from torchglm.errors import DomainError
from torchglm.families.fused import INF
from torchglm.families.likelihood import Information, Likelihood, RowTerms
from torchglm.families.link import Link
from torchglm.families.links import Log, resolve_link
from torchglm.families.predictor_rows import curvature_of, gradient_of
from torchglm.families.resolved import Resolved
from torchglm.numerics.registry import Registry
from torchglm.numerics.special import log_factorial


@dataclass(frozen=True)
class CountModel(Likelihood):
    """The probability of a count, the link of whose mean is the first predictor."""

    name: ClassVar[str] = ""
    support: ClassVar[str] = "a whole number from 0 on"
    is_discrete: ClassVar[bool] = True

    link: Resolved[Link] = Resolved("log", resolve_link)

    def __init_subclass__(cls, *, name: str) -> None:
        cls.name = name
        COUNTS.add(name, cls)

    def mean(self, z: Tensor) -> Tensor:
        return self.link.inverse(z.select(1, 0))

    def check_response(self, y: Tensor) -> Tensor:
        return is_count(y)

    @abstractmethod
    def zero(self, z: Tensor) -> RowTerms:
        """log(-log P(0)) of each row and its derivatives.

        Shapes: (rows,), (rows, q), (rows, q, q).
        """

    @abstractmethod
    def log_zero(self, z: Tensor) -> Tensor:
        """log(-log P(0)) of each row; it keeps its digits where P(0) rounds to 1."""

    @abstractmethod
    def start_at(self, mean: Tensor, variance: Tensor) -> Tensor:
        """The predictors (q,) of that mean and variance."""

    def start(self, y: Tensor, w: Tensor) -> Tensor:
        mean, variance = moments(y, w)
        begin = self.start_at(mean, variance)
        if not bool(torch.isfinite(begin[0])):
            raise DomainError(
                f"The mean response {float(mean):.6g} is outside of {self.link.domain}, the domain of the "
                f"{self.link.name} link: take a link whose domain holds the means of counts, such as log."
            )
        return begin


COUNTS: Registry[CountModel] = Registry("count distribution")


def resolve_count(given: str | CountModel | type[CountModel]) -> CountModel:
    """The distribution of counts that a name, a class or an instance stands for.

    Raises: UnknownNameError, OptionError.
    """
    return COUNTS.resolve(given, CountModel)  # pyright: ignore[reportAbstractUsage]


class LogMean(NamedTuple):
    """log mu as a function of the predictor, with its derivatives; None stands for 1 and 0."""

    value: Tensor
    slope: Tensor | None = None
    bend: Tensor | None = None

    def terms(self, rows: RowTerms, information: Information) -> RowTerms:
        """Row terms in (log mu, ...) as row terms in (eta, ...); +inf where mu is not positive."""
        if self.slope is None or self.bend is None:
            return rows
        gradient, curvature = rows.gradient.clone(), rows.curvature.clone()
        gradient[:, 0] *= self.slope
        curvature[:, 0] *= self.slope[:, None]
        curvature[:, :, 0] *= self.slope[:, None]
        if information == "observed":
            curvature[:, 0, 0] += rows.gradient[:, 0] * self.bend
        return RowTerms(self.inside(rows.nll), gradient, curvature)

    def inside(self, nll: Tensor) -> Tensor:
        """nll, +inf where mu is not positive."""
        return nll if self.slope is None else torch.where(torch.isnan(self.value), INF, nll)


def log_mean(link: Link, eta: Tensor, *, derivatives: bool) -> LogMean:
    """log mu at eta, NaN where the link gives no positive mean there."""
    if type(link) is Log:
        return LogMean(eta)
    mu = link.inverse(eta)
    mu = torch.where(link.eta_domain.contains(eta) & (mu > 0.0), mu, torch.nan)
    if not derivatives:
        return LogMean(torch.log(mu), torch.ones_like(mu), torch.zeros_like(mu))
    slope = link.derivative(eta) / mu
    return LogMean(torch.log(mu), slope, link.second_derivative(eta) / mu - slope * slope)


def is_count(y: Tensor) -> Tensor:
    """True where y is a whole number from 0 on."""
    return torch.isfinite(y) & (y >= 0.0) & (y == torch.floor(y))


def moments(y: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """The weighted mean, moved off zero where every count is 0, and the weighted variance."""
    total = w.sum()
    mean = torch.dot(w, y) / total
    variance = torch.dot(w, (y - mean) ** 2) / total
    return torch.where(mean > 0.0, mean, 0.5 / (total + 1.0)), variance


@dataclass(frozen=True)
class PoissonCount(CountModel, name="poisson"):
    """The Poisson probability of a count."""

    predictors: ClassVar[tuple[str, ...]] = ("mean",)

    @property
    def is_canonical(self) -> bool:
        return type(self.link) is Log

    @property
    def is_convex(self) -> bool:
        return True

    def nll(self, y: Tensor, z: Tensor) -> Tensor:
        m = log_mean(self.link, z.select(1, 0), derivatives=False)
        return m.inside(torch.exp(m.value) - y * m.value + log_factorial(y))

    def slope(self, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        m = log_mean(self.link, z.select(1, 0), derivatives=True)
        mu = torch.exp(m.value)
        nll = torch.addcmul(mu, y, m.value, value=-1.0).add_(log_factorial(y))
        gradient = mu.sub_(y)
        return m.inside(nll), (gradient if m.slope is None else gradient.mul_(m.slope))[:, None]

    def expand(self, y: Tensor, z: Tensor, *, information: Information = "expected") -> RowTerms:
        m = log_mean(self.link, z.select(1, 0), derivatives=True)
        mu = torch.exp(m.value)
        nll = torch.addcmul(mu, y, m.value, value=-1.0).add_(log_factorial(y))
        return m.terms(RowTerms(nll, (mu - y)[:, None], mu[:, None, None]), information)

    def zero(self, z: Tensor) -> RowTerms:
        m = log_mean(self.link, z.select(1, 0), derivatives=True)
        one = torch.ones_like(m.value)
        rows = RowTerms(m.value, gradient_of([one]), curvature_of({(0, 0): torch.zeros_like(one)}, 1))
        return m.terms(rows, "observed")

    def log_zero(self, z: Tensor) -> Tensor:
        m = log_mean(self.link, z.select(1, 0), derivatives=False)
        return m.inside(m.value)

    def variance(self, z: Tensor) -> Tensor:
        return self.mean(z)

    def cdf(self, y: Tensor, z: Tensor) -> Tensor:
        known = torch.special.gammaincc(y.clamp(min=0.0) + 1.0, self.mean(z))
        return torch.where(y < 0.0, 0.0, known)

    def sample(self, z: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return torch.poisson(self.mean(z), generator=generator)

    def start_at(self, mean: Tensor, variance: Tensor) -> Tensor:
        return self.link.link(mean).reshape(1)
